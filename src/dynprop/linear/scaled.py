r"""Scaled float64 arithmetic: numbers of any exponent, and products whose error is known.

An array stands for ``mantissa * 2**exponent`` with an integer exponent of its own, so that powers neither
overflow nor vanish. Three facts bound what is lost (u = 2⁻⁵³, Higham 2002, chapters 2 and 3):

- a sum of k products, in any order, fused or not, errs by at most γ(k)·Σ|terms|, γ(k) = ku/(1-ku);
  with complex terms each part is a real sum of 2k products, and both together err by at most γ(3k)·Σ|terms|;
- one complex product errs by at most √2·γ(2) < 3u (Higham 2002, lemma 3.5), so that a power λᵗ by repeated
  squaring errs by at most γ(3t), or γ(t) if λ is real: t-1 products, however they are nested;
- what underflows is below 2⁻¹⁰⁷⁴ per product. Data are scaled to a largest entry near 1, so that `FLOOR`
  covers n of them and all that follows within one product.

Bounds are sums of non-negative numbers in float64 themselves; `SLACK` covers their own rounding up to
10⁸ terms.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dynprop.arrays import FloatArray, IntArray
from dynprop.linear.matrices import Matrix

__all__ = [
    "FLOOR",
    "LARGEST_POWER",
    "SLACK",
    "UNIT",
    "Product",
    "accurate_product",
    "accurate_scaling",
    "frobenius",
    "gamma",
    "normalised",
    "roundings",
    "scaled_powers",
    "shifted",
]

UNIT = 2.0**-53
FLOOR = 2.0**-1020
SLACK = 1.0 + 2.0**-20

# Beyond it λᵗ has no correct digit in float64, and an exponent of λᵗ may leave int64.
LARGEST_POWER = 2**52


def gamma(count: float) -> float:
    """Return γ(k) = ku/(1-ku), the bound of k accumulated roundings; infinite where ku >= 1."""
    return count * UNIT / (1.0 - count * UNIT) if count * UNIT < 1.0 else math.inf


def roundings(terms: int, *arrays: Matrix) -> int:
    """Return k such that a sum of so many products of entries of the arrays errs by γ(k)·Σ|terms|."""
    return 3 * terms if any(np.iscomplexobj(a) for a in arrays) else terms


def shifted(x: Matrix, exponent: int | IntArray) -> Matrix:
    """Return x * 2**exponent; exact unless it underflows. Exponents broadcast, also over complex x."""
    limited = min(max(exponent, -4200), 4200) if isinstance(exponent, int) else np.clip(exponent, -4200, 4200)
    power = np.asarray(limited, dtype=np.int32)
    if np.iscomplexobj(x):
        complexes = np.empty(np.broadcast_shapes(x.shape, power.shape), dtype=np.complex128)
        complexes.real, complexes.imag = np.ldexp(x.real, power), np.ldexp(x.imag, power)
        return complexes
    reals: FloatArray = np.ldexp(x, power)
    return reals


def normalised(x: Matrix) -> tuple[Matrix, int]:
    """Return (y, e) with x = y * 2**e and max|y| in [0.5, 1), or (x, 0) where x is zero or not finite.

    Entries below 2**-1022 of the largest may lose digits: an absolute error below `FLOOR`.
    """
    # Not the modulus, which may overflow.
    parts = (x.real, x.imag) if np.iscomplexobj(x) else (x,)
    size = max(float(np.abs(part).max(initial=0.0)) for part in parts)
    if size == 0.0 or not math.isfinite(size):
        return x, 0
    exponent = math.frexp(size)[1]
    y = shifted(x, -exponent)
    if np.iscomplexobj(x) and np.abs(y).max() >= 1.0:
        return shifted(x, -exponent - 1), exponent + 1
    return y, exponent


def frobenius(x: Matrix) -> float:
    """Return the Frobenius norm, rounded up."""
    return float(np.linalg.norm(x)) * SLACK + FLOOR


def scaled_powers(values: Matrix, times: Sequence[int]) -> tuple[Matrix, IntArray]:
    """Return values ** t for every t as (mantissa, exponent), both of shape (len(times), len(values)).

    Mantissas are between 2**-60 and 2**60 (0 for 0 to a positive power), times at most `LARGEST_POWER`.
    The relative error is at most γ(t) for real and γ(3t) for complex values (see the module).
    """
    size = np.abs(values)
    base_exponent = np.frexp(size)[1].astype(np.int64)
    base = shifted(values, -base_exponent)
    counts = np.array(times, dtype=np.int64)
    mantissa = np.ones((len(counts), len(values)), dtype=values.dtype)
    exponent = np.zeros(mantissa.shape, dtype=np.int64)
    for bit in range(max((int(t).bit_length() for t in counts), default=0)):
        if bit:
            base = base * base
            step = np.frexp(np.abs(base))[1].astype(np.int64)
            base = shifted(base, -step)
            base_exponent = 2 * base_exponent + step
        chosen = (counts >> bit) & 1 == 1
        if chosen.all():
            mantissa *= base
            exponent += base_exponent
        else:
            mantissa[chosen] *= base
            exponent[chosen] += base_exponent
    return mantissa, exponent


@dataclass(frozen=True)
class Product:
    """A product: ``exact + rest``, within ``error`` in the Frobenius norm; ``exact`` is not rounded."""

    exact: Matrix
    rest: Matrix
    error: float


def accurate_product(left: FloatArray, right: FloatArray) -> Product:
    r"""Multiply real matrices, entries at most 1 in size, to about twice the working precision.

    Each factor is split into leading digits, multiples of one power of two per row of ``left`` and per column
    of ``right``, and a rest. With k terms and :math:`(53 - \log_2 k)/2` leading digits every sum of products
    of leading parts is an integer below 2⁵³ times a power of two, so the BLAS product of them is exact
    in any order; the two remaining products are small, and so is their rounding (Ozaki, Ogita, Oishi and
    Rump 2012, Numer. Algorithms 59, section 2).
    """
    terms = left.shape[1]
    digits = (53 - max(terms - 1, 0).bit_length()) // 2
    left_high, left_low = _split(left, digits, axis=1)
    right_high, right_low = _split(right, digits, axis=0)
    rest = left_high @ right_low + left_low @ right
    size = frobenius(left_high) * frobenius(right_low) + frobenius(left_low) * frobenius(right)
    return Product(left_high @ right_high, rest, gamma(terms + 1) * size * SLACK + terms * FLOOR)


def accurate_scaling(columns: FloatArray, factors: FloatArray) -> Product:
    """Multiply complex columns by complex factors as `accurate_product` does.

    Both are given by their parts, real ones first: shapes (2, n, k) and (2, 1, k). The result is complex.
    """
    high, low = _split(columns, 25, axis=(0, 1))
    factor_high, factor_low = _split(factors, 25, axis=(0, 1))

    def times(left: FloatArray, right: FloatArray) -> Matrix:
        real, imag = left[0] * right[0] - left[1] * right[1], left[0] * right[1] + left[1] * right[0]
        product: Matrix = real + 1j * imag
        return product

    rest = times(high, factor_low) + times(low, factors)
    size = frobenius(high) * frobenius(factor_low) + frobenius(low) * frobenius(factors)
    return Product(times(high, factor_high), rest, gamma(4) * size * SLACK + columns.size * FLOOR)


def _split(x: FloatArray, digits: int, axis: int | tuple[int, int]) -> tuple[FloatArray, FloatArray]:
    largest = np.abs(x).max(axis=axis, keepdims=True, initial=0.0)
    grid = np.clip(digits - np.frexp(largest)[1], -1000, 1000)
    high = np.ldexp(np.rint(np.ldexp(x, grid)), -grid)
    return high, x - high
