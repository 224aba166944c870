r"""Expectations over the logarithm of a continuous weight, with the total mass as a witness.

With density f the logarithm of abs(w) has density :math:`(f(e^y) + f(-e^y))\,e^y`, and expectations become
integrals over y, where the singularity of the logarithm at 0 has become an exponential tail. Each integral is
taken together with the total mass, which must come out as 1: a spike that the quadrature misses is seen.
"""

from __future__ import annotations

import decimal
import math
from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.errors import PrecisionError
from dynprop.products.weights.decimal_sums import decimal_context
from dynprop.products.weights.distributions import Weight

__all__ = ["TOLERANCE", "log_moments", "power_moments"]

# Total mass, and the estimated error of each integral against its size, must be within this.
TOLERANCE = 1e-9
# Panels that may be open at a time: some seconds of work.
_MOST_PANELS = 2**14
_NODES, _LEVELS, _PANEL_TOLERANCE = 15, 45, 1e-14
# e^y must stay a normal float.
_LOG_RANGE = 700.0
_QUANTILES = [
    1e-14,
    1e-10,
    1e-6,
    1e-3,
    0.02,
    0.15,
    0.35,
    0.5,
    0.65,
    0.85,
    0.98,
    1 - 1e-3,
    1 - 1e-6,
    1 - 1e-10,
]


def log_moments(law: Weight) -> tuple[float, float]:
    """Return mean and variance of log abs(w) to 1e-9.

    Raises:
        PrecisionError: the quadrature does not reach that, or does not find the total mass.
    """
    mean = _expectation(law, lambda y, sign, log_density: y * np.exp(log_density))
    return mean, _expectation(law, lambda y, sign, log_density: (y - mean) ** 2 * np.exp(log_density))


def power_moments(law: Weight, order: int) -> tuple[Decimal, Decimal]:
    """Return the second and the fourth central moment of w^order, at any size.

    Both are integrals of a square, so nothing cancels.

    Raises:
        PrecisionError: a moment of that order is not finite, or not found to 1e-9.
    """
    # Powers are measured against e^unit, the root of the second raw moment.
    unit = 0.5 * _log_expectation(law, lambda y, sign: 2.0 * order * y)

    def signed(y: FloatArray, sign: float, log_density: FloatArray) -> FloatArray:
        part: FloatArray = sign**order * np.exp(order * y - unit + log_density)
        return part

    mean = _expectation(law, signed)

    def log_distance(y: FloatArray, sign: float) -> FloatArray:
        height = order * y - unit
        with np.errstate(divide="ignore"):
            near = np.log(np.abs(sign**order * np.exp(np.minimum(height, 60.0)) - mean))
        return np.where(height > 60.0, height, near)

    second = _log_expectation(law, lambda y, sign: 2.0 * log_distance(y, sign))
    fourth = _log_expectation(law, lambda y, sign: 4.0 * log_distance(y, sign))
    with decimal.localcontext(decimal_context(40)):
        return (Decimal(second) + 2 * Decimal(unit)).exp(), (Decimal(fourth) + 4 * Decimal(unit)).exp()


def _log_density(law: Weight, y: FloatArray, sign: float) -> FloatArray:
    """Logarithm of the density of log abs(w) at y, for weights of one sign."""
    with np.errstate(all="ignore"):
        density: FloatArray = np.asarray(law.logpdf(sign * np.exp(y)), dtype=np.float64) + y
    # A density that is infinite at an end of the support is a point: it carries no mass.
    return np.where(np.isfinite(density), density, -np.inf)


def _breakpoints(law: Weight) -> FloatArray:
    """Ends of the range of log abs(w), and points between that say where its mass is."""
    places = np.array([*law.quantiles(_QUANTILES), *law.support()])
    sizes = np.abs(places[np.isfinite(places) & (places != 0.0)])
    low, high = (float(end) for end in law.support())
    outer = min(_LOG_RANGE, math.log(max(abs(low), abs(high))))
    inner = -_LOG_RANGE if low <= 0.0 <= high else math.log(min(abs(low), abs(high)))
    near = math.log(float(np.median(sizes))) + np.array([-60.0, -30.0, -15.0, -5.0, -2.0])
    points = np.concatenate([np.log(sizes), near, [inner, outer]])
    return np.unique(np.clip(points, inner, outer))


