"""The adapter: what laws may ask of a running extreme."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray, describe
from dynprop.contracts.domain import Domain
from dynprop.errors import TargetError
from dynprop.subjects.calls import TargetMismatchError, TargetRaisedError, guard

from .cases import SeriesCase

__all__ = ["RunningExtreme"]


@dataclass(frozen=True)
class RunningExtreme:
    """A running extreme f(values) -> extremes, of numpy arrays.

    Args:
        target: the function; values and extremes have shape (time,).
        extreme: "max" or "min".
        max_length: the longest sequence.
        dtypes: the formats that the target takes.
        framework: "numpy", the only one.
        name: the name in reports.
    """

    target: Callable[..., Any]
    extreme: str = "max"
    max_length: int = 2048
    dtypes: Sequence[str] = ("float64", "float32")
    framework: str = "numpy"
    name: str = "running extreme"
    kind: str = field(default="running-extreme", init=False)

    @classmethod
    def of(cls, target: Any, *, seed: int = 0, **options: Any) -> RunningExtreme:
        """Return the subject of a function, or of an adapter with some fields replaced."""
        return replace(target, **options) if isinstance(target, cls) else cls(target, **options)

    @property
    def domain(self) -> Domain:
        """The cases that the target promises to handle."""
        return Domain(dtypes=tuple(self.dtypes), max_length=self.max_length)

    @property
    def compiles(self) -> bool:
        """Numpy compiles nothing."""
        return False

    def seed(self, seed: int) -> None:
        """Targets of this kind draw no random numbers."""

    def preflight(self) -> None:
        """Call the target once; TargetError if it does not fit."""
        try:
            self.values(np.array([1.0, 0.0, 2.0]), self.domain.dtypes[0])
        except (TargetRaisedError, TargetMismatchError) as error:
            raise TargetError(f"kind {self.kind} takes f(values) -> extremes; {error}") from error

    def values(self, values: FloatArray, dtype: str) -> FloatArray:
        """Call the target on a fresh array and return its result."""
        return self.called(np.array(values, dtype=dtype))

    def called(self, argument: Any) -> FloatArray:
        """Call the target on this array and return its result."""
        result = guard(self.target)(argument)
        if getattr(result, "shape", None) != argument.shape:
            raise TargetMismatchError(f"returned {describe(result)}, expected shape {argument.shape}")
        return np.asarray(result, dtype=np.float64)

    @staticmethod
    def case_from_json(data: dict[str, Any]) -> SeriesCase:
        """Build a case from its JSON form."""
        return SeriesCase.from_json(data)
