"""Batch and time axes of a layer's arrays; laws see (batch, time, ...)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray, NumericArray
from dynprop.errors import ArgumentError

__all__ = ["Axes", "permuted"]


@dataclass(frozen=True)
class Axes:
    """Positions of batch and time in x and y of a target.

    Attributes:
        batch: the batch axis, 0 or 1.
        time: the time axis, 1 or 0.
    """

    batch: int
    time: int

    @classmethod
    def declared(cls, batch: int | None, time: int | None, module: Any) -> Axes:
        """Return the declared axes; one gives the other, and without either the module's ``batch_first``.

        Raises:
            ArgumentError: both are the same axis.
        """
        if time is None and batch is None:
            return cls(0, 1) if bool(getattr(module, "batch_first", False)) else cls(1, 0)
        if time is None:
            time = 1 if batch == 0 else 0
        if batch is None:
            batch = 1 if time == 0 else 0
        if time == batch:
            raise ArgumentError("time_axis", str(time), "an axis other than batch_axis")
        return cls(batch, time)

    def of_target(self, values: FloatArray) -> FloatArray:
        """Move batch and time from the front to the target's axes."""
        return np.moveaxis(values, (0, 1), (self.batch, self.time))

    def of_laws(self, values: NumericArray) -> NumericArray:
        """Move batch and time from the target's axes to the front."""
        return np.moveaxis(values, (self.batch, self.time), (0, 1))

    def first(self, y: Any, library: str) -> Any:
        """Permute an array of the target's library to batch, time, and the rest."""
        order = [self.batch, self.time]
        return permuted(y, order + [i for i in range(y.ndim) if i not in order], library)

    def steps(self, array: Any, steps: slice | int) -> Any:
        """Cut steps out of an array of the target's library; a number drops the time axis."""
        return array[(*(slice(None),) * self.time, steps)]


def permuted(array: Any, order: Sequence[int], library: str) -> Any:
    """Permute the axes of a torch or jax array."""
    return array.transpose(order) if library == "jax" else array.permute(order)
