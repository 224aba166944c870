"""Random inputs have their law, and nothing about them depends on anything else.

Independence is judged by agreements. Two independent numbers fall into the same one of K parts of equal
probability with probability 1/K; agreements of pairs that form no cycle are independent of one another, so
that their number is binomial, exactly, whatever the parts are of. (A wrong law agrees too often as well.)
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from dynprop.arrays import BoolArray, FloatArray, IntArray, NumericArray
from dynprop.kinds.task.bounds import MISS, SINGLE, binomial, distances, interval, judged, sums
from dynprop.kinds.task.cases import TaskCase, task_case, usual_case
from dynprop.kinds.task.fillers import Filler, Normal, Uniform
from dynprop.kinds.task.frequencies import marks_of
from dynprop.kinds.task.sequences import CLAIM, published
from dynprop.kinds.task.subject import Sequences, TaskSubject
from dynprop.kinds.task.variants import VARIANTS, Variant
from dynprop.laws.evidence import Comparison, Evidence
from dynprop.laws.law import law
from dynprop.laws.statistics import gaussian_variance_interval

__all__: list[str] = []

NUMBERS = 2**19
LAGS = 16


def _continuous(subject: TaskSubject) -> str | None:
    if published(subject) is None and not _laws(VARIANTS[subject.variant]):
        return f"{subject.variant} has symbols only"
    return published(subject)


def _laws(variant: Variant) -> list[tuple[Filler, Uniform | Normal]]:
    return [(f, f.law) for f in variant.fillers if not isinstance(f.law, int)]


def _silent(subject: TaskSubject) -> str | None:
    if published(subject) is None and all(f.asked for f in VARIANTS[subject.variant].fillers):
        return f"{subject.variant} has no inputs beside those that matter"
    return published(subject)


@law(
    "task/input-distribution",
    claim=CLAIM,
    statement="noise and values have the distribution of the variant: all together, at each step, and where "
    "they are marked, first or later; Gaussian noise its variance",
    source="Massart 1990, Annals of Probability 18:1269; pascanur/trainingRNNs: a deviation for a variance",
    draw=partial(task_case, count=2048, numbers=NUMBERS),
    fixed=partial(usual_case, count=2048, numbers=NUMBERS),
    applies=_continuous,
    script="print(np.quantile(batch.inputs[{first}:, :, 0], [0.01, 0.1, 0.5, 0.9, 0.99]))",
    share=0.04,
)
def input_distribution(subject: TaskSubject, case: TaskCase) -> Evidence:
    """Compare distribution functions, and the mean square of Gaussian noise with its chi-square law."""
    variant, detail = VARIANTS[subject.variant], {"first": 0}
    parts = list(case.chunks(subject))
    comparisons: list[Comparison] = []
    for filler, known in _laws(variant):
        detail["first"] = int(filler.there(parts[0]).any(axis=1).argmax())
        numbers = np.concatenate([filler.read(found.inputs)[filler.there(found)] for found in parts])
        groups = [numbers, *_by_step(filler, parts), *_by_mark(filler, parts)]
        label = (
            f"distance of {filler.name} from their law (0: all, then by steps, then first and later marks)"
        )
        levels = [known.level(group) for group in groups]
        comparisons.append(distances(label, levels, axis="group", miss=MISS / 2))
        if isinstance(known, Normal) and numbers.size:
            low, high = gaussian_variance_interval(numbers.size, MISS / 2)
            low, high = low * (1.0 - SINGLE), high * (1.0 + SINGLE)
            square, label = float((numbers**2).mean()), f"variance of {filler.name}"
            comparisons.append(interval(label, square, known.deviation**2, low, high))
    return judged(comparisons, detail)


def _by_step(filler: Filler, parts: list[Sequences]) -> Iterator[FloatArray]:
    read = [(filler.read(found.inputs), filler.there(found)) for found in parts]
    for t in range(max(len(found.inputs) for found in parts)):
        yield np.concatenate([x[t, there[t]] for x, there in read if t < len(x)])


def _by_mark(filler: Filler, parts: list[Sequences]) -> Iterator[FloatArray]:
    """Yield the numbers that count and stand first in their sequences, and the others that count."""
    read = [(filler.read(f.inputs), filler.there(f) & ~filler.silent(f.inputs)) for f in parts]
    yield np.concatenate([x[counts & (counts.cumsum(axis=0) == 1)] for x, counts in read])
    yield np.concatenate([x[counts & (counts.cumsum(axis=0) > 1)] for x, counts in read])


@law(
    "task/no-leak",
    claim=CLAIM,
    statement="inputs that do not matter, how far they are from their median, and the lengths of sequences "
    "are independent of the target, step by step and all together",
    source="Hoeffding 1963, theorem 2",
    draw=partial(task_case, count=2048),
    fixed=partial(usual_case, count=2048, long=True),
    applies=_silent,
    script="print([np.corrcoef(x, batch.targets.reshape(len(batch.ends), -1)[:, 0])[0, 1] "
    "for x in batch.inputs[:, :, 0]])",
    share=0.08,
)
def no_leak(subject: TaskSubject, case: TaskCase) -> Evidence:
    """Correlate every such number, and its distance from the median, with every target."""
    found, variant = case.drawn(subject), VARIANTS[subject.variant]
    targets = np.asarray(found.targets, dtype=np.float64).reshape(case.count, -1)
    if variant.classes > 2:
        targets = (targets == np.arange(variant.classes)).astype(np.float64)
    weights = targets - targets.mean(axis=0)
    totals, squares = [], []
    for filler in variant.fillers:
        quiet = filler.quiet(found)
        for centred, spread in _centred(filler, found):
            centred = np.where(quiet, centred, 0.0)
            totals.append(centred @ weights)
            squares.append(spread**2 * (quiet @ weights**2))
            if filler.together:
                totals.append(totals[-1].sum(axis=0, keepdims=True))
                squares.append(squares[-1].sum(axis=0, keepdims=True))
    least, most = variant.steps(case.length)
    if most > least:
        half = (most - least) / 2.0
        totals.append((found.ends + 1 - least - half)[None] @ weights)
        squares.append(half**2 * (weights**2).sum(axis=0, keepdims=True))
    label = "sums of inputs times target"
    comparison = sums(label, np.concatenate(totals), np.concatenate(squares), axes=("number", "target"))
    return judged([comparison], {"length": case.length})


def _centred(filler: Filler, found: Sequences) -> Iterator[tuple[FloatArray, float]]:
    """Yield numbers of mean 0 at every step, with their sub-Gaussian parameter."""
    if isinstance(filler.law, int):
        parts = filler.parts(found)
        for k in range(filler.law):
            yield (parts == k) - 1.0 / filler.law, 0.5
        return
    read = filler.read(found.inputs)
    yield read - filler.law.centre, filler.law.spread
    # The distance of a uniform level from 1/2 is uniform from 0 to 1/2.
    yield np.abs(filler.law.level(read) - 0.5) - 0.25, Uniform(0.0, 0.5).spread


@law(
    "task/independent-sequences",
    claim=CLAIM,
    statement="what is random in a sequence is independent of the same thing in another sequence, in another "
    "batch and at another step: nothing is repeated",
    source="one noise for a whole batch; sequences in pairs; a batch drawn with replacement",
    draw=partial(task_case, count=2048),
    fixed=partial(usual_case, count=2048),
    applies=published,
    script="print(batch.inputs[:, :4, 0])",
    share=0.04,
)
def independent_sequences(subject: TaskSubject, case: TaskCase) -> Evidence:
    """Count agreements between sequences and between steps; look for sequences that come again."""
    variant, detail = VARIANTS[subject.variant], {"length": case.length}
    found, other = case.drawn(subject), case.drawn(subject, 1)
    repeated = _repeated(found, variant)
    if repeated is not None:
        return Evidence(failure=repeated, detail=detail)
    values = np.unique(np.concatenate([np.ravel(found.targets), np.ravel(other.targets)]))
    again = {name: parts for name, parts, _ in _parts(other, variant, case.length, values)}
    counts, trials, chances, labels = [], [], [], []
    for name, parts, likely in _parts(found, variant, case.length, values):
        pairs = [(f"{name} of neighbouring sequences", *_apart(parts, 1))]
        if case.count > 3:
            pairs.append((f"{name} of every other sequence", *_apart(parts, 2)))
            pairs.append((f"{name} of the two halves of a batch", *_apart(parts, case.count // 2)))
        shared = min(len(parts), len(again[name]))
        pairs.append((f"{name} of two batches", parts[:shared], again[name][:shared]))
        for label, one, two in pairs:
            agreed, compared = _agreements(one, two)
            counts += [*agreed, agreed.sum()]
            trials += [*compared, compared.sum()]
            chances += [likely] * (len(agreed) + 1)
            labels += [f"{label} at step {t}" for t in range(len(agreed))] + [label]
    for filler in variant.fillers:
        parts = filler.parts(found)
        for lag in range(1, min(LAGS + 1, len(parts))):
            agreed, compared = _agreements(parts[lag:], parts[:-lag])
            counts.append(agreed.sum())
            trials.append(compared.sum())
            chances.append(1.0 / filler.kinds)
            labels.append(f"{filler.name} {lag} steps apart")
    found_agreed = np.array(counts, dtype=np.float64)
    comparison = binomial(
        "agreements", found_agreed, np.array(trials), np.array(chances), axes=("pair",), miss=MISS / 2
    )
    evidence = judged([comparison], detail)
    if evidence.failure is None:
        return evidence
    worst = comparison.worst[0]
    failure = f"agreements of {labels[worst]}: {counts[worst]} of {trials[worst]}, expected a share of "
    return Evidence((comparison,), f"{failure}{chances[worst]:.4g}", detail)


def _parts(
    found: Sequences, variant: Variant, length: int, values: NumericArray
) -> Iterator[tuple[str, IntArray, float]]:
    """Yield everything random by name: parts (step or 1, count), -1 for none, and how likely two agree."""
    for filler in variant.fillers:
        yield filler.name, filler.parts(found), 1.0 / filler.kinds
    if variant.classes:
        classes = np.searchsorted(values, np.ravel(found.targets))
        yield "classes", classes[None], 1.0 / variant.classes
    if variant.marks:
        places = variant.places(length)
        each = variant.classes if len(variant.marks) > 1 else 1
        agree = sum(float(p) ** 2 for p in places.values()) / each
        yield "positions", marks_of(found, variant, length)[1][None], agree
    least, most = variant.steps(length)
    if most > least:
        yield "lengths", found.ends[None] - least + 1, 1.0 / (most - least + 1)


def _apart(parts: IntArray, shift: int) -> tuple[IntArray, IntArray]:
    """Return sequences and others that stand so far from them, none in two pairs."""
    at = np.arange(parts.shape[1] - shift)
    at = at[(at // shift) % 2 == 0]
    return parts[:, at], parts[:, at + shift]


def _agreements(one: IntArray, two: IntArray) -> tuple[IntArray, IntArray]:
    """Return how many pairs agree, and how many there are, at each step."""
    there: BoolArray = (one >= 0) & (two >= 0)
    return ((one == two) & there).sum(axis=1), there.sum(axis=1)


def _repeated(found: Sequences, variant: Variant) -> str | None:
    """Say which sequences hold the same random inputs, if chance explains none."""
    count = found.inputs.shape[1]
    for filler in variant.fillers:
        there = filler.there(found)
        again = 1.0 / filler.law if isinstance(filler.law, int) else SINGLE
        if 0.5 * count**2 * again ** int(there.sum(axis=0).min()) > MISS / (2.0 * len(variant.fillers)):
            continue
        seen: dict[bytes, int] = {}
        for i, row in enumerate(np.where(there, filler.read(found.inputs), -9.0).T.copy()):
            first = seen.setdefault(row.tobytes(), i)
            if first != i:
                return f"sequences {first} and {i} have the same {filler.name}"
    return None
