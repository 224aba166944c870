"""Laws of the forms of a layer: whole, stepped, chunked and parallel calls compute the same function."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import permutations
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.contracts.domain import Domain
from dynprop.contracts.states import State
from dynprop.kinds.layer.cases import LayerCase, layer_case, made_case
from dynprop.kinds.layer.judging import agree, given_state, run_whole, sensitivity, steps_of
from dynprop.kinds.layer.subject import LayerSubject
from dynprop.laws.draw import split_points
from dynprop.laws.evidence import Evidence, worst
from dynprop.laws.law import law

cuttable: partial[LayerCase] = partial(layer_case, shortest=2)
# Ends of usual blocks, and one step beside them.
PIECES = (63, 64, 65, 128, 257)
FORWARD_ONLY = "its outputs depend on later inputs by design (bidirectional)"


def _resumable(subject: LayerSubject) -> str | None:
    if subject.bidirectional:
        return FORWARD_ONLY
    if not (subject.takes_state and subject.returns_state):
        return "the whole call does not take a state and return one"
    return None


def stateful(subject: LayerSubject) -> list[str]:
    """Return the forms that take and return a state."""
    return [f for f in ("forward", "chunk", "step") if f in subject.forms]


def long_cases(domain: Domain, subject: Any) -> Iterator[LayerCase]:
    """Yield one case of 70 steps in every dtype, longer than usual block sizes."""
    for i, dtype in enumerate(domain.dtypes):
        rng = np.random.default_rng([70, i])
        steps = min(70, domain.max_length)
        yield made_case(rng, subject, dtype, batch=2, steps=steps, state=False)


def blocks(domain: Domain, subject: Any) -> Iterator[LayerCase]:
    """Yield a case of 300 steps, longer than all pieces, after the long and the strong ones."""
    yield from strong_cases(domain, subject)
    rng = np.random.default_rng([300, 5])
    steps = min(300, domain.max_length)
    yield made_case(rng, subject, domain.dtypes[0], batch=1, steps=steps, state=False)


def handed_over(domain: Domain, subject: Any) -> Iterator[LayerCase]:
    """Yield cases that are cut at the ends of usual blocks, and one step beside them."""
    for piece in PIECES:
        if piece + 2 <= domain.max_length:
            rng = np.random.default_rng([piece, 6])
            case = made_case(rng, subject, domain.dtypes[0], batch=2, steps=piece + 2, state=False)
            yield replace(case, seed=piece - 1)  # the split follows from the seed


def strong_cases(domain: Domain, subject: Any) -> Iterator[LayerCase]:
    """Yield the long cases and one of 400 steps with large inputs, whose gates nearly close."""
    yield from long_cases(domain, subject)
    rng = np.random.default_rng([400, 3])
    steps = min(400, domain.max_length)
    yield made_case(rng, subject, domain.dtypes[0], batch=1, steps=steps, state=False, size=5.0)


@law(
    "layer/own-steps",
    claim="C1",
    statement="one call on a sequence equals calls on its single steps, each resumed from the state before",
    source="fla-org/flash-linear-attention#20, #547",
    draw=layer_case,
    fixed=long_cases,
    applies=_resumable,
    script="whole = layer(x)[0]\n# equals: for each t, y_t, state = layer(x at step t, state)",
    share=0.5,
)
def own_steps(subject: LayerSubject, case: LayerCase) -> Evidence:
    """Compare one call with single steps of the same form, and with the step form."""
    state = given_state(subject, case)
    whole = run_whole(subject, case, state)
    bound = sensitivity(subject, case, state, whole)
    pairs = []
    for form in dict.fromkeys([subject.primary, "step"]):
        if form in subject.forms:
            value, _ = steps_of(subject, form, case, state)
            label = f"outputs of single steps ({form})"
            wrong = partial(_known_mistakes, subject, case, state)
            pairs.append(({"form": form}, agree(label, value, whole, bound, case.dtype, alternatives=wrong)))
    comparisons, detail = worst(pairs)
    return Evidence(comparisons, detail=detail)


def _known_mistakes(subject: LayerSubject, case: LayerCase, state: State | None) -> Mapping[str, FloatArray]:
    """Return the outputs of single steps without their state."""
    single = [run_whole(subject, case.part(t, t + 1), None) for t in range(case.steps)]
    known = {"state ignored": np.concatenate(single, axis=1)}
    if state is not None:
        known["given state ignored"] = run_whole(subject, case, None)
    return known


def _several_forms(subject: LayerSubject) -> str | None:
    others = subject.forms - {subject.primary, "initial_state"}
    return None if others else "the object has one form only"


@law(
    "layer/forms-agree",
    claim="C1",
    statement="the whole, chunked, parallel and stepped forms give the same outputs",
    source="snntorch 1.0.0 (cumprod over cumprod + 1e-8); fla-org/flash-linear-attention#47, #52",
    draw=layer_case,
    fixed=blocks,
    applies=_several_forms,
    script="# the outputs of the forms that the object has, on the same x, beside each other",
    share=0.5,
)
def forms_agree(subject: LayerSubject, case: LayerCase) -> Evidence:
    """Compare every form, started without a state, with the primary one."""
    whole = run_whole(subject, case, None)
    bound = sensitivity(subject, case, None, whole)
    pairs = []
    for form in sorted(subject.forms - {"initial_state"}):
        sizes = {"step": [1], "chunk": [case.steps, 1, 2, 5, *PIECES]}.get(form, [case.steps])
        for size in dict.fromkeys(sizes) if form != subject.primary else []:
            if size > case.steps or (form == "chunk" and size == case.steps == 1):
                continue
            if form == "parallel":
                value = subject.call(form, case.inputs, None, case.dtype, case.sides)[0]
            else:
                value, _ = steps_of(subject, form, case, _start(subject, case), size)
            label = f"outputs of {form}" + (f" in pieces of {size}" if form == "chunk" else "")
            pairs.append(({"form": form, "size": size}, agree(label, value, whole, bound, case.dtype)))
    comparisons, detail = worst(pairs)
    return Evidence(comparisons, detail=detail)


def _start(subject: LayerSubject, case: LayerCase) -> State | None:
    return subject.initial_state(case.batch, case.dtype) if subject.returns_state else None


@law(
    "layer/split-resume",
    claim="C1",
    statement="a sequence cut anywhere and resumed from the returned state gives the outputs of one call",
    source="fla-org/flash-linear-attention#285; activations applied twice on resume",
    draw=cuttable,
    fixed=long_cases,
    applies=_resumable,
    script="p = {split}\n# layer(x[p:], state after x[:p]) against layer(x)[p:], along the time axis",
    share=0.5,
)
def split_resume(subject: LayerSubject, case: LayerCase) -> Evidence:
    """Cut at every split point of the primary form."""
    state = given_state(subject, case)
    whole = run_whole(subject, case, state)
    bound = sensitivity(subject, case, state, whole)
    pairs = []
    for p in split_points(case.steps, subject.compiles):
        head, tail = case.part(0, p), case.part(p, None)
        first, middle = subject.call(subject.primary, head.inputs, state, case.dtype, head.sides)
        value = run_whole(subject, tail, middle)
        together = np.concatenate([first, value], axis=1)
        lost = partial(_lost_state, subject, first, tail)
        found = agree("outputs of the cut sequence", together, whole, bound, case.dtype, alternatives=lost)
        pairs.append(({"split": p}, found))
    comparisons, detail = worst(pairs)
    return Evidence(comparisons, detail=detail)


def _lost_state(subject: LayerSubject, first: FloatArray, tail: LayerCase) -> Mapping[str, FloatArray]:
    return {"state ignored": np.concatenate([first, run_whole(subject, tail, None)], axis=1)}


def _hands_over(subject: LayerSubject) -> str | None:
    if subject.bidirectional:
        return FORWARD_ONLY
    return None if len(stateful(subject)) > 1 else "the object has one form with a state"


@law(
    "layer/hand-over",
    claim="C1",
    statement="the state that one form returns is the state that another form takes: prefill, then decode",
    source="xlstm 2.0.6 (chunk to step, off by the root of the head size)",
    draw=cuttable,
    fixed=handed_over,
    applies=_hands_over,
    script="p = {split}\n# run {before} on x[:p], give its state to {after} on x[p:], compare with one call",
    share=0.4,
)
def hand_over(subject: LayerSubject, case: LayerCase) -> Evidence:
    """Pass the state from one form to another, for every ordered pair."""
    start = _start(subject, case)
    whole = run_whole(subject, case, None)
    bound = sensitivity(subject, case, None, whole)
    p = 1 + case.seed % (case.steps - 1)
    head, tail = case.part(0, p), case.part(p, None)
    pairs = []
    for before, after in permutations(stateful(subject), 2):
        size = {"step": 1}.get(before, p), {"step": 1}.get(after, tail.steps)
        first, state = steps_of(subject, before, head, start, size[0])
        own = partial(steps_of, subject, after, head, start, {"step": 1}.get(after, p))
        resume = partial(steps_of, subject, after, tail, size=size[1])
        value = np.concatenate([first, resume(state)[0]], axis=1)
        mended = partial(_rescaled, state, own, resume, first)
        label = f"outputs after handing the state from {before} to {after}"
        found = agree(label, value, whole, bound, case.dtype, repaired=mended)
        pairs.append(({"before": before, "after": after, "split": p}, found))
    comparisons, detail = worst(pairs)
    return Evidence(comparisons, detail=detail)


def _rescaled(state: State | None, own: Any, resume: Any, first: FloatArray) -> Mapping[str, FloatArray]:
    """Undo a constant factor between the state of one form and that of the next form."""
    theirs = own()[1]
    if state is None or theirs is None or len(state.leaves) != len(theirs.leaves):
        return {}
    factors = []
    for given, wanted in zip(state.leaves, theirs.leaves, strict=True):
        if given.size != wanted.size or not np.any(wanted) or given.dtype.kind != "f":
            factors.append(1.0)
            continue
        top = np.abs(wanted).argmax()
        factor = float(given.reshape(-1)[top] / wanted.reshape(-1)[top])
        spread = np.abs(given.reshape(-1) - factor * wanted.reshape(-1)).max()
        close = np.isfinite(factor) and spread <= 1e-2 * np.abs(given).max(initial=0.0)
        factors.append(factor if close and factor != 0.0 else 1.0)
    changed = [i for i, f in enumerate(factors) if abs(f - 1.0) > 1e-2]
    if not changed:
        return {}
    mended = replace(
        state,
        leaves=tuple(v / f if v.dtype.kind == "f" else v for v, f in zip(state.leaves, factors, strict=True)),
    )
    factor = float(np.median([factors[i] for i in changed]))
    name = f"state scaled by {_constant(factor)} when handed over (leaves {', '.join(map(str, changed))})"
    return {name: np.concatenate([first, resume(mended)[0]], axis=1)}


def _constant(factor: float) -> str:
    """Format a factor: as a root or an integer if it is within a thousandth of one."""
    for n in range(2, 129):
        for value, name in ((n**0.5, f"√{n}"), (n**-0.5, f"1/√{n}")):
            if abs(factor / value - 1.0) < 1e-3:
                whole = round(n**0.5)
                exact = whole * whole == n
                return name if not exact else name.replace(f"√{n}", str(whole))
    return f"{factor:.4g}"


def _has_future(subject: LayerSubject) -> str | None:
    return FORWARD_ONLY if subject.bidirectional else None


@law(
    "layer/causality",
    claim="C1",
    statement="an output does not depend on later inputs",
    source="masking errors of parallel forms",
    draw=cuttable,
    applies=_has_future,
    script="p = {split}\n# change x from step p on: the outputs before stay",
    share=0.5,
)
def causality(subject: LayerSubject, case: LayerCase) -> Evidence:
    """Change later inputs of every form that maps a sequence, and compare earlier outputs."""
    state = given_state(subject, case)
    p = 1 + case.seed % (case.steps - 1)
    changed = case.inputs.copy()
    changed[:, p:] = 1.0
    pairs = []
    for form in sorted(subject.forms & {"forward", "chunk", "parallel"}):
        start = None if form == "parallel" else state
        whole = steps_of(subject, form, case, start, case.steps)[0]
        other = steps_of(subject, form, replace(case, inputs=changed), start, case.steps)[0]
        bound = sensitivity(subject, case, state, whole)[:, :p]
        label = f"outputs of {form} with another future"
        found = agree(label, other[:, :p], whole[:, :p], bound, case.dtype)
        pairs.append(({"split": p, "form": form}, found))
    comparisons, detail = worst(pairs)
    return Evidence(comparisons, detail=detail)
