"""The 21 matrix types on which LAPACK tests its nonsymmetric eigenvalue drivers.

Types and numbers are those of xDRVEV (Reference LAPACK, TESTING/EIG/ddrvev.f, "the list of possible
types"); the matrices are drawn by numpy, not by LAPACK's own generators. ULP is 2^-52. Where LAPACK
multiplies by a constant near the overflow or underflow threshold, the case does the scaling,
since it depends on t.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dynprop.arrays import FloatArray, NumericArray
from dynprop.kinds.power.families.normal import reflectors

__all__ = ["LAPACK_TYPES"]

Rng = np.random.Generator
Maker = Callable[[Rng, int, int], NumericArray]
ULP = 2.0**-52


def _evenly_spaced(n: int) -> FloatArray:
    return np.linspace(1.0, ULP, n)


def _geometrically_spaced(n: int) -> FloatArray:
    return np.asarray(ULP ** (np.arange(n) / max(n - 1, 1)))


def _clustered(n: int) -> FloatArray:
    return np.where(np.arange(n) == 0, 1.0, ULP)


def _with_random_signs(rng: Rng, count: int, values: FloatArray) -> FloatArray:
    return np.asarray(values * rng.choice([-1.0, 1.0], (count, len(values))))


def _diagonal(values: Callable[[int], FloatArray]) -> Maker:
    return lambda rng, count, n: np.eye(n) * _with_random_signs(rng, count, values(n))[:, None]


def _upper(rng: Rng, count: int, n: int, values: Callable[[int], FloatArray] | None) -> FloatArray:
    """T with random O(1) entries above the diagonal, or above its 2x2 blocks for random pairs."""
    above = np.triu(rng.uniform(-1.0, 1.0, (count, n, n)), 1)
    if values is not None:
        return np.asarray(above + np.eye(n) * _with_random_signs(rng, count, values(n))[:, None])
    modulus = ULP ** rng.random((count, n))
    diagonal = modulus * rng.choice([-1.0, 1.0], (count, n))
    matrices = above + np.eye(n) * diagonal[:, None]
    for i in range(0, n - 1, 2):
        # Half of the pairs are complex: the same real part twice and opposite signs beside it.
        pair = rng.random(count) < 0.5
        matrices[:, i + 1, i + 1] = np.where(pair, matrices[:, i, i], matrices[:, i + 1, i + 1])
        matrices[:, i, i + 1] = np.where(pair, modulus[:, i + 1], matrices[:, i, i + 1])
        matrices[:, i + 1, i] = np.where(pair, -modulus[:, i + 1], 0.0)
    return np.asarray(matrices)


def _orthogonal_similarity(values: Callable[[int], FloatArray] | None) -> Maker:
    def make(rng: Rng, count: int, n: int) -> NumericArray:
        u = reflectors(rng, count, n)
        return np.asarray(u.swapaxes(-1, -2) @ _upper(rng, count, n, values) @ u)

    return make


def _ill_conditioned(values: Callable[[int], FloatArray] | None) -> Maker:
    """X^-1 T X with the condition of X equal to 1/sqrt(ULP)."""

    def make(rng: Rng, count: int, n: int) -> NumericArray:
        left, right = reflectors(rng, count, n), reflectors(rng, count, n)
        scale = ULP ** (-0.5 * np.arange(n) / max(n - 1, 1))
        inverse = right.swapaxes(-1, -2) @ (left / scale).swapaxes(-1, -2)
        return np.asarray(inverse @ _upper(rng, count, n, values) @ ((left * scale) @ right))

    return make


def _jordan(rng: Rng, count: int, n: int) -> NumericArray:
    return np.broadcast_to(np.eye(n) + np.eye(n, k=-1), (count, n, n)).copy()


def _random(rng: Rng, count: int, n: int) -> NumericArray:
    """Entries in (-1, 1); from n = 4 on two first rows, the last row and outer columns are zero."""
    matrices = rng.uniform(-1.0, 1.0, (count, n, n))
    if n >= 4:
        matrices[:, [0, 1, -1]] = 0.0
        matrices[:, :, [0, -2, -1]] = 0.0
    return matrices


LAPACK_TYPES: dict[int, Maker] = {
    1: lambda rng, count, n: np.zeros((count, n, n)),
    2: lambda rng, count, n: np.broadcast_to(np.eye(n), (count, n, n)).copy(),
    3: _jordan,
    4: _diagonal(_evenly_spaced),
    5: _diagonal(_geometrically_spaced),
    6: _diagonal(_clustered),
    7: _diagonal(_evenly_spaced),
    8: _diagonal(_evenly_spaced),
    9: _orthogonal_similarity(_evenly_spaced),
    10: _orthogonal_similarity(_geometrically_spaced),
    11: _orthogonal_similarity(_clustered),
    12: _orthogonal_similarity(None),
    13: _ill_conditioned(_evenly_spaced),
    14: _ill_conditioned(_geometrically_spaced),
    15: _ill_conditioned(_clustered),
    16: _ill_conditioned(None),
    17: _ill_conditioned(None),
    18: _ill_conditioned(None),
    19: _random,
    20: _random,
    21: _random,
}
