r"""Exact powers: Arb balls of python-flint, reported as unevaluated sums of two floats.

Stored floats are rationals, and Arb computes with them at any exponent. A product tree of p bits is off by
at most :math:`\gamma_{nt}(2^{-p})\,|W^T|^t|h|` (Higham 2002, section 3.5, with another unit), so that
160 bits leave :math:`2^{-100}` of the componentwise scale. Where that scale is far above the state
itself (an orthogonal W, say), ``bits_for`` adds what a normwise bound of :math:`\|W\|_2^t\|h\|_2` needs,
and a single state is computed again with more bits until its balls are narrow beside its length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import acb, acb_mat, arb, arb_mat, fmpq, fmpq_mat

from dynprop.arrays import NumericArray
from dynprop.laws.exact import BITS, working_precision

__all__ = [
    "MOST_BITS",
    "TwoPart",
    "bits_for",
    "combined",
    "is_zero_state",
    "power_state",
    "power_states",
    "scaled_error",
]

MOST_BITS = 6000


@dataclass(frozen=True)
class TwoPart:
    """A real or complex array as the unevaluated sum of two, about 106 bits together."""

    high: NumericArray
    low: NumericArray

    def away_from(self, value: NumericArray) -> NumericArray:
        """Return value - self, rounded once."""
        with np.errstate(all="ignore"):
            return np.asarray((value - self.high) - self.low)


def bits_for(w: NumericArray, t: int) -> int:
    """Return a precision whose error is negligible against the normwise bound of every evaluation."""
    if not w.any():
        return BITS
    with np.errstate(all="ignore"):
        growth = np.linalg.norm(np.abs(w), 2) / np.linalg.norm(w, 2)
    extra = t * np.log2(growth) if np.isfinite(growth) and growth > 0.0 else np.inf
    return int(BITS + np.ceil(min(max(extra, 0.0), float(MOST_BITS))))


def _matrix(values: NumericArray) -> Any:
    rows, columns = values.shape
    flat = values.ravel().tolist()
    if np.iscomplexobj(values):
        return acb_mat(rows, columns, [acb(v.real, v.imag) for v in flat])
    return arb_mat(rows, columns, flat)


def _high_and_low(value: arb) -> tuple[float, float]:
    high = float(value)
    # Beyond the range of float64 there is no second part; such entries are never decided.
    return high, float(value - high) if abs(high) < np.inf else 0.0


def _two_part(rows: Sequence[Sequence[Any]], *, complex_: bool) -> TwoPart:
    if not complex_:
        parts = np.array([[_high_and_low(v) for v in row] for row in rows]).reshape(len(rows), -1, 2)
        return TwoPart(parts[..., 0], parts[..., 1])
    components = [[(*_high_and_low(v.real), *_high_and_low(v.imag)) for v in row] for row in rows]
    values = np.array(components).reshape(len(rows), -1, 4)
    return TwoPart(values[..., 0] + 1j * values[..., 2], values[..., 1] + 1j * values[..., 3])


def power_states(w: NumericArray, h: NumericArray, steps: int, *, bits: int | None = None) -> TwoPart:
    """Return h_0 to h_steps of h_t = h_{t-1} @ W, shape (steps + 1, n)."""
    with working_precision(bits_for(w, steps) if bits is None else bits):
        matrix, state = _matrix(w), _matrix(h[None])
        rows = [state.entries()]
        for _ in range(steps):
            state = state * matrix
            rows.append(state.entries())
        return _two_part(rows, complex_=np.iscomplexobj(w))


def power_state(w: NumericArray, h: NumericArray, t: int, *, bits: int | None = None) -> TwoPart:
    """Return h @ W^t, shape (n,), to 80 bits of its largest component, also under cancellation.

    Args:
        w: shape (n, n).
        h: shape (n,).
        t: number of steps.
        bits: bits to begin with; they are doubled until the balls are small enough, or 6,000 are used up.
    """
    bits = bits_for(w, t) if bits is None else bits
    while True:
        with working_precision(bits):
            balls = _state_balls(w, h, t)
            if bits >= MOST_BITS or _is_narrow(balls):
                state = _two_part([balls], complex_=np.iscomplexobj(w))
                return TwoPart(state.high[0], state.low[0])
        bits *= 2


def _state_balls(w: NumericArray, h: NumericArray, t: int) -> list[Any]:
    """Return h @ W^t as balls: step by step where that is cheaper, else by repeated squaring."""
    matrix, state = _matrix(w), _matrix(h[None])
    if t > 2 * len(h) * max(t, 1).bit_length():
        # Each power multiplies the state, not another power, which saves a third of the work of W^t.
        while t:
            if t & 1:
                state = state * matrix
            t >>= 1
            matrix = matrix * matrix if t else matrix
        return list(state.entries())
    for _ in range(t):
        state = state * matrix
    return list(state.entries())


def _is_narrow(balls: Sequence[Any]) -> bool:
    """Whether every radius is 2^-80 of the largest component, or below anything that float64 holds."""
    real = [part for v in balls for part in ((v.real, v.imag) if isinstance(v, acb) else (v,))]
    widest, largest = max(v.rad() for v in real), max(abs(v).mid() for v in real)
    return bool(widest <= largest * arb(2) ** -80 or widest < arb(2) ** -1100)


def combined(rows: NumericArray, vector: TwoPart) -> TwoPart:
    """Return rows @ (high + low) exactly rounded to two parts; shapes (k, n) and (n,), all real."""
    with working_precision(4 * BITS):
        column = _matrix(vector.high[:, None]) + _matrix(vector.low[:, None])
        product = _two_part([(_matrix(rows) * column).entries()], complex_=False)
    return TwoPart(product.high[0], product.low[0])


def scaled_error(
    w: NumericArray, h: NumericArray, t: int, value: NumericArray, exponent: int, *, bits: int
) -> tuple[arb, arb]:
    """Return a lower and an upper bound of max|h @ W^t 2^-exponent - value|, at any t and exponent.

    Args:
        w: shape (n, n).
        h: shape (n,).
        t: number of steps.
        value: the claimed state without its exponent, shape (n,).
        exponent: its power of two, of any size.
        bits: precision; the two bounds approach each other as it grows.
    """
    dtype = np.result_type(w, h, value)
    with working_precision(bits):
        balls, unit = _state_balls(w.astype(dtype), h.astype(dtype), t), arb((1, -exponent))
        claimed = _matrix(value.astype(dtype)[None]).entries()
        differences = [x * unit - y for x, y in zip(balls, claimed, strict=True)]
        return max(x.abs_lower() for x in differences), max(x.abs_upper() for x in differences)


def is_zero_state(w: NumericArray, h: NumericArray, t: int) -> bool:
    """Whether h @ W^t is exactly zero, in rational arithmetic.

    If any power takes h to zero, the one of the size of W does: h then lies in the part on which W is
    nilpotent (Fitting's decomposition).
    """
    n = len(h)
    rows, matrix = [h.real, h.imag], [w.real, w.imag]
    state = _rational_matrix(np.concatenate(rows)[None])
    step = _rational_matrix(np.block([[matrix[0], matrix[1]], [-matrix[1], matrix[0]]]))
    for _ in range(min(t, n)):
        state = state * step
    return not any(state.entries())


def _rational_matrix(values: NumericArray) -> fmpq_mat:
    exact = [fmpq(*float(v).as_integer_ratio()) for v in values.ravel()]
    rows, columns = values.shape
    return fmpq_mat(rows, columns, exact)
