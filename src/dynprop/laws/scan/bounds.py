r"""Rounding-error bounds of the gated scan that hold for every order of evaluation.

A state is a sum of at most t + 1 products of at most t gates and one input. Any evaluation by products
and sums rounds each term at most 2 (t + 1) times, so

.. math:: |\hat h_t - h_t| \le \gamma_{2(t+2)}\, A_t + U_t, \qquad A_t = |a_t| A_{t-1} + |x_t|,

with U_t for underflow: a flushed partial product loses at most ``tiny``, which later factors, at most
the largest contiguous product M_t, and partial states, at most max A, can enlarge. An entry is out of
range where such a product or state comes near overflow, since inf * 0 makes NaN in a tree and not in
a loop. Gradients obey the same argument with the adjoint recurrence (Higham 2002, section 3.1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dynprop.arrays import BoolArray, FloatArray
from dynprop.laws.domain import Domain
from dynprop.laws.rounding import FORMATS, Format, gamma
from dynprop.laws.scan.cases import ScanCase

__all__ = ["ScanBound", "absolute_adjoint", "forward_bound", "lag_bound", "largest_products", "log_sum"]

QUIET = {"over": "ignore", "under": "ignore", "invalid": "ignore", "divide": "ignore"}


@dataclass(frozen=True)
class ScanBound:
    """What a sound evaluation keeps to, entry by entry.

    Attributes:
        bound: largest residual.
        scale: sum of the absolute values of the terms.
        in_range: where no intermediate comes near overflow.
        logarithmic: largest residual of an evaluation through logarithms.
        normwise: largest residual of an evaluation that is accurate relative to the largest term.
    """

    bound: FloatArray
    scale: FloatArray
    in_range: BoolArray
    logarithmic: FloatArray
    normwise: FloatArray

    def relaxed(self) -> dict[str, FloatArray]:
        """Return the bounds of evaluations with fewer digits, by name."""
        return {
            "a log-space evaluation": self.logarithmic,
            "an evaluation accurate only relative to the largest term, such as an FFT": self.normwise,
        }


def largest_products(gates: FloatArray) -> FloatArray:
    """Return log2 of the largest contiguous product within steps 1..t (at least 0, the empty one)."""
    with np.errstate(**QUIET):
        logs = np.log2(np.abs(gates))
    best = np.zeros_like(logs)
    ending = np.zeros_like(logs[:, :0].sum(axis=1))
    peak = ending
    for t in range(logs.shape[1]):
        ending = np.maximum(ending, 0.0) + logs[:, t]
        peak = np.maximum(peak, ending)
        best[:, t] = peak
    return best


def absolute_states(gates: FloatArray, inputs: FloatArray, initial: FloatArray | None) -> FloatArray:
    """Return A_t = |a_t| A_{t-1} + |x_t|, the sum of the absolute terms of each state."""
    states = np.empty_like(inputs)
    state = np.zeros_like(inputs[:, :0].sum(axis=1)) if initial is None else np.abs(initial)
    with np.errstate(**QUIET):
        for t in range(inputs.shape[1]):
            state = np.abs(gates[:, t]) * state + np.abs(inputs[:, t])
            states[:, t] = state
    return np.nan_to_num(states, nan=np.inf, posinf=np.inf)


def log_sum(gates: FloatArray) -> FloatArray:
    """Return the running sum of abs(log(abs(a_t))), infinite from the first zero on."""
    with np.errstate(**QUIET):
        return np.cumsum(np.abs(np.log(np.abs(gates))), axis=1)


def _log_error(format_: Format, steps: FloatArray, logs: FloatArray) -> FloatArray:
    """Relative error of exp of a sum of logarithms, each partial sum rounded once."""
    with np.errstate(**QUIET):
        return np.expm1(np.minimum((steps + 8.0) * format_.unit * (logs + 1.0), 700.0))


def _underflow(format_: Format, steps: FloatArray, peak: FloatArray, size: FloatArray) -> FloatArray:
    with np.errstate(**QUIET):
        return 4.0 * (steps + 1.0) ** 2 * format_.tiny * np.exp2(peak) * np.maximum(size, 1.0)


def forward_bound(case: ScanCase, domain: Domain) -> ScanBound:
    """Return the bound on every state of a case; the module docstring derives it."""
    format_ = FORMATS[case.dtype]
    steps = np.arange(1.0, case.steps + 1.0)[None, :, None]
    absolute = absolute_states(case.gates, case.inputs, case.initial)
    peak = largest_products(case.gates)
    largest = np.maximum.accumulate(absolute, axis=1)
    with np.errstate(**QUIET):
        underflow = _underflow(format_, steps, peak, largest)
        logarithmic = absolute * _log_error(format_, steps, log_sum(case.gates) + np.log1p(largest))
        bound = gamma(2.0 * (steps + 1.0), format_.unit) * absolute + underflow
        start = 0.0 if case.initial is None else np.abs(case.initial)[:, None, :]
        total = np.exp2(peak[:, -1:]) * (np.abs(case.inputs).sum(axis=1, keepdims=True) + start)
        normwise = 64.0 * format_.unit * (4.0 + np.log2(steps[:, -1:])) * total + 0.0 * absolute
    logarithmic = bound + np.nan_to_num(logarithmic, nan=np.inf, posinf=np.inf)
    return ScanBound(
        logarithmic if domain.arithmetic == "log" else bound,
        absolute,
        (peak <= np.log2(format_.safe)) & (largest <= format_.safe),
        logarithmic,
        bound + np.nan_to_num(normwise, nan=np.inf, posinf=np.inf),
    )


def lag_bound(gates: FloatArray, products: FloatArray, dtype: str, domain: Domain) -> ScanBound:
    """Return the bound on dh(T)/dx(T-k), one product of k gates: gamma(2 max(k, 1)) of itself.

    Args:
        gates: shape (batch, time, channel).
        products: the exact products at index k of the time axis.
        dtype: the format of the subject.
        domain: what the subject promises.
    """
    format_ = FORMATS[dtype]
    steps = np.arange(float(gates.shape[1]))[None, :, None]
    suffix = np.concatenate([np.ones_like(gates[:, :1]), gates[:, :0:-1]], axis=1)
    peak = largest_products(suffix)
    size = np.abs(products)
    with np.errstate(**QUIET):
        underflow = _underflow(format_, steps, peak, np.ones_like(size))
        bound = gamma(2.0 * np.maximum(steps, 1.0), format_.unit) * size + underflow
        logarithmic = bound + size * _log_error(format_, steps, log_sum(suffix))
        largest = size.max(axis=1, keepdims=True, initial=0.0)
        normwise = bound + 64.0 * format_.unit * (steps + 1.0) * largest
    logarithmic = np.nan_to_num(logarithmic, nan=np.inf, posinf=np.inf)
    return ScanBound(
        logarithmic if domain.arithmetic == "log" else bound,
        size,
        peak <= np.log2(format_.safe),
        logarithmic,
        normwise,
    )


def absolute_adjoint(
    case: ScanCase, cotangent: FloatArray, depth: int = 1
) -> tuple[FloatArray, FloatArray, FloatArray, BoolArray]:
    """Return the adjoint of a scan over absolute values: to gates, inputs, initial state, and range.

    It is the sum of the absolute terms of each gradient; the last array says, per (batch, channel),
    whether no intermediate comes near overflow.
    """
    a, start = np.abs(case.gates), None if case.initial is None else np.abs(case.initial)
    zero = np.zeros_like(case.inputs[:, :0].sum(axis=1))
    levels = [np.abs(case.inputs)]
    for _ in range(depth):
        levels.append(absolute_states(a, levels[-1], start))
    to_gates, to_initial = np.zeros_like(a), zero.copy()
    incoming = np.abs(cotangent)
    largest = np.max([level.max(axis=1, initial=0.0) for level in levels], axis=0)
    with np.errstate(**QUIET):
        for level in reversed(range(depth)):
            states = levels[level + 1]
            first = zero if start is None else start
            carried, outgoing = zero, np.empty_like(a)
            for t in reversed(range(case.steps)):
                carried = incoming[:, t] + carried
                outgoing[:, t] = carried
                to_gates[:, t] += carried * (states[:, t - 1] if t else first)
                carried = a[:, t] * carried
            to_initial += carried
            incoming = outgoing
        largest = np.maximum(largest, 1.0) * np.maximum(incoming.max(axis=1, initial=0.0), 1.0)
        peak = largest_products(case.gates).max(axis=1, initial=0.0)
        in_range = largest * np.exp2(peak) <= FORMATS[case.dtype].safe
    return to_gates, incoming, to_initial, np.asarray(in_range, dtype=np.bool_)
