r"""Scalar weights: variance per step for a given variance of the product, and running products as logarithms.

With independent weights of mean 0 and variance v the product of n of them has variance exactly
:math:`v^n` (independence and second moments suffice), so that :math:`v = v_*^{1/n}` gives the variance
:math:`v_*` (Goodfellow, Bengio and Courville 2016, section 10.7, where it is stated as O(v^n)).

**Variance 1 is not size 1.** The typical size of the product is :math:`\exp(n\,\mathrm E\log|w|)`, and by
Jensen :math:`\mathrm E\log|w| \le \tfrac12\log \mathrm E w^2`, with equality only where abs(w) is constant.
A Gaussian product of variance 1 has typical size exp(-0.635 n). `zero_drift_variance` is the scale at which
the typical size has no drift; for every distribution but a fair sign the variance explodes at it.
"""

from __future__ import annotations

import decimal
import math
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np

from dynprop.arrays import FloatArray, describe, dtype_name, library_of, require_finite
from dynprop.errors import ArgumentError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dynprop.products.weights.moments import ScipyDistribution

__all__ = ["require_depth", "require_number", "running_log_products", "step_variance", "zero_drift_variance"]

# Rows are processed in blocks of this size, which stay in the cache between passes.
_CACHED_BYTES = 1 << 19


