r"""The map of the variance through a layer, and its limit from variance 1.

.. math:: V(q) = \sigma_w^2\,\mathrm E\,\phi(\sqrt q z)^2 + \sigma_b^2

The limit of :math:`1, V(1), V(V(1)), \dots` is found by following V for a few steps, then by scanning in the
direction of V(q) - q for its next zero, and the zero by Brent's method. A limit attracts: there the slope of
V is at most 1 in size. Averages are checked by a second resolution of the quadrature.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from dynprop.errors import PrecisionError
from dynprop.products.weights.activation import Activation

__all__ = ["Point", "VarianceMap", "require_derivative", "resolved"]

# The search for a limit starts at q = 1 and ends outside these.
_LEAST, _LARGEST = 1e-280, 1e30
# A relative change of the variance by one layer below this is rounding.
_ROUNDING = 4e-14
# Nodes on each piece of the line: from, to. Averages of two resolutions agree to this.
_FEWEST, _MOST, _AGREEMENT, _REFUSED = 128, 2048, 1e-11, 1e-8
# Layers that are followed before the scan, and before an oscillation is given up.
_FOLLOWED, _PATIENCE, _SECONDS = 4, 3000, 4.0


@dataclass(frozen=True)
class Point:
    """A variance, the nodes that resolve its averages, and their estimated relative error."""

    q: float
    nodes: int
    error: float


def resolved(
    phi: Activation, q: float, averages: tuple[str, ...] = ("second_moment", "slope_moment")
) -> Point:
    """Return the number of nodes at which two resolutions agree on averages at q.

    Raises:
        PrecisionError: they differ by more than 1e-8 at 2048 nodes on each piece, or the derivative is known
            no better.
    """
    require_derivative(phi)
    if phi.exact or q == 0.0 or not math.isfinite(q):
        return Point(q, _FEWEST, phi.derivative_error)
    nodes, error = _FEWEST, math.inf
    scale = phi.slope_moment(q, nodes) + phi.second_moment(q, nodes) / q
    while nodes <= _MOST:
        error = 0.0
        for name in averages:
            coarse, fine = (float(getattr(phi, name)(q, n)) for n in (nodes, 2 * nodes))
            size = scale if name == "moment_slope" else abs(fine)
            error = max(error, abs(fine - coarse) / size if size > 0.0 else abs(coarse))
        if error <= _AGREEMENT:
            break
        nodes *= 2
    if not error <= _REFUSED:
        raise PrecisionError(
            f"averages of {phi.name} at variance {q:g}: two resolutions of quadrature differ by {error:.1g}"
            f" of their size, {_REFUSED:g} is allowed; an Activation can supply derivative and kinks"
        )
    return Point(q, min(nodes, _MOST), max(error, phi.derivative_error, 1e-15))


def require_derivative(phi: Activation) -> None:
    """Raise PrecisionError if the derivative is not known to 1e-8."""
    if not phi.derivative_error <= _REFUSED:
        raise PrecisionError(
            f"derivative of {phi.name}: two steps of its difference quotient differ by "
            f"{phi.derivative_error:.1g} of its size, {_REFUSED:g} is allowed; an Activation can supply it"
        )


def _change(q: float, new: float) -> float:
    """Relative change from q to new, 0 where it is rounding."""
    value = new / q - 1.0
    return 0.0 if abs(value) < _ROUNDING else value


@dataclass(frozen=True)
class VarianceMap:
    """The variance of pre-activations in the next layer as a function of that in this one."""

    phi: Activation
    weight_variance: float
    bias_variance: float

    def __call__(self, q: float, nodes: int = _FEWEST) -> float:
        """V(q)."""
        return self.weight_variance * self.phi.second_moment(q, nodes) + self.bias_variance

    def excess(self, q: float, nodes: int = _FEWEST) -> float:
        """V(q) / q - 1; divided by q so that a small fixed point keeps its digits."""
        return _change(q, self(q, nodes))

    def slope(self, q: float, nodes: int = _FEWEST) -> float:
        """dV/dq."""
        return self.weight_variance * self.phi.moment_slope(q, nodes)

    def limit(self) -> Point:
        """Return the limit of the variance through many layers from 1, inf if a homogeneous map grows.

        Raises:
            PrecisionError: the variance grows beyond 1e30 or oscillates, or averages are not resolved.
        """
        phi, sw2, sb2 = self.phi, self.weight_variance, self.bias_variance
        if sw2 == 0.0:
            return Point(sb2, _FEWEST, 0.0)
        if phi.homogeneous is not None:
            slope = sw2 * phi.homogeneous
            if slope < 1.0:
                return Point(sb2 / (1.0 - slope), _FEWEST, 0.0)
            return Point(1.0 if slope == 1.0 and sb2 == 0.0 else math.inf, _FEWEST, 0.0)
        nodes = _FEWEST
        while True:
            q = self._limit(nodes)
            point = resolved(phi, q)
            if point.nodes <= nodes:
                return Point(q, nodes, point.error)
            nodes = point.nodes

    def _limit(self, nodes: int) -> float:
        q, new = 1.0, self(1.0, nodes)
        for _ in range(_FOLLOWED):
            if new < _LEAST:
                return 0.0 if self.bias_variance == 0.0 else self._near_zero(nodes)
            if new > _LARGEST:
                self._refuse_growth()
            after = self(new, nodes)
            if _change(q, new) * _change(new, after) < 0.0:
                return self._oscillating(new, nodes)
            if new == q:
                break
            q, new = new, after
        return self._scanned(q, nodes)

    def _scanned(self, start: float, nodes: int) -> float:
        """Return the first fixed point from a start in the direction in which the variance moves."""
        direction = self.excess(start, nodes)
        if direction == 0.0 and abs(self.slope(start, nodes)) < 1.0 - 1e-9:
            return self._polished(start, nodes)
        # A change below rounding counts as a fall: hardtanh without bias falls by e^(-1/(2q)) of q.
        up = direction > 0.0
        q, factor = start, 1.1
        while True:
            last, q = q, (q * factor if up else q / factor)
            factor = min(factor**1.3, 64.0 if q < 1e-6 else 4.0)
            if q > _LARGEST:
                self._refuse_growth()
            if q <= max(_LEAST, self.bias_variance if not up else 0.0):
                return (
                    self._near_zero(nodes)
                    if self.bias_variance <= _LEAST
                    else self._root(self.bias_variance, last, nodes)
                )
            excess = self.excess(q, nodes)
            if (excess < 0.0) if up else (excess > 0.0):
                return self._root(min(last, q), max(last, q), nodes)

    def _near_zero(self, nodes: int) -> float:
        """Return the fixed point below all that are searched, where the map is linear."""
        if self.bias_variance == 0.0:
            return 0.0
        slope = (self(_LEAST, nodes) - self.bias_variance) / _LEAST
        return self.bias_variance / max(1.0 - slope, 2.0**-52)

    def _root(self, low: float, high: float, nodes: int) -> float:
        from scipy.optimize import brentq

        def log_excess(log: float) -> float:
            return self(math.exp(log), nodes) / math.exp(log) - 1.0

        ends = math.log(low), math.log(high)
        if log_excess(ends[0]) * log_excess(ends[1]) >= 0.0:
            return low if abs(log_excess(ends[0])) <= abs(log_excess(ends[1])) else high
        return math.exp(brentq(log_excess, *ends, xtol=1e-16, rtol=1e-15))

    def _oscillating(self, q: float, nodes: int) -> float:
        """Return the limit of a variance that steps over a fixed point.

        Raises:
            PrecisionError: it does not settle within 3000 layers or 4 seconds of processor time.
        """
        end, layers = time.process_time() + _SECONDS, 0
        while layers < _PATIENCE and time.process_time() < end:
            layers += 1
            new = self(q, nodes)
            low, high = min(q, new), max(q, new)
            close = high - low <= 1e-3 * high
            if close and low > 0.0:
                root = self._root(low, high, nodes) if self.excess(low) * self.excess(high) < 0.0 else new
                if abs(self.slope(root, nodes)) < 1.0:
                    return self._polished(root, nodes)
            q = new
        raise PrecisionError(
            f"mean field of {self.phi.name}: the variance oscillates, between {low:g} and {high:g} after "
            f"{layers} layers; a smaller weight_variance has a fixed point that attracts"
        )

    def _polished(self, q: float, nodes: int) -> float:
        """Newton steps on V(q) - q."""
        for _ in range(4):
            q -= (self(q, nodes) - q) / (self.slope(q, nodes) - 1.0)
        return q

    def _refuse_growth(self) -> None:
        raise PrecisionError(
            f"mean field of {self.phi.name}: the variance grows beyond {_LARGEST:g} at weight variance "
            f"{self.weight_variance:g}; a smaller one keeps it finite"
        )
