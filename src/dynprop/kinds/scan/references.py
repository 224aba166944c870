"""References of a case, computed once for all laws: exact where a case is small, else a float64 recurrence.

A case of more numbers than exact arithmetic handles quickly is compared with the recurrence in float64,
whose own rounding-error bound is added: a sound evaluation of a float64 target then errs by at most twice
the bound, of any other target by hardly more than the bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.contracts.domain import Domain
from dynprop.kinds.scan.bounds import ScanBound, carried_back, forward_bound, recurrence
from dynprop.kinds.scan.cases import ScanCase
from dynprop.laws.exact import Exact, scan_adjoint, scan_states
from dynprop.laws.remembered import Remembered

__all__ = ["EXACT_NUMBERS", "adjoint", "adjoint_is_exact", "bound_of", "is_exact", "states_of"]

# Exact arithmetic takes some two microseconds for each number.
EXACT_NUMBERS = 6000

_REMEMBERED = Remembered()


def is_exact(case: ScanCase) -> bool:
    """Whether the references of a case are exact."""
    return case.gates.size <= EXACT_NUMBERS


def states_of(case: ScanCase) -> Exact:
    """Return the states of a case; ``bound_of`` has the error that they may have."""

    def compute() -> Exact:
        if is_exact(case):
            return scan_states(*case.arguments)
        values = recurrence(*case.arguments)
        return Exact(values, np.zeros_like(values))

    return _REMEMBERED.value(case.arguments, "states", compute)


def bound_of(case: ScanCase, domain: Domain, *, beside_reference: bool = False) -> ScanBound:
    """Return the bound on every state of a case.

    Args:
        case: the case.
        domain: what the target promises.
        beside_reference: add the error of the reference, where that is not exact.
    """
    key = ("bound", case.dtype, domain.arithmetic)
    bound = _REMEMBERED.value(case.arguments, key, lambda: forward_bound(case, domain))
    if not beside_reference or is_exact(case):
        return bound
    own = forward_bound(replace(case, dtype="float64"), Domain())
    return replace(
        bound,
        bound=bound.bound + own.bound,
        logarithmic=bound.logarithmic + own.bound,
        normwise=bound.normwise + own.bound,
        in_range=bound.in_range & own.in_range,
    )


def adjoint(case: ScanCase, cotangent: FloatArray, depth: int) -> tuple[Exact, Exact, Exact]:
    """Return the gradients of sum(cotangent * states) to gates, inputs and initial state.

    ``depth`` 2 chains two scans with the same gates and initial state. In float64 they err by the bound of
    any evaluation in that format.
    """

    def compute() -> tuple[Exact, Exact, Exact]:
        if adjoint_is_exact(case, depth):
            return scan_adjoint(*case.arguments, cotangent, depth)
        to_gates, to_inputs, to_initial = (
            Exact(values, np.zeros_like(values)) for values in _adjoint(case, cotangent, depth)
        )
        return to_gates, to_inputs, to_initial

    return _REMEMBERED.value((*case.arguments, cotangent), ("adjoint", depth), compute)


def adjoint_is_exact(case: ScanCase, depth: int) -> bool:
    """Whether the gradients of a case are exact."""
    return depth * case.gates.size <= EXACT_NUMBERS // 2


def _adjoint(case: ScanCase, cotangent: FloatArray, depth: int) -> Sequence[FloatArray]:
    """Return the gradients by the adjoint recurrence in float64."""
    zero = np.zeros_like(case.inputs[:, :0].sum(axis=1))
    start = zero if case.initial is None else case.initial
    levels = [case.inputs]
    for _ in range(depth):
        levels.append(recurrence(case.gates, levels[-1], case.initial))
    to_gates, to_initial, incoming = np.zeros_like(case.gates), zero.copy(), cotangent
    with np.errstate(all="ignore"):
        for level in reversed(levels[1:]):
            incoming = carried_back(case.gates, incoming)
            before = np.concatenate([start[:, None], level], axis=1)[:, : case.steps]
            to_gates = to_gates + incoming * before
            to_initial = to_initial + (case.gates[:, :1] * incoming[:, :1]).sum(axis=1)
    return to_gates, incoming, to_initial
