"""Laws of side effects, formats and states: arguments unchanged, no hidden state, own state accepted."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from dynprop.kinds.layer.cases import LayerCase, layer_case
from dynprop.kinds.layer.forms import cuttable, stateful
from dynprop.kinds.layer.judging import agree, given_state, run_whole, same_call_bound, sensitivity, steps_of
from dynprop.kinds.layer.leaves import leaves_read
from dynprop.kinds.layer.subject import LayerSubject
from dynprop.laws.evidence import Evidence, worst
from dynprop.laws.law import law


@law(
    "layer/shape-and-dtype",
    claim="C1",
    statement="outputs and state keep the dtype and device of the inputs; the state keeps its own on resume",
    source="public contract",
    draw=layer_case,
    script="y, state = layer(x)\nprint(x.dtype, y.dtype, state)",
    share=0.3,
)
def shape_and_dtype(subject: LayerSubject, case: LayerCase) -> Evidence:
    """Compare dtype and device of the outputs, and dtypes of the state, with those of the inputs."""
    state = given_state(subject, case)
    dtype, device, leaves = subject.output_of(case.inputs, state, case.dtype, case.sides)
    wanted = {case.dtype, {"float64": "complex128"}.get(case.dtype, "complex64")}
    if dtype not in wanted:
        return Evidence(failure=f"outputs have dtype {dtype} for inputs of {case.dtype}")
    if device != subject.expected_device():
        return Evidence(failure=f"outputs are on {device}, inputs on {subject.expected_device()}")
    floats = [d for d in leaves if d.startswith(("float", "bfloat", "complex"))]
    if any(d not in wanted for d in floats):
        return Evidence(failure=f"the state has dtypes {', '.join(leaves)} for inputs of {case.dtype}")
    if state is not None and state.dtypes and leaves and tuple(leaves) != state.dtypes:
        return Evidence(failure=f"a state of dtypes {state.dtypes} came back as {leaves}")
    return Evidence(detail={"checked": True})


def _double(subject: LayerSubject) -> str | None:
    return None if "float64" in subject.domain.dtypes else "the layer does not compute in float64"


@law(
    "layer/one-precision",
    claim="C1",
    statement="a float64 layer computes in float64 throughout: outputs follow input changes far below "
    "single precision",
    source="caches and buffers left in float32",
    draw=partial(layer_case, longest=12),
    applies=_double,
    script="# change x by 2^-32 and by 2^-20: the slopes of the outputs agree in float64,\n"
    "# and not if anything inside is rounded to float32",
    share=0.3,
)
def one_precision(subject: LayerSubject, case: LayerCase) -> Evidence:
    """Compare the slopes of the outputs over a tiny and a small step."""
    case = LayerCase(case.inputs, case.sides, None, "float64", None, case.seed)
    direction = np.random.default_rng(case.seed).standard_normal(case.inputs.shape)
    tiny, small = 2.0**-32, 2.0**-20
    y = run_whole(subject, case, None)

    def slope(step: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        ends = []
        for sign in (1.0, -1.0):
            moved = LayerCase(case.inputs + sign * step * direction, case.sides, None, "float64")
            ends.append(run_whole(subject, moved, None))
        return np.asarray((ends[0] - ends[1]) / (2.0 * step))

    coarse, fine = slope(small), slope(tiny)
    # Central differences: the truncation error falls with the square of the step, so that halving it
    # estimates the rest; float64 rounding leaves u / tiny of the outputs, float32 a thousand times them.
    left = np.abs(coarse - slope(small / 2.0)).max(axis=2, keepdims=True, initial=0.0)
    size = np.abs(y).max(axis=2, keepdims=True, initial=0.0)
    slopes = np.abs(coarse).max(axis=2, keepdims=True, initial=0.0)
    bound = 8.0 * left + 2.0**-12 * (size + slopes) + 2.0**-30
    found = agree("slope of the outputs over a step of 2^-32", fine, coarse, bound, "float64")
    return Evidence((found,))


@law(
    "layer/inputs-unchanged",
    claim="C1",
    statement="no form modifies what the caller gave: x, state, side inputs; neither values nor shapes",
    source="xlstm 2.0.6 (squeeze_ on the caller's q, k, v)",
    draw=layer_case,
    script="# look at x and the state, values and shapes, before and after a call of {form}",
    share=0.4,
)
def inputs_unchanged(subject: LayerSubject, case: LayerCase) -> Evidence:
    """Compare the arguments of every form before and after a call."""
    state = given_state(subject, case)
    for form in sorted(subject.forms - {"initial_state"}):
        inputs, sides = case.inputs, dict(case.sides)
        given = state if form in (subject.primary, "step") else None
        if form == "step":
            inputs, sides = inputs[:, 0], {n: v[:, 0] for n, v in sides.items()}
            given = steps_of(subject, "step", case.part(0, 1), None)[1]
        if form == "parallel":
            given = None
        elif given is None and form in subject.needs_state:
            given = steps_of(subject, subject.primary, case.part(0, 1), None)[1]
        changed = subject.changed_arguments(form, inputs, given, case.dtype, sides)
        if changed is not None:
            return Evidence(failure=changed, detail={"form": form})
    return Evidence(detail={"checked": True, "form": subject.primary})


@law(
    "layer/no-hidden-state",
    claim="C1",
    statement="nothing is kept between calls: the same arguments give the same outputs after other calls",
    source="state kept in the module between calls",
    draw=layer_case,
    script="first = layer(x)[0]; layer(2 * x); print(layer(x)[0] - first)",
    share=0.4,
)
def no_hidden_state(subject: LayerSubject, case: LayerCase) -> Evidence:
    """Repeat a call of every form after a call with other arguments."""
    state = given_state(subject, case)
    other = replace(case, inputs=case.inputs[:, ::-1] * 2.0)
    pairs = []
    for form in sorted(subject.forms - {"initial_state"}):
        given = state if form == subject.primary and form != "parallel" else None
        size = 1 if form == "step" else case.steps
        first = steps_of(subject, form, case, given, size)[0]
        steps_of(subject, form, other, given, size)
        again = steps_of(subject, form, case, given, size)[0]
        bound = same_call_bound(first, case.dtype)
        pairs.append(({"form": form}, agree(f"outputs of {form}, again", again, first, bound, case.dtype)))
    comparisons, detail = worst(pairs)
    failure = None
    if subject.resets_random_numbers(case.inputs, case.dtype, case.sides):
        failure = "a call resets the library's global random numbers"
    return Evidence(comparisons, failure=failure, detail=detail)


def _returns_state(subject: LayerSubject) -> str | None:
    if subject.bidirectional:
        return None if subject.returns_state and subject.takes_state else "no state is returned"
    return None if subject.takes_state and subject.returns_state else "no state is returned and taken"


@law(
    "layer/own-state-accepted",
    claim="C1",
    statement="every form accepts the state that it returned itself, and returns one of the same shapes",
    source="xlstm 2.0.6 (the returned m is not accepted back)",
    draw=cuttable,
    applies=_returns_state,
    script="y, state = layer(x)\nlayer(x, state)  # the form is {form}",
    share=0.4,
)
def own_state_accepted(subject: LayerSubject, case: LayerCase) -> Evidence:
    """Call every form with the state that it returned, and compare the shapes of the next state."""
    for form in [f for f in ("forward", "chunk", "step") if f in subject.forms]:
        size = 1 if form == "step" else case.steps
        _, state = steps_of(subject, form, case, None, size)
        if state is None:
            return Evidence(failure=f"{form} returned no state", detail={"form": form})
        _, again = steps_of(subject, form, case, state, size)
        shapes = [v.shape for v in state.leaves]
        after = [] if again is None else [v.shape for v in again.leaves]
        if shapes != after:
            text = f"{form} took a state of shapes {shapes} and returned one of shapes {after}"
            return Evidence(failure=text, detail={"form": form})
    return Evidence(detail={"checked": True, "form": subject.primary})


def _own_initial_state(subject: LayerSubject) -> str | None:
    if "initial_state" not in subject.forms:
        return "the object offers no initial_state"
    return _returns_state(subject)


@law(
    "layer/own-initial-state",
    claim="C1",
    statement="the object's own initial_state(batch) is accepted, and is what no state means",
    source="public contract",
    draw=layer_case,
    applies=_own_initial_state,
    script="print(layer(x)[0] - layer(x, initial_state(batch))[0])",
    share=0.4,
)
def own_initial_state(subject: LayerSubject, case: LayerCase) -> Evidence:
    """Compare a call without a state with one from the object's own initial state."""
    initial = subject.initial_state(case.batch, case.dtype)
    plain = run_whole(subject, case, None)
    bound = sensitivity(subject, case, None, plain)
    found = agree(
        "outputs from initial_state(batch)", run_whole(subject, case, initial), plain, bound, case.dtype
    )
    return Evidence((found,))


