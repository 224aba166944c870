"""The Kreiss constant: attained, not missed, and between the supremum of the powers and its e n-th part."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from dynprop.errors import ArgumentError, PrecisionError
from dynprop.linear.growth.kreiss import kreiss_constant
from dynprop.linear.growth.stability import certified_growth, is_stable
from dynprop.linear.spectra.structure import powers_stay_bounded
from tests.properties.linear.matrix_cases import (
    BAD_MATRICES,
    NORMAL,
    exact_log_norms,
    jordan,
    matrices,
)

BELOW, ABOVE = 1.0 - 2.0**-53, 1.0 + 2.0**-52


def on_a_fine_grid(W: Any, radii: int = 160, angles: int = 360) -> float:
    """The supremum over a grid forty times as fine as the one that is searched, without refinement."""
    gap = max(1.0 - np.abs(np.linalg.eigvals(W)).max(), 1e-5)
    best = 1.0
    for distance in np.exp(np.linspace(math.log(gap) - 2.0, math.log(np.linalg.norm(W, 2) + 3.0), radii)):
        z = (1.0 + distance) * np.exp(2j * np.pi * np.arange(angles) / angles)
        sizes = np.linalg.svd(z[:, None, None] * np.eye(len(W)) - W, compute_uv=False)[:, -1]
        best = max(best, float((distance / sizes).max()))
    return best


@settings(max_examples=25)
@given(matrices(largest=5))
def test_no_point_of_a_fine_grid_is_higher(W: Any) -> None:
    size = np.linalg.norm(W / max(np.abs(W).max(), 1e-300), 2) * np.abs(W).max()
    if not 1e-3 < size < 1e3 or is_stable(W) != "yes":
        return
    found = kreiss_constant(W)
    # A singular value of the grid errs by n u ‖zI - W‖, relative to 1/K.
    assert found >= on_a_fine_grid(W) * (1 - 1e-6 - 1e-13 * found)


@settings(max_examples=40)
@given(matrices(largest=5))
def test_it_never_exceeds_the_supremum_of_the_powers(W: Any) -> None:
    found = kreiss_constant(W)
    assert found >= 1.0
    if not math.isfinite(found) or certified_growth(W, 200).norm.upper > 0.5:
        return
    # From step 200 on every norm is at most half of one among the first 200.
    peak = float(exact_log_norms(W, 200).max())
    assert math.log(found) <= peak + 1e-9
    assert peak <= math.log(math.e * len(W) * found) + 1e-9


def test_the_comparison_with_a_grid_can_fail() -> None:
    W = np.array([[0.9j, 5.0], [0.0, 0.9j]])
    assert on_a_fine_grid(W) > 1.05 * on_a_fine_grid(W, radii=4, angles=3)
    assert kreiss_constant(W) == pytest.approx(12.52, abs=1e-3)


@pytest.mark.parametrize("c", [2.0, 10.0, 1e4])
def test_that_of_a_nilpotent_block_solves_a_cubic(c: float) -> None:
    """(r - 1)‖[[1/z, c/z²], [0, 1/z]]‖, a function of r alone, on a fine line."""
    r = 1.0 + np.exp(np.linspace(-3.0, math.log(c) + 3.0, 200_001))
    b = c / r
    norm = (b + np.sqrt(b**2 + 4.0)) / 2.0 / r
    assert kreiss_constant(np.array([[0.0, c], [0.0, 0.0]])) == pytest.approx(
        max(1.0, float(((r - 1.0) * norm).max())), rel=1e-8
    )


@given(matrices(names=NORMAL, largest=6))
def test_normal_matrices_of_radius_below_one_have_one(W: Any) -> None:
    if is_stable(W) == "yes":
        assert kreiss_constant(W) == pytest.approx(1.0, abs=1e-9)
    elif np.abs(W).max() > 1.0:
        assert kreiss_constant(W) == math.inf


def test_a_projection_along_a_slant_has_its_norm() -> None:
    """At radius one the supremum is the limit at the eigenvalue, the norm of its spectral projection."""
    W = np.array([[1.0, 3.0], [0.0, 0.5]])
    assert kreiss_constant(W) == pytest.approx(math.hypot(1.0, 6.0), rel=1e-4)


@pytest.mark.parametrize(
    ("W", "finite"),
    [
        (np.eye(3), True),
        (np.eye(4)[[1, 2, 3, 0]], True),
        (np.array([[1.0, 1.0], [0.0, 1.0]]), False),
        (np.diag([1.01, 0.1]), False),
        (np.array([[BELOW, 1.0], [0.0, 0.5]]), True),
        (np.array([[ABOVE, 1.0], [0.0, 0.5]]), False),
        (np.array([[0.6, -0.8], [0.8, 0.6]]), False),
        (np.array([[1j, 0.0], [0.0, -0.5]]), True),
        (np.array([[1j, 1.0], [0.0, 1j]]), False),
        (np.full((2, 2), 1e308), False),
    ],
)
def test_it_is_finite_iff_the_powers_are_bounded(W: Any, finite: bool) -> None:
    assert math.isfinite(kreiss_constant(W)) == finite


def test_a_resolvent_that_is_noise_in_floats_is_searched_in_balls() -> None:
    # Eigenvalues ±1/2 behind a similarity of condition 3e8: σ(zI - W) is 1e-17 of its norm.
    s = np.array([[1.0, 1.0], [1.0, 1.0 + 2.0**-26]])
    W = s @ np.diag([0.5, -0.5]) @ np.linalg.inv(s)
    assert is_stable(W) == "yes"
    found, peak = kreiss_constant(W), math.exp(exact_log_norms(W, 40).max())
    assert found <= peak <= math.e * 2 * found
    with pytest.raises(PrecisionError, match="certified_growth"):
        kreiss_constant(np.kron(np.eye(40), W))


def test_constants_of_any_size_are_found() -> None:
    for c in (1e100, 1e250):
        # (r - 1)(1/r)(c/r) is largest at r = 2.
        assert kreiss_constant(np.array([[0.0, c], [0.0, 0.0]])) == pytest.approx(c / 4.0, rel=1e-9)
    assert kreiss_constant(np.array([[0.0, 1e300], [0.0, 0.0]])) == math.inf


def test_it_does_not_change_under_a_rotation() -> None:
    rng = np.random.default_rng(0)
    W = jordan([(0.8, 3), (-0.5, 2)])
    q = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    assert kreiss_constant(q @ W @ q.T) == pytest.approx(kreiss_constant(W), rel=1e-6)
    # A conjugate of the whole problem, with the peak in the lower half plane.
    turned = W * np.exp(-1j)
    assert kreiss_constant(turned) == pytest.approx(kreiss_constant(W), rel=1e-6)


def test_where_finiteness_is_not_decided_it_refuses() -> None:
    with pytest.raises(PrecisionError, match="max_work"):
        kreiss_constant(np.eye(3), max_work=0.0)


def test_empty_zero_and_one_by_one_matrices_are_valid() -> None:
    assert kreiss_constant(np.zeros((0, 0))) == 1.0
    assert kreiss_constant(np.zeros((3, 3))) == 1.0
    assert kreiss_constant(np.array([[0.999]])) == pytest.approx(1.0)
    assert kreiss_constant(np.full((2, 2), 1e-310)) == 1.0


@pytest.mark.parametrize("name", BAD_MATRICES)
def test_a_bad_matrix_is_refused(name: str) -> None:
    with pytest.raises(ArgumentError, match="W: got"):
        kreiss_constant(BAD_MATRICES[name])


@pytest.mark.parametrize("values", [(2.0, 1e-300), (1e100, 1e-100), (1e300, 1e-300), (3.0, 2.0**-70)])
def test_a_diagonal_matrix_of_entries_far_apart_has_no_bounded_powers(values: tuple[float, float]) -> None:
    # FLINT's minimal polynomial of such a matrix is wrong, and its roots were taken for eigenvalues.
    assert kreiss_constant(np.diag(values)) == math.inf
    assert powers_stay_bounded(np.diag(values)) is False
    assert powers_stay_bounded(np.diag([1.0, values[1], values[1]])) is True
    assert powers_stay_bounded(np.array([[values[1], 1.0, 0], [0, values[1], 0], [0, 0, -1.0]])) is True
    assert powers_stay_bounded(np.array([[1.0, values[1], 0], [0, 1.0, 0], [0, 0, values[1]]])) is False
