"""torch.nn.RNN, GRU and LSTM and their cells as chains with Jacobians written out, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from dynprop.arrays import FloatArray, IntArray
from dynprop.errors import ArgumentError, NotFiniteError
from dynprop.gradients.lags.chain import CellChain, Chain
from dynprop.gradients.lags.gated import GruStep, LstmStep
from dynprop.gradients.lags.stack import StackChain
from dynprop.gradients.lags.steps import ElmanStep, Step
from dynprop.gradients.models.recording import Call

__all__ = ["Part", "cell_part", "layers_part", "require_finite_states"]

# A cell's own steps against the module's, over the first steps, where trajectories cannot part yet.
FIRST_STEPS = 4
# Float64 modules differ by some 1e-15, float32 ones by 1e-6.
CLOSE = 1e-4


@dataclass(frozen=True)
class Part:
    """A recurrent part of a model.

    Attributes:
        name: its name in the model; empty for the model itself.
        chain: its whole state.
        members: its layers or directions by name, where there are several.
        remarks: what the reader should know.
        visible: the numbers of the state that are the output: h of the last layer.
    """

    name: str
    chain: Chain
    members: tuple[tuple[str, Chain], ...] = ()
    remarks: tuple[str, ...] = ()
    visible: slice = field(default_factory=lambda: slice(None))


def require_finite_states(states: FloatArray, lengths: IntArray, name: str) -> None:
    """Raise NotFiniteError, with the step, unless every state within its sequence is finite."""
    bad = ~np.isfinite(states).all(axis=2)
    bad &= np.arange(states.shape[1]) <= lengths[:, None]
    if bad.any():
        sequence, step = (int(i) for i in np.argwhere(bad)[np.argmin(np.argwhere(bad)[:, 1])])
        raise NotFiniteError(f"the state of {name or 'the model'}", f"step {step} of sequence {sequence}")


def as_numpy(value: Tensor) -> FloatArray:
    """Return a float64 copy."""
    return np.array(value.detach().to("cpu", torch.float64).numpy())


def step_of(module: nn.Module, suffix: str) -> Step:
    """Return the step of a layer (suffix such as "_l0" or "_l0_reverse") or cell (empty suffix)."""
    inputs, recurrent = (as_numpy(getattr(module, f"weight_{kind}{suffix}")) for kind in ("ih", "hh"))
    held = [getattr(module, f"bias_{kind}{suffix}", None) for kind in ("ih", "hh")]
    biases = [np.zeros(len(inputs)) if bias is None else as_numpy(bias) for bias in held]
    if isinstance(module, nn.GRU | nn.GRUCell):
        return GruStep(inputs, recurrent, *biases)
    if isinstance(module, nn.LSTM | nn.LSTMCell):
        return LstmStep(inputs, recurrent, *biases)
    return ElmanStep(inputs, recurrent, biases[0] + biases[1], str(module.nonlinearity))


def sequences(module: nn.RNNBase, inputs: Any) -> tuple[FloatArray, IntArray]:
    """Return inputs as (sequences, time, features), and the steps of each sequence."""
    if isinstance(inputs, PackedSequence):
        padded, lengths = pad_packed_sequence(inputs, batch_first=True)
        return as_numpy(padded), lengths.numpy().astype(np.int64)
    values = as_numpy(inputs)
    if values.ndim == 2:
        values = values[None]
    elif not module.batch_first:
        values = values.swapaxes(0, 1)
    return values, np.full(len(values), values.shape[1])


def turned(values: FloatArray, lengths: IntArray) -> FloatArray:
    """Return each sequence from its end; padding stays where it is."""
    place = np.arange(values.shape[1])
    order = np.where(place < lengths[:, None], lengths[:, None] - 1 - place, place)
    return np.take_along_axis(values, order[:, :, None], axis=1)


def initial_states(module: nn.RNNBase, state: Any, batch: int) -> list[FloatArray]:
    """Return the initial state of each layer and direction, (batch, size)."""
    count = module.num_layers * (2 if module.bidirectional else 1)
    parts = state if isinstance(state, tuple) else (state,)
    if state is None:
        parts = tuple(
            torch.zeros(count, batch, module.hidden_size) for _ in range(1 + isinstance(module, nn.LSTM))
        )
    held = [as_numpy(part).reshape(count, batch, -1) for part in parts]
    return [np.concatenate([part[i] for part in held], axis=1) for i in range(count)]


def layers_part(name: str, module: nn.RNNBase, calls: Sequence[Call]) -> Part | None:
    """Return an nn.RNN, GRU or LSTM as chains; None where its steps are not those of its weights.

    Calls that hand the state on are one sequence; otherwise the last of them is taken.

    Raises:
        NotFiniteError: a state is not finite.
        ArgumentError: there is no step.
    """
    if getattr(module, "proj_size", 0) or type(module).forward not in (
        nn.RNN.forward, nn.GRU.forward, nn.LSTM.forward
    ):  # fmt: skip
        return None
    run, remarks = joined_calls(calls)
    given = [sequences(module, _argument(call, 0, "input")) for call in run]
    if len(run) > 1 and len({len(values) for values, _ in given}) > 1:
        run, given = run[-1:], given[-1:]
    inputs = np.concatenate([values for values, _ in given], axis=1)
    lengths: IntArray = np.asarray(sum(steps for _, steps in given))
    if inputs.shape[1] == 0 or not len(inputs):
        raise ArgumentError("inputs", f"{inputs.shape[1]} steps", "one sequence and one step, or more")
    starts = initial_states(module, _argument(run[0], 1, "hx"), len(inputs))
    directions = ("", "_reverse") if module.bidirectional else ("",)
    chains: list[CellChain] = []
    names: list[str] = []
    read = inputs
    for layer in range(module.num_layers):
        outputs = []
        for direction in directions:
            step = step_of(module, f"_l{layer}{direction}")
            seen = turned(read, lengths) if direction else read
            states = step.run(seen, starts[len(chains)])
            require_finite_states(states, lengths, name)
            chains.append(CellChain(step, seen, states, lengths))
            hidden = states[:, 1:, : module.hidden_size]
            outputs.append(turned(hidden, lengths) if direction else hidden)
            way = (" backward" if direction else " forward") if module.bidirectional else ""
            names.append(f"layer {layer + 1}{way}")
        read = np.concatenate(outputs, axis=2)
    if not _same_steps(module, read, lengths, run[0].output, bool(module.bidirectional)):
        return None
    members = tuple(zip(names, chains, strict=True)) if len(chains) > 1 else ()
    if module.bidirectional:
        said = f"bidirectional: shown is {names[-2]}; each direction is a recurrence of its own"
        return Part(name, chains[-2], members, (*remarks, said), slice(0, module.hidden_size))
    if len(chains) > 1:
        whole = StackChain(chains, [module.hidden_size] * len(chains))
        top = whole.size - chains[-1].size
        visible = slice(top, top + module.hidden_size)
        return Part(name, whole, members, (*remarks, f"{len(chains)} layers, end to end"), visible)
    return Part(name, chains[0], (), remarks, slice(0, module.hidden_size))


def _argument(call: Call, place: int, name: str) -> Any:
    return call.arguments[place] if len(call.arguments) > place else call.keywords.get(name)


def joined_calls(calls: Sequence[Call], outputs: int = 1) -> tuple[Sequence[Call], tuple[str, ...]]:
    """Return the calls of the last sequence: each is given the state that the one before returned."""
    start = len(calls) - 1
    while start > 0 and _same_state(_argument(calls[start], 1, "hx"), _state(calls[start - 1], outputs)):
        start -= 1
    remarks = () if start == 0 else (f"called for {start + 1} or more sequences: the last one is shown",)
    return calls[start:], remarks


def _state(call: Call, place: int) -> Any:
    return call.output[place] if place else call.output


def _same_state(given: Any, returned: Any) -> bool:
    if isinstance(given, Tensor) and isinstance(returned, Tensor):
        return given.shape == returned.shape and bool(torch.equal(given, returned))
    if isinstance(given, tuple) and isinstance(returned, tuple) and len(given) == len(returned):
        return all(_same_state(one, other) for one, other in zip(given, returned, strict=True))
    return False


def _same_steps(
    module: nn.RNNBase, outputs: FloatArray, lengths: IntArray, returned: Any, backward: bool
) -> bool:
    """Whether the first outputs are the module's; from its end for the backward direction of short ones."""
    expected, _ = sequences(module, returned[0])
    steps = min(expected.shape[1], FIRST_STEPS)
    if backward:
        # The last layer reads both ends; compare all of short sequences, nothing of long ones.
        steps = expected.shape[1] if expected.shape[1] <= FIRST_STEPS else 0
    inside = np.arange(steps) < lengths[:, None]
    return bool(np.allclose(outputs[:, :steps][inside], expected[:, :steps][inside], rtol=CLOSE, atol=CLOSE))


def cell_part(name: str, cell: nn.RNNCellBase, calls: Sequence[Call]) -> Part:
    """Return an nn.RNNCell, GRUCell or LSTMCell that was called once per step.

    Raises:
        ArgumentError: the state of a call is not the one that the call before returned.
        NotFiniteError: a state is not finite.
    """
    run, remarks = joined_calls(calls, outputs=0)
    if len(run) == 1 and len(calls) > 1:
        got = f"{len(calls)} calls, none with the state that the one before returned"
        raise ArgumentError("module", got, "the part that carries the state: name an outer module")
    step = step_of(cell, "")
    rows = [as_numpy(_argument(call, 0, "input")) for call in run]
    inputs = np.stack([row.reshape(-1, step.features) for row in rows], axis=1)
    state = _argument(run[0], 1, "hx")
    parts = () if state is None else (state if isinstance(state, tuple) else (state,))
    start = np.concatenate([as_numpy(p).reshape(len(inputs), -1) for p in parts], axis=1) if parts else None
    lengths = np.full(len(inputs), inputs.shape[1])
    states = step.run(inputs, start)
    require_finite_states(states, lengths, name)
    return Part(name, CellChain(step, inputs, states, lengths), (), remarks, slice(0, int(cell.hidden_size)))
