"""Distribution functions of products against the Meijer G function, Bessel enclosures, and each other."""

from __future__ import annotations

import math
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from flint import acb, arb, ctx
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.special import ndtr

from dynprop.laws.statistics import STATEMENT, dkw_distance, min_num_samples_for_cdfs
from dynprop.products import product_law, shared_product_law
from dynprop.products.distribution.cdf import from_grid
from dynprop.products.distribution.grid import convolve
from dynprop.products.weights.moments import weight_moments

SPREADS = (-3.0, -1.0, 0.0, 0.7, 1.5, 2.5)


@pytest.mark.parametrize("depth", [2, 3, 5, 10])
@pytest.mark.parametrize("x", [1e-6, 0.01, 0.3, 1.0, 4.0, 50.0])
def test_gaussian_products_follow_the_meijer_g_function(depth: int, x: float) -> None:
    """P(|X| < a) = pi^(-n/2) G^{n,1}_{1,n+1}(a^2/2^n | 1; 1/2..1/2, 0), Springer and Thompson (1970).

    mpmath sums it by residues at 40 digits: another route than the contour integral under test.
    """
    mpmath: Any = import_module("mpmath")

    with mpmath.workdps(40):
        argument = mpmath.mpf(x) ** 2 / mpmath.mpf(2) ** depth
        series = mpmath.meijerg([[1], []], [[mpmath.mpf(1) / 2] * depth, [0]], argument)
        within = series / mpmath.pi ** (mpmath.mpf(depth) / 2)
        upper, lower = float((1 + within) / 2), float((1 - within) / 2)
    law = product_law(stats.norm(0, 1), depth)
    assert abs(law.cdf(x) - upper) <= law.cdf_error(x) <= 2e-13
    # Tails to relative accuracy: an absolute one would say nothing about 1e-30.
    assert law.cdf(-x) == pytest.approx(lower, rel=2e-13)


@pytest.mark.parametrize("x", [0.05, 1.0, 9.0, 40.0])
def test_the_product_of_two_gaussians_lies_in_the_enclosure_of_its_bessel_integral(x: float) -> None:
    """The density of the product is K0(|x|)/pi."""
    with ctx.workprec(128):
        # Int_x^inf K0 = int_0^inf exp(-x cosh u) / cosh u du, times e^x to be of order 1; cut where cosh u
        # = 400 / x + 400.
        end = math.acosh(400.0 / x + 400.0)
        whole = acb.integral(lambda u, _: (-arb(x) * (u.cosh() - 1)).exp() / u.cosh(), acb(0), acb(end)).real
        tail, left_out = whole * (-arb(x)).exp() / arb.pi(), arb("1e-100")
        value = arb(product_law(stats.norm(0, 1), 2).cdf(-x))
        assert bool(abs(value - tail) <= tail * arb("1e-12") + left_out)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0])
@pytest.mark.parametrize("depth", [2, 4])
def test_products_of_exponential_weights_match_the_bessel_form(depth: int, scale: float) -> None:
    """Two: P(XY > a) = 2 sqrt(a) K1(2 sqrt(a)), in units of the scale; four by quadrature over two."""
    from scipy.integrate import quad
    from scipy.special import k1

    def two(a: float) -> float:
        return 2 * math.sqrt(a) * k1(2 * math.sqrt(a)) if a else 1.0

    law = product_law(stats.expon(0, scale), depth)
    for a in (1e-4, 0.3, 5.0):
        if depth == 2:
            expected = two(a)
        else:
            # P(X1 X2 X3 X4 > a) = E two(a / (X3 X4)), whose density is 2 K0(2 sqrt(y)).
            from scipy.special import k0

            expected = quad(
                lambda y, a=a: 2 * k0(2 * y) * 2 * y * two(a / (y * y)), 0, 30, epsabs=1e-13, limit=400
            )[0]
        assert 1.0 - law.cdf(a * scale**depth) == pytest.approx(expected, abs=2e-11)


@pytest.mark.parametrize(
    "law", [stats.norm(0, 1.3), stats.uniform(-1, 2), stats.laplace(0, 0.5), stats.expon()]
)
@pytest.mark.parametrize("depth", [2, 7, 60])
def test_inversion_lies_in_the_enclosure_by_convolution(law: Any, depth: int) -> None:
    """Two routes: the transform on a line, and FFT of the rounded logarithms with a proved bound."""
    exact = product_law(law, depth)
    grid = from_grid(convolve(weight_moments(law), depth))
    for z in SPREADS:
        x = math.exp(exact.log_mean + z * math.sqrt(exact.log_variance))
        assert abs(grid.cdf(x) - exact.cdf(x)) <= grid.error(x)
        assert abs(grid.cdf(-x) - exact.cdf(-x)) <= grid.error(-x)
        assert abs(grid.cdf(x) - exact.cdf(x)) <= 1e-6
        # The bound is no empty one: a twentieth of a standard deviation off is seen.
        off = math.exp(0.05 * math.sqrt(exact.log_variance))
        if abs(z) < 2 and 0.02 < exact.cdf(x) < 0.98:
            assert abs(grid.cdf(x * off) - exact.cdf(x)) > grid.error(x)


