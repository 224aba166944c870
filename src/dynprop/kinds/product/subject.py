"""The interface of a running product under test."""

from __future__ import annotations

from typing import Protocol

from dynprop.arrays import FloatArray
from dynprop.contracts.subject import ArraySubject

__all__ = ["ProductSubject"]


class ProductSubject(ArraySubject[FloatArray], Protocol):
    """A function (weights) -> products; entry t is the product of the first t + 1 weights."""

    @property
    def matrix(self) -> bool:
        """Whether products are those of matrices, W_t ... W_1."""
        ...
