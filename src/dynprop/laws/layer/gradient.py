r"""The gradient of a layer by lag, against the product of its own single-step Jacobians.

With J_t, B_t the Jacobians of one step to its state and to its input, taken in a float64 copy **at the
states that the layer itself passed through**, and r_1 the gradient of a weighted last output to the state
before it,

.. math:: \frac{\partial\, v \cdot y_T}{\partial x_{T-k}} = r_k B_{T-k}, \qquad r_{k+1} = r_k J_{T-k}.

A sound backward pass rounds each r_j by at most S u |r_j| |J_j|, and J_j itself was taken at a state that
carries one rounding of its own (a saturated unit amplifies that by 1/(1 - h^2)): with dJ_j the change of J_j
when its state and input move by one unit in the last place,

.. math:: |error_k| \le C \sum_j (S u |r_j||J_j| + |r_j||dJ_j| + tiny)\, |P_{jk} B_k|,

P_jk the actual Jacobian product, whose cancellations count (a bound with products of norms decides almost
nothing). C = 4 is empirical; the worst ratio seen on torch.nn is recorded in docs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray, round_to
from dynprop.laws.domain import Domain
from dynprop.laws.evidence import Comparison, Evidence, LagProfile
from dynprop.laws.layer.cases import LayerCase, layer_case, made_case
from dynprop.laws.layer.judging import agree, given_state
from dynprop.laws.registry import law
from dynprop.laws.rounding import FORMATS
from dynprop.laws.states import State
from dynprop.laws.subjects import LayerSubject

__all__ = ["Chain", "chain", "gradient_by_lag", "gradient_to_state"]

CONSTANT = 4.0
LONG = 100


def _has_jacobians(subject: LayerSubject) -> str | None:
    if subject.bidirectional:
        return "its outputs depend on later inputs by design (bidirectional)"
    if not subject.differentiable:
        return "the library has no automatic differentiation"
    return subject.state_obstacle


def long_cases(domain: Domain, subject: Any) -> Iterator[LayerCase]:
    """Yield one case of 100 steps in every dtype, its inputs of the usual size."""
    for i, dtype in enumerate(domain.dtypes):
        rng = np.random.default_rng([LONG, i])
        steps = min(LONG, domain.max_length)
        yield made_case(rng, subject, dtype, batch=1, steps=steps, state=subject.takes_state)


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


def _prefix_states(subject: LayerSubject, row: LayerCase, start: State) -> list[State]:
    """Return the state before every step, from calls of the layer on prefixes."""
    states = [start]
    for t in range(1, row.steps):
        head = row.part(0, t)
        after = subject.call(subject.primary, head.inputs, start, row.dtype, head.sides)[1]
        if after is None:
            return states
        states.append(after)
    return states


def _stacked(states: list[State]) -> State:
    """Join states of single rows into one state of many rows."""
    leaves = []
    for i, axis in enumerate(states[0].batch_axes):
        leaves.append(np.concatenate([s.leaves[i] for s in states], axis=axis or 0))
    return replace(states[0], leaves=tuple(leaves))


def _jacobians(
    subject: LayerSubject, row: LayerCase, states: State, outputs: bool, steps: slice
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return J and B of some steps and how far one rounding of state and input moves them."""
    inputs = row.inputs[0, steps]
    sides = {n: v[0, steps] for n, v in row.sides.items()}
    here = states.rows(steps)
    exact = subject.step_jacobians(inputs, here, sides, outputs)
    moved = [np.zeros_like(j) for j in exact]
    rng, unit = np.random.default_rng(row.seed), FORMATS[row.dtype].unit
    for _ in range(2):

        def nudge(values: FloatArray) -> FloatArray:
            return np.asarray(values * (1.0 + 2.0 * unit * rng.choice([-1.0, 1.0], np.shape(values))))

        near = subject.step_jacobians(nudge(inputs), here.map(nudge), sides, outputs)
        moved = [np.maximum(m, np.abs(n - e)) for m, n, e in zip(moved, near, exact, strict=True)]
    return exact[0], exact[1], moved[0], moved[1]


