"""Comparison of states with the exact recurrence, and with other results of the subject."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, replace

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.kinds.scan.bounds import ScanBound, recurrence
from dynprop.kinds.scan.calling import PIECES
from dynprop.kinds.scan.cases import ScanCase
from dynprop.kinds.scan.references import bound_of, states_of
from dynprop.kinds.scan.subject import ScanSubject
from dynprop.laws.evidence import Alternatives, Comparison, compare, within
from dynprop.laws.remembered import Remembered

__all__ = ["AXES", "agree", "judge", "run", "wrong_scans"]

AXES = ("batch", "time", "channel")


_RUNS = Remembered()


@dataclass
class _Run:
    """The last subject that was called on a case, and its states there."""

    subject: weakref.ref[ScanSubject]
    states: FloatArray


def run(subject: ScanSubject, case: ScanCase) -> FloatArray:
    """Return the subject's states on a case, called as the case says.

    The states of a fixed case are computed once for all laws that need them; laws about several calls call
    the subject themselves.
    """

    def called() -> _Run:
        return _Run(weakref.ref(subject), _states(subject, case))

    key = ("states", case.dtype, case.form, case.call)
    last = _RUNS.value(case.arguments, key, called)
    if last.subject() is not subject:
        last.subject, last.states = weakref.ref(subject), _states(subject, case)
    return last.states


def _states(subject: ScanSubject, case: ScanCase) -> FloatArray:
    """Call the subject on a case, in one call or in two pieces."""
    if case.form != PIECES or case.steps < 2:
        return subject.values(case.arguments, case.dtype, case.call)
    p = case.steps // 2
    head = subject.values(case.part(0, p).arguments, case.dtype, case.call)
    # The state there differs from row to row.
    layout = "contiguous" if case.layout.startswith("initial") else case.layout
    tail = replace(case.part(p, case.steps), initial=head[:, -1], layout=layout)
    return np.concatenate([head, subject.values(tail.arguments, case.dtype, tail.call)], axis=1)


def judge(subject: ScanSubject, case: ScanCase, value: FloatArray, label: str = "states") -> Comparison:
    """Compare states with the exact recurrence, within the bound of any evaluation order."""
    return within(
        label,
        value,
        states_of(case),
        bound_of(case, subject.domain, beside_reference=True),
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


def wrong_scans(case: ScanCase) -> dict[str, FloatArray]:
    """Return the states of scans with a known mistake, by the name of the mistake."""
    a, x, h = case.gates, case.inputs, case.initial
    delayed = np.concatenate([np.ones_like(a[:, :1]), a[:, :-1]], axis=1)
    advanced = np.concatenate([a[:, 1:], np.ones_like(a[:, :1])], axis=1)
    scans = {
        "gates taken one step late (a[t-1] for a[t])": recurrence(delayed, x, h),
        "gates taken one step early (a[t+1] for a[t])": recurrence(advanced, x, h),
        "time runs backwards": recurrence(a[:, ::-1], x[:, ::-1], h)[:, ::-1],
        "operands flipped (gates and inputs exchanged)": recurrence(x, a, h),
        "gates replaced by 1 - gates": recurrence(1.0 - a, x, h),
        "inputs weighted by 1 - gates": recurrence(a, (1.0 - a) * x, h),
        "gates applied to the inputs too": recurrence(a, a * x, h),
        "gates clipped to [0, 1]": recurrence(np.clip(a, 0.0, 1.0), x, h),
        "gates replaced by their absolute values": recurrence(np.abs(a), x, h),
    }
    if h is not None:
        first_term = a[:, :1] * h[:, None]
        scans |= {
            "initial state ignored": recurrence(a, x, None),
            "initial state applied twice": recurrence(a, x + _at_first_step(first_term, x), h),
            "initial state added without its gate": recurrence(a, x + _at_first_step(h[:, None], x), None),
            "initial state given to the first row only": recurrence(a, x, _first_row_only(h)),
            "initial state of the first row given to all rows": recurrence(a, x, h[:1] + 0.0 * h),
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
