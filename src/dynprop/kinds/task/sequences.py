"""Laws of single sequences: their structure, and the target that follows from their inputs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from dynprop.kinds.task.bounds import all_hold
from dynprop.kinds.task.cases import TaskCase, task_case, usual_case
from dynprop.kinds.task.decoders import Row
from dynprop.kinds.task.subject import Sequences, TaskSubject
from dynprop.kinds.task.variants import VARIANTS, Variant
from dynprop.laws.evidence import Evidence, compare
from dynprop.laws.law import law

__all__ = ["CLAIM", "published", "rows_of"]

CLAIM = "C7"


def published(subject: TaskSubject) -> str | None:
    """Return the reason why laws of published variants do not apply, or None."""
    if subject.variant in VARIANTS:
        return None
    return f"{subject.variant!r} is no published variant that the laws know: {', '.join(VARIANTS)}"


def rows_of(batch: Sequences) -> Iterator[Row]:
    """Yield each sequence up to its end, as lists of numbers."""
    for i, end in enumerate(batch.ends):
        yield batch.inputs[: int(end) + 1, i].tolist()


@law(
    "task/sequences",
    claim=CLAIM,
    statement="sequences are what the variant says step by step, end within its lengths, hold zeros after "
    "their end, and are the same for the same seed only",
    source="the paper of the variant; Tay et al. 2021: google-research/long-range-arena#20",
    draw=partial(task_case, count=48),
    fixed=partial(usual_case, count=48, long=True),
    applies=published,
    script="print(batch.inputs[:, 0], batch.ends[0])",
)
def sequences(subject: TaskSubject, case: TaskCase) -> Evidence:
    """Check the structure of every sequence, and draw the batch twice."""
    batch, variant = case.drawn(subject), VARIANTS[subject.variant]
    wrong = _wrong_length(batch, variant, case)
    if wrong is not None:
        return wrong
    for i, row in enumerate(rows_of(batch)):
        detail = {"sequence": i}
        problem = variant.check(row, case.length)
        if problem:
            return Evidence(failure=f"sequence {i}: {problem}", detail=detail)
        if batch.inputs[len(row) :, i].any():
            return Evidence(failure=f"sequence {i} goes on after its end", detail=detail)
    second_draw, other_seed = (case.drawn(subject, offset) for offset in (0, 1))
    if not np.array_equal(second_draw.inputs, batch.inputs) or not np.array_equal(
        second_draw.targets, batch.targets
    ):
        return Evidence(failure="the same seed gives other sequences")
    if np.array_equal(other_seed.inputs, batch.inputs) and batch.inputs.size > 64:
        return Evidence(failure="another seed gives the same sequences")
    return all_hold("sequences", {"length": case.length})


def _wrong_length(batch: Sequences, variant: Variant, case: TaskCase) -> Evidence | None:
    """Return evidence against sequences of impossible length, which are not decoded further."""
    least, most = variant.steps(case.length)
    wrong = np.flatnonzero((batch.ends + 1 < least) | (batch.ends + 1 > most))
    if not len(wrong):
        return None
    i = int(wrong[0])
    failure = f"sequence {i} has {batch.ends[i] + 1} steps, not {least} to {most}"
    return Evidence(failure=failure, detail={"sequence": i})


@law(
    "task/target-from-inputs",
    claim=CLAIM,
    statement="the target of every sequence is what its inputs say",
    source="the paper of the variant; pascanur/trainingRNNs: the mean in place of the sum",
    draw=partial(task_case, count=96),
    fixed=partial(usual_case, count=96, long=True),
    applies=published,
    script="print(batch.inputs[:, 0], batch.targets[..., 0])",
)
def target_from_inputs(subject: TaskSubject, case: TaskCase) -> Evidence:
    """Decode every sequence and compare."""
    batch, variant = case.drawn(subject), VARIANTS[subject.variant]
    wrong = _wrong_length(batch, variant, case)
    if wrong is not None:
        return wrong
    expected = np.array([variant.target(row, case.length) for row in rows_of(batch)], dtype=np.float64)
    targets = np.asarray(batch.targets, dtype=np.float64)
    targets = targets.T if expected.ndim == 2 else targets.reshape(len(expected), -1)[:, 0]
    # One sum of two numbers of at most 1, a division and a sum: three roundings of numbers up to 2.
    bound = np.full(expected.shape, 0.0 if variant.classes else 6.0 * 2.0**-53)
    scale = np.where(expected == 0.0, 0.0, np.abs(expected))
    decided = compare(
        "targets",
        targets,
        expected,
        bound,
        dtype="float64",
        axes=("sequence", "step")[: expected.ndim],
        scale=scale,
    )
    return Evidence((decided,))