def chain(subject: LayerSubject, row: LayerCase, start: State, weights: FloatArray) -> Chain:
    """Return the gradient of weights . y_T for one row, lag by lag, with its bound.

    Args:
        subject: the layer.
        row: a case with one row.
        start: the state before its first step.
        weights: shape (outputs,).
    """
    format_ = FORMATS[row.dtype]
    steps = row.steps
    states = _stacked(_prefix_states(subject, row, start))
    last = _jacobians(subject, row, states, True, slice(steps - 1, steps))
    size = last[0].shape[2]
    unit = size * format_.unit

    def loss(r: FloatArray, jacobian: FloatArray, moved: FloatArray) -> FloatArray:
        absolute: FloatArray = np.abs(r) @ (unit * np.abs(jacobian) + moved)
        return absolute + format_.tiny

    inputs, bounds = [weights @ last[1][0]], [loss(weights, last[1][0], last[3][0])]
    r = weights @ last[0][0]
    # Row j of `errors` is what was lost at step j, carried to the current step by the actual product;
    # it is kept as a sum of single entries, a diagonal matrix at birth, so that cancellations count.
    errors = np.diag(loss(weights, last[0][0], last[2][0]))[None]
    if steps > 1:
        j, b, dj, db = _jacobians(subject, row, states, False, slice(0, steps - 1))
        for t in reversed(range(steps - 1)):
            inputs.append(r @ b[t])
            bounds.append(np.abs(errors @ b[t]).sum(axis=(0, 1)) + loss(r, b[t], db[t]))
            born = np.diag(loss(r, j[t], dj[t]))[None]
            errors = np.concatenate([errors @ j[t], born])
            r = r @ j[t]
    return Chain(np.array(inputs), CONSTANT * np.array(bounds), r, CONSTANT * np.abs(errors).sum(axis=(0, 1)))


def _first_state(subject: LayerSubject, case: LayerCase) -> State | None:
    """Return a state to start from: given, or zero in the shapes that the layer returns."""
    state = given_state(subject, case)
    if state is not None:
        return state
    own = subject.initial_state(case.batch, case.dtype)
    return own if own is not None else _reset(subject, case)


def _reset(subject: LayerSubject, case: LayerCase) -> State | None:
    head = case.part(0, 1)
    after = subject.call(subject.primary, head.inputs, None, case.dtype, head.sides)[1]
    return after


@law(
    "layer/gradient-by-lag",
    claim="C6",
    statement="d(v . y(T))/dx(T-k) from one backward pass equals the product of the single-step Jacobians, "
    "relatively, at every lag k",
    source="Bengio, Simard and Frasconi 1994; Pascanu, Mikolov and Bengio 2013, eq. 5",
    draw=partial(layer_case, usual=24, longest=48, batches=(1, 2), state=True),
    fixed=long_cases,
    applies=_has_jacobians,
    script="# gradient of one output at the last step to x, step by step, against single steps in float64",
    share=0.2,
)
def gradient_by_lag(subject: LayerSubject, case: LayerCase) -> Evidence:
    """Judge the gradient to the inputs at every lag."""
    comparisons, profiles = [], []
    for row, start, weights, found, _ in _rows(subject, case):
        expected = chain(subject, row, start, weights)
        value = found[0, ::-1]
        norm = expected.inputs_bound.max(axis=1, keepdims=True)
        lag = agree(
            "gradient d(v.y(T))/dx(T-k)",
            value[None],
            expected.inputs[None],
            norm[None],
            case.dtype,
            axes=("batch", "lag", "feature"),
        )
        profiles.append(_profile(lag))
        reach = subject.domain.reach
        if reach is not None:
            within = lag.decided & (np.arange(row.steps) <= reach)[None, :, None]
            lag = replace(lag, decided=within)
        comparisons.append(lag)
    worst = max(comparisons, key=lambda c: c.ratio, default=None)
    detail = {} if worst is None else {"lag": worst.worst[1]}
    return Evidence(tuple(comparisons), lags=_joined(profiles), detail=detail)


def _rows(
    subject: LayerSubject, case: LayerCase
) -> Iterator[tuple[LayerCase, State, FloatArray, FloatArray, tuple[Any, ...]]]:
    """Yield each row with its state, weights, and the gradients of one backward pass of that row."""
    for r in range(case.batch):
        row = case.take(slice(r, r + 1))
        start = _first_state(subject, row)
        if start is None:
            continue
        y = subject.call(subject.primary, row.inputs, start, row.dtype, row.sides)[0]
        weights = np.zeros_like(y)
        weights[0, -1] = round_to(
            np.random.default_rng(case.seed).choice([-1.0, 1.0, 0.5], y.shape[2]), case.dtype
        )
        found, leaves = subject.gradients(row.inputs, start, row.dtype, row.sides, weights)
        yield row, start, weights[0, -1], found, leaves


def _profile(lag: Comparison) -> LagProfile:
    size = np.abs(lag.reference).max(axis=2)[0]
    with np.errstate(all="ignore"):
        error = lag.residual.max(axis=2)[0] / size
        bound = lag.bound.max(axis=2)[0] / size
    decided = np.asarray(lag.decided.all(axis=2))[0]
    error = np.where(decided, np.nan_to_num(error, nan=np.inf, posinf=np.inf), 0.0)
    return LagProfile(np.arange(len(size)), error, np.where(decided, bound, 0.0), decided)


def _joined(profiles: list[LagProfile]) -> LagProfile | None:
    if not profiles:
        return None

    def most(name: str) -> FloatArray:
        return np.asarray(np.max([getattr(p, name) for p in profiles], axis=0))

    decided = np.any([p.decided for p in profiles], axis=0)
    return LagProfile(profiles[0].lags, most("error"), most("bound"), decided)


