"""Compare two results when neither is a reference, and check inequalities."""

from __future__ import annotations

import numpy as np

from dynprop.arrays import FloatArray, NumericArray
from dynprop.kinds.power.bounds import PowerBound
from dynprop.kinds.power.judging import parts
from dynprop.laws.evidence import Comparison

__all__ = ["UNIT", "compare_interval", "compare_number", "compare_pair", "product_form_error"]

UNIT = 2.0**-53


def compare_pair(
    label: str,
    value: NumericArray,
    other: NumericArray,
    bound: FloatArray | float,
    *,
    axes: tuple[str, ...],
) -> Comparison:
    """Compare two arrays of one shape entry by entry; complex ones by modulus.

    An entry is decided where the bound is below the larger of the two, so that a wrong zero is decided too.

    Args:
        label: what is compared.
        value: one result.
        other: the other result; reports show it as the expected one.
        bound: largest distance of two correct results; infinite where it is unknown.
        axes: names of the axes.
    """
    allowed: FloatArray = np.broadcast_to(np.asarray(bound, dtype=np.float64), value.shape)
    with np.errstate(all="ignore"):
        residual = np.where(value == other, 0.0, np.abs(value - other))
        residual = np.where(np.isnan(residual), np.inf, residual)
        size = np.maximum(np.abs(value), np.abs(other))
        size = np.where(np.isnan(size), np.inf, size)
    decided = np.isfinite(allowed) & ((allowed < size) | ((size == 0.0) & (allowed == 0.0)))
    like = value + other
    shown = (*axes, "part") if np.iscomplexobj(like) else axes
    spread = [
        np.repeat(np.asarray(x)[..., None], 2, axis=-1) if np.iscomplexobj(like) else np.asarray(x)
        for x in (residual, allowed, decided, size)
    ]
    return Comparison(
        label,
        parts(value, like),
        parts(other, like),
        spread[0],
        spread[1],
        np.asarray(spread[2], dtype=np.bool_),
        spread[3],
        "float64",
        shown,
    )


def compare_interval(
    label: str,
    value: FloatArray,
    low: FloatArray | float,
    high: FloatArray | float,
    slack: FloatArray | float,
    *,
    axes: tuple[str, ...],
    largest: float = 0.1,
) -> Comparison:
    """Compare numbers with an interval that must contain them, up to a slack.

    A number is decided where the slack is finite and below ``largest``; a wider slack would decide little.

    Args:
        label: what is compared.
        value: the numbers; infinite ones may lie at an infinite end.
        low: lower ends.
        high: upper ends.
        slack: bound of the rounding errors.
        axes: names of the axes.
        largest: smallest slack at which nothing is decided.
    """
    below, above, room = (
        np.broadcast_to(np.asarray(x, dtype=float), value.shape) for x in (low, high, slack)
    )
    with np.errstate(all="ignore"):
        # The nearest number of the interval is the expected one.
        nearest = np.where(np.isnan(value), below, np.minimum(np.maximum(value, below), above))
        residual = np.where(value == nearest, 0.0, np.abs(value - nearest))
        residual = np.where(np.isnan(residual), np.inf, residual)
    decided = np.isfinite(room) & (room < largest) & ~np.isnan(below) & ~np.isnan(above)
    return Comparison(
        label,
        value,
        np.asarray(nearest, dtype=np.float64),
        residual,
        np.asarray(room, dtype=np.float64),
        np.asarray(decided, dtype=np.bool_),
        np.abs(np.asarray(nearest, dtype=np.float64)),
        "float64",
        axes,
    )


def product_form_error(bound: PowerBound, value: NumericArray) -> FloatArray:
    """Return the error bound of a product-form evaluation, entry by entry; infinite out of range."""
    return np.asarray(np.where(bound.in_range, bound.tightest(np.abs(value)), np.inf), dtype=np.float64)


def compare_number(label: str, value: float, low: float, high: float, slack: float) -> Comparison:
    """Compare one number with an interval; see ``compare_interval``."""
    return compare_interval(label, np.array([value]), low, high, slack, axes=("number",))
