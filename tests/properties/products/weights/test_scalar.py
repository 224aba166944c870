"""One weight per step: scales to full precision, and running products in the log domain."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from flint import arb, ctx
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats

from dynprop.errors import ArgumentError
from dynprop.linear import scan
from dynprop.products import running_log_products, step_variance, zero_drift_variance

U = 2.0**-53
targets = st.floats(1e-300, 1e300)
depths = st.integers(1, 10**6)


def spacing(value: float) -> Fraction:
    return Fraction(math.ulp(value))


@given(targets, depths)
@example(1e-300, 1)
@example(1e300, 10**6)
@example(1.0, 7)
@example(math.nextafter(1.0, 2.0), 3)
def test_step_variance_is_the_float_nearest_to_the_root(target: float, depth: int) -> None:
    value = step_variance(target, depth)
    with ctx.workprec(256):
        root = (arb(target).log() / depth).exp()
        # Half an ulp, with a little slack for a tie that no enclosure decides.
        assert bool(abs(arb(value) - root) < arb(math.ulp(value)) * arb("0.5000001"))


@given(st.floats(1e-100, 1e100), st.integers(1, 10**4))
def test_the_power_of_the_step_variance_is_the_target(target: float, depth: int) -> None:
    """A half ulp of v is depth half ulps of v^depth; measured worst 0.97 of (n + |ln v*|) u."""
    product = step_variance(target, depth) ** depth
    assert abs(product / target - 1.0) <= 4.0 * (depth + abs(math.log(target))) * U


def test_the_naive_root_is_not_to_full_precision() -> None:
    """The test above can fail: target ** (1 / depth) loses |ln target| / depth ulp."""
    with ctx.workprec(256):
        root = (arb(1e300).log() / 3).exp()
        assert not bool(abs(arb(1e300 ** (1 / 3)) - root) < arb(math.ulp(1e100)) * arb("0.5000001"))


def test_target_zero_needs_variance_zero() -> None:
    assert step_variance(0.0, 5) == 0.0


@pytest.mark.parametrize("target", [-1.0, math.nan, math.inf, "1", None, True])
def test_a_target_that_is_no_variance_is_refused(target: Any) -> None:
    with pytest.raises(ArgumentError, match="target: got"):
        step_variance(target, 3)


@pytest.mark.parametrize("depth", [0, -1, 2.0, True, None])
def test_a_depth_without_an_answer_is_refused(depth: Any) -> None:
    with pytest.raises(ArgumentError, match="depth: got"):
        step_variance(1.0, depth)


@pytest.mark.parametrize("scale", [1e-150, 0.3, 1.0, 7.0, 1e150])
def test_zero_drift_variances_are_the_closed_forms_at_every_scale(scale: float) -> None:
    fair_sign = stats.rv_discrete(values=([-1, 1], [0.5, 0.5]))
    assert zero_drift_variance(stats.norm(0, scale)) == pytest.approx(2 * math.exp(np.euler_gamma), rel=1e-12)
    assert zero_drift_variance(stats.uniform(-scale, 2 * scale)) == pytest.approx(math.e**2 / 3, rel=1e-12)
    assert zero_drift_variance(fair_sign) == 1.0


@pytest.mark.parametrize(
    "law", [stats.norm(0, 2), stats.logistic(0, 1), stats.t(5), stats.triang(0.5, -1, 2), stats.laplace(0, 1)]
)
def test_no_law_of_mean_zero_has_both_variance_one_and_size_one(law: Any) -> None:
    """Jensen: E log|w| <= log(E w^2) / 2, with equality only for constant |w|."""
    assert zero_drift_variance(law) > 1.001


def test_a_weight_that_can_be_zero_has_no_scale_without_drift() -> None:
    assert zero_drift_variance(stats.bernoulli(0.5)) == math.inf


@pytest.mark.parametrize("law", [stats.cauchy(), stats.t(2), stats.rv_discrete(values=([3], [1.0])), 1.0])
def test_laws_without_a_scale_are_refused(law: Any) -> None:
    with pytest.raises(ArgumentError, match="weight_law"):
        zero_drift_variance(law)


@given(st.lists(st.sampled_from([-2.0, -0.5, 0.0, 1.0, 3.0, 1e-300, -1e300]), max_size=60))
def test_running_log_products_are_the_exact_products(weights: list[float]) -> None:
    signs, logs = running_log_products(np.array(weights, dtype=np.float64))
    product, total = Fraction(1), 0.0
    for t, weight in enumerate(weights):
        product *= Fraction(weight)
        assert signs[t] == (product > 0) - (product < 0)
        if product == 0:
            assert logs[t] == -math.inf
            continue
        total += abs(math.log(abs(weight)))
        with ctx.workprec(128):
            exact = (arb(abs(product.numerator)) / arb(product.denominator)).log()
            assert bool(abs(arb(float(logs[t])) - exact) <= 2 * (t + 2) * U * total + 1e-300)


def test_running_log_products_do_not_depend_on_where_rows_are_cut() -> None:
    """The rows are taken in parts: a tall array of many columns crosses many of them."""
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((5000, 300))
    weights[700, 3] = 0.0
    weights[4999, 5] = -0.0
    signs, logs = running_log_products(weights)
    with np.errstate(divide="ignore"):
        whole = np.cumsum(np.log(np.abs(weights)), axis=0)
    np.testing.assert_allclose(logs, whole, rtol=0, atol=2 * 5002 * U * 5000 * 3)
    np.testing.assert_array_equal(signs, np.cumprod(np.sign(weights), axis=0))


def test_a_product_that_underflows_keeps_its_logarithm() -> None:
    """at n = 1e5 the direct product is 0 and its logarithm -0.635 n."""
    weights = np.random.default_rng(1).standard_normal(100_000)
    assert np.prod(weights) == 0.0
    signs, logs = running_log_products(weights)
    assert abs(signs[-1]) == 1
    assert abs(logs[-1] / 100_000 + 0.635181422731) < 0.03


@given(
    st.lists(st.floats(-4.0, 4.0).filter(lambda w: abs(w) > 1e-3 or w == 0.0), min_size=1, max_size=30),
    st.integers(1, 3),
)
def test_a_scan_from_one_without_inputs_is_the_running_product(weights: list[float], channels: int) -> None:
    """Agreement of two rooms: gates w, inputs 0, initial state 1."""
    gates = np.tile(np.array(weights)[None, :, None], (1, 1, channels))
    states = scan(gates, np.zeros_like(gates), np.ones((1, channels)))[0]
    signs, logs = running_log_products(gates[0])
    np.testing.assert_array_equal(np.sign(states), signs)
    alive = np.isfinite(logs)
    with np.errstate(divide="ignore"):
        size = np.cumsum(np.abs(np.log(np.abs(gates[0]))), axis=0)
    bound = (2 * (len(weights) + 2) * np.where(alive, size, 0.0) + 2 * len(weights) + 4) * U
    error = np.abs(np.exp(logs[alive]) / np.abs(states[alive]) - 1.0)
    assert np.all(error <= 1.1 * bound[alive])
    assert np.all(states[~alive] == 0.0)


def test_inputs_are_not_modified_and_may_be_empty() -> None:
    weights = np.array([[2.0, -1.0], [0.0, 3.0]])
    before = weights.copy()
    running_log_products(weights)
    np.testing.assert_array_equal(weights, before)
    signs, logs = running_log_products(np.zeros((0, 4)))
    assert signs.shape == logs.shape == (0, 4)


@pytest.mark.parametrize(
    "weights",
    [[1.0], np.array(1.0), np.array([1, 2]), np.array([1j]), np.array([1.0, np.nan]), np.array([np.inf])],
)
def test_weights_that_are_no_finite_real_array_are_refused(weights: Any) -> None:
    with pytest.raises(ArgumentError, match="weights: got"):
        running_log_products(weights)


def test_infinity_before_a_zero_is_refused() -> None:
    with pytest.raises(ArgumentError, match="inf at index"):
        running_log_products(np.array([np.inf, 0.0]))
