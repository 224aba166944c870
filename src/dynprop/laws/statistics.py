r"""Statements about random samples with a stated rate of false alarms, in triples.

For each test there is `assert_...`, which samples of the stated distribution fail with at most the stated
probability; `min_discrepancy_...`, the smallest deviation that so many samples find; and
`min_num_samples_...`, how many samples find a deviation, both with a stated probability of missing it (as in
TensorFlow Probability's statistical_testing). Every bound is a theorem and holds at every sample size.

* **Distribution function**: Dvoretzky-Kiefer-Wolfowitz with Massart's constant (Massart 1990, Ann. Probab.
  18:1269), :math:`P(\sup|F_M - F| > d) \le 2e^{-2Md^2}`, whatever F is.
* **Variance of a Gaussian distribution of mean 0**: :math:`\sum w^2/v` is :math:`\chi^2_M`, exactly.
* **Variance of any distribution with a known fourth moment**: the median of K means of b squares. One mean is
  off by t or more with probability at most :math:`p = (\kappa-1)v^2/(bt^2)` (Chebyshev), and the median only
  if half of them are: a binomial tail, solved for p exactly. A heavy tail costs samples, not validity; an
  infinite :math:`\kappa` decides nothing.
* **Fair signs**: a binomial tail, exactly.

Why not the sample variance against a tolerance: Student's t with 5 degrees has a variance, and its sample
variance exceeds any Gaussian interval hundreds of times more often than that interval states. And why not
for products: the variance of a product of 20 Gaussian weights needs :math:`3^{20}` samples to be seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from dynprop.arrays import FloatArray, describe
from dynprop.errors import ArgumentError

__all__ = [
    "FALSE_ALARMS",
    "STATEMENT",
    "assert_cdf_equal",
    "assert_fair_signs",
    "assert_gaussian_variance_equal",
    "assert_variance_equal",
    "dkw_distance",
    "empirical_distance",
    "gaussian_variance_interval",
    "log_chi_square_tail",
    "median_of_means",
    "median_of_means_reach",
    "min_discrepancy_of_cdfs",
    "min_discrepancy_of_gaussian_variances",
    "min_discrepancy_of_signs",
    "min_discrepancy_of_variances",
    "min_num_samples_for_cdfs",
    "min_num_samples_for_gaussian_variances",
    "min_num_samples_for_signs",
    "min_num_samples_for_variances",
    "signs_reach",
]

# The probability of any false alarm in one run of the suite, or one check of a target, with fresh seeds; and
# its share for each of at most 5,000 statements.
FALSE_ALARMS = 1e-6
STATEMENT = FALSE_ALARMS / 5000

_MISS = 1e-6


def _require_rate(name: str, rate: float) -> float:
    if not 0.0 < rate < 0.5:
        raise ArgumentError(name, repr(rate), "a probability above 0 and below 0.5")
    return float(rate)


def _require_samples(samples: ArrayLike) -> FloatArray:
    values = np.asarray(samples, dtype=np.float64).ravel()
    if values.size == 0 or not np.isfinite(values).all():
        raise ArgumentError("samples", describe(samples), "at least one number, all finite")
    return values


def _least_count(reach: Callable[[int], float], discrepancy: float) -> int:
    """Return the smallest number of samples, to 1 %, at which the reach is at most the discrepancy."""
    if not discrepancy > 0.0:
        raise ArgumentError("discrepancy", repr(discrepancy), "a positive number")
    low, high = 0, 1
    while reach(high) > discrepancy:
        low, high = high, 2 * high
        if high > 2**62:
            raise ArgumentError("discrepancy", repr(discrepancy), "one that fewer than 2^62 samples find")
    while high - low > max(1, high // 100):
        middle = (low + high) // 2
        low, high = (low, middle) if reach(middle) <= discrepancy else (middle, high)
    return high


# The distribution function.


def dkw_distance(samples: int, false_alarm: float = STATEMENT) -> float:
    """Return the largest distance that samples of the right distribution have, except at that rate."""
    return math.sqrt(math.log(2.0 / _require_rate("false_alarm", false_alarm)) / (2.0 * samples))


def empirical_distance(samples: ArrayLike, cdf: Callable[[FloatArray], FloatArray]) -> float:
    """Return the largest distance between an empirical distribution function and a continuous one."""
    ordered = np.sort(_require_samples(samples))
    expected = np.asarray(cdf(ordered), dtype=np.float64)
    steps = np.arange(ordered.size + 1) / ordered.size
    return float(max((steps[1:] - expected).max(), (expected - steps[:-1]).max()))


def assert_cdf_equal(
    samples: ArrayLike, cdf: Callable[[FloatArray], FloatArray], false_alarm: float = STATEMENT
) -> None:
    """Assert that independent samples come from a continuous distribution function.

    Args:
        samples: numbers, any shape.
        cdf: takes and returns arrays.
        false_alarm: largest probability with which samples of that distribution fail.

    Raises:
        AssertionError: they are further from it than chance explains at that rate.

    Source: Massart (1990), Annals of Probability 18:1269.
    """
    values = _require_samples(samples)
    distance, allowed = empirical_distance(values, cdf), dkw_distance(values.size, false_alarm)
    if distance > allowed:
        raise AssertionError(
            f"samples: distance {distance:.4g} between {values.size} of them and the distribution function, "
            f"expected at most {allowed:.4g}, which a right one exceeds with probability {false_alarm:g}"
        )


def min_discrepancy_of_cdfs(samples: int, false_alarm: float = STATEMENT, miss: float = _MISS) -> float:
    """Return the distance of another distribution that `assert_cdf_equal` misses at the rate ``miss``."""
    return dkw_distance(samples, false_alarm) + dkw_distance(samples, _require_rate("miss", miss))


def min_num_samples_for_cdfs(discrepancy: float, false_alarm: float = STATEMENT, miss: float = _MISS) -> int:
    """Return how many samples `assert_cdf_equal` needs to find a distribution at this distance."""
    return _least_count(lambda n: min_discrepancy_of_cdfs(n, false_alarm, miss), discrepancy)


# The variance of a Gaussian distribution.


def gaussian_variance_interval(samples: int, false_alarm: float = STATEMENT) -> tuple[float, float]:
    """Return between which factors of the variance the mean square of Gaussian samples lies."""
    from scipy.special import chdtri, gammaincinv

    half = 0.5 * _require_rate("false_alarm", false_alarm)
    low = 2.0 * float(gammaincinv(0.5 * samples, half)) / samples
    return low, float(chdtri(samples, half)) / samples


def assert_gaussian_variance_equal(
    samples: ArrayLike, variance: float, false_alarm: float = STATEMENT
) -> None:
    """Assert the variance of independent Gaussian samples of mean 0, by the exact chi^2 distribution.

    Args:
        samples: numbers, any shape.
        variance: what is claimed, > 0.
        false_alarm: largest probability with which such samples fail.

    Raises:
        AssertionError: the mean square is further off than chance explains at that rate.
    """
    values = _require_samples(samples)
    low, high = gaussian_variance_interval(values.size, false_alarm)
    _require_within(float((values**2).mean()), variance, low * variance, high * variance, false_alarm)


def _require_within(estimate: float, variance: float, low: float, high: float, false_alarm: float) -> None:
    if not variance > 0.0:
        raise ArgumentError("variance", repr(variance), "a positive number")
    if not low <= estimate <= high:
        raise AssertionError(
            f"variance: got {estimate:.6g}, expected {variance:.6g}, that is between {low:.6g} and "
            f"{high:.6g}, which a right law leaves with probability {false_alarm:g}"
        )


def min_discrepancy_of_gaussian_variances(
    samples: int, false_alarm: float = STATEMENT, miss: float = _MISS
) -> float:
    """Return d such that a factor 1 + d or 1/(1 + d) of the variance is missed with that probability."""
    from scipy.special import chdtri, gammaincinv

    rate = _require_rate("miss", miss)
    low, high = gaussian_variance_interval(samples, false_alarm)
    above = high * samples / (2.0 * float(gammaincinv(0.5 * samples, rate)))
    below = float(chdtri(samples, rate)) / samples / low
    return max(above, below) - 1.0


def min_num_samples_for_gaussian_variances(
    discrepancy: float, false_alarm: float = STATEMENT, miss: float = _MISS
) -> int:
    """Return how many samples `assert_gaussian_variance_equal` needs to find a factor 1 + discrepancy."""
    return _least_count(lambda n: min_discrepancy_of_gaussian_variances(n, false_alarm, miss), discrepancy)


# The variance of a distribution with a known fourth moment.


@lru_cache(maxsize=4096)
def _groups(samples: int, false_alarm: float) -> tuple[int, float]:
    """Return the number of means, odd, and the largest p at which their median keeps the rate."""
    from scipy.special import betaincinv

    best, least_cost = (1, 0.0), math.inf
    for count in range(1, min(samples, 401) + 1, 2):
        half = (count + 1) // 2
        # P(Bin(count, p) >= half) = I_p(half, count - half + 1).
        p = float(betaincinv(half, count - half + 1, false_alarm))
        cost = count / p if p > 0.0 else math.inf
        if cost < least_cost:
            best, least_cost = (count, p), cost
    return best


def median_of_means(values: FloatArray, false_alarm: float = STATEMENT) -> float:
    """Return the median of the means of equal groups of numbers, in their order; a remainder is left out."""
    count, _ = _groups(values.size, _require_rate("false_alarm", false_alarm))
    size = values.size // count
    return float(np.median(values[: size * count].reshape(count, size).mean(axis=1)))


def median_of_means_reach(samples: int, kurtosis: float, false_alarm: float = STATEMENT) -> float:
    """Return how far, relative to the variance, the median of means of squares lies off; inf if unknown."""
    if math.isnan(kurtosis) or kurtosis < 1.0:
        raise ArgumentError("kurtosis", repr(kurtosis), "at least 1: E w^4 / (E w^2)^2")
    count, p = _groups(samples, _require_rate("false_alarm", false_alarm))
    return math.sqrt((kurtosis - 1.0) / (samples // count * p)) if p > 0.0 else math.inf


def assert_variance_equal(
    samples: ArrayLike, variance: float, kurtosis: float, false_alarm: float = STATEMENT
) -> None:
    """Assert the variance of independent samples of mean 0 with a finite fourth moment.

    Args:
        samples: numbers, any shape, in an order that does not depend on them.
        variance: what is claimed, > 0.
        kurtosis: E w^4 / (E w^2)^2 of the distribution: 3 for a Gaussian, 9/5 for a uniform one, 9 for
            Student's t with 5 degrees.
        false_alarm: largest probability with which such samples fail.

    Raises:
        AssertionError: the median of means is further off than that rate allows.
        ArgumentError: kurtosis below 1, or infinite: then no number of samples decides.

    Source: Devroye, Lerasle, Lugosi and Oliveira (2016), Annals of Statistics 44:2695, with the binomial tail
        for its bound.
    """
    values = _require_samples(samples)
    reach = median_of_means_reach(values.size, kurtosis, false_alarm)
    if math.isinf(kurtosis):
        raise ArgumentError("kurtosis", "inf", "a finite fourth moment; without one nothing is decided")
    estimate = median_of_means(values**2, false_alarm)
    low, high = (1.0 - reach) * variance, (1.0 + reach) * variance
    _require_within(estimate, variance, low, high, false_alarm)


def min_discrepancy_of_variances(
    samples: int, kurtosis: float, false_alarm: float = STATEMENT, miss: float = _MISS
) -> float:
    """Return d such that a factor 1 + d or 1/(1 + d) of the variance is missed with that probability.

    Both distributions have the same kurtosis; inf where so few samples find no difference.
    """
    from scipy.special import betaincinv

    rate = _require_rate("miss", miss)
    allowed = median_of_means_reach(samples, kurtosis, false_alarm)
    # The groups are the same; the median misses the difference with another binomial tail.
    count, _ = _groups(samples, false_alarm)
    half = (count + 1) // 2
    p = float(betaincinv(half, count - half + 1, rate))
    missed = math.sqrt((kurtosis - 1.0) / (samples // count * p)) if p > 0.0 else math.inf
    if missed >= 1.0 or allowed >= 1.0:
        return math.inf
    return max((1.0 + allowed) / (1.0 - missed), (1.0 + missed) / (1.0 - allowed)) - 1.0


def min_num_samples_for_variances(
    discrepancy: float, kurtosis: float, false_alarm: float = STATEMENT, miss: float = _MISS
) -> int:
    """Return how many samples `assert_variance_equal` needs to find a factor 1 + discrepancy."""
    if math.isinf(kurtosis):
        raise ArgumentError("kurtosis", "inf", "a finite fourth moment; without one nothing is decided")
    return _least_count(lambda n: min_discrepancy_of_variances(n, kurtosis, false_alarm, miss), discrepancy)


# Signs.


def signs_reach(samples: int, false_alarm: float = STATEMENT) -> int:
    """Return the largest distance of a count of fair signs from half their number that chance explains.

    The count k of positive signs is allowed if abs(2 k - samples) is at most this; samples itself, if so few
    signs cannot fail at that rate.
    """
    from scipy.special import bdtr

    half = 0.5 * _require_rate("false_alarm", false_alarm)
    low, high = -1, samples // 2
    # The largest k with P(K <= k) <= half is refused, and all below it.
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if float(bdtr(middle, samples, 0.5)) <= half else (low, middle)
    return samples - 2 * (low + 1)


def assert_fair_signs(positive: int, samples: int, false_alarm: float = STATEMENT) -> None:
    """Assert that so many of independent signs are positive by chance.

    Raises:
        AssertionError: their number is further from half than a fair sign explains at that rate.
    """
    allowed = signs_reach(samples, false_alarm)
    if abs(2 * positive - samples) > allowed:
        raise AssertionError(
            f"signs: {positive} of {samples} positive, expected {samples / 2:g} to within {allowed / 2:g}, "
            f"which fair ones leave with probability {false_alarm:g}"
        )


def min_discrepancy_of_signs(samples: int, false_alarm: float = STATEMENT, miss: float = _MISS) -> float:
    """Return d such that signs positive with probability 1/2 + d or 1/2 - d are missed with that rate."""
    from scipy.special import betaincinv

    rate, allowed = _require_rate("miss", miss), signs_reach(samples, false_alarm)
    most = (samples + allowed) // 2
    if most >= samples:
        return math.inf
    # P(K <= most) = I_(1-p)(samples - most, most + 1).
    return 0.5 - float(betaincinv(samples - most, most + 1, rate))


def min_num_samples_for_signs(discrepancy: float, false_alarm: float = STATEMENT, miss: float = _MISS) -> int:
    """Return how many signs `assert_fair_signs` needs to find a bias of this size."""
    if not discrepancy <= 0.5:
        raise ArgumentError("discrepancy", repr(discrepancy), "at most 0.5: no sign is more biased")
    return _least_count(lambda n: min_discrepancy_of_signs(n, false_alarm, miss), discrepancy)


# Sums of logarithms.


def log_chi_square_tail(degrees: float, terms: int, total: float) -> float:
    """Bound the probability that a sum of independent log chi^2 is as far out, on its side, as ``total``.

    Chernoff's bound: the moment generating function of log chi^2 is a ratio of Gammas.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import gammaln

    unit = total / terms

    def exponent(s: float) -> float:
        return s * math.log(2.0) + float(gammaln(degrees / 2.0 + s) - gammaln(degrees / 2.0)) - s * unit

    low = minimize_scalar(exponent, bounds=(-degrees / 2.0 + 1e-9, 0.0), method="bounded").fun
    high = minimize_scalar(exponent, bounds=(0.0, 50.0 + 10.0 * degrees), method="bounded").fun
    return math.exp(min(0.0, terms * min(low, high)))
