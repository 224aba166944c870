"""What laws may ask of an unroll or a closed form under test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from dynprop.arrays import NumericArray
from dynprop.contracts.subject import FunctionSubject

__all__ = ["PowerSubject"]


class PowerSubject(FunctionSubject, Protocol):
    """f(W, h0, t) under test, which returns states (t + 1, n) or the last of them (n,).

    Laws speak float64 and complex128; the adapter rounds to the format that is named.
    """

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
