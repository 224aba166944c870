"""Laws of frequencies: marks, sets of marks, classes, lengths and symbols, by binomial quantiles."""

from __future__ import annotations

from collections import Counter
from functools import partial

import numpy as np

from dynprop.arrays import FloatArray, IntArray
from dynprop.kinds.task.bounds import FALSE_ALARM, binomial, evidence_from
from dynprop.kinds.task.cases import TaskCase, task_case, usual_case
from dynprop.kinds.task.mark_positions import probability_per_step
from dynprop.kinds.task.sequences import CLAIM, published
from dynprop.kinds.task.subject import Sequences, TaskSubject
from dynprop.kinds.task.variants import VARIANTS, Variant
from dynprop.laws.evidence import Evidence
from dynprop.laws.law import law

__all__ = ["marked_positions"]

# Number of input values in one case: 32,000 sequences of two numbers a step, 12,000 of eight.
NUMBERS = 2**22


def _has_marks(subject: TaskSubject) -> str | None:
    if published(subject) is None and not VARIANTS[subject.variant].marks:
        return f"{subject.variant} has no marks"
    return published(subject)


def _has_classes(subject: TaskSubject) -> str | None:
    if published(subject) is None and VARIANTS[subject.variant].classes == 0:
        return f"{subject.variant} has no classes of equal probability"
    return published(subject)


def _has_lengths(subject: TaskSubject) -> str | None:
    if published(subject) is None:
        least, most = VARIANTS[subject.variant].steps(100)
        return f"all sequences of {subject.variant} are as long" if least == most else None
    return published(subject)


def _has_symbols(subject: TaskSubject) -> str | None:
    if published(subject) is None and not _symbols(VARIANTS[subject.variant]):
        return f"{subject.variant} has no symbols of equal probability"
    return published(subject)


def _symbols(variant: Variant) -> list[int]:
    return [i for i, item in enumerate(variant.random_inputs) if isinstance(item.distribution, int)]


def marked_positions(
    batch: Sequences, variant: Variant, length: int
) -> tuple[IntArray, IntArray, list[tuple[int, ...]]]:
    """Find the marked positions of every sequence.

    Returns:
        The marks, (time, count) of 0 and 1; the index of each sequence's cell, -1 for impossible positions;
        and all cells. A cell is a set of positions, followed by the class where marks encode one.
    """
    inside = np.arange(len(batch.inputs))[:, None] <= batch.ends
    features = (batch.inputs[:, :, list(variant.marks)] == 1.0) & inside[:, :, None]
    marked = features.any(axis=-1)
    cells = list(variant.positions(length))
    most, base = max(len(cell) for cell in cells), len(batch.inputs) + 1
    sequence, step = np.nonzero(marked.T)
    number = marked.sum(axis=0)
    rank = np.arange(len(sequence)) - (np.cumsum(number) - number)[sequence]
    valid = rank < most
    codes = np.zeros(len(number), dtype=np.int64)
    np.add.at(codes, sequence[valid], (step[valid] + 1) * base ** rank[valid])
    cell_codes = np.array([sum((t + 1) * base**k for k, t in enumerate(cell)) for cell in cells])
    order = cell_codes.argsort()
    nearest = np.minimum(np.searchsorted(cell_codes[order], codes), len(cell_codes) - 1)
    cell_index = np.where((cell_codes[order][nearest] == codes) & (number <= most), order[nearest], -1)
    if len(variant.marks) > 1:
        bits = np.zeros(len(number), dtype=np.int64)
        np.add.at(bits, sequence[valid], features[step, sequence, 1][valid] * 2 ** rank[valid])
        cell_index = np.where(cell_index < 0, -1, cell_index * variant.classes + bits)
        cells = [(*cell, k) for cell in cells for k in range(variant.classes)]
    return marked.astype(np.int64), cell_index, cells


@law(
    "task/mark-frequencies",
    claim=CLAIM,
    statement="marks lie at each position, and together at each set of positions and in each class, with the "
    "probability of the variant: nowhere else, and everywhere in their ranges",
    source="Hochreiter and Schmidhuber 1997, sections 5.4 to 5.6 and table 10; locuslab/TCN#30",
    draw=partial(task_case, count=2048, numbers=NUMBERS),
    fixed=partial(usual_case, count=2048, numbers=NUMBERS, long=True),
    applies=_has_marks,
    script="print((batch.inputs[:, :, {features}] == 1).any(axis=-1).sum(axis=1))",
    share=0.04,
)
def mark_frequencies(subject: TaskSubject, case: TaskCase) -> Evidence:
    """Count the marks at each position, and the sequences of each set of positions."""
    variant, detail = VARIANTS[subject.variant], {"features": list(VARIANTS[subject.variant].marks)}
    positions = variant.positions(case.length)
    total, together = np.zeros(variant.steps(case.length)[1]), Counter[int]()
    cells: list[tuple[int, ...]] = []
    for batch in case.chunks(subject):
        marks, cell_index, cells = marked_positions(batch, variant, case.length)
        if len(marks) > len(total):
            return Evidence(failure=f"{len(marks)} steps, not {len(total)}", detail=detail)
        total[: len(marks)] += marks.sum(axis=1)
        together.update(cell_index.tolist())
        if together[-1]:
            steps = np.flatnonzero(marks[:, (cell_index < 0).argmax()]).tolist()
            return Evidence(failure=f"a sequence has marks at {steps}, which cannot be", detail=detail)
    chances = np.array([float(p) for p in probability_per_step(positions, len(total))])
    single = binomial(
        "marks per position", total, case.count, chances, axes=("time",), false_alarm=FALSE_ALARM / 2
    )
    counts = np.array([together[i] for i in range(len(cells))], dtype=np.float64)
    each = len(cells) // len(positions)
    joint = np.repeat([float(p) / each for p in positions.values()], each)
    label = "sequences with marks at positions (and of a class) number"
    if each == 1:
        label = "sequences with marks at positions number"
    paired = binomial(label, counts, case.count, joint, axes=("cell",), false_alarm=FALSE_ALARM / 2)
    result = evidence_from((single, paired), detail)
    if result.failure and paired.ratio > single.ratio:
        i = paired.worst[0]
        failure = f"{label} {cells[i]}: {counts[i]:.0f} of {case.count}, expected {case.count * joint[i]:.4g}"
        return Evidence(result.comparisons, failure, detail)
    return result


