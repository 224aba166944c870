"""Products of matrices to two and three times the working precision, by float64 products that do not round.

Each factor is cut into slices, every slice a multiple of one power of two per row of the left and per
column of the right factor. With k terms and (53 - log₂ k)/2 digits to a slice, a sum of products of two
slices is an integer below 2⁵³ times a power of two at every step, so the BLAS product of them is exact in
any order. What is left over is small, and so is its rounding (Ozaki, Ogita, Oishi and Rump 2012, Numer.
Algorithms 59, section 2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.linear.matrices import Matrix
from dynprop.linear.scaled import FLOOR, SLACK, frobenius, gamma

__all__ = ["Product", "product", "scaled_columns", "subtracted"]


@dataclass(frozen=True)
class Product:
    """A product: ``exact + rest``, within ``error`` in the Frobenius norm; ``exact`` is not rounded."""

    exact: Matrix
    rest: Matrix
    error: float


def subtracted(a: Product, b: Product) -> tuple[Matrix, float]:
    """Return a - b and a bound of its error in the Frobenius norm: small where the two nearly cancel."""
    difference = (a.exact - b.exact) + (a.rest - b.rest)
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


def _real_product(left: FloatArray, right: FloatArray) -> Product:
    terms = left.shape[1]
    digits = (53 - max(terms - 1, 0).bit_length()) // 2
    rows = np.abs(left).max(axis=1, keepdims=True, initial=0.0)
    columns = np.abs(right).max(axis=0, keepdims=True, initial=0.0)
    left_1, left_rest = _split(left, rows, digits)
    left_2, left_3 = _split(left_rest, rows * 2.0**-digits, digits)
    right_1, right_rest = _split(right, columns, digits)
    right_2, right_3 = _split(right_rest, columns * 2.0**-digits, digits)
    # Only what the third slices enter is rounded.
    small = left_1 @ right_3 + left_2 @ right_rest + left_3 @ right
    size = frobenius(left_1) * frobenius(right_3) + frobenius(left_2) * frobenius(right_rest)
    size += frobenius(left_3) * frobenius(right)
    middle = left_1 @ right_2 + left_2 @ right_1
    rest = middle + small
    rounded = gamma(2) * (frobenius(middle) + frobenius(small)) + gamma(terms + 2) * size
    return Product(left_1 @ right_1, rest, rounded * SLACK + terms * FLOOR)


def _scaled(columns: list[FloatArray], factors: list[FloatArray]) -> Product:
    size = np.maximum.reduce([np.abs(x).max(axis=0, keepdims=True, initial=0.0) for x in columns])
    reach = np.maximum.reduce([np.abs(x) for x in factors])
    high, low = zip(*(_split(x, size, 25) for x in columns), strict=True)
    factor_high, factor_low = zip(*(_split(x, reach, 25) for x in factors), strict=True)
    rest = _times(high, factor_low) + _times(low, factors)
    lost = _norm(high) * _norm(factor_low) + _norm(low) * _norm(factors)
    error = gamma(4) * lost * SLACK + columns[0].size * FLOOR
    return Product(_times(high, factor_high), rest, error)


def _times(
    left: tuple[FloatArray, ...] | list[FloatArray], right: tuple[FloatArray, ...] | list[FloatArray]
) -> Matrix:
    if len(left) == 1:
        return left[0] * right[0]
    result = np.empty(left[0].shape, dtype=np.complex128)
    result.real = left[0] * right[0] - left[1] * right[1]
    result.imag = left[0] * right[1] + left[1] * right[0]
    return result


def _norm(parts: tuple[FloatArray, ...] | list[FloatArray]) -> float:
    return sum(frobenius(part) for part in parts)


def _split(x: FloatArray, largest: FloatArray, digits: int) -> tuple[FloatArray, FloatArray]:
    """Cut off the leading digits of numbers of at most a given size; what is left is exact too."""
    # Adding and subtracting 1.5·2⁵² units of the last digit wanted rounds to it.
    exponent = np.clip(np.frexp(largest)[1], -900, 900)
    shift = np.ldexp(1.5, exponent - digits + 52)
    high = (x + shift) - shift
    return high, x - high
