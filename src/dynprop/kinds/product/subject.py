"""What laws may ask of a running product under test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from dynprop.arrays import FloatArray
from dynprop.contracts.subject import Subject

__all__ = ["ProductSubject"]


class ProductSubject(Subject, Protocol):
    """f(weights) under test, which returns the product of the first t + 1 weights at index t."""

    @property
    def matrix(self) -> bool:
        """Whether products are those of matrices, W_t ... W_1."""
        ...

    def expected_device(self) -> str:
        """Return the device that the arguments live on."""
        ...

    def values(self, weights: FloatArray, dtype: str) -> FloatArray:
        """Call the target on a fresh array and return the products."""
        ...

    def returned(
        self, weights: FloatArray, dtype: str
    ) -> tuple[Callable[[], FloatArray], tuple[int, ...], str, str]:
        """Call the target; return a later reader of its result, and its shape, dtype and device."""
        ...

    def layouts(self, weights: FloatArray, dtype: str) -> Iterator[tuple[str, FloatArray]]:
        """Yield the products for weights of every memory layout, by name."""
        ...

    def changed_arguments(self, weights: FloatArray, dtype: str) -> str | None:
        """Call the target and say whether it modified the weights, or None."""
        ...
