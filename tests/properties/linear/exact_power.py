"""The referee of closed forms and certified powers: python-flint alone, nothing of dynprop."""

from __future__ import annotations

from typing import Any

import numpy as np
from flint import acb, acb_mat, arb, arb_mat, ctx, fmpq, fmpq_mat

from dynprop.arrays import NumericArray


def rationals(values: NumericArray) -> fmpq_mat:
    """Convert a real matrix, or a vector as one column, exactly."""
    table = values.reshape(len(values), -1)
    flat = [fmpq(*float(x).as_integer_ratio()) for x in table.ravel()]
    return fmpq_mat(table.shape[0], table.shape[1], flat)


def balls(values: NumericArray) -> Any:
    table = values.reshape(len(values), -1)
    make: Any = acb_mat if np.iscomplexobj(table) else arb_mat
    return make(table.shape[0], table.shape[1], table.ravel().tolist())


class State:
    """The state (Wᵗ)ᵀ h, enclosed with 250 bits relative to its largest entry, or exactly zero."""

    def __init__(self, W: NumericArray, h: NumericArray, t: int, largest: int = 1 << 15) -> None:
        dtype = np.result_type(W, h)
        bits = 512
        while True:
            ctx.prec = bits
            try:
                column = balls(np.ascontiguousarray(W.T).astype(dtype)) ** t * balls(h.astype(dtype))
                self.entries = [column[i, 0] for i in range(len(h))]
                size = max((x.abs_lower() for x in self.entries), default=arb(0))
                width = max(
                    (x.rad() if isinstance(x, arb) else x.real.rad() + x.imag.rad()) for x in self.entries
                )
                if width == 0 or width <= size * arb((1, -250)):
                    self.bits, self.zero = bits, bool(size == 0)
                    return
            finally:
                ctx.prec = 53
            bits *= 2
            assert bits <= largest, "the referee needs more bits"

    def within(self, value: NumericArray, exponent: int, relative_bound: float) -> bool:
        """Whether max|error| <= relative_bound * max|value|, certainly."""
        before, ctx.prec = ctx.prec, self.bits
        try:
            size = max(acb(y).abs_lower() for y in value.tolist())
            return bool(self._error(value, exponent) <= arb(relative_bound) * size)
        finally:
            ctx.prec = before

    def relative_error(self, value: NumericArray, exponent: int) -> float:
        """The relative error, rounded."""
        before, ctx.prec = ctx.prec, self.bits
        try:
            return float(self._error(value, exponent) / max(acb(y).abs_lower() for y in value.tolist()))
        finally:
            ctx.prec = before

    def _error(self, value: NumericArray, exponent: int) -> arb:
        scale = arb((1, -exponent))
        errors: list[arb] = [
            (x * scale - y).abs_upper() for x, y in zip(self.entries, value.tolist(), strict=True)
        ]
        return max(errors)
