r"""What the sequences of a task must be: marks in their places, nothing that betrays the target.

Frequencies are judged by exact binomial quantiles, independence by Hoeffding's inequality: if x_i has mean c
and sub-Gaussian parameter s and is independent of the targets, then P(|Σ a_i (x_i - c)| ≥ r) ≤ 2 exp(-r²/(2
s² Σ a_i²)) for weights a_i that depend on the targets alone (Hoeffding 1963, theorem 2). Each case may err
with probability 1e-12, so that a correct task is accused once in some 1e9 checks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.laws.evidence import Comparison, Evidence, compare
from dynprop.laws.registry import law
from dynprop.laws.task.cases import TaskCase, task_case, usual_case
from dynprop.laws.task.subject import Sequences, TaskSubject
from dynprop.laws.task.variants import VARIANTS, Row, Variant

__all__ = ["drawn", "published", "rows_of"]

MISS = 1e-12
MANY = 2048
CLAIM = "C7"


def published(subject: TaskSubject) -> str | None:
    """Say why laws about published variants do not apply, or None."""
    if subject.variant in VARIANTS:
        return None
    return f"{subject.variant!r} is no published variant that the laws know: {', '.join(VARIANTS)}"


def _marked(subject: TaskSubject) -> str | None:
    if published(subject) is None and VARIANTS[subject.variant].probability is None:
        return f"{subject.variant} has no marks"
    return published(subject)


def _classed(subject: TaskSubject) -> str | None:
    if published(subject) is None and VARIANTS[subject.variant].classes == 0:
        return f"{subject.variant} has no classes of equal probability"
    return published(subject)


def _noisy(subject: TaskSubject) -> str | None:
    if published(subject) is None and not VARIANTS[subject.variant].noise:
        return f"{subject.variant} has no inputs beside those that matter"
    return published(subject)


def drawn(subject: TaskSubject, case: TaskCase) -> tuple[Sequences, Variant]:
    """Return the sequences of a case and what is published about them."""
    return subject.sample(case.length, case.count, case.seed), VARIANTS[subject.variant]


def rows_of(found: Sequences) -> Iterator[Row]:
    """Yield each sequence up to its end, as plain numbers."""
    for i, end in enumerate(found.ends):
        yield found.inputs[: int(end) + 1, i].tolist()


@law(
    "task/sequences",
    claim=CLAIM,
    statement="sequences are what the variant says step by step, end within its lengths, hold zeros after "
    "their end, and are the same for the same seed only",
    source="the paper of the variant; Tay et al. 2021: google-research/long-range-arena#20",
    draw=partial(task_case, count=48),
    fixed=partial(usual_case, count=48),
    applies=published,
    script="print(batch.inputs[:, 0], batch.ends[0])",
)
def sequences(subject: TaskSubject, case: TaskCase) -> Evidence:
    """Read every sequence, and draw the batch twice."""
    found, variant = drawn(subject, case)
    most = case.length + variant.extra(case.length)
    for i, row in enumerate(rows_of(found)):
        detail = {"sequence": i}
        first = case.length + (20 if subject.variant == "copy" else 0)
        if not first <= len(row) <= most:
            return Evidence(
                failure=f"sequence {i} has {len(row)} steps, not {first} to {most}", detail=detail
            )
        problem = variant.frame(row, case.length)
        if problem:
            return Evidence(failure=f"sequence {i}: {problem}", detail=detail)
        if found.inputs[len(row) :, i].any():
            return Evidence(failure=f"sequence {i} goes on after its end", detail=detail)
    again, other = (subject.sample(case.length, case.count, case.seed + d) for d in (0, 1))
    if not np.array_equal(again.inputs, found.inputs) or not np.array_equal(again.targets, found.targets):
        return Evidence(failure="the same seed gives other sequences")
    if np.array_equal(other.inputs, found.inputs) and found.inputs.size > 64:
        return Evidence(failure="another seed gives the same sequences")
    whole = np.ones(1)
    return Evidence((compare("sequences", whole, whole, 0.0 * whole, dtype="float64", axes=("case",)),))


def _frequencies(label: str, counts: FloatArray, chances: FloatArray, rows: int, axis: str) -> Evidence:
    """Compare counts with a binomial law of known probabilities, each within its extreme quantiles."""
    from scipy.stats import binom

    tail = MISS / (2.0 * max(1, len(chances)))
    low, high = binom.ppf(tail, rows, chances), binom.isf(tail, rows, chances)
    mean = rows * chances
    bound = np.maximum(mean - low, high - mean)
    comparison = compare(
        label,
        counts,
        mean,
        np.where(chances == 0.0, 0.0, bound),
        dtype="float64",
        axes=(axis,),
    )
    return _decided(comparison)


def _decided(comparison: Comparison) -> Evidence:
    """Return evidence that fails as a whole: a wrong frequency is no matter of digits."""
    if comparison.ratio <= 1.0:
        return Evidence((comparison,))
    at = comparison.worst
    place = ", ".join(f"{axis} {i}" for axis, i in zip(comparison.axes, at, strict=True))
    value, wanted, bound = (x[at] for x in (comparison.value, comparison.reference, comparison.bound))
    message = f"{comparison.label} at {place}: got {value:.6g}, expected {wanted:.6g} within {bound:.3g}"
    return Evidence((comparison,), failure=message)


@law(
    "task/mark-frequencies",
    claim=CLAIM,
    statement="marks lie at each position with the probability of the variant: nowhere else, and everywhere "
    "in their ranges",
    source="Hochreiter and Schmidhuber 1997, sections 5.4 to 5.6; locuslab/TCN#30",
    draw=partial(task_case, count=MANY),
    fixed=partial(usual_case, count=MANY),
    applies=_marked,
    script="print((batch.inputs[:, :, -1] == 1).sum(axis=1))",
    share=0.08,
)
def mark_frequencies(subject: TaskSubject, case: TaskCase) -> Evidence:
    """Count the marks at each position."""
    found, variant = drawn(subject, case)
    assert variant.probability is not None
    exact = variant.probability(case.length)
    chances = np.zeros(len(found.inputs))
    chances[: len(exact)] = [float(p) for p in exact]
    counts = np.zeros(len(found.inputs))
    for row in rows_of(found):
        counts[variant.marks(row)] += 1.0
    return _frequencies("marks per position", counts, chances, case.count, "time")


@law(
    "task/classes-reachable",
    claim=CLAIM,
    statement="every class comes up with its probability",
    source="google-research/long-range-arena#20: a task whose answer cannot occur",
    draw=partial(task_case, count=MANY),
    fixed=partial(usual_case, count=MANY),
    applies=_classed,
    script="print(np.unique(batch.targets, return_counts=True))",
    share=0.08,
)
def classes_reachable(subject: TaskSubject, case: TaskCase) -> Evidence:
    """Count the targets of each class."""
    found, variant = drawn(subject, case)
    values, counts = np.unique(found.targets, return_counts=True)
    if len(values) > variant.classes:
        return Evidence(failure=f"{len(values)} different targets, not {variant.classes}")
    padded = np.zeros(variant.classes)
    padded[: len(values)] = counts
    chances = np.full(variant.classes, 1.0 / variant.classes)
    return _frequencies("targets per class", padded, chances, case.count, "class")


@law(
    "task/target-from-inputs",
    claim=CLAIM,
    statement="the target of every sequence is what its inputs say",
    source="the paper of the variant; pascanur/trainingRNNs: the mean in place of the sum",
    draw=partial(task_case, count=96),
    fixed=partial(usual_case, count=96),
    applies=published,
    script="print(batch.inputs[:, 0], batch.targets[..., 0])",
)
def target_from_inputs(subject: TaskSubject, case: TaskCase) -> Evidence:
    """Read every sequence and compare."""
    found, variant = drawn(subject, case)
    told = np.array([variant.target(row, case.length) for row in rows_of(found)], dtype=np.float64)
    given = np.asarray(found.targets, dtype=np.float64)
    given = given.T if told.ndim == 2 else given.reshape(len(told), -1)[:, 0]
    # One sum of two numbers of at most 1, a division and a sum: three roundings of numbers up to 2.
    bound = np.full(told.shape, 0.0 if variant.classes else 6.0 * 2.0**-53)
    scale = np.where(told == 0.0, 0.0, np.abs(told))
    decided = compare(
        "targets", given, told, bound, dtype="float64", axes=("sequence", "step")[: told.ndim], scale=scale
    )
    return Evidence((decided,))


@law(
    "task/no-leak",
    claim=CLAIM,
    statement="inputs that do not matter, and the lengths of sequences, are independent of the target",
    source="Hoeffding 1963, theorem 2",
    draw=partial(task_case, count=MANY),
    fixed=partial(usual_case, count=MANY),
    applies=_noisy,
    script="print([np.corrcoef(x, batch.targets.reshape(len(batch.ends), -1)[:, 0])[0, 1] "
    "for x in batch.inputs[:, :, 0]])",
    share=0.08,
)
def no_leak(subject: TaskSubject, case: TaskCase) -> Evidence:
    """Correlate every such number with every target."""
    found, variant = drawn(subject, case)
    targets = np.asarray(found.targets, dtype=np.float64).reshape(case.count, -1)
    if variant.classes > 2:
        targets = np.eye(variant.classes)[np.asarray(found.targets, dtype=np.int64)]
    weights = targets - targets.mean(axis=0)
    rows = list(rows_of(found))
    series = []
    for noise in variant.noise:
        for t in range(noise.since, len(found.inputs)):
            there = np.array([t < len(row) and noise.present(row, t) for row in rows])
            values = np.where(there, found.inputs[t, :, noise.feature] - noise.centre, 0.0)
            series.append((values, there, noise.spread))
    most = variant.extra(case.length)
    if most:
        centred = found.ends - (case.length - 1) - most / 2.0
        series.append((centred, np.ones(case.count, dtype=np.bool_), most / 2.0))
    log = math.log(2.0 * len(series) * weights.shape[1] / MISS)
    sums, bounds = [], []
    for values, there, spread in series:
        sums.append(values @ weights)
        bounds.append(spread * np.sqrt(2.0 * log * (there[:, None] * weights**2).sum(axis=0)))
    residual, bound = np.array(sums), np.array(bounds)
    zero = np.zeros_like(residual)
    comparison = compare(
        "sums of noise times target", residual, zero, bound, dtype="float64", axes=("number", "target")
    )
    return _decided(comparison)
