"""What survives of a state: components move on their own, and the ratio falls only where it must."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dynprop.errors import ArgumentError, PrecisionError
from dynprop.linear.spectra.eigenvalues import certified_eigenvalues
from dynprop.linear.spectra.modes import discard_ratio, log_discard_ratio, modes
from dynprop.linear.spectra.structure import is_defective
from tests.properties.linear.matrix_cases import (
    BAD_COUNTS,
    BAD_MATRICES,
    SYMMETRIC,
    Structure,
    jordan,
    matrices,
    structures,
    unimodular,
)

UNIT = 2.0**-53


def state(n: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(n)


def exact_power(W: Any, h: Any, t: int) -> list[Fraction]:
    """Return (Wᵗ)ᵀ h in rationals."""
    rows = [[Fraction(float(x)) for x in row] for row in W.T]
    current = [Fraction(float(x)) for x in h]
    for _ in range(t):
        current = [sum((a * x for a, x in zip(row, current, strict=True)), Fraction(0)) for row in rows]
    return current


# Modes


@settings(max_examples=60)
@given(matrices(largest=6), st.integers(0, 99))
def test_components_add_up_to_the_state(W: Any, seed: int) -> None:
    assume(not is_defective(W))
    h = state(len(W), seed)
    found = modes(W, h)
    assert found.multiplicities.sum() == len(W)
    # Each component is correctly rounded: an error of u times the sum of their sizes.
    assert np.abs(found.components.sum(axis=0) - h).max() <= 8 * UNIT * (found.amplitudes.sum() + 1.0)
    np.testing.assert_allclose(np.abs(found.coefficients), found.amplitudes, rtol=1e-14)


@settings(max_examples=60)
@given(matrices(largest=5), st.integers(0, 99), st.integers(1, 8))
def test_p16_each_component_is_multiplied_by_its_eigenvalue_at_every_step(W: Any, seed: int, t: int) -> None:
    assume(not is_defective(W) and 1e-30 < np.abs(W).max() < 1e30 and not np.iscomplexobj(W))
    h = state(len(W), seed)
    later = np.array([float(x) for x in exact_power(W, h, t)])
    start, end = modes(W, h), modes(W, later)
    # h_t is rounded once, which every spectral projection can magnify by its norm, at most κ.
    sizes = np.linalg.norm(start.components, axis=1)
    magnified = max((sizes / np.linalg.norm(h)).max(), 1.0) * 1e3
    expected = start.eigenvalues[:, None] ** t * start.components
    allowed = 16 * t * len(W) * UNIT * (np.abs(expected).max(axis=1) + magnified * np.linalg.norm(later))
    assert (np.abs(end.components - expected).max(axis=1) <= allowed).all()


def test_p16_can_fail_components_are_those_of_the_transpose() -> None:
    W, h = np.array([[2.0, 1.0], [0.0, 1.0]]), np.array([1.0, 0.0])
    np.testing.assert_array_equal(modes(W, h).components, [[1.0, 1.0], [0.0, -1.0]])
    np.testing.assert_array_equal(modes(W.T.copy(), h).components, [[1.0, 0.0], [0.0, 0.0]])


def test_survivors_rates_and_dimensions_are_exact() -> None:
    s, inverse = unimodular(np.random.default_rng(0), 5)
    W = s @ np.diag([2.0, 2.0, -2.0, 1.0, 0.0]) @ inverse
    found = modes(W, state(5))
    np.testing.assert_allclose(found.eigenvalues, [2.0, -2.0, 1.0, 0.0], atol=1e-300)
    assert found.multiplicities.tolist() == [2, 1, 1, 1]
    assert found.survives.tolist() == [True, True, False, False]
    np.testing.assert_allclose(found.rates, [math.log(2), math.log(2), 0.0, -math.inf])


def test_a_component_that_is_zero_exactly_is_zero_and_what_is_left_survives() -> None:
    found = modes(np.array([[1.0, 2.0], [2.0, 1.0]]), np.array([1.0, -1.0]))
    assert found.amplitudes[0] == 0.0
    assert found.survives.tolist() == [False, True]
    tiny = modes(np.array([[1.0, 2.0], [2.0, 1.0]]), np.array([1.0, math.nextafter(-1.0, 0.0)]))
    assert tiny.amplitudes[0] > 0.0
    assert tiny.survives.tolist() == [True, False]


@settings(max_examples=60)
@given(structures(complex_=True, largest_block=1), st.integers(0, 99))
def test_modes_of_every_known_spectrum_are_found(case: Structure, seed: int) -> None:
    h = np.random.default_rng(seed).integers(-3, 4, len(case.W)).astype(np.float64)
    found = modes(case.W, h)
    assert sorted(found.multiplicities) == sorted(case.multiplicities().values())
    np.testing.assert_allclose(found.components.sum(axis=0), h, atol=1e-11)


# Discarding


@settings(max_examples=80)
@given(matrices(names=SYMMETRIC, smallest=2, largest=6), st.integers(0, 99), st.integers(0, 60))
def test_p14_in_a_symmetric_matrix_the_tangent_falls_at_least_as_fast_as_the_gap(
    W: Any, seed: int, t: int
) -> None:
    assume(W.any())
    h = state(len(W), seed)
    found = [abs(e.ball) for e in certified_eigenvalues(W, 128)]
    start, end = log_discard_ratio(W, h, 0), log_discard_ratio(W, h, t)
    if len(found) == 1:
        assert start == end == -math.inf
        return
    gap = float((found[1] / found[0]).log()) if found[1] > 0 else -math.inf
    assert end <= (t * gap if t else 0.0) + start + 1e-12 * (1.0 + abs(start))


def test_p14_is_an_equality_in_two_dimensions() -> None:
    # tan = (1/3)ᵗ for eigenvalues 3 and -1 and a state with equal coordinates.
    W, h = np.array([[1.0, 2.0], [2.0, 1.0]]), np.array([1.0, 0.0])
    for t in (0, 1, 7, 60, 600):
        assert discard_ratio(W, h, t) == pytest.approx(3.0**-t, rel=1e-14)


@settings(max_examples=40)
@given(st.integers(0, 99), st.integers(0, 12))
def test_the_tangent_is_that_of_the_exact_state(seed: int, t: int) -> None:
    W = np.array([[2.0, 1.0, 0.0], [1.0, 2.0, 0.0], [0.0, 0.0, -2.0]])
    h = np.random.default_rng(seed).integers(-4, 5, 3).astype(np.float64)
    first = h[0] + h[1]
    assume(first)
    x, y, z = exact_power(W, h, t)
    inside = (x + y) ** 2 / 2
    outside = (x - y) ** 2 / 2 + z**2
    assert discard_ratio(W, h, t) == pytest.approx(math.sqrt(outside / inside), rel=1e-14)


@settings(max_examples=40)
@given(matrices(names=SYMMETRIC, smallest=2, largest=6), st.integers(0, 99), st.integers(0, 30))
def test_p14_the_rayleigh_quotient_errs_by_the_square_of_the_tangent(W: Any, seed: int, t: int) -> None:
    assume(W.any())
    unit = W / np.abs(W).max()
    h = state(len(W), seed)
    values = np.linalg.eigvalsh(unit)
    dominant = certified_eigenvalues(unit)[0].value.real
    x = h
    for _ in range(t):
        x = unit @ x
        x = x / max(np.abs(x).max(), 1e-300)
    assume(np.abs(x).max() > 1e-200)
    error = abs(x @ unit @ x / (x @ x) - dominant)
    spread = np.abs(values - dominant).max()
    # The float iterate errs by n t u beside the exact one.
    assert error <= spread * discard_ratio(unit, h, t) ** 2 * (1 + 1e-9) + 64 * len(W) * (t + 1) * UNIT


def test_p15_absolute_size_grows_while_the_ratio_falls() -> None:
    W, h = np.diag([3.0, 2.0]), np.array([1.0, 1.0])
    assert discard_ratio(W, h, 10) == pytest.approx((2 / 3) ** 10, rel=1e-14)
    assert float(exact_power(W, h, 10)[1]) == 1024.0


@pytest.mark.parametrize(
    "W",
    [
        np.diag([1.0, -1.0]),
        np.array([[0.0, 2.0], [2.0, 0.0]]),
        np.array([[0.3, -0.7], [0.7, 0.3]]),
        np.array([[0.0, 1e-200], [1e-200, 0.0]]),
        np.diag([1j, 1.0]),
    ],
)
def test_p15_ties_and_complex_pairs_never_discard(W: Any) -> None:
    h = np.array([0.3, 0.8])
    at = discard_ratio(W, h, [0, 1, 2, 1000, 10**9 + 1, 2**63 - 1])
    np.testing.assert_allclose(at, at[0], rtol=1e-12)
    assert at[0] > 0.0


def test_p15_a_dominant_component_of_zero_never_recovers() -> None:
    W, h = np.array([[1.0, 2.0], [2.0, 1.0]]), np.array([1.0, -1.0])
    assert discard_ratio(W, h, [0, 5, 10**18]).tolist() == [math.inf] * 3
    # In floats it does: one rounding error of the state is enough.
    x = np.array([0.1, 0.1 * (1 + 2.0**-52) - 0.2])
    for _ in range(200):
        x = W @ x
        x = x / np.abs(x).max()
    assert abs(x[0] - x[1]) < 1e-10
    # And exactly so for a near miss.
    assert discard_ratio(W, np.array([1.0, math.nextafter(-1.0, 0.0)]), 200) < 1e-70


def test_there_is_nothing_to_discard_of_a_multiple_of_the_identity() -> None:
    assert discard_ratio(2.0 * np.eye(3), state(3), 10) == 0.0
    assert discard_ratio(np.zeros((2, 2)), state(2), 10) == 0.0


def test_no_number_of_steps_is_too_large() -> None:
    W, h = np.array([[1.0, 0.3], [0.1, 0.5]]), np.array([1.0, 1.0])
    values = np.linalg.eigvals(W)
    rate = math.log(np.abs(values).min() / np.abs(values).max())
    found = log_discard_ratio(W, h, 2**63 - 1)
    assert found == pytest.approx((2**63 - 1) * rate, rel=1e-13)
    assert discard_ratio(W, h, 2**63 - 1) == 0.0
    assert discard_ratio(np.diag([1.0, 1.0 - 2.0**-53]), h, 10**16) == pytest.approx(
        math.exp(-(10**16) * 2.0**-53), rel=1e-13
    )


def test_a_nonnormal_matrix_of_huge_condition_is_measured_all_the_same() -> None:
    n = 12
    W = np.diag(np.arange(n, 0, -1.0)) + n * np.eye(n, k=1)
    h = np.ones(n)
    ratio = discard_ratio(W, h, 400)
    assert ratio == pytest.approx(discard_ratio(W, h, 401) * n / (n - 1), rel=1e-3)
    assert modes(W, h).amplitudes.max() > 1e3


def test_several_times_come_as_an_array() -> None:
    W, h = np.diag([1.0, 0.5]), np.array([1.0, 1.0])
    for t in ([0, 1, 2], np.array([0, 1, 2])):
        np.testing.assert_allclose(discard_ratio(W, h, t), [1.0, 0.5, 0.25])
    assert isinstance(discard_ratio(W, h, 1), float)
    assert discard_ratio(W, h, []).shape == (0,)


# Refusals and bad input


@pytest.mark.parametrize(
    "W", [jordan([(0.9, 3)]), jordan([(2.0, 1), (1.0, 2)]), np.array([[1j, 1.0], [0.0, 1j]])]
)
def test_a_defective_matrix_is_refused(W: Any) -> None:
    for call in (modes, lambda W, h: discard_ratio(W, h, 1)):
        with pytest.raises(PrecisionError, match="defective"):
            call(W, np.ones(len(W)))


def test_limits_end_in_an_error() -> None:
    W = np.random.default_rng(0).standard_normal((6, 6))
    with pytest.raises(PrecisionError, match="max_work"):
        modes(W, np.ones(6), max_work=10.0)
    with pytest.raises(PrecisionError, match="max_bits"):
        modes(W, np.ones(6), max_bits=100)


def test_a_zero_state_has_no_direction() -> None:
    with pytest.raises(ArgumentError, match="h0: got zeros"):
        discard_ratio(np.eye(2), np.zeros(2), 1)
    assert modes(np.diag([2.0, 1.0]), np.zeros(2)).amplitudes.tolist() == [0.0, 0.0]
    assert not modes(np.diag([2.0, 1.0]), np.zeros(2)).survives.any()


def test_empty_and_one_by_one_matrices_are_valid() -> None:
    assert modes(np.zeros((0, 0)), np.zeros(0)).components.shape == (0, 0)
    assert discard_ratio(np.zeros((0, 0)), np.zeros(0), 3) == 0.0
    assert modes(np.array([[0.5]]), np.array([2.0])).coefficients.tolist() == [2.0]


@pytest.mark.parametrize("name", BAD_MATRICES)
def test_a_bad_matrix_is_refused(name: str) -> None:
    for call in (modes, lambda W, h: discard_ratio(W, h, 1)):
        with pytest.raises(ArgumentError, match="W: got"):
            call(BAD_MATRICES[name], np.ones(2))


@pytest.mark.parametrize(
    "h", [np.ones(3), np.ones((1, 2)), np.array([1.0, math.nan]), [1.0], np.array([1, 2**53 + 1])]
)
def test_a_bad_state_is_refused(h: Any) -> None:
    for call in (modes, lambda W, h: discard_ratio(W, h, 1)):
        with pytest.raises(ArgumentError, match="h0: got"):
            call(np.eye(2), h)


@pytest.mark.parametrize("name", BAD_COUNTS)
def test_a_bad_number_of_steps_is_refused(name: str) -> None:
    with pytest.raises(ArgumentError, match="t: got"):
        discard_ratio(np.eye(2), np.ones(2), BAD_COUNTS[name])
    with pytest.raises(ArgumentError, match=r"t\[0\]: got"):
        discard_ratio(np.eye(2), np.ones(2), [BAD_COUNTS[name]])
    with pytest.raises(ArgumentError, match="t: got"):
        discard_ratio(np.eye(2), np.ones(2), 2**63)


def test_moduli_closer_than_floats_are_ordered_by_modulus() -> None:
    # 0.6² + 0.8² of the stored floats exceeds 1, by less than a float near 1 shows: the pair is dominant.
    excess = Fraction(0.6) ** 2 + Fraction(0.8) ** 2 - 1
    assert 0 < excess < Fraction(1, 2**53)
    W = np.array([[0.6, -0.8, 0.0], [0.8, 0.6, 0.0], [0.0, 0.0, 1.0]])
    assert [found.value for found in certified_eigenvalues(W)] == [0.6 + 0.8j, 0.6 - 0.8j, 1.0]
    # Half of (1, 0) is in each mode of the pair, so the ratio falls from √3 to 1, its log by half of log 3.
    assert log_discard_ratio(W, np.array([1.0, 0.0, 1.0]), [0, 10**18]) == pytest.approx(
        [math.log(3.0) / 2, 0.0], abs=1e-9
    )
