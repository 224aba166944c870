"""Comparison of states with the exact recurrence, and with other results of the subject."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.kinds.scan.bounds import ScanBound, forward_bound
from dynprop.kinds.scan.cases import ScanCase
from dynprop.kinds.scan.subject import ScanSubject
from dynprop.laws.evidence import Alternatives, Comparison, compare, within
from dynprop.laws.exact import scan_states

__all__ = ["AXES", "agree", "judge", "run", "wrong_scans"]

AXES = ("batch", "time", "channel")


def run(subject: ScanSubject, case: ScanCase) -> FloatArray:
    """Return the subject's states on a case."""
    return subject.values(case.arguments, case.dtype)


def judge(subject: ScanSubject, case: ScanCase, value: FloatArray, label: str = "states") -> Comparison:
    """Compare states with the exact recurrence, within the bound of any evaluation order."""
    return within(
        label,
        value,
        scan_states(case.gates, case.inputs, case.initial),
        forward_bound(case, subject.domain),
        dtype=case.dtype,
        axes=AXES,
        alternatives=lambda: wrong_scans(case),
    )


def agree(
    label: str,
    value: FloatArray,
    other: FloatArray,
    case: ScanCase,
    bound: ScanBound,
    alternatives: Alternatives = dict,
) -> Comparison:
    """Compare two results of the subject for the same states, within twice the bound."""
    return compare(
        label,
        value,
        other,
        2.0 * bound.bound,
        dtype=case.dtype,
        axes=AXES,
        scale=bound.scale,
        in_range=bound.in_range,
        relaxed=lambda: {name: 2.0 * relaxed_bound for name, relaxed_bound in bound.relaxed().items()},
        alternatives=alternatives,
    )


def cut_bound(bound: ScanBound, time: slice) -> ScanBound:
    """Return the bound restricted to a range of steps."""
    return replace(bound, **{name: value[:, time] for name, value in bound.__dict__.items()})


def _loop(gates: FloatArray, inputs: FloatArray, initial: FloatArray | None) -> FloatArray:
    states = np.empty_like(inputs)
    state = np.zeros_like(inputs[:, :0].sum(axis=1)) if initial is None else initial
    with np.errstate(all="ignore"):
        for t in range(inputs.shape[1]):
            state = gates[:, t] * state + inputs[:, t]
            states[:, t] = state
    return states


def wrong_scans(case: ScanCase) -> dict[str, FloatArray]:
    """Return the states of scans with a known mistake, by the name of the mistake."""
    a, x, h = case.gates, case.inputs, case.initial
    delayed = np.concatenate([np.ones_like(a[:, :1]), a[:, :-1]], axis=1)
    advanced = np.concatenate([a[:, 1:], np.ones_like(a[:, :1])], axis=1)
    scans = {
        "gates taken one step late (a[t-1] for a[t])": _loop(delayed, x, h),
        "gates taken one step early (a[t+1] for a[t])": _loop(advanced, x, h),
        "time runs backwards": _loop(a[:, ::-1], x[:, ::-1], h)[:, ::-1],
        "operands flipped (gates and inputs exchanged)": _loop(x, a, h),
        "gates replaced by 1 - gates": _loop(1.0 - a, x, h),
        "inputs weighted by 1 - gates": _loop(a, (1.0 - a) * x, h),
        "gates applied to the inputs too": _loop(a, a * x, h),
        "gates clipped to [0, 1]": _loop(np.clip(a, 0.0, 1.0), x, h),
        "gates replaced by their absolute values": _loop(np.abs(a), x, h),
    }
    if h is not None:
        first_term = a[:, :1] * h[:, None]
        scans |= {
            "initial state ignored": _loop(a, x, None),
            "initial state applied twice": _loop(a, x + _at_first_step(first_term, x), h),
            "initial state added without its gate": _loop(a, x + _at_first_step(h[:, None], x), None),
            "initial state given to the first row only": _loop(a, x, _first_row_only(h)),
            "initial state of the first row given to all rows": _loop(a, x, h[:1] + 0.0 * h),
        }
    return scans


def _at_first_step(term: FloatArray, like: FloatArray) -> FloatArray:
    placed = np.zeros_like(like)
    placed[:, :1] = term
    return placed


def _first_row_only(initial: FloatArray) -> FloatArray:
    first = np.zeros_like(initial)
    first[:1] = initial[:1]
    return first
