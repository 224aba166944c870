"""The norms of powers: within their bound of exact ones, between the classical bounds, plainly said."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

from dynprop.errors import ArgumentError, PrecisionError
from dynprop.linear.growth.growth import GrowthVerdict, growth
from dynprop.linear.growth.stability import certified_growth
from tests.properties.linear.matrix_cases import (
    BAD_COUNTS,
    BAD_MATRICES,
    SYMMETRIC,
    exact_log_norms,
    jordan,
    matrices,
    unimodular,
)

UNIT = 2.0**-53


def away(found: Any, exact: Any) -> Any:
    """Return the differences, 0 where both are minus infinity."""
    same = np.isneginf(found) & np.isneginf(exact)
    with np.errstate(invalid="ignore"):
        return np.where(same, 0.0, np.abs(found - exact))


def transient(n: int = 16) -> Any:
    return np.eye(n, k=1) + 0.2 * np.eye(n, k=-1)


def naive(W: Any, horizon: int) -> Any:
    """The loop that everybody writes."""
    power, logs = np.eye(len(W)), []
    for _ in range(horizon + 1):
        with np.errstate(all="ignore"):
            logs.append(np.log(np.linalg.norm(power, 2)) if np.isfinite(power).all() else math.inf)
            power = power @ W
    return np.array(logs)


@settings(max_examples=60)
@given(matrices(largest=8), st.integers(0, 24))
def test_every_logarithm_is_within_its_bound_of_the_exact_power(W: Any, horizon: int) -> None:
    found, exact = growth(W, horizon), exact_log_norms(W, horizon)
    # The reference rounds once and takes a singular value: n u, and the logarithm of its exponent.
    own = 8 * (len(W) + 1) * UNIT + 4 * UNIT * np.abs(np.where(np.isneginf(exact), 0.0, exact))
    assert (away(found.log_norms, exact) <= found.log_errors + own).all()


@settings(max_examples=40)
@given(matrices(largest=8), st.integers(0, 60))
def test_the_bound_promises_six_digits_at_least(W: Any, horizon: int) -> None:
    found = growth(W, horizon)
    size = np.where(np.isneginf(found.log_norms), 0.0, np.abs(found.log_norms))
    assert (found.log_errors <= 1e-6 + 1e-14 * size).all()


def test_long_horizons_through_many_blocks_agree_with_exact_powers() -> None:
    W = np.random.default_rng(3).standard_normal((6, 6)) / 2.5
    found, exact = growth(W, 400), exact_log_norms(W, 400)
    assert (away(found.log_norms, exact) <= found.log_errors + 1e-13).all()
    assert found.log_errors.max() < 1e-9


def test_a_tolerance_below_what_floats_reach_is_met_by_balls() -> None:
    found, exact = growth(transient(), 60, tolerance=2e-13), exact_log_norms(transient(), 60)
    assert found.log_errors.max() < 3e-13
    assert (away(found.log_norms, exact) <= found.log_errors).all()


@pytest.mark.parametrize("n", [2, 5, 9])
def test_powers_of_a_hidden_nilpotent_matrix_are_zero_exactly_from_its_index(n: int) -> None:
    s, inverse = unimodular(np.random.default_rng(n), n)
    W = s @ np.eye(n, k=1) @ inverse
    found = growth(W, n + 3)
    assert np.isneginf(found.log_norms[n:]).all()
    assert np.isfinite(found.log_norms[:n]).all()
    assert found.log_errors[n] == 0.0


def test_a_nilpotent_matrix_spoilt_by_rounding_is_no_longer_nilpotent_and_a_naive_loop_is_wrong() -> None:
    s = np.random.default_rng(0).standard_normal((8, 8))
    W = s @ np.eye(8, k=1) @ np.linalg.inv(s)
    found, exact = growth(W, 60), exact_log_norms(W, 60)
    assert np.isfinite(found.log_norms).all()
    assert (away(found.log_norms, exact) <= found.log_errors + 1e-13).all()
    # The comparison can fail: the plain loop is off by more than a hundred thousand times the bound.
    assert (away(naive(W, 60), exact)[1:] / found.log_errors[1:]).max() > 1e5


def test_no_power_overflows_or_vanishes() -> None:
    for scale, sign in ((1e300, 1), (1e-300, -1)):
        found = growth(np.full((2, 2), scale), 1000)
        expected = np.arange(1001) * (math.log(scale) + math.log(2.0))
        np.testing.assert_allclose(found.log_norms[1:], expected[1:], rtol=1e-13)
        assert np.isfinite(found.log_errors).all()
        assert (found.peak == math.inf) == (sign > 0)
    assert found.log_peak == 0.0


def test_entries_that_underflow_against_the_largest_still_count() -> None:
    W = np.array([[0.0, 1e308], [1e-300, 0.0]])
    assert growth(W, 2).log_norms[2] == pytest.approx(math.log(1e8), abs=1e-12)


# P8 to P12


@given(matrices(names=SYMMETRIC, largest=8), st.integers(1, 40))
def test_p8_powers_of_a_symmetric_matrix_have_the_norm_of_its_radius(W: Any, t: int) -> None:
    found = growth(W, t)
    radius = float(np.abs(np.linalg.eigvalsh(W / np.abs(W).max())).max()) if W.any() else 0.0
    if radius == 0.0:
        assert np.isneginf(found.log_norms[1:]).all()
        return
    log_radius = math.log(radius) + math.log(np.abs(W).max())
    steps = np.arange(t + 1)
    # 8 n t u, and as much for LAPACK's own error of the radius, n u, to the power t.
    allowed = 16 * len(W) * (steps + 1) * UNIT + 4 * UNIT * np.abs(steps * log_radius)
    assert (np.abs(found.log_norms - steps * log_radius) <= allowed).all()
    clear = abs(log_radius) > 1e-6
    assert not clear or (np.sign(np.diff(found.log_norms)) == np.sign(log_radius)).all()


def test_p8_fails_for_a_matrix_that_is_not_normal() -> None:
    found = growth(np.array([[0.5, 1.0], [0.0, 0.5]]), 10)
    assert abs(found.log_norms[10] - 10 * math.log(0.5)) > 1.0


@settings(max_examples=60)
@given(matrices(largest=6), st.integers(1, 30))
def test_p9_norms_lie_between_the_classical_bounds(W: Any, horizon: int) -> None:
    found = growth(W, horizon)
    bounds = found.bounds
    size = 1e-13 * np.where(np.isneginf(found.log_norms), 0.0, np.abs(found.log_norms))
    low, high = found.log_norms - found.log_errors - size, found.log_norms + found.log_errors + size
    assert (bounds.log_radius <= high + 1e-9).all()
    assert (low <= bounds.log_condition + 1e-6).all()
    assert (low <= bounds.log_henrici + 1e-8).all()


def test_p9_can_fail_in_each_direction() -> None:
    found = growth(transient(), 40)
    assert (found.log_norms > found.bounds.log_radius + 1.0).any()
    assert (found.log_norms < found.bounds.log_condition - 1.0).any()
    assert not (found.log_norms <= found.bounds.log_radius + 1e-9).all()


@settings(max_examples=40)
@given(matrices(largest=6), st.integers(1, 60))
def test_p10_gelfand(W: Any, t: int) -> None:
    found = growth(W, t)
    bounds = found.bounds
    if not math.isfinite(bounds.log_condition[0]) or bounds.radius.lower < 1e-300:
        return
    gap = abs(found.log_norms[t] / t - math.log(bounds.radius.lower))
    assert gap <= (bounds.log_condition[0] + 1e-6) / t + 1e-9


@settings(max_examples=30)
@given(matrices(largest=6))
def test_p11_the_peak_lies_in_the_band_of_kreiss(W: Any) -> None:
    found = growth(W, 300)
    bounds = found.bounds
    if not math.isfinite(bounds.kreiss):
        return
    assert found.log_peak <= bounds.log_kreiss + 1e-9
    # Beyond the horizon the supremum may be higher; where decay is settled it is not.
    if found.settled_step is not None:
        assert math.log(bounds.kreiss) <= found.log_peak + 1e-9 + found.log_errors[found.peak_step]


def test_p11_near_the_circle_no_upper_bound_is_claimed_from_a_constant_that_may_be_too_small() -> None:
    # ‖Wᵗ‖ peaks near 0.37·2³⁰ after 2³⁰ steps; at distance 1e-6 from the circle the resolvent shows 1e6.
    W = np.array([[1.0 - 2.0**-30, 1.0], [0.0, 1.0 - 2.0**-30]])
    bounds = growth(W, 10).bounds
    assert bounds.kreiss < 1.1e6
    assert certified_growth(W, 2**30).norm.lower > math.e * 2 * bounds.kreiss
    assert bounds.log_kreiss == math.inf
    assert growth(0.99 * W, 10).bounds.log_kreiss < math.inf


def test_p12_a_radius_below_one_does_not_make_a_map_contract() -> None:
    W = find(
        matrices(smallest=2, largest=4),
        lambda W: growth(W, 200).verdict is GrowthVerdict.TRANSIENT,
        settings=settings(max_examples=2000, database=None, derandomize=True),
    )
    assert np.abs(np.linalg.eigvals(W)).max() < 1.0
    assert np.linalg.norm(W, 2) >= 1.0


@given(matrices(largest=6), st.floats(0.1, 0.99))
def test_p12_norms_fall_strictly_where_the_largest_singular_value_is_below_one(W: Any, size: float) -> None:
    largest = np.abs(W).max()
    if largest == 0.0:
        return
    unit = W / largest
    found = growth(unit * (size / np.linalg.norm(unit, 2)), 20)
    assert found.verdict is GrowthVerdict.CONTRACTIVE
    logs = found.log_norms[np.isfinite(found.log_norms)]
    assert (np.diff(logs) < 0).all()


def test_the_textbook_counterexample_rises_seventeenfold_before_it_decays() -> None:
    found = growth(transient(), 200)
    assert found.verdict is GrowthVerdict.TRANSIENT
    assert str(found).startswith("spectral radius below one, yet not contractive; peak 17.56 at step 23")
    assert found.bounds.radius.upper == pytest.approx(0.8792, abs=1e-4)
    assert (found.peak_step, round(found.peak, 1)) == (23, 17.6)


# What is guaranteed beyond the horizon


@settings(max_examples=40)
@given(matrices(largest=5), st.integers(1, 40))
def test_decay_once_guaranteed_holds_beyond_the_horizon(W: Any, horizon: int) -> None:
    found = growth(W, horizon)
    if found.decay_step is None:
        return
    d, later = found.decay_step, growth(W, 4 * horizon)
    before = found.log_norms[:d].max()
    for s in range(4 * horizon + 1):
        k = s // d
        fallen = k * found.log_norms[d] if k else 0.0
        assert later.log_norms[s] <= fallen + before + 1e-5 * (k + 1)
    if found.settled_step is not None:
        assert (later.log_norms[found.settled_step :] < 0).all()


def test_a_norm_may_rise_again_after_the_first_step_below_one() -> None:
    rotating = np.array([[0.0, 4.0], [0.2, 0.0]])
    found = growth(rotating, 60)
    assert found.decay_step == 2
    assert found.log_norms[3] > 0
    assert found.settled_step is not None
    assert found.settled_step > 3


def test_no_decay_is_claimed_at_radius_one() -> None:
    for W in (np.eye(3), np.array([[1.0, 1.0], [0.0, 1.0]]), np.eye(3)[[1, 2, 0]]):
        found = growth(W, 50)
        assert found.decay_step is None
        assert found.verdict is GrowthVerdict.NOT_ESTABLISHED


# Edges and bad input


def test_empty_one_by_one_and_zero_matrices_are_valid() -> None:
    assert np.isneginf(growth(np.zeros((0, 0)), 3).log_norms).all()
    assert growth(np.zeros((0, 0)), 3).peak == 0.0
    np.testing.assert_allclose(
        growth(np.array([[0.5]]), 3).log_norms, -math.log(2) * np.arange(4), atol=1e-15
    )
    assert growth(np.zeros((2, 2)), 2).log_norms.tolist() == [0.0, -math.inf, -math.inf]
    assert growth(transient(), 0).log_norms.tolist() == [0.0]
    assert growth(np.array([[0.5]], dtype=np.float32), 1).W.dtype == np.float64


def test_complex_matrices_grow_as_their_moduli() -> None:
    found = growth(np.array([[0.6 + 0.8j]]) * 2.0, 50)
    np.testing.assert_allclose(found.log_norms, math.log(2.0) * np.arange(51), atol=1e-12)


@pytest.mark.parametrize("name", BAD_MATRICES)
def test_a_bad_matrix_is_refused(name: str) -> None:
    with pytest.raises(ArgumentError, match="W: got"):
        growth(BAD_MATRICES[name], 3)


@pytest.mark.parametrize("name", BAD_COUNTS)
def test_a_bad_horizon_is_refused(name: str) -> None:
    with pytest.raises(ArgumentError, match="horizon: got"):
        growth(np.eye(2), BAD_COUNTS[name])


def test_a_horizon_beyond_memory_is_refused_with_its_size() -> None:
    with pytest.raises(ArgumentError, match=r"horizon: got .* bytes"):
        growth(np.eye(2), 2**50)


def test_precision_that_does_not_suffice_is_an_error() -> None:
    s = np.random.default_rng(0).standard_normal((8, 8))
    with pytest.raises(PrecisionError, match="max_bits"):
        growth(s @ np.eye(8, k=1) @ np.linalg.inv(s), 40, max_bits=64)


def test_arguments_are_not_modified_and_results_do_not_alias_them() -> None:
    W = jordan([(0.5, 3)])
    kept = W.copy()
    found = growth(W, 5)
    W[0, 0] = 9.0
    assert np.array_equal(found.W, kept)
