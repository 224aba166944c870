"""Laws of promised distributions, each with a stated rate of false alarms (``laws.statistics``)."""

from __future__ import annotations

import math
from collections.abc import Iterator

from dynprop.arrays import BoolArray, FloatArray
from dynprop.contracts.domain import Domain
from dynprop.kinds.initializer.cases import InitializerCase, any_shape, every_shape
from dynprop.kinds.initializer.judging import compare_number, evidence, sample
from dynprop.kinds.initializer.promise import Law
from dynprop.kinds.initializer.subject import InitializerSubject
from dynprop.laws.evidence import Comparison, Evidence
from dynprop.laws.law import law
from dynprop.laws.statistics import (
    STATEMENT,
    dkw_distance,
    empirical_distance,
    gaussian_variance_interval,
    median_of_means,
    median_of_means_reach,
    signs_reach,
)

GLOROT = "Glorot and Bengio 2010; He et al. 2015; Goodfellow, Bengio and Courville 2016, section 10.7"
# Number of entries in the test of single signs, and calls for each: 35 detect a constant sign.
PLACES, DRAWS = 6, 128
FEW_WEIGHTS = 4096


def law_of(subject: InitializerSubject) -> Law:
    """Return the declared law of a subject that has one."""
    assert subject.law_of_weights is not None
    return subject.law_of_weights


def _variance_and_kurtosis(subject: InitializerSubject) -> str | None:
    if "variance" not in subject.promises:
        return "no variance is promised (--promise variance=EXPR)"
    declared = subject.law_of_weights
    if declared is None:
        return (
            "no law is declared (--law): without its fourth moment a sample decides nothing about a variance"
        )
    if not declared.independent:
        return f"weights of law {declared.name} are no independent sample"
    return None


def interval(declared: Law, samples: int, unit: float, false_alarm: float = STATEMENT) -> tuple[float, float]:
    """Return the interval of an estimate in units of the promise, widened by the rounding of the weights."""
    if declared.name == "normal":
        low, high = gaussian_variance_interval(samples, false_alarm)
    else:
        reach = median_of_means_reach(samples, declared.kurtosis, false_alarm)
        low, high = 1.0 - reach, 1.0 + reach
    return low * (1.0 - 4.0 * unit), high * (1.0 + 4.0 * unit)


@law(
    "initializer/variance",
    claim="C4",
    statement="weights have mean 0 and the promised variance, fan_in and fan_out told apart: by the exact "
    "chi-square law for Gaussian weights, by a median of means and the law's own fourth moment otherwise",
    source=GLOROT,
    draw=any_shape,
    fixed=every_shape,
    applies=_variance_and_kurtosis,
    script="import numpy as np\nw = np.stack([np.asarray(f(shape, rng)) for _ in range({calls})])\n"
    "print((w ** 2).mean(), 'promised', {promised})",
    share=0.1,
)
def variance(subject: InitializerSubject, case: InitializerCase) -> Evidence:
    """Compare the mean square of all weights with the promise."""
    declared, weights, promised, unit = _pooled_sample(subject, case)
    low, high = interval(declared, weights.size, unit)
    if low <= 0.0 or not math.isfinite(high):
        return Evidence(detail={"undecidable": f"kurtosis {declared.kurtosis} of law {declared.name}"})
    squares = weights.ravel() ** 2
    estimate = float(squares.mean()) if declared.name == "normal" else median_of_means(squares)
    label = f"variance of {weights.size} weights, fan_in {case.fan_in}, fan_out {case.fan_out}"
    if not low * promised <= estimate <= high * promised:
        label += _matching_mistakes(subject, case, estimate, (low, high))
    detail = {"calls": case.calls, "promised": promised}
    judged = evidence([compare_number(label, estimate, promised, low * promised, high * promised)])
    return Evidence(judged.comparisons, judged.failure, detail)


def _pooled_sample(
    subject: InitializerSubject, case: InitializerCase
) -> tuple[Law, FloatArray, float, float]:
    weights, unit = sample(subject, case)
    return law_of(subject), weights, subject.promises["variance"].at(case.fan_in, case.fan_out), unit


def _matching_mistakes(
    subject: InitializerSubject, case: InitializerCase, estimate: float, interval: tuple[float, float]
) -> str:
    """Return a text that names the mistakes with this variance, empty without one."""
    promise = subject.promises["variance"]
    right = promise.at(case.fan_in, case.fan_out)
    mistakes = {
        "the variance was taken for the standard deviation": right**2,
        "the standard deviation was taken for the variance": math.sqrt(right),
        "fan_in and fan_out exchanged": promise.at(case.fan_out, case.fan_in),
        "a normal law cut at two deviations and not rescaled": 0.7737413 * right,
        "a uniform law on +- the standard deviation": right / 3.0,
        "half of it": right / 2.0,
        "twice of it": right * 2.0,
    }
    fits = [name for name, value in mistakes.items() if interval[0] <= estimate / value <= interval[1]]
    return f" (as if: {', or '.join(fits)})" if fits else ""


