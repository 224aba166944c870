"""The floating-point formats that a subject may compute in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["FORMATS", "Format", "coarser"]


@dataclass(frozen=True)
class Format:
    """A binary floating-point format.

    Attributes:
        name: dtype name.
        unit: unit roundoff u, half the distance from 1 to the next number.
        tiny: smallest normal number; results below may be flushed to zero.
        largest: largest finite number.
    """

    name: str
    unit: float
    tiny: float
    largest: float

    @property
    def safe(self) -> float:
        """Largest magnitude that an intermediate may have in a decided case."""
        return self.largest * 2.0**-8


FORMATS = {
    "float64": Format("float64", 2.0**-53, 2.0**-1022, float(np.finfo(np.float64).max)),
    "float32": Format("float32", 2.0**-24, 2.0**-126, float(np.finfo(np.float32).max)),
    "float16": Format("float16", 2.0**-11, 2.0**-14, 65504.0),
    "bfloat16": Format("bfloat16", 2.0**-8, 2.0**-126, 3.3895313892515355e38),
}


def coarser(dtype: str) -> tuple[Format, ...]:
    """Formats with fewer digits than the dtype, the finest first."""
    unit = FORMATS[dtype].unit
    return tuple(sorted((f for f in FORMATS.values() if f.unit > unit), key=lambda f: f.unit))
