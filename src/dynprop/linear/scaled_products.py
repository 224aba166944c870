"""Products of matrices to two and three times the working precision, by float64 products that do not round.

Each factor is cut into slices, every slice a multiple of one power of two per row of the left and per
column of the right factor. With k terms and (53 - log₂ k)/2 digits to a slice, a sum of products of two
slices is an integer below 2⁵³ times a power of two at every step, so the BLAS product of them is exact in
any order. What is left over is small, and so is its rounding (Ozaki, Ogita, Oishi and Rump 2012, Numer.
Algorithms 59, section 2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.linear.matrices import Matrix
from dynprop.linear.scaled import FLOOR, SLACK, frobenius, gamma

__all__ = ["Product", "product", "scaled_columns", "subtracted"]


# One real array, or real and imaginary parts.
_Parts: TypeAlias = Sequence[FloatArray]


@dataclass(frozen=True)
class Product:
    """A product: ``exact + rest``, within ``error`` in the Frobenius norm; ``exact`` is not rounded."""

    exact: Matrix
    rest: Matrix
    error: float


def subtracted(a: Product, b: Product) -> tuple[Matrix, float]:
    """Return a - b and a bound of its error in the Frobenius norm: small where the two nearly cancel."""
    difference = a.exact - b.exact
    difference += a.rest - b.rest
    rounded = gamma(3) * (frobenius(difference) + frobenius(a.rest) + frobenius(b.rest))
    return difference, SLACK * (a.error + b.error + rounded)


def product(left: Matrix, right: Matrix) -> Product:
    """Multiply real or complex matrices with entries of size about 1 or less."""
    if np.iscomplexobj(left):
        rows = len(left)
        blocks = np.block([[left.real, -left.imag], [left.imag, left.real]])
        found = _real_product(blocks, np.vstack([right.real, right.imag]))
        exact, rest = (x[:rows] + 1j * x[rows:] for x in (found.exact, found.rest))
        return Product(exact, rest, found.error)
    if np.iscomplexobj(right):
        # Real and imaginary parts of a column, side by side: no copy in and none out.
        found = _real_product(left, np.ascontiguousarray(right).view(np.float64))
        return Product(found.exact.view(np.complex128), found.rest.view(np.complex128), found.error)
    return _real_product(left, right)


def scaled_columns(columns: Matrix, factors: Matrix) -> Product:
    """Multiply the columns of a matrix by one number each."""
    if not np.iscomplexobj(columns):
        return _scaled([columns], [factors[np.newaxis]])
    parts = [columns.real, columns.imag]
    return _scaled(parts, [factors.real[np.newaxis], factors.imag[np.newaxis]])


def _chunks(rows: int) -> list[slice]:
    # Pieces of this many rows stay in cache, and their memory is used again: fresh pages cost more than sums.
    return [slice(start, start + 64) for start in range(0, rows, 64)]


def _real_product(left: FloatArray, right: FloatArray) -> Product:
    terms = left.shape[1]
    digits = (53 - max(terms - 1, 0).bit_length()) // 2
    columns = np.abs(right).max(axis=0, keepdims=True, initial=0.0)
    right_1, right_rest = _split(right, columns, digits)
    right_2, right_3 = _split(right_rest, columns * 2.0**-digits, digits)
    norm, norm_rest, norm_3 = frobenius(right), frobenius(right_rest), frobenius(right_3)
    exact = np.empty((len(left), right.shape[1]))
    rest, error = np.empty(exact.shape), 0.0
    for chunk in _chunks(len(left)):
        rows = np.abs(left[chunk]).max(axis=1, keepdims=True, initial=0.0)
        left_1, left_rest = _split(left[chunk], rows, digits)
        left_2, left_3 = _split(left_rest, rows * 2.0**-digits, digits)
        np.matmul(left_1, right_1, out=exact[chunk])
        # Only what the third slices enter is rounded.
        small = left_1 @ right_3
        small += left_2 @ right_rest
        small += left_3 @ right
        np.matmul(left_1, right_2, out=rest[chunk])
        rest[chunk] += left_2 @ right_1
        rest[chunk] += small
        size = frobenius(left_1) * norm_3 + frobenius(left_2) * norm_rest + frobenius(left_3) * norm
        error += gamma(2) * (frobenius(rest[chunk]) + 2.0 * frobenius(small)) + gamma(terms + 2) * size
    return Product(exact, rest, error * SLACK + (terms + 1) * FLOOR)


def _scaled(columns: list[FloatArray], factors: list[FloatArray]) -> Product:
    size = np.maximum.reduce([np.abs(x).max(axis=0, keepdims=True, initial=0.0) for x in columns])
    reach = np.maximum.reduce([np.abs(x) for x in factors])
    factor_high, factor_low = zip(*(_split(x, reach, 25) for x in factors), strict=True)
    exact = np.empty(columns[0].shape, dtype=np.float64 if len(columns) == 1 else np.complex128)
    rest, error = np.empty_like(exact), 0.0
    for chunk in _chunks(len(exact)):
        high, low = zip(*(_split(x[chunk], size, 25) for x in columns), strict=True)
        exact[chunk] = _times(high, factor_high)
        rest[chunk] = _times(high, factor_low) + _times(low, factors)
        error += _norm(high, factor_low) + _norm(low, factors)
    return Product(exact, rest, gamma(4) * error * SLACK + columns[0].size * FLOOR)


def _times(left: _Parts, right: _Parts) -> Matrix:
    if len(left) == 1:
        return left[0] * right[0]
    result = np.empty(left[0].shape, dtype=np.complex128)
    result.real = left[0] * right[0] - left[1] * right[1]
    result.imag = left[0] * right[1] + left[1] * right[0]
    return result


def _norm(columns: _Parts, factors: _Parts) -> float:
    return sum(map(frobenius, columns)) * max(float(np.abs(x).max(initial=0.0)) for x in factors) * 2.0


def _split(x: FloatArray, largest: FloatArray, digits: int) -> tuple[FloatArray, FloatArray]:
    """Cut off the leading digits of numbers of at most a given size; what is left is exact too."""
    # Adding and subtracting 1.5·2⁵² units of the last digit wanted rounds to it.
    exponent = np.clip(np.frexp(largest)[1], -900, 900)
    shift = np.ldexp(1.5, exponent - digits + 52)
    high = x + shift
    high -= shift
    return high, x - high
