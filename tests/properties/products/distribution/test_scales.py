"""Products at any scale, of one-sided and shifted weights, and of scipy's other kinds of distributions."""

from __future__ import annotations

import math
import pickle
import time
from copy import deepcopy
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from scipy import stats

from dynprop.errors import ArgumentError, PrecisionError
from dynprop.laws.statistics import STATEMENT, dkw_distance
from dynprop.products import (
    lyapunov_exponents,
    product_law,
    running_log_products,
    shared_product_law,
    zero_drift_variance,
)

LN2 = math.log(2.0)


@pytest.mark.parametrize("exponent", [-664, 664])
@pytest.mark.parametrize(
    "family",
    [
        lambda c: stats.norm(0, c),
        lambda c: stats.norm(0.5 * c, c),
        lambda c: stats.uniform(-c, 2 * c),
        lambda c: stats.logistic(0, c),
        lambda c: stats.gamma(2, 0, c),
        lambda c: stats.rv_discrete(values=([-c, 2 * c], [0.5, 0.5])),
    ],
)
def test_a_scale_moves_logarithms_and_nothing_else(family: Any, exponent: int) -> None:
    """Weights of scale 2^e: log moments move by n e log 2, the kurtosis stays; 2^-664 is 1e-200."""
    unit, scaled = (product_law(family(2.0**e), 3) for e in (0, exponent))
    moved = exponent * LN2
    assert scaled.log_of_variance == pytest.approx(unit.log_of_variance + 6 * moved, rel=1e-13)
    assert scaled.log_mean == pytest.approx(unit.log_mean + 3 * moved, rel=1e-10)
    assert scaled.log_variance == pytest.approx(unit.log_variance, rel=1e-9)
    assert scaled.kurtosis == pytest.approx(unit.kurtosis, rel=1e-12)
    shared, known = (shared_product_law(family(2.0**e), 3) for e in (exponent, 0))
    assert shared.log_of_variance == pytest.approx(known.log_of_variance + 6 * moved, rel=1e-9)
    assert zero_drift_variance(family(2.0**exponent)) == pytest.approx(
        zero_drift_variance(family(1.0)), rel=1e-9
    )


def test_tiny_gaussian_weights_have_the_closed_forms() -> None:
    for scale in (1e-200, 1e-160):
        law = product_law(stats.norm(0, scale), 3)
        assert law.log_of_variance == pytest.approx(6 * math.log(scale), rel=1e-15)
        assert law.kurtosis == 27.0
        assert law.log_mean == pytest.approx(3 * (math.log(scale) - (np.euler_gamma + LN2) / 2), rel=1e-14)
    assert product_law(stats.logistic(0, 2.0**-664), 2).log_size_cdf(-1328 * LN2) == pytest.approx(
        product_law(stats.logistic(), 2).log_size_cdf(0.0), abs=1e-4
    )


@pytest.mark.parametrize(
    ("law", "density", "low", "high"),
    [
        (stats.expon(-1), lambda m, x: m.exp(-(x + 1)), -1, None),
        (stats.halfnorm(-1), lambda m, x: m.sqrt(2 / m.pi) * m.exp(-((x + 1) ** 2) / 2), -1, None),
        (stats.lomax(5, loc=-0.5), lambda m, x: 5 * (x + 1.5) ** -6, -0.5, None),
        (stats.pareto(5), lambda m, x: 5 * x**-6, 1, None),
        (
            stats.weibull_min(1.5, -0.25),
            lambda m, x: 1.5 * (x + 0.25) ** 0.5 * m.exp(-((x + 0.25) ** 1.5)),
            -0.25,
            None,
        ),
        (stats.gamma(1, loc=-0.5), lambda m, x: m.exp(-(x + 0.5)), -0.5, None),
        (stats.truncnorm(-1, 2), lambda m, x: m.npdf(x) / (m.ncdf(2) - m.ncdf(-1)), -1, 2),
        (stats.genpareto(0.1, -0.5), lambda m, x: (1 + (x + 0.5) / 10) ** -11, -0.5, None),
        (stats.foldnorm(1.0), lambda m, x: m.npdf(x - 1) + m.npdf(x + 1), 0, None),
    ],
)
def test_one_sided_and_shifted_weights_are_answered(
    law: Any, density: Any, low: int, high: int | None
) -> None:
    """Log moments against mpmath with break points at 0 and at the ends."""
    mpmath: Any = import_module("mpmath")
    end = mpmath.inf if high is None else high
    # Pieces around 0, on each of which log abs(w) is smooth but at an end.
    inner = [mpmath.mpf(0)] if low < 0 else []
    points = [*sorted({mpmath.mpf(low), *inner, mpmath.mpf(low) + 3}), end]
    if high is not None:
        points = [mpmath.mpf(low), mpmath.mpf(0), mpmath.mpf(high)]
    first, second = (
        mpmath.quad(lambda x, k=k: density(mpmath, x) * mpmath.log(abs(x)) ** k, points) for k in (1, 2)
    )
    found = product_law(law, 2)
    assert found.log_mean == pytest.approx(2 * float(first), rel=1e-8)
    assert found.log_variance == pytest.approx(2 * float(second - first**2), rel=1e-8)


