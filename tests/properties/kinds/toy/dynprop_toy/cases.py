"""Cases: one sequence of numbers each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray, round_to
from dynprop.contracts.domain import Domain
from dynprop.kinds import Setup
from dynprop.laws.code import array_code
from dynprop.laws.draw import Source, length

__all__ = ["SeriesCase", "series", "setup"]


@dataclass(frozen=True, eq=False)
class SeriesCase:
    """A sequence; every number is exactly representable in the dtype.

    Attributes:
        values: shape (time,).
        dtype: the format that the target computes in.
    """

    values: FloatArray
    dtype: str

    def smaller(self) -> Iterator[SeriesCase]:
        """Yield the halves, then the sequence without its first number, then whole numbers."""
        half = len(self.values) // 2
        for values in (self.values[:half], self.values[half:], self.values[1:]):
            if 0 < len(values) < len(self.values):
                yield replace(self, values=values)
        if np.any(self.values != np.round(self.values)):
            yield replace(self, values=np.round(self.values))

    def refusable(self) -> bool:
        """Return whether an implementation may refuse this case with a plain error."""
        return len(self.values) == 0

    def describe(self) -> str:
        """Describe the case on one line."""
        return f"{self.dtype}, {len(self.values)} steps"

    def to_json(self) -> dict[str, Any]:
        """Return the case as plain JSON values."""
        return {"values": self.values.tolist(), "dtype": self.dtype}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SeriesCase:
        """Build the case that ``to_json`` described."""
        return cls(np.array(data["values"], dtype=np.float64), str(data["dtype"]))


def series(source: Source, domain: Domain, subject: Any) -> SeriesCase:
    """Draw a sequence of normal numbers."""
    dtype = source.choice(domain.dtypes)
    steps = length(source, domain.max_length)
    return SeriesCase(round_to(source.generator().standard_normal(steps), dtype), dtype)


def setup(case: Mapping[str, Any], framework: str) -> Setup:
    """Return the line of a script that holds a case."""
    shape = (len(case["values"]),)
    line = f"values = {array_code(framework, case['values'], shape, case['dtype'])}"
    return Setup(framework, case["dtype"], (line,))
