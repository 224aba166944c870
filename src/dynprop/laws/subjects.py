"""What a law may ask of an implementation under test, one protocol per kind.

Laws speak numpy float64; the adapters in ``dynprop.check`` translate to the subject's library and
back, and wrap whatever the subject raises. A program handed to ``gradients`` uses only calls, ``*``,
``+``, slices and ``.sum()``, so that torch and jax run it alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from dynprop.arrays import FloatArray
from dynprop.laws.domain import Domain

__all__ = ["Native", "Program", "ScanSubject"]

Native = Any
Program = Callable[[Callable[..., Native], Mapping[str, Native]], Native]


class ScanSubject(Protocol):
    """A gated scan f(gates, inputs, initial) -> states under test."""

    @property
    def domain(self) -> Domain:
        """What the target promises."""
        ...

    @property
    def differentiable(self) -> bool:
        """Whether its library has automatic differentiation."""
        ...

    @property
    def thread_counts(self) -> tuple[int, ...]:
        """Thread counts that its library can be set to; empty if it has no such setting."""
        ...

    def states(
        self, gates: FloatArray, inputs: FloatArray, initial: FloatArray | None, dtype: str
    ) -> FloatArray:
        """Call the target on fresh arrays and return the states."""
        ...

    def returned(
        self, gates: FloatArray, inputs: FloatArray, initial: FloatArray | None, dtype: str
    ) -> tuple[Callable[[], FloatArray], tuple[int, ...], str, str]:
        """Call the target; return a later reader of its result, and its shape, dtype and device."""
        ...

    def expected_device(self) -> str:
        """Return the device that the arguments live on."""
        ...

    def layouts(
        self, gates: FloatArray, inputs: FloatArray, initial: FloatArray | None, dtype: str
    ) -> Iterator[tuple[str, FloatArray]]:
        """Yield the states for arguments of every memory layout, by name."""
        ...

    def changed_arguments(
        self, gates: FloatArray, inputs: FloatArray, initial: FloatArray | None, dtype: str
    ) -> str | None:
        """Call the target and say which argument it modified, values or metadata, or None."""
        ...

    def with_threads(
        self, count: int, gates: FloatArray, inputs: FloatArray, initial: FloatArray | None, dtype: str
    ) -> FloatArray:
        """Return the states computed with this number of threads."""
        ...

    def gradients(
        self, program: Program, arrays: Mapping[str, FloatArray], dtype: str, wrt: Sequence[str]
    ) -> dict[str, FloatArray]:
        """Return the gradients of a scalar program of the target with respect to named arrays."""
        ...
