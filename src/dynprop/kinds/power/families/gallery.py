"""Named matrices of the literature: Grcar, Frank, Clement, Wilkinson, Forsythe, Kahan, Toeplitz.

Definitions as in MatrixDepot.jl and Higham's gallery; scaled to a norm near 1, so that powers stay in range.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dynprop.arrays import FloatArray, NumericArray

__all__ = ["GALLERY"]

Rng = np.random.Generator


def grcar(n: int) -> FloatArray:
    """-1 below the diagonal, 1 on it and on three diagonals above: sensitive eigenvalues (Grcar 1989)."""
    return np.asarray(np.triu(np.ones((n, n))) - np.triu(np.ones((n, n)), 4) - np.eye(n, k=-1))


def frank(n: int) -> FloatArray:
    """Upper Hessenberg, determinant 1, ill-conditioned small eigenvalues (Frank 1958)."""
    rows, columns = np.indices((n, n))
    values = n - np.maximum(rows, columns)
    return np.asarray(np.where(columns >= rows - 1, values, 0), dtype=np.float64)


def clement(n: int) -> FloatArray:
    """Tridiagonal with zero diagonal and eigenvalues n - 1, n - 3, ..., 1 - n (Kac; Clement 1959)."""
    k = np.arange(1.0, n)
    return np.asarray(np.diag(k, -1) + np.diag(k[::-1], 1))


def wilkinson_plus(n: int) -> FloatArray:
    """W_n^+: tridiagonal, pairs of eigenvalues that nearly agree (Wilkinson 1965)."""
    diagonal = np.abs(np.arange(n) - (n - 1) / 2.0)
    return np.asarray(np.diag(diagonal) + np.eye(n, k=1) + np.eye(n, k=-1))


def wilkinson_bidiagonal(n: int) -> FloatArray:
    """n, n - 1, ..., 1 with n above: eigenvalues so sensitive that eigenvectors are useless (1965)."""
    return np.asarray(np.diag(np.arange(float(n), 0.0, -1.0)) + n * np.eye(n, k=1))


def forsythe(n: int) -> FloatArray:
    """A Jordan block with one small corner: nearly defective."""
    matrix = 0.5 * np.eye(n) + np.eye(n, k=1)
    matrix[-1, 0] += 2.0**-26
    return np.asarray(matrix)


def kahan(n: int) -> FloatArray:
    """diag(1, s, s^2, ...) (I - c U): nearly singular, though no diagonal entry shows it (Kahan 1966)."""
    s, c = np.sin(1.2), np.cos(1.2)
    return np.asarray(s ** np.arange(n)[:, None] * (np.eye(n) - c * np.triu(np.ones((n, n)), 1)))


def toeplitz(n: int) -> FloatArray:
    """tridiag(1/5, 0, 1): radius below 0.9 and powers that first grow."""
    return np.asarray(np.eye(n, k=1) + 0.2 * np.eye(n, k=-1))


def _copies(matrix: Callable[[int], FloatArray]) -> Callable[[Rng, int, int], NumericArray]:
    def make(rng: Rng, count: int, n: int) -> NumericArray:
        single = matrix(n)
        norm = 2.0 ** np.round(np.log2(max(float(np.linalg.norm(single, 2)), 1.0)))
        return np.broadcast_to(single / norm, (count, n, n)).copy()

    return make


GALLERY: dict[str, Callable[[Rng, int, int], NumericArray]] = {
    "Grcar": _copies(grcar),
    "Frank": _copies(frank),
    "Clement": _copies(clement),
    "Wilkinson, tridiagonal": _copies(wilkinson_plus),
    "Wilkinson, bidiagonal": _copies(wilkinson_bidiagonal),
    "Forsythe": _copies(forsythe),
    "Kahan": _copies(kahan),
    "Toeplitz": _copies(toeplitz),
}
