"""Faults of kind scan in numpy: h_t = a_t * h_{t-1} + x_t over (batch, time, channel)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dynprop.laws.catalogue import Catalogue

Array = npt.NDArray[Any]

scan: Catalogue = Catalogue("scan", "numpy")
CATALOGUES = (scan,)


def start(inputs: Array, initial: Array | None) -> Array:
    """Return the state before the first step, zeros where none is given."""
    batch, _, channel = inputs.shape
    return np.zeros((batch, channel), inputs.dtype) if initial is None else initial


def loop(gates: Array, inputs: Array, initial: Array | None) -> Array:
    """Return the correct states; the faults of this file call it."""
    states = np.empty_like(inputs)
    carry = start(inputs, initial)
    for t in range(inputs.shape[1]):
        carry = gates[:, t] * carry + inputs[:, t]
        states[:, t] = carry
    return states


# The initial state


@scan.fault("scan/initial-ignored", caught_by={"split-resume": "wrong"})
def initial_ignored(gates: Array, inputs: Array, initial: Array | None) -> Array:
    """Starts from zero whatever initial state is given."""
    return loop(gates, inputs, None)


@scan.fault("scan/initial-not-gated", caught_by={"padding": "wrong"})
def initial_not_gated(gates: Array, inputs: Array, initial: Array | None) -> Array:
    """Adds the initial state to the first input without the first gate."""
    augmented = inputs.copy()
    augmented[:, :1] += start(inputs, initial)[:, None]  # gates[:, :1] is missing
    return loop(gates, augmented, None)


@scan.fault("scan/state-applied-twice", caught_by={"split-resume": "wrong"})
def state_applied_twice(gates: Array, inputs: Array, initial: Array | None) -> Array:
    """Folds the initial state into the first input and starts from it as well."""
    augmented = inputs.copy()
    augmented[:, :1] += gates[:, :1] * start(inputs, initial)[:, None]
    return loop(gates, augmented, initial)  # initial should be None by now


@scan.fault("scan/initial-overwritten", caught_by={"inputs-unchanged": "wrong"})
def initial_overwritten(gates: Array, inputs: Array, initial: Array | None) -> Array:
    """Keeps its running state in the caller's initial state."""
    states = np.empty_like(inputs)
    carry = start(inputs, initial)
    for t in range(inputs.shape[1]):
        carry *= gates[:, t]  # in place: carry is still the caller's array
        carry += inputs[:, t]
        states[:, t] = carry
    return states


@scan.fault("scan/length-one-forgets-initial", gross=False, caught_by={"lengths": "wrong"})
def length_one_forgets_initial(gates: Array, inputs: Array, initial: Array | None) -> Array:
    """Returns the inputs at length 1, as if no state had been given."""
    if inputs.shape[1] == 1:
        return inputs.copy()  # a shortcut that is right for initial=None only
    return loop(gates, inputs, initial)


# Order and alignment


@scan.fault("scan/time-reversed", caught_by={"causality": "wrong"})
def time_reversed(gates: Array, inputs: Array, initial: Array | None) -> Array:
    """Runs from the last step to the first."""
    return loop(gates[:, ::-1], inputs[:, ::-1], initial)[:, ::-1]


@scan.fault("scan/gates-off-by-one", caught_by={"exact-on-integers": "wrong"})
def gates_off_by_one(gates: Array, inputs: Array, initial: Array | None) -> Array:
    """Uses the gate of the step before, a_{t-1} for a_t."""
    late = np.concatenate([gates[:, :1], gates[:, :-1]], axis=1)
    return loop(late, inputs, initial)


@scan.fault("scan/exclusive", caught_by={"reset": "wrong", "adjoint": "wrong"})
def exclusive(gates: Array, inputs: Array, initial: Array | None) -> Array:
    """Returns the state before each step, not after it."""
    states = loop(gates, inputs, initial)
    before = np.concatenate([start(inputs, initial)[:, None], states], axis=1)
    return before[:, : inputs.shape[1]]


