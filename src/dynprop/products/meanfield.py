r"""Mean field of wide nets with fresh or shared random weights: variance, gradient, depth scales.

With weight variance :math:`\sigma_w^2/n` and bias variance :math:`\sigma_b^2`, as n grows (Poole et al.
2016; Schoenholz et al. 2017)

.. math:: q = \sigma_w^2\,\mathrm E\,\phi(\sqrt q z)^2 + \sigma_b^2, \qquad \chi = \sigma_w^2\,\mathrm
E\,\phi'(\sqrt q z)^2,

a gradient's squared norm changes by :math:`\chi` per layer, its logarithm by the exponent
:math:`\tfrac12\ln\chi`. :math:`\chi < 1`: gradients vanish and signals forget each other (order);
:math:`\chi > 1`: gradients explode and signals part (chaos). At the edge :math:`\chi = 1` both persist.
Depth scales: :math:`\xi_q = -1/\ln|\chi_q|` with :math:`\chi_q = \sigma_w^2\,\tfrac{d}{dq}\mathrm
E\,\phi^2` for the variance, :math:`\xi_c = -1/\ln|\sigma_w^2\,\mathrm E\,\phi'(u)\phi'(v)|` at the
fixed point of the correlation for the correlation of two signals.

Finite nets depart from this: the spread of the log norm grows like sqrt(depth/width) (module `layers`),
and near the edge a shared-weight net of 200 units is off by more than its exponent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from dynprop.errors import PrecisionError
from dynprop.products.variance_map import VarianceMap, resolved
from dynprop.products.weights.activations import Activation, ActivationLike, resolve_activation
from dynprop.products.weights.scalar import require_number

__all__ = ["MeanField", "mean_field"]


@dataclass(frozen=True)
class MeanField:
    """The fixed point of the variance, with the factor of gradients and the depth scales there.

    Attributes:
        activation: the activation.
        weight_variance: sigma_w^2 (times 1/fan_in for a weight).
        bias_variance: sigma_b^2.
        q: variance of a pre-activation at the fixed point, inf where it grows without limit.
        chi: factor of a squared gradient per layer. Where the activation jumps it is that of
            backpropagation, which takes the derivative on both sides of the jump.
        exponent: ln(chi) / 2, natural log of a gradient's norm per layer; -inf for chi = 0.
        error: estimated relative error of the averages in q and chi, from two resolutions of the quadrature
            (and 1e-11 for a derivative by differences); 0 for closed forms. That of q itself is this over
            abs(1 - chi_q).
    """

    activation: Activation
    weight_variance: float
    bias_variance: float
    q: float
    chi: float
    exponent: float
    error: float = 0.0

    @property
    def variance_depth(self) -> float:
        """xi_q, layers over which the variance comes e times closer to q; inf where it does not.

        Where the variance map decreases, deviations change sign and their size counts. An example by hand:
        E exp(-x²)² = (1 + 4q)^(-1/2), so chi_q = -2 sigma_w² (1 + 4q)^(-3/2). With sigma_w² = 1.5 and
        sigma_b² = 0.05 that is -0.355300 at q = 0.786630, and xi_q = -1/ln 0.355300 = 0.966378; with
        sigma_w² = 1 and no bias it is 0.939782.

        Raises:
            PrecisionError: two resolutions of the quadrature differ.
        """
        if not math.isfinite(self.q):
            return _scale(self.chi)
        nodes = resolved(self.activation, self.q, ("moment_slope",)).nodes
        slope = self.weight_variance * self.activation.moment_slope(self.q, nodes)
        # Rounding of a map that is constant.
        return _scale(slope if abs(slope) > 1e-14 else 0.0)

    @cached_property
    def correlation_depth(self) -> float:
        """xi_c, layers over which the correlation of two signals comes e times closer to its fixed point.

        In order (chi <= 1) the fixed point is 1 and this is -1 / ln(chi). In chaos it is below 1 and found by
        quadrature over the plane (closed form for erf and sin), or 1 / ln(chi), good to 1e-3, where it is
        within 1e-3 of 1; nan where q is infinite.

        Raises:
            PrecisionError: two quadratures over the plane differ by more than 1e-6, as for tanh far in chaos
                (q above 100) or an activation with kinks away from 0 in chaos; or the activation jumps, so
                that the map of the correlation has infinite slope at 1.
        """
        if self.activation.jumps and self.weight_variance > 0.0:
            raise PrecisionError(
                f"correlation depth of {self.activation.name}: it jumps at {self.activation.jumps[0]:g}, so "
                "the correlation map has infinite slope at 1"
            )
        if self.chi <= 1.0:
            return _scale(self.chi)
        if not math.isfinite(self.q):
            return math.nan
        if math.log(self.chi) < 1e-4 and self._excess(1e-3, 64) > 0.0:
            # The two fixed points are closer than rounding resolves. To first order in their distance the
            # slope at the other one is 1/chi.
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
        # Correlation 0 is a fixed point of an odd activation without bias, up to rounding.
        if self._excess(1.0, nodes) > 1e-13:
            if self._excess(1e-6, nodes) >= 0.0:
                reason = "its kinks are not resolved" if self.activation.kinks else "lost in rounding"
                raise PrecisionError(f"correlation depth of {self.activation.name} in chaos: {reason}")
            gap = float(brentq(lambda g: self._excess(g, nodes), 1e-6, 1.0, xtol=1e-12))
        return _scale(self.weight_variance * self.activation.pair_moments(self.q, 1.0 - gap, nodes)[1])

    def _excess(self, gap: float, nodes: int) -> float:
        """Change of the correlation 1 - gap by one layer: positive below the fixed point, negative above."""
        value = self.activation.pair_moments(self.q, 1.0 - gap, nodes)[0]
        return (self.weight_variance * value + self.bias_variance) / self.q - (1.0 - gap)


def _scale(slope: float) -> float:
    """Number of steps per factor e of a deviation that is multiplied by the slope at every step."""
    size = abs(slope)
    if size == 0.0:
        return 0.0
    return -1.0 / math.log(size) if size < 1.0 else math.inf


def mean_field(activation: ActivationLike, weight_variance: float, bias_variance: float) -> MeanField:
    """Return the fixed point of the variance in a wide random net, chi, and the exponent of gradients.

    Args:
        activation: "linear", "relu", "leaky_relu", "tanh", "erf" (erf(x) itself), "sin", "sigmoid",
            "softplus", "gelu", "silu", "mish", "elu", "selu", "hardtanh", "relu6" with the parameters of
            torch.nn; an `Activation`; or a callable on float arrays, torch tensors or floats. Closed forms
            for linear, relu, leaky_relu, erf, sin and positively homogeneous callables; quadrature otherwise,
            piecewise between kinks and jumps, which are found.
        weight_variance: sigma_w^2 >= 0; a weight has variance sigma_w^2 / fan_in.
        bias_variance: sigma_b^2 >= 0.

    Returns:
        The fixed point that a variance of 1 reaches. Where every q is fixed (linear at 1 and relu at 2,
        without bias) q is 1, the variance started with; where it grows without limit q is inf.

    Raises:
        ArgumentError: unknown activation, or a variance that is negative or not finite.
        PrecisionError: a variance that grows beyond 1e30 or that oscillates, for an activation that is not
            homogeneous; or averages that two resolutions of the quadrature do not agree on to 1e-8.

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
    point = VarianceMap(phi, sw2, sb2).limit()
    if not math.isfinite(point.q):
        chi = sw2 * (phi.homogeneous or 0.0)
    else:
        chi = sw2 * phi.slope_moment(point.q, point.nodes)
    return MeanField(
        phi, sw2, sb2, point.q, chi, 0.5 * math.log(chi) if chi > 0.0 else -math.inf, point.error
    )
