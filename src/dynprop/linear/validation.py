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
    exact_floats,
    library_of,
    require_finite,
    require_rank,
    require_shape,
)
from dynprop.errors import ArgumentError

__all__ = [
    "MAX_STEPS",
    "Matrix",
    "available_memory",
    "bit_limit",
    "nonnegative",
    "positive",
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


def _numbers(name: str, value: Any, axes: Sequence[str]) -> Matrix:
    """Return an array-like of finite numbers with the given axes as float64 or complex128."""
    array = exact_floats(name, value)
    require_rank(name, array, axes)
    require_finite(name, array)
    return array


def square_matrix(W: Any, name: str = "W") -> Matrix:
    """Return a validated square matrix as float64 or complex128; shape (n, n), n = 0 included.

    The array may share memory with W.

    Raises:
        ArgumentError: not square, not finite, or refused by `exact_floats`.
    """
    matrix = _numbers(name, W, ("row", "column"))
    if matrix.shape[0] != matrix.shape[1]:
        raise ArgumentError(name, describe(matrix), "a square matrix, shape (n, n)")
    return matrix


def state_vector(h0: Any, n: int, name: str = "h0") -> Matrix:
    """Return a validated state, shape (n,), as float64 or complex128.

    Raises:
        ArgumentError: another shape, not finite, or refused by `exact_floats`.
    """
    state = _numbers(name, h0, ("n",))
    require_shape(name, state, (n,), "(n,), n the size of W")
    return state


def state_batch(h0: Any, n: int, name: str = "h0") -> Matrix:
    """Return a validated state, shape (n,), or batch of states, shape (batch, n); see `state_vector`."""
    array = exact_floats(name, h0)
    if array.ndim == 1:
        return state_vector(array, n, name)
    states = _numbers(name, array, ("batch", "n"))
    require_shape(name, states, (len(states), n), "(n,) or (batch, n), n the size of W")
    return states


def step_count(value: Any, name: str = "steps") -> int:
    """Return a number of steps as a Python integer between 0 and 2**63 - 1.

    Raises:
        ArgumentError: not an integer of Python or numpy (a bool or float is not one), or out of range.
    """
    value = _scalar(value)
    wanted = f"an integer from 0 to {MAX_STEPS}"
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise ArgumentError(name, describe(value), wanted)
    if not 0 <= int(value) <= MAX_STEPS:
        # Python refuses to print an integer of more than 4,300 digits.
        size = int(value).bit_length()
        got = f"an integer of {size} bits" if size > 256 else str(int(value))
        raise ArgumentError(name, got, wanted)
    return int(value)


def _scalar(value: Any) -> Any:
    """Return the number in a 0-d array, anything else as it is; the value may be of any type."""
    is_scalar = isinstance(value, np.ndarray) and value.ndim == 0 and not isinstance(value, np.ma.MaskedArray)
    return value[()] if is_scalar else value


def step_counts(values: Any, name: str = "t") -> tuple[list[int], bool]:
    """Return numbers of steps as Python integers, and whether there was one integer instead of several.

    Several are a one-dimensional numpy array, a sequence, or an object with ``__array__``, such as a pandas
    Series.

    Raises:
        ArgumentError: not one-dimensional, or with an element that `step_count` refuses.
    """
    values = _scalar(values)
    if isinstance(values, np.ma.MaskedArray):
        raise ArgumentError(name, f"masked {describe(values)}", "times without a mask")
    if library_of(values) is None and hasattr(values, "__array__"):
        values = np.asarray(values)
    if isinstance(values, np.ndarray):
        require_rank(name, values, ("time",))
    elif isinstance(values, str | bytes) or not isinstance(values, Sequence):
        return [step_count(values, name)], True
    return [step_count(value, f"{name}[{i}]") for i, value in enumerate(values)], False


def bit_limit(value: Any, name: str = "max_bits", least: int = 1) -> int:
    """Return a validated limit on the working precision as a Python integer.

    Raises:
        ArgumentError: not an integer of Python or numpy, or below the least.
    """
    value = _scalar(value)
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ArgumentError(name, describe(value), f"an integer ≥ {least}")
    return int(value)


def positive(value: Any, name: str) -> float:
    """Return a validated positive number, infinity included, as a float.

    Raises:
        ArgumentError: not a real number, zero, negative or NaN.
    """
    number = _real(value)
    if number is None or not number > 0.0:
        raise ArgumentError(name, describe(value), "a positive number")
    return number


def nonnegative(value: Any, name: str) -> float:
    """Return a validated number that is zero or positive, infinity included, as a float.

    Raises:
        ArgumentError: not a real number, negative or NaN.
    """
    number = _real(value)
    if number is None or not number >= 0.0:
        raise ArgumentError(name, describe(value), "a number that is zero or positive")
    return number


def _real(value: Any) -> float | None:
    value = _scalar(value)
    is_number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    return float(value) if is_number else None


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
