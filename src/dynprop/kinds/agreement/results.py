"""Results of the functions under test, read with a check of their attributes and shapes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray, NumericArray, describe, to_numpy
from dynprop.subjects.calls import TargetMismatchError, attributed

__all__ = ["Result"]


@dataclass(frozen=True)
class Result:
    """What a function returned.

    Attributes:
        function: its name, for messages.
        value: the result, which may be of any class of the user's own.
    """

    function: str
    value: Any

    def attribute(self, name: str) -> Result:
        """Return an attribute of the result.

        Raises:
            TargetMismatchError: there is none.
        """
        missing = object()
        # A property of the result may raise, which is the target's failure.
        with attributed():
            found = getattr(self.value, name, missing)
        if found is missing:
            raise TargetMismatchError(
                f"{self.function} returned {describe(self.value)}, which has no .{name}"
            )
        return Result(self.function, found)

    def number(self) -> float:
        """Return a number; None is NaN."""
        return math.nan if self.value is None else float(self.value)

    def array(self, shape: tuple[int, ...]) -> NumericArray:
        """Return a float64 or complex128 array.

        Raises:
            TargetMismatchError: it has another shape.
        """
        found = np.asarray(self.value)
        if found.shape != shape:
            raise TargetMismatchError(
                f"{self.function} returned {describe(self.value)}, expected shape {shape}"
            )
        return np.asarray(found, dtype=np.complex128 if np.iscomplexobj(found) else np.float64)

    def real_array(self, shape: tuple[int, ...]) -> FloatArray:
        """Return a float64 array.

        Raises:
            TargetMismatchError: it has another shape.
        """
        return np.asarray(self.array(shape), dtype=np.float64)

    def from_library(self) -> Result:
        """Return the result as a numpy array where it is an array of torch."""
        return Result(self.function, to_numpy(self.value))
