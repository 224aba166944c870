"""Laws of gradients to what every step shares or is given beside its input: parameters, and side inputs.

Each has two halves. The gradient of one backward pass is the sum of vector-Jacobian products of single steps
(``step_chain``), and each of these products is the slope of its step, by central differences: a layer whose
own steps carry the fault agrees with itself in the first half.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from dynprop.arrays import FloatArray, NumericArray
from dynprop.contracts.domain import Domain
from dynprop.contracts.formats import FORMATS
from dynprop.contracts.states import State
from dynprop.kinds.layer.cases import LayerCase, layer_case, made_case
from dynprop.kinds.layer.chain import joined
from dynprop.kinds.layer.derivatives import flat, in_float64
from dynprop.kinds.layer.gradient import first_state, uncut_jacobians, ways
from dynprop.kinds.layer.judging import agree, nudged, steps_of
from dynprop.kinds.layer.pullback import Cotangents, Pullback
from dynprop.kinds.layer.step_chain import Chained, by_step, chained, flat_state, rows_first
from dynprop.kinds.layer.step_gradient import STEP, slopes
from dynprop.kinds.layer.subject import LayerSubject
from dynprop.laws.draw import Source
from dynprop.laws.evidence import Comparison, Evidence, worst
from dynprop.laws.law import law

__all__ = ["dense", "gradient_case", "gradient_cases", "passes", "uncut"]

GROUPS = 8
NUDGES = 3
# A difference in a weight moves a unit by its state: beyond, it would cross the kinks of other units.
LARGEST_STATE = 2.0**8
CONSTANT = 16.0
LONG = 24
Pair = tuple[Mapping[str, str], Comparison]
Pairs = list[Pair]


def uncut(domain: Domain) -> Domain:
    """Return the domain without the lengths at which a gradient is cut on purpose."""
    return domain.limited(max(1, domain.uncut))


def gradient_case(source: Source, domain: Domain, subject: LayerSubject) -> LayerCase:
    """Draw a case for a dense loss; laws that draw by it share its evaluations."""
    longest = 5 if subject.compiles else 20
    return layer_case(source, uncut(domain), subject, usual=8, longest=longest, batches=(1, 2))


def gradient_cases(domain: Domain, subject: LayerSubject) -> Iterator[LayerCase]:
    """Yield one case longer than usual block sizes in every format."""
    steps = min(9 if subject.compiles else LONG, uncut(domain).max_length)
    for i, dtype in enumerate(domain.dtypes):
        rng = np.random.default_rng([LONG, 31, i])
        yield made_case(rng, subject, dtype, batch=2, steps=steps, state=subject.takes_state)


def dense(subject: LayerSubject, case: LayerCase, start: State) -> Cotangents:
    """Return weights for the outputs of every step."""
    y = steps_of(subject, subject.stepper, case.part(0, 1), start)[0]
    return Cotangents(case.cotangent((case.batch, case.steps, y.shape[2])))


def passes(
    subject: LayerSubject, case: LayerCase, state: State | None, weights: Cotangents
) -> Iterator[tuple[str, Pullback]]:
    """Yield the gradients of one backward pass of every form, from a state or from none."""
    for text, form, size in ways(subject, case.steps):
        pulled = subject.pullback(case.inputs, state, case.dtype, case.sides, weights, form, size)
        if pulled is not None:
            yield text, pulled
        elif form == subject.primary:
            yield text, _nothing_pulled(subject, case, state)


def _nothing_pulled(subject: LayerSubject, case: LayerCase, state: State | None) -> Pullback:
    leaves = () if state is None else tuple(np.zeros_like(state.leaves[i]) for i in state.floating)
    sides = {name: np.zeros_like(values) for name, values in case.sides.items()}
    return Pullback(
        np.zeros_like(case.inputs),
        leaves,
        sides,
        {n: np.zeros_like(v) for n, v in subject.parameters.values.items()},
    )


def _asked(subject: LayerSubject, case: LayerCase) -> tuple[State, Cotangents, Chained] | None:
    """Return a first state, weights of outputs and their gradient by single steps; None if undecidable."""
    start = first_state(subject, case)
    if start is None or not start.floating:
        return None
    weights = dense(subject, case, start)
    expected = chained(subject, case, start, weights)
    return (start, weights, expected) if expected.safe else None


def _trains(subject: LayerSubject) -> str | None:
    if not subject.parameters.trained:
        return "no parameters are known: a module's are, others are declared by parameters="
    return uncut_jacobians(subject)


@law(
    "layer/gradient-parameters",
    claim="C6",
    statement="the gradient to each parameter, in every form, equals the sum of vector-Jacobian products of "
    "single steps, and each of these products is the slope of its step",
    source="Goodfellow, Bengio and Courville 2016, section 10.2.2; wvabrinskas/Neuron#181; "
    "fangwei123456/spikingjelly#151",
    draw=gradient_case,
    fixed=gradient_cases,
    applies=_trains,
    script="# form: {form}; gradient of a weighted sum of all outputs to {parameter}, against the sum of\n"
    "# single steps in float64, and against differences of a step in the parameter",
    share=0.12,
)
def gradient_parameters(subject: LayerSubject, case: LayerCase) -> Evidence:
    """Compare the gradients of every form with single steps, and single steps with their slopes."""
    asked = _asked(subject, case)
    if asked is None:
        return Evidence()
    start, weights, expected = asked
    pairs: Pairs = []
    for text, pulled in passes(subject, case, start, weights):
        pairs += _by_parameter(text, pulled, expected.products.pullback.parameters, expected, case)
    pairs += _from_own_start(subject, case, weights)
    pairs += list(_steps_by_parameter(subject, case, expected))
    comparisons, detail = worst(pairs)
    return Evidence(comparisons, detail=detail)


def _by_parameter(
    text: str,
    pulled: Pullback,
    wanted: Mapping[str, NumericArray],
    expected: Chained,
    case: LayerCase,
) -> Pairs:
    """Compare the gradient to each parameter, by its largest entry."""
    found: Pairs = []
    for name, reference in wanted.items():
        value, exact = flat(pulled.parameters[name])[None], flat(reference)[None]
        bound = np.full_like(exact, expected.parameters[name])
        label = f"gradient to {name}, {text}"
        comparison = agree(label, value, exact, bound, case.dtype, axes=("row", "entry"))
        found.append(({"form": text, "parameter": name}, comparison))
    return found


def _from_own_start(subject: LayerSubject, case: LayerCase, weights: Cotangents) -> Pairs:
    """Compare forms that start by themselves: a learned initial state has a gradient too."""
    starts = [form for form in (subject.primary, "parallel") if form in subject.forms]
    if case.warm_up is not None or "initial_state" not in subject.forms:
        return []
    own = subject.initial_state(case.batch, case.dtype)
    if own is None or own.floating == ():
        return []
    expected = chained(subject, case, own, weights)
    if not expected.safe:
        return []
    with subject.parameters.rounded(case.dtype):
        born, lost = _initial_gradients(subject, case, own, expected)
    sums = {n: v + born[n] for n, v in expected.products.pullback.parameters.items()}
    expected = replace(expected, parameters={n: v + lost[n] for n, v in expected.parameters.items()})
    pairs: Pairs = []
    for form in dict.fromkeys(starts):
        pulled = subject.pullback(case.inputs, None, case.dtype, case.sides, weights, form, case.steps)
        if pulled is not None:
            pairs += _by_parameter(f"{form}, started by itself", pulled, sums, expected, case)
    return pairs


def _initial_gradients(
    subject: LayerSubject, case: LayerCase, own: State, expected: Chained
) -> tuple[dict[str, NumericArray], dict[str, float]]:
    """Return what the layer's own initial state adds to the gradients, and its bounds.

    The gradient to that state is moved by its bound, with random signs, and every product is rounded.
    """
    reached = expected.products.pullback.state
    born = subject.initial_products(case.batch, reached)
    width = flat_state(own).shape[1] + case.batch
    lost = {
        n: 4.0 * width * FORMATS[case.dtype].unit * float(np.abs(v).max(initial=0.0)) for n, v in born.items()
    }
    rng = np.random.default_rng(case.seed)
    for _ in range(NUDGES):
        moved = []
        for i, leaf in zip(own.floating, reached, strict=True):
            axis = own.batch_axes[i] or 0
            bound = expected.state.reshape([-1 if at == axis else 1 for at in range(leaf.ndim)])
            moved.append(leaf + bound * rng.choice([-1.0, 1.0], leaf.shape))
        near = subject.initial_products(case.batch, tuple(moved))
        lost = {n: max(v, float(np.abs(near[n] - born[n]).max(initial=0.0))) for n, v in lost.items()}
    return born, lost


def _steps_by_parameter(subject: LayerSubject, case: LayerCase, expected: Chained) -> Iterator[Pair]:
    """Compare the products of every single step with slopes along random directions.

    A layer of many parameters moves several of them together.
    """
    if "float64" not in subject.domain.dtypes:
        return
    rng = np.random.default_rng(case.seed)
    values = subject.parameters.values
    names = list(values)
    groups = [names[i :: min(GROUPS, len(names))] for i in range(min(GROUPS, len(names)))]
    states = _largest_states(expected)
    size = max(1.0, float(states[states <= LARGEST_STATE].max(initial=1.0)))
    for group in groups:
        directions = {name: _direction(values[name], rng) / size for name in group}
        value = sum(np.asarray(expected.products.shares[name] @ flat(directions[name])) for name in group)
        label = f"gradient of single steps to {', '.join(group)}"
        shift = partial(subject.parameters.shifted, directions)
        detail = {"form": "single steps", "parameter": ", ".join(group)}
        yield detail, _against_slopes(subject, case, expected, label, np.asarray(value), shift, {})


def _largest_states(expected: Chained) -> FloatArray:
    """Return the largest entry of the state before each step, shape (time,)."""
    return np.array([np.abs(flat_state(state)).max(initial=0.0) for state in expected.states])


def _direction(values: NumericArray, rng: np.random.Generator) -> NumericArray:
    """Return a direction that moves every entry by its own size: signs stay, zeros move by the largest."""
    largest = float(np.abs(values).max(initial=0.0)) or 1.0
    size = np.where(values == 0, largest, np.abs(values))
    signs = rng.choice([-1.0, 1.0], values.shape) * rng.uniform(0.5, 1.5, values.shape)
    if np.iscomplexobj(values):
        return np.asarray(size * (signs + 1j * rng.choice([-1.0, 1.0], values.shape)))
    return np.asarray(size * signs)


def _against_slopes(
    subject: LayerSubject,
    case: LayerCase,
    expected: Chained,
    label: str,
    value: FloatArray,
    shift: Callable[[float], AbstractContextManager[None]],
    push: Mapping[str, FloatArray],
) -> Comparison:
    """Compare directional derivatives of the single steps, (time,), with central differences.

    Args:
        subject, case: the layer and the case.
        expected: the products.
        label: what is compared.
        value: products along the direction, one for each step.
        shift: moves parameters by a multiple of the direction inside a block.
        push: direction of side inputs by name, shape (batch, time, ...).
    """
    steps = _weighted_steps(subject, case, expected)

    def ends(step: float) -> tuple[FloatArray]:
        sides = {n: v + step * push.get(n, 0.0) for n, v in case.sides.items()}
        with shift(step):
            return (steps.total(replace(case, sides=sides), steps.rows),)

    slope, bound = slopes(ends, 1)[0]
    bound = bound + CONSTANT * steps.noise / STEP
    near = _largest_states(expected)[:, None] <= LARGEST_STATE
    usable = np.isfinite(slope) & np.isfinite(bound) & near
    return agree(
        label,
        (value / steps.norms)[None],
        np.where(usable, slope, 0.0).T,
        np.where(usable, bound, np.inf).T,
        "float64",
        axes=("row", "time"),
    )


@dataclass(frozen=True)
class WeightedSteps:
    """The weighted outputs and next states of all single steps of a case in float64, as rows of one batch.

    Attributes:
        subject, dtype: the layer, and the format in which it has its parameters.
        rows: the states before the steps.
        outputs, passed: the weights of outputs and next states, shape (time, batch, entries).
        norms: the largest weight of each step, by which its sum is divided: it may explode or vanish.
        noise: how far rounding moves the sums, shape (time, 1).
    """

    subject: LayerSubject
    dtype: str
    rows: State
    outputs: FloatArray
    passed: FloatArray
    norms: FloatArray
    noise: FloatArray

    def total(self, case: LayerCase, rows: State) -> FloatArray:
        """Return the sum of every step over the rows of the case, shape (time, 1)."""
        sides = {n: by_step(v) for n, v in case.sides.items()}
        one = replace(case, inputs=by_step(case.inputs), sides=sides, dtype="float64", warm_up=None)
        with self.subject.parameters.rounded(self.dtype):
            y, after = steps_of(self.subject, self.subject.stepper, one, rows)
        total = (y[:, 0].reshape(self.outputs.shape) * self.outputs).sum(axis=(1, 2))
        if after is not None:
            total = total + (flat_state(after).reshape(self.passed.shape) * self.passed).sum(axis=(1, 2))
        return np.asarray((total / self.norms)[:, None])


def _weighted_steps(subject: LayerSubject, case: LayerCase, expected: Chained) -> WeightedSteps:
    """Return the weighted steps of a case; the noise is that of three moves by one unit of float64."""
    outputs = expected.products.outputs
    passed = np.stack([rows_first(expected.states[0], leaves) for leaves in expected.products.states])
    norms = np.maximum(np.abs(outputs).max(axis=(1, 2)), np.abs(passed).max(axis=(1, 2), initial=0.0))
    norms = np.where(norms > 0.0, norms, 1.0)
    rows = in_float64(joined(list(expected.states)))
    steps = WeightedSteps(subject, case.dtype, rows, outputs, passed, norms, np.zeros(1))
    rng, unit = np.random.default_rng(case.seed), FORMATS["float64"].unit

    def nudge(values: NumericArray) -> NumericArray:
        return nudged(values, unit, rng, "float64")

    plain = steps.total(case, rows)
    noise = np.abs(plain) * unit
    for _ in range(NUDGES):
        sides = {name: nudge(values) for name, values in case.sides.items()}
        near = replace(case, inputs=nudge(case.inputs), sides=sides)
        with subject.nudged(int(rng.integers(2**31))):
            noise = np.maximum(noise, np.abs(steps.total(near, rows.map(nudge)) - plain))
    return replace(steps, noise=noise)


def _drives(subject: LayerSubject) -> str | None:
    if not subject.side_shapes:
        return "the layer takes no side inputs"
    return uncut_jacobians(subject)


@law(
    "layer/gradient-side-inputs",
    claim="C6",
    statement="the gradient to each side input, in every form, equals that of single steps, and is the slope "
    "of its step",
    source="time spans of continuous-time cells that are learned or predicted",
    draw=gradient_case,
    fixed=gradient_cases,
    applies=_drives,
    script="# form: {form}; gradient of a weighted sum of all outputs to the side input {side}, against\n"
    "# single steps in float64, and against differences of a step in the side input",
    share=0.12,
)
def gradient_side_inputs(subject: LayerSubject, case: LayerCase) -> Evidence:
    """Compare the gradients to side inputs of every form with single steps, and these with their slopes."""
    asked = _asked(subject, case)
    if asked is None:
        return Evidence()
    start, weights, expected = asked
    pairs: Pairs = []
    rng = np.random.default_rng(case.seed)
    every = list(passes(subject, case, start, weights))
    for name, bound in expected.sides.items():
        exact = _rows_of(expected.products.pullback.sides[name])
        for text, pulled in every:
            label = f"gradient to {name}, {text}"
            value = _rows_of(pulled.sides[name])
            found = agree(label, value, exact, bound + np.zeros_like(exact), case.dtype)
            pairs.append(({"form": text, "side": name}, found))
        if "float64" in subject.domain.dtypes:
            push = {name: rng.uniform(0.5, 1.5, case.sides[name].shape)}
            along = (exact * _rows_of(push[name])).sum(axis=(0, 2))
            label = f"gradient of single steps to {name}"
            found = _against_slopes(subject, case, expected, label, along, _still, push)
            pairs.append(({"form": "single steps", "side": name}, found))
    comparisons, detail = worst(pairs)
    return Evidence(comparisons, detail=detail)


def _still(step: float) -> AbstractContextManager[None]:
    """Move no parameter."""
    return nullcontext()


def _rows_of(values: FloatArray) -> FloatArray:
    return values.reshape(*values.shape[:2], -1)