@pytest.mark.parametrize("atoms", [(1.1, 0.7), (1.5, -0.4)])
def test_the_enclosure_holds_where_all_roundings_point_one_way(atoms: tuple[float, float]) -> None:
    """Two values: every factor is rounded alike, and the errors of 40 logarithms add up past many cells."""
    law = stats.rv_discrete(values=(atoms, (0.25, 0.75)))
    exact, grid = product_law(law, 40), from_grid(convolve(weight_moments(law), 40))
    jumps = np.array([atoms[0] ** k * atoms[1] ** (40 - k) for k in range(41)])
    for x in np.concatenate([jumps * (1 + d) for d in (-0.3, -3e-4, -1e-9, 1e-9, 3e-4, 0.3)]):
        assert abs(grid.cdf(float(x)) - exact.cdf(float(x))) <= grid.error(float(x))


def test_lognormal_weights_have_lognormal_products() -> None:
    law = product_law(stats.lognorm(0.5), 16)
    for z in SPREADS:
        assert abs(law.log_size_cdf(2.0 * z) - ndtr(z)) <= 1e-6
        assert abs(law.cdf(math.exp(2.0 * z)) - ndtr(z)) <= law.cdf_error(math.exp(2.0 * z)) <= 2e-3


@pytest.mark.parametrize(
    "law", [stats.norm(0.5, 1), stats.logistic(-0.2, 1), stats.gamma(2.0), stats.poisson(1.5)]
)
@pytest.mark.parametrize("depth", [2, 9])
def test_laws_by_convolution_match_simulation(law: Any, depth: int) -> None:
    """Sup distance within DKW plus the stated error; a discrepancy of 0.0205 is missed at 1e-6."""
    count = 100_000
    assert min_num_samples_for_cdfs(0.0205) <= count
    found = product_law(law, depth)
    sample = np.sort(law.rvs(size=(depth, count), random_state=np.random.default_rng(5)).prod(axis=0))
    points = np.quantile(sample, np.linspace(0.0, 1.0, 41))
    below = np.searchsorted(sample, points, side="right") / count
    assert np.all(
        np.abs(below - found.cdf(points)) <= dkw_distance(count, STATEMENT) + found.cdf_error(points)
    )


@pytest.mark.parametrize("depth", [1, 10, 300])
def test_simulated_gaussian_logarithms_follow_the_law(depth: int) -> None:
    """The whole law of log|product|, mean and spread with it; false alarm STATEMENT, exact at this size."""
    count = 20_000
    law = product_law(stats.norm(0, 1), depth)
    rng = np.random.default_rng(depth)
    logs = np.zeros(count)
    for _ in range(depth):
        logs += np.log(np.abs(rng.standard_normal(count)))
    points = np.quantile(logs, np.linspace(0.0, 1.0, 201))
    below = np.searchsorted(np.sort(logs), points, side="right") / count
    assert np.max(np.abs(below - law.log_size_cdf(points))) <= dkw_distance(count)
    # A tenth of a standard deviation off is seen.
    shifted = law.log_size_cdf(points + 0.1 * math.sqrt(law.log_variance))
    assert np.max(np.abs(below - shifted)) > dkw_distance(count)


@given(st.integers(2, 200), st.floats(-200.0, 200.0))
def test_distribution_functions_are_monotone_and_symmetric(depth: int, y: float) -> None:
    law = product_law(stats.norm(0, 1), depth)
    x = math.exp(y)
    assert 0.0 <= law.cdf(-x) <= law.cdf(-x / 2) <= 0.5 <= law.cdf(x / 2) <= law.cdf(x) + 1e-13 <= 1.0 + 1e-13
    assert law.cdf(x) + law.cdf(-x) == pytest.approx(1.0, abs=1e-12)
    assert law.log_size_cdf(y) == pytest.approx(law.cdf(x) - law.cdf(-x), abs=1e-12)


def test_deep_laws_approach_the_normal_law_at_the_rate_of_berry_and_esseen() -> None:
    """Distance at most 0.4748 E|L|^3 / (sigma^3 sqrt n), Shevtsova (2011); for centred log|w| 2.17."""
    for depth in (100, 10_000, 1_000_000):
        law = product_law(stats.norm(0, 1), depth)
        z = np.linspace(-3.0, 3.0, 13)
        found = law.log_size_cdf(law.log_mean + z * math.sqrt(law.log_variance))
        assert np.max(np.abs(found - ndtr(z))) <= 0.4748 * 2.17 / math.sqrt(depth)


@pytest.mark.parametrize("depth", [1, 2, 3, 8])
def test_a_shared_weight_is_read_off_its_own_law(depth: int) -> None:
    law = shared_product_law(stats.norm(0.2, 1), depth)
    base = stats.norm(0.2, 1)
    for x in (0.001, 0.5, 2.0):
        root = x ** (1 / depth)
        expected = base.cdf(root) - (base.cdf(-root) if depth % 2 == 0 else 0.0)
        assert law.cdf(x) == pytest.approx(expected, abs=1e-13)
        assert law.cdf(-x) == pytest.approx(base.cdf(-root) if depth % 2 else 0.0, abs=1e-13)
        assert law.log_size_cdf(math.log(x)) == pytest.approx(base.cdf(root) - base.cdf(-root), abs=1e-13)


def test_arrays_keep_their_shape_and_infinities_have_limits() -> None:
    for law in (
        product_law(stats.norm(0, 1), 3),
        product_law(stats.gamma(2.0), 3),
        product_law(stats.norm(0, 1), 1),
    ):
        assert law.cdf(np.zeros((2, 0, 3))).shape == (2, 0, 3)
        np.testing.assert_allclose(law.cdf(np.array([-np.inf, np.inf])), [0.0, 1.0], atol=1e-12)
        np.testing.assert_allclose(law.log_size_cdf([-np.inf, np.inf]), [0.0, 1.0], atol=1e-12)
