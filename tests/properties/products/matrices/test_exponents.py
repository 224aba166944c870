"""Lyapunov exponents: Newman's formula, QR at every step, identities, and stretches that are hard."""

from __future__ import annotations

import itertools
import math
import tracemalloc
from collections.abc import Iterator
from typing import Any

import mpmath  # type: ignore[import-untyped]  # it has no annotations
import numpy as np
import pytest
from flint import arb, arb_mat, ctx
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import digamma, polygamma

from dynprop.arrays import FloatArray
from dynprop.errors import ArgumentError
from dynprop.laws.statistics import STATEMENT, log_chi_square_tail
from dynprop.products import gaussian_exponent_spread, gaussian_exponents, lyapunov_exponents


def by_qr_at_every_step(matrices: Any) -> FloatArray:
    """The textbook loop: the reference that shares nothing with the blocks."""
    frame = np.eye(len(matrices[0]))
    sums = np.zeros(len(frame))
    for matrix in matrices:
        frame, triangle = np.linalg.qr(matrix @ frame)
        with np.errstate(divide="ignore"):
            sums += np.log(np.abs(np.diagonal(triangle)))
    return np.asarray(sums / len(matrices))


def conditioned(rng: np.random.Generator, count: int, n: int, condition: float) -> FloatArray:
    """Matrices with singular values spread geometrically up to a condition number."""
    u, v = (np.linalg.qr(rng.standard_normal((count, n, n)))[0] for _ in range(2))
    return np.asarray((u * np.geomspace(1.0, 1.0 / condition, n)) @ v)