@law(
    "initializer/distribution",
    claim="C4",
    statement="weights have the declared distribution function at the promised variance, within the "
    "Dvoretzky-Kiefer-Wolfowitz distance",
    source="Massart 1990, Annals of Probability 18:1269",
    draw=any_shape,
    fixed=every_shape,
    applies=_variance_and_kurtosis,
    script="import numpy as np\nw = np.stack([np.asarray(f(shape, rng)) for _ in range({calls})])\n"
    "print(np.quantile(w, [0.01, 0.1, 0.5, 0.9, 0.99]) / {promised} ** 0.5)",
    share=0.1,
)
def distribution(subject: InitializerSubject, case: InitializerCase) -> Evidence:
    """Compare the empirical distribution function of all weights with the declared one."""
    declared, weights, promised, unit = _pooled_sample(subject, case)
    assert declared.cdf is not None
    distance = empirical_distance(weights / math.sqrt(promised), declared.cdf)
    # Rounding moves a weight by a unit of itself, and x f(x) is at most 1/2 for every law here.
    allowed = dkw_distance(weights.size) + unit
    label = f"distance of {weights.size} weights from the {declared.name} law"
    judged = evidence([compare_number(label, distance, 0.0, 0.0, allowed)])
    return Evidence(judged.comparisons, judged.failure, {"calls": case.calls, "promised": promised})


def _independent(subject: InitializerSubject) -> str | None:
    declared = subject.law_of_weights
    if declared is None:
        return "no law is declared (--law), and entries need not be independent"
    return None if declared.independent else f"entries of law {declared.name} depend on one another"


def _pairs(weights: FloatArray) -> Iterator[tuple[str, FloatArray, FloatArray]]:
    """Yield neighbours that have no entry in common, by name."""
    calls, rows, columns = (size // 2 * 2 for size in weights.shape)
    if calls:
        yield "one call and the next", weights[0:calls:2], weights[1:calls:2]
    if rows:
        yield "neighbours in a column", weights[:, 0:rows:2], weights[:, 1:rows:2]
    if columns:
        yield "neighbours in a row", weights[:, :, 0:columns:2], weights[:, :, 1:columns:2]


@law(
    "initializer/independent",
    claim="C4",
    statement="entries are independent, within a matrix, between calls and between generators: equal signs "
    "of neighbours are as frequent as those of fair coins, exactly binomial",
    source="Goodfellow, Bengio and Courville 2016, section 10.7: fresh weights, or a shared one",
    draw=any_shape,
    fixed=every_shape,
    applies=_independent,
    script="import numpy as np\n"
    "signs = np.sign(np.stack([np.asarray(f(shape, rng)) for _ in range({calls} // 2 * 2)]))\n"
    "for axis in (0, 1, 2):  # the next call, the column, the row\n"
    "    even, odd = (signs.take(range(k, signs.shape[axis], 2), axis) for k in (0, 1))\n"
    "    print(axis, (even == odd).mean())",
    share=0.1,
)
def independent(subject: InitializerSubject, case: InitializerCase) -> Evidence:
    """Count equal signs of pairs that have no entry in common."""
    weights, _ = sample(subject, case)
    other, _ = sample(subject, InitializerCase(case.fan_in, case.fan_out, case.seed + 1, case.calls))
    pairs = [*_pairs(weights), ("two generators", weights, other)]
    comparisons = [
        compare_sign_frequency(f"equal signs of {name}", (a > 0.0) == (b > 0.0)) for name, a, b in pairs
    ]
    judged = evidence(comparisons)
    return Evidence(judged.comparisons, judged.failure, {"calls": case.calls})


def compare_sign_frequency(label: str, positive: BoolArray, share: float = 1.0) -> Comparison:
    """Compare the frequency of fair coins with one half, at a share of the rate of a statement."""
    count, total = int(positive.sum()), int(positive.size)
    reach = signs_reach(total, STATEMENT * share) / (2.0 * total)
    return compare_number(f"{label}, {total} of them", count / total, 0.5, 0.5 - reach, 0.5 + reach)


def _few_weights(domain: Domain, subject: InitializerSubject) -> Iterator[InitializerCase]:
    """Yield the designed shapes that are drawn often at little cost.

    An orthogonal matrix may be cut from a square one of the longer side.
    """
    declared = subject.law_of_weights
    independent = declared is not None and declared.independent
    for case in every_shape(domain, subject):
        longer = max(case.fan_in, case.fan_out)
        if (case.fan_in * case.fan_out if independent else longer**2) <= FEW_WEIGHTS:
            yield case


def symmetric(subject: InitializerSubject) -> str | None:
    """Return why signs need not be fair, or None."""
    declared = subject.law_of_weights
    if declared is None:
        return "no law is declared (--law), and weights need not be symmetric around 0"
    return None if declared.random else "nothing is random by declaration"


@law(
    "initializer/fair-signs",
    claim="C5",
    statement="the sign of every entry is fair, for orthogonal matrices, whose factorisation has signs of "
    "its own, as for independent weights",
    source="Mezzadri 2007, Notices AMS 54:592, section 5",
    draw=any_shape,
    fixed=_few_weights,
    applies=symmetric,
    script="import numpy as np\nw = np.stack([np.asarray(f(shape, rng)) for _ in range(200)])\n"
    "print((w > 0).mean(axis=0))",
    share=0.1,
)
def fair_signs(subject: InitializerSubject, case: InitializerCase) -> Evidence:
    """Count positive signs of single entries over many calls, and of all entries if they are independent."""
    short = min(case.fan_in, case.fan_out)
    repeated = InitializerCase(case.fan_in, case.fan_out, case.seed, DRAWS)
    weights, _ = sample(subject, repeated)
    corners = [(0, case.fan_out - 1), (case.fan_in - 1, 0)]
    positions = [(i, i) for i in range(min(short, PLACES - 2))] + corners
    comparisons = [
        compare_sign_frequency(f"positive signs at {p}", weights[:, p[0], p[1]] > 0.0, 1.0 / len(positions))
        for p in positions
    ]
    if law_of(subject).independent:
        comparisons.append(compare_sign_frequency("positive signs", weights > 0.0))
    return evidence(comparisons)
