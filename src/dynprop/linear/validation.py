"""Validation of the arguments of dynprop.linear: square matrices, states, numbers of steps.

Validation precedes any computation. Values are widened to float64 or complex128, which is exact, so that
results refer to the stored numbers.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from math import prod
from typing import Any, TypeAlias

import numpy as np

from dynprop.arrays import (
    NumericArray,
    describe,
    library_of,
    require_finite,
    require_floating,
    require_rank,
    require_shape,
)
from dynprop.errors import ArgumentError

__all__ = [
    "MAX_STEPS",
    "Matrix",
    "available_memory",
    "require_memory",
    "square_matrix",
    "state_batch",
    "state_vector",
    "step_count",
    "step_counts",
]

# A float64 or complex128 array, after validation.
Matrix: TypeAlias = NumericArray

# Largest number of steps: what a signed 64-bit integer holds.
MAX_STEPS = 2**63 - 1


def _floats(name: str, value: Any, axes: Sequence[str]) -> None:
    if library_of(value) != "numpy" or isinstance(value, np.ma.MaskedArray):
        raise ArgumentError(name, describe(value), "a numpy array of floats")
    require_floating(name, value)
    require_rank(name, value, axes)


def _widened(name: str, value: Any) -> Matrix:
    require_finite(name, value)
    if np.iscomplexobj(value):
        return np.asarray(value, dtype=np.complex128)
    return np.asarray(value, dtype=np.float64)


def square_matrix(W: Any, name: str = "W") -> Matrix:
    """Return a validated square matrix as float64 or complex128; shape (n, n), n = 0 included.

    Raises:
        ArgumentError: not a numpy array of floats, not square, or not finite.
    """
    _floats(name, W, ("row", "column"))
    if W.shape[0] != W.shape[1]:
        raise ArgumentError(name, describe(W), "a square matrix, shape (n, n)")
    return _widened(name, W)


def state_vector(h0: Any, n: int, name: str = "h0") -> Matrix:
    """Return a validated state, shape (n,), as float64 or complex128.

    Raises:
        ArgumentError: not a numpy array of floats, of another shape, or not finite.
    """
    _floats(name, h0, ("n",))
    require_shape(name, h0, (n,), "(n,), n the size of W")
    return _widened(name, h0)


def state_batch(h0: Any, n: int, name: str = "h0") -> Matrix:
    """Return a validated state, shape (n,), or batch of states, shape (batch, n); see `state_vector`."""
    if len(getattr(h0, "shape", ())) == 1:
        return state_vector(h0, n, name)
    _floats(name, h0, ("batch", "n"))
    require_shape(name, h0, (h0.shape[0], n), "(n,) or (batch, n), n the size of W")
    return _widened(name, h0)


def step_count(value: Any, name: str = "steps") -> int:
    """Return a number of steps as a Python integer between 0 and 2**63 - 1.

    Raises:
        ArgumentError: not an integer of Python or numpy (a bool and a float are none), or out of range.
    """
    wanted = f"an integer from 0 to {MAX_STEPS}"
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise ArgumentError(name, describe(value), wanted)
    if not 0 <= int(value) <= MAX_STEPS:
        # Python refuses to print an integer of more than 4,300 digits.
        size = int(value).bit_length()
        got = f"an integer of {size} bits" if size > 256 else str(int(value))
        raise ArgumentError(name, got, wanted)
    return int(value)


def step_counts(values: Any, name: str = "t") -> list[int]:
    """Return numbers of steps, given as a one-dimensional array or sequence, as Python integers.

    Raises:
        ArgumentError: not one-dimensional, or with an element that `step_count` refuses.
    """
    if isinstance(values, np.ndarray):
        require_rank(name, values, ("time",))
    elif isinstance(values, str | bytes) or not isinstance(values, Sequence):
        raise ArgumentError(name, describe(values), "an integer, or a sequence or numpy array of integers")
    return [step_count(value, f"{name}[{i}]") for i, value in enumerate(values)]


def available_memory() -> int | None:
    """Return the number of bytes that this process can still allocate, None if unknown.

    It is the free physical memory, or the rest of the control group's limit if that is smaller (Linux).
    """
    found = []
    for path, free in (("/proc/meminfo", _meminfo), ("/sys/fs/cgroup/memory.max", _cgroup)):
        try:
            with open(path, encoding="ascii") as file:
                found.append(free(file.read()))
        except (OSError, ValueError):
            continue
    if not found:
        try:
            found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
        except (AttributeError, OSError, ValueError):
            return None
    return min(found)


def _meminfo(text: str) -> int:
    for line in text.splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    raise ValueError("no MemAvailable")


def _cgroup(limit: str) -> int:
    with open("/sys/fs/cgroup/memory.current", encoding="ascii") as file:
        return max(int(limit) - int(file.read()), 0)


def require_memory(name: str, shape: Sequence[int], itemsize: int) -> None:
    """Raise ArgumentError, with the size, if an array of this shape does not fit in memory.

    Arrays below 16 MiB are not checked: reading the free memory would cost more than the computation.
    """
    size = prod(shape) * itemsize
    if size <= 2**24:
        return
    free = available_memory()
    # No array of any system exceeds a signed 64-bit size.
    limit = MAX_STEPS if free is None else min(free, MAX_STEPS)
    if size > limit:
        raise ArgumentError(
            name,
            f"an output of shape {tuple(shape)}, {size} bytes",
            f"at most {limit} bytes of free memory; take fewer steps, or resume from the last state",
        )
