"""Laws of random inputs: their distribution, and their independence.

Independence is judged by counting agreements. Two independent numbers fall into the same one of K equally
likely categories with probability 1/K. Agreements of pairs that form no cycle are independent of one another,
so that their number is exactly binomial, whatever the categories are. (A wrong distribution agrees too often,
too.)
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from dynprop.arrays import BoolArray, FloatArray, IntArray, NumericArray
from dynprop.kinds.task.bounds import (
    FALSE_ALARM,
    SINGLE_PRECISION,
    binomial,
    cdf_distances,
    evidence_from,
    interval,
    weighted_sums,
)
from dynprop.kinds.task.cases import TaskCase, task_case, usual_case
from dynprop.kinds.task.frequencies import marked_positions
from dynprop.kinds.task.random_inputs import Normal, RandomInput, Uniform
from dynprop.kinds.task.sequences import CLAIM, published
from dynprop.kinds.task.subject import Sequences, TaskSubject
from dynprop.kinds.task.variants import VARIANTS, Variant
from dynprop.laws.evidence import Comparison, Evidence
from dynprop.laws.law import law
from dynprop.laws.statistics import gaussian_variance_interval

__all__: list[str] = []

NUMBERS = 2**19
LAGS = 16


def _has_continuous_inputs(subject: TaskSubject) -> str | None:
    if published(subject) is None and not _continuous_inputs(VARIANTS[subject.variant]):
        return f"{subject.variant} has symbols only"
    return published(subject)


def _continuous_inputs(variant: Variant) -> list[tuple[RandomInput, Uniform | Normal]]:
    return [(f, f.distribution) for f in variant.random_inputs if not isinstance(f.distribution, int)]


def _has_irrelevant_inputs(subject: TaskSubject) -> str | None:
    if published(subject) is None and all(f.always_relevant for f in VARIANTS[subject.variant].random_inputs):
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
    applies=_has_continuous_inputs,
    script="print(np.quantile(batch.inputs[{first}:, :, 0], [0.01, 0.1, 0.5, 0.9, 0.99]))",
    share=0.04,
)
def input_distribution(subject: TaskSubject, case: TaskCase) -> Evidence:
    """Compare distribution functions, and the mean square of Gaussian noise with its chi-square interval."""
    variant, detail = VARIANTS[subject.variant], {"first": 0}
    parts = list(case.chunks(subject))
    comparisons: list[Comparison] = []
    for item, distribution in _continuous_inputs(variant):
        detail["first"] = int(item.present(parts[0]).any(axis=1).argmax())
        numbers = np.concatenate([item.read(batch.inputs)[item.present(batch)] for batch in parts])
        groups = [numbers, *_by_step(item, parts), *_by_mark(item, parts)]
        label = f"distance of {item.name} from their law (0: all, then by steps, then first and later marks)"
        levels = [distribution.cdf(group) for group in groups]
        comparisons.append(cdf_distances(label, levels, axis="group", false_alarm=FALSE_ALARM / 2))
        if isinstance(distribution, Normal) and numbers.size:
            low, high = gaussian_variance_interval(numbers.size, FALSE_ALARM / 2)
            low, high = low * (1.0 - SINGLE_PRECISION), high * (1.0 + SINGLE_PRECISION)
            square, label = float((numbers**2).mean()), f"variance of {item.name}"
            comparisons.append(interval(label, square, distribution.deviation**2, low, high))
    return evidence_from(comparisons, detail)


def _by_step(item: RandomInput, parts: list[Sequences]) -> Iterator[FloatArray]:
    values = [(item.read(batch.inputs), item.present(batch)) for batch in parts]
    for t in range(max(len(batch.inputs) for batch in parts)):
        yield np.concatenate([x[t, present[t]] for x, present in values if t < len(x)])


def _by_mark(item: RandomInput, parts: list[Sequences]) -> Iterator[FloatArray]:
    """Yield the first relevant number of each sequence, and the later ones."""
    values = [
        (item.read(batch.inputs), item.present(batch) & ~item.irrelevant_at(batch.inputs)) for batch in parts
    ]
    yield np.concatenate([x[counts & (counts.cumsum(axis=0) == 1)] for x, counts in values])
    yield np.concatenate([x[counts & (counts.cumsum(axis=0) > 1)] for x, counts in values])


@law(
    "task/no-leak",
    claim=CLAIM,
    statement="inputs that do not matter, how far they are from their median, and the lengths of sequences "
    "are independent of the target, step by step and all together",
    source="Hoeffding 1963, theorem 2",
    draw=partial(task_case, count=2048),
    fixed=partial(usual_case, count=2048, long=True),
    applies=_has_irrelevant_inputs,
    script="print([np.corrcoef(x, batch.targets.reshape(len(batch.ends), -1)[:, 0])[0, 1] "
    "for x in batch.inputs[:, :, 0]])",
    share=0.08,
)
def no_leak(subject: TaskSubject, case: TaskCase) -> Evidence:
    """Correlate irrelevant numbers, and their distance from the median, with every target."""
    batch, variant = case.drawn(subject), VARIANTS[subject.variant]
    targets = np.asarray(batch.targets, dtype=np.float64).reshape(case.count, -1)
    if variant.classes > 2:
        targets = (targets == np.arange(variant.classes)).astype(np.float64)
    weights = targets - targets.mean(axis=0)
    totals, squares = [], []
    for item in variant.random_inputs:
        irrelevant = item.irrelevant(batch)
        for centred, spread in _centred(item, batch):
            centred = np.where(irrelevant, centred, 0.0)
            totals.append(centred @ weights)
            squares.append(spread**2 * (irrelevant @ weights**2))
            if item.jointly_irrelevant:
                totals.append(totals[-1].sum(axis=0, keepdims=True))
                squares.append(squares[-1].sum(axis=0, keepdims=True))
    least, most = variant.steps(case.length)
    if most > least:
        half = (most - least) / 2.0
        totals.append((batch.ends + 1 - least - half)[None] @ weights)
        squares.append(half**2 * (weights**2).sum(axis=0, keepdims=True))
    label = "sums of inputs times target"
    comparison = weighted_sums(
        label, np.concatenate(totals), np.concatenate(squares), axes=("number", "target")
    )
    return evidence_from([comparison], {"length": case.length})


def _centred(item: RandomInput, batch: Sequences) -> Iterator[tuple[FloatArray, float]]:
    """Yield numbers with mean 0 at every step, and their sub-Gaussian parameter."""
    if isinstance(item.distribution, int):
        parts = item.category(batch)
        for k in range(item.distribution):
            yield (parts == k) - 1.0 / item.distribution, 0.5
        return
    values = item.read(batch.inputs)
    yield values - item.distribution.mean, item.distribution.sub_gaussian
    # The distance of a uniform level from 1/2 is uniform from 0 to 1/2.
    yield np.abs(item.distribution.cdf(values) - 0.5) - 0.25, Uniform(0.0, 0.5).sub_gaussian


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
    """Count agreements between sequences and between steps, and look for repeated sequences."""
    variant, detail = VARIANTS[subject.variant], {"length": case.length}
    batch, other = case.drawn(subject), case.drawn(subject, 1)
    repeated = _repeated(batch, variant)
    if repeated is not None:
        return Evidence(failure=repeated, detail=detail)
    values = np.unique(np.concatenate([np.ravel(batch.targets), np.ravel(other.targets)]))
    second_parts = {name: parts for name, parts, _ in _parts(other, variant, case.length, values)}
    counts, trials, chances, labels = [], [], [], []
    for name, parts, likely in _parts(batch, variant, case.length, values):
        pairs = [(f"{name} of neighbouring sequences", *_pairs_at_distance(parts, 1))]
        if case.count > 3:
            pairs.append((f"{name} of every other sequence", *_pairs_at_distance(parts, 2)))
            pairs.append(
                (f"{name} of the two halves of a batch", *_pairs_at_distance(parts, case.count // 2))
            )
        shared = min(len(parts), len(second_parts[name]))
        pairs.append((f"{name} of two batches", parts[:shared], second_parts[name][:shared]))
        for label, first, second in pairs:
            agreed, compared = _agreements(first, second)
            counts += [*agreed, agreed.sum()]
            trials += [*compared, compared.sum()]
            chances += [likely] * (len(agreed) + 1)
            labels += [f"{label} at step {t}" for t in range(len(agreed))] + [label]
    for item in variant.random_inputs:
        parts = item.category(batch)
        for lag in range(1, min(LAGS + 1, len(parts))):
            agreed, compared = _agreements(parts[lag:], parts[:-lag])
            counts.append(agreed.sum())
            trials.append(compared.sum())
            chances.append(1.0 / item.categories)
            labels.append(f"{item.name} {lag} steps apart")
    agreements = np.array(counts, dtype=np.float64)
    comparison = binomial(
        "agreements",
        agreements,
        np.array(trials),
        np.array(chances),
        axes=("pair",),
        false_alarm=FALSE_ALARM / 2,
    )
    evidence = evidence_from([comparison], detail)
    if evidence.failure is None:
        return evidence
    worst = comparison.worst[0]
    failure = f"agreements of {labels[worst]}: {counts[worst]} of {trials[worst]}, expected a share of "
    return Evidence((comparison,), f"{failure}{chances[worst]:.4g}", detail)


def _parts(
    batch: Sequences, variant: Variant, length: int, values: NumericArray
) -> Iterator[tuple[str, IntArray, float]]:
    """Yield every random quantity: name, categories (step or 1, count) or -1, probability of an agreement."""
    for item in variant.random_inputs:
        yield item.name, item.category(batch), 1.0 / item.categories
    if variant.classes:
        classes = np.searchsorted(values, np.ravel(batch.targets))
        yield "classes", classes[None], 1.0 / variant.classes
    if variant.marks:
        positions = variant.positions(length)
        each = variant.classes if len(variant.marks) > 1 else 1
        agree = sum(float(p) ** 2 for p in positions.values()) / each
        yield "positions", marked_positions(batch, variant, length)[1][None], agree
    least, most = variant.steps(length)
    if most > least:
        yield "lengths", batch.ends[None] - least + 1, 1.0 / (most - least + 1)


def _pairs_at_distance(parts: IntArray, shift: int) -> tuple[IntArray, IntArray]:
    """Return pairs of sequences ``shift`` apart, each sequence in at most one pair."""
    at = np.arange(parts.shape[1] - shift)
    at = at[(at // shift) % 2 == 0]
    return parts[:, at], parts[:, at + shift]


def _agreements(first: IntArray, second: IntArray) -> tuple[IntArray, IntArray]:
    """Return the numbers of agreeing pairs and of all pairs, at each step."""
    present: BoolArray = (first >= 0) & (second >= 0)
    return ((first == second) & present).sum(axis=1), present.sum(axis=1)


def _repeated(batch: Sequences, variant: Variant) -> str | None:
    """Describe two sequences with equal random inputs; None without any, or where chance explains them."""
    count = batch.inputs.shape[1]
    for item in variant.random_inputs:
        present = item.present(batch)
        coincidence = 1.0 / item.distribution if isinstance(item.distribution, int) else SINGLE_PRECISION
        if 0.5 * count**2 * coincidence ** int(present.sum(axis=0).min()) > FALSE_ALARM / (
            2.0 * len(variant.random_inputs)
        ):
            continue
        first_index: dict[bytes, int] = {}
        for i, row in enumerate(np.where(present, item.read(batch.inputs), -9.0).T.copy()):
            first = first_index.setdefault(row.tobytes(), i)
            if first != i:
                return f"sequences {first} and {i} have the same {item.name}"
    return None
