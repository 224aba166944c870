r"""Judging of matrix powers, within the bounds of product forms or of Schur and eigenvector routes.

A value passes if every component is within the bound of product-form evaluations, or if its error is
normwise within :math:`\min(B, 10^{-6}\|h_t\|)` (``bounds`` has both). A component whose product-form bound
is as large as its value is undecidable. Complex data are compared by the modulus of the error and shown as
(real, imaginary) parts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from dynprop.arrays import BoolArray, FloatArray, NumericArray
from dynprop.kinds.power.bounds import (
    PowerBound,
    bound_of_state,
    bound_of_states,
    digits_kept,
    eigen_bound,
    length,
)
from dynprop.kinds.power.cases import PowerCase
from dynprop.kinds.power.exact import TwoPart, power_state, power_states
from dynprop.kinds.power.wrong import wrong_states
from dynprop.laws.evidence import NORMWISE, Alternatives, Comparison

__all__ = [
    "EIGEN",
    "Allowance",
    "agree",
    "allowance",
    "as_exact",
    "judge_state",
    "judge_states",
    "parts",
    "twice",
    "weigh",
]

Allowance = Callable[[], float]
EIGEN = f"{NORMWISE} the largest component, such as by eigenvectors"


def parts(values: NumericArray, like: NumericArray) -> FloatArray:
    """Return real values as they are, complex data with a last axis of (real, imaginary)."""
    if np.iscomplexobj(like):
        return np.stack([np.real(values), np.imag(values)], axis=-1).astype(np.float64)
    return np.real(values).astype(np.float64)


def as_exact(values: NumericArray) -> TwoPart:
    """Take values as a reference."""
    return TwoPart(values, np.zeros_like(values))


def _for_each_part(values: NumericArray, like: NumericArray) -> NumericArray:
    return np.repeat(values[..., None], 2, axis=-1) if np.iscomplexobj(like) else values


def weigh(
    label: str,
    value: NumericArray,
    reference: TwoPart,
    bound: PowerBound,
    *,
    dtype: str,
    axes: tuple[str, ...],
    allowed: Allowance | None = None,
    relaxed: Alternatives = dict,
    alternatives: Alternatives = dict,
) -> Comparison:
    """Compare a computed array with its reference, entry by entry and, where that fails, by norm.

    Args:
        label: what is compared.
        value: what the subject computed, shape (..., n), real or complex.
        reference: the exact value.
        bound: of product-form evaluations.
        dtype: the real format that the subject computed in.
        axes: names of the axes of the value.
        allowed: the largest 2-norm of the error of any other sound evaluation, computed on demand.
        relaxed: larger bounds of less accurate evaluations, by name, computed on demand.
        alternatives: values of known wrong implementations, by name, computed on demand.
    """
    exact = reference.high
    with np.errstate(all="ignore"):
        error = reference.away_from(value)
        residual = np.abs(error)
        # The imaginary part of a value that should be real counts as error.
        magnitude = np.abs(exact)
        tight = bound.tightest(magnitude)
        decided: BoolArray = np.isfinite(tight) & np.isfinite(magnitude) & bound.in_range
        decided &= (tight < magnitude) | ((magnitude == 0.0) & (bound.scale == 0.0))
        residual = np.where(np.isnan(residual), np.inf, residual)
        if allowed is not None and np.any((residual > tight) & decided):
            largest = allowed()
            total = length(residual)
            if total <= largest < np.inf:
                # Any other route: the norm of the error counts, the same for every component.
                residual, tight = np.full_like(residual, total), np.full_like(tight, largest)
            else:
                tight = np.maximum(tight, largest / np.sqrt(residual.size))
    axis_names = (*axes, "part") if np.iscomplexobj(exact) else axes
    return Comparison(
        label,
        parts(value, exact),
        parts(exact, exact),
        _for_each_part(residual, exact),
        _for_each_part(np.asarray(tight, dtype=np.float64), exact),
        np.asarray(_for_each_part(decided, exact), dtype=np.bool_),
        _for_each_part(np.asarray(np.broadcast_to(bound.scale, residual.shape), dtype=np.float64), exact),
        dtype,
        axis_names,
        lambda: {name: _for_each_part(relaxed_bound, exact) for name, relaxed_bound in relaxed().items()},
        lambda: {name: parts(wrong, exact) for name, wrong in alternatives().items()},
    )


def allowance(
    w: NumericArray, h: NumericArray, t: int, dtype: str, size: float, underflow: float
) -> Allowance:
    """Return min(B, 1e-6 ||h_t||) plus underflow, on demand; ``size`` is ||h_t||."""
    return lambda: min(eigen_bound(w, h, t, dtype), digits_kept(dtype) * size) + np.sqrt(len(h)) * underflow


def judge_state(
    case: PowerCase,
    value: NumericArray,
    label: str = "state",
    *,
    alternatives: Alternatives | None = None,
) -> Comparison:
    """Compare the result of a closed form with the exact state."""
    w, h, t = case.W, case.h, case.t
    exact, bound = power_state(w, h, t), bound_of_state(w, h, t, case.dtype)
    with np.errstate(all="ignore"):
        size = length(exact.high)
    return weigh(
        label,
        value,
        exact,
        bound,
        dtype=case.dtype,
        axes=("component",),
        allowed=allowance(w, h, t, case.dtype, size, float(bound.underflow.max())),
        relaxed=lambda: {EIGEN: bound.entry + eigen_bound(w, h, t, case.dtype)},
        alternatives=alternatives
        or (lambda: {k: v[-1] for k, v in wrong_states(case, only_last=True).items()}),
    )


def judge_states(case: PowerCase, value: NumericArray, label: str = "states") -> Comparison:
    """Compare an unroll's states with the exact ones; products of matrices are the only route."""
    exact = power_states(case.W, case.h, case.t)
    bound = bound_of_states(case.W, case.h, case.t, case.dtype)
    return weigh(
        label,
        value,
        exact,
        bound,
        dtype=case.dtype,
        axes=("time", "component"),
        relaxed=lambda: {EIGEN: _trajectory_relaxed(case, bound)},
        alternatives=lambda: wrong_states(case),
    )


def _trajectory_relaxed(case: PowerCase, bound: PowerBound) -> FloatArray:
    """Return the componentwise bound plus the running maximum of B up to step 64; infinite beyond."""
    times = [eigen_bound(case.W, case.h, k, case.dtype) for k in range(min(case.t, 64) + 1)]
    bounds = np.maximum.accumulate(np.array(times))
    later = np.full(max(case.t - 64, 0), np.inf)
    return np.asarray(bound.entry + np.concatenate([bounds, later])[:, None])


def twice(bound: PowerBound) -> PowerBound:
    """Return the bound on the distance of two sound evaluations of the same state."""
    return replace(bound, entry=2.0 * bound.entry, norm=2.0 * bound.norm)


def agree(label: str, value: NumericArray, other: NumericArray, case: PowerCase) -> Comparison:
    """Compare two results of the subject on one case (states or one state) within twice the bound."""
    w, h, t, dtype = case.W, case.h, case.t, case.dtype
    if other.ndim == 2:
        bound = twice(bound_of_states(w, h, t, dtype))
        return weigh(label, value, as_exact(other), bound, dtype=dtype, axes=("time", "component"))
    single = bound_of_state(w, h, t, dtype)
    size = length(other)
    single_allowance = allowance(w, h, t, dtype, size, float(single.underflow.max()))
    return weigh(
        label,
        value,
        as_exact(other),
        twice(single),
        dtype=dtype,
        axes=("component",),
        allowed=lambda: 2.0 * single_allowance(),
    )
