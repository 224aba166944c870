"""Powers λᵗ of many numbers to many exponents, in float64, to a few units in the last place.

Repeated squaring doubles the relative error at every squaring, up to tu. So the squares are kept as
unevaluated sums of two floats (Dekker 1971, Numer. Math. 18). With M the larger modulus, u = 2⁻⁵³ and second
floats below uM, the error of a product of two such real sums is at most 8u²M² and that of a sum of two
products 6u² of their sizes. So the error of a complex product is below 20u²M² and that of a power k
relatively below 32ku². A product is rounded to a float and multiplied only once for every four binary digits
of t, which costs 4u each: a complex product has a relative error of at most √2·γ(2) < 3u (Higham 2002,
lemma 3.5).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray, IntArray
from dynprop.linear.arithmetic.errorfree import two_product, two_sum
from dynprop.linear.validation import Matrix

__all__ = ["LARGEST_POWER", "power_roundings", "scaled_powers"]

# Beyond this exponent the squares lose their digits, and an exponent of λᵗ may overflow int64.
LARGEST_POWER = 2**52

# A number as an unevaluated sum of two floats.
_Pair = tuple[FloatArray, FloatArray]


def power_roundings(t: int) -> int:
    """Return k such that a power t from `scaled_powers` has a relative error of at most γ(k)."""
    return 4 * -(-t.bit_length() // 4) + 2 + (t >> 47)


def scaled_powers(
    values: Matrix, times: Sequence[int], tails: Matrix | None = None
) -> tuple[Matrix, IntArray]:
    """Return (values + tails) ** t for every t as (mantissa, exponent), both of shape (len(times), n).

    The sum is taken without rounding; None means zero tails. Mantissas are between 2**-60 and 2**60 (0
    for 0 to a positive power); times are at most `LARGEST_POWER`. The relative error is at most
    γ(`power_roundings`).
    """
    tails = np.zeros(values.shape) if tails is None else tails
    is_complex = np.iscomplexobj(values) or np.iscomplexobj(tails)
    parts = ("real", "imag") if is_complex else ("real",)
    base, base_exponent = _rescaled([two_sum(getattr(values, part), getattr(tails, part)) for part in parts])
    counts = np.array(times, dtype=np.int64)
    mantissa = np.ones((len(counts), len(values)), dtype=np.complex128 if is_complex else np.float64)
    exponent = np.zeros(mantissa.shape, dtype=np.int64)
    for shift in range(0, int(counts.max(initial=0)).bit_length(), 4):
        squares = [(base, base_exponent)]
        for _ in range(4):
            base, step = _rescaled(_times(base, base))
            base_exponent = 2 * base_exponent + step
            squares.append((base, base_exponent))
        digits = (counts >> shift) & 15
        for digit in np.unique(digits[digits > 0]).tolist():
            chosen = digits == digit
            named = [squares[bit] for bit in range(4) if digit >> bit & 1]
            factor, total = named[0]
            for other, more in named[1:]:
                factor, total = _times(factor, other), total + more
            where: Any = slice(None) if chosen.all() else chosen
            mantissa[where] *= factor[0][0] + 1j * factor[1][0] if is_complex else factor[0][0]
            exponent[where] += total
    return mantissa, exponent


def _renormalised(high: FloatArray, low: FloatArray) -> _Pair:
    total = high + low
    return total, low - (total - high)


def _product(a: _Pair, b: _Pair) -> _Pair:
    high, low = two_product(a[0], b[0])
    return _renormalised(high, low + (a[0] * b[1] + a[1] * b[0]))


def _sum(a: _Pair, b: _Pair, sign: float) -> _Pair:
    high, low = two_sum(a[0], sign * b[0])
    return _renormalised(high, low + (a[1] + sign * b[1]))


def _times(a: list[_Pair], b: list[_Pair]) -> list[_Pair]:
    if len(a) == 1:
        return [_product(a[0], b[0])]
    return [
        _sum(_product(a[0], b[0]), _product(a[1], b[1]), -1.0),
        _sum(_product(a[0], b[1]), _product(a[1], b[0]), 1.0),
    ]


def _rescaled(parts: list[_Pair]) -> tuple[list[_Pair], IntArray]:
    size = np.abs(parts[0][0]) if len(parts) == 1 else np.maximum(*(np.abs(high) for high, _ in parts))
    exponent = np.frexp(size)[1]
    return [(np.ldexp(high, -exponent), np.ldexp(low, -exponent)) for high, low in parts], exponent.astype(
        np.int64
    )
