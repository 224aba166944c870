"""Array aliases, validation, and conversion of torch and jax arrays to numpy.

Theory and verdicts use numpy float64 and complex128. torch and jax arrays are recognised without importing
their libraries, since a torch array exists only after torch has been imported.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynprop.errors import ArgumentError
from dynprop.wording import type_name, value_text

__all__ = [
    "BoolArray",
    "FloatArray",
    "IntArray",
    "NumericArray",
    "describe",
    "dtype_name",
    "exact_floats",
    "is_array",
    "library_of",
    "require_alike",
    "require_finite",
    "require_floating",
    "require_rank",
    "require_shape",
    "round_to",
    "to_numpy",
]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
NumericArray = NDArray[Any]

# Integers up to this size are float64 numbers.
_EXACT_INTEGERS = 2**53

_FLOATING = frozenset({"bfloat16", "float16", "float32", "float64", "complex64", "complex128"})


def library_of(value: object) -> str | None:
    """Return the library of an array, "numpy", "torch" or "jax"; None for any other object."""
    # By type: an object may lie about its class.
    if issubclass(type(value), np.ndarray | np.generic):
        return "numpy"
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        return "torch"
    jax = sys.modules.get("jax")
    if jax is not None and isinstance(value, jax.Array):
        return "jax"
    return None


def is_array(value: object) -> bool:
    """Whether a value is a numpy, torch or jax array."""
    return library_of(value) is not None


def dtype_name(value: object) -> str:
    """Return the name of an array's dtype, such as "float32" or "bfloat16"."""
    return str(getattr(value, "dtype", type(value).__name__)).removeprefix("torch.")


def to_numpy(value: Any) -> NumericArray:
    """Copy an array of any known library to numpy, without rounding.

    bfloat16, which numpy lacks, becomes float32. The copy is on the CPU and detached from autograd.

    Raises:
        ArgumentError: the value is not an array.
    """
    library = library_of(value)
    if library == "torch":
        tensor = value.detach().cpu()
        if dtype_name(tensor) == "bfloat16":
            tensor = tensor.float()
        return np.array(tensor.resolve_conj().resolve_neg().numpy())
    if library == "jax":
        array = np.asarray(value)
        return np.array(array.astype(np.float32) if dtype_name(value) == "bfloat16" else array)
    if library == "numpy":
        return np.array(value)
    raise ArgumentError("array", describe(value), "a numpy, torch or jax array")


def round_to(values: NumericArray, dtype: str) -> FloatArray:
    """Round real values to the nearest number of a dtype (ties to even); the result is float64."""
    exact = np.asarray(values, dtype=np.float64)
    if dtype == "float64":
        return exact.copy()
    with np.errstate(over="ignore", under="ignore"):
        single = exact.astype(np.float16 if dtype == "float16" else np.float32)
        if dtype == "bfloat16":
            # Drop the low 16 bits of a float32. Rounding twice (float64, float32, bfloat16) can miss the
            # nearest bfloat16 by a tie, which does not matter for test data.
            bits = single.view(np.uint32)
            even = (bits >> np.uint32(16)) & np.uint32(1)
            kept = (bits + np.uint32(0x7FFF) + even) & np.uint32(0xFFFF0000)
            single = kept.view(np.float32)
        return single.astype(np.float64)


def describe(value: object) -> str:
    """Describe a value for an error message: type, dtype and shape."""
    library = library_of(value)
    if library is None:
        return f"{type_name(value)} {value_text(value)}"
    shape = tuple(getattr(value, "shape", ()))
    return f"{library} {dtype_name(value)} array of shape {shape}"


def require_floating(name: str, value: Any) -> None:
    """Raise ArgumentError unless the value is a floating or complex array of numpy or torch.

    Masked arrays are refused, and dtypes in another byte order than this machine's.
    """
    _require_unmasked(name, value)
    if library_of(value) not in ("numpy", "torch"):
        raise ArgumentError(name, describe(value), "a numpy or torch array of floats")
    if dtype_name(value) not in _FLOATING:
        expected = f"a dtype among {', '.join(sorted(_FLOATING))}"
        foreign = isinstance(value, np.ndarray) and not value.dtype.isnative
        raise ArgumentError(
            name, describe(value), f"{expected}, in native byte order" if foreign else expected
        )


def _require_unmasked(name: str, value: Any) -> None:
    if isinstance(value, np.ma.MaskedArray):
        expected = "an array without a mask: fill the masked entries or leave their rows out"
        raise ArgumentError(name, f"masked {describe(value)}", expected)


