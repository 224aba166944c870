"""Laws of products: exact moments by enumeration, and moments that no float can hold."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from dynprop.errors import ArgumentError, PrecisionError
from dynprop.products import product_law, shared_product_law

# Dyadic values and probabilities are exact as floats, so that a law on paper is the law given to scipy.
values = st.lists(st.integers(-12, 12).map(lambda k: k / 4), min_size=2, max_size=4, unique=True)


@st.composite
def discrete_laws(draw: st.DrawFn) -> tuple[list[float], list[float]]:
    """Two to four points with probabilities in sixteenths."""
    points = draw(values)
    cuts = draw(st.lists(st.integers(1, 15), min_size=len(points) - 1, max_size=len(points) - 1, unique=True))
    ends = [0, *sorted(cuts), 16]
    return points, [(b - a) / 16 for a, b in itertools.pairwise(ends)]


def enumerate_exactly(points: list[float], masses: list[float], depth: int) -> dict[Fraction, Fraction]:
    """Law of the product, by running through all sequences."""
    found: dict[Fraction, Fraction] = {}
    atoms = [(Fraction(v), Fraction(p)) for v, p in zip(points, masses, strict=True)]
    for chosen in itertools.product(atoms, repeat=depth):
        value = math.prod((v for v, _ in chosen), start=Fraction(1))
        found[value] = found.get(value, Fraction(0)) + math.prod((p for _, p in chosen), start=Fraction(1))
    return found


def central_moment(law: dict[Fraction, Fraction], order: int) -> Fraction:
    mean = sum((v * p for v, p in law.items()), Fraction(0))
    return sum(((v - mean) ** order * p for v, p in law.items()), Fraction(0))


def scipy_law(points: list[float], masses: list[float]) -> Any:
    return stats.rv_discrete(values=(points, masses))


@given(discrete_laws(), st.integers(0, 5))
def test_moments_are_those_of_all_sequences(law: tuple[list[float], list[float]], depth: int) -> None:
    """variance (v + m^2)^n - m^(2n), v^n for mean 0, against enumeration in rationals.

    scipy gives variance and mean of one weight to a few ulp; the factor 1e-13 covers depth 5.
    """
    exact = enumerate_exactly(*law, depth)
    variance, fourth = central_moment(exact, 2), central_moment(exact, 4)
    found = product_law(scipy_law(*law), depth)
    scale = float(sum(v * v * p for v, p in exact.items()))
    assert abs(Fraction(found.variance) - variance) <= 1e-13 * (1 + depth) * scale
    assume(variance > scale * 1e-6)
    assert found.kurtosis == pytest.approx(float(fourth / variance**2), rel=1e-7)


@given(discrete_laws(), st.integers(1, 6))
def test_shared_moments_are_those_of_the_powers(law: tuple[list[float], list[float]], depth: int) -> None:
    exact: dict[Fraction, Fraction] = {}
    for value, mass in zip(*law, strict=True):
        power = Fraction(value) ** depth
        exact[power] = exact.get(power, Fraction(0)) + Fraction(mass)
    found = shared_product_law(scipy_law(*law), depth)
    variance = central_moment(exact, 2)
    assert found.variance == pytest.approx(float(variance), rel=1e-14)
    if variance:
        assert found.kurtosis == pytest.approx(float(central_moment(exact, 4) / variance**2), rel=1e-14)


@pytest.mark.parametrize("family", [product_law, shared_product_law])
@given(law=discrete_laws(), depth=st.integers(0, 5), x=st.integers(-40, 40).map(lambda k: k / 8))
def test_the_distribution_function_is_that_of_all_sequences(
    family: Any, law: tuple[list[float], list[float]], depth: int, x: float
) -> None:
    """Jumps included: equality with an atom is decided in rationals."""
    if family is product_law:
        exact = enumerate_exactly(*law, depth)
    else:
        exact = {}
        for value, mass in zip(*law, strict=True):
            exact[Fraction(value) ** depth] = exact.get(Fraction(value) ** depth, Fraction(0)) + Fraction(
                mass
            )
    found = family(scipy_law(*law), depth)
    expected = sum((p for v, p in exact.items() if v <= x), Fraction(0))
    assert abs(found.cdf(x) - float(expected)) <= found.cdf_error(x)
    zero = float(exact.get(Fraction(0), Fraction(0)))
    assert found.zero_mass == pytest.approx(zero, abs=1e-15)
    assert found.log_mean == -math.inf if zero else math.isfinite(found.log_mean)


@pytest.mark.parametrize("depth", [1, 2, 3, 10, 41])
def test_one_shared_gaussian_weight_has_the_double_factorial_variance(depth: int) -> None:
    """(2n-1)!! - [n even] ((n-1)!!)^2 times v^n, at least twice the fresh one; 653836050 at n = 10."""
    odd, even = math.prod(range(1, 2 * depth, 2)), math.prod(range(1, depth, 2)) ** 2 * (depth % 2 == 0)
    law = shared_product_law(stats.norm(0, 2.0), depth)
    assert law.variance == pytest.approx(float((odd - even) * 4**depth), rel=1e-15)
    fresh = product_law(stats.norm(0, 2.0), depth)
    assert fresh.variance == 4.0**depth
    assert law.variance >= 2 * fresh.variance or depth == 1


@pytest.mark.parametrize(
    ("law", "kurtosis"), [(stats.norm(0, 1), 3.0), (stats.uniform(-1, 2), 1.8), (stats.laplace(0, 1), 6.0)]
)
def test_kurtosis_of_mean_zero_is_the_power_and_its_logarithm_never_overflows(
    law: Any, kurtosis: float
) -> None:
    assert product_law(law, 12).kurtosis == pytest.approx(kurtosis**12, rel=1e-12)
    deep = product_law(law, 100_000)
    assert deep.kurtosis == math.inf
    assert deep.log_of_kurtosis == pytest.approx(100_000 * math.log(kurtosis), rel=1e-12)


def test_variance_beyond_floats_keeps_its_logarithm() -> None:
    large, small = product_law(stats.norm(0, 10), 1000), product_law(stats.norm(0, 0.1), 1000)
    assert (large.variance, small.variance) == (math.inf, 0.0)
    assert large.log_of_variance == pytest.approx(2000 * math.log(10), rel=1e-14)
    assert small.log_of_variance == pytest.approx(-2000 * math.log(10), rel=1e-12)


def test_a_narrow_law_far_from_zero_loses_no_digits() -> None:
    """(v + m^2)^n - m^(2n) with v = 1e-18: as floats both powers are equal."""
    law = product_law(stats.norm(1, 1e-9), 1000)
    v = Fraction(float(stats.norm(1, 1e-9).var()))
    assert law.variance == pytest.approx(float((1 + v) ** 1000 - 1), rel=1e-15)
    assert (1.0 + float(v)) ** 1000 - 1.0 == 0.0
    # Nearly a sum of 1000 relative errors: almost Gaussian.
    assert law.kurtosis == pytest.approx(3.0, abs=1e-8)


@pytest.mark.parametrize(
    ("law", "mean", "variance"),
    [
        (stats.norm(0, 3), math.log(3) - (np.euler_gamma + math.log(2)) / 2, math.pi**2 / 8),
        (stats.uniform(-2, 4), math.log(2) - 1, 1.0),
        (stats.expon(), -np.euler_gamma, math.pi**2 / 6),
        (stats.lognorm(0.7), 0.0, 0.49),
        (stats.gamma(2.0), 1 - np.euler_gamma, math.pi**2 / 6 - 1),
        (stats.logistic(0, 1), None, None),
    ],
)
def test_log_moments_are_the_closed_forms(law: Any, mean: float | None, variance: float | None) -> None:
    """The first three come from formulas, the others from quadrature, which is held to 1e-9."""
    if mean is None or variance is None:
        # Logistic: E log|w| = log(pi/2) - gamma (Mellin transform 2 Gamma(s+1) eta(s) at 0).
        mean, variance = math.log(math.pi / 2) - np.euler_gamma, product_law(law, 1).log_variance
    found = product_law(law, 7)
    assert found.log_mean == pytest.approx(7 * mean, abs=1e-8)
    assert found.log_variance == pytest.approx(7 * variance, rel=1e-9)
    shared = shared_product_law(law, 7)
    assert shared.log_mean == found.log_mean
    assert shared.log_variance == pytest.approx(7 * found.log_variance, rel=1e-14)


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_shared_moments_by_quadrature_are_the_moments_of_the_weight(depth: int) -> None:
    """norm(1/2, 1) has no family here, so it goes through quadrature; its raw moments are polynomials."""
    raw = [1.0, 0.5]
    for k in range(2, 4 * depth + 1):
        raw.append(0.5 * raw[-1] + (k - 1) * raw[-2])
    mean = raw[depth]
    variance = raw[2 * depth] - mean**2
    fourth = raw[4 * depth] - 4 * raw[3 * depth] * mean + 6 * raw[2 * depth] * mean**2 - 3 * mean**4
    law = shared_product_law(stats.norm(0.5, 1), depth)
    assert law.variance == pytest.approx(variance, rel=1e-9)
    assert law.kurtosis == pytest.approx(fourth / variance**2, rel=1e-9)


def test_variance_one_and_typical_size_one_are_different_wishes() -> None:
    law = product_law(stats.norm(0, 1), 20)
    assert law.variance == 1.0
    assert law.typical_size == pytest.approx(math.exp(-0.635181422731 * 20), rel=1e-10)
    # The size that the variance speaks of is reached by 3 products in a thousand.
    assert 2 * law.cdf(-1.0) < 0.011


def test_the_product_of_no_weights_is_one() -> None:
    for family in (product_law, shared_product_law):
        law = family(stats.norm(0, 1), 0)
        assert (law.variance, law.log_mean, law.log_variance, law.typical_size) == (0.0, 0.0, 0.0, 1.0)
        assert math.isnan(law.kurtosis)
        assert (law.cdf(math.nextafter(1, 0)), law.cdf(1.0)) == (0.0, 1.0)


def test_a_constant_weight_has_a_constant_product() -> None:
    law = product_law(scipy_law([2.0], [1.0]), 10)
    assert (law.variance, law.log_variance, law.mean) == (0.0, 0.0, 1024.0)
    assert law.typical_size == pytest.approx(1024.0, rel=1e-14)
    assert (law.cdf(1023.0), law.cdf(1024.0)) == (0.0, 1.0)


def test_a_fair_sign_keeps_size_and_variance_at_every_depth() -> None:
    law = product_law(scipy_law([-1.0, 1.0], [0.5, 0.5]), 1001)
    assert (law.variance, law.kurtosis, law.log_mean, law.log_variance) == (1.0, 1.0, 0.0, 0.0)
    assert law.cdf(-1.0) == pytest.approx(0.5, abs=1e-12)


def test_mass_at_zero_is_an_answer_and_no_nan() -> None:
    law = product_law(stats.bernoulli(0.3), 4)
    assert (law.log_mean, law.log_variance, law.typical_size) == (-math.inf, math.inf, 0.0)
    assert law.zero_mass == pytest.approx(1 - 0.3**4, rel=1e-14)
    assert law.log_size_cdf(-1e300) == pytest.approx(law.zero_mass)


def test_an_infinite_fourth_moment_is_an_infinite_kurtosis() -> None:
    assert product_law(stats.t(3.5), 3).kurtosis == math.inf
    assert product_law(stats.t(3.5), 3).variance == pytest.approx((3.5 / 1.5) ** 3)


@pytest.mark.parametrize(
    "law",
    [
        stats.cauchy(),
        stats.t(2),
        stats.pareto(1.5),
        stats.norm(0, -1),
        stats.norm,
        stats.norm([0, 1], 1),
        3,
        None,
    ],
)
def test_laws_without_finite_variance_or_not_frozen_are_refused(law: Any) -> None:
    for family in (product_law, shared_product_law):
        with pytest.raises(ArgumentError, match="weight_law: got"):
            family(law, 3)


@pytest.mark.parametrize("depth", [-1, 1.0, True, None])
def test_a_depth_that_is_no_count_is_refused(depth: Any) -> None:
    with pytest.raises(ArgumentError, match="depth: got"):
        product_law(stats.norm(0, 1), depth)


def test_moments_that_do_not_exist_are_refused_and_not_truncated() -> None:
    with pytest.raises(PrecisionError, match="promised"):
        _ = shared_product_law(stats.t(5), 3).variance
    with pytest.raises(PrecisionError, match="promised"):
        _ = product_law(stats.gamma(0.01), 3).log_mean


@pytest.mark.parametrize("x", [math.nan, "1", None, [1.0, math.nan]])
def test_points_that_are_no_numbers_are_refused(x: Any) -> None:
    with pytest.raises(ArgumentError, match="x: got"):
        product_law(stats.norm(0, 1), 3).cdf(x)