@scan.fault("scan/rows-mixed", caught_by={"batch-independence": "wrong"})
def rows_mixed(gates: Array, inputs: Array, initial: Array | None) -> Array:
    """Mixes the rows of a batch: reshapes (batch, time) where it should transpose."""
    batch, time, channel = inputs.shape
    mixed = inputs.reshape(time, batch, channel).swapaxes(0, 1)
    return loop(gates, mixed, initial)


@scan.fault("scan/gate-of-channel-zero", caught_by={"channel-independence": "wrong"})
def gate_of_channel_zero(gates: Array, inputs: Array, initial: Array | None) -> Array:
    """Broadcasts the gate of the first channel to all channels."""
    return loop(gates[..., :1], inputs, initial)


@scan.fault("scan/memory-order", gross=False, caught_by={"memory-layout": "wrong"})
def memory_order(gates: Array, inputs: Array, initial: Array | None) -> Array:
    """Reads arrays in the order of their memory: wrong for transposed views only."""

    def raw(values: Array) -> Array:
        return values.ravel(order="K").reshape(values.shape)

    return loop(raw(gates), raw(inputs), initial)


# Blocks, tails, padding


@scan.fault("scan/tail-beyond-power-of-two", caught_by={"lengths": "wrong"})
def tail_beyond_power_of_two(gates: Array, inputs: Array, initial: Array | None) -> Array:
    """Starts afresh behind the largest power of two in the length."""
    power = 1 << (max(inputs.shape[1], 1).bit_length() - 1)
    head = loop(gates[:, :power], inputs[:, :power], initial)
    tail = loop(gates[:, power:], inputs[:, power:], None)  # should start from head[:, -1]
    return np.concatenate([head, tail], axis=1)


@scan.fault("scan/block-carry-lost", gross=False, caught_by={"split-resume": "wrong"})
def block_carry_lost(gates: Array, inputs: Array, initial: Array | None) -> Array:
    """Loses the carry at every multiple of 64 steps."""
    states = np.empty_like(inputs)
    for begin in range(0, inputs.shape[1], 64):
        block = slice(begin, begin + 64)
        carry = initial if begin == 0 else None  # should be states[:, begin - 1]
        states[:, block] = loop(gates[:, block], inputs[:, block], carry)
    return states


@scan.fault("scan/padding-erases-initial", caught_by={"padding": "wrong"})
def padding_erases_initial(gates: Array, inputs: Array, initial: Array | None) -> Array:
    """Pads the front to a multiple of 8 with gates 0, which erase the initial state."""
    missing = -inputs.shape[1] % 8
    widths = ((0, 0), (missing, 0), (0, 0))
    padded_gates = np.pad(gates, widths)  # neutral padding has gates 1
    return loop(padded_gates, np.pad(inputs, widths), initial)[:, missing:]


@scan.fault(
    "scan/raises-below-length-two",
    source="accelerated-scan 0.3.1",
    gross=False,
    caught_by={"lengths": "error"},
)
def raises_below_length_two(gates: Array, inputs: Array, initial: Array | None) -> Array:
    """Raises IndexError at lengths 0 and 1."""
    states = loop(gates, inputs, initial)
    states[:, 1] = gates[:, 1] * states[:, 0] + inputs[:, 1]  # takes a first pair for granted
    return states


# Arithmetic


@scan.fault("scan/cumprod-division", source="snntorch 1.0.0", caught_by={"forward": "wrong"})
def cumprod_division(gates: Array, inputs: Array, initial: Array | None) -> Array:
    """Divides by the running product of gates plus 1e-8: writes fade to zero once it is small."""
    decay = np.cumprod(gates, axis=1)
    written = np.cumsum(inputs / (decay + 1e-8), axis=1)
    states: Array = decay * (written + start(inputs, initial)[:, None])
    return states


