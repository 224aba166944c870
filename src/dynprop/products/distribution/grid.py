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
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.products.weights.moments import WeightMoments

__all__ = ["GridDistribution", "convolve"]

_CELLS = 1 << 17
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

    low, high = _range(moments)
    coarse, p, m = _measures(moments, low, high, _CELLS)
    total = p + m
    alive = total.sum()
    kept = total > 0.0
    logs, centres = np.log(total[kept] / alive), coarse[kept]
    # One more cell on each side of every logarithm keeps Chernoff's bound valid for the unrounded weights.
    margin = depth * (high - low) / _CELLS
    cumulants = np.array([logsumexp(logs + tilt * centres) for tilt in _TILTS])
    ends = (depth * cumulants - math.log(_OUTSIDE)) / _TILTS
    upper, lower = float(ends[_TILTS > 0].min()) + margin, float(ends[_TILTS < 0].max()) - margin
    upper, lower = min(upper, depth * high + margin), max(lower, depth * low - margin)
    step = (upper - lower) / (_CELLS - 2)
    cells = max(4, math.ceil((high - low) / step) + 2)
    centres, p, m = _measures(moments, low, low + cells * step, cells)
    offset = depth * float(centres[0])
    both, signed = _spectrum(p + m), _spectrum(p - m)
    even, odd = np.fft.irfft(both**depth, _CELLS), np.fft.irfft(signed**depth, _CELLS)
    # Cell 0 of the cyclic convolution is at `offset`; the window begins at `lower`.
    first = math.floor((lower - offset) / step)
    roll = -first % _CELLS
    positive, negative = np.roll((even + odd) / 2, roll), np.roll((even - odd) / 2, roll)
    edges: FloatArray = np.asarray(offset + (first + np.arange(_CELLS) + 0.5) * step, dtype=np.float64)
    return GridDistribution(
        edges=edges,
        positive=np.cumsum(np.maximum(positive, 0.0)),
        negative=np.cumsum(np.maximum(negative, 0.0)),
        zero_mass=-math.expm1(depth * math.log1p(-moments.zero_mass)) if moments.zero_mass < 1.0 else 1.0,
        max_log_error=0.5 * depth * step,
        slack=2.0 * _OUTSIDE + 2.0 * depth * _CUT + (depth + 64.0) * 2.0**-52 * math.sqrt(_CELLS),
    )


def _spectrum(measure: FloatArray) -> Any:
    folded = np.zeros(_CELLS)
    np.add.at(folded, np.arange(len(measure)) % _CELLS, measure)
    return np.fft.rfft(folded)


def _range(moments: WeightMoments) -> tuple[float, float]:
    """Range of log abs(w) outside which each tail has mass at most _CUT."""
    if moments.atoms is not None:
        sizes = np.log(np.abs(moments.atoms[moments.atoms != 0.0]))
        return float(sizes.min()) - 1e-9, float(sizes.max()) + 1e-9
    law = moments.law
    low, high = (float(end) for end in law.support())
    tails = [float(law.ppf(_CUT)), float(law.isf(_CUT))]
    largest = math.log(max(abs(t) for t in tails))
    if low > 0.0 or high < 0.0:
        return math.log(min(abs(t) for t in tails)), largest
    smallest = largest
    while _mass_within(law, math.exp(smallest)) > _CUT and smallest > -700.0:
        smallest -= 2.0
    return smallest, largest


def _mass_within(law: Any, size: float) -> float:
    return (
        float(law.cdf(size) - law.cdf(-size)) if size > 1e-3 else float(law.pdf(size) + law.pdf(-size)) * size
    )


def _measures(
    moments: WeightMoments, low: float, high: float, cells: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the cells' centres, and the mass of positive and of negative weights in each cell."""
    step = (high - low) / cells
    edges = low + step * np.arange(cells + 1)
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
    with np.errstate(over="ignore"):
        sizes = np.exp(edges)
    sizes[0], sizes[-1] = 0.0, np.inf
    law = moments.law
    p = np.maximum(np.diff(law.cdf(sizes)), 0.0)
    m = np.maximum(np.diff(law.cdf(-sizes)) * -1.0, 0.0)
    return centres, p, m
