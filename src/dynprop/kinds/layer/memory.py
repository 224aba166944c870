"""Laws of memory and of what is global: layouts of arrays, results that are kept, settings and generators."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from dynprop.contracts.states import State
from dynprop.kinds.layer.cases import LayerCase, layer_case
from dynprop.kinds.layer.judging import agree, given_state, run_whole, sensitivity, steps_of
from dynprop.kinds.layer.moved import moved_gradients
from dynprop.kinds.layer.pullback import Cotangents
from dynprop.kinds.layer.subject import LayerSubject
from dynprop.laws.evidence import Comparison, Evidence, worst
from dynprop.laws.hygiene import laid_out
from dynprop.laws.law import law

__all__ = ["global_state_unchanged", "memory_layout", "results_kept"]


@law(
    "layer/memory-layout",
    claim="C1",
    statement="outputs and gradients do not depend on the memory layout of x, of the state, of side inputs "
    "or of the gradient that arrives: strided, transposed, with an offset, with a stride of 0",
    source="pytorch/pytorch#345; unit8co/darts#730; facebookresearch/habitat-lab#901",
    draw=partial(layer_case, shortest=2, usual=6, longest=12, batches=(2, 3)),
    applies=laid_out,
    script="# layer(x.transpose(0, 1).contiguous().transpose(0, 1)) against layer(x): {layout}",
    share=0.12,
)
def memory_layout(subject: LayerSubject, case: LayerCase) -> Evidence:
    """Compare outputs for arguments of every layout, and gradients that arrive in every layout."""
    state = given_state(subject, case)
    whole = run_whole(subject, case, state)
    bound = sensitivity(subject, case, state, whole)
    form, pairs = subject.primary, []
    layouts = subject.layouts
    for layout, value in layouts.outputs(form, case.inputs, state, case.dtype, case.sides):
        found = agree(f"outputs for {layout}", value, whole, bound, case.dtype)
        pairs.append(({"layout": layout}, found))
    same = replace(case, inputs=np.repeat(case.inputs[:1], case.batch, axis=0))
    plain = run_whole(subject, same, state)
    value = layouts.expanded(form, same.inputs, state, case.dtype, case.sides)
    wide = sensitivity(subject, same, state, plain)
    found = agree("outputs for x with a stride of 0", value, plain, wide, case.dtype)
    pairs.append(({"layout": "expanded x"}, found))
    pairs += _arriving(subject, case, state, whole.shape)
    comparisons, detail = worst(pairs)
    return Evidence(comparisons, detail=detail)


def _arriving(
    subject: LayerSubject, case: LayerCase, state: State | None, shape: tuple[int, ...]
) -> list[tuple[dict[str, str], Comparison]]:
    """Compare gradients to the inputs for a gradient of every layout at the outputs."""
    if not subject.differentiable:
        return []
    weights = case.cotangent(shape)
    moved = moved_gradients(subject, case, state, Cotangents(weights), subject.primary)
    if moved is None:
        return []
    exact = moved.pulled.inputs
    bound = np.full_like(exact, moved.inputs)
    arguments = subject.primary, case.inputs, state, case.dtype, case.sides
    pairs = []
    for layout, value in subject.layouts.gradients(*arguments, weights):
        label = f"gradient to x, for one that arrives {layout}"
        found = agree(label, value, exact, bound, case.dtype, axes=("batch", "step", "feature"))
        pairs.append(({"layout": f"{layout} gradient"}, found))
    return pairs


def _state_for(subject: LayerSubject, case: LayerCase, form: str, state: State | None) -> State | None:
    """Return a state with which a form can be called."""
    if form == "parallel":
        return None
    if form == "step" or (state is None and form in subject.needs_state):
        return steps_of(subject, "step" if form == "step" else subject.primary, case.part(0, 1), None)[1]
    return state


@law(
    "layer/results-kept",
    claim="C1",
    statement="outputs and states that a call has returned stay as they are when the layer is called again",
    source="pools of buffers and caches that are handed out",
    draw=partial(layer_case, usual=6, longest=12),
    script="y, state = layer(x)\nkept = y.clone(); layer(2 * x); print(y - kept)  # the form is {form}",
    share=0.15,
)
def results_kept(subject: LayerSubject, case: LayerCase) -> Evidence:
    """Look at the results of a call of every form again after two further calls."""
    state = given_state(subject, case)
    for form in sorted(subject.forms - {"initial_state"}):
        given = _state_for(subject, case, form, state)
        inputs, sides = case.inputs, dict(case.sides)
        if form == "step":
            inputs, sides = inputs[:, 0], {n: v[:, 0] for n, v in sides.items()}
        others = [inputs * 0.5, inputs * 2.0]
        changed = subject.overwritten_result(form, inputs, others, given, case.dtype, sides)
        if changed is not None:
            return Evidence(failure=changed, detail={"form": form})
    return Evidence(detail={"checked": True, "form": subject.primary})


@law(
    "layer/global-state-unchanged",
    claim="C1",
    statement="a call and its backward pass leave what is global as it was: default dtype, gradient mode, "
    "training flag, generators, filters of warnings, floating-point handling, number of threads",
    source="switches that a layer sets for itself and does not put back",
    draw=partial(layer_case, usual=6, longest=12),
    script="# the settings of the library before and after a call of {form}",
    share=0.1,
)
def global_state_unchanged(subject: LayerSubject, case: LayerCase) -> Evidence:
    """Compare global settings and the states of generators before and after calls."""
    state = given_state(subject, case)
    for form in sorted(subject.forms - {"initial_state"}):
        given = _state_for(subject, case, form, state)
        one = case.part(0, 1) if form == "step" else case
        inputs, sides = one.inputs, dict(one.sides)
        if form == "step":
            inputs, sides = inputs[:, 0], {n: v[:, 0] for n, v in sides.items()}
        back = partial(_backward, subject, one, given, form)
        changed = subject.changed_setting(form, inputs, given, case.dtype, sides, back)
        if changed is not None:
            return Evidence(failure=changed, detail={"form": form})
    return Evidence(detail={"checked": True, "form": subject.primary})


def _backward(subject: LayerSubject, case: LayerCase, state: State | None, form: str) -> None:
    """Make a call and its backward pass, with equal weights for all outputs."""
    if subject.differentiable:
        y = steps_of(subject, form, case, state, case.steps)[0]
        weights = Cotangents(np.ones_like(y))
        subject.pullback(case.inputs, state, case.dtype, case.sides, weights, form, case.steps)
