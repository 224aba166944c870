"""Interfaces of an implementation under test: the methods that laws call, whatever the kind.

Arguments and results of these methods are numpy float64 and complex128; the adapters of
``dynprop.subjects`` translate to the subject's library and back, and wrap every exception of the subject. A
program for ``gradients`` uses only calls, ``*``, ``+``, slices and ``.sum()``, so that torch and jax run it
alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np

from dynprop.arrays import FloatArray, NumericArray
from dynprop.contracts.domain import Domain

__all__ = [
    "Argument",
    "Arguments",
    "ArraySubject",
    "ArrayType",
    "Call",
    "FunctionSubject",
    "Native",
    "Program",
    "Returned",
    "Subject",
]

# Any: an array of the subject's own library.
Native = Any
Program = Callable[[Callable[..., Native], Mapping[str, Native]], Native]
Argument = NumericArray | np.integer[Any] | float | None
Arguments = Sequence[Argument]
V_co = TypeVar("V_co", covariant=True)


class ArrayType(NamedTuple):
    """Shape, dtype and device of a result."""

    shape: tuple[int, ...]
    dtype: str
    device: str


@dataclass(frozen=True)
class Returned(Generic[V_co]):
    """The results of a call, unchecked and unread.

    Attributes:
        types: shape, dtype and device of each result.
        read: () -> the numbers of each result at the time of reading.
    """

    types: tuple[ArrayType, ...]
    read: Callable[[], tuple[V_co, ...]]


@dataclass(frozen=True)
class Call:
    """How a function is called, beside its arguments.

    Attributes:
        layout: memory layout of the arguments: "contiguous", "transposed", "sliced", or
            "NAME over AXIS" for one argument that is constant along an axis and has stride 0 there.
        mode: gradient mode of the library, one of its ``modes``.
        wants: names of the arguments that require a gradient.
        before: another call just before: "" for none, "same shape" for one with the arguments reversed in
            time, "an error" for one that lacks its second argument.
    """

    layout: str = "contiguous"
    mode: str = "grad"
    wants: tuple[str, ...] = ()
    before: str = ""


class Subject(Protocol):
    """An implementation under test, of any kind."""

    @property
    def domain(self) -> Domain:
        """The declared domain."""
        ...

    @property
    def compiles(self) -> bool:
        """Whether its library compiles every new shape, so that few shapes are drawn."""
        ...

    @property
    def differentiable(self) -> bool:
        """Whether its library has automatic differentiation."""
        ...

    @property
    def has_layouts(self) -> bool:
        """Whether a caller of its library can choose a memory layout."""
        ...


class FunctionSubject(Subject, Protocol):
    """A function, or several, that programs can call and differentiate."""

    def gradients(
        self,
        program: Program,
        arrays: Mapping[str, NumericArray],
        dtype: str,
        wrt: Sequence[str],
        layout: str = ...,
    ) -> dict[str, FloatArray]:
        """Gradients of a scalar program of the target to named arrays, laid out as ``Call`` says."""
        ...


class ArraySubject(FunctionSubject, Protocol[V_co]):
    """A function of arrays that returns one array or a tuple of them; arguments are in its own order."""

    @property
    def thread_counts(self) -> tuple[int, ...]:
        """Thread counts that its library can be set to; empty if it has no such setting."""
        ...

    @property
    def result_names(self) -> tuple[str, ...]:
        """The word for each result, in order."""
        ...

    @property
    def gradient_modes(self) -> tuple[str, ...]:
        """Gradient modes of its library; empty if it has none."""
        ...

    def values(self, arguments: Arguments, dtype: str, call: Call = ...) -> V_co:
        """The numbers of the only result, for fresh arrays."""
        ...

    def results(self, arguments: Arguments, dtype: str) -> tuple[V_co, ...]:
        """The numbers of every result, for fresh arrays."""
        ...

    def unrounded(self, arguments: Arguments, dtype: str) -> NumericArray:
        """The only result in its own dtype, for fresh arrays: integers stay integers."""
        ...

    def returned(self, arguments: Arguments, dtype: str) -> Returned[V_co]:
        """The results, unread."""
        ...

    def expected(self, arguments: Arguments, dtype: str) -> tuple[ArrayType, ...]:
        """Shape, dtype and device that each result should have."""
        ...

    def layouts(self, arguments: Arguments, dtype: str) -> Iterator[tuple[str, tuple[V_co, ...]]]:
        """The results for arguments of every memory layout, by name."""
        ...

    def changed_arguments(self, arguments: Arguments, dtype: str) -> str | None:
        """A sentence about an argument whose values or metadata a call modified, or None."""
        ...

    def with_threads(self, count: int, arguments: Arguments, dtype: str) -> tuple[V_co, ...]:
        """The results computed with this number of threads."""
        ...