@pytest.mark.parametrize("law", [stats.expon(-1), stats.skewnorm(3), stats.t(5)])
def test_cdf_of_slow_and_one_sided_weights_match_simulation(law: Any) -> None:
    count = 20_000
    found = product_law(law, 2)
    sample = np.sort(law.rvs(size=(2, count), random_state=np.random.default_rng(5)).prod(axis=0))
    points = np.quantile(sample, np.linspace(0.0, 1.0, 21))
    below = np.searchsorted(sample, points, side="right") / count
    start = time.process_time()
    values = found.cdf(points)
    assert time.process_time() - start < 5.0
    assert np.all(np.abs(below - values) <= dkw_distance(count, STATEMENT) + found.cdf_error(points))


@pytest.mark.parametrize("law", [stats.skellam(1.0, 2.0, loc=3), stats.dlaplace(0.8, loc=0.5)])
def test_discrete_weights_keep_their_location(law: Any) -> None:
    found = product_law(law, 1)
    assert found.mean == pytest.approx(float(law.mean()), rel=1e-12)
    assert found.variance == pytest.approx(float(law.var()), rel=1e-9)
    assert found.zero_mass == pytest.approx(float(law.pmf(0.0)), abs=1e-15)


def test_other_kinds_of_distributions_agree_with_frozen_ones() -> None:
    pairs: list[tuple[Any, Any]] = [
        (stats.Normal(mu=0, sigma=2), stats.norm(0, 2)),
        (stats.Uniform(a=-1, b=2), stats.uniform(-1, 3)),
        (stats.make_distribution(stats.gamma)(a=2.0), stats.gamma(2.0)),
        (stats.Binomial(n=5, p=0.3), stats.binom(5, 0.3)),
        (stats.rv_histogram((np.array([1, 1]), np.array([-1.0, 0.0, 1.0]))), stats.uniform(-1, 2)),
    ]
    for given, known in pairs:
        found, expected = product_law(given, 3), product_law(known, 3)
        assert found.variance == pytest.approx(expected.variance, rel=1e-9)
        assert found.kurtosis == pytest.approx(expected.kurtosis, rel=1e-6)
        assert found.log_mean == pytest.approx(expected.log_mean, rel=1e-8)
    mixture = stats.Mixture(
        [stats.Normal(mu=-1, sigma=1), stats.Normal(mu=2, sigma=0.5)], weights=[0.25, 0.75]
    )
    # Mean 1.25, second moment 0.25 * 2 + 0.75 * 4.25.
    assert product_law(mixture, 2).variance == pytest.approx(3.6875**2 - 1.25**4, rel=1e-12)


@pytest.mark.parametrize(
    "law",
    [stats.norm, stats.Normal, stats.Normal(mu=[0, 1], sigma=1), stats.multivariate_normal([0, 0]), "norm"],
)
def test_what_is_no_single_distribution_is_refused(law: Any) -> None:
    with pytest.raises(ArgumentError, match="weight_law: got"):
        product_law(law, 2)


def test_a_cdf_that_is_too_slow_is_refused_with_its_time() -> None:
    class Slow(stats.rv_continuous):
        def _pdf(self, x: Any, *args: Any) -> Any:
            return 0.5 * np.exp(-np.abs(x))

        def _cdf(self, x: Any, *args: Any) -> Any:
            time.sleep(2e-3 * np.size(x))
            return np.where(x < 0, 0.5 * np.exp(-np.abs(x)), 1 - 0.5 * np.exp(-np.abs(x)))

        def _ppf(self, q: Any, *args: Any) -> Any:
            with np.errstate(divide="ignore"):
                return np.where(q < 0.5, np.log(2 * q), -np.log(2 * (1 - q)))

        def _stats(self, *args: Any, **kwds: Any) -> tuple[float, float, float, float]:
            return 0.0, 2.0, 0.0, 3.0

    start = time.monotonic()
    with pytest.raises(PrecisionError, match=r"too slow: a table of it would take about \d+ s"):
        product_law(Slow(name="slow")(), 2).cdf(1.0)
    assert time.monotonic() - start < 5.0


def test_results_are_equal_copied_and_pickled() -> None:
    for law in (stats.norm(0, 1), stats.poisson(2.0), stats.Normal(mu=0, sigma=3), stats.gamma(2.0)):
        for family in (product_law, shared_product_law):
            found = family(law, 3)
            assert found == family(law, 3)
            assert found != family(law, 4)
            assert pickle.loads(pickle.dumps(found)) == found == deepcopy(found)
            assert "depth=3" in repr(found)
    exponents = lyapunov_exponents([np.eye(2)] * 10)
    assert exponents == pickle.loads(pickle.dumps(exponents)) == deepcopy(exponents)
    with pytest.raises(TypeError, match="unhashable"):
        hash(exponents)


def test_masked_arrays_are_refused() -> None:
    masked: Any = np.ma.masked_array(np.eye(2), mask=np.eye(2) > 0.0)
    for call in (
        lambda: running_log_products(masked),
        lambda: lyapunov_exponents([masked]),
        lambda: product_law(stats.norm(), 2).cdf(masked),
    ):
        with pytest.raises(ArgumentError, match="a masked array"):
            call()