@given(st.integers(1, 300), st.floats(1e-300, 1e300))
def test_gaussian_exponents_are_newmans(width: int, variance: float) -> None:
    """mu_i = (log 2 + psi((N - i + 1)/2)) / 2 + log s, with digamma from balls of 100 bits."""
    found = gaussian_exponents(width, variance)
    with ctx.workprec(100):
        for i in {1, (width + 1) // 2, width}:
            exact = (arb(2).log() + (arb(width - i + 1) / 2).digamma() + arb(variance).log()) / 2
            assert float(abs(arb(float(found[i - 1])) - exact)) <= 4e-16 * (
                2 + abs(math.log(variance)) + math.log(width)
            )
    assert np.all(np.diff(found) < 0)


def test_the_default_variance_keeps_the_sum_of_squares() -> None:
    np.testing.assert_array_equal(gaussian_exponents(7), gaussian_exponents(7, 1 / 7))
    # Computed at 50 digits.
    assert gaussian_exponents(7)[0] == pytest.approx(-0.07480, abs=5e-6)


def test_one_by_one_matrices_are_the_scalar_case() -> None:
    assert gaussian_exponents(1)[0] == pytest.approx(-0.635181422731, abs=1e-12)
    assert gaussian_exponent_spread(1, 1)[0] == pytest.approx(math.pi / math.sqrt(8), rel=1e-14)


@pytest.mark.parametrize("width", [1, 2, 5, 7])
def test_measured_gaussian_exponents_are_within_exact_tails(width: int) -> None:
    """r_ii^2 is chi^2 with N - i + 1 degrees, independent over steps: Chernoff at STATEMENT, at every T."""
    steps = 4000
    matrices = np.random.default_rng(width).standard_normal((steps, width, width))
    found = lyapunov_exponents(matrices)
    for i, exponent in enumerate(found.exponents):
        assert log_chi_square_tail(width - i, steps, 2 * steps * float(exponent)) > STATEMENT
        # The formula with one degree of freedom more, an easy mistake, is far outside.
        assert (
            log_chi_square_tail(width - i + 1, steps, 2 * steps * float(exponent)) < STATEMENT
            or width - i > 5
        )
    spread = gaussian_exponent_spread(width, steps)
    assert np.all(np.abs(found.exponents - gaussian_exponents(width, 1.0)) < 5 * spread)


@pytest.mark.parametrize("width", [2, 6])
def test_measured_spread_is_the_finite_time_spread(width: int) -> None:
    """The standard error from 64 to 128 batches has a relative error of 0.09 or less: 0.5 is 5 of them."""
    matrices = np.random.default_rng(3).standard_normal((20_000, width, width))
    found = lyapunov_exponents(matrices)
    assert np.all(np.abs(found.spread / gaussian_exponent_spread(width, 20_000) - 1.0) < 0.5)


@pytest.mark.parametrize(
    ("name", "n", "condition"),
    [
        ("gaussian", 64, 0.0),
        ("gaussian", 16, 0.0),
        ("gaussian", 3, 0.0),
        ("even", 32, 1.9),
        ("hard", 12, 1e6),
        ("orthogonal", 20, 1.0),
    ],
)
def test_blocks_agree_with_qr_at_every_step(name: str, n: int, condition: float) -> None:
    """Within 1e-8, as promised; observed below 1e-11. The sum is the mean of log|det| (relative 1e-9)."""
    rng = np.random.default_rng(7)
    matrices = (
        rng.standard_normal((400, n, n)) / math.sqrt(n)
        if name == "gaussian"
        else conditioned(rng, 400, n, condition)
    )
    found = lyapunov_exponents(matrices)
    np.testing.assert_allclose(found.exponents, by_qr_at_every_step(matrices), rtol=0, atol=1e-10)
    volume = np.linalg.slogdet(matrices)[1]
    assert found.exponents.sum() == pytest.approx(volume.mean(), rel=1e-9, abs=1e-14)
    assert np.max(found.bounds) <= 1e-8 or name == "hard"
    if name in ("even", "orthogonal"):
        assert found.factorisations < 400 / 4


def test_well_conditioned_stretches_do_not_spoil_hard_ones() -> None:
    """The length of blocks falls when the matrices turn ill-conditioned, and the promise holds throughout."""
    rng = np.random.default_rng(2)
    n = 10
    parts = [conditioned(rng, 300, n, 1.5), conditioned(rng, 100, n, 1e5), conditioned(rng, 300, n, 1.5)]
    matrices = np.concatenate(parts)
    found = lyapunov_exponents(matrices)
    np.testing.assert_allclose(found.exponents, by_qr_at_every_step(matrices), rtol=0, atol=1e-10)
    assert np.max(found.bounds) <= 1e-8
    assert 100 <= found.factorisations <= 400


def test_skipping_the_factorisation_altogether_is_wrong() -> None:
    """The tests above can fail: after 30 steps a plain product has lost its small exponents."""
    matrices = np.random.default_rng(0).standard_normal((30, 32, 32)) / math.sqrt(32)
    product = np.eye(32)
    for matrix in matrices:
        product = matrix @ product
    plain = np.log(np.abs(np.diagonal(np.linalg.qr(product).R))) / 30
    assert np.max(np.abs(plain - by_qr_at_every_step(matrices))) > 1e-3


@given(st.integers(1, 5), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_exponents_of_short_products_are_the_exact_volumes(n: int, steps: int, seed: int) -> None:
    """Sums of the first p exponents are log vol_p of the product, by Gram determinants in 600-bit balls.

    The bound is for the block's own frame; for products this short what follows does not enlarge it much,
    and 100 times the bound is not exceeded (observed: 1).
    """
    matrices = np.random.default_rng(seed).standard_normal((steps, n, n))
    found = lyapunov_exponents(matrices)
    with ctx.workprec(600):
        product = arb_mat(n, n, [float(i == j) for i in range(n) for j in range(n)])
        for matrix in matrices:
            product = arb_mat(n, n, [float(x) for x in matrix.flat]) * product
        volumes = [arb(0)]
        for p in range(1, n + 1):
            part = arb_mat(n, p, [product[i, j] for i in range(n) for j in range(p)])
            volumes.append((part.transpose() * part).det().log() / 2)
        for p, (before, after) in enumerate(itertools.pairwise(volumes)):
            error = float(abs((after - before) / steps - float(found.exponents[p])))
            assert error <= 100 * max(found.bounds[p], 1e-15)


@pytest.mark.parametrize("scale", [1e-200, 1e-30, 1e30, 1e200])
def test_sizes_that_no_float_can_hold_are_logarithms(scale: float) -> None:
    matrices = np.random.default_rng(4).standard_normal((50, 6, 6))
    plain, scaled = lyapunov_exponents(matrices), lyapunov_exponents(matrices * scale)
    np.testing.assert_allclose(scaled.exponents, plain.exponents + math.log(scale), rtol=1e-12)


def test_diagonal_matrices_have_the_logarithms_of_their_entries() -> None:
    matrices = np.tile(np.diag([4.0, 1.0, 0.25]), (200, 1, 1))
    found = lyapunov_exponents(matrices)
    np.testing.assert_allclose(found.exponents, [math.log(4), 0.0, -math.log(4)], atol=1e-14)
    np.testing.assert_allclose(found.spread, 0.0, atol=1e-14)


def test_the_cat_map_has_its_golden_exponent() -> None:
    """Arnold's cat map: log((3 + sqrt 5)/2) = 0.962423650119, and minus that."""
    found = lyapunov_exponents(itertools.repeat(np.array([[2.0, 1.0], [1.0, 1.0]]), 2000))
    np.testing.assert_allclose(found.exponents, [0.962423650119, -0.962423650119], atol=2e-3 / 2)
    assert found.exponents.sum() == pytest.approx(0.0, abs=1e-12)


def test_a_singular_matrix_has_an_exponent_of_minus_infinity() -> None:
    matrices = np.tile(np.diag([2.0, 0.0]), (3, 1, 1))
    found = lyapunov_exponents(matrices)
    assert found.exponents[0] == pytest.approx(math.log(2), abs=1e-13)
    assert found.exponents[1] == -math.inf
    assert found.bounds[0] < 1e-8
    assert found.bounds[1] == math.inf


def test_matrices_beyond_float64_say_so() -> None:
    """Condition 1e18 in one step: no digit of the smallest exponent is known, and the bound is infinite."""
    matrices = conditioned(np.random.default_rng(0), 20, 4, 1e18)
    found = lyapunov_exponents(matrices)
    assert found.bounds[-1] == math.inf
    assert found.bounds[0] < 1e-8


def test_an_iterator_of_any_length_takes_bounded_memory() -> None:
    """An iterator that reuses its buffer, 3000 matrices of 32 kB: 96 MB if they were kept."""

    def stream() -> Iterator[FloatArray]:
        rng, buffer = np.random.default_rng(6), np.empty((64, 64))
        for _ in range(3000):
            rng.standard_normal(out=buffer)
            yield buffer

    np.linalg.qr(np.eye(64))
    tracemalloc.start()
    found = lyapunov_exponents(stream())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8e6
    matrices = np.random.default_rng(6).standard_normal((3000, 64, 64))
    np.testing.assert_allclose(found.exponents, by_qr_at_every_step(matrices), rtol=0, atol=1e-10)


def test_the_spread_of_exponents_shrinks_like_the_root_of_the_steps() -> None:
    np.testing.assert_allclose(
        gaussian_exponent_spread(9, 400), gaussian_exponent_spread(9, 100) / 2, rtol=1e-15
    )
    np.testing.assert_allclose(gaussian_exponent_spread(9, 1) ** 2, polygamma(1, np.arange(9, 0, -1) / 2) / 4)
    # Variance of a log determinant: the exponents are independent.
    assert gaussian_exponents(9).sum() * 2 == pytest.approx(
        sum(math.log(2) + digamma(k / 2) - math.log(9) for k in range(1, 10)), rel=1e-12
    )


def test_matrices_are_not_modified() -> None:
    matrices = np.random.default_rng(0).standard_normal((40, 5, 5))
    before = matrices.copy()
    lyapunov_exponents(matrices)
    np.testing.assert_array_equal(matrices, before)


@pytest.mark.parametrize(
    ("matrices", "argument"),
    [
        ([], "matrices"),
        (np.eye(3), "matrices"),
        ([np.ones((2, 3))], r"matrices\[0\]"),
        ([np.ones((0, 0))], r"matrices\[0\]"),
        ([np.eye(2), np.eye(3)], r"matrices\[1\]"),
        ([np.eye(2), np.full((2, 2), np.nan)], r"matrices\[1\]"),
        ([np.eye(2), np.eye(2, dtype=complex)], r"matrices\[1\]"),
        ([np.eye(2, dtype=int)], r"matrices\[0\]"),
        ([[[1.0]]], r"matrices\[0\]"),
    ],
)
def test_sequences_that_are_no_product_are_refused(matrices: Any, argument: str) -> None:
    with pytest.raises(ArgumentError, match=f"^{argument}: got"):
        lyapunov_exponents(matrices)


@pytest.mark.parametrize(("width", "variance"), [(0, None), (2.5, None), (3, 0.0), (3, -1.0), (3, math.nan)])
def test_gaussian_laws_that_do_not_exist_are_refused(width: Any, variance: Any) -> None:
    with pytest.raises(ArgumentError, match="got"):
        gaussian_exponents(width, variance)


def test_the_bound_covers_the_rounding_of_logarithms_and_their_sum() -> None:
    """Matrices of one entry: nothing is lost but by log, sums and the mean."""
    rng = np.random.default_rng(3)
    for steps in (1, 2, 9, 40):
        for _ in range(50):
            entries = rng.standard_normal(steps) * 10.0 ** rng.uniform(-3.0, 3.0)
            found = lyapunov_exponents(list(entries.reshape(-1, 1, 1)))
            with mpmath.workdps(40):
                exact = sum((mpmath.log(abs(mpmath.mpf(float(x)))) for x in entries), mpmath.mpf(0)) / steps
                error = float(abs(exact - mpmath.mpf(float(found.exponents[0]))))
            assert error <= found.bounds[0] <= 1e-13
