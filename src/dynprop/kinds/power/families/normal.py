r"""Normal matrices, drawn many at a time: their eigenvectors are well-conditioned.

Orthogonal factors are products of at least two reflectors: a single one is symmetric, and then
:math:`Q^T\Lambda^tQ = Q\Lambda^tQ^T` hides the textbook's mistake (spectra and norms never show it).
Every matrix here has spectral radius near 1; a gain is multiplied on afterwards.
"""

from __future__ import annotations

import numpy as np

from dynprop.arrays import FloatArray, NumericArray

__all__ = ["reflectors", "rotations", "spectra"]

Rng = np.random.Generator


def reflectors(rng: Rng, count: int, n: int, *, dtype: type = float) -> NumericArray:
    """Return products of max(2, n) Householder reflectors with random signs, shape (count, n, n).

    Args:
        rng: where the directions come from.
        count: number of matrices.
        n: their size.
        dtype: float for orthogonal, complex for unitary matrices.
    """
    product: NumericArray = np.broadcast_to(np.eye(n, dtype=dtype), (count, n, n)).copy()
    for _ in range(max(2, n)):
        v: NumericArray = rng.standard_normal((count, n, 1)).astype(dtype)
        if dtype is complex:
            v = v + 1j * rng.standard_normal((count, n, 1))
        adjoint = v.conj().swapaxes(-1, -2)
        product = product - (product @ v) @ (2.0 / (adjoint @ v) * adjoint)
    if dtype is complex:
        return np.asarray(product * np.exp(2j * np.pi * rng.random((count, 1, n))))
    return np.asarray(product * rng.choice([-1.0, 1.0], (count, 1, n)))


def spectra(rng: Rng, count: int, n: int) -> FloatArray:
    """Return real spectra with largest magnitude 1: spread, geometric, clustered, repeated, tied."""
    kind = rng.integers(0, 5, (count, 1))
    spread = rng.uniform(-1.0, 1.0, (count, n))
    sign = rng.choice([-1.0, 1.0], (count, n))
    geometric = sign * 10.0 ** (-rng.uniform(0.0, 3.0, (count, 1)) * np.arange(n) / max(n, 1))
    clustered = 1.0 - 10.0 ** rng.uniform(-12.0, -1.0, (count, 1)) * rng.random((count, n))
    repeated = np.where(np.arange(n) % 2, spread[:, :1], spread[:, -1:])
    tied = np.where(np.arange(n) < 2, np.where(np.arange(n) == 1, -1.0, 1.0), 0.9 * spread)
    spectrum = np.choose(kind, [spread, geometric, clustered, repeated, tied])
    largest = np.abs(spectrum).max(axis=1, keepdims=True)
    return np.asarray(spectrum / np.where(largest > 0.0, largest, 1.0))


def symmetric(rng: Rng, count: int, n: int) -> NumericArray:
    """Q diag(l) Q^T."""
    q = reflectors(rng, count, n)
    w = (q * spectra(rng, count, n)[:, None]) @ q.swapaxes(-1, -2)
    return np.asarray((w + w.swapaxes(-1, -2)) / 2.0)


def orthogonal(rng: Rng, count: int, n: int) -> NumericArray:
    """Isometries, up to rounding."""
    return reflectors(rng, count, n)


def rotations(rng: Rng, count: int, n: int) -> FloatArray:
    """Block-diagonal rotations with a modulus each, an odd last entry real."""
    blocks = np.zeros((count, n, n))
    angle = rng.uniform(0.0, np.pi, (count, n))
    modulus = np.where(rng.random((count, 1)) < 0.4, 1.0, rng.uniform(0.3, 1.0, (count, n)))
    for i in range(0, n - 1, 2):
        blocks[:, i, i] = blocks[:, i + 1, i + 1] = modulus[:, i] * np.cos(angle[:, i])
        blocks[:, i + 1, i] = modulus[:, i] * np.sin(angle[:, i])
        blocks[:, i, i + 1] = -blocks[:, i + 1, i]
    if n % 2:
        blocks[:, -1, -1] = modulus[:, -1] * rng.choice([-1.0, 1.0], count)
    return blocks


def normal_pairs(rng: Rng, count: int, n: int) -> NumericArray:
    """Q B Q^T with 2x2 rotations in B: normal, real, complex pairs of eigenvalues."""
    q = reflectors(rng, count, n)
    return np.asarray(q @ rotations(rng, count, n) @ q.swapaxes(-1, -2))


def circulant(rng: Rng, count: int, n: int) -> NumericArray:
    """Circulants: eigenvectors are Fourier modes."""
    row = rng.standard_normal((count, n)) / n
    index = (np.arange(n)[None, :] - np.arange(n)[:, None]) % n
    return np.asarray(row[:, index])


def signed_permutation(rng: Rng, count: int, n: int) -> NumericArray:
    """Exact isometries: one entry of magnitude 1 in every row and column."""
    order = rng.permuted(np.tile(np.arange(n), (count, 1)), axis=1)
    matrices = np.zeros((count, n, n))
    matrices[np.arange(count)[:, None], np.arange(n), order] = rng.choice([-1.0, 1.0], (count, n))
    return matrices


def diagonal(rng: Rng, count: int, n: int) -> NumericArray:
    """Diagonal matrices: uncoupled components."""
    return np.asarray(np.eye(n) * spectra(rng, count, n)[:, None])


def identity(rng: Rng, count: int, n: int) -> NumericArray:
    """The identity; a gain makes it any multiple."""
    return np.broadcast_to(np.eye(n), (count, n, n)).copy()


def zero(rng: Rng, count: int, n: int) -> NumericArray:
    """The zero matrix."""
    return np.zeros((count, n, n))


def hermitian(rng: Rng, count: int, n: int) -> NumericArray:
    """U diag(l) U^H with real l: W^T is not W."""
    u = reflectors(rng, count, n, dtype=complex)
    w = (u * spectra(rng, count, n)[:, None]) @ u.conj().swapaxes(-1, -2)
    return np.asarray((w + w.conj().swapaxes(-1, -2)) / 2.0)


def unitary(rng: Rng, count: int, n: int) -> NumericArray:
    """Complex isometries, up to rounding."""
    return reflectors(rng, count, n, dtype=complex)


def complex_normal(rng: Rng, count: int, n: int) -> NumericArray:
    """U diag(l) U^H with complex l."""
    u = reflectors(rng, count, n, dtype=complex)
    values = spectra(rng, count, n) * np.exp(2j * np.pi * rng.random((count, n)))
    return np.asarray((u * values[:, None]) @ u.conj().swapaxes(-1, -2))
