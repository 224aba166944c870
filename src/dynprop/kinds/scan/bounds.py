r"""Rounding-error bounds of the gated scan that hold for every order of evaluation.

A state is a sum of at most t + 1 products of at most t gates and one input. Any evaluation by products
and sums rounds each term at most 2 (t + 1) times, so

.. math:: |\hat h_t - h_t| \le \gamma_{2(t+2)}\, A_t + U_t, \qquad A_t = |a_t| A_{t-1} + |x_t|,

with U_t for underflow: a flushed partial product loses at most ``tiny``, which later factors, at most
the largest contiguous product M_t, and partial states, at most max A, can enlarge. A sequence is out of
range where such a product or state comes near overflow, since inf * 0 makes NaN in a tree and not in
a loop. Gradients obey the same argument with the adjoint recurrence (Higham 2002, section 3.1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dynprop.arrays import BoolArray, FloatArray
from dynprop.contracts.domain import Domain
from dynprop.contracts.formats import FORMATS, Format
from dynprop.kinds.scan.cases import ScanCase
from dynprop.laws.evidence import NORMWISE
from dynprop.laws.rounding import gamma, log_error, log_sum

__all__ = [
    "LARGEST_TERM",
    "ScanBound",
    "absolute_adjoint",
    "cancelling_log_bound",
    "carried_back",
    "forward_bound",
    "lag_bound",
    "largest_products",
    "normwise_gradient_bound",
    "recurrence",
]


LARGEST_TERM = f"{NORMWISE} the largest term, such as an FFT"
# Empirical; it only decides between "wrong" and "inaccurate", and both are failures.
LARGEST_TERM_FACTOR = 64.0


@dataclass(frozen=True)
class ScanBound:
    """Componentwise error bounds of a sound evaluation.

    Attributes:
        bound: bound on the residual.
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
            LARGEST_TERM: self.normwise,
        }


# Stands for log2(0) in sums of logarithms: below the logarithm of every product of a format's numbers.
_LOG_OF_ZERO = -1e7


def largest_products(gates: FloatArray) -> FloatArray:
    """Return log2 of the largest contiguous product within steps 1..t (at least 0, the empty one).

    With S_t the sum of the first t logarithms, it is the largest S_t - S_s over s <= t, up to the present.
    """
    with np.errstate(all="ignore"):
        logs = np.maximum(np.log2(np.abs(gates)), _LOG_OF_ZERO)
    sums = np.cumsum(np.concatenate([np.zeros_like(logs[:, :1]), logs], axis=1), axis=1)
    ending = sums - np.minimum.accumulate(sums, axis=1)
    return np.asarray(np.maximum.accumulate(ending, axis=1)[:, 1:] if logs.shape[1] else logs)


def recurrence(gates: FloatArray, inputs: FloatArray, initial: FloatArray | None) -> FloatArray:
    """Return the states h_t = a_t h_{t-1} + x_t in float64, step by step."""
    by_step = np.empty((inputs.shape[1], inputs.shape[0], inputs.shape[2]), inputs.dtype)
    state = np.zeros_like(inputs[:, :0].sum(axis=1)) if initial is None else initial.copy()
    factors, terms = (np.ascontiguousarray(values.swapaxes(0, 1)) for values in (gates, inputs))
    with np.errstate(all="ignore"):
        for factor, term, states in zip(factors, terms, by_step, strict=True):
            np.multiply(factor, state, out=states)
            states += term
            state = states
    return np.ascontiguousarray(by_step.swapaxes(0, 1))


def absolute_states(gates: FloatArray, inputs: FloatArray, initial: FloatArray | None) -> FloatArray:
    """Return A_t = |a_t| A_{t-1} + |x_t|, the sum of the absolute terms of each state."""
    start = None if initial is None else np.abs(initial)
    states = recurrence(np.abs(gates), np.abs(inputs), start)
    return np.nan_to_num(states, nan=np.inf, posinf=np.inf)


def carried_back(gates: FloatArray, incoming: FloatArray) -> FloatArray:
    """Return the adjoint l_t = g_t + a_{t+1} l_{t+1} of every step, in float64."""
    later = np.concatenate([gates[:, 1:], np.zeros_like(gates[:, :1])], axis=1)
    return recurrence(later[:, ::-1], incoming[:, ::-1], None)[:, ::-1]


