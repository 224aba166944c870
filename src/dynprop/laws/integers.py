"""Integers of 64 bits: exact results beside those of a target, which may be integers or floats.

Arithmetic modulo 2^64 is a ring, so that an evaluation that wraps on its way and fits at the end is right; a
result that does not fit has no integer of 64 bits, and any that is returned for it is wrong.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dynprop.arrays import FloatArray, NumericArray
from dynprop.laws.evidence import Comparison

__all__ = ["MOST", "REFUSALS", "compare_integers", "wrapped"]

# A magnitude beyond this may be refused; -2^63 itself fits, and its absolute value does not.
MOST = 2**63 - 1
REFUSALS: tuple[type[BaseException], ...] = (ValueError, TypeError, NotImplementedError, ArithmeticError)


def compare_integers(
    label: str,
    value: NumericArray,
    exact: NumericArray,
    axes: tuple[str, ...],
    as_floats: Callable[[FloatArray], Comparison],
) -> Comparison:
    """Compare an integer result exactly, and a floating one within the bound of its own law.

    Args:
        label: what is compared.
        value: what the subject returned, of any real dtype.
        exact: Python integers, an object array of the same shape.
        axes: names of the axes.
        as_floats: (value as float64) -> comparison within the rounding-error bound.
    """
    if not np.issubdtype(value.dtype, np.integer):
        return as_floats(np.asarray(value, dtype=np.float64))
    differences = [abs(int(v) - e) for v, e in zip(value.ravel().tolist(), exact.ravel(), strict=True)]
    residual = _as_floats(np.array(differences, dtype=object).reshape(exact.shape))
    reference = _as_floats(exact)
    return Comparison(
        f"{label}, integers",
        value.astype(np.float64),
        reference,
        residual,
        np.zeros_like(residual),
        np.ones(exact.shape, dtype=np.bool_),
        np.abs(reference),
        "float64",
        axes,
        alternatives=lambda: {"wrapped around at 2^63": _as_floats(wrapped(exact))},
    )


def _as_floats(values: NumericArray) -> FloatArray:
    """Round Python integers to float64; those beyond its range become its largest numbers."""
    most = int(np.finfo(np.float64).max)
    flat = [float(min(max(v, -most), most)) for v in values.ravel()]
    return np.array(flat, dtype=np.float64).reshape(values.shape)


def wrapped(values: NumericArray) -> NumericArray:
    """Return what arithmetic modulo 2^64 leaves of Python integers."""
    flat = [(int(v) + 2**63) % 2**64 - 2**63 for v in values.ravel()]
    return np.array(flat, dtype=object).reshape(values.shape)