def _log_expectation(law: Weight, log_function: Callable[[FloatArray, float], FloatArray]) -> float:
    """Return log E exp(log_function(log abs(w), sign w)), at any size."""
    points = _breakpoints(law)
    grid = _edges(points)
    with np.errstate(all="ignore"):
        heights = [log_function(grid, sign) + _log_density(law, grid, sign) for sign in (1.0, -1.0)]
    top = float(np.max(heights))
    value = _expectation(law, lambda y, sign, log_density: np.exp(log_function(y, sign) + log_density - top))
    return math.log(value) + top


def _expectation(law: Weight, weighted: Callable[[FloatArray, float, FloatArray], FloatArray]) -> float:
    """Integrate over y and both signs; `weighted` is the function times the density, given its logarithm.

    Panels are halved until the halves agree with the whole. The total mass is integrated on the same panels.

    Raises:
        PrecisionError: the mass or the integral is not found to 1e-9, or the integrand has not died out.
    """
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)

    def panels(left: FloatArray, right: FloatArray) -> FloatArray:
        half = 0.5 * (right - left)
        y = (0.5 * (left + right))[:, None] + half[:, None] * nodes
        total = np.zeros((3, *y.shape))
        for sign in (1.0, -1.0):
            log_density = _log_density(law, y, sign)
            value = weighted(y, sign, log_density)
            total += np.stack([np.exp(log_density), value, np.abs(value)])
        return np.asarray((total @ weights) * half)

    points = _breakpoints(law)
    edges = _edges(points)
    left, right = edges[:-1], edges[1:]
    coarse = panels(left, right)
    left_over = _left_over(law, edges, weighted)
    if left_over > 1e-3 * max(float(coarse[2].sum()), 1e-300):
        raise PrecisionError(
            f"an expectation over {law}: the integrand has not vanished at e^{_LOG_RANGE:g}, "
            f"promised {TOLERANCE:g}; is the moment finite?"
        )
    done, missed = np.zeros(3), np.zeros(3)
    for _ in range(_LEVELS):
        middle = 0.5 * (left + right)
        first, second = panels(left, middle), panels(middle, right)
        gap = np.abs(first + second - coarse)
        scale = done + (first + second).sum(axis=1)
        open_ = (gap[:2] > _PANEL_TOLERANCE * np.array([[1.0], [max(scale[2], 1e-300)]])).any(axis=0)
        if np.count_nonzero(open_) > _MOST_PANELS:
            # The halves differ by rounding of log abs(w), as for norm(1e8, 1): smaller panels do not help.
            open_ = np.zeros_like(open_)
        done += (first + second)[:, ~open_].sum(axis=1)
        missed += gap[:, ~open_].sum(axis=1)
        if not open_.any():
            break
        left, right = (
            np.concatenate([left[open_], middle[open_]]),
            np.concatenate([middle[open_], right[open_]]),
        )
        coarse = np.concatenate([first[:, open_], second[:, open_]], axis=1)
    else:
        done, missed = done + coarse.sum(axis=1), missed + np.abs(coarse).sum(axis=1)
    left_over /= max(done[2], 1e-300)
    worst = max(abs(done[0] - 1.0), missed[0], missed[1] / max(done[2], 1e-300), left_over)
    if not math.isfinite(done[1]) or not worst <= TOLERANCE:
        raise PrecisionError(
            f"an expectation over {law}: error {worst:.1g}, promised {TOLERANCE:g}; "
            "is the moment finite, and the density bounded except at 0?"
        )
    return float(done[1])


def _edges(points: FloatArray) -> FloatArray:
    """Edges of panels of width 1 at most, with at least two between neighbouring points."""
    parts = [np.linspace(a, b, 3 + math.ceil(b - a)) for a, b in pairwise(points)]
    return np.unique(np.concatenate(parts))


def _left_over(
    law: Weight, edges: FloatArray, weighted: Callable[[FloatArray, float, FloatArray], FloatArray]
) -> float:
    """Return the integrand at unbounded ends of the range, where it must have vanished.

    The range also ends where scipy's density breaks down, as that of Student's t does when x^2 overflows.
    Where the support ends the integrand may be anything.
    """
    worst = 0.0
    low, high = law.support()
    for sign, end in ((1.0, high), (-1.0, -low)):
        log_density = _log_density(law, edges, sign)
        known = np.flatnonzero(np.isfinite(log_density))
        if not known.size:
            continue
        for place, outermost, bounded in (
            (known[0], edges[0], False),
            (known[-1], edges[-1], math.isfinite(end)),
        ):
            if abs(outermost) >= _LOG_RANGE and not bounded:
                at = slice(place, place + 1)
                worst = max(worst, float(np.abs(weighted(edges[at], sign, log_density[at]))[0]))
    return worst
