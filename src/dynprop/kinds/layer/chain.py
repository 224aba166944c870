r"""The gradient of a layer as a product of its own single-step Jacobians, with a bound.

With J_t, B_t the Jacobians of one step to its state and to its input, taken in a float64 copy **at the
states that the layer itself passed through**, and r_1 the gradient of a weighted last output to the state
before it,

.. math:: \frac{\partial\, v \cdot y_T}{\partial x_{T-k}} = r_k B_{T-k}, \qquad r_{k+1} = r_k J_{T-k}.

A sound backward pass rounds each r_j by at most S u |r_j| |J_j|, and J_j itself was taken at a state that
carries one rounding of its own: with dJ_j the change of J_j when its state and input move by one unit in the
last place, and J_0 the Jacobian at rest (state zero, small input), where no unit is saturated,

.. math:: |error_k| \le C \sum_j (S u |r_j|(|J_j| + |J_0|) + |r_j||dJ_j| + tiny)\, |P_{jk} B_k|,

J_0 being there because a backward pass takes the slope of a saturated unit from its rounded output, as
1 - h^2, with an error of u whatever its size; P_jk is the actual Jacobian product, whose cancellations count
(a bound with products of norms decides almost nothing). C = 4 is empirical; the worst ratio seen on torch.nn
is recorded in docs. Other forms than the whole call have slightly different states (rounding), so for them
dJ_j also includes the change of J_j along a trajectory with perturbed inputs. The bound is infinite from the
step on where a state or |r_j||J_j| comes near the overflow threshold.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.contracts.formats import FORMATS, Format
from dynprop.contracts.states import State
from dynprop.kinds.layer.cases import LayerCase
from dynprop.kinds.layer.judging import steps_of
from dynprop.kinds.layer.subject import LayerSubject

__all__ = ["Chain", "Jacobians", "Step", "chain", "jacobians", "joined"]

CONSTANT = 4.0
NUDGES = 2
EVERY = 8


@dataclass(frozen=True)
class Step:
    """Jacobians of one step to its state and its input, and their change by one rounding.

    Attributes:
        to_state: shape (S, S), or (outputs, S) for the last step of a row.
        to_input: shape (S, features), or (outputs, features).
        state_moved, input_moved: largest change, same shapes.
        state_size, input_size: sums of absolute entries here and at rest, to which roundings are relative.
    """

    to_state: FloatArray
    to_input: FloatArray
    state_moved: FloatArray
    input_moved: FloatArray
    state_size: FloatArray
    input_size: FloatArray

    def at(self, near: Step) -> Step:
        """Return this step with its changes enlarged to those to nearby Jacobians."""
        return replace(
            self,
            state_moved=np.maximum(self.state_moved, np.abs(near.to_state - self.to_state)),
            input_moved=np.maximum(self.input_moved, np.abs(near.to_input - self.to_input)),
        )


@dataclass(frozen=True)
class Jacobians:
    """The Jacobians of every step of a row, the last one to its output.

    Attributes:
        own: at the layer's own states, changed by one rounding.
        nearby: the same, changed also along the trajectory of perturbed inputs.
        safe: whether every state stays far below the overflow threshold.
    """

    own: tuple[Step, ...]
    nearby: tuple[Step, ...]
    safe: bool


@dataclass(frozen=True)
class Chain:
    """The gradient of one row at every lag by products of single-step Jacobians.

    Attributes:
        inputs: gradient to the input at lag k, shape (lags, features).
        inputs_bound: its bound, same shape.
        state: gradient to the flattened state before the first step, shape (S,).
        state_bound: its bound.
    """

    inputs: FloatArray
    inputs_bound: FloatArray
    state: FloatArray
    state_bound: FloatArray


def _prefix_states(subject: LayerSubject, row: LayerCase, start: State) -> State:
    """Return the state before every step: from calls on prefixes at every eighth, else from single steps.

    A state between differs by the rounding of at most seven steps, as states of other forms do.
    """
    states = [start]
    for t in range(1, row.steps):
        begin, before = (0, start) if t <= EVERY or t % EVERY == 0 else (t - 1, states[-1])
        part = row.part(begin, t)
        after = subject.call(subject.stepper, part.inputs, before, row.dtype, part.sides)[1]
        states.append(states[-1] if after is None else after)
    return joined(states)


def _step_states(subject: LayerSubject, row: LayerCase, start: State) -> State:
    """Return the state before every step from single steps."""
    states = [start]
    for t in range(1, row.steps):
        after = steps_of(subject, subject.stepper, row.part(t - 1, t), states[-1])[1]
        states.append(states[-1] if after is None else after)
    return joined(states)


def joined(states: list[State]) -> State:
    """Join the states of single rows as the rows of one batch."""
    start = states[0]
    leaves = tuple(
        np.concatenate([s.leaves[i] for s in states], axis=axis or 0)
        for i, axis in enumerate(start.batch_axes)
    )
    return replace(start, leaves=leaves)


def _measured(subject: LayerSubject, row: LayerCase, states: State) -> list[Step]:
    """Return the Jacobians of every step of a row at given states, without changes."""
    found = []
    last = row.steps - 1
    for steps, outputs in ((slice(0, last), False), (slice(last, last + 1), True)):
        if steps.start == steps.stop:
            continue
        sides = {n: v[0, steps] for n, v in row.sides.items()}
        pair = subject.step_jacobians(row.inputs[0, steps], states.rows(steps), sides, outputs)
        for j, b in zip(*pair, strict=True):
            found.append(Step(j, b, np.zeros_like(j), np.zeros_like(b), np.abs(j), np.abs(b)))
    return found


def _sized(subject: LayerSubject, row: LayerCase, state: State, steps: list[Step]) -> list[Step]:
    """Add the sizes of the Jacobians at rest, from state zero with a small input."""
    resting = replace(row, inputs=2.0**-8 * row.inputs)
    still = state.map(np.zeros_like)
    outer = _measured(subject, resting.part(0, 1), still)[0]
    inner = _measured(subject, resting.part(0, 2), still.rows(np.zeros(2, dtype=np.int64)))[0]
    found = []
    for step in steps:
        rest = outer if step is steps[-1] else inner
        sizes = step.state_size + _finite_size(rest.to_state), step.input_size + _finite_size(rest.to_input)
        found.append(replace(step, state_size=sizes[0], input_size=sizes[1]))
    return found


def _finite_size(slopes: FloatArray) -> FloatArray:
    """Return absolute values; a layer that divides by its state has no slope at rest."""
    return np.where(np.isfinite(slopes), np.abs(slopes), 0.0)


def jacobians(subject: LayerSubject, row: LayerCase, start: State) -> Jacobians:
    """Measure the Jacobians of every step of one row.

    Args:
        subject: the layer.
        row: a case with one row.
        start: the state before its first step.
    """
    own_states = _step_states if subject.stepper == "step" else _prefix_states
    states = own_states(subject, row, start)
    rng, unit = np.random.default_rng(row.seed), FORMATS[row.dtype].unit

    def nudge(values: FloatArray) -> FloatArray:
        return np.asarray(values * (1.0 + 2.0 * unit * rng.choice([-1.0, 1.0], np.shape(values))))

    def near_steps(steps: list[Step], others: list[Step]) -> list[Step]:
        return [step.at(near) for step, near in zip(steps, others, strict=True)]

    own = _sized(subject, row, start, _measured(subject, row, states))
    for _ in range(NUDGES):
        near = replace(row, inputs=nudge(row.inputs))
        own = near_steps(own, _measured(subject, near, states.map(nudge)))
    moved = replace(row, inputs=nudge(row.inputs))
    nearby = near_steps(own, _measured(subject, moved, _step_states(subject, moved, start.map(nudge))))
    largest = max((float(np.abs(v).max(initial=0.0)) for v in states.leaves), default=0.0)
    return Jacobians(tuple(own), tuple(nearby), largest <= FORMATS[row.dtype].safe)


def chain(steps: tuple[Step, ...], weights: FloatArray, format_: Format) -> Chain:
    """Return the gradient of weights . y_T for one row, lag by lag, with its bound.

    Args:
        steps: the Jacobians of a row, the last one to its output.
        weights: shape (outputs,).
        format_: the format that the layer computes in.
    """
    unit = steps[-1].to_state.shape[1] * format_.unit
    inputs, bounds = [], []
    known = True
    r = weights
    # The errors of every step so far, propagated to the current one by the actual product, so that
    # cancellations count: one row for each entry, which starts as a row of a diagonal matrix.
    errors = np.zeros((0, r.size))
    for step in reversed(steps):
        terms = np.abs(r) @ step.input_size, np.abs(r) @ step.state_size
        carried = np.abs(errors @ step.to_input).sum(axis=0)
        lost = carried + unit * terms[0] + np.abs(r) @ step.input_moved + format_.tiny
        known_here = known and terms[0].max(initial=0.0) <= format_.safe
        inputs.append(r @ step.to_input)
        bounds.append(lost if known_here else np.full_like(lost, np.inf))
        born = np.diag(unit * terms[1] + np.abs(r) @ step.state_moved + format_.tiny)
        known = known and bool(terms[1].max(initial=0.0) <= format_.safe)
        errors = np.concatenate([errors @ step.to_state, born])
        r = r @ step.to_state
    state_bound = np.abs(errors).sum(axis=0)
    if not known:
        state_bound = np.full_like(state_bound, np.inf)
    return Chain(np.array(inputs), CONSTANT * np.array(bounds), r, CONSTANT * state_bound)
