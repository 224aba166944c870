"""Strata of difficulty: every case is what its stratum says, independent and reproducible."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from dynprop.errors import ArgumentError
from dynprop.kinds.power import strata
from dynprop.kinds.power.cases import PowerCase
from dynprop.kinds.power.exact import is_zero_state, power_state, scaled_error
from dynprop.kinds.power.strata import MATRICES, SCALES, STRATA, TIMES, draw_strata, times_between


def drawn(matrices: str, each: int = 4, seed: int = 0) -> list[tuple[int, PowerCase]]:
    return draw_strata(np.random.default_rng(seed), matrices, each)


@pytest.mark.parametrize("matrices", MATRICES)
def test_every_stratum_of_a_class_gets_its_share_of_finite_cases_at_its_times(matrices: str) -> None:
    found = drawn(matrices)
    assert sorted(i for i, _ in found) == sorted(
        i for i, s in enumerate(STRATA) if s.matrices == matrices for _ in range(4)
    )
    for index, case in found:
        first, last = STRATA[index].times
        assert first <= case.t <= last
        assert case.W.shape == (case.n, case.n)
        assert 1 <= case.n <= 16
        assert np.isfinite(case.W).all()
        assert np.isfinite(case.h).all()


def test_the_grid_has_every_combination_once() -> None:
    assert len({(s.matrices, s.times, s.scale) for s in STRATA}) == len(STRATA)
    assert len(STRATA) == len(MATRICES) * len(TIMES) * len(SCALES)
    assert len({s.name for s in STRATA}) == len(STRATA)


def test_times_cover_everything_up_to_the_largest() -> None:
    assert TIMES[0][0] == 0
    assert TIMES[-1][1] == 2**63 - 1
    assert all(before[1] + 1 == after[0] for before, after in pairwise(TIMES))
    rng = np.random.default_rng(1)
    small = times_between(rng, 0, 16, 2000)
    assert set(small) == set(range(17))
    large = times_between(rng, 10**12, 2**63 - 1, 2000)
    # The logarithm is uniform: a decade is as likely as another. The low bits are not all zero.
    assert abs(sum(t < 10**15 for t in large) / 2000 - 3 / 6.96) < 0.05
    assert any(t % 2 and t > 2**60 for t in large)


def test_scales_reach_the_edges_of_float64() -> None:
    largest: dict[str, list[float]] = {scale: [] for scale in SCALES}
    for index, case in drawn("condition up to 1e3"):
        parts = np.maximum(np.abs(case.W.real), np.abs(case.W.imag))
        largest[STRATA[index].scale].append(float(parts.max()))
    assert min(largest["near overflow"]) >= 2.0**998
    assert max(largest["near overflow"]) > 2.0**1015
    assert max(largest["near underflow"]) < 2.0**-959
    assert min(largest["near underflow"]) < 2.0**-1020
    assert max(largest["near 1"]) < 1e5


@pytest.mark.parametrize(
    ("matrices", "low", "high"),
    [("condition 1e3 to 1e8", 1e2, 1e10), ("condition 1e8 to 1e14", 1e5, np.inf)],
)
def test_classes_of_condition_have_eigenvectors_of_that_condition(
    matrices: str, low: float, high: float
) -> None:
    """The drawn X has it; eigenvectors of length 1, and repeated eigenvalues, may do with less."""
    conditions = [
        float(np.linalg.cond(np.linalg.eig(case.W)[1]))
        for index, case in drawn(matrices, each=20)
        if STRATA[index].scale == "near 1" and case.n > 2
    ]
    inside = sum(low <= c <= high for c in conditions)
    assert inside >= 0.6 * len(conditions)


def test_scaling_by_rows_is_an_exact_similarity() -> None:
    rng = np.random.default_rng(5)
    for _ in range(20):
        W, h = rng.integers(-9, 10, (5, 5)) / 8.0, rng.integers(1, 10, 5) / 8.0
        scaled, start = strata._diagonally_scaled(rng, W, h)
        # Powers of two leave every cycle of entries as it is, and go along with the state.
        assert np.array_equal(scaled * scaled.T, W * W.T)
        assert np.array_equal(start @ scaled, (h @ W) * (start / h))
        assert not np.array_equal(scaled, W)


def test_draws_are_reproducible_and_seeds_differ() -> None:
    first, again, other = drawn("other"), drawn("other"), drawn("other", seed=1)
    assert [c.to_json() for _, c in first] == [c.to_json() for _, c in again]
    assert [c.to_json() for _, c in first] != [c.to_json() for _, c in other]


def test_cases_of_one_family_and_size_differ() -> None:
    found = [case for _, case in drawn("condition up to 1e3", each=20)]
    assert len({case.W.tobytes() for case in found}) == len(found)


def test_an_unknown_class_is_rejected() -> None:
    with pytest.raises(ArgumentError, match="matrices: got 'hard', expected one of normal"):
        drawn("hard")


def test_the_error_of_a_rounded_state_is_enclosed_at_any_exponent() -> None:
    W, h = np.array([[0.5, 0.25], [0.0, 0.5]]), np.array([1.0, 3.0])
    # W^t = 2^-t [[1, t/2], [0, 1]]: h_t = 2^-t (1, t/2 + 3).
    t = 10**18
    low, high = scaled_error(W, h, t, np.array([2.0**-60, 0.433680868994201774]), 60 - t, bits=256)
    exact = abs(Fraction(10**18 // 2 + 3, 2**60) - Fraction(0.433680868994201774))
    assert float(low) <= float(exact) <= float(high)
    assert float(high) == pytest.approx(float(exact), rel=1e-12)


def test_the_reference_agrees_with_the_states_of_the_laws() -> None:
    for index, case in drawn("other"):
        alike = np.iscomplexobj(case.W) == np.iscomplexobj(case.h)
        if case.t <= 16 and alike and STRATA[index].scale == "near 1":
            found = power_state(case.W, case.h, case.t)
            size = np.abs(found.high).max(initial=0.0)
            if 1e-300 < size < 1e300:
                _, high = scaled_error(case.W, case.h, case.t, found.high, 0, bits=512)
                assert float(high) <= 2.0**-52 * size


@pytest.mark.parametrize(("t", "zero"), [(0, False), (1, False), (2, True), (3, True), (10**18, True)])
def test_zero_states_are_recognised_exactly(t: int, zero: bool) -> None:
    nilpotent = np.array([[0.0, 2.0**-1074], [0.0, 0.0]])
    assert is_zero_state(nilpotent, np.array([2.0**-1074, 1.0]), t) is zero
    assert is_zero_state(nilpotent * (1 + 1j), np.array([2.0**-1074, 1j]), t) is zero
    assert is_zero_state(np.eye(2), np.array([1.0, 0.0]), t) is False
