r"""Bounds of the distance of two sound evaluations of a layer, from perturbations of its inputs.

A layer is a black box, so the bound is empirical (Monte Carlo arithmetic; Parker 1997): inputs, state and
the parameters that are known are perturbed by one unit in the last place with random signs, K times, and the
largest effect so far on a row's outputs, D_t, measures how the dynamics propagate the rounding errors of
every step. (Without perturbed parameters, saturated units would hide the rounding of large pre-activations.)
Two evaluations may differ by

.. math:: C\, (D_t + 4 u \max_{s \le t} |y_s|), \qquad C = 16, \quad K = 3.

docs records the worst ratio observed on torch.nn.RNN, GRU and LSTM with all their options. For a chaotic
layer D_t, and the bound, are as large as the outputs: undecidable.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from dynprop.arrays import BoolArray, FloatArray, round_to
from dynprop.contracts.formats import FORMATS
from dynprop.contracts.states import State
from dynprop.kinds.layer.cases import LayerCase
from dynprop.kinds.layer.subject import LayerSubject
from dynprop.laws.evidence import Alternatives, Comparison, compare

__all__ = [
    "AXES",
    "Run",
    "agree",
    "beyond",
    "given_state",
    "nudged",
    "run_whole",
    "same_call_bound",
    "sensitivity",
    "steps_of",
]

AXES = ("batch", "time", "feature")
CONSTANT = 16.0
SAMPLES = 3
Run = Callable[[LayerCase, State | None], FloatArray]


def given_state(subject: LayerSubject, case: LayerCase) -> State | None:
    """Return the state of a case: the one that the layer returns after the warm-up inputs.

    A layer that takes a state and returns none starts from its own initial state.
    """
    if case.warm_up is None:
        return None
    if not subject.returns_state:
        return subject.initial_state(case.batch, case.dtype)
    sides = {
        name: np.ones((case.batch, case.warm_up.shape[1], *trailing))
        for name, trailing in subject.side_shapes.items()
    }
    return subject.call(subject.primary, case.warm_up, None, case.dtype, sides)[1]


def run_whole(subject: LayerSubject, case: LayerCase, state: State | None) -> FloatArray:
    """Return the outputs of one whole call."""
    return subject.call(subject.primary, case.inputs, state, case.dtype, case.sides)[0]


def steps_of(
    subject: LayerSubject, form: str, case: LayerCase, state: State | None, size: int = 1
) -> tuple[FloatArray, State | None]:
    """Run a form piece by piece, each from the state of the piece before; "step" takes single steps.

    For a form that needs a state, the whole call runs the first piece.
    """
    outputs = []
    for t in range(0, case.steps, size):
        piece = case.part(t, t + size)
        if state is None and form in subject.needs_state:
            y, state = subject.call(subject.primary, piece.inputs, None, case.dtype, piece.sides)
            outputs.append(y)
        elif form == "step":
            sides = {n: v[:, 0] for n, v in piece.sides.items()}
            y, state = subject.call("step", piece.inputs[:, 0], state, case.dtype, sides)
            outputs.append(y[:, None])
        else:
            y, state = subject.call(form, piece.inputs, state, case.dtype, piece.sides)
            outputs.append(y)
    return np.concatenate(outputs, axis=1), state


def nudged(values: FloatArray, unit: float, rng: np.random.Generator, dtype: str) -> FloatArray:
    """Move every value by one unit in the last place, up or down at random."""
    signs = rng.choice([-1.0, 1.0], np.shape(values))
    if np.iscomplexobj(values):
        return np.asarray(values * (1.0 + 2.0 * unit * signs))
    return round_to(values * (1.0 + 2.0 * unit * signs), dtype)


def sensitivity(subject: LayerSubject, case: LayerCase, state: State | None, y: FloatArray) -> FloatArray:
    """Return a bound of the distance of two sound evaluations, (batch, time, 1); the same is made once."""
    leaves = () if state is None else tuple(leaf.tobytes() for leaf in state.leaves)
    key = ("sensitivity", case.key, leaves, y.tobytes())
    return subject.remembered.once(key, lambda: _sensitivity(subject, case, state, y))


def _sensitivity(subject: LayerSubject, case: LayerCase, state: State | None, y: FloatArray) -> FloatArray:
    rng = np.random.default_rng(case.seed)
    unit = FORMATS[case.dtype].unit
    moved = np.zeros(y.shape[:2])
    for _ in range(SAMPLES):
        inputs = nudged(case.inputs, unit, rng, case.dtype)
        if subject.domain.inputs == "positive":
            inputs = np.abs(inputs)
        near = None if state is None else state.map(lambda v: nudged(v, unit, rng, case.dtype))
        with subject.nudged(int(rng.integers(2**31))):
            other = run_whole(subject, replace(case, inputs=inputs), near)
        with np.errstate(all="ignore"):
            moved = np.fmax(moved, np.abs(other - y).max(axis=2, initial=0.0))
    return _bound(moved, y, unit)


def _bound(moved: FloatArray, y: FloatArray, unit: float) -> FloatArray:
    size = np.abs(np.nan_to_num(y, nan=0.0, posinf=np.inf, neginf=np.inf)).max(axis=2, initial=0.0)
    reached = np.maximum.accumulate(moved, axis=1)
    largest = np.maximum.accumulate(size, axis=1)
    return np.asarray(CONSTANT * (reached + 4.0 * unit * largest)[..., None])


def same_call_bound(y: FloatArray, dtype: str) -> FloatArray:
    """Return a bound of the distance of two calls with the same arguments, which threads may round apart."""
    steps = np.arange(1.0, y.shape[1] + 1.0)[None, :]
    return _bound(np.zeros(y.shape[:2]), y, FORMATS[dtype].unit) * steps[..., None]


def agree(
    label: str,
    value: FloatArray,
    reference: FloatArray,
    bound: FloatArray,
    dtype: str,
    *,
    axes: tuple[str, ...] = AXES,
    alternatives: Alternatives = dict,
    repaired: Alternatives = dict,
) -> Comparison:
    """Compare two evaluations; a step of a row is decided where its bound is below its largest entry.

    Nothing is decided from the first entry near the overflow threshold on, along time or lag.
    """
    wide = bound + np.zeros_like(reference)
    in_range = _in_range(value, reference, dtype, axes) & np.isfinite(wide)
    # A NaN beside a finite number needs no bound: no sound evaluation in range returns it.
    lost = (np.isnan(value) != np.isnan(reference)) & in_range
    wide = np.where(lost, 0.0, wide)
    size = np.broadcast_to(np.abs(reference).max(axis=-1, keepdims=True, initial=0.0), reference.shape)
    found = compare(
        label,
        value,
        reference,
        wide,
        dtype=dtype,
        axes=axes,
        scale=size,
        alternatives=alternatives,
        repaired=repaired,
    )
    decided = (wide < size) | ((wide == 0.0) & (size == 0.0))
    return replace(found, decided=(decided & in_range & np.isfinite(reference)) | lost)


def _in_range(value: FloatArray, reference: FloatArray, dtype: str, axes: tuple[str, ...]) -> BoolArray:
    """Return where a row has stayed below the overflow threshold so far, along time or lag."""
    known = np.where(np.isnan(reference), np.nan_to_num(value, nan=0.0, posinf=np.inf), reference)
    size = np.abs(known).max(axis=-1, keepdims=True, initial=0.0)
    for axis, name in enumerate(axes):
        if name in ("time", "lag"):
            size = np.maximum.accumulate(size, axis=axis)
    return np.broadcast_to(size <= FORMATS[dtype].safe, reference.shape)


def beyond(bound: FloatArray, start: int) -> FloatArray:
    """Return the bound of the steps from start on."""
    return bound[:, start:]
