"""The constants of rounding-error analysis.

A computed sum of products that undergoes n roundings per term has a relative error per term of at
most gamma(n) = n u / (1 - n u) (Higham 2002, Accuracy and Stability of Numerical Algorithms,
lemma 3.1), u the unit roundoff. All bounds refer to the format in which the *subject* computes.
"""

from __future__ import annotations

from typing import overload

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.contracts.formats import Format

__all__ = ["gamma", "log_error", "log_sum"]


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


def log_sum(gates: FloatArray) -> FloatArray:
    """Return the running sum of abs(log(abs(a_t))), infinite from the first zero on."""
    with np.errstate(all="ignore"):
        return np.cumsum(np.abs(np.log(np.abs(gates))), axis=1)


def log_error(format_: Format, steps: FloatArray, logs: FloatArray) -> FloatArray:
    """Relative error of exp of a sum of logarithms, each partial sum rounded once."""
    with np.errstate(all="ignore"):
        error = np.expm1((steps + 8.0) * format_.unit * (logs + 1.0))
        # log 0 is -inf: an evaluation through it has no error bound.
        return np.asarray(np.nan_to_num(error, nan=np.inf, posinf=np.inf))
