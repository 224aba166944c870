"""The interface of an initialiser under test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from dynprop.arrays import FloatArray
from dynprop.contracts.subject import Subject
from dynprop.kinds.initializer.promise import Expression, Law

__all__ = ["InitializerSubject"]


class InitializerSubject(Subject, Protocol):
    """A function (shape, rng) -> weights; weights are (fan_in, fan_out) here, in every library."""

    @property
    def promises(self) -> Mapping[str, Expression]:
        """Promised quantities, by name."""
        ...

    @property
    def law_of_weights(self) -> Law | None:
        """The declared distribution of weights, None without a declaration."""
        ...

    def generator(self, seed: int) -> Any:
        """Return a generator of its library."""
        ...

    def draw(self, fan_in: int, fan_out: int, generator: Any) -> FloatArray:
        """Call the target and return its weights."""
        ...

    def reader(self, fan_in: int, fan_out: int, generator: Any) -> Callable[[], FloatArray]:
        """Call the target and return a reader of its weights at the time of reading."""
        ...

    def returned(
        self, fan_in: int, fan_out: int, generator: Any
    ) -> tuple[FloatArray, tuple[int, ...], str, str]:
        """Call the target; return its weights, and their shape (fan_in, fan_out), dtype and device."""
        ...

    def expected_device(self) -> str:
        """Return the device of the weights."""
        ...

    def seed(self, seed: int) -> None:
        """Seed the library's global random numbers."""
        ...

    def random_number(self) -> float | None:
        """Draw from the library's global random numbers, if it has any."""
        ...
