r"""The distribution of log abs(product) by convolution on a grid, with an enclosure of every probability.

The logarithm of each weight is rounded to a grid of step h, positive and negative weights apart. If p and m
are the two measures, the n-fold product is positive with measure :math:`\tfrac12[(p+m)^{*n} + (p-m)^{*n}]`
and negative with :math:`\tfrac12[(p+m)^{*n} - (p-m)^{*n}]`, both found by FFT. A sum of n roundings is off
by at most n h/2, so

.. math:: F_h(y - nh/2) - \epsilon \;\le\; F(y) \;\le\; F_h(y + nh/2) + \epsilon

holds for the true F. The enclosure is proved; the reported value (linear between the cells' edges) is far
more accurate. :math:`\epsilon` covers the truncated tails (Chernoff's bound, from the measure itself)
and the rounding of the FFT.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.products.weights.distributions import Weight
from dynprop.products.weights.moments import WeightMoments
from dynprop.products.weights.tabulate import tabulate

__all__ = ["GridDistribution", "convolve"]

_CELLS = 1 << 17
# Cells that determine the window.
_COARSE = 1 << 14
# Mass outside the window of the product, and mass of one weight's logarithm outside its table.
_OUTSIDE = 1e-13
_CUT = 1e-17
_TILTS = np.concatenate([-np.geomspace(40.0, 1e-5, 140), np.geomspace(1e-5, 40.0, 140)])


@dataclass(frozen=True)
class GridDistribution:
    """Distribution functions of log abs(product) on the edges of a grid, by sign of the product.

    Attributes:
        edges: right ends of the cells, ascending.
        positive: P(product > 0 and log abs(product) <= edge).
        negative: P(product < 0 and log abs(product) <= edge).
        zero_mass: P(product = 0).
        max_log_error: the largest rounding error of a logarithm, n h / 2.
        slack: the error of a probability from truncation and FFT rounding.
    """

    edges: FloatArray
    positive: FloatArray
    negative: FloatArray
    zero_mass: float
    max_log_error: float
    slack: float

    def cdf(self, x: float, shift: float = 0.0) -> float:
        """P(product <= x), with the logarithms shifted: positive shifts raise the probability."""
        below_zero = self.negative[-1]
        if x < 0.0:
            return float(below_zero - self._at(self.negative, math.log(-x) - shift))
        if x == 0.0:
            return float(below_zero + self.zero_mass)
        return float(below_zero + self.zero_mass + self._at(self.positive, math.log(x) + shift))

    def log_size_cdf(self, y: float, shift: float = 0.0) -> float:
        """P(log abs(product) <= y)."""
        return float(self.zero_mass + self._at(self.positive + self.negative, y + shift))

    def cell_mass(self, x: float) -> float:
        """Largest probability of a cell near log abs(x), a bound on the interpolation error."""
        if x == 0.0:
            return 0.0
        both = self.positive + self.negative
        first = int(np.searchsorted(self.edges, math.log(abs(x)) - self.max_log_error)) - 2
        last = int(np.searchsorted(self.edges, math.log(abs(x)) + self.max_log_error)) + 2
        return float(
            np.diff(both[max(0, first) : last], prepend=0.0 if first <= 0 else both[first]).max(initial=0.0)
        )

    def _at(self, cumulative: FloatArray, y: float) -> Any:
        return np.interp(y, self.edges, cumulative, left=0.0)


def convolve(moments: WeightMoments, depth: int) -> GridDistribution:
    """Tabulate the distribution of log abs(product) of `depth` independent weights."""
    from scipy.special import logsumexp

    law, exponent = moments.law.reduced()
    low, high = _range(moments, law)
    cumulative = _cumulative(law, low, high) if moments.atoms is None else None
    coarse, p, m = _measures(moments, cumulative, low, high, _COARSE)
    total = p + m
    alive = total.sum()
    kept = total > 0.0
    logs, centres = np.log(total[kept] / alive), coarse[kept]
    # One more cell on each side of every logarithm keeps Chernoff's bound valid for the unrounded weights.
    margin = depth * (high - low) / _COARSE
    cumulants = np.array([logsumexp(logs + tilt * centres) for tilt in _TILTS])
    ends = (depth * cumulants - math.log(_OUTSIDE)) / _TILTS
    upper, lower = float(ends[_TILTS > 0].min()) + margin, float(ends[_TILTS < 0].max()) - margin
    upper, lower = min(upper, depth * high + margin), max(lower, depth * low - margin)
    step = (upper - lower) / (_CELLS - 2)
    cells = max(4, math.ceil((high - low) / step) + 2)
    centres, p, m = _measures(moments, cumulative, low, low + cells * step, cells)
    offset = depth * float(centres[0])
    both, signed = _spectrum(p + m), _spectrum(p - m)
    even, odd = np.fft.irfft(both**depth, _CELLS), np.fft.irfft(signed**depth, _CELLS)
    # Cell 0 of the cyclic convolution is at `offset`; the window begins at `lower`.
    first = math.floor((lower - offset) / step)
    roll = -first % _CELLS
    positive, negative = np.roll((even + odd) / 2, roll), np.roll((even - odd) / 2, roll)
    edges: FloatArray = np.asarray(offset + (first + np.arange(_CELLS) + 0.5) * step, dtype=np.float64)
    # The table is that of weights divided by 2^exponent.
    edges += depth * exponent * math.log(2.0)
    error = cumulative[2] if cumulative is not None else 0.0
    return GridDistribution(
        edges=edges,
        positive=np.cumsum(np.maximum(positive, 0.0)),
        negative=np.cumsum(np.maximum(negative, 0.0)),
        zero_mass=-math.expm1(depth * math.log1p(-moments.zero_mass)) if moments.zero_mass < 1.0 else 1.0,
        max_log_error=0.5 * depth * step,
        slack=2.0 * depth * error
        + 2.0 * _OUTSIDE
        + 2.0 * depth * _CUT
        + (depth + 64.0) * 2.0**-52 * math.sqrt(_CELLS),
    )


def _spectrum(measure: FloatArray) -> Any:
    folded = np.zeros(_CELLS)
    np.add.at(folded, np.arange(len(measure)) % _CELLS, measure)
    return np.fft.rfft(folded)


def _range(moments: WeightMoments, law: Weight) -> tuple[float, float]:
    """Range of log abs(w) outside which each tail has mass at most _CUT."""
    if moments.atoms is not None:
        sizes = np.log(np.abs(moments.atoms[moments.atoms != 0.0]))
        return float(sizes.min()) - 1e-9, float(sizes.max()) + 1e-9
    low, high = law.support()
    tails = [_tail_end(law, low, -1.0), _tail_end(law, high, 1.0)]
    largest = math.log(max(abs(t) for t in tails))
    if low > 0.0 or high < 0.0:
        return math.log(min(abs(t) for t in tails)), largest
    smallest = largest
    while _mass_within(law, math.exp(smallest)) > _CUT and smallest > -700.0:
        smallest -= 2.0
    return smallest, largest


def _tail_end(law: Weight, end: float, side: float) -> float:
    """Return the quantile beyond which the mass is _CUT, or the end of the support."""
    try:
        found = float(law.isf(_CUT) if side > 0.0 else law.ppf(_CUT))
    except (ArithmeticError, RuntimeError, ValueError):
        found = math.nan
    if math.isfinite(found):
        return found
    size = 1.0
    while not math.isfinite(end) and float(law.sf(size) if side > 0.0 else law.cdf(-size)) > _CUT:
        size *= 2.0
    return end if math.isfinite(end) else side * size


def _mass_within(law: Weight, size: float) -> float:
    if size > 1e-3:
        return float(law.cdf(size) - law.cdf(-size))
    return float(law.pdf(size) + law.pdf(-size)) * size


# Measures of the logarithms of positive and of negative weights up to given edges.
_Cumulative = tuple[Callable[[FloatArray], FloatArray], Callable[[FloatArray], FloatArray], float]


def _cumulative(law: Weight, low: float, high: float) -> _Cumulative:
    """Return P(0 < w <= e^y) and P(-e^y <= w < 0) as functions of y, tabulated, and their error."""
    zero = float(law.cdf(0.0))
    ends = law.support()
    up = tabulate(lambda y: law.cdf(np.exp(y)), low, high, str(law)) if ends[1] > 0.0 else None
    down = tabulate(lambda y: 1.0 - law.cdf(-np.exp(y)), low, high, str(law)) if ends[0] < 0.0 else None

    def positive(y: FloatArray) -> FloatArray:
        return np.maximum(up(y) - zero, 0.0) if up is not None else np.zeros(len(y))

    def negative(y: FloatArray) -> FloatArray:
        return np.maximum(down(y) - (1.0 - zero), 0.0) if down is not None else np.zeros(len(y))

    return positive, negative, sum(table.error for table in (up, down) if table is not None)


def _measures(
    moments: WeightMoments, cumulative: _Cumulative | None, low: float, high: float, cells: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the cells' centres, and the mass of positive and of negative weights in each cell."""
    step = (high - low) / cells
    edges: FloatArray = np.asarray(low + step * np.arange(cells + 1), dtype=np.float64)
    centres: FloatArray = np.asarray(edges[:-1] + 0.5 * step, dtype=np.float64)
    if moments.atoms is not None and moments.masses is not None:
        p, m = np.zeros(cells), np.zeros(cells)
        for side, measure in ((1.0, p), (-1.0, m)):
            there = side * moments.atoms > 0.0
            places = np.log(side * moments.atoms[there])
            np.add.at(
                measure,
                np.clip(((places - low) / step).astype(np.int64), 0, cells - 1),
                moments.masses[there],
            )
        return centres, p, m
    assert cumulative is not None
    positive, negative, _ = cumulative
    sides = []
    for function, total in ((positive, _total(moments, 1.0)), (negative, _total(moments, -1.0))):
        values = function(edges)
        # The first and the last cell contain the tails.
        values[0], values[-1] = 0.0, max(total, values[-2])
        sides.append(np.diff(values))
    return centres, sides[0], sides[1]


def _total(moments: WeightMoments, side: float) -> float:
    """P(w > 0) or P(w < 0)."""
    return float(moments.law.sf(0.0) if side > 0.0 else moments.law.cdf(0.0))
