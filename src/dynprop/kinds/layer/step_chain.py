r"""The gradient of a dense loss by vector-Jacobian products of a layer's single steps, with a bound.

With F the step of a layer in float64, taken **at the states that the layer itself passed through**, w_t the
weights of the output of step t and r_t the gradient to the state after it,

.. math:: (\bar x_t, \bar s_{t-1}, \bar\theta_t) = (w_t, r_t)\,\partial F_t/\partial(x, s, \theta), \qquad
          r_{t-1} = \bar s_{t-1}, \qquad \partial L/\partial\theta = \textstyle\sum_t \bar\theta_t.

A sound backward pass in a format of unit u rounds every product, and its states differ from those of single
steps by rounding. With N entries in state and input of one row, M the largest change of an entry when inputs,
states, parameters and r move by 2u (N evaluations with random signs, one of them along the trajectory of the
moved inputs and parameters), a parameter's gradient may be wrong by

.. math:: 4 M + (4 N + T B)\, u \max \textstyle\sum_t |\bar\theta_t|,

by its largest entry: T B, steps times rows, is the number of terms that are added (Higham 2002, section 4.2).
Entry by entry, single small entries of a right LSTM exceed such a bound (observed: 3.2 times); by the largest
entry the worst ratio seen is 0.2, over torch.nn.RNN, GRU and LSTM, 1 to 200 steps. The gradient to an input,
at a step of a row, has the bound 16 (M + N u |x|), M and |x| the largest over its entries, which are too few
for M to be sure with C = 4 (observed with that: 0.4 of the bound in the controls); that to a side input the
same with the largest over all steps of the row.
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
from dynprop.kinds.layer.judging import steps_of
from dynprop.kinds.layer.pullback import Cotangents, StepProducts
from dynprop.kinds.layer.subject import LayerSubject

__all__ = ["Chained", "chained", "flat_state", "rows_first", "trajectory"]

CONSTANT = 4.0
CONSTANT_OF_FEW = 16.0
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
                subject.step_products(near.inputs, path, near.sides, weights, cuts=cuts, disturb=nudge)
            )
    return _bounded(case, weights, states, base, others)


def _within(subject: LayerSubject, inputs: NumericArray) -> FloatArray:
    return np.abs(inputs) if subject.domain.inputs == "positive" else inputs


def _bounded(
    case: LayerCase,
    weights: Cotangents,
    states: tuple[State, ...],
    base: StepProducts,
    others: list[StepProducts],
) -> Chained:
    format_ = FORMATS[case.dtype]
    start, pulled, near = states[0], base.pullback, [other.pullback for other in others]
    width = flat_state(start).shape[1] + case.inputs.shape[2]
    terms = 4.0 * width + case.steps * case.batch
    lost = case.steps * format_.tiny

    def moved(value: FloatArray, nearby: list[FloatArray]) -> FloatArray:
        return np.asarray(np.max([np.abs(other - value) for other in nearby], axis=0))

    def by_row(value: FloatArray, nearby: list[FloatArray]) -> FloatArray:
        change = moved(value, nearby).max(axis=-1, keepdims=True, initial=0.0)
        size = np.abs(value).max(axis=-1, keepdims=True, initial=0.0)
        return np.asarray(CONSTANT_OF_FEW * (change + width * format_.unit * size + lost))

    parameters = {}
    for name, shares in base.shares.items():
        change = moved(shares.sum(axis=0), [other.shares[name].sum(axis=0) for other in others])
        total = np.abs(shares).sum(axis=0).max(initial=0.0)
        parameters[name] = float(
            CONSTANT * change.max(initial=0.0) + terms * format_.unit * total + terms * lost
        )
    sides = {
        name: by_row(_one_row(value), [_one_row(other.sides[name]) for other in near])
        for name, value in pulled.sides.items()
    }
    to_state = by_row(rows_first(start, pulled.state), [rows_first(start, other.state) for other in near])
    # No state and no gradient of any step may come near the overflow threshold.
    visited = [flat_state(state) for state in states]
    passed = [rows_first(start, leaves) for leaves in base.states]
    largest = max(float(np.abs(v).max(initial=0.0)) for v in (*visited, *passed, *base.shares.values()))
    return Chained(
        weights,
        states,
        base,
        parameters,
        by_row(pulled.inputs, [other.inputs for other in near]),
        sides,
        to_state,
        bool(largest <= format_.safe),
    )


def _one_row(values: FloatArray) -> FloatArray:
    """Flatten all steps of a row: one number is a sum over units, whose terms may cancel at one step."""
    return values.reshape(len(values), 1, -1)
