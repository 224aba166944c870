r"""Bounds of random errors: statements about random sequences, with their probability of a false alarm.

A case of a law fails a correct task with probability 1e-12 at most, so that one check in 1e9 has a false
alarm; a case with several statements gives each its share of that probability (Boole). The theorems:

* **Counts of known probability**: the binomial law itself, by its extreme quantiles.
* **Sums against the target**: Hoeffding (1963, theorem 2). If the x_i are independent of one another and of
  the weights a_i, have mean c and sub-Gaussian parameter s, E exp(λ(x-c)) ≤ exp(λ²s²/2), then
  P(|Σ a_i (x_i - c)| ≥ r) ≤ 2 exp(-r²/(2 s² Σ a_i²)). For a Gaussian s is its deviation; for an indicator 1/2
  (Hoeffding's lemma); for a uniform number its deviation too, h/√3 with h half the width: there E exp(λ(x-c))
  = sinh(λh)/(λh) = Σ (λh)^{2k}/(2k+1)! ≤ Σ (λh)^{2k}/(6^k k!) = exp(λ²h²/6), as (2k+1)(2k) ≥ 6k.
* **Distribution functions**: Dvoretzky, Kiefer and Wolfowitz with Massart's constant, `laws.statistics`.
* **Means of bounded numbers**: the empirical Bernstein bound (Maurer and Pontil 2009, theorem 4): for n
  independent numbers in [0, R] with sample variance V and L = ln(4/δ), the mean is off by more than
  √(2VL/n) + 7LR/(3(n-1)) with probability δ at most.
* **Coincidences**: Markov's inequality, P(any) ≤ E[number of them].
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray, NumericArray
from dynprop.laws.evidence import Comparison, Evidence, compare
from dynprop.laws.statistics import dkw_distance, empirical_distance

__all__ = [
    "FALSE_ALARM",
    "SINGLE_PRECISION",
    "all_hold",
    "bernstein",
    "binomial",
    "cdf_distances",
    "evidence_from",
    "interval",
    "weighted_sums",
]

FALSE_ALARM = 1e-12
# Tasks may draw numbers in single precision. Rounding then moves one by less than this share of the width of
# its distribution, and no value has a larger probability: the coarsest numbers are those of 1 + U[-0.2,
# 0.2], which are 2^-23 apart, 2^-21.7 of their width.
SINGLE_PRECISION = 2.0**-20


def all_hold(name: str, detail: Mapping[str, Any]) -> Evidence:
    """Return evidence that every statement holds."""
    one = np.ones(1)
    return Evidence((compare(name, one, one, 0.0 * one, dtype="float64", axes=("case",)),), detail=detail)


def evidence_from(comparisons: Iterable[Comparison], detail: Mapping[str, Any]) -> Evidence:
    """Return evidence with a failure if a bound is exceeded: a wrong frequency is wrong, never inaccurate."""
    judged = tuple(comparisons)
    worst = max(judged, key=lambda c: c.ratio)
    if worst.ratio <= 1.0:
        return Evidence(judged, detail=detail)
    at = worst.worst
    position = ", ".join(f"{axis} {i}" for axis, i in zip(worst.axes, at, strict=True))
    value, expected, bound = (float(x[at]) for x in (worst.value, worst.reference, worst.bound))
    message = f"{worst.label} at {position}: got {value:.6g}, expected {expected:.6g} within {bound:.3g}"
    return Evidence(judged, failure=message, detail=detail)


def _compared(
    label: str, value: FloatArray, reference: FloatArray, bound: FloatArray, axes: tuple[str, ...]
) -> Comparison:
    comparison = compare(label, value, reference, bound, dtype="float64", axes=axes)
    # A bound may exceed the expected count and still decide: a count beyond the bound is too large.
    return replace(comparison, decided=np.isfinite(bound))


def binomial(
    label: str,
    counts: FloatArray,
    trials: NumericArray | int,
    chances: FloatArray | float,
    *,
    axes: tuple[str, ...],
    false_alarm: float = FALSE_ALARM,
) -> Comparison:
    """Compare counts with extreme quantiles of the binomial distribution.

    Args:
        label: name of the counts in messages.
        counts: numbers of successes, any shape.
        trials: numbers of trials, broadcast.
        chances: probabilities of success, broadcast; 0 and 1 allow a single count.
        axes: names of the axes.
        false_alarm: probability that any of them fails a correct task.
    """
    from scipy.stats import binom

    n, p = np.broadcast_to(trials, counts.shape), np.broadcast_to(chances, counts.shape)
    # Quantiles are expensive and many counts share a distribution; the complex number n + ip encodes a pair.
    pairs, which = np.unique(np.ravel(n + 1j * p), return_inverse=True)
    tail = false_alarm / (2.0 * max(1, counts.size))
    random = (pairs.real > 0.0) & (pairs.imag > 0.0) & (pairs.imag < 1.0)
    low, high = pairs.real * pairs.imag, pairs.real * pairs.imag
    low[random] = binom.ppf(tail, pairs.real[random], pairs.imag[random])
    # From the number of failures: scipy takes an upper quantile at 1 - tail, which rounds to 1 below 1e-16.
    high[random] = pairs.real[random] - binom.ppf(tail, pairs.real[random], 1.0 - pairs.imag[random])
    which = which.reshape(counts.shape)
    mean = n * p
    # Where 0 is within the quantiles, a count below the mean decides nothing.
    below = np.where(low[which] > 0.0, mean - low[which], np.inf)
    bound = np.where(counts < mean, below, high[which] - mean)
    return _compared(label, counts, mean, bound, axes)


def weighted_sums(
    label: str,
    sums: FloatArray,
    squares: FloatArray,
    *,
    axes: tuple[str, ...],
    false_alarm: float = FALSE_ALARM,
) -> Comparison:
    """Compare weighted sums of mean 0 with Hoeffding's bound.

    Args:
        label: name of the sums in messages.
        sums: Σ a_i (x_i - c), any shape.
        squares: s² Σ a_i² of each.
        axes: names of the axes.
        false_alarm: probability that any of them fails a correct task.
    """
    bound = np.sqrt(2.0 * math.log(2.0 * max(1, sums.size) / false_alarm) * squares)
    return _compared(label, sums, np.zeros_like(sums), bound, axes)


def cdf_distances(
    label: str, groups: Iterable[FloatArray], *, axis: str, false_alarm: float = FALSE_ALARM
) -> Comparison:
    """Compare groups of numbers with their distribution function (Dvoretzky, Kiefer and Wolfowitz).

    Args:
        label: name of the numbers in messages.
        groups: the distribution function at the numbers of each group; an empty group decides nothing.
        axis: name of the groups.
        false_alarm: probability that any of them fails a correct task.
    """
    listed = list(groups)
    distances, bound = np.zeros(len(listed)), np.full(len(listed), np.inf)
    for i, levels in enumerate(listed):
        if levels.size:
            # NaN and infinity belong to no distribution.
            distances[i] = empirical_distance(levels, lambda x: x) if np.isfinite(levels).all() else np.inf
            bound[i] = dkw_distance(levels.size, false_alarm / len(listed)) + SINGLE_PRECISION
    return _compared(label, distances, np.zeros_like(distances), bound, (axis,))


def bernstein(
    label: str, values: FloatArray, mean: float, most: float, *, false_alarm: float = FALSE_ALARM
) -> Comparison:
    """Compare the mean of numbers in [0, most] with its expectation (Maurer and Pontil)."""
    size = values.size
    log = math.log(4.0 / false_alarm)
    bound = math.sqrt(2.0 * float(values.var(ddof=1)) * log / size) + 7.0 * log * most / (3.0 * (size - 1))
    one = np.ones(1)
    return _compared(label, float(values.mean()) * one, mean * one, bound * one, ("case",))


def interval(label: str, value: float, expected: float, low: float, high: float) -> Comparison:
    """Compare a number with an expected one, times factors from low < 1 to high > 1."""
    one = np.ones(1)
    bound = (1.0 - low if value < expected else high - 1.0) * expected
    return _compared(label, value * one, expected * one, bound * one, ("case",))
