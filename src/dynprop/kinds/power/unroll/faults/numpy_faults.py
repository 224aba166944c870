"""Faults of kind unroll in numpy: states[0] = h0, states[k] = states[k-1] @ W."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dynprop.laws.catalogue import Catalogue

Array = npt.NDArray[Any]

unroll: Catalogue = Catalogue("unroll", "numpy")
CATALOGUES = (unroll,)


def loop(W: Array, h0: Array, steps: int) -> Array:
    """Return the right states: what every fault of this file falls back on."""
    states = np.empty((steps + 1, len(h0)), h0.dtype)
    states[0] = h0
    for k in range(steps):
        states[k + 1] = states[k] @ W
    return states


# Which product


@unroll.fault("unroll/untransposed", caught_by={"exact-states": "wrong", "exact-on-integers": "wrong"})
def untransposed(W: Array, h0: Array, steps: int) -> Array:
    """Multiplies by W where the recurrence has its transpose."""
    return loop(W.T, h0, steps)


@unroll.fault("unroll/conjugated", caught_by={"exact-states": "wrong"})
def conjugated(W: Array, h0: Array, steps: int) -> Array:
    """Takes the conjugate transpose of a complex W."""
    return loop(W.conj(), h0, steps)


@unroll.fault("unroll/real-part-only", caught_by={"exact-states": "wrong"})
def real_part_only(W: Array, h0: Array, steps: int) -> Array:
    """Drops the imaginary part of every state."""
    return np.asarray(loop(W, h0, steps).real, dtype=h0.dtype)


# Which steps


@unroll.fault("unroll/states-shifted", caught_by={"step-zero": "wrong", "split-resume": "wrong"})
def states_shifted(W: Array, h0: Array, steps: int) -> Array:
    """Starts with the state after the first step: the identity at step 0 is missing."""
    return loop(W, h0, steps + 1)[1:]


@unroll.fault("unroll/first-state-missing", caught_by={"shape-and-dtype": "wrong"})
def first_state_missing(W: Array, h0: Array, steps: int) -> Array:
    """Returns one state per step, without the initial one."""
    return loop(W, h0, steps)[1:]


@unroll.fault("unroll/no-steps-raises", gross=False, caught_by={"lengths": "error"})
def no_steps_raises(W: Array, h0: Array, steps: int) -> Array:
    """Asks for the second state before it looks whether there is one."""
    states = loop(W, h0, steps)
    states[1] = h0 @ W  # IndexError where steps is 0
    return states


@unroll.fault("unroll/first-step-repeated-at-length-one", gross=False, caught_by={"lengths": "wrong"})
def length_one(W: Array, h0: Array, steps: int) -> Array:
    """Returns the initial state twice where only one step is asked for."""
    states = loop(W, h0, steps)
    if steps == 1:
        states[1] = states[0]
    return states


@unroll.fault("unroll/block-carry-off-by-one", gross=False, caught_by={"lengths": "wrong"})
def block_carry_off_by_one(W: Array, h0: Array, steps: int) -> Array:
    """Goes on from the last but one state of each block of 32."""
    states = [loop(W, h0, min(steps, 32))]
    step = len(states[0]) - 1
    while step < steps:
        count = min(32, steps - step)
        states.append(loop(W, states[-1][-2], count)[1:])  # should be states[-1][-1]
        step += count
    return np.concatenate(states)


# Numbers


@unroll.fault("unroll/single-precision", caught_by={"step-zero": "inaccurate"})
def single_precision(W: Array, h0: Array, steps: int) -> Array:
    """Computes in float32 whatever precision is given."""
    kind = np.complex64 if np.iscomplexobj(h0) else np.float32
    return loop(W.astype(kind), h0.astype(kind), steps).astype(h0.dtype)


@unroll.fault("unroll/small-states-flushed", gross=False, caught_by={"exact-states": "wrong"})
def small_states_flushed(W: Array, h0: Array, steps: int) -> Array:
    """Sets components below 1e-12 to zero."""
    states = loop(W, h0, steps)
    states[1:][np.abs(states[1:]) < 1e-12] = 0
    return states


@unroll.fault(
    "unroll/small-weights-dropped",
    gross=False,
    caught_by={"exact-states": "wrong", "diagonal-similarity": "wrong"},
)
def small_weights_dropped(W: Array, h0: Array, steps: int) -> Array:
    """Drops entries of W that are small beside the largest: right in some units only."""
    sparse = np.where(np.abs(W) < 1e-4 * np.abs(W).max(), 0, W)
    return loop(sparse.astype(W.dtype), h0, steps)


@unroll.fault("unroll/renormalised-when-large", caught_by={"superposition": "wrong"})
def renormalised_when_large(W: Array, h0: Array, steps: int) -> Array:
    """Divides a state by its length once that exceeds 100, and forgets the factor."""
    states = loop(W, h0, steps)
    for k in range(steps):
        states[k + 1] = states[k] @ W
        size = np.linalg.norm(states[k + 1])
        if size > 100.0:
            states[k + 1] /= size
    return states


@unroll.fault("unroll/double-returned", caught_by={"shape-and-dtype": "wrong"})
def double_returned(W: Array, h0: Array, steps: int) -> Array:
    """Returns float64 for float32 arguments."""
    return np.asarray(loop(W, h0, steps) + np.zeros(1))


# Side effects


@unroll.fault("unroll/initial-overwritten", caught_by={"inputs-unchanged": "wrong"})
def initial_overwritten(W: Array, h0: Array, steps: int) -> Array:
    """Keeps its running state in the caller's h0."""
    states = [h0.copy()]
    for _ in range(steps):
        h0[:] = h0 @ W
        states.append(h0.copy())
    return np.stack(states)


@unroll.fault("unroll/memory-order", gross=False, caught_by={"memory-layout": "wrong"})
def memory_order(W: Array, h0: Array, steps: int) -> Array:
    """Reads W in the order of its memory: wrong for a transposed view only."""
    flat = W.ravel(order="K")
    return loop(flat.reshape(W.shape), h0, steps)


@unroll.fault("unroll/result-buffer-shared", gross=False, fresh=True, caught_by={"repeatable": "wrong"})
class ResultBufferShared:
    """Returns the same buffer at every call of one shape: the next call overwrites the result."""

    def __init__(self) -> None:
        self.buffers: dict[tuple[Any, ...], Array] = {}

    def __call__(self, W: Array, h0: Array, steps: int) -> Array:
        """Unroll into the buffer of this shape and dtype."""
        states = loop(W, h0, steps)
        buffer = self.buffers.setdefault((states.shape, states.dtype), np.empty_like(states))
        buffer[:] = states
        return buffer  # should be a copy
