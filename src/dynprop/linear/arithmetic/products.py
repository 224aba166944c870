"""Matrix products to two and three times the working precision, from exact float64 products.

Each factor is cut into slices. The entries of a slice are multiples of one power of two per row of the left
factor, per column of the right one. With k terms and (53 - log₂ k)/2 digits to a slice, every partial sum
of products of two slices is an integer below 2⁵³ times a power of two, so the BLAS product of two slices is
exact in any order of summation. The remainder is small, and so is its rounding error (Ozaki, Ogita, Oishi
and Rump 2012, Numer. Algorithms 59, section 2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.linear.arithmetic.errorfree import compensated_sum, two_product
from dynprop.linear.arithmetic.scaled import FLOOR, SLACK, frobenius, gamma
from dynprop.linear.validation import Matrix

__all__ = ["Product", "diagonal_residual", "less_scaled", "product", "subtracted"]


# One real array, or real and imaginary parts.
_Parts: TypeAlias = Sequence[FloatArray]

# Rows that are treated at a time. Pieces of this size stay in cache and reuse their memory: page faults
# cost more than sums.
_ROWS = 128


@dataclass(frozen=True)
class Product:
    """A product ``exact + rest`` with an error of at most ``error`` in the Frobenius norm."""

    exact: Matrix
    rest: Matrix
    error: float


def subtracted(a: Product, b: Product) -> tuple[Matrix, float]:
    """Return a - b and a bound of its error in the Frobenius norm, small where a and b nearly cancel.

    The arrays of a are overwritten: for large matrices, allocating memory costs more than the sums.
    """
    sizes = frobenius(a.rest) + frobenius(b.rest)
    difference, rest = a.exact, a.rest
    difference -= b.exact
    rest -= b.rest
    difference += rest
    return difference, SLACK * (a.error + b.error + gamma(3) * (frobenius(difference) + sizes))


def product(left: Matrix, right: Matrix, slices: int = 3) -> Product:
    """Multiply real or complex matrices with entries of size about 1 or less, cut into 2 or 3 slices."""
    if np.iscomplexobj(left):
        rows = len(left)
        blocks = np.block([[left.real, -left.imag], [left.imag, left.real]])
        found = _real_product(blocks, np.vstack([right.real, right.imag]), slices)
        exact, rest = (x[:rows] + 1j * x[rows:] for x in (found.exact, found.rest))
        return Product(exact, rest, found.error)
    if np.iscomplexobj(right):
        # View the real and imaginary parts of a column as two columns: no copies.
        found = _real_product(left, np.ascontiguousarray(right).view(np.float64), slices)
        return Product(found.exact.view(np.complex128), found.rest.view(np.complex128), found.error)
    return _real_product(left, right, slices)


def less_scaled(a: Product, columns: Matrix, factors: Matrix) -> tuple[Matrix, float]:
    """Return a - columns * factors (one factor per column) and a bound of its error, as `subtracted`.

    The arrays of a are overwritten, a few rows at a time.
    """
    if np.iscomplexobj(columns):
        parts, numbers = [columns.real, columns.imag], [factors.real[np.newaxis], factors.imag[np.newaxis]]
    else:
        parts, numbers = [columns], [factors[np.newaxis]]
    largest = np.maximum.reduce([np.abs(x).max(axis=0, keepdims=True, initial=0.0) for x in parts])
    sizes = np.maximum.reduce([np.abs(x) for x in numbers])
    factor_high, factor_low = zip(*(_split(x, sizes, 25) for x in numbers), strict=True)
    bound, error, squares = a.error, 0.0, 0.0
    for chunk in _chunks(len(columns)):
        high, low = zip(*(_split(x[chunk], largest, 25) for x in parts), strict=True)
        rest = _times(high, factor_low) + _times(low, numbers)
        piece = Product(_times(high, factor_high), rest, 0.0)
        error += _norm(high, factor_low) + _norm(low, numbers)
        _, rounded = subtracted(Product(a.exact[chunk], a.rest[chunk], 0.0), piece)
        squares += rounded**2
    bound += gamma(4) * error * SLACK + columns.size * FLOOR
    return a.exact, SLACK * (bound + math.sqrt(squares))


def diagonal_residual(A: Matrix, S: Matrix, values: Matrix) -> tuple[Matrix, float]:
    """Return A S - S diag(values) and a bound of its error in the Frobenius norm.

    Unlike `less_scaled`, no intermediate sum is rounded to the working precision: the error is about
    u² ‖A‖‖S‖ instead of u 2⁻²² ‖A‖‖S‖, at twice the cost.
    """
    if np.iscomplexobj(A):
        right = _sliced(np.vstack([S.real, S.imag]))
    else:
        right = _sliced(np.ascontiguousarray(S).view(np.float64) if np.iscomplexobj(S) else S)
    result, squares = np.empty(S.shape, dtype=np.result_type(A, S)), 0.0
    for chunk in _chunks(len(A)):
        result[chunk], error = _rows_of_residual(A[chunk], S[chunk], values, right)
        squares += error**2
    floor = (4.0 if np.iscomplexobj(S) else 1.0) * S.size * FLOOR
    return result, SLACK * math.sqrt(squares) + floor


def _rows_of_residual(A: Matrix, S: Matrix, values: Matrix, right: _Slices) -> tuple[Matrix, float]:
    """Return some rows of `diagonal_residual`, from those of A and S, and a bound of their error."""
    if np.iscomplexobj(A):
        rows = len(A)
        stacked, error = _exact_levels(np.block([[A.real, -A.imag], [A.imag, A.real]]), right)
        levels = [(x[:rows], x[rows:]) for x in stacked]
    elif np.iscomplexobj(S):
        viewed, error = _exact_levels(A, right)
        levels = [(x[:, 0::2], x[:, 1::2]) for x in viewed]
    else:
        real, error = _exact_levels(A, right)
        total, rounding = compensated_sum([*real, *_negative_product(S, values)])
        return total, SLACK * (error + rounding)
    parts = S.real, S.imag, values.real, values.imag
    reals = [x for x, _ in levels]
    reals += [*_negative_product(parts[0], parts[2]), *_negative_product(-parts[1], parts[3])]
    imags = [y for _, y in levels]
    imags += [*_negative_product(parts[0], parts[3]), *_negative_product(parts[1], parts[2])]
    result = np.empty(S.shape, dtype=np.complex128)
    result.real, first = compensated_sum(reals)
    result.imag, second = compensated_sum(imags)
    return result, SLACK * (error + math.hypot(first, second))


def _negative_product(columns: FloatArray, factors: FloatArray) -> tuple[FloatArray, FloatArray]:
    return two_product(columns, -factors[np.newaxis])


@dataclass(frozen=True)
class _Slices:
    """The three slices of a right factor, and their Frobenius norms."""

    parts: tuple[FloatArray, FloatArray, FloatArray]
    norms: tuple[float, float, float]


def _sliced(right: FloatArray) -> _Slices:
    digits = _digits(len(right))
    columns = np.abs(right).max(axis=0, keepdims=True, initial=0.0)
    first, below = _split(right, columns, digits)
    second, third = _split(below, columns * 2.0**-digits, digits, below)
    parts = first, second, third
    norms = frobenius(first), frobenius(second), frobenius(third)
    return _Slices(parts, norms)


def _exact_levels(left: FloatArray, right: _Slices) -> tuple[list[FloatArray], float]:
    """Return matrices whose sum is left @ right, and a bound of the error in the Frobenius norm.

    All but the last are exact; the last is smaller than the product by twice the digits of a slice.
    """
    terms = left.shape[1]
    digits = _digits(terms)
    rows = np.abs(left).max(axis=1, keepdims=True, initial=0.0)
    right_0, right_1, right_2 = right.parts
    left_0, after = _split(left, rows, digits)
    left_1, left_2 = _split(after, rows * 2.0**-digits, digits)
    small = left_2 @ right_0
    small += after @ right_1
    small += left @ right_2
    error = gamma(2) * 3.0 * frobenius(small)
    error += gamma(terms + 2) * sum(
        frobenius(x) * norm for x, norm in zip((left_2, after, left), right.norms, strict=True)
    )
    levels = [left_0 @ right_0, left_0 @ right_1, left_1 @ right_0, small]
    return levels, error * SLACK + (terms + 1) * FLOOR


def _digits(terms: int) -> int:
    """Return how many digits of a slice make products of that many terms exact."""
    return (53 - max(terms - 1, 0).bit_length()) // 2


def _chunks(rows: int) -> list[slice]:
    return [slice(start, start + _ROWS) for start in range(0, rows, _ROWS)]


def _real_product(left: FloatArray, right: FloatArray, slices: int) -> Product:
    terms = left.shape[1]
    digits = _digits(terms)
    columns = np.abs(right).max(axis=0, keepdims=True, initial=0.0)
    rights = list(_split(right, columns, digits))
    if slices == 3:
        # Cut the rest of the right factor in place.
        rights[1:] = _split(rights[1], columns * 2.0**-digits, digits, rights[1])
    norms = [frobenius(x) for x in rights]
    exact = np.empty((len(left), right.shape[1]))
    rest, error = np.empty(exact.shape), 0.0
    for chunk in _chunks(len(left)):
        rows = np.abs(left[chunk]).max(axis=1, keepdims=True, initial=0.0)
        first, after = _split(left[chunk], rows, digits)
        np.matmul(first, rights[0], out=exact[chunk])
        # The last slices are not cut further, so their products are rounded: pair them from the small end.
        lefts = [after, left[chunk]]
        if slices == 3:
            second, last = _split(after, rows * 2.0**-digits, digits)
            np.matmul(first, rights[1], out=rest[chunk])
            rest[chunk] += second @ rights[0]
            lefts = [last, after, left[chunk]]
        small = lefts[0] @ rights[0]
        for x, y in zip(lefts[1:], rights[1:], strict=True):
            small += x @ y
        if slices == 3:
            rest[chunk] += small
        else:
            rest[chunk] = small
        size = sum(frobenius(x) * norm for x, norm in zip(lefts, norms, strict=True))
        error += gamma(2) * (frobenius(rest[chunk]) + 2.0 * frobenius(small)) + gamma(terms + 2) * size
    return Product(exact, rest, error * SLACK + (terms + 1) * FLOOR)


def _times(left: _Parts, right: _Parts) -> Matrix:
    if len(left) == 1:
        return left[0] * right[0]
    result = np.empty(left[0].shape, dtype=np.complex128)
    result.real = left[0] * right[0] - left[1] * right[1]
    result.imag = left[0] * right[1] + left[1] * right[0]
    return result


def _norm(columns: _Parts, factors: _Parts) -> float:
    return sum(map(frobenius, columns)) * max(float(np.abs(x).max(initial=0.0)) for x in factors) * 2.0


def _split(
    x: FloatArray, largest: FloatArray, digits: int, low: FloatArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """Split x into its leading digits, relative to ``largest`` ≥ |x|, and an exact remainder.

    The remainder is written to ``low``, which may be x.
    """
    # Adding and subtracting 1.5·2⁵² units of the last wanted digit rounds to that digit.
    exponent = np.clip(np.frexp(largest)[1], -900, 900)
    shift = np.ldexp(1.5, exponent - digits + 52)
    high = x + shift
    high -= shift
    return high, np.subtract(x, high, out=low)
