r"""Scaled float64 arithmetic: arrays with an integer exponent, and bounds of their errors.

An array represents ``mantissa * 2**exponent`` with one integer exponent, so that powers neither overflow nor
underflow. Two facts bound the error (u = 2⁻⁵³, Higham 2002, chapters 2 and 3):

- the error of a sum of k products, in any order, fused or not, is at most γ(k)·Σ|terms|, γ(k) = ku/(1-ku);
  with complex terms each part is a real sum of 2k products, and the total error is at most γ(3k)·Σ|terms|;
- underflow loses less than 2⁻¹⁰⁷⁴ per product. Data are scaled to a largest entry near 1, so that `FLOOR`
  covers n of these losses and their propagation through one product.

Bounds are sums of non-negative numbers in float64 themselves; `SLACK` covers their own rounding up to
10⁸ terms.
"""

from __future__ import annotations

import math

import numpy as np

from dynprop.arrays import FloatArray, IntArray
from dynprop.linear.validation import Matrix

__all__ = [
    "FLOOR",
    "SLACK",
    "UNIT",
    "frobenius",
    "gamma",
    "normalised",
    "normalised_rows",
    "roundings",
    "shifted",
]

UNIT = 2.0**-53
FLOOR = 2.0**-1020
SLACK = 1.0 + 2.0**-20


def gamma(count: float) -> float:
    """Return γ(k) = ku/(1-ku), the bound of k accumulated roundings; infinite where ku >= 1."""
    return count * UNIT / (1.0 - count * UNIT) if count * UNIT < 1.0 else math.inf


def roundings(terms: int, *arrays: Matrix) -> int:
    """Return k such that the error of a sum of products of array entries is at most γ(k)·Σ|terms|."""
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


def normalised_rows(x: Matrix) -> tuple[Matrix, IntArray]:
    """Apply `normalised` to every row of a matrix; exponents are an array."""
    size = np.abs(x.real).max(axis=1, initial=0.0)
    if np.iscomplexobj(x):
        size = np.maximum(size, np.abs(x.imag).max(axis=1, initial=0.0))
    exponents = np.where(np.isfinite(size), np.frexp(size)[1], 0).astype(np.int64)
    y = shifted(x, -exponents[:, np.newaxis])
    if np.iscomplexobj(x):
        beyond = (np.abs(y).max(axis=1, initial=0.0) >= 1.0).astype(np.int64)
        y, exponents = shifted(y, -beyond[:, np.newaxis]), exponents + beyond
    return y, exponents


def frobenius(x: Matrix) -> float:
    """Return the Frobenius norm, rounded up."""
    return float(np.linalg.norm(x)) * SLACK + FLOOR
