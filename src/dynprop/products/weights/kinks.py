r"""Places where a function of one variable has a kink (its slope jumps) or a jump (its value does).

Cells of the line are tested for smoothness: the polynomial through eight Chebyshev nodes must predict the
function at five other points to 1e-9 of its size. A cell that fails is halved. A smooth function passes on
wide cells. At a kink of slope change D the prediction is wrong by about D times the width, at a jump by its
height, so the cells shrink around the place. The polynomials on both sides of a kink intersect in it, which
gives its position to rounding.

The first edges are no round numbers, since a kink on an edge would not be seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dynprop.arrays import FloatArray

__all__ = ["Kinks", "find_kinks"]

_TOLERANCE = 1e-9
# Cells of width 2^-6 up to 16, then geometric ones up to 2^20.
_INNER, _WIDTH, _OUTER = 16.0, 2.0**-6, 2.0**20
_SHIFT = 0.37 * _WIDTH
# A cell of this width that fails holds a kink; halving ends at rounding.
_NARROW, _LEVELS = 2.0**-11, 60
# More failing cells than this on one level are an oscillation, not kinks.
_MOST_CELLS = 256
# Width on each side of a kink from which its position is extrapolated.
_SIDE = 2.0**-7
# Below this values are subnormal or lose digits.
_LEAST_SIZE = 1e-250


@dataclass(frozen=True)
class Kinks:
    """Positions of kinks and of jumps, each ascending, without those at 0.

    Attributes:
        places: positions of kinks and of jumps.
        jumps: positions of jumps, 0 included.
    """

    places: tuple[float, ...]
    jumps: tuple[float, ...]


def _chebyshev(count: int) -> FloatArray:
    return np.asarray(np.cos(math.pi * (np.arange(count) + 0.5) / count))


_NODES = _chebyshev(8)
# The ends are included: the outermost nodes leave 2 % of a cell unseen.
_CHECKS = np.array([-1.0, -0.41, 0.07, 0.52, 1.0])
# Values at the nodes to values at the checks.
_PREDICT = np.vander(_CHECKS, 8) @ np.linalg.inv(np.vander(_NODES, 8))


def find_kinks(function: Callable[[FloatArray], FloatArray]) -> Kinks:
    """Find kinks and jumps of an elementwise function between -2^20 and 2^20.

    Kinks of second derivatives are found too where they are large. Oscillation on a scale below the first
    cells ends the search there.
    """
    inner = np.arange(-_INNER, _INNER + _WIDTH, _WIDTH) + _SHIFT
    outer = inner[-1] * 2.0 ** (np.arange(8 * int(math.log2(_OUTER / _INNER)) + 1) / 8.0)
    places: list[float] = []
    with np.errstate(all="ignore"):
        for edges in (inner, outer, -outer[::-1]):
            places += _suspects(function, edges)
        distinct = np.array(_distinct(places))
        found = [_refined(function, place, distinct) for place in distinct]
        jumps = [place for place in found if _is_jump(function, place)]
    return Kinks(tuple(p for p in found if p != 0.0), tuple(jumps))


def _suspects(function: Callable[[FloatArray], FloatArray], edges: FloatArray) -> list[float]:
    """Midpoints of the narrowest cells that fail."""
    left, right = edges[:-1], edges[1:]
    found: list[float] = []
    for _ in range(_LEVELS):
        middle, half = 0.5 * (left + right), 0.5 * (right - left)
        nodes = function(middle[:, None] + half[:, None] * _NODES)
        checks = function(middle[:, None] + half[:, None] * _CHECKS)
        size = np.maximum(np.abs(nodes).max(axis=1), np.abs(checks).max(axis=1))
        error = np.abs(nodes @ _PREDICT.T - checks).max(axis=1)
        scale = np.maximum(1.0, np.abs(middle))
        fails = (
            np.isfinite(size) & (size > _LEAST_SIZE) & (error > _TOLERANCE * size) & (half > 2.0**-50 * scale)
        )
        if not fails.any() or fails.sum() > _MOST_CELLS:
            break
        left, middle, right, scale = left[fails], middle[fails], right[fails], scale[fails]
        found = [p for p in found if not np.any((left <= p) & (p <= right))]
        narrow = right - left <= _NARROW * scale
        found += [float(m) for m in middle[narrow]]
        left, right = np.concatenate([left, middle]), np.concatenate([middle, right])
    return found


def _distinct(places: list[float]) -> list[float]:
    """Merge places closer than rounding of their search allows."""
    kept: list[float] = []
    for place in sorted(places):
        if not kept or place - kept[-1] > 1e-7 * max(1.0, abs(place)):
            kept.append(place)
    return kept


def _refined(function: Callable[[FloatArray], FloatArray], place: float, others: FloatArray) -> float:
    """Return the intersection of the polynomials on both sides, or the place itself where there is none."""
    place = float(place)
    gaps = np.abs(others[others != place] - place)
    side = min(_SIDE * max(1.0, abs(place)), 0.9 * float(gaps.min(initial=math.inf)))
    sides = []
    for sign in (-1.0, 1.0):
        x = sign * side * (0.5 + 0.499 * _chebyshev(8))
        sides.append(np.polynomial.polynomial.polyfit(x / side, function(place + x), 7))
    gap = np.polynomial.Polynomial(sides[1] - sides[0])
    offset = 0.0
    for _ in range(4):
        slope = gap.deriv()(offset)
        if not math.isfinite(slope) or slope == 0.0:
            break
        offset -= float(gap(offset) / slope)
    moved = place + offset * side
    # A jump has no intersection nearby: its place is known to rounding already.
    if not abs(moved - place) <= 1e-4 * max(1.0, abs(place)) or _is_jump(function, place):
        moved = place
    # 0 always separates two pieces. Round numbers are taken where rounding cannot tell the difference.
    near = round(moved, 6) + 0.0
    return near if abs(near - moved) <= (1e-11 * abs(moved) if near else 1e-7) else moved


def _is_jump(function: Callable[[FloatArray], FloatArray], place: float) -> bool:
    width = 1e-9 * max(1.0, abs(place))
    values = function(np.array([place - 4.0 * width, place - width, place + width, place + 4.0 * width]))
    step, sides = abs(values[2] - values[1]), abs(values[1] - values[0]) + abs(values[3] - values[2])
    return bool(step > 1e-6 * np.abs(values).max() and step > 10.0 * sides)
