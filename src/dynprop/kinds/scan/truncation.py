"""Law of gradients that a scan cuts on purpose: right up to the cut, exactly zero beyond it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from dynprop.contracts.domain import Domain
from dynprop.contracts.subject import Native
from dynprop.kinds.scan.bounds import lag_bound
from dynprop.kinds.scan.cases import ScanCase, scan_case, sized_case
from dynprop.kinds.scan.subject import ScanSubject
from dynprop.laws.draw import Source
from dynprop.laws.evidence import Comparison, Evidence, compare, worst
from dynprop.laws.exact import gate_products
from dynprop.laws.law import law

__all__ = ["truncation"]

AXES = ("batch", "lag", "channel")


def _lengths(domain: Domain) -> tuple[int, int]:
    """Return the smallest and largest number of steps of a case in which a gradient is cut."""
    reach = domain.reach or 0
    return min(reach + 1, domain.max_length), min(3 * reach + 3, reach + 64, domain.max_length)


def _states_near_cuts(domain: Domain, steps: int) -> list[int]:
    """Return the steps whose states are judged: the last, those beside cuts, and the first."""
    reach = domain.reach or 0
    wanted = [steps - 1, steps - 2, reach - 1, reach, reach + 1, 2 * reach - 1, 2 * reach, 0]
    return list(dict.fromkeys(t for t in wanted if 0 <= t < steps))


def _cut_case(source: Source, domain: Domain, subject: ScanSubject) -> ScanCase:
    low, high = _lengths(domain)
    steps = source.integer(low, high)
    return scan_case(source, replace(domain, max_length=steps), subject, shortest=steps, usual=steps)


def _cut_cases(domain: Domain, _subject: ScanSubject) -> Iterator[ScanCase]:
    for dtype in domain.dtypes:
        yield sized_case(min(2 * (domain.reach or 0) + 1, _lengths(domain)[1]), dtype, domain)


def _cuts(subject: ScanSubject) -> str | None:
    if subject.domain.reach is None:
        return "the gradient is not cut on purpose (--reach)"
    if not subject.differentiable:
        return "the library has no automatic differentiation"
    if subject.domain.max_length <= subject.domain.reach:
        return f"no sequence is longer than its reach, {subject.domain.reach}"
    return None


def _state(t: int, f: Callable[..., Native], a: Mapping[str, Native]) -> Native:
    return f(a["gates"], a["inputs"], a.get("initial"))[:, t].sum()


@law(
    "scan/truncation",
    claim="C6",
    statement="a gradient that is cut on purpose is the product of gates at every lag up to the cut, and "
    "exactly zero beyond it, at every state",
    source="Williams and Peng 1990",
    draw=_cut_case,
    fixed=_cut_cases,
    applies=_cuts,
    script="t, first = {state}, {first}\n# the gradient of f(gates, inputs, initial)[:, t] to the inputs is "
    "zero before step first",
    share=0.2,
)
def truncation(subject: ScanSubject, case: ScanCase) -> Evidence:
    """Compare the gradients of states beside cuts with products of gates, and with zero."""
    arrays = {"gates": case.gates, "inputs": case.inputs}
    if case.initial is not None:
        arrays["initial"] = case.initial
    wrt = tuple(name for name in arrays if name != "gates")
    pairs: list[tuple[Mapping[str, object], Comparison]] = []
    for t in _states_near_cuts(subject.domain, case.steps):
        first = subject.domain.first_seen(t, case.steps)
        found = subject.gradients(partial(_state, t), arrays, case.dtype, wrt)
        gates, inputs = case.gates[:, first : t + 1], case.inputs[:, first : t + 1]
        exact = gate_products(gates)
        bound = lag_bound(gates, inputs, exact.high, case.dtype, subject.domain)
        detail, label = {"state": t, "first": first}, f"gradient of state {t} of {case.steps}"
        near = compare(
            label,
            found["inputs"][:, first : t + 1][:, ::-1],
            exact,
            bound.bound,
            dtype=case.dtype,
            axes=AXES,
            scale=bound.scale,
            in_range=bound.in_range,
            relaxed=bound.relaxed,
        )
        pairs.append((detail, near))
        if first > 0:
            beyond = {"the inputs": found["inputs"][:, :first][:, ::-1]}
            if case.initial is not None:
                beyond["the initial state"] = found["initial"][:, None]
            for name, value in beyond.items():
                nothing = np.zeros_like(value)
                text = f"{label} to {name}, beyond the cut"
                pairs.append((detail, compare(text, value, nothing, nothing, dtype=case.dtype, axes=AXES)))
    comparisons, place = worst(pairs)
    return Evidence(comparisons, detail=place)