@law(
    "layer/gradient-initial-state",
    claim="C6",
    statement="d(v . y(T))/ds(0) equals the product of all single-step Jacobians",
    source="Pascanu, Mikolov and Bengio 2013, eq. 5; detached initial states",
    draw=partial(layer_case, usual=12, longest=16, batches=(1, 2), state=True),
    applies=_has_jacobians,
    script="# gradient of one output at the last step to the given state, against single steps in float64",
    share=0.2,
)
def gradient_to_state(subject: LayerSubject, case: LayerCase) -> Evidence:
    """Judge the gradient to the state that was given."""
    comparisons = []
    for row, start, weights, _, leaves in _rows(subject, case):
        expected = chain(subject, row, start, weights)
        value = np.concatenate(
            [
                np.moveaxis(g, axis or 0, 0).reshape(-1)
                for g, axis in zip(leaves, (start.batch_axes[i] for i in start.floating), strict=True)
            ]
        )
        bound = np.broadcast_to(expected.state_bound.max(initial=0.0), value.shape)
        comparisons.append(
            agree("gradient to the state given", value, expected.state, bound, case.dtype, axes=("state",))
        )
    return Evidence(tuple(comparisons))


def _tangent(
    subject: LayerSubject, case: LayerCase, state: State, direction: State, sign: float
) -> tuple[FloatArray, FloatArray]:
    """Return output and flattened next state of one float64 step, moved along a direction."""
    leaves = tuple(
        v + sign * d if i in state.floating else v
        for i, (v, d) in enumerate(zip(state.leaves, direction.leaves, strict=True))
    )
    moved = replace(
        state,
        leaves=leaves,
        dtypes=tuple("float64" if i in state.floating else d for i, d in enumerate(state.dtypes)),
    )
    y, after = subject.call(subject.primary, case.inputs, moved, "float64", case.sides)
    if after is None:
        return y[:, 0], np.zeros((case.batch, 0))
    parts = [
        np.moveaxis(after.leaves[i], after.batch_axes[i] or 0, 0).reshape(case.batch, -1)
        for i in after.floating
    ]
    return y[:, 0], np.concatenate(parts, axis=1)


def _doubles(subject: LayerSubject) -> str | None:
    if "float64" not in subject.domain.dtypes:
        return "the layer does not compute in float64"
    return _has_jacobians(subject)


@law(
    "layer/step-gradient",
    claim="C6",
    statement="the gradients of one step, to its state and to its input, are the slopes of that step",
    source="detached states and missing gate gradients; torch.autograd.gradcheck, on a single step",
    draw=partial(layer_case, usual=1, longest=1, batches=(1, 2), state=True),
    applies=_doubles,
    script="# the gradient of one step in float64 against central differences of the same step",
    share=0.2,
)
def step_gradient(subject: LayerSubject, case: LayerCase) -> Evidence:
    """Compare the Jacobians of one step, along random directions, with central differences."""
    state = _first_state(subject, case)
    if state is None or not state.floating:
        return Evidence()
    case = replace(case.part(0, 1), dtype="float64")
    rng = np.random.default_rng(case.seed)
    sides = {n: v[:, 0] for n, v in case.sides.items()}
    still = state.map(np.zeros_like)
    towards = state.map(lambda v: rng.standard_normal(v.shape))
    push = rng.standard_normal(case.inputs.shape)
    comparisons = []
    for which, along, x in (("state", towards, 0.0 * push), ("input", still, push)):

        def slope(step: float, along: State = along, x: FloatArray = x) -> tuple[FloatArray, ...]:
            ends = []
            for sign in (step, -step):
                near = replace(case, inputs=case.inputs + sign * x)
                ends.append(_tangent(subject, near, state, along, sign))
            return tuple((a - b) / (2.0 * step) for a, b in zip(*ends, strict=True))

        coarse, fine = slope(2.0**-15), slope(2.0**-16)
        for part, outputs in enumerate((True, False)):
            to_state, to_input = subject.step_jacobians(case.inputs[:, 0], state, sides, outputs)
            value = np.einsum("rij,rj->ri", to_input, x[:, 0])
            flat = [
                np.moveaxis(along.leaves[i], along.batch_axes[i] or 0, 0).reshape(case.batch, -1)
                for i in state.floating
            ]
            value = value + np.einsum("rij,rj->ri", to_state, np.concatenate(flat, axis=1))
            # Truncation falls with the square of the step; what is left is float64 rounding over it.
            left = 8.0 * np.abs(coarse[part] - fine[part])
            size = np.abs(fine[part]).max(axis=1, keepdims=True, initial=0.0)
            bound = left.max(axis=1, keepdims=True, initial=0.0) + 2.0**-26 * (1.0 + size)
            label = f"gradient of one step's {'output' if outputs else 'state'} to its {which}"
            comparisons.append(agree(label, value, fine[part], bound, "float64", axes=("batch", "unit")))
    return Evidence(tuple(comparisons))