@law(
    "task/classes-reachable",
    claim=CLAIM,
    statement="every class comes up with its probability",
    source="google-research/long-range-arena#20: a task whose answer cannot occur",
    draw=partial(task_case, count=2048, numbers=NUMBERS),
    fixed=partial(usual_case, count=2048, numbers=NUMBERS),
    applies=_has_classes,
    script="print(np.unique(batch.targets, return_counts=True))",
    share=0.04,
)
def classes_reachable(subject: TaskSubject, case: TaskCase) -> Evidence:
    """Count the targets of each class."""
    classes, detail = VARIANTS[subject.variant].classes, {"length": case.length}
    tally = Counter[float]()
    for batch in case.chunks(subject):
        tally.update(np.asarray(batch.targets, dtype=np.float64).ravel().tolist())
    if len(tally) > classes:
        return Evidence(failure=f"{len(tally)} different targets, not {classes}", detail=detail)
    counts = np.zeros(classes)
    counts[: len(tally)] = [tally[value] for value in sorted(tally)]
    return evidence_from(
        [binomial("targets per class", counts, case.count, 1.0 / classes, axes=("class",))], detail
    )


@law(
    "task/ends-uniform",
    claim=CLAIM,
    statement="every number of steps from the least to the largest is as likely",
    source="Hochreiter and Schmidhuber 1997, section 5: lengths T to T + T/10",
    draw=partial(task_case, count=2048, shortest=10),
    fixed=partial(usual_case, count=2048, shortest=10, long=True),
    applies=_has_lengths,
    script="print(np.unique(batch.ends, return_counts=True))",
    share=0.04,
)
def ends_uniform(subject: TaskSubject, case: TaskCase) -> Evidence:
    """Count the sequences of each length."""
    least, most = VARIANTS[subject.variant].steps(case.length)
    steps, detail = case.drawn(subject).ends + 1, {"length": case.length}
    if steps.min() < least or steps.max() > most:
        return Evidence(failure=f"{steps.min()} to {steps.max()} steps, not {least} to {most}", detail=detail)
    counts = np.bincount(steps - least, minlength=most - least + 1).astype(np.float64)
    label = f"sequences of {least} steps or more"
    return evidence_from([binomial(label, counts, case.count, 1.0 / len(counts), axes=("more",))], detail)


@law(
    "task/symbol-frequencies",
    claim=CLAIM,
    statement="wherever one of several symbols stands at random, each is as likely, at every step",
    source="the paper of the variant: distractors, the symbols of copy memory, the signs of parity",
    draw=partial(task_case, count=2048, numbers=NUMBERS),
    fixed=partial(usual_case, count=2048, numbers=NUMBERS),
    applies=_has_symbols,
    script="print(batch.inputs.sum(axis=1))",
    share=0.04,
)
def symbol_frequencies(subject: TaskSubject, case: TaskCase) -> Evidence:
    """Count the symbols at each step, and at all steps."""
    variant, detail = VARIANTS[subject.variant], {"length": case.length}
    random_inputs = [variant.random_inputs[i] for i in _symbols(variant)]
    most = variant.steps(case.length)[1]
    tallies: list[FloatArray] = [np.zeros((most, item.categories)) for item in random_inputs]
    for batch in case.chunks(subject):
        for item, counts in zip(random_inputs, tallies, strict=True):
            parts = item.category(batch)[:most]
            for k in range(item.categories):
                counts[: len(parts), k] += (parts == k).sum(axis=1)
    comparisons = []
    for item, counts in zip(random_inputs, tallies, strict=True):
        # The last row counts all steps.
        rows = np.concatenate([counts, counts.sum(axis=0, keepdims=True)])
        trials = rows.sum(axis=1, keepdims=True)
        false_alarm, label = (
            FALSE_ALARM / len(random_inputs),
            f"{item.name} of each kind (time {most}: all steps)",
        )
        comparisons.append(
            binomial(
                label, rows, trials, 1.0 / item.categories, axes=("time", "kind"), false_alarm=false_alarm
            )
        )
    return evidence_from(comparisons, detail)