def exact_floats(name: str, value: Any) -> NumericArray:
    """Convert an array-like of numbers to float64 or complex128, exactly.

    Accepted are numpy arrays of floats, complex numbers or integers in any byte order, their subclasses,
    objects with ``__array__`` (such as pandas'), and nested lists or tuples of numbers. The result may share
    memory with the value: do not write to it.

    Raises:
        ArgumentError: masked arrays, arrays of torch or jax, booleans, objects, and numbers that float64
            cannot represent, such as 2**53 + 1.
    """
    _require_unmasked(name, value)
    if isinstance(value, list | tuple):
        return _exact_numbers(name, value)
    expected = "a numpy array, or a nested list, of real or complex numbers"
    if library_of(value) != "numpy" and (is_array(value) or not hasattr(value, "__array__")):
        raise ArgumentError(name, describe(value), expected)
    columns: Any = getattr(value, "dtypes", None)
    if np.ndim(columns) == 1 and len({str(dtype) for dtype in columns}) > 1:
        # A data frame with integers next to floats, which it would round; astype is pandas'.
        if not hasattr(value, "astype"):
            raise ArgumentError(name, f"{type(value).__name__} of several dtypes", "columns of one dtype")
        return _exact_numbers(name, np.asarray(value.astype(object)).tolist())
    array = np.asarray(value)
    if array.dtype.kind not in "fciu":
        raise ArgumentError(name, describe(array), expected)
    with np.errstate(over="ignore"):
        wide = np.asarray(array, dtype=np.complex128 if array.dtype.kind == "c" else np.float64)
        inexact = _inexact(array, wide)
    if inexact.any():
        where = tuple(int(i) for i in np.argwhere(inexact)[0])
        raise ArgumentError(
            name, f"{array[where]} at index {where}", "numbers that float64 represents exactly"
        )
    return wide


def _inexact(array: NumericArray, wide: NumericArray) -> BoolArray:
    """Return the mask of the entries changed by widening; NaN is not counted."""
    changed = np.zeros(array.shape, dtype=np.bool_)
    if array.dtype.kind in "iu":
        large = (array > _EXACT_INTEGERS) | (array < -_EXACT_INTEGERS)
        changed[large] = [int(x) != int(y) for x, y in zip(array[large], wide[large], strict=True)]
    elif array.dtype.itemsize > wide.dtype.itemsize:
        changed = (wide.astype(array.dtype) != array) & ~np.isnan(array)
    return changed


def _exact_numbers(name: str, value: list[Any] | tuple[Any, ...]) -> NumericArray:
    """Convert a nested list of numbers; numpy's own conversion would round integers next to floats."""
    try:
        table = np.array(value, dtype=object)
    except ValueError as failure:
        raise ArgumentError(name, describe(value), "rows of equal length") from failure
    wide = np.zeros(table.shape, dtype=np.complex128)
    for where, x in np.ndenumerate(table):
        if isinstance(x, bool | np.bool_) or not isinstance(x, int | float | complex | np.number):
            raise ArgumentError(name, f"{describe(x)} at index {where}", "numbers, in rows of equal length")
        if not _is_exact(x):
            got = f"{describe(x)} at index {where}"
            raise ArgumentError(name, got, "numbers that float64 represents exactly")
        wide[where] = x
    is_complex = any(isinstance(x, complex | np.complexfloating) for x in table.ravel())
    return wide if is_complex else np.ascontiguousarray(wide.real)


def _is_exact(x: Any) -> bool:
    """Whether float64 or complex128 represents a number of Python or numpy; True for NaN."""
    if isinstance(x, int | np.integer):
        try:
            return int(float(x)) == int(x)
        except OverflowError:
            return False
    wide = complex(x)
    return bool(x != x or (wide.real == x.real and wide.imag == x.imag))


def require_rank(name: str, value: Any, axes: Sequence[str]) -> None:
    """Raise ArgumentError unless the array has exactly the named axes."""
    if len(value.shape) != len(axes):
        raise ArgumentError(name, describe(value), f"{len(axes)} axes ({', '.join(axes)})")


def require_shape(name: str, value: Any, shape: Sequence[int], reason: str) -> None:
    """Raise ArgumentError unless the array has this shape; ``reason`` explains it in the message."""
    if tuple(value.shape) != tuple(shape):
        raise ArgumentError(name, describe(value), f"shape {tuple(shape)} {reason}")


def require_alike(name: str, value: Any, reference_name: str, reference: Any) -> None:
    """Raise ArgumentError unless the array has the library, dtype and device of a reference array."""
    if (library_of(value), dtype_name(value)) != (library_of(reference), dtype_name(reference)):
        expected = f"library and dtype of {reference_name}, {describe(reference)}"
        raise ArgumentError(name, describe(value), expected)
    device = getattr(reference, "device", None)
    if getattr(value, "device", None) != device:
        raise ArgumentError(name, f"an array on {value.device}", f"the device of {reference_name}, {device}")


def require_finite(name: str, value: Any) -> None:
    """Raise ArgumentError if the array holds NaN or infinity; the message gives the value and its index."""
    if library_of(value) == "torch":
        if bool(value.detach().isfinite().all()):
            return
        value = to_numpy(value)
    finite = np.isfinite(value)
    if not finite.all():
        where = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise ArgumentError(name, f"{value[where]} at index {where}", "finite values everywhere")
