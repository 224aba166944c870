"""The spectrum: ordered, with small residuals, and an exact verdict on what is defective."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from flint import acb, acb_mat
from hypothesis import given, settings
from hypothesis import strategies as st

from dynprop.errors import ArgumentError, PrecisionError
from dynprop.linear.spectra.spectrum import NEAR_DEFECTIVE, spectrum
from dynprop.linear.spectra.structure import is_defective, nilpotency_index, powers_stay_bounded
from dynprop.precision import working_precision
from tests.properties.linear.matrix_cases import (
    BAD_MATRICES,
    NORMAL,
    Structure,
    jordan,
    matrices,
    structures,
    unimodular,
)

UNIT = 2.0**-53


# The order and the numbers


@settings(max_examples=100)
@given(matrices(largest=8))
def test_eigenvalues_come_by_decreasing_modulus_with_a_small_residual(W: Any) -> None:
    found = spectrum(W)
    moduli = np.abs(found.eigenvalues)
    assert len(moduli) == len(W)
    assert (np.diff(moduli) <= 1e-11 * found.radius).all()
    assert found.radius == pytest.approx(float(moduli.max()), rel=1e-12)
    scale = max(np.abs(W).max(), 5e-324)
    # A small multiple of n u ‖W‖_F. LAPACK's balancing would cost eight digits of near-defective ones.
    size = float(np.linalg.norm(W / scale)) if W.any() else 0.0
    assert found.residual / scale <= 51 * len(W) * UNIT * size + 1e-300


def backward_error(W: Any, value: complex) -> float:
    """Distance of W to a matrix with the eigenvalue, in units of n u ‖W‖_F; the inverse has 200 bits."""
    n = len(W)
    with working_precision(200):
        moved = acb_mat([[acb(complex(W[i, j])) - acb(value) * (i == j) for j in range(n)] for i in range(n)])
        inverse = np.array([[complex(x) for x in row] for row in moved.inv().table()])
    return float(1.0 / np.linalg.norm(inverse, 2) / (n * UNIT * np.linalg.norm(W)))


# The worst of 330,000 eigenvalues of random matrices, n = 2 to 5: symmetric up to rounding.
WORST = np.array(
    [
        [1.0, float.fromhex("0x1.ef75f63727e09p-6"), float.fromhex("0x1.f4eeb54e4dd4ap-2")],
        [0.0, float.fromhex("0x1.f8678d00052f9p-2"), float.fromhex("0x1.8f489aa613e27p-4")],
        [0.0, 0.0, float.fromhex("0x1.c90d990acf257p-1")],
    ]
)
WORST += np.triu(WORST, 1).T
WORST[2, 1] = np.nextafter(WORST[2, 1], 1.0)


def test_eigenvalues_have_the_stated_backward_error_and_not_a_fourth_of_it() -> None:
    # The eigenvalue as one LAPACK computes it; another may do better.
    assert backward_error(WORST, 1.4465312473309795) == pytest.approx(7.851, abs=1e-3)
    rng = np.random.default_rng(0)
    drawn = [rng.standard_normal((n, n)) + k * rng.standard_normal((n, n)) for n in (2, 20) for k in (0, 1j)]
    for W in (WORST, 1j * WORST, *drawn):
        assert max(backward_error(W, complex(value)) for value in spectrum(W).eigenvalues) <= 16.0


def test_conjugates_stand_together_the_upper_one_first() -> None:
    W = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    np.testing.assert_allclose(spectrum(W).eigenvalues, [1.0, 1j, -1j], atol=1e-15)
    rng = np.random.default_rng(0)
    for n in (5, 12, 31):
        values = spectrum(rng.standard_normal((n, n))).eigenvalues
        upper = np.flatnonzero(values.imag > 0)
        assert (values[upper + 1] == values[upper].conj()).all()


@pytest.mark.parametrize("n", [2, 5, 12])
def test_eigenvalues_of_a_real_orthogonal_matrix_are_real_or_conjugate(n: int) -> None:
    values = spectrum(np.linalg.qr(np.random.default_rng(n).standard_normal((n, n)))[0]).eigenvalues
    upper = np.flatnonzero(values.imag > 0)
    assert (values[upper + 1] == values[upper].conj()).all()
    assert np.count_nonzero(values.imag == 0) == n - 2 * len(upper)


@given(matrices(names=NORMAL))
def test_normal_matrices_have_orthonormal_eigenvectors_and_no_departure(W: Any) -> None:
    found = spectrum(W)
    assert found.condition == pytest.approx(1.0, abs=1e-12)
    np.testing.assert_allclose(found.conditions, 1.0, atol=1e-12)
    assert found.departure <= 20 * len(W) * UNIT * max(float(np.linalg.norm(W)), 5e-324)
    assert found.defective is False
    assert not found.near_defective


@settings(max_examples=60)
@given(matrices(largest=6))
def test_the_departure_is_what_the_eigenvalues_leave_of_the_frobenius_norm(W: Any) -> None:
    scale = max(np.abs(W).max(), 5e-324)
    found = spectrum(W / scale)
    left = np.linalg.norm(W / scale) ** 2 - (np.abs(found.eigenvalues) ** 2).sum()
    # Eigenvalues of a defective matrix are off by more than n u: their moduli enter to first order.
    assert found.departure**2 == pytest.approx(left, abs=1e-6 * len(W) ** 2)


@pytest.mark.parametrize("c", [0.0, 1.0, 1e3, 1e6])
def test_condition_numbers_of_a_two_by_two_triangle_are_known(c: float) -> None:
    found = spectrum(np.array([[1.0, c], [0.0, 2.0]]))
    np.testing.assert_allclose(found.conditions, math.hypot(1.0, c), rtol=1e-9)
    assert found.condition == pytest.approx(c + math.hypot(1.0, c), rel=1e-6)
    assert found.departure == pytest.approx(c)
    assert found.near_defective == (found.condition > NEAR_DEFECTIVE)


def test_numbers_of_any_scale_are_neither_lost_nor_infinite() -> None:
    rng = np.random.default_rng(1)
    W = rng.standard_normal((5, 5))
    unit = spectrum(W)
    for exponent in (-1070, -900, 900, 1020):
        found = spectrum(W * 2.0 ** (exponent // 2) * 2.0 ** (exponent - exponent // 2))
        digits = 1e-12 if exponent > -1000 else 0.05
        assert found.radius / 2.0 ** (exponent // 2) == pytest.approx(
            unit.radius * 2.0 ** (exponent - exponent // 2), rel=digits
        )
        assert found.condition == pytest.approx(unit.condition, rel=max(digits, 1e-9) * 10)


# Defective: exact, never a guess


def test_matrices_of_entries_far_apart_are_defective_where_they_have_a_jordan_block() -> None:
    rng = np.random.default_rng(2)
    for _ in range(60):
        sizes = 2.0 ** rng.integers(-200, 200, 4)
        values = rng.standard_normal(4) * sizes
        values[1] = values[0] if rng.integers(2) else values[1]
        W = np.diag(values)
        W[0, 1] = rng.integers(2) * rng.standard_normal() * 2.0 ** rng.integers(-200, 200)
        order = rng.permutation(4)
        assert is_defective(W[np.ix_(order, order)]) == (values[0] == values[1] and W[0, 1] != 0.0)
        diagonal = np.diag(values[[0, 0, 2, 3]])
        assert is_defective(diagonal) is False


@settings(max_examples=150)
@given(structures(complex_=False))
def test_a_hidden_jordan_block_is_always_found_and_never_invented(
    case: Structure,
) -> None:
    W, blocks = case.W, case.blocks
    assert spectrum(W).defective is any(size > 1 for _, size in blocks)


@settings(max_examples=100)
@given(structures(complex_=True))
def test_complex_ones_too(case: Structure) -> None:
    W, blocks = case.W, case.blocks
    assert spectrum(W.astype(np.complex128)).defective is any(size > 1 for _, size in blocks)


def test_repeated_eigenvalues_with_all_their_vectors_are_not_defective() -> None:
    s, inverse = unimodular(np.random.default_rng(5), 6)
    for W in (
        np.diag([1.0, 1.0, 2.0]),
        np.eye(4),
        np.zeros((3, 3)),
        s @ np.diag([1.0, 1.0, 1.0, 2.0, 2.0, 0.0]) @ inverse,
        np.diag([1j, 1j, -1j]),
    ):
        assert spectrum(W).defective is False


def test_what_floats_say_about_it_is_wrong_in_both_directions() -> None:
    """Why the verdict is exact: κ(V) from floats neither finds nor clears."""
    hidden = np.array([[0.0, 3.0, 2.0], [-3.0, 6.0, 2.0], [2.0, -2.0, 1.0]])
    assert np.linalg.cond(np.linalg.eig(hidden)[1]) < 1e9
    assert spectrum(hidden).defective is True
    near = np.array([[1.0, 1.0], [0.0, 1.0 + 2.0**-52]])
    assert np.linalg.cond(np.linalg.eig(near)[1]) > 1e15
    assert spectrum(near).defective is False
    assert spectrum(near).near_defective


def test_one_bit_decides() -> None:
    block = np.array([[0.1, 1.0], [0.0, 0.1]])
    assert spectrum(block).defective is True
    block[1, 1] = math.nextafter(0.1, 1.0)
    assert spectrum(block).defective is False


def test_the_imaginary_part_can_make_a_matrix_defective() -> None:
    W = np.array([[1.0, 1.0j], [1.0j, -1.0]])
    assert spectrum(W).defective is True
    assert nilpotency_index(W) == 2
    assert spectrum(W.real).defective is False


def test_a_defective_matrix_has_an_infinite_condition() -> None:
    found = spectrum(jordan([(0.9, 3)]))
    assert found.condition == math.inf
    assert found.near_defective


def test_beyond_the_limit_the_verdict_is_withheld_with_its_reason() -> None:
    W = np.kron(np.eye(2), np.random.default_rng(0).standard_normal((6, 6)))
    found = spectrum(W, max_work=1e4)
    assert found.defective is None
    assert "max_work" in found.undecided
    assert spectrum(W).defective is False
    with pytest.raises(PrecisionError, match="raise max_work"):
        is_defective(W, 1e4)
    # Distinct eigenvalues need no exact polynomial.
    assert spectrum(np.diag([1.0, 2.0, 3.0]), max_work=0.0).defective is False


# Exact structure


@settings(max_examples=80)
@given(structures(complex_=True))
def test_the_index_of_a_nilpotent_matrix_is_its_largest_block(
    case: Structure,
) -> None:
    W, blocks = case.W, case.blocks
    nilpotent = all(value == 0 for value, _ in blocks)
    assert nilpotency_index(W) == (max(size for _, size in blocks) if nilpotent else None)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(1, 9), st.just(0)), min_size=1, max_size=3), st.integers(0, 99))
def test_nilpotent_structures_are_drawn_on_purpose_too(blocks: list[tuple[int, int]], seed: int) -> None:
    structure = [(0j, size) for size, _ in blocks]
    s, inverse = unimodular(np.random.default_rng(seed), sum(size for size, _ in blocks))
    assert nilpotency_index(s @ jordan(structure) @ inverse) == max(size for size, _ in blocks)


@pytest.mark.parametrize(
    ("W", "bounded"),
    [
        (np.eye(3), True),
        (np.eye(4)[[1, 2, 3, 0]], True),
        (np.array([[1.0, 1.0], [0.0, 1.0]]), False),
        (np.array([[1.0, 3.0], [0.0, 0.5]]), True),
        (np.diag([2.0, 0.5]), False),
        (np.array([[0.0, -1.0], [1.0, 0.0]]), True),
        (np.kron(np.eye(2), np.array([[0.0, -1.0], [1.0, 0.0]])) + np.eye(4, k=2), False),
        (np.array([[1j, 0.0], [0.0, 1j]]), True),
        (np.array([[1j, 1.0], [0.0, 1j]]), False),
        (np.diag([1.0, 1.0 - 2.0**-53]), True),
        (np.diag([1.0, 1.0 + 2.0**-52]), False),
        (np.array([[0.6, -0.8], [0.8, 0.6]]), False),
        (np.array([[0.5, 1.0], [0.0, 0.5]]), True),
    ],
)
def test_powers_stay_bounded_iff_unimodular_eigenvalues_are_semisimple(W: Any, bounded: bool) -> None:
    assert powers_stay_bounded(W) is bounded
    assert powers_stay_bounded(W, max_work=0.0) is None


# Edges and bad input


def test_empty_and_one_by_one_matrices_are_valid() -> None:
    empty = spectrum(np.zeros((0, 0)))
    assert (len(empty.eigenvalues), empty.radius, empty.condition, empty.defective) == (0, 0.0, 1.0, False)
    single = spectrum(np.array([[-2.0 + 1.0j]]))
    assert single.eigenvalues.tolist() == [-2.0 + 1.0j]
    assert single.condition == 1.0


@pytest.mark.parametrize("name", BAD_MATRICES)
def test_a_bad_matrix_is_refused(name: str) -> None:
    with pytest.raises(ArgumentError, match="W: got"):
        spectrum(BAD_MATRICES[name])


def test_arguments_are_not_modified() -> None:
    W = np.random.default_rng(0).standard_normal((4, 4))
    kept = W.copy()
    spectrum(W)
    assert np.array_equal(W, kept)
