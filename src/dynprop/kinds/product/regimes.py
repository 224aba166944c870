"""Scalar weights of which one factor stands at the edge of a regime, and products stay in range.

A factor at an end of the range of its format is followed, or preceded, by the one that brings the product
back, so that every entry is decided. Factors that are zero have either sign.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dynprop.arrays import FloatArray, IntArray
from dynprop.contracts.formats import Format

__all__ = ["EXTREME", "REGIMES"]

Rng = np.random.Generator
Shape = tuple[int, int]


def _units(rng: Rng, shape: Shape, gates: str) -> FloatArray:
    """Return weights of exactly 1, and -1 where the domain has it."""
    return np.ones(shape) if gates == "unit" else rng.choice([1.0, -1.0], shape)


def _places(rng: Rng, shape: Shape, count: int) -> list[IntArray]:
    """Return ``count`` ascending places of every series, equal ones where there are too few steps."""
    if not shape[0]:
        return [np.zeros(shape[1], dtype=np.int64) for _ in range(count)]
    drawn = rng.random((shape[0], shape[1])).argsort(axis=0)[:count]
    return list(np.sort(np.resize(drawn, (count, shape[1])), axis=0))


def _ends(rng: Rng, shape: Shape, format_: Format, gates: str) -> FloatArray:
    """One factor of tiny 2^8 and, in the domain of any weights, one of largest 2^-8 beside it."""
    values = _units(rng, shape, gates)
    if not values.size:
        return values
    series = np.arange(shape[1])
    first, second = _places(rng, shape, 2)
    small, large = format_.tiny * 2.0**8, format_.safe
    if gates == "any" and shape[0] > 1:
        exchanged = rng.random(shape[1]) < 0.5
        values[first, series] *= np.where(exchanged, small, large)
        values[second, series] *= np.where(exchanged, large, small)
    else:
        values[second, series] *= small
    return values


def _zeros(rng: Rng, shape: Shape, format_: Format, gates: str) -> FloatArray:
    """Weights around 1, exact ones among them, and one or two that are 0.0 or -0.0 in each series."""
    values = _units(rng, shape, gates) * np.where(rng.random(shape) < 0.3, 1.0, rng.uniform(0.5, 1.0, shape))
    if gates == "unit" or not values.size:
        return values
    series = np.arange(shape[1])
    first, second = _places(rng, shape, 2)
    values[first, series] = rng.choice([0.0, -0.0], shape[1])
    twice = rng.random(shape[1]) < 0.3
    values[second[twice], series[twice]] = rng.choice([0.0, -0.0], int(twice.sum()))
    return values


def _subnormal(rng: Rng, shape: Shape, format_: Format, gates: str) -> FloatArray:
    """One factor below the smallest normal number: nothing is decided from there on, and nothing raises."""
    values = _units(rng, shape, gates)
    if values.size:
        (place,) = _places(rng, shape, 1)
        values[place, np.arange(shape[1])] *= format_.tiny / 4.0
    return values


def _signs(rng: Rng, shape: Shape, format_: Format, gates: str) -> FloatArray:
    """Weights of size near 1 and either sign: the product has a sign at any length."""
    return _units(rng, shape, gates) * (1.0 - 10.0 ** rng.uniform(-6.0, -3.0, shape))


REGIMES: dict[str, Callable[[Rng, Shape, Format, str], FloatArray]] = {
    "at the ends of the range": _ends,
    "with a zero": _zeros,
    "with a subnormal number": _subnormal,
    "signs near 1": _signs,
}
# Those that leave the format in other units.
EXTREME = ("at the ends of the range", "with a subnormal number")
