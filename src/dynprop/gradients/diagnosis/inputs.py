"""Models, inputs and weights of a diagnosis: built, drawn, or read from files without unpickling."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dynprop.arrays import describe
from dynprop.errors import ArgumentError, TargetError
from dynprop.gradients.models.recording import first_line, unwrapped

__all__ = [
    "built",
    "first_sequences",
    "is_batched_first",
    "load_weights",
    "read_tensors",
    "split",
    "white_inputs",
]

SIZES = {"input_size": 8, "hidden_size": 64}
# Formats of a safetensors file that torch has.
FORMATS = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
LONGEST_HEADER = 100_000_000


def built(target: Any, seed: int) -> nn.Module:
    """Return a model: a module as it is, or what a class or function builds, seeded.

    A class or function is called as TARGET(input_size=8, hidden_size=64), or without arguments.

    Raises:
        TargetError: it builds no module, or raises.
    """
    if isinstance(target, nn.Module):
        return target
    name = getattr(target, "__name__", type(target).__name__)
    if not callable(target):
        raise TargetError(f"{name}: got {describe(target)}, expected a torch module or what builds one")
    import inspect

    try:
        inspect.signature(target).bind(**SIZES)
        sizes: dict[str, int] = SIZES
    except TypeError:
        sizes = {}
    except ValueError:
        sizes = {}
    try:
        inspect.signature(target).bind(**sizes)
    except TypeError as error:
        expected = "(), or (input_size, hidden_size)"
        raise TargetError(
            f"{name} takes {inspect.signature(target)}, expected {expected} ({error})"
        ) from error
    except ValueError:
        pass
    before = torch.random.get_rng_state()
    torch.default_generator.manual_seed(seed)
    try:
        if isinstance(target, type) and issubclass(target, nn.RNNBase | nn.RNNCellBase):
            sizes = SIZES
        model = target(**sizes)
    except Exception as error:
        raise TargetError(f"{name}({', '.join(sizes)}) raised {first_line(error)}") from error
    finally:
        torch.random.set_rng_state(before)
    if not isinstance(model, nn.Module):
        raise TargetError(f"{name} returned {describe(model)}, expected a torch.nn.Module")
    return model


def is_batched_first(model: nn.Module) -> bool:
    """Whether the first axis of a model's inputs is the batch, by its first recurrent part."""
    own = getattr(model, "batch_first", None)
    if isinstance(own, bool):
        return own
    parts = [m for m in model.modules() if isinstance(m, nn.RNNBase)]
    return bool(parts and parts[0].batch_first)


def white_inputs(model: nn.Module, steps: int, sequences: int, seed: int) -> Tensor:
    """Return independent standard normal inputs, or uniform tokens for a model that begins with an embedding.

    Raises:
        ArgumentError: the number of features is not known.
    """
    bare = unwrapped(model)
    rng = np.random.default_rng(seed)
    first_batch = is_batched_first(bare)
    shape = (sequences, steps) if first_batch else (steps, sequences)
    leaves = [m for m in bare.modules() if not list(m.children())]
    if leaves and isinstance(leaves[0], nn.Embedding):
        return torch.from_numpy(rng.integers(0, leaves[0].num_embeddings, size=shape))
    features = getattr(bare, "input_size", None)
    for module in leaves:
        if isinstance(features, int):
            break
        features = getattr(module, "input_size", getattr(module, "in_features", None))
    if not isinstance(features, int):
        raise ArgumentError("inputs", "none, for a model of unknown input size", "a batch of inputs")
    return torch.from_numpy(rng.standard_normal((*shape, features)))


def first_sequences(inputs: Tensor, count: int, first_batch: bool, start: int = 0) -> Tensor:
    """Return some sequences of a batch."""
    axis = 0 if first_batch else 1
    size = int(inputs.shape[axis])
    start = min(start, size)
    return inputs.narrow(axis, start, min(count, size - start))


def split(inputs: Tensor, first_batch: bool) -> tuple[Tensor, Tensor]:
    """Return the first and the second half of the sequences; both are all where there is one."""
    size = int(inputs.shape[0 if first_batch else 1])
    if size < 2:
        return inputs, inputs
    return first_sequences(inputs, size // 2, first_batch), first_sequences(
        inputs, size, first_batch, size // 2
    )


def read_tensors(path: Path, option: str) -> dict[str, Tensor]:
    """Read arrays by name; one that has none is called "inputs".

    Args:
        path: .npy, .safetensors, or .pt and .pth, which are read with weights_only.
        option: what the message names.

    Raises:
        ArgumentError: the file cannot be read, or holds anything but arrays.
    """
    readers: dict[str, Callable[[Path], Any]] = {
        ".npy": _npy,
        ".safetensors": _safetensors,
        ".pt": _torch_file,
        ".pth": _torch_file,
    }
    if path.suffix not in readers:
        raise ArgumentError(option, str(path), f"a file whose name ends in {', '.join(readers)}")
    try:
        found = readers[path.suffix](path)
    except ArgumentError:
        raise
    except OSError as error:
        raise ArgumentError(
            option, f"{path} ({error.strerror or error})", "a file that can be read"
        ) from error
    except pickle.UnpicklingError as error:
        got = f"{path}, which holds more than tensors"
        expected = "a state dict or a tensor: nothing is unpickled"
        raise ArgumentError(option, got, expected) from error
    except Exception as error:
        expected = "arrays alone: nothing is unpickled"
        raise ArgumentError(
            option, f"{path}, which does not load ({first_line(error)[:120]})", expected
        ) from error
    named = found if isinstance(found, dict) else {"inputs": found}
    if not named or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in named.items()):
        raise ArgumentError(option, f"{path}, which holds {type(found).__name__}", "tensors by name")
    return named


def _npy(path: Path) -> Tensor:
    return torch.from_numpy(np.load(path, allow_pickle=False))


def _torch_file(path: Path) -> Any:
    return torch.load(path, map_location="cpu", weights_only=True)


def _safetensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file: the length of a header, the header in JSON, then the bytes of the arrays."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(LONGEST_HEADER, len(data) - 8):
        raise ValueError("no safetensors header")
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    found = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        dtype, (start, end) = FORMATS[entry["dtype"]], entry["data_offsets"]
        count = math.prod(entry["shape"])
        if not 0 <= start <= end <= len(body) or end - start != count * dtype.itemsize:
            raise ValueError(f"{name}: bytes {start} to {end} do not hold shape {entry['shape']}")
        raw = np.frombuffer(body, np.uint8, end - start, start).copy()
        found[name] = torch.from_numpy(raw).view(dtype).reshape(entry["shape"])
    return found


def load_weights(model: nn.Module, path: Path) -> None:
    """Load a state dict into a model.

    Raises:
        ArgumentError: the file holds anything but weights, or they are of another model.
    """
    weights = read_tensors(path, "--weights")
    own = model.state_dict()
    for name in own:
        if name not in weights:
            close = get_close_matches(name, weights, n=2) or sorted(weights)[:2]
            expected = f"weights of {type(model).__name__}, with {name}; it has {', '.join(close)}"
            raise ArgumentError("--weights", f"{path} without {name}", expected)
        if own[name].shape != weights[name].shape:
            got = f"{name} of shape {tuple(weights[name].shape)} in {path}"
            raise ArgumentError("--weights", got, f"shape {tuple(own[name].shape)}")
    more = sorted(set(weights) - set(own))
    if more:
        raise ArgumentError("--weights", f"{path} with {more[0]}", f"only weights of {type(model).__name__}")
    model.load_state_dict(weights)
