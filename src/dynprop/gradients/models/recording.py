r"""A call of a model, and what its recurrent parts were called with in it.

The call runs on a copy of the model, in eval mode and in float64, so that the model itself, its training mode
and its random numbers stay as they are. torch's default dtype is float64 meanwhile: models that make a zero
state inside do it in that dtype. A model that does not run in float64 runs in its own.

Wrapped models are unwrapped: torch.compile, DataParallel and DistributedDataParallel compute the same.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from dynprop.arrays import describe
from dynprop.errors import ArgumentError

__all__ = ["Call", "Recording", "copied", "first_line", "moved", "record", "unwrapped"]

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


@dataclass(frozen=True)
class Call:
    """One call of a module: its arguments and what it returned."""

    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any]
    output: Any


@dataclass(frozen=True)
class Recording:
    """What a call of a model showed.

    Attributes:
        model: the copy that was called, without gradients of its parameters.
        parts: its recurrent parts by name, each with its calls, in the order of their first calls.
        output: what the model returned.
        remarks: what the reader should know about the call.
    """

    model: nn.Module
    parts: Mapping[str, tuple[nn.Module, Sequence[Call]]]
    output: Any
    remarks: tuple[str, ...]


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the model inside torch.compile, DataParallel and DistributedDataParallel."""
    while True:
        if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            model = model.module
        elif isinstance(getattr(model, "_orig_mod", None), nn.Module):
            model = model._orig_mod  # type: ignore[assignment]  # an attribute of a compiled module
        else:
            return model


def copied(model: nn.Module) -> nn.Module:
    """Return a copy in eval mode.

    Raises:
        ArgumentError: the model is no torch module, or cannot be copied.
    """
    if not isinstance(model, nn.Module):
        raise ArgumentError("model", describe(model), "a torch.nn.Module, or a Step of dynprop.gradients")
    try:
        return copy.deepcopy(unwrapped(model)).eval()
    except Exception as error:
        expected = f"a module that copy.deepcopy copies; it raised {first_line(error)}"
        raise ArgumentError("model", type(model).__name__, expected) from error


