r"""Clipping of gradients, and the cliff that it is for.

By norm, :math:`g \leftarrow g \min(1, \theta/\|g\|)`: the direction stays, the norm is at most θ, a gradient
below the threshold is not touched. By value every entry is cut to [-θ, θ], which turns the direction.

The cliff: one logistic unit :math:`x_t = \sigma(w x_{t-1} + b)`, x_0 = 1/2, loss :math:`(x_T - 0.7)^2`.
Where 1/2 is an unstable fixed point (b = -w/2, w > 4) the derivative of x_T is of size :math:`(w/4)^T`, and
a few steps aside it is next to nothing. A single step of gradient descent from the wall throws the
parameters as far as the wall is steep; elsewhere on the same surface the same step moves them by a
thousandth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray, describe, exact_floats, require_finite, require_floating
from dynprop.errors import ArgumentError
from dynprop.results import Result

__all__ = ["Cliff", "cliff", "clip_by_norm", "clip_by_value"]


def _gradients(gradients: Any, threshold: float) -> tuple[list[Any], bool]:
    """Return the arrays, and whether a single one was given."""
    if (
        isinstance(threshold, bool)
        or not isinstance(threshold, int | float)
        or not 0.0 < threshold < math.inf
    ):
        raise ArgumentError("threshold", repr(threshold), "a positive finite number")
    single = not isinstance(gradients, list | tuple)
    arrays = [gradients] if single else list(gradients)
    if not arrays:
        raise ArgumentError("gradients", "none", "an array, or a sequence of arrays")
    for array in arrays:
        require_floating("gradients", array)
        require_finite("gradients", array)
    return arrays, single


def _largest(array: Any) -> float:
    if isinstance(array, np.ndarray):
        return float(np.abs(array).max(initial=0.0))
    return float(array.detach().abs().max()) if array.numel() else 0.0


def _sum_of_squares(array: Any) -> float:
    """Return it in float64, whatever the array's format."""
    if isinstance(array, np.ndarray):
        return float((np.abs(array).astype(np.float64) ** 2).sum())
    return float((array.detach().abs().double() ** 2).sum())


def clip_by_norm(gradients: Any, threshold: float) -> Any:
    """Return gradients scaled so that their common norm is at most a threshold.

    Args:
        gradients: a numpy or torch array, or a sequence of them, whose norm is that of all entries together.
        threshold: θ > 0, the largest norm.

    Returns:
        New arrays, a tuple of them for a sequence; entry for entry the same where the norm is at most θ. The
        norm of the result exceeds θ by rounding at most. Nothing overflows: entries of 1e300 have a norm.

    Raises:
        ArgumentError: the threshold is not positive, or an entry is NaN or infinite: such a gradient has no
            direction that could be kept.

    Source: Pascanu, Mikolov and Bengio (2013), arXiv:1211.5063, algorithm 1.

    Example:
        >>> import numpy as np
        >>> from dynprop.gradients import clip_by_norm
        >>> clip_by_norm(np.array([3.0, 4.0]), 1.0)
        array([0.6, 0.8])
    """
    arrays, single = _gradients(gradients, threshold)
    scale = max(_largest(array) for array in arrays)
    if scale == 0.0:
        kept = tuple(array + 0.0 for array in arrays)
        return kept[0] if single else kept
    exponent = math.frexp(scale)[1]
    reduced = [array * 2.0 ** (-exponent // 2) * 2.0 ** (-exponent - (-exponent // 2)) for array in arrays]
    norm = math.sqrt(math.fsum(map(_sum_of_squares, reduced)))
    # In units of 2^exponent, where the norm is between 1/2 and the root of the number of entries.
    limit = math.ldexp(threshold, -exponent)
    if norm <= limit:
        kept = tuple(array + 0.0 for array in arrays)
    else:
        kept = tuple(part * (threshold / norm) for part in reduced)
    return kept[0] if single else kept


def clip_by_value(gradients: Any, threshold: float) -> Any:
    """Return gradients with every entry cut to [-threshold, threshold]; complex entries are refused.

    Args:
        gradients: a numpy or torch array, or a sequence of them.
        threshold: θ > 0.

    Returns:
        New arrays, a tuple of them for a sequence. Signs stay; the direction does not.

    Raises:
        ArgumentError: the threshold is not positive, or an entry is NaN, infinite or complex.

    Source: Goodfellow, Bengio and Courville (2016), section 10.11.1; Mikolov (2012).

    Example:
        >>> import numpy as np
        >>> from dynprop.gradients import clip_by_value
        >>> clip_by_value(np.array([3.0, -0.5]), 1.0)
        array([ 1. , -0.5])
    """
    arrays, single = _gradients(gradients, threshold)
    for array in arrays:
        if "complex" in str(array.dtype):
            raise ArgumentError("gradients", describe(array), "real numbers")
    kept = tuple(array.clip(-threshold, threshold) + 0.0 for array in arrays)
    return kept[0] if single else kept


@dataclass(frozen=True, eq=False, repr=False)
class Cliff(Result):
    """The loss of one logistic unit after many steps, over its two parameters.

    Attributes:
        loss: (x_T - target)², of the shape of weights and biases together.
        by_weight: ∂ loss/∂w.
        by_bias: ∂ loss/∂b.
    """

    loss: FloatArray
    by_weight: FloatArray
    by_bias: FloatArray

    @property
    def slope(self) -> FloatArray:
        """Norm of the gradient."""
        return np.hypot(self.by_weight, self.by_bias)


def cliff(weights: Any, biases: Any, steps: int = 50, *, start: float = 0.5, target: float = 0.7) -> Cliff:
    """Return loss and gradient of x_t = σ(w x_{t-1} + b) after some steps, at every pair of parameters.

    Args:
        weights: w, any shape.
        biases: b, of a shape that broadcasts with it.
        steps: T >= 1.
        start: x_0.
        target: of x_T.

    Raises:
        ArgumentError: not real finite numbers, shapes that do not broadcast, or no step.

    Source: Pascanu, Mikolov and Bengio (2013), arXiv:1211.5063, section 2.3 and figure 6 (T = 50).

    Example:
        At the foot of the wall, on it, and a thousandth beside it:

        >>> import numpy as np
        >>> from dynprop.gradients import cliff
        >>> found = cliff(6.0, np.array([-3.3, -3.0, -2.999]))
        >>> found.slope > 1e3
        array([False,  True, False])
    """
    from dynprop.gradients.by_lag import require_count
    from dynprop.gradients.lags.steps import sigmoid, sigmoid_slope

    require_count("steps", steps, 1)
    w, b = (np.asarray(exact_floats(n, np.asarray(v))) for n, v in (("weights", weights), ("biases", biases)))
    for name, value in (
        ("weights", w),
        ("biases", b),
        ("start", np.asarray(start)),
        ("target", np.asarray(target)),
    ):
        require_finite(name, value)
    try:
        w, b = np.broadcast_arrays(w, b)
    except ValueError as error:
        raise ArgumentError(
            "biases", f"shape {b.shape}", f"a shape that broadcasts with {w.shape}"
        ) from error
    x = np.full(w.shape, float(start))
    by_weight, by_bias = np.zeros(w.shape), np.zeros(w.shape)
    for _ in range(steps):
        a = w * x + b
        slope = sigmoid_slope(a)
        by_weight, by_bias = slope * (x + w * by_weight), slope * (1.0 + w * by_bias)
        x = sigmoid(a)
    gap = x - target
    return Cliff(np.asarray(gap * gap), np.asarray(2.0 * gap * by_weight), np.asarray(2.0 * gap * by_bias))
