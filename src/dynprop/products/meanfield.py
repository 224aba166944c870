r"""Mean field of wide nets with fresh or shared random weights: variance, gradient, and how far both reach.

With weight variance :math:`\sigma_w^2/n` and bias variance :math:`\sigma_b^2`, as n grows (Poole et al.
2016; Schoenholz et al. 2017)

.. math:: q = \sigma_w^2\,\mathrm E\,\phi(\sqrt q z)^2 + \sigma_b^2, \qquad \chi = \sigma_w^2\,\mathrm
E\,\phi'(\sqrt q z)^2,

a gradient's squared norm changes by :math:`\chi` per layer, its logarithm by the exponent
:math:`\tfrac12\ln\chi`. :math:`\chi < 1`: gradients vanish and signals forget each other (order);
:math:`\chi > 1`: gradients explode and signals part (chaos). The edge :math:`\chi = 1` is where both reach
far. Depth scales: :math:`\xi_q = -1/\ln\chi_q` with :math:`\chi_q = \sigma_w^2\,\tfrac{d}{dq}\mathrm
E\,\phi^2` for the variance, :math:`\xi_c = -1/\ln[\sigma_w^2\,\mathrm E\,\phi'(u)\phi'(v)]` at the
correlation at rest for the correlation of two signals.

Finite nets depart from this: the spread of the log norm grows like sqrt(depth/width) (`matrices_layers`),
and near the edge a shared-weight net of 200 units is off by more than its exponent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from dynprop.errors import PrecisionError
from dynprop.products.weights.activations import Activation, ActivationLike, resolve_activation
from dynprop.products.weights.scalar import require_number

__all__ = ["Edge", "MeanField", "edge_of_chaos", "mean_field"]

# The search for a fixed point starts at q = 1 and ends outside these.
_LEAST, _LARGEST = 1e-280, 1e30
_FACTOR = 8.0
# The edge: below this q the bias is taken as a power of q, and a sign is trusted if it is this large
# against q.
_SMALL, _SIGNIFICANT = 1e-4, 1e-12


@dataclass(frozen=True)
class MeanField:
    """The fixed point of the variance, and what it says about gradients and depth.

    Attributes:
        activation: the activation.
        weight_variance: sigma_w^2 (times 1/fan_in for a weight).
        bias_variance: sigma_b^2.
        q: variance of a pre-activation at rest, inf where it grows without limit.
        chi: factor of a squared gradient per layer.
        exponent: ln(chi) / 2, natural log of a gradient's norm per layer; -inf for chi = 0.
    """

    activation: Activation
    weight_variance: float
    bias_variance: float
    q: float
    chi: float
    exponent: float

    @property
    def variance_depth(self) -> float:
        """xi_q, layers over which the variance comes e times closer to q; inf where it does not."""
        slope = (
            self.weight_variance * self.activation.moment_slope(self.q) if math.isfinite(self.q) else self.chi
        )
        return _scale(slope)

    @cached_property
    def correlation_depth(self) -> float:
        """xi_c, layers over which the correlation of two signals comes e times closer to its rest.

        In order (chi <= 1) the rest is 1 and this is -1 / ln(chi). In chaos it is below 1 and found by
        quadrature over the plane (closed form for erf), or 1 / ln(chi), good to 1e-3, where the rest
        is within 1e-3 of 1; nan where q is infinite.

        Raises:
            PrecisionError: two quadratures differ by more than 1e-6, as for tanh far in chaos (q above 100).
        """
        if self.chi <= 1.0:
            return _scale(self.chi)
        if not math.isfinite(self.q):
            return math.nan
        if math.log(self.chi) < 1e-4 and self._excess(1e-3, 64) > 0.0:
            # Two rests closer than rounding can tell: the slope at the other is 1/chi to first order in the
            # gap.
            return 1.0 / math.log(self.chi)
        depth, check = self._chaotic_depth(48), self._chaotic_depth(64)
        if not abs(depth - check) <= 1e-6 * depth:
            raise PrecisionError(
                f"correlation depth of {self.activation.name} at q = {self.q:g}: {depth:g} or {check:g}"
            )
        return check

    def _chaotic_depth(self, nodes: int) -> float:
        from scipy.optimize import brentq

        gap = 1.0
        # At correlation 0 an odd activation without bias rests, but for rounding.
        if self._excess(1.0, nodes) > 1e-13:
            if self._excess(1e-6, nodes) >= 0.0:
                raise PrecisionError(f"correlation depth of {self.activation.name}: lost in rounding")
            gap = float(brentq(lambda g: self._excess(g, nodes), 1e-6, 1.0, xtol=1e-12))
        return _scale(self.weight_variance * self.activation.pair_moments(self.q, 1.0 - gap, nodes)[1])

    def _excess(self, gap: float, nodes: int) -> float:
        """What one layer adds to the correlation 1 - gap: positive below the rest, negative above."""
        value = self.activation.pair_moments(self.q, 1.0 - gap, nodes)[0]
        return (self.weight_variance * value + self.bias_variance) / self.q - (1.0 - gap)


@dataclass(frozen=True)
class Edge:
    """A point of the edge of chaos, where chi = 1.

    Attributes:
        weight_variance: sigma_w^2.
        q: the variance at rest there; 0 for tanh and erf without bias, inf for ReLU or linear with bias.
    """

    weight_variance: float
    q: float


def _scale(slope: float) -> float:
    if slope <= 0.0:
        return 0.0
    return -1.0 / math.log(slope) if slope < 1.0 else math.inf


def mean_field(activation: ActivationLike, weight_variance: float, bias_variance: float) -> MeanField:
    """Return the fixed point of the variance in a wide random net, chi, and the exponent of gradients.

    Args:
        activation: "linear", "relu", "tanh", "erf" (erf(x) itself), an `Activation`, or a callable on float
            arrays. Closed forms for linear, relu, erf; quadrature to about 1e-14 for tanh and 1e-10 for
            callables that are smooth except at 0.
        weight_variance: sigma_w^2 >= 0; a weight has variance sigma_w^2 / fan_in.
        bias_variance: sigma_b^2 >= 0.

    Returns:
        The fixed point that a variance of 1 reaches. Where every q is fixed (linear at 1 and relu at 2,
        without bias) q is 1, the variance started with; where it grows without limit q is inf.

    Raises:
        ArgumentError: unknown activation, or a variance that is negative or not finite.
        PrecisionError: a callable whose variance grows beyond 1e30.

    Source: Poole et al. (2016), arXiv:1606.05340, eqs. 3-5; Schoenholz et al. (2017), arXiv:1611.01232,
        eqs. 3-9.

    Example:
        >>> from dynprop.products import mean_field
        >>> field = mean_field("relu", weight_variance=1.5, bias_variance=0.3)
        >>> round(field.q, 12), field.chi
        (1.2, 0.75)
    """
    phi = resolve_activation(activation)
    sw2 = require_number("weight_variance", weight_variance, 0.0)
    sb2 = require_number("bias_variance", bias_variance, 0.0)
    q = _fixed_point(phi, sw2, sb2)
    chi = sw2 * (phi.slope_moment(q) if math.isfinite(q) else phi.homogeneous or 0.0)
    return MeanField(phi, sw2, sb2, q, chi, 0.5 * math.log(chi) if chi > 0.0 else -math.inf)


def _fixed_point(phi: Activation, sw2: float, sb2: float) -> float:
    from scipy.optimize import brentq

    if sw2 == 0.0:
        return sb2
    if phi.homogeneous is not None:
        slope = sw2 * phi.homogeneous
        if slope < 1.0:
            return sb2 / (1.0 - slope)
        return 1.0 if slope == 1.0 and sb2 == 0.0 else math.inf

    # Divided by q: without bias a small fixed point keeps its digits.
    def excess(q: float) -> float:
        return (sw2 * phi.second_moment(q) + sb2) / q - 1.0

    if excess(1.0) > 0.0:
        low, high = 1.0, _FACTOR
        while high <= _LARGEST and excess(high) > 0.0:
            low, high = high, high * _FACTOR
        if high > _LARGEST:
            raise PrecisionError(f"mean field of {phi.name}: the variance grows beyond {_LARGEST:g}")
    else:
        # q >= sb2: the excess there is not negative.
        low, high, factor, least = 1.0, 1.0, _FACTOR, (sb2 if sb2 > _LEAST else _LEAST)
        while low > least and excess(low) <= 0.0:
            low, high, factor = max(low / factor, least), low, factor * factor
        if excess(low) <= 0.0:
            # Down here the map is linear.
            return sb2 / max(1.0 - sw2 * phi.second_moment(low) / low, 2.0**-52)
    root = brentq(lambda log: excess(math.exp(log)), math.log(low), math.log(high), xtol=1e-16, rtol=1e-15)
    return math.exp(root)


def edge_of_chaos(activation: ActivationLike, bias_variance: float) -> Edge:
    """Return the weight variance at which gradients neither vanish nor explode, chi = 1, for a bias variance.

    On the edge sigma_w^2 = 1 / E phi'^2 and sigma_b^2 = q - E phi^2 / E phi'^2, both functions of q: one
    equation in one unknown.

    Args:
        activation: as in `mean_field`.
        bias_variance: sigma_b^2 >= 0.

    Returns:
        The edge; the smallest q where there are several. For q below 1e-4 it is right to 1e-8. Linear and
        relu nets have chi = sigma_w^2 (or half of it) at every bias: their edge is 1 (or 2), with q = 1
        without bias and inf with one.

    Raises:
        ArgumentError: unknown activation, or a bias variance that is negative or not finite.
        PrecisionError: no q up to 1e30 is on the edge.

    Source: Poole et al. (2016), arXiv:1606.05340, figure 1; Schoenholz et al. (2017), arXiv:1611.01232.

    Example:
        >>> from dynprop.products import edge_of_chaos
        >>> edge = edge_of_chaos("tanh", 0.05)
        >>> round(edge.weight_variance, 6), round(edge.q, 6)
        (1.760955, 0.570048)
    """
    from scipy.optimize import brentq

    phi = resolve_activation(activation)
    sb2 = require_number("bias_variance", bias_variance, 0.0)
    if phi.homogeneous is not None:
        return Edge(1.0 / phi.homogeneous, 1.0 if sb2 == 0.0 else math.inf)
    if sb2 == 0.0 and phi.second_moment(0.0) == 0.0:
        return Edge(1.0 / phi.slope_moment(0.0), 0.0)

    def bias_at(q: float) -> float:
        return q - phi.second_moment(q) / phi.slope_moment(q)

    first, second = bias_at(_SMALL), bias_at(4.0 * _SMALL)
    if phi.second_moment(0.0) == 0.0 and first > _SMALL * _SIGNIFICANT and sb2 < first:
        # Here the bias is a power of q (the third for odd activations) that cancellation would hide.
        exponent = round(math.log(second / first, 4.0))
        root = _SMALL * (sb2 / first) ** (1.0 / exponent)
        return Edge(1.0 / phi.slope_moment(root), root)
    low = q = _SMALL
    while q <= _LARGEST and phi.slope_moment(q) > 0.0:
        if bias_at(q) - sb2 > _SIGNIFICANT * q:
            root = float(brentq(lambda x: bias_at(x) - sb2, low, q, xtol=1e-300, rtol=1e-15))
            return Edge(1.0 / phi.slope_moment(root), root)
        low, q = (q if bias_at(q) < sb2 else low), 4.0 * q
    raise PrecisionError(
        f"no edge of chaos for {phi.name} at bias variance {sb2:g}: chi stays on one side of 1"
    )