def _log_extent(inputs: FloatArray) -> FloatArray:
    """Largest abs(log(abs(x))) of the inputs of each channel, shape (batch, 1, channel)."""
    with np.errstate(all="ignore"):
        logs = np.abs(np.log(np.abs(inputs)))
    return np.asarray(np.nan_to_num(logs, posinf=0.0).max(axis=1, keepdims=True, initial=0.0))


def _underflow(format_: Format, steps: FloatArray, peak: FloatArray, size: FloatArray) -> FloatArray:
    with np.errstate(all="ignore"):
        return 4.0 * (steps + 1.0) ** 2 * format_.tiny * np.exp2(peak) * np.maximum(size, 1.0)


def forward_bound(case: ScanCase, domain: Domain) -> ScanBound:
    """Return the bound on every state of a case; the module docstring derives it."""
    format_ = FORMATS[case.dtype]
    steps = np.arange(1.0, case.steps + 1.0)[None, :, None]
    absolute = absolute_states(case.gates, case.inputs, case.initial)
    peak = largest_products(case.gates)
    largest = np.maximum.accumulate(absolute, axis=1)
    with np.errstate(all="ignore"):
        underflow = _underflow(format_, steps, peak, largest)
        logarithmic = absolute * log_error(
            format_, steps, log_sum(case.gates) + np.log1p(largest) + _log_extent(case.inputs)
        )
        bound = gamma(2.0 * (steps + 1.0), format_.unit) * absolute + underflow
        start = 0.0 if case.initial is None else np.abs(case.initial)[:, None, :]
        total = np.exp2(peak[:, -1:]) * (np.abs(case.inputs).sum(axis=1, keepdims=True) + start)
        normwise = (
            LARGEST_TERM_FACTOR * format_.unit * (4.0 + np.log2(steps[:, -1:])) * total + 0.0 * absolute
        )
    logarithmic = bound + np.nan_to_num(logarithmic, nan=np.inf, posinf=np.inf)
    within = (peak <= np.log2(format_.safe)) & (largest <= format_.safe)
    return ScanBound(
        logarithmic if domain.arithmetic == "log" else bound,
        absolute,
        # The whole sequence: a convolution or a masked product carries a later overflow to earlier steps.
        within.all(axis=1, keepdims=True) & (absolute >= 0.0),
        logarithmic,
        bound + np.nan_to_num(normwise, nan=np.inf, posinf=np.inf),
    )


def normwise_gradient_bound(case: ScanCase, cotangent: FloatArray, leaf: str, depth: int) -> FloatArray:
    """Return the largest residual of a gradient that is accurate only relative to its largest term."""
    unit, steps = FORMATS[case.dtype].unit, max(case.steps, 2)
    with np.errstate(all="ignore"):
        peak = np.exp2(depth * largest_products(case.gates).max(axis=1, keepdims=True, initial=0.0))
        total = LARGEST_TERM_FACTOR * depth * unit * (4.0 + np.log2(steps)) * peak
        total = total * np.abs(cotangent).sum(axis=1, keepdims=True)
        if leaf == "gates":
            states = absolute_states(case.gates, case.inputs, case.initial)
            total = total * steps * (1.0 + states.max(axis=1, keepdims=True, initial=0.0))
    bound = total[:, 0] if leaf == "initial" else total
    return np.asarray(np.nan_to_num(bound, nan=np.inf, posinf=np.inf))


