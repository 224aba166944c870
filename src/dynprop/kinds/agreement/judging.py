"""How two answers are compared, neither of which is the reference, and an answer with an inequality."""

from __future__ import annotations

import numpy as np

from dynprop.arrays import FloatArray, NumericArray
from dynprop.kinds.power.bounds import PowerBound
from dynprop.kinds.power.judging import parts
from dynprop.laws.evidence import Comparison

__all__ = ["UNIT", "apart", "between", "number_between", "reach_of"]

UNIT = 2.0**-53


def apart(
    label: str,
    value: NumericArray,
    other: NumericArray,
    bound: FloatArray | float,
    *,
    axes: tuple[str, ...],
) -> Comparison:
    """Compare two arrays of one shape entry by entry; complex ones by modulus.

    An entry is decided where the bound is below the larger of both, so that neither can escape by being zero.

    Args:
        label: what is compared.
        value: one answer.
        other: the other one; shown as what is expected.
        bound: how far apart two right answers can be; infinite where that is not known.
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


def between(
    label: str,
    value: FloatArray,
    low: FloatArray | float,
    high: FloatArray | float,
    slack: FloatArray | float,
    *,
    axes: tuple[str, ...],
    largest: float = 0.1,
) -> Comparison:
    """Compare numbers with an interval that they must lie in, up to a slack.

    Decided where the slack is finite and below ``largest``: wider, the inequality says little.

    Args:
        label: what is compared.
        value: the numbers; infinite ones may lie at an infinite end.
        low: lower ends.
        high: upper ends.
        slack: what rounding may add.
        axes: names of the axes.
        largest: slack from which nothing is decided.
    """
    below, above, room = (
        np.broadcast_to(np.asarray(x, dtype=float), value.shape) for x in (low, high, slack)
    )
    with np.errstate(all="ignore"):
        # The nearest allowed number is what is expected.
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


def reach_of(bound: PowerBound, value: NumericArray) -> FloatArray:
    """Return the error of a product-form evaluation entry by entry; infinite out of range."""
    return np.asarray(np.where(bound.in_range, bound.tightest(np.abs(value)), np.inf), dtype=np.float64)


def number_between(label: str, value: float, low: float, high: float, slack: float) -> Comparison:
    """Compare one number with an interval, as `between` does."""
    return between(label, np.array([value]), low, high, slack, axes=("number",))