def moved(value: Any, dtype: torch.dtype, device: torch.device) -> Any:
    """Return arguments as tensors of one floating dtype on one device; integers stay integers."""
    if isinstance(value, Call):
        return Call(moved(value.arguments, dtype, device), moved(value.keywords, dtype, device), None)
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "fiub":
            raise ArgumentError("inputs", describe(value), "real numbers or integers")
        value = torch.from_numpy(np.array(value))
    if isinstance(value, PackedSequence):
        return value.to(dtype).to(device)  # type: ignore[arg-type]  # torch annotates the dtype only
    if isinstance(value, Tensor):
        held = value.detach().to(device)
        return held.to(dtype) if held.is_floating_point() else held
    if isinstance(value, Mapping):
        return {key: moved(each, dtype, device) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(moved(each, dtype, device) for each in value)
    return value


def arguments_of(inputs: Any) -> Arguments:
    """Return the positional and keyword arguments that inputs stand for."""
    if isinstance(inputs, Call):
        return inputs.arguments, dict(inputs.keywords)
    if isinstance(inputs, Mapping):
        return (), dict(inputs)
    if isinstance(inputs, tuple) and not isinstance(inputs, PackedSequence):
        return inputs, {}
    if not isinstance(inputs, Tensor | np.ndarray | PackedSequence):
        expected = "a tensor, a numpy array, a PackedSequence, a tuple of arguments or a dict of keywords"
        raise ArgumentError("inputs", describe(inputs), expected)
    return (inputs,), {}


def first_line(error: BaseException) -> str:
    """Return the type and the first line of an exception."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """Let tensors without a dtype have this one."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def place_of(model: nn.Module) -> tuple[torch.dtype, torch.device]:
    """Return dtype and device of the first floating parameter or buffer of a model."""
    for held in (*model.parameters(), *model.buffers()):
        if held.is_floating_point():
            return held.dtype, held.device
    return torch.get_default_dtype(), torch.device("cpu")


def is_recurrent(module: nn.Module) -> bool:
    """Whether a module is one of torch's recurrent layers or cells."""
    return isinstance(module, nn.RNNBase | nn.RNNCellBase)


def chosen_parts(model: nn.Module, name: str | None) -> dict[str, nn.Module]:
    """Return the recurrent parts of a model by name, or the one that is named.

    Raises:
        ArgumentError: there is no module of this name.
    """
    known = dict(model.named_modules())
    if name is None:
        return {path: module for path, module in known.items() if is_recurrent(module)}
    if name not in known:
        names = [path for path in known if path]
        close = get_close_matches(name, names, n=3) or names[:6]
        expected = (
            f"the name of a module in it, such as {' or '.join(close)}"
            if names
            else "none: the model has no modules inside"
        )
        raise ArgumentError("module", repr(name), expected)
    return {name: known[name]}


def record(model: nn.Module, inputs: Any, module: str | None = None) -> Recording:
    """Call a copy of a model and record the calls of its recurrent parts.

    Args:
        model: any module.
        inputs: what it is called with; see `dynprop.gradients.gradient_by_lag`.
        module: the name of a recurrent part; all of torch's by default.

    Raises:
        ArgumentError: there is no such part, or the model cannot be called with these inputs.
    """
    given, random = copied(model), torch.random.get_rng_state()
    own, device = place_of(given)
    # Found before the call: a wrong name is the first thing to say.
    chosen_parts(given, module)
    remarks = _remarks(unwrapped(model))
    first: Exception | None = None
    for dtype in dict.fromkeys((torch.float64, own)):
        held = given.to(dtype) if dtype == torch.float64 else copied(model)
        try:
            parts, output = _called(held, moved(inputs, dtype, device), module, dtype)
        except ArgumentError:
            raise
        except Exception as error:
            first = first or error
            continue
        finally:
            torch.random.set_rng_state(random)
        if dtype != torch.float64:
            remarks = (*remarks, f"called in {str(dtype).removeprefix('torch.')}: it does not run in float64")
        return Recording(held, parts, output, remarks)
    assert first is not None
    shown = describe(inputs) if isinstance(inputs, Tensor | np.ndarray) else type(inputs).__name__
    expected = f"arguments that the model takes; it raised {first_line(first)}"
    raise ArgumentError("inputs", shown, expected) from first


def _called(
    model: nn.Module, inputs: Any, module: str | None, dtype: torch.dtype
) -> tuple[dict[str, tuple[nn.Module, Sequence[Call]]], Any]:
    calls: dict[str, list[Call]] = {}
    parts = chosen_parts(model, module)

    def listener(name: str) -> Callable[..., None]:
        def heard(_: nn.Module, arguments: Any, keywords: Any, output: Any) -> None:
            calls.setdefault(name, []).append(Call(arguments, keywords, output))

        return heard

    handles = [part.register_forward_hook(listener(name), with_kwargs=True) for name, part in parts.items()]
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    arguments, keywords = arguments_of(inputs)
    try:
        with torch.no_grad(), default_dtype(dtype):
            output = model(*arguments, **keywords)
    finally:
        for handle in handles:
            handle.remove()
    return {name: (parts[name], seen) for name, seen in calls.items()}, output


def _remarks(model: nn.Module) -> tuple[str, ...]:
    """Say what eval mode switches off, where the model is in training mode."""
    random = [
        m
        for m in model.modules()
        if (isinstance(m, nn.RNNBase) and m.dropout > 0.0)
        or (type(m).__name__.lower().startswith(("dropout", "alphadropout", "zoneout")))
    ]
    batch = [m for m in model.modules() if type(m).__name__.startswith("BatchNorm")]
    off = [name for name, there in (("dropout", random), ("statistics of the batch", batch)) if there]
    return (f"in eval mode: without {' and '.join(off)}",) if model.training and off else ()