def lag_bound(
    gates: FloatArray, inputs: FloatArray, products: FloatArray, dtype: str, domain: Domain
) -> ScanBound:
    """Return the bound on dh(T)/dx(T-k), one product of k gates: gamma(2 max(k, 1)) of itself.

    Args:
        gates: shape (batch, time, channel).
        inputs: same shape; their logarithms count where arithmetic is by logarithms.
        products: the exact products at index k of the time axis.
        dtype: the format of the subject.
        domain: what the subject promises.
    """
    format_ = FORMATS[dtype]
    steps = np.arange(float(gates.shape[1]))[None, :, None]
    suffix = np.concatenate([np.ones_like(gates[:, :1]), gates[:, :0:-1]], axis=1)
    peak = largest_products(suffix)
    size = np.abs(products)
    with np.errstate(all="ignore"):
        underflow = _underflow(format_, steps, peak, np.ones_like(size))
        bound = gamma(2.0 * np.maximum(steps, 1.0), format_.unit) * size + underflow
        # Sums of logarithms run over the whole sequence, whatever the lag.
        logs = log_sum(gates)[:, -1:] + _log_extent(inputs)
        logarithmic = bound + size * log_error(format_, np.full((1, 1, 1), steps.max() + 1.0), logs)
        largest = size.max(axis=1, keepdims=True, initial=0.0)
        normwise = bound + LARGEST_TERM_FACTOR * format_.unit * (steps + 1.0) * largest
    logarithmic = np.nan_to_num(logarithmic, nan=np.inf, posinf=np.inf)
    peak_of_all = largest_products(gates).max(axis=1, keepdims=True, initial=0.0)
    return ScanBound(
        logarithmic if domain.arithmetic == "log" else bound,
        size,
        np.broadcast_to(peak_of_all <= np.log2(format_.safe), size.shape),
        logarithmic,
        normwise,
    )


def cancelling_log_bound(case: ScanCase, cotangent: FloatArray, leaf: FloatArray, depth: int) -> FloatArray:
    """Return the largest residual of a gradient through logarithms, which cancels terms of every state.

    The gradient to log(leaf) is a difference of sums over all states, and dividing by the leaf follows.
    """
    if case.steps == 0:
        return np.zeros_like(leaf)
    format_ = FORMATS[case.dtype]
    steps = np.full((1, 1, 1), float(depth * case.steps))
    absolute = absolute_states(case.gates, case.inputs, case.initial)
    for _ in range(depth - 1):
        absolute = absolute_states(case.gates, absolute, case.initial)
    with np.errstate(all="ignore"):
        logs = log_sum(case.gates)[:, -1:] + np.log1p(absolute.max(axis=1, keepdims=True, initial=0.0))
        total = (np.abs(cotangent) * absolute).sum(axis=1, keepdims=True)
        noise = 4.0 * total * log_error(format_, steps, logs)
        bound = (noise[:, 0] if leaf.ndim == 2 else noise) / np.abs(leaf)
    return np.asarray(np.nan_to_num(bound, nan=np.inf, posinf=np.inf))


def absolute_adjoint(
    case: ScanCase, cotangent: FloatArray, depth: int = 1
) -> tuple[FloatArray, FloatArray, FloatArray, BoolArray]:
    """Return the adjoint of a scan over absolute values: to gates, inputs, initial state, and range.

    It is the sum of the absolute terms of each gradient; the last array holds, per (batch, channel),
    whether no intermediate comes near overflow.
    """
    a, start = np.abs(case.gates), None if case.initial is None else np.abs(case.initial)
    zero = np.zeros_like(case.inputs[:, :0].sum(axis=1))
    first = zero if start is None else start
    levels = [np.abs(case.inputs)]
    for _ in range(depth):
        levels.append(absolute_states(a, levels[-1], start))
    to_gates, to_initial = np.zeros_like(a), zero.copy()
    incoming = np.abs(cotangent)
    largest = np.max([level.max(axis=1, initial=0.0) for level in levels], axis=0)
    with np.errstate(all="ignore"):
        for states in reversed(levels[1:]):
            incoming = carried_back(a, incoming)
            before = np.concatenate([first[:, None], states], axis=1)[:, : case.steps]
            to_gates += incoming * before
            to_initial += (a[:, :1] * incoming[:, :1]).sum(axis=1)
        largest = np.maximum(largest, 1.0) * np.maximum(incoming.max(axis=1, initial=0.0), 1.0)
        peak = largest_products(case.gates).max(axis=1, initial=0.0)
        in_range = largest * np.exp2(peak) <= FORMATS[case.dtype].safe
    return to_gates, incoming, to_initial, np.asarray(in_range, dtype=np.bool_)
