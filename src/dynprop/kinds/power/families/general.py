"""Non-normal matrices: random, ill-conditioned, defective (Jordan forms, plain or under a similarity).

Spectral radii are near 1 where a radius can be chosen. Hidden Jordan forms are made of whole numbers and of
eigenvalues with three bits, by unimodular matrices: the stored floats are exactly defective. Under an
orthogonal similarity, which rounds, they are nearly so.
"""

from __future__ import annotations

import numpy as np

from dynprop.arrays import FloatArray, NumericArray
from dynprop.kinds.power.families.normal import reflectors, rotations, spectra

__all__ = ["jordan_blocks", "similar", "unimodular"]

Rng = np.random.Generator


def gaussian(rng: Rng, count: int, n: int) -> NumericArray:
    """Independent normal entries of variance 1/n: radius near 1 (circular law)."""
    return np.asarray(rng.standard_normal((count, n, n)) / np.sqrt(n))


def complex_gaussian(rng: Rng, count: int, n: int) -> NumericArray:
    """Independent complex normal entries."""
    real, imaginary = rng.standard_normal((2, count, n, n))
    return np.asarray((real + 1j * imaginary) / np.sqrt(2.0 * n))


def complex_symmetric(rng: Rng, count: int, n: int) -> NumericArray:
    """W = W^T and not Hermitian: V^T V is diagonal where V^H V is not."""
    w = complex_gaussian(rng, count, n)
    return np.asarray((w + w.swapaxes(-1, -2)) / 2.0)


def nonnegative(rng: Rng, count: int, n: int) -> NumericArray:
    """Rows that sum to one: products lose no digit to cancellation, at any t."""
    w = rng.random((count, n, n)) ** 3 + 1e-3
    return np.asarray(w / w.sum(axis=-1, keepdims=True))


def triangular(rng: Rng, count: int, n: int) -> NumericArray:
    """Upper triangular, eigenvalues on the diagonal."""
    above = np.triu(rng.standard_normal((count, n, n)), 1) / np.sqrt(n)
    return np.asarray(above + np.eye(n) * spectra(rng, count, n)[:, None])


def similar(rng: Rng, middle: NumericArray, fewest: float, most: float) -> NumericArray:
    """Return X M X^-1, the condition of X between 10^fewest and 10^most; complex X for complex M."""
    count, n, _ = middle.shape
    dtype = complex if np.iscomplexobj(middle) else float
    left, right = reflectors(rng, count, n, dtype=dtype), reflectors(rng, count, n, dtype=dtype)
    scale = 10.0 ** (rng.uniform(fewest, most, (count, 1)) * np.linspace(0.0, 1.0, n))
    x = (left * scale[:, None]) @ right
    inverse = right.conj().swapaxes(-1, -2) @ (left / scale[:, None]).conj().swapaxes(-1, -2)
    return np.asarray(x @ middle @ inverse)


def diagonalisable(rng: Rng, count: int, n: int) -> NumericArray:
    """X diag(l) X^-1, condition of the eigenvectors up to 10^5."""
    return similar(rng, np.eye(n) * spectra(rng, count, n)[:, None], 0.0, 5.0)


def repeated(rng: Rng, count: int, n: int) -> NumericArray:
    """X diag(l) X^-1 with every eigenvalue repeated, and not defective."""
    values = rng.choice([0.5, -0.75, 1.0], (count, 1)) * np.where(np.arange(n) % 3 == 2, 0.5, 1.0)
    return similar(rng, np.eye(n) * values[:, None], 0.0, 2.0)


def complex_pairs(rng: Rng, count: int, n: int) -> NumericArray:
    """X B X^-1 with rotations in B: real, not normal, complex pairs of eigenvalues."""
    return similar(rng, rotations(rng, count, n), 0.0, 3.0)


def jordan_blocks(rng: Rng, count: int, n: int) -> FloatArray:
    """Return Jordan matrices whose first block has at least two rows where n allows it.

    Eigenvalues are multiples of 1/8, at most 9/8 in magnitude.
    """
    ends = rng.random((count, max(n - 1, 0))) < 0.3
    ends[:, :1] = False
    starts = np.concatenate([np.zeros((count, 1), dtype=bool), ends], axis=1)[:, :n]
    block = np.cumsum(starts, axis=1)
    values = rng.integers(-9, 10, (count, n)) / 8.0
    matrices = np.eye(n) * np.take_along_axis(values, block, axis=1)[:, None]
    rows = np.arange(n - 1)
    matrices[:, rows, rows + 1] = np.where(ends[:, : n - 1], 0.0, 1.0)
    return np.asarray(matrices)