@law(
    "layer/state-read",
    claim="C1",
    statement="every part of a given state that one form reads is read by the other forms; what none of them "
    "reads is reported",
    source="caches that one path fills and another forgets",
    draw=partial(layer_case, shortest=2, usual=4, longest=4, batches=(1, 2)),
    applies=_returns_state,
    script="# change a part of the state: the outputs of one form move, and those of {form} do not",
    share=0.1,
)
def state_read(subject: LayerSubject, case: LayerCase) -> Evidence:
    """Change one leaf of the state at a time, and look which forms notice."""
    state = given_state(subject, case)
    if state is None:
        state = steps_of(subject, subject.primary, case, None, case.steps)[1]
    if state is None:
        return Evidence()
    forms = [form for form in stateful(subject) if form != "forward" or subject.takes_state]
    read = {form: leaves_read(subject, form, case, state) for form in forms}
    unread = []
    for i, noticed in enumerate(zip(*read.values(), strict=True)):
        if any(noticed) and not all(noticed):
            ignoring = [form for form, found in read.items() if not found[i]]
            reading = [form for form, found in read.items() if found[i]]
            text = (
                f"{', '.join(reading)} depends on leaf {i} of the state, and {', '.join(ignoring)} does not"
            )
            return Evidence(failure=text, detail={"form": ignoring[0], "leaf": i})
        if not any(noticed):
            unread.append(f"leaf {i}, of shape {state.leaves[i].shape}")
    note = f"nothing depends on a part of the state that is given: {', '.join(unread)}" if unread else ""
    return Evidence(detail={"checked": True, "form": subject.primary}, note=note)
