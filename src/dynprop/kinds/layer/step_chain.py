r"""The gradient of a dense loss by vector-Jacobian products of a layer's single steps, with a bound.

With F the step of a layer in float64, taken **at the states that the layer itself passed through**, w_t the
weights of the output of step t and r_t the gradient to the state after it,

.. math:: (\bar x_t, \bar s_{t-1}, \bar\theta_t) = (w_t, r_t)\,\partial F_t/\partial(x, s, \theta), \qquad
          r_{t-1} = \bar s_{t-1}, \qquad \partial L/\partial\theta = \textstyle\sum_t \bar\theta_t.

A sound backward pass in a format of unit u rounds every product, and its states differ from those of single
steps by rounding. It takes the slope of a saturated unit from its rounded output, as 1 - h^2, with an error
of u whatever its size; so each gradient has a companion at rest, the same product at a state and an input
that are scaled towards zero, where no unit is saturated, divided by the power of the scale that it follows.
N is the number of entries in state and input of one row, M the largest change of an entry when inputs,
states, parameters and r move by 2u, r also by 2u of its companion: three evaluations with random signs, one
of them along the trajectory of the moved inputs and parameters. A parameter's gradient may be wrong by

.. math:: 4 M + (4 N + T B)\, u \max \textstyle\sum_t (|\bar\theta_t| + |\bar\theta^{rest}_t|),

by its largest entry: T B, steps times rows, is the number of terms that are added (Higham 2002, section 4.2).
Entry by entry, single small entries of a right LSTM exceed such a bound (observed: 3.2 times); by the largest
entry the worst ratio seen is 0.2, over torch.nn.RNN, GRU and LSTM, 1 to 200 steps. The gradient to an input,
at a step of a row, has the bound 16 M + 4 N u (|x| + |x_rest|), M and |x| the largest over its entries, which
are too few for 4 M (observed with that: 0.4 of the bound in the controls); that to a side input the same with
the largest over all steps of the row.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy as np

from dynprop.arrays import FloatArray, NumericArray
from dynprop.contracts.formats import FORMATS
from dynprop.contracts.states import State
from dynprop.kinds.layer.cases import LayerCase
from dynprop.kinds.layer.chain import joined
from dynprop.kinds.layer.derivatives import in_float64
from dynprop.kinds.layer.judging import steps_of
from dynprop.kinds.layer.pullback import Cotangents, Leaves, Pullback, StepProducts
from dynprop.kinds.layer.subject import LayerSubject

__all__ = ["Chained", "by_step", "chained", "flat_state", "rows_first", "trajectory"]

CONSTANT = 4.0
CONSTANT_OF_FEW = 16.0
SCALE = 2.0**-6
NUDGES = 3


@dataclass(frozen=True)
class Chained:
    """The gradient of a loss by single steps, and its bounds.

    Attributes:
        weights: the weights of the loss.
        states: the state before each step, in the format of the case.
        products: the gradients, exact but for float64.
        parameters: the bound of every entry of a parameter's gradient, by name.
        inputs: the bound for each row and step, shape (batch, time, 1).
        sides: the bound for each row of a side input, by name, shape (batch, 1, 1).
        state: the bound for each row, shape (batch, 1).
        safe: whether nothing comes near the overflow threshold.
    """

    weights: Cotangents
    states: tuple[State, ...]
    products: StepProducts
    parameters: Mapping[str, float]
    inputs: FloatArray
    sides: Mapping[str, FloatArray]
    state: FloatArray
    safe: bool


def rows_first(state: State, leaves: tuple[NumericArray, ...]) -> FloatArray:
    """Return gradients to the floating leaves of a state, flattened for every row: shape (batch, S)."""
    parts = []
    for i, leaf in zip(state.floating, leaves, strict=True):
        rows = np.moveaxis(leaf, state.batch_axes[i] or 0, 0)
        parts.append(rows.reshape(len(rows), -1))
    return np.concatenate(parts, axis=1).astype(np.float64)


def flat_state(state: State) -> FloatArray:
    """Return the floating leaves of a state, flattened for every row."""
    return rows_first(state, tuple(state.leaves[i] for i in state.floating))


def trajectory(subject: LayerSubject, case: LayerCase, start: State) -> tuple[State, ...]:
    """Return the state before every step, by single steps."""
    states = [start]
    for t in range(case.steps - 1):
        after = steps_of(subject, subject.stepper, case.part(t, t + 1), states[-1])[1]
        states.append(states[-1] if after is None else after)
    return tuple(states)


def chained(
    subject: LayerSubject, case: LayerCase, start: State, weights: Cotangents, cuts: Container[int] = ()
) -> Chained:
    """Return the gradient of a loss by single steps; the same arguments are evaluated once.

    Args:
        subject: the layer.
        case: the case.
        start: the state before its first step.
        weights: the weights of the loss.
        cuts: steps before which the gradient is cut.
    """
    parts = (*(leaf.tobytes() for leaf in start.leaves), *(leaf.tobytes() for leaf in weights.state))
    key = ("chain", case.key, weights.outputs.tobytes(), parts, tuple(sorted(_listed(cuts, case.steps))))
    return subject.remembered.once(key, lambda: _chained(subject, case, start, weights, cuts))


def _listed(cuts: Container[int], steps: int) -> list[int]:
    return [t for t in range(steps) if t in cuts]


def _chained(
    subject: LayerSubject, case: LayerCase, start: State, weights: Cotangents, cuts: Container[int]
) -> Chained:
    states = trajectory(subject, case, start)
    format_ = FORMATS[case.dtype]
    rng = np.random.default_rng(case.seed)

    def nudge(values: NumericArray) -> NumericArray:
        return np.asarray(values * (1.0 + 2.0 * format_.unit * rng.choice([-1.0, 1.0], np.shape(values))))

    with subject.parameters.rounded(case.dtype):
        base = subject.step_products(case.inputs, states, case.sides, weights, cuts=cuts)
    rest = _resting(subject, case, states, base)

    def disturb(leaves: Leaves, t: int) -> Leaves:
        born = rest.state[t + 1] if t + 1 < case.steps else tuple(np.zeros_like(leaf) for leaf in leaves)
        signs = [2.0 * format_.unit * rng.choice([-1.0, 1.0], leaf.shape) for leaf in leaves]
        return tuple(nudge(v) + sign * b for v, sign, b in zip(leaves, signs, born, strict=True))

    others = []
    for i in range(NUDGES):
        near = replace(
            case,
            inputs=_within(subject, nudge(case.inputs)),
            sides={name: nudge(values) for name, values in case.sides.items()},
        )
        seed = int(rng.integers(2**31))
        if i == 0:
            with subject.nudged(seed):
                path = trajectory(subject, near, start.map(nudge))
        else:
            path = tuple(state.map(nudge) for state in states)
        with ExitStack() as stack:
            stack.enter_context(subject.parameters.rounded(case.dtype))
            stack.enter_context(subject.parameters.nudged(seed, format_.unit))
            others.append(
                subject.step_products(near.inputs, path, near.sides, weights, cuts=cuts, disturb=disturb)
            )
    return _bounded(case, weights, states, base, others, rest)


@dataclass(frozen=True)
class Resting:
    """The companions at rest of all gradients, in absolute value.

    Attributes:
        inputs: shape (batch, time, feature).
        state: for each step, to the floating leaves of the state before it.
        sides: by name, shape (batch, time, ...).
        parameters: the largest entry of the sum over all steps, by name.
    """

    inputs: FloatArray
    state: tuple[Leaves, ...]
    sides: Mapping[str, FloatArray]
    parameters: Mapping[str, float]


def _resting(
    subject: LayerSubject, case: LayerCase, states: tuple[State, ...], base: StepProducts
) -> Resting:
    """Evaluate every step with state and input scaled towards zero, all steps as rows of one batch."""
    steps, batch = case.steps, case.batch
    rows = in_float64(joined(list(states)))
    places = [rows.batch_axes[i] or 0 for i in rows.floating]
    upstream = tuple(
        np.concatenate([leaves[at] for leaves in base.states], axis=axis) for at, axis in enumerate(places)
    )
    sides = {name: by_step(values) for name, values in case.sides.items()}
    inputs, weights = by_step(case.inputs), Cotangents(base.outputs.reshape(steps * batch, 1, -1), upstream)

    def pulled(scale: float) -> Pullback | None:
        near = rows.map(lambda leaf: scale * leaf)
        form = subject.stepper
        return subject.pullback(scale * inputs, near, "float64", sides, weights, form, 1)

    with subject.parameters.rounded(case.dtype):
        large, small = pulled(SCALE), pulled(SCALE / 2.0)
    if large is None or small is None:
        nothing = tuple(tuple(np.zeros_like(leaf) for leaf in leaves) for leaves in base.states)
        empty = {name: np.zeros_like(values) for name, values in case.sides.items()}
        return Resting(np.zeros_like(case.inputs), nothing, empty, dict.fromkeys(base.shares, 0.0))

    def of_steps(values: FloatArray) -> FloatArray:
        return values.reshape(steps, batch, *values.shape[2:]).swapaxes(0, 1)

    leaves = [_scaled_back(a, b) for a, b in zip(large.state, small.state, strict=True)]
    by_leaf = [np.split(leaf, steps, axis=axis) for leaf, axis in zip(leaves, places, strict=True)]
    return Resting(
        of_steps(_scaled_back(large.inputs, small.inputs)),
        tuple(tuple(parts[t] for parts in by_leaf) for t in range(steps)),
        {name: of_steps(_scaled_back(large.sides[name], small.sides[name])) for name in sides},
        {
            name: float(_scaled_back(value, small.parameters[name]).max(initial=0.0))
            for name, value in large.parameters.items()
        },
    )


def _scaled_back(large: NumericArray, small: NumericArray) -> FloatArray:
    """Return what a product at rest is without its scale: it follows a power of it, from 0 to 2."""
    sizes = [np.where(np.isfinite(v), np.abs(v), 0.0) for v in (large, small)]
    tops = [float(size.max(initial=0.0)) for size in sizes]
    power = 0.0 if min(tops) == 0.0 else float(np.clip(np.round(np.log2(tops[0] / tops[1])), 0.0, 2.0))
    return np.asarray(sizes[0] / SCALE**power)


def by_step(values: FloatArray) -> FloatArray:
    """Return the steps of (batch, time, ...) as rows of one batch: (time * batch, 1, ...)."""
    moved = values.swapaxes(0, 1)
    return moved.reshape(-1, 1, *moved.shape[2:])


def _within(subject: LayerSubject, inputs: NumericArray) -> FloatArray:
    return np.abs(inputs) if subject.domain.inputs == "positive" else inputs


def _bounded(
    case: LayerCase,
    weights: Cotangents,
    states: tuple[State, ...],
    base: StepProducts,
    others: list[StepProducts],
    rest: Resting,
) -> Chained:
    format_ = FORMATS[case.dtype]
    start, pulled, near = states[0], base.pullback, [other.pullback for other in others]
    width = flat_state(start).shape[1] + case.inputs.shape[2]
    terms = 4.0 * width + case.steps * case.batch
    lost = case.steps * format_.tiny

    def moved(value: FloatArray, nearby: list[FloatArray]) -> FloatArray:
        return np.asarray(np.max([np.abs(other - value) for other in nearby], axis=0))

    def by_row(value: FloatArray, nearby: list[FloatArray], resting: FloatArray) -> FloatArray:
        change = moved(value, nearby).max(axis=-1, keepdims=True, initial=0.0)
        size = (np.abs(value) + np.abs(resting)).max(axis=-1, keepdims=True, initial=0.0)
        return np.asarray(CONSTANT_OF_FEW * (change + lost) + CONSTANT * width * format_.unit * size)

    parameters = {}
    for name, shares in base.shares.items():
        change = moved(shares.sum(axis=0), [other.shares[name].sum(axis=0) for other in others])
        total = np.abs(shares).sum(axis=0).max(initial=0.0) + rest.parameters[name]
        parameters[name] = float(
            CONSTANT * change.max(initial=0.0) + terms * format_.unit * total + terms * lost
        )
    sides = {
        name: by_row(
            _one_row(value), [_one_row(other.sides[name]) for other in near], _one_row(rest.sides[name])
        )
        for name, value in pulled.sides.items()
    }
    to_state = by_row(
        rows_first(start, pulled.state),
        [rows_first(start, other.state) for other in near],
        rows_first(start, rest.state[0]),
    )
    # No state and no gradient of any step may come near the overflow threshold.
    visited = [flat_state(state) for state in states]
    passed = [rows_first(start, leaves) for leaves in base.states]
    largest = max(float(np.abs(v).max(initial=0.0)) for v in (*visited, *passed, *base.shares.values()))
    return Chained(
        weights,
        states,
        base,
        parameters,
        by_row(pulled.inputs, [other.inputs for other in near], rest.inputs),
        sides,
        to_state,
        bool(largest <= format_.safe),
    )


def _one_row(values: FloatArray) -> FloatArray:
    """Flatten all steps of a row: one number is a sum over units, whose terms may cancel at one step."""
    return values.reshape(len(values), 1, -1)