def unimodular(rng: Rng, count: int, n: int) -> tuple[FloatArray, FloatArray]:
    """Return matrices of whole numbers with determinant 1, and their inverses, exactly."""
    lower = np.tril(rng.integers(-1, 2, (count, n, n)), -1).astype(np.float64)
    upper = np.triu(rng.integers(-1, 2, (count, n, n)), 1).astype(np.float64)
    # Sparse factors keep the entries of the product small, so that nothing is rounded.
    lower *= rng.random((count, n, n)) < 2.0 / max(n, 2)
    upper *= rng.random((count, n, n)) < 2.0 / max(n, 2)
    return (lower + np.eye(n)) @ (upper + np.eye(n)), _inverse(upper) @ _inverse(lower)


def _inverse(nilpotent: FloatArray) -> FloatArray:
    """(I + N)^-1 = (I - N)(I + N^2)(I + N^4)... for nilpotent N."""
    n = nilpotent.shape[-1]
    product, power = np.eye(n) - nilpotent, nilpotent @ nilpotent
    for _ in range(max(n, 1).bit_length()):
        product, power = product @ (np.eye(n) + power), power @ power
    return np.asarray(product)


def jordan(rng: Rng, count: int, n: int) -> NumericArray:
    """Jordan blocks without a similarity."""
    return jordan_blocks(rng, count, n)


def jordan_single(rng: Rng, count: int, n: int) -> NumericArray:
    """One Jordan block as large as the matrix: its powers are binomials."""
    value = rng.integers(-9, 10, (count, 1, 1)) / 8.0
    return np.asarray(value * np.eye(n) + np.eye(n, k=1))


def jordan_unimodular(rng: Rng, count: int, n: int) -> NumericArray:
    """Jordan blocks hidden by an exact similarity of whole numbers."""
    x, inverse = unimodular(rng, count, n)
    return np.asarray(x @ jordan_blocks(rng, count, n) @ inverse)


def jordan_orthogonal(rng: Rng, count: int, n: int) -> NumericArray:
    """Jordan blocks hidden by an orthogonal similarity, which rounds: nearly defective."""
    q = reflectors(rng, count, n)
    return np.asarray(q @ jordan_blocks(rng, count, n) @ q.swapaxes(-1, -2))


def near_defective(rng: Rng, count: int, n: int) -> NumericArray:
    """Jordan blocks with a perturbation of 1e-4 to 1e-15."""
    size = 10.0 ** rng.uniform(-15.0, -4.0, (count, 1, 1))
    return np.asarray(jordan_blocks(rng, count, n) + size * rng.standard_normal((count, n, n)))


def nilpotent(rng: Rng, count: int, n: int) -> NumericArray:
    """Strictly triangular matrices of whole numbers, half of them hidden: radius 0, and no early zero."""
    inner = np.triu(rng.integers(-2, 3, (count, n, n)), 1).astype(np.float64)
    x, inverse = unimodular(rng, count, n)
    hidden = rng.random((count, 1, 1)) < 0.5
    return np.asarray(np.where(hidden, x @ inner @ inverse, inner))


def graded(rng: Rng, count: int, n: int) -> NumericArray:
    """Rows and columns that fall by orders of magnitude."""
    grading = 10.0 ** (-rng.uniform(0.5, 2.5, (count, 1)) * np.arange(n))
    return np.asarray(grading[:, :, None] * gaussian(rng, count, n) * grading[:, None, :] * np.sqrt(n))


def block_diagonal(rng: Rng, count: int, n: int) -> NumericArray:
    """Two uncoupled diagonal blocks: the zeros outside them are exact."""
    cut = rng.integers(1, max(n, 2), (count, 1))
    first = np.arange(n)[None, :] < cut
    same = first[:, :, None] == first[:, None, :]
    return np.asarray(np.where(same, gaussian(rng, count, n), 0.0))


def rank_one(rng: Rng, count: int, n: int) -> NumericArray:
    """Rank one, u v^T: eigenvalue 0 with n - 1 eigenvectors."""
    return np.asarray(rng.standard_normal((count, n, 1)) @ rng.standard_normal((count, 1, n)) / n)


def integer(rng: Rng, count: int, n: int) -> NumericArray:
    """Whole numbers from -2 to 2: nothing is rounded while products stay below 1/u."""
    return rng.integers(-2, 3, (count, n, n)).astype(np.float64)


def companion(rng: Rng, count: int, n: int) -> NumericArray:
    """Companion matrices of polynomials with random coefficients."""
    matrices = np.zeros((count, n, n))
    matrices[:, np.arange(1, n), np.arange(n - 1)] = 1.0
    matrices[:, 0] += rng.uniform(-1.0, 1.0, (count, n))
    return matrices
