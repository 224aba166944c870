"""Cases that hold arrays: JSON, parts along a named axis, and simpler numbers.

A case is a frozen dataclass. A field that holds an array, or a tuple of arrays, names its leading axes in
its annotation: ``h: Annotated[FloatArray, Axes(("time", "channel"))]``. Every other field holds a plain
JSON value. An axis has the same size in every array of a case, so that rows, steps or components are selected
from all arrays at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, replace
from functools import partial
from typing import Any, Self, get_origin, get_type_hints

import numpy as np

from dynprop.arrays import IntArray, NumericArray
from dynprop.errors import ArgumentError

__all__ = ["ArrayCase", "Axes", "fewer", "one_bit", "shortened", "three_bits"]


@dataclass(frozen=True)
class Axes:
    """The annotation of a field that holds an array, or a tuple of arrays with the same leading axes.

    Attributes:
        names: names of the leading axes.
        shape: the key under which JSON keeps the shape, for arrays that may be empty; no key if it is "".
    """

    names: tuple[str, ...]
    shape: str = ""


def fewer(size: int, *sizes: int, least: int = 1) -> list[int]:
    """Return those of the sizes that are smaller than a given one, in ascending order."""
    return sorted({smaller for smaller in sizes if least <= smaller < size})


def shortened(values: NumericArray, bits: int) -> NumericArray:
    """Round values to a few significant bits; zeros and signs survive."""
    if np.iscomplexobj(values):
        return np.asarray(shortened(values.real, bits) + 1j * shortened(values.imag, bits))
    mantissa, exponent = np.frexp(values)
    return np.asarray(np.ldexp(np.round(mantissa * 2**bits) / 2**bits, exponent))


one_bit: partial[NumericArray] = partial(shortened, bits=1)
three_bits: partial[NumericArray] = partial(shortened, bits=3)


@dataclass(frozen=True, eq=False)
class ArrayCase:
    """A case whose fields are plain values and arrays with named axes."""

    def take(self, axis: str, index: slice | IntArray) -> Self:
        """Return some of the positions along a named axis, of every array that has it.

        Raises:
            ArgumentError: no array has this axis.
        """
        declared = _declared(type(self))
        known = {name: None for axes, _ in declared.values() for name in axes.names}
        if axis not in known:
            raise ArgumentError("axis", repr(axis), f"one of {', '.join(known)}")
        changed: dict[str, Any] = {}
        for name, (axes, _) in declared.items():
            value = getattr(self, name)
            if axis in axes.names and value is not None:
                several = isinstance(value, tuple)
                parts = [_taken(v, axes.names, axis, index) for v in (value if several else (value,))]
                changed[name] = tuple(parts) if several else parts[0]
        return replace(self, **changed)

    def simpler(self, name: str, *forms: Callable[[NumericArray], NumericArray]) -> Iterator[Self]:
        """Yield the case with simpler numbers in one array, by each form that changes them."""
        values: NumericArray = getattr(self, name)
        for form in forms:
            simple = form(values)
            if not np.array_equal(simple, values) and np.isfinite(simple).all():
                changed: dict[str, Any] = {name: simple}
                yield replace(self, **changed)

    def to_json(self) -> dict[str, Any]:
        """Return the case as plain JSON values; Python floats survive JSON exactly."""
        data = {field.name: _listed(getattr(self, field.name)) for field in fields(self)}
        for name, (axes, _) in _declared(type(self)).items():
            if axes.shape:
                data[axes.shape] = list(getattr(self, name).shape)
        return data

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Build the case that ``to_json`` described.

        Raises:
            KeyError: a field is missing.
            ValueError: two arrays have different sizes along one axis.
        """
        dtype = np.int64 if str(data["dtype"]).startswith("int") else np.float64
        sizes: dict[str, int] = {}
        # A case that an older version saved lacks newer fields, which have defaults.
        values = {
            field.name: data[field.name]
            for field in fields(cls)
            if field.name in data or field.default is MISSING
        }
        for name, (axes, several) in _declared(cls).items():
            if values[name] is not None:
                shape = data.get(axes.shape)
                listed = values[name] if several else [values[name]]
                arrays = [_read(name, value, axes.names, shape, sizes, dtype) for value in listed]
                values[name] = tuple(arrays) if several else arrays[0]
        return cls(**values)


_DECLARED: dict[type[ArrayCase], dict[str, tuple[Axes, bool]]] = {}


def _declared(case: type[ArrayCase]) -> Mapping[str, tuple[Axes, bool]]:
    """Return the axes of every field that holds arrays, and whether it holds a tuple of them."""
    if case in _DECLARED:
        return _DECLARED[case]
    declared = _DECLARED[case] = {}
    for name, annotation in get_type_hints(case, include_extras=True).items():
        for axes in getattr(annotation, "__metadata__", ()):
            if isinstance(axes, Axes):
                declared[name] = (axes, get_origin(annotation.__origin__) is tuple)
    return declared


def _taken(values: NumericArray, axes: tuple[str, ...], axis: str, index: slice | IntArray) -> NumericArray:
    for place, name in enumerate(axes):
        if name == axis:
            values = values[(slice(None),) * place + (index,)]
    return values


def _listed(value: Any) -> Any:
    """Return arrays as nested lists, complex ones as {"real": ..., "imag": ...}."""
    if isinstance(value, tuple):
        return [_listed(v) for v in value]
    if not isinstance(value, np.ndarray):
        return value
    if np.iscomplexobj(value):
        return {"real": value.real.tolist(), "imag": value.imag.tolist()}
    return value.tolist()


def _read(
    name: str, value: Any, axes: tuple[str, ...], shape: Any, sizes: dict[str, int], dtype: type[np.generic]
) -> NumericArray:
    """Convert nested lists to an array; check its shape against the known sizes of axes, and add new ones."""
    if isinstance(value, dict):
        array = np.asarray(np.array(value["real"], np.float64) + 1j * np.array(value["imag"], np.float64))
    else:
        array = np.array(value, dtype=dtype)
    # Nested lists do not show the sizes after an axis of size 0.
    if shape is not None:
        array = array.reshape(tuple(shape))
    elif array.size == 0 and all(axis in sizes for axis in axes):
        array = array.reshape([sizes[axis] for axis in axes])
    if array.ndim < len(axes):
        raise ValueError(f"{name} has shape {array.shape}, expected axes {', '.join(axes)}")
    for axis, size in zip(axes, array.shape, strict=False):
        if sizes.setdefault(axis, size) != size:
            raise ValueError(f"{name} has shape {array.shape}, expected {sizes[axis]} along axis {axis}")
    return array
