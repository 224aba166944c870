"""Floating-point formats and the constants of rounding-error analysis.

A computed sum of products that undergoes n roundings per term has a relative error per term of at
most gamma(n) = n u / (1 - n u) (Higham 2002, Accuracy and Stability of Numerical Algorithms,
lemma 3.1), u the unit roundoff. Everything here is about the format that a *subject* computes in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import overload

import numpy as np

from dynprop.arrays import FloatArray

__all__ = ["FORMATS", "Format", "coarser", "gamma"]


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


@overload
def gamma(count: float, unit: float) -> float: ...
@overload
def gamma(count: FloatArray, unit: float) -> FloatArray: ...
def gamma(count: float | FloatArray, unit: float) -> float | FloatArray:
    """Return gamma(n) = n u / (1 - n u), infinite where n u >= 1 (Higham 2002, lemma 3.1)."""
    product = np.asarray(count, dtype=np.float64) * unit
    with np.errstate(divide="ignore"):
        bound = np.where(product < 1.0, product / np.maximum(1.0 - product, 0.0), np.inf)
    return float(bound) if np.ndim(count) == 0 else np.asarray(bound, dtype=np.float64)
