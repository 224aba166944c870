"""Laws of backward passes at the ends of a row: through padding and the returned state, without a step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from dynprop.arrays import FloatArray, NumericArray, round_to
from dynprop.contracts.domain import Domain
from dynprop.contracts.formats import FORMATS
from dynprop.contracts.states import State
from dynprop.kinds.layer.batch import padded_case, padded_cases, pads
from dynprop.kinds.layer.cases import LayerCase, layer_case, made_case
from dynprop.kinds.layer.derivatives import flat
from dynprop.kinds.layer.gradient import first_state, uncut_jacobians
from dynprop.kinds.layer.gradient_parameters import gradient_case, gradient_cases, passes, uncut
from dynprop.kinds.layer.judging import AXES, agree, given_state, run_whole, sensitivity
from dynprop.kinds.layer.moved import moved_gradients
from dynprop.kinds.layer.pullback import Cotangents, Pullback
from dynprop.kinds.layer.step_chain import chained, rows_first
from dynprop.kinds.layer.subject import LayerSubject
from dynprop.laws.draw import Source
from dynprop.laws.evidence import Comparison, Evidence, worst
from dynprop.laws.law import law
from dynprop.subjects.calls import TargetMismatchError, TargetRaisedError

Pairs = list[tuple[Mapping[str, object], Comparison]]


def _weighted(state: State, dtype: str, rng: np.random.Generator) -> State:
    """Return weights for the floating leaves of a state."""
    return state.map(lambda leaf: round_to(rng.standard_normal(leaf.shape), dtype))


def _floating(state: State) -> tuple[NumericArray, ...]:
    return tuple(state.leaves[i] for i in state.floating)


def _pads_gradients(subject: LayerSubject) -> str | None:
    if not subject.differentiable:
        return "the library has no automatic differentiation"
    if subject.domain.uncut < 1:
        return "the target cuts its gradient at every step on purpose"
    return pads(subject)


def _uncut_rows(source: Source, domain: Domain, subject: LayerSubject) -> LayerCase:
    return padded_case(source, uncut(domain), subject)


def _uncut_fixed_rows(domain: Domain, subject: LayerSubject) -> Iterator[LayerCase]:
    yield from padded_cases(uncut(domain), subject)


@law(
    "layer/gradient-padding",
    claim="C6",
    statement="the gradients of padded rows are those of the rows alone, and exactly zero at the padding",
    source="state-spaces/mamba#368; fla-org/flash-linear-attention#837, #892",
    draw=_uncut_rows,
    fixed=_uncut_fixed_rows,
    applies=_pads_gradients,
    script="r, length = {row}, {length}\n# gradient of layer(x, lengths=...), outputs of the rows and "
    "last state weighted,\n# against that of layer(x[r, :length])",
    share=0.12,
)
def gradient_padding(subject: LayerSubject, case: LayerCase) -> Evidence:
    """Compare the gradients of a padded batch, to all that it is given and trains, with those of its rows."""
    lengths = case.lengths or ()
    state, rng = given_state(subject, case), np.random.default_rng(case.seed)
    y, after = subject.call("forward", case.inputs, state, case.dtype, case.sides, lengths)
    real = np.arange(case.steps) < np.array(lengths)[:, None]
    outputs = np.where(real[..., None], case.cotangent(y.shape), 0.0)
    ends = None if after is None or None in after.batch_axes else _weighted(after, case.dtype, rng)
    weights = Cotangents(outputs, () if ends is None else _floating(ends))
    found = subject.pullback(
        case.inputs, state, case.dtype, case.sides, weights, "forward", case.steps, lengths
    )
    if found is None:
        return Evidence()
    padding = np.where(real[..., None], 0.0, found.inputs)
    nothing = np.zeros_like(padding)
    pairs: Pairs = [({}, agree("gradient to the padding", padding, nothing, nothing, case.dtype))]
    sums = {name: np.zeros_like(value) for name, value in found.parameters.items()}
    bounds, spread = dict.fromkeys(sums, 0.0), dict.fromkeys(sums, 0.0)
    for r, length in enumerate(lengths):
        rows, detail = slice(r, r + 1), {"row": r, "length": length}
        start = None if state is None else state.rows(rows)
        last = () if ends is None else _floating(ends.rows(rows))
        value = () if start is None or state is None else _row_of(state, found, rows)
        if length == 0:
            if start is not None and last and len(last) == len(value):
                exact = rows_first(start, last)
                bound = np.zeros_like(exact)
                label = "gradient to the state of an empty row"
                state_axes = ("batch", "state")
                compared = agree(label, rows_first(start, value), exact, bound, case.dtype, axes=state_axes)
                pairs.append((detail, compared))
            continue
        valid = replace(case.take(rows), lengths=None).part(0, length)
        alone = moved_gradients(subject, valid, start, Cotangents(outputs[rows, :length], last))
        if alone is None:
            return Evidence()
        label = f"gradient to the inputs of a row of length {length}"
        wide = np.full_like(alone.pulled.inputs, alone.inputs)
        compared = agree(
            label,
            found.inputs[rows, :length],
            alone.pulled.inputs,
            wide,
            case.dtype,
            axes=("batch", "step", "feature"),
        )
        pairs.append((detail, compared))
        if start is not None and value:
            label = f"gradient to the state of a row of length {length}"
            exact = rows_first(start, alone.pulled.state)
            bound = np.full_like(exact, alone.state)
            compared = agree(
                label, rows_first(start, value), exact, bound, case.dtype, axes=("batch", "state")
            )
            pairs.append((detail, compared))
        for name, part in alone.pulled.parameters.items():
            sums[name] = sums[name] + part
            bounds[name] += alone.parameters[name]
            spread[name] += float(np.abs(part).max(initial=0.0))
    terms = 4.0 * case.batch * FORMATS[case.dtype].unit
    # The state of an empty row that starts by itself may be a parameter.
    for name, total in sums.items() if state is not None or min(lengths) > 0 else ():
        exact = flat(total)[None]
        bound = np.full_like(exact, bounds[name] + terms * spread[name])
        compared = agree(
            f"gradient to {name}",
            flat(found.parameters[name])[None],
            exact,
            bound,
            case.dtype,
            axes=("row", "entry"),
        )
        pairs.append(({"row": "all", "length": "their own"}, compared))
    comparisons, detail = worst(pairs)  # type: ignore[assignment]  # a mapping again
    return Evidence(comparisons, detail=detail)


def _row_of(state: State, found: Pullback, rows: slice) -> tuple[NumericArray, ...]:
    """Return the gradient to the state of one row."""
    if not found.state:
        return ()
    parts = []
    for i, leaf in zip(state.floating, found.state, strict=True):
        axis = state.batch_axes[i]
        parts.append(leaf if axis is None else leaf[(slice(None),) * axis + (rows,)])
    return tuple(parts)


@law(
    "layer/gradient-returned-state",
    claim="C6",
    statement="the gradients of a weighted last state to inputs and given state, in every form, are those of "
    "single steps",
    source="truncated backpropagation that resumes from a returned state; fla-org/flash-linear-attention#892",
    draw=gradient_case,
    fixed=gradient_cases,
    applies=uncut_jacobians,
    script="# form: {form}; gradient of the weighted state that layer(x, state) returns to x and state,\n"
    "# against single steps in float64",
    share=0.08,
)
def gradient_returned_state(subject: LayerSubject, case: LayerCase) -> Evidence:
    """Compare the gradients of the last state, in every form, with products of single steps."""
    start = first_state(subject, case)
    if start is None or not start.floating:
        return Evidence()
    y = subject.call(subject.stepper, *_one_step(subject, case, start))[0]
    outputs = np.zeros((case.batch, case.steps, y.shape[-1]))
    ends = _weighted(start, case.dtype, np.random.default_rng(case.seed))
    expected = chained(subject, case, start, Cotangents(outputs, _floating(ends)))
    if not expected.safe:
        return Evidence()
    exact = expected.products.pullback
    to_state = rows_first(start, exact.state)
    pairs: Pairs = []
    for text, pulled in passes(subject, case, start, expected.weights):
        bound = expected.inputs + np.zeros_like(exact.inputs)
        label = f"gradient of the last state to the inputs, {text}"
        pairs.append(
            ({"form": text}, agree(label, pulled.inputs, exact.inputs, bound, case.dtype, axes=AXES))
        )
        bound = expected.state + np.zeros_like(to_state)
        label = f"gradient of the last state to the state given, {text}"
        value = rows_first(start, pulled.state)
        pairs.append(
            ({"form": text}, agree(label, value, to_state, bound, case.dtype, axes=("batch", "state")))
        )
    comparisons, detail = worst(pairs)
    return Evidence(comparisons, detail=detail)


def _one_step(
    subject: LayerSubject, case: LayerCase, start: State
) -> tuple[FloatArray, State, str, Mapping[str, FloatArray]]:
    """Return the arguments of a call on the first step."""
    one = case.part(0, 1)
    if subject.stepper == "step":
        return one.inputs[:, 0], start, one.dtype, {n: v[:, 0] for n, v in one.sides.items()}
    return one.inputs, start, one.dtype, one.sides


def _empty(source: Source, domain: Domain, subject: LayerSubject) -> LayerCase:
    return layer_case(source, domain, subject, longest=1, batches=(1, 3), state=True).part(0, 0)


def _empty_cases(domain: Domain, subject: LayerSubject) -> Iterator[LayerCase]:
    for i, dtype in enumerate(domain.dtypes):
        rng = np.random.default_rng([0, i])
        yield made_case(rng, subject, dtype, batch=2, steps=1, state=True).part(0, 0)


def _whole_forms(subject: LayerSubject) -> list[str]:
    return [form for form in ("forward", "chunk") if form in subject.forms]


def _takes_nothing(subject: LayerSubject) -> str | None:
    if not (subject.takes_state and subject.returns_state):
        return "no state is returned and taken"
    dtype = subject.domain.dtypes[0]
    case = next(iter(_empty_cases(subject.domain, subject)))
    try:
        state = given_state(subject, case)
        subject.call(subject.primary, case.inputs, state, dtype, case.sides)
    except TargetRaisedError as error:
        return f"it refuses a sequence without a step: {error}"
    except TargetMismatchError:
        return None  # The law reports that.
    return None


@law(
    "layer/no-steps",
    claim="C6",
    statement="a sequence without a step leaves the state that is given as it is, and its gradient too",
    source="empty sequences in hand-written backward passes; cumprod and stack of nothing",
    draw=_empty,
    fixed=_empty_cases,
    applies=_takes_nothing,
    script="# form: {form}\ny, after = layer(x[:0], state)  # no step: after is state, d after/d state is 1",
    share=0.05,
)
def no_steps(subject: LayerSubject, case: LayerCase) -> Evidence:
    """Compare the state after no step, and the gradient to the state before, with those of the identity."""
    state = given_state(subject, case)
    if state is None:
        return Evidence()
    rng = np.random.default_rng(case.seed)
    further = made_case(rng, subject, case.dtype, batch=case.batch, steps=2, state=False)
    further = replace(further, inputs=further.inputs[:, : subject.domain.max_length])
    expected = run_whole(subject, further, state)
    bound = sensitivity(subject, further, state, expected)
    pairs: Pairs = []
    for form in _whole_forms(subject):
        try:
            y, after = subject.call(form, case.inputs, state, case.dtype, case.sides)
        except TargetRaisedError:
            continue  # A form may refuse a sequence without a step.
        if y.shape[1] or after is None:
            return Evidence(failure=f"{form} on no step returned {y.shape[1]} outputs, and state {after}")
        label = f"outputs that follow from the state after no step ({form})"
        value = run_whole(subject, further, after)
        pairs.append(({"form": form}, agree(label, value, expected, bound, case.dtype)))
        same = all(np.array_equal(a, b) for a, b in zip(after.leaves, state.leaves, strict=False))
        if not subject.differentiable or not state.floating or not same:
            continue
        ends = _floating(_weighted(state, case.dtype, rng))
        nothing = Cotangents(np.zeros((case.batch, 0, expected.shape[2])), ends)
        try:
            pulled = subject.pullback(case.inputs, state, case.dtype, case.sides, nothing, form, 1)
        except TargetRaisedError as error:
            failure = f"{form} takes no step without an error, and its backward pass raised {error}"
            return Evidence(failure=failure, detail={"form": form})
        exact = np.concatenate([leaf.reshape(-1) for leaf in ends])[None]
        got = tuple(np.zeros_like(leaf) for leaf in ends) if pulled is None else pulled.state
        found = np.concatenate([np.asarray(leaf, dtype=np.float64).reshape(-1) for leaf in got])[None]
        label = f"gradient to the state given, without a step ({form})"
        none = np.zeros_like(exact)
        pairs.append(({"form": form}, agree(label, found, exact, none, case.dtype, axes=("row", "state"))))
    comparisons, detail = worst(pairs)
    return Evidence(comparisons, detail=detail)