def require_depth(name: str, value: object, least: int) -> int:
    """Return a count of steps as an int, or raise ArgumentError unless it is an integer >= least."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ArgumentError(name, describe(value), f"an integer of at least {least}")
    if value < least:
        raise ArgumentError(name, str(value), f"an integer of at least {least}")
    return int(value)


def require_number(name: str, value: object, least: float = -math.inf) -> float:
    """Return a real number as a float, or raise ArgumentError unless it is finite and >= least."""
    expected = "a finite real number" if least == -math.inf else f"a finite real number of at least {least:g}"
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ArgumentError(name, describe(value), expected)
    number = float(value)
    if not math.isfinite(number) or number < least:
        raise ArgumentError(name, repr(number), expected)
    return number


def step_variance(target: float, depth: int) -> float:
    """Return the variance of each weight for a given variance of the product: v = target^(1/depth).

    Evaluated in 50 decimal digits and rounded once, so the result is the float nearest to the root (up
    to ties). `target ** (1 / depth)` is not: 1/depth is rounded, which costs abs(log target) / depth ulp.

    Args:
        target: variance of the product, >= 0; 0 gives 0.
        depth: number of independent zero-mean weights, >= 1. Depth 0 has no answer: the product
            is the constant 1.

    Returns:
        The variance of each weight. Its power v^depth equals the target to a relative
        4 (depth + abs(log target)) 2^-53: half an ulp in v is depth half ulps in v^depth.

    Raises:
        ArgumentError: a negative or non-finite target, or a depth that is not an integer >= 1.

    Source: Goodfellow, Bengio and Courville (2016), Deep Learning, section 10.7.

    Example:
        >>> from dynprop.products import step_variance
        >>> step_variance(8.0, depth=3)
        2.0
    """
    value = require_number("target", target, 0.0)
    steps = require_depth("depth", depth, 1)
    if value == 0.0:
        return 0.0
    context = decimal.Context(prec=50)
    log = context.divide(context.ln(decimal.Decimal(value)), decimal.Decimal(steps))
    return float(context.exp(log))


def zero_drift_variance(weight_law: ScipyDistribution) -> float:
    """Return the variance of a scaled weight whose product has a typical size without drift.

    The weight is scaled, w to c w, so that E log abs(c w) = 0; then the logarithm of the product has no
    drift. The variance is Var(w) exp(-2 E log abs(w)): 2 e^gamma = 3.562 for a Gaussian, e^2/3 =
    2.463 for a uniform weight around 0, 1 for a fair sign, and above 1 for every other weight of mean 0.

    Args:
        weight_law: a distribution of scipy.stats with its parameters; its own scale does not matter.

    Returns:
        That variance; inf where P(w = 0) > 0, since the product is 0 in the end at any scale.

    Raises:
        ArgumentError: not a distribution with parameters, or a variance that is zero or not finite.
        PrecisionError: the log moments cannot be found to 1e-9.

    Source: Jensen's inequality; values as in Sussillo and Abbott (2014), arXiv:1412.6558, for width 1.

    Example:
        >>> from scipy import stats
        >>> from dynprop.products import zero_drift_variance
        >>> round(zero_drift_variance(stats.norm(0, 1)), 4)
        3.5621
        >>> round(zero_drift_variance(stats.uniform(-1, 2)), 4)
        2.463
    """
    from dynprop.products.weights.decimal_sums import log_of
    from dynprop.products.weights.moments import weight_moments

    moments = weight_moments(weight_law)
    if moments.decimal_variance == 0:
        raise ArgumentError("weight_law", "a distribution of variance 0", "positive variance")
    if moments.zero_mass > 0.0:
        return math.inf
    return math.exp(log_of(moments.decimal_variance) - 2.0 * moments.log_mean)


def running_log_products(weights: FloatArray) -> tuple[NDArray[np.int8], FloatArray]:
    """Return sign and log abs of every running product along axis 0, without underflow at any length.

    Args:
        weights: finite floats of shape (time, ...); time may be 0.

    Returns:
        (signs, logs), both of the shape of the weights. signs, int8, are -1, 0 or 1; logs, float64, are
        natural logarithms, -inf from the first zero on. logs[t] is within 2 (t + 2) 2^-53 times the sum
        of abs(log abs(w)) up to t of the exact value: numpy's logarithm is good to 1 ulp and each
        partial sum is bounded by that sum.

    Raises:
        ArgumentError: not a numpy array of real floats with at least one axis, or NaN or infinity in it.

    Example:
        >>> import numpy as np
        >>> from dynprop.products import running_log_products
        >>> signs, logs = running_log_products(np.array([2.0, -0.5, 4.0]))
        >>> signs
        array([ 1, -1, -1], dtype=int8)
        >>> np.round(np.exp(logs), 12)
        array([2., 1., 4.])
    """
    if np.ma.isMaskedArray(weights):
        raise ArgumentError(
            "weights", "a masked array", "a numpy array without a mask, such as weights.filled(0.0)"
        )
    if library_of(weights) != "numpy" or dtype_name(weights) not in ("float64", "float32", "float16"):
        raise ArgumentError("weights", describe(weights), "a numpy array of real floats")
    if weights.ndim == 0:
        raise ArgumentError("weights", describe(weights), "at least one axis, time first")
    logs = np.empty(weights.shape, dtype=np.float64)
    signs = np.empty(weights.shape, dtype=np.int8)
    row = max(1, 8 * math.prod(weights.shape[1:]))
    height = max(1, _CACHED_BYTES // row)
    for start in range(0, weights.shape[0], height):
        _extend_products(weights, logs, signs, start, min(start + height, weights.shape[0]))
    return signs, logs


def _extend_products(weights: Any, logs: FloatArray, signs: NDArray[np.int8], start: int, stop: int) -> None:
    """Fill rows start to stop of the running products from the row before them."""
    part, log, sign = weights[start:stop], logs[start:stop], signs[start:stop]
    with np.errstate(divide="ignore"):
        np.log(np.abs(part, out=log), out=log)
    negative = np.signbit(part)
    if start:
        log[0] += logs[start - 1]
        negative[0] ^= signs[start - 1] < 0
    with np.errstate(invalid="ignore"):
        np.add.accumulate(log, axis=0, out=log)
    np.logical_xor.accumulate(negative, axis=0, out=negative)
    np.subtract(1, 2 * negative.view(np.int8), out=sign, dtype=np.int8)
    # NaN, +inf and the -inf of a zero persist in a running sum (-inf + inf is NaN), so checking the last row
    # suffices.
    if not np.all(log[-1] < np.inf):
        require_finite("weights", part)
    if np.isneginf(log[-1]).any():
        sign[np.isneginf(log)] = 0