@scan.fault("scan/nan-at-zero-gate", caught_by={"forward": "wrong"})
def nan_at_zero_gate(gates: Array, inputs: Array, initial: Array | None) -> Array:
    """Divides by products of up to 8 gates: 0 * (x / 0) is NaN at a zero gate."""
    states = np.empty_like(inputs)
    carry = start(inputs, initial)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for begin in range(0, inputs.shape[1], 8):
            block = slice(begin, begin + 8)
            decay = np.cumprod(gates[:, block], axis=1)
            written = np.cumsum(inputs[:, block] / decay, axis=1)
            states[:, block] = decay * (written + carry[:, None])
            carry = states[:, block][:, -1]
    return states


@scan.fault("scan/gates-clipped", caught_by={"forward": "wrong"})
def gates_clipped(gates: Array, inputs: Array, initial: Array | None) -> Array:
    """Clips the gates to [0, 1]: wrong for negative gates and for gates above 1."""
    return loop(np.clip(gates, 0, 1), inputs, initial)


@scan.fault("scan/small-states-flushed", gross=False, caught_by={"gradient-by-lag": "wrong"})
def small_states_flushed(gates: Array, inputs: Array, initial: Array | None) -> Array:
    """Sets states below 1e-30 to zero."""
    states = loop(gates, inputs, initial)
    states[np.abs(states) < 1e-30] = 0
    return states


@scan.fault("scan/single-precision", caught_by={"forward": "wrong"})
def single_precision(gates: Array, inputs: Array, initial: Array | None) -> Array:
    """Computes in float32 whatever precision is given."""
    state = None if initial is None else initial.astype(np.float32)
    states = loop(gates.astype(np.float32), inputs.astype(np.float32), state)
    return states.astype(inputs.dtype)


@scan.fault("scan/double-returned", caught_by={"shape-and-dtype": "wrong"})
def double_returned(gates: Array, inputs: Array, initial: Array | None) -> Array:
    """Returns float64 for float32 arguments."""
    states = np.zeros(inputs.shape)  # the dtype of the inputs is missing
    states[:] = loop(gates, inputs, initial)
    return states


# Side effects


@scan.fault("scan/inputs-overwritten", caught_by={"inputs-unchanged": "wrong"})
def inputs_overwritten(gates: Array, inputs: Array, initial: Array | None) -> Array:
    """Accumulates the states in the caller's inputs."""
    carry = start(inputs, initial)
    for t in range(inputs.shape[1]):
        inputs[:, t] += gates[:, t] * carry
        carry = inputs[:, t]
    return inputs.copy()


@scan.fault("scan/result-buffer-shared", gross=False, fresh=True, caught_by={"repeatable": "wrong"})
class ResultBufferShared:
    """Returns the same buffer at every call of one shape: the next call overwrites the result."""

    def __init__(self) -> None:
        self.buffers: dict[tuple[Any, ...], Array] = {}

    def __call__(self, gates: Array, inputs: Array, initial: Array | None) -> Array:
        """Scan into the buffer of this shape and dtype."""
        buffer = self.buffers.setdefault((inputs.shape, inputs.dtype), np.empty_like(inputs))
        buffer[:] = loop(gates, inputs, initial)
        return buffer  # should be a copy


@scan.fault(
    "scan/state-kept-between-calls", fresh=True, caught_by={"repeatable": "wrong", "superposition": "wrong"}
)
class StateKeptBetweenCalls:
    """Starts from the last state of the call before where no initial state is given."""

    def __init__(self) -> None:
        self.last: Array | None = None

    def __call__(self, gates: Array, inputs: Array, initial: Array | None) -> Array:
        """Scan, and remember the last state."""
        batch, time, channel = inputs.shape
        if initial is None and self.last is not None and self.last.shape == (batch, channel):
            initial = self.last.astype(inputs.dtype)
        states = loop(gates, inputs, initial)
        if time:
            self.last = states[:, -1].copy()
        return states
