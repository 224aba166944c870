"""Reference arithmetic: Arb balls of 160 bits, reported as unevaluated sums of two floats.

Every float is a rational number, and Arb (python-flint) computes with it at any exponent, so a
reference neither overflows nor underflows, and shares no code with any subject. 160 bits leave an
error below 2^-100 relative to the sum of absolute terms for 2,048 steps, far below any bound of
float64. python-flint's precision is global to the process, hence the lock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
from flint import arb

from dynprop import precision
from dynprop.arrays import FloatArray

__all__ = [
    "BITS",
    "Exact",
    "exact_columns",
    "gate_products",
    "scan_adjoint",
    "scan_states",
    "working_precision",
]

BITS = 160


@dataclass(frozen=True)
class Exact:
    """A real array as the unevaluated sum of two float64 arrays, about 106 bits together."""

    high: FloatArray
    low: FloatArray

    @classmethod
    def empty(cls, shape: tuple[int, ...]) -> Exact:
        """Return a zero array to be filled."""
        return cls(np.zeros(shape), np.zeros(shape))

    def put(self, where: tuple[int, slice, int] | tuple[int, int], values: Sequence[arb]) -> None:
        """Store Arb numbers at one place, rounded to two floats."""
        highs = [float(v) for v in values]
        # Beyond the range of float64 there is no second part; such entries are never decided.
        lows = [float(v - h) if abs(h) < np.inf else 0.0 for v, h in zip(values, highs, strict=True)]
        self.high[where] = highs if isinstance(where[1], slice) else highs[0]
        self.low[where] = lows if isinstance(where[1], slice) else lows[0]


def working_precision(bits: int = BITS) -> AbstractContextManager[None]:
    """Compute with this many bits inside the block, alone in the process."""
    return precision.working_precision(bits)


def exact_columns(values: FloatArray) -> Callable[[int, int], list[arb]]:
    """Return a reader of one time column of a (batch, time, channel) array as Arb numbers."""

    def column(b: int, c: int) -> list[arb]:
        return [arb(v) for v in values[b, :, c].tolist()]

    return column


def _start(initial: FloatArray | None, b: int, c: int) -> arb:
    return arb(0) if initial is None else arb(float(initial[b, c]))


def _run(gates: Sequence[arb], inputs: Sequence[arb], start: arb) -> list[arb]:
    states, state = [], start
    for a, x in zip(gates, inputs, strict=True):
        state = a * state + x
        states.append(state)
    return states


def scan_states(gates: FloatArray, inputs: FloatArray, initial: FloatArray | None) -> Exact:
    """Return the states of h_t = a_t h_{t-1} + x_t, shape (batch, time, channel)."""
    result = Exact.empty(inputs.shape)
    with working_precision():
        gate, term = exact_columns(gates), exact_columns(inputs)
        for b, c in np.ndindex(inputs.shape[0], inputs.shape[2]):
            result.put((b, slice(None), c), _run(gate(b, c), term(b, c), _start(initial, b, c)))
    return result


def gate_products(gates: FloatArray) -> Exact:
    """Return dh(T)/dx(T-k), the product of the last k gates, at index k of the time axis."""
    batch, length, channels = gates.shape
    result = Exact.empty((batch, length, channels))
    with working_precision():
        gate = exact_columns(gates)
        for b, c in np.ndindex(batch, channels):
            product, products = arb(1), []
            for a in reversed(gate(b, c)):
                products.append(product)
                product = a * product
            result.put((b, slice(None), c), products)
    return result


def scan_adjoint(
    gates: FloatArray,
    inputs: FloatArray,
    initial: FloatArray | None,
    cotangent: FloatArray,
    depth: int = 1,
) -> tuple[Exact, Exact, Exact]:
    """Return the gradients of sum(cotangent * states) to gates, inputs and initial state.

    With lambda_t = g_t + a_{t+1} lambda_{t+1}: dL/dx_t = lambda_t, dL/da_t = lambda_t h_{t-1},
    dL/dh_0 = a_1 lambda_1. ``depth`` 2 chains two scans with the same gates and initial state, the
    states of the first being the inputs of the second.
    """
    batch, length, channels = gates.shape
    to_gates, to_inputs = Exact.empty(gates.shape), Exact.empty(gates.shape)
    to_initial = Exact.empty((batch, channels))
    with working_precision():
        gate, term, weight = exact_columns(gates), exact_columns(inputs), exact_columns(cotangent)
        for b, c in np.ndindex(batch, channels):
            a, start = gate(b, c), _start(initial, b, c)
            levels = [term(b, c)]
            for _ in range(depth):
                levels.append(_run(a, levels[-1], start))
            incoming, d_gates, d_initial = weight(b, c), [arb(0)] * length, arb(0)
            for level in reversed(range(depth)):
                before = [start, *levels[level + 1][:-1]]
                carried, outgoing = arb(0), [arb(0)] * length
                for t in reversed(range(length)):
                    carried = incoming[t] + carried
                    outgoing[t] = carried
                    d_gates[t] += carried * before[t]
                    carried = a[t] * carried
                d_initial += carried
                incoming = outgoing
            to_gates.put((b, slice(None), c), d_gates)
            to_inputs.put((b, slice(None), c), incoming)
            to_initial.put((b, c), [d_initial])
    return to_gates, to_inputs, to_initial
