r"""Places where a function of one variable has a kink (its slope jumps) or a jump (its value does).

Cells of the line are tested for smoothness: the polynomial through eight Chebyshev nodes must predict the
function at five other points to 1e-9 of its size. A cell that fails is halved. A smooth function passes on
wide cells. At a kink of slope change D the prediction is wrong by about D times the width, at a jump by its
height, so the cells shrink around the place. The polynomials on both sides of a kink intersect in it, which
gives its position to rounding.

A kink on the edge of two cells is seen by neither. Three things prevent that: the first edges are no round
numbers, the line is covered by two sets of cells that are shifted by half a width, and a cell that fails
while both its halves pass is followed by its middle half.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dynprop.arrays import BoolArray, FloatArray

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
    cells: list[tuple[float, float]] = []
    with np.errstate(all="ignore"):
        for edges in (inner, outer, -outer[::-1]):
            between = 0.5 * (edges[:-1] + edges[1:])
            cells += _suspects(function, edges[:-1], edges[1:])
            cells += _suspects(function, between[:-1], between[1:])
        distinct = np.array(_distinct(cells))
        found = [_refined(function, place, distinct) for place in distinct]
        jumps = [place for place in found if _is_jump(function, place)]
    return Kinks(tuple(p for p in found if p != 0.0), tuple(jumps))


def _suspects(
    function: Callable[[FloatArray], FloatArray], left: FloatArray, right: FloatArray
) -> list[tuple[float, float]]:
    """Edges of the narrowest cells that fail."""
    cells: list[tuple[float, float]] = []
    fails = _fails(function, left, right)
    left, right = left[fails], right[fails]
    for _ in range(_LEVELS):
        if not left.size or left.size > _MOST_CELLS:
            break
        middle, quarter = 0.5 * (left + right), 0.25 * (right - left)
        cells = [(a, b) for a, b in cells if not np.any((a <= left) & (right <= b))]
        narrow = right - left <= _NARROW * np.maximum(1.0, np.abs(middle))
        cells += zip(left[narrow].tolist(), right[narrow].tolist(), strict=True)
        first, second = _fails(function, left, middle), _fails(function, middle, right)
        centre = ~first & ~second
        centre[centre] = _fails(function, (middle - quarter)[centre], (middle + quarter)[centre])
        left, right = (
            np.concatenate([left[first], middle[second], (middle - quarter)[centre]]),
            np.concatenate([middle[first], right[second], (middle + quarter)[centre]]),
        )
    return cells


def _fails(function: Callable[[FloatArray], FloatArray], left: FloatArray, right: FloatArray) -> BoolArray:
    """Whether the polynomial through the nodes of each cell misses the function at its checks."""
    middle, half = 0.5 * (left + right), 0.5 * (right - left)
    nodes = function(middle[:, None] + half[:, None] * _NODES)
    checks = function(middle[:, None] + half[:, None] * _CHECKS)
    size = np.maximum(np.abs(nodes).max(axis=1), np.abs(checks).max(axis=1))
    error = np.abs(nodes @ _PREDICT.T - checks).max(axis=1)
    wide = half > 2.0**-50 * np.maximum(1.0, np.abs(middle))
    return np.asarray(wide & np.isfinite(size) & (size > _LEAST_SIZE) & (error > _TOLERANCE * size))


def _distinct(cells: list[tuple[float, float]]) -> list[float]:
    """Midpoints of the cells; those that overlap or touch hold the same kink."""
    kept: list[tuple[float, float]] = []
    for left, right in sorted(cells):
        slack = 1e-7 * max(1.0, abs(left))
        if kept and left <= kept[-1][1] + slack:
            before = kept.pop()
            left, right = sorted((max(left, before[0]), min(right, before[1])))
        kept.append((left, right))
    return [0.5 * (left + right) for left, right in kept]


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
