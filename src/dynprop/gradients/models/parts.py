"""The recurrent parts of a model on given inputs, each as a chain of steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dynprop.arrays import describe
from dynprop.errors import ArgumentError
from dynprop.gradients.lags.chain import CellChain
from dynprop.gradients.lags.steps import Step
from dynprop.gradients.models.recording import Call, copied, first_line, moved, place_of, record, unwrapped
from dynprop.gradients.models.rnn import Part, cell_part, layers_part, require_finite_states
from dynprop.gradients.models.stepping import own_cell, stepped_part

__all__ = ["parts_of"]


def parts_of(model: Any, inputs: Any, module: str | None = None) -> tuple[Part, ...]:
    """Return the recurrent parts of a model, in the order of their first calls.

    Args:
        model: a torch module, or a Step.
        inputs: what it is called with; see `dynprop.gradients.gradient_by_lag`.
        module: the name of one part.

    Raises:
        ArgumentError: no recurrent part, or a wrong call.
        NotFiniteError: a state is not finite.
    """
    if isinstance(model, Step):
        return (_of_step(model, inputs),)
    bare = unwrapped(model) if isinstance(model, nn.Module) else model
    if module in (None, "") and _is_cell(bare):
        return (_of_cell(bare, inputs),)
    recording = record(model, inputs, module)
    parts = [_part(name, held, calls) for name, (held, calls) in recording.parts.items()]
    if not parts and module is None:
        parts = [_whole(model, inputs)]
    if not parts:
        raise ArgumentError("module", repr(module), "a module that the model calls; it calls this one never")
    return tuple(Part(p.name, p.chain, p.members, (*p.remarks, *recording.remarks), p.visible) for p in parts)


def _part(name: str, module: nn.Module, calls: Sequence[Call]) -> Part:
    if isinstance(module, nn.RNNBase):
        found = layers_part(name, module, calls)
        if found is not None:
            return found
        if module.bidirectional:
            raise ArgumentError("module", f"{name or type(module).__name__}, bidirectional with a projection",
                                "one direction, or no proj_size")  # fmt: skip
    if isinstance(module, nn.RNNCellBase):
        return cell_part(name, module, calls)
    return own_cell(name, calls, module) or stepped_part(name, module, calls[-1])


def _whole(model: nn.Module, inputs: Any) -> Part:
    """Return the model itself as a part: its module is called like nn.RNN, or it holds no state."""
    recording = record(model, inputs, "")
    held, calls = recording.parts[""]
    try:
        return stepped_part("", held, calls[-1])
    except ArgumentError as error:
        expected = (
            "a recurrent module: torch.nn.RNN, GRU, LSTM or their cells inside, or (x, state=None) -> "
            f"(outputs, state); as such, {error}"
        )
        raise ArgumentError(
            "model", f"{type(held).__name__}, which holds no recurrent state", expected
        ) from error


def _is_cell(model: nn.Module) -> bool:
    return isinstance(model, nn.RNNCellBase)


def _of_cell(cell: nn.Module, inputs: Any) -> Part:
    """Call a cell step by step, (time, batch, features) or (time, features)."""
    if not isinstance(inputs, Tensor | np.ndarray) or inputs.ndim not in (2, 3) or len(inputs) == 0:
        got = describe(inputs)
        raise ArgumentError("inputs", got, "a tensor (time, batch, features) of one step or more, for a cell")
    held = copied(cell).to(torch.float64)
    _, device = place_of(held)
    sequence = moved(inputs, torch.float64, device)
    if sequence.ndim == 2:
        sequence = sequence[:, None]
    calls: list[Call] = []
    state: Any = None
    with torch.no_grad():
        for now in sequence:
            arguments = (now,) if state is None else (now, state)
            try:
                state = held(*arguments)
            except Exception as error:
                expected = f"inputs that the cell takes; it raised {first_line(error)}"
                raise ArgumentError("inputs", describe(inputs), expected) from error
            calls.append(Call(arguments, {}, state))
    return _part("", held, calls)


def _of_step(step: Step, inputs: Any) -> Part:
    if not isinstance(inputs, np.ndarray) or inputs.ndim not in (2, 3) or inputs.shape[-1] != step.features:
        expected = f"a numpy array (batch, time, {step.features}) or (time, {step.features})"
        raise ArgumentError("inputs", describe(inputs), expected)
    values = np.array(inputs, dtype=np.float64).reshape(-1, *inputs.shape[-2:])
    if 0 in values.shape[:2]:
        raise ArgumentError("inputs", describe(inputs), "one sequence and one step, or more")
    lengths = np.full(len(values), values.shape[1])
    states = step.run(values)
    require_finite_states(states, lengths, type(step).__name__)
    return Part("", CellChain(step, values, states, lengths))
