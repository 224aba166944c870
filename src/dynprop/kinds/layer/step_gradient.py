"""Law of the gradients of a single step: they are its central differences.

Products of single-step Jacobians do not show a gradient that is missing from every single step; central
differences do. They are taken in float64 over s = 2^-15 and s/2: the truncation error falls with the square
of the step, so that eight times the difference of the two bounds the rest. Where a kink (a ReLU, a clamp)
lies within the step, slopes to the left and to the right differ by an amount that does not shrink with it;
that amount is added to the bound. Kinks on both sides may hide each other: a step of s/64 crosses few of
those that s/2 crosses, and eight times the difference of these two is added as well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.contracts.states import State
from dynprop.kinds.layer.cases import LayerCase, layer_case
from dynprop.kinds.layer.gradient import first_state, has_jacobians
from dynprop.kinds.layer.judging import agree, steps_of
from dynprop.kinds.layer.subject import LayerSubject
from dynprop.laws.evidence import Evidence
from dynprop.laws.law import law

__all__ = ["slopes", "step_gradient"]

STEP = 2.0**-15
ROUNDING = 2.0**-26
Ends = Callable[[float], tuple[FloatArray, ...]]


def _doubles(subject: LayerSubject) -> str | None:
    if "float64" not in subject.domain.dtypes:
        return "the layer does not compute in float64"
    return has_jacobians(subject)


def _rows(state: State, values: State) -> FloatArray:
    """Return the floating leaves of a state, flattened for every row."""
    parts = []
    for i in state.floating:
        rows = np.moveaxis(values.leaves[i], state.batch_axes[i] or 0, 0)
        parts.append(rows.reshape(len(rows), -1))
    return np.concatenate(parts, axis=1)


def _moved(
    subject: LayerSubject, case: LayerCase, state: State, along: State, push: FloatArray, step: float
) -> tuple[FloatArray, FloatArray]:
    """Return output and flattened next state of one float64 step from a state and input along a direction."""
    leaves = tuple(
        v + step * d if i in state.floating else v
        for i, (v, d) in enumerate(zip(state.leaves, along.leaves, strict=True))
    )
    dtypes = tuple("float64" if i in state.floating else d for i, d in enumerate(state.dtypes))
    near = replace(case, inputs=case.inputs + step * push)
    y, after = steps_of(subject, subject.stepper, near, replace(state, leaves=leaves, dtypes=dtypes))
    return y[:, 0], np.zeros((case.batch, 0)) if after is None else _rows(after, after)


def slopes(ends: Ends, parts: int) -> list[tuple[FloatArray, FloatArray]]:
    """Return slope and bound of each part of a step, as of its output and its next state.

    Args:
        ends: the parts, each of shape (rows, entries), at a multiple of a direction.
        parts: how many there are.
    """
    middle = ends(0.0)
    moved = [(ends(step), ends(-step), step) for step in (STEP, STEP / 2.0, STEP / 64.0)]
    found = []
    for part in range(parts):
        central, jump = [], []
        for ups, downs, step in moved:
            up, down = ups[part], downs[part]
            central.append((up - down) / (2.0 * step))
            jump.append(np.abs(up - 2.0 * middle[part] + down) / step)
        left = 8.0 * np.abs(central[0] - central[1]) + np.abs(2.0 * jump[1] - jump[0])
        left = left + 8.0 * np.abs(central[1] - central[2])
        size = np.abs(central[1]).max(axis=1, keepdims=True, initial=0.0)
        bound = left.max(axis=1, keepdims=True, initial=0.0) + ROUNDING * (1.0 + size)
        found.append((central[1], bound))
    return found


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
    state = first_state(subject, case)
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
        found = slopes(partial(_moved, subject, case, state, along, x), 2)
        for (slope, bound), outputs in zip(found, (True, False), strict=True):
            to_state, to_input = subject.step_jacobians(case.inputs[:, 0], state, sides, outputs)
            value = np.einsum("rij,rj->ri", to_input, x[:, 0])
            value = value + np.einsum("rij,rj->ri", to_state, _rows(state, along))
            label = f"gradient of one step's {'output' if outputs else 'state'} to its {which}"
            comparisons.append(agree(label, value, slope, bound, "float64", axes=("batch", "unit")))
    return Evidence(tuple(comparisons))
