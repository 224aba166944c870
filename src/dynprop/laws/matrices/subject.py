"""What laws may ask of an unroll or a closed form under test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from dynprop.arrays import FloatArray, NumericArray
from dynprop.laws.domain import Domain
from dynprop.laws.subjects import Program

__all__ = ["PowerSubject"]


class PowerSubject(Protocol):
    """f(W, h0, t) under test, which returns states (t + 1, n) or the last of them (n,).

    Laws speak float64 and complex128; the adapter rounds to the format that is named.
    """

    @property
    def domain(self) -> Domain:
        """What the target promises."""
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

    def values(self, w: NumericArray, h: NumericArray, t: int, dtype: str) -> NumericArray:
        """Call the target on fresh arrays and return what it returned."""
        ...

    def returned(
        self, w: NumericArray, h: NumericArray, t: int, dtype: str
    ) -> tuple[Callable[[], NumericArray], tuple[int, ...], str, str]:
        """Call the target; return a later reader of its result, and its shape, dtype and device."""
        ...

    def expected_of(
        self, w: NumericArray, h: NumericArray, t: int, dtype: str
    ) -> tuple[tuple[int, ...], str, str]:
        """Return the shape, dtype and device that the result should have."""
        ...

    def layouts(
        self, w: NumericArray, h: NumericArray, t: int, dtype: str
    ) -> Iterator[tuple[str, NumericArray]]:
        """Yield the results for arguments of every memory layout, by name."""
        ...

    def changed_arguments(self, w: NumericArray, h: NumericArray, t: int, dtype: str) -> str | None:
        """Call the target and say which argument it modified, values or metadata, or None."""
        ...

    def gradients(
        self, program: Program, arrays: Mapping[str, NumericArray], dtype: str, wrt: Sequence[str]
    ) -> dict[str, FloatArray]:
        """Return the gradients of a scalar program of the target with respect to named arrays."""
        ...
