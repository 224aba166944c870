"""Law of gradients that are cut on purpose: right up to the cut, exactly zero beyond it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.contracts.domain import Domain
from dynprop.contracts.states import State
from dynprop.kinds.layer.cases import LayerCase, layer_case, made_case
from dynprop.kinds.layer.gradient import first_state, has_jacobians
from dynprop.kinds.layer.judging import agree, steps_of
from dynprop.kinds.layer.pullback import Cotangents
from dynprop.kinds.layer.step_chain import chained, rows_first, trajectory
from dynprop.kinds.layer.subject import LayerSubject
from dynprop.laws.draw import Source
from dynprop.laws.evidence import Comparison, Evidence, worst
from dynprop.laws.law import law

__all__ = ["cut_lengths", "outputs_near_cuts"]

# Steps of all chains of a case together.
MOST_STEPS = 160


def cut_lengths(domain: Domain) -> tuple[int, int]:
    """Return the smallest and largest number of steps of a case in which a gradient is cut."""
    reach = domain.reach or 0
    return min(reach + 1, domain.max_length), min(3 * reach + 3, reach + 64, domain.max_length)


def outputs_near_cuts(domain: Domain, steps: int) -> list[int]:
    """Return the steps whose outputs are judged: the last, those beside cuts, and the first."""
    reach = domain.reach or 0
    wanted = [steps - 1, reach, reach + 1, reach - 1, 2 * reach, steps - 2, 2 * reach - 1, 0]
    found: list[int] = []
    spent = 0
    for t in dict.fromkeys(t for t in wanted if 0 <= t < steps):
        spent += t + 1 - domain.first_seen(t, steps)
        if not found or spent <= MOST_STEPS:
            found.append(t)
    return found


def _cut_case(source: Source, domain: Domain, subject: LayerSubject) -> LayerCase:
    low, high = cut_lengths(domain)
    steps = source.integer(low, high)
    case = layer_case(source, domain.limited(steps), subject, shortest=steps, usual=steps, longest=steps)
    return case.take(slice(0, 2))


def _cut_cases(domain: Domain, subject: LayerSubject) -> Iterator[LayerCase]:
    for i, dtype in enumerate(domain.dtypes):
        rng = np.random.default_rng([8, 9, i])
        steps = min(2 * (domain.reach or 0) + 1, cut_lengths(domain)[1])
        yield made_case(rng, subject, dtype, batch=2, steps=steps, state=subject.takes_state)


def _cuts(subject: LayerSubject) -> str | None:
    if subject.domain.reach is None:
        return "the gradient is not cut on purpose (--reach)"
    if subject.domain.max_length <= subject.domain.reach:
        return f"no sequence is longer than its reach, {subject.domain.reach}"
    return has_jacobians(subject)


@law(
    "layer/truncation",
    claim="C6",
    statement="a gradient that is cut on purpose is right at every lag up to the cut, and exactly zero "
    "beyond it, at every output of a whole call",
    source="Williams and Peng 1990; Lightning-AI/pytorch-lightning#8145",
    draw=_cut_case,
    fixed=_cut_cases,
    applies=_cuts,
    script="t, first = {output}, {first}\n# form: {form}; gradient of the output of step t to x: zero before "
    "step first,\n# that of single steps in float64 from there on",
    share=0.1,
)
def truncation(subject: LayerSubject, case: LayerCase) -> Evidence:
    """Compare the gradients of outputs beside cuts with chains of single steps, and with zero."""
    start = first_state(subject, case)
    if start is None or not start.floating:
        return Evidence()
    states = trajectory(subject, case, start)
    width = steps_of(subject, subject.stepper, case.part(0, 1), start)[0].shape[2]
    chosen = case.cotangent((case.batch, width))
    pairs: list[tuple[Mapping[str, object], Comparison]] = []
    for t in outputs_near_cuts(subject.domain, case.steps):
        first = subject.domain.first_seen(t, case.steps)
        pairs += _one_output(subject, case, start, states, chosen, t, first)
    comparisons, detail = worst(pairs)
    return Evidence(comparisons, detail=detail)


def _one_output(
    subject: LayerSubject,
    case: LayerCase,
    start: State,
    states: tuple[State, ...],
    chosen: FloatArray,
    t: int,
    first: int,
) -> Iterator[tuple[Mapping[str, object], Comparison]]:
    """Compare the gradient of the output of step t, in every form that makes a whole call."""
    weights = np.zeros((case.batch, case.steps, chosen.shape[1]))
    weights[:, t] = chosen
    seen = case.part(first, t + 1)
    expected = chained(subject, seen, states[first], Cotangents(weights[:, first : t + 1]))
    if not expected.safe:
        return
    exact = expected.products.pullback.inputs[:, ::-1]
    bound = expected.inputs[:, ::-1] + np.zeros_like(exact)
    axes = ("batch", "lag", "feature")
    own = case.warm_up is None and "initial_state" in subject.forms
    forms = [form for form in ("forward", "chunk") if form in subject.forms and subject.takes_state]
    for form in [*forms, *(["parallel"] if own and "parallel" in subject.forms else [])]:
        given = None if form == "parallel" else start
        pulled = subject.pullback(
            case.inputs, given, case.dtype, case.sides, Cotangents(weights), form, case.steps, wanted=()
        )
        if pulled is None:
            continue
        detail = {"output": t, "first": first, "form": form}
        label = f"gradient of output {t} of {case.steps}, {form}"
        value = pulled.inputs[:, first : t + 1][:, ::-1]
        yield detail, agree(label, value, exact, bound, case.dtype, axes=axes)
        beyond = pulled.inputs[:, :first][:, ::-1]
        nothing = np.zeros_like(beyond)
        label = f"gradient of output {t} of {case.steps} beyond the cut, {form}"
        if first > 0:
            yield detail, agree(label, beyond, nothing, nothing, case.dtype, axes=axes)
        if first > 0 and pulled.state:
            to_state = rows_first(start, pulled.state)
            none = np.zeros_like(to_state)
            label = f"gradient of output {t} of {case.steps} to the state given, beyond the cut, {form}"
            yield detail, agree(label, to_state, none, none, case.dtype, axes=("batch", "state"))
