"""Values of a slow distribution function at many points, by interpolation that is checked against it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.errors import PrecisionError

__all__ = ["Table", "tabulate"]

_DEGREE, _PANELS, _LEVELS = 15, 64, 44
_TOLERANCE = 1e-13
# Interpolation is accepted to this; time for all values in seconds.
_ACCEPTED, _SECONDS = 1e-10, 5.0
_PILOT, _EXPECTED_POINTS = 128, 6000


@dataclass(frozen=True)
class Table:
    """An increasing function with values in [0, 1] as Chebyshev series on panels.

    Attributes:
        starts, ends: ends of the panels, ascending.
        series: coefficients, shape (panels, degree + 1).
        error: largest error seen at other points, four times.
    """

    starts: FloatArray
    ends: FloatArray
    series: FloatArray
    error: float

    def __call__(self, points: FloatArray) -> FloatArray:
        """Values at ascending points."""
        panel = np.clip(np.searchsorted(self.starts, points, side="right") - 1, 0, len(self.starts) - 1)
        place = 2.0 * (points - self.starts[panel]) / (self.ends[panel] - self.starts[panel]) - 1.0
        values = _clenshaw(self.series[panel].T, np.clip(place, -1.0, 1.0))
        return np.clip(np.maximum.accumulate(values), 0.0, 1.0)


def tabulate(function: Callable[[FloatArray], FloatArray], low: float, high: float, name: str) -> Table:
    """Return a table of an increasing function between two points.

    Panels of a polynomial of degree 15 are halved until five other points agree to 1e-13, so that some
    thousand evaluations give any number of values.

    Raises:
        PrecisionError: the evaluations would take more than 5 s, or interpolation does not reach 1e-10.
    """
    # The first call may import or compile.
    function(np.linspace(low, high, 2))
    start = time.perf_counter()
    function(np.linspace(low, high, _PILOT))
    expected = (time.perf_counter() - start) / _PILOT * _EXPECTED_POINTS
    if expected > _SECONDS:
        raise PrecisionError(
            f"the cdf of {name} is too slow: a table of it would take about {expected:.0f} s, "
            f"{_SECONDS:g} s are allowed; a distribution with a faster cdf is needed"
        )
    nodes = np.cos(np.pi * (np.arange(_DEGREE + 1) + 0.5) / (_DEGREE + 1))
    checks = np.array([-0.97, -0.6, 0.05, 0.55, 0.96])
    to_coefficients = np.linalg.inv(np.polynomial.chebyshev.chebvander(nodes, _DEGREE))
    at_checks = np.polynomial.chebyshev.chebvander(checks, _DEGREE)
    edges = np.linspace(low, high, _PANELS + 1)
    left, right = edges[:-1], edges[1:]
    lefts, rights, coefficients, worst = [], [], [], 0.0
    for level in range(_LEVELS):
        middle, half = 0.5 * (left + right), 0.5 * (right - left)
        table = function(middle[:, None] + half[:, None] * nodes) @ to_coefficients.T
        exact = function(middle[:, None] + half[:, None] * checks)
        error = np.abs(table @ at_checks.T - exact).max(axis=1)
        # At the width of a few points rounding of the function itself is what is left.
        done = (error <= _TOLERANCE) | (level == _LEVELS - 1) | ((error <= _ACCEPTED) & (level > 6))
        worst = max(worst, float(error[done].max(initial=0.0)))
        lefts.append(left[done])
        rights.append(right[done])
        coefficients.append(table[done])
        if done.all():
            break
        left, middle, right = left[~done], middle[~done], right[~done]
        left, right = np.concatenate([left, middle]), np.concatenate([middle, right])
    if worst > _ACCEPTED:
        raise PrecisionError(
            f"the cdf of {name} is not continuous to {worst:.1g}: no table of it is accurate"
        )
    starts, ends, tables = np.concatenate(lefts), np.concatenate(rights), np.concatenate(coefficients)
    order = np.argsort(starts)
    return Table(starts[order], ends[order], tables[order], 4.0 * worst + 1e-15)


def _clenshaw(coefficients: FloatArray, x: FloatArray) -> FloatArray:
    """Sum Chebyshev series, one at each x."""
    first, second = np.zeros_like(x), np.zeros_like(x)
    for c in coefficients[:0:-1]:
        first, second = 2.0 * x * first - second + c, first
    return np.asarray(x * first - second + coefficients[0])
