r"""The edge of chaos: weight variances at which gradients neither vanish nor explode, :math:`\chi = 1`.

On the edge

.. math:: \sigma_w^2 = 1/\mathrm E\phi'^2, \qquad \sigma_b^2 = q - \mathrm E\phi^2/\mathrm E\phi'^2,

both functions of q: one equation in one unknown. A solution may repel: for GELU without bias q = 0 has
:math:`\chi = 1` at :math:`\sigma_w^2 = 4`, but :math:`V(q) > q` for every small q, so that signals grow. Only
solutions that the variance reaches from 1 are returned.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from dynprop.errors import PrecisionError
from dynprop.products.variance_map import VarianceMap, require_derivative, resolved
from dynprop.products.weights.activations import Activation, ActivationLike, resolve_activation
from dynprop.products.weights.scalar import require_number

__all__ = ["Edge", "edge_of_chaos"]

# Below this q the bias is taken as a power of q; a sign is significant if it is this large against q.
_SMALL, _SIGNIFICANT = 1e-4, 1e-12
_LEAST, _LARGEST = 1e-12, 1e30
# The relative distance of a solution from the limit of the variance that counts as equal.
_EQUAL = 1e-5
_GRID = 2.0
_MOST_SOLUTIONS = 4


@dataclass(frozen=True)
class Edge:
    """A point of the edge of chaos, where chi = 1.

    Attributes:
        weight_variance: sigma_w^2.
        q: the variance at the fixed point; 0 for tanh and erf without bias, inf for ReLU or linear with bias.
        error: estimated relative error of the averages from two resolutions of the quadrature (and 1e-11 for
            a derivative by differences); 0 for closed forms.
    """

    weight_variance: float
    q: float
    error: float = 0.0


def edge_of_chaos(activation: ActivationLike, bias_variance: float) -> Edge:
    """Return the weight variance at which gradients neither vanish nor explode, chi = 1, for a bias variance.

    Args:
        activation: as in `mean_field`.
        bias_variance: sigma_b^2 >= 0.

    Returns:
        The edge at which the variance comes to rest: `mean_field` at it returns its q; the smallest q where
        there are several. For q below 1e-4 it is accurate to 1e-8. Positively homogeneous activations have
        the same chi at every q: their edge (1 for linear, 2 for relu) has q = 1 without bias, inf with one.

    Raises:
        ArgumentError: unknown activation, or a bias variance that is negative or not finite.
        PrecisionError: no q up to 1e30 has chi = 1, or the fixed points that have it repel (GELU, SiLU and
            Mish without bias); or averages that two resolutions of the quadrature do not agree on to 1e-8.

    Source: Poole et al. (2016), arXiv:1606.05340, figure 1; Schoenholz et al. (2017), arXiv:1611.01232.

    Example:
        >>> from dynprop.products import edge_of_chaos
        >>> edge = edge_of_chaos("tanh", 0.05)
        >>> round(edge.weight_variance, 6), round(edge.q, 6)
        (1.760955, 0.570048)
    """
    phi = resolve_activation(activation)
    sb2 = require_number("bias_variance", bias_variance, 0.0)
    if phi.homogeneous is not None:
        return Edge(1.0 / phi.homogeneous, 1.0 if sb2 == 0.0 else math.inf)
    require_derivative(phi)
    rejected: list[Edge] = []
    for q in _solutions(phi, sb2):
        point = resolved(phi, q)
        slope = phi.slope_moment(q, point.nodes)
        if not 1e-300 < slope < 1e300:
            raise PrecisionError(
                f"edge of chaos of {phi.name}: E phi'^2 is {slope:.3g}, near the end of the range of floats; "
                "rescale the activation"
            )
        edge = Edge(1.0 / slope, q, point.error)
        if _is_reached(phi, edge, sb2):
            return edge
        rejected.append(edge)
    raise PrecisionError(
        f"no edge of chaos for {phi.name} at bias variance {sb2:g}: {_reason(phi, rejected, sb2)}"
    )


def _reason(phi: Activation, rejected: list[Edge], bias: float) -> str:
    if not rejected:
        return "chi stays on one side of 1 at every fixed point"
    points = []
    for edge in rejected:
        slope = VarianceMap(phi, edge.weight_variance, bias).slope(edge.q)
        why = f"repels, dV/dq = {slope:.3g}" if slope > 1.0 - 1e-9 else "is not reached from a variance of 1"
        points.append(f"q = {edge.q:.4g} at weight variance {edge.weight_variance:.4g} ({why})")
    return f"chi = 1 only at {', '.join(points)}; another bias variance may have an edge"


def _is_reached(phi: Activation, edge: Edge, bias: float) -> bool:
    """Return whether a variance of 1 ends at the edge's q."""
    try:
        limit = VarianceMap(phi, edge.weight_variance, bias).limit().q
    except PrecisionError:
        return False
    # Without bias q = 0 is approached like a power of the depth: what is left is rounding.
    return abs(limit - edge.q) <= _EQUAL * edge.q + (1e-6 if edge.q < _SMALL else 0.0)


def _solutions(phi: Activation, bias: float) -> list[float]:
    """Return the q at which chi = 1 and q is fixed, ascending."""
    from scipy.optimize import brentq

    found: list[float] = []
    # Where phi jumps at 0 the variance map jumps there too, and q = 0 is no limit of small variances.
    starts_at_zero = phi.second_moment(0.0) == 0.0 and 0.0 not in phi.jumps
    if bias == 0.0 and starts_at_zero and phi.slope_moment(0.0) > 0.0:
        found.append(0.0)

    def excess(q: float) -> float:
        """Bias variance at which q is fixed with chi = 1, less the one given."""
        slope = phi.slope_moment(q)
        return q - phi.second_moment(q) / slope - bias if slope > 0.0 else -math.inf

    # Errors of derivatives by differences hide a sign too.
    significant = max(_SIGNIFICANT, 10.0 * phi.derivative_error)
    low = _LEAST
    if starts_at_zero:
        first, second = excess(_SMALL) + bias, excess(4.0 * _SMALL) + bias
        if 0.0 < bias < first and first > _SMALL * _SIGNIFICANT:
            # Here the bias is a power of q (the third for odd activations) that cancellation would hide.
            exponent = round(math.log(second / first, 4.0))
            found.append(_SMALL * (bias / first) ** (1.0 / exponent))
        low = _SMALL
    value, last = excess(low), low
    while low <= _LARGEST and len(found) < _MOST_SOLUTIONS:
        high = low * _GRID
        new = excess(high)
        if abs(new) <= significant * high:
            low = high
            continue
        if (value < 0.0 < new or new < 0.0 < value) and math.isfinite(value) and math.isfinite(new):
            found.append(float(brentq(excess, last, high, xtol=1e-300, rtol=1e-15)))
        elif value < 0.0 < new:
            found.append(float(brentq(lambda q: max(excess(q), -1e300), last, high, rtol=1e-15)))
        low, last, value = high, high, new
    return found
