r"""Variances of initial weights and checks of arguments, shared by the numpy and torch initialisers.

A variable of variance v is drawn as :math:`\sqrt v` times one of variance 1. **A truncated normal is narrower
than its parent**: cut at two standard deviations, it keeps the variance :math:`1 - 4\varphi(2)/(2\Phi(2)-1) =
0.774` of it, so the parent is made wider by 1/0.880. Forgetting that is a 23 % error of the variance at every
layer, and :math:`0.774^{50} = 2.7\cdot 10^{-6}` after fifty of them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dynprop.arrays import describe
from dynprop.errors import ArgumentError
from dynprop.linear.validation import require_memory
from dynprop.products.gains.gains import critical_gain
from dynprop.products.weights.activations import ActivationLike
from dynprop.products.weights.scalar import require_depth, require_number

__all__ = [
    "LAWS",
    "TRUNCATED_DEVIATION",
    "TRUNCATED_MASS",
    "require_generator",
    "require_horizon",
    "require_ring",
    "require_shape",
    "require_square",
    "ring_logs",
    "scaled_variance",
    "walk_variance",
]

LAWS = ("normal", "truncated", "uniform")
MODES = ("fan_in", "fan_out", "fan_avg")
# A standard normal variable cut at +-2: its mass before the cut, and its standard deviation after it.
TRUNCATED_MASS = math.erf(math.sqrt(2.0))
TRUNCATED_DEVIATION = math.sqrt(
    1.0 - 4.0 * math.exp(-2.0) / (math.sqrt(2.0 * math.pi) * math.erf(math.sqrt(2.0)))
)


def require_shape(shape: object) -> tuple[int, int]:
    """Return (fan_in, fan_out), or raise ArgumentError unless it is two integers >= 1 and fits in memory."""
    if not isinstance(shape, tuple | list) or len(shape) != 2:
        raise ArgumentError("shape", describe(shape), "two sizes (fan_in, fan_out)")
    sizes = require_depth("shape[0]", shape[0], 1), require_depth("shape[1]", shape[1], 1)
    require_memory("shape", sizes, 8)
    return sizes


def require_square(shape: object) -> int:
    """Return n for a shape (n, n), or raise ArgumentError."""
    rows, columns = require_shape(shape)
    if rows != columns:
        raise ArgumentError("shape", f"({rows}, {columns})", "a square matrix: eigenvalues need one")
    return rows


def require_generator(rng: object) -> np.random.Generator:
    """Return a numpy Generator, or raise ArgumentError: seeds and global states are refused."""
    if not isinstance(rng, np.random.Generator):
        raise ArgumentError("rng", describe(rng), "a numpy.random.Generator, such as default_rng(0)")
    return rng


def scaled_variance(fans: tuple[int, int], scale: float, mode: str, law: str) -> float:
    """Return scale over fan_in, over fan_out, or over their mean.

    Raises:
        ArgumentError: a scale that is negative or not finite, an unknown mode or law.
    """
    factor = require_number("scale", scale, 0.0)
    if mode not in MODES:
        raise ArgumentError("mode", repr(mode), f"one of {', '.join(MODES)}")
    if law not in LAWS:
        raise ArgumentError("law", repr(law), f"one of {', '.join(LAWS)}")
    fan = {"fan_in": float(fans[0]), "fan_out": float(fans[1]), "fan_avg": 0.5 * (fans[0] + fans[1])}[mode]
    return factor / fan


def walk_variance(fans: tuple[int, int], activation: ActivationLike) -> float:
    """Return g^2 / fan_in with the gain that preserves the typical mean square per unit.

    The sum of squares of an output is v norm(x)^2 chi^2 with fan_out degrees: the gain belongs to fan_out,
    the variance to fan_in.
    """
    return critical_gain(fans[1], activation) ** 2 / fans[0]


def require_ring(r_min: float, r_max: float, max_phase: float) -> None:
    """Raise ArgumentError unless 0 <= r_min <= r_max <= 1, r_max > 0 and 0 < max_phase <= 2 pi."""
    low, high = require_number("r_min", r_min, 0.0), require_number("r_max", r_max, 0.0)
    if not low <= high <= 1.0 or high == 0.0:
        raise ArgumentError("r_min, r_max", f"{low} and {high}", "0 <= r_min <= r_max <= 1 and r_max > 0")
    if not 0.0 < require_number("max_phase", max_phase, 0.0) <= 2.0 * math.pi:
        raise ArgumentError("max_phase", repr(max_phase), "above 0 and at most 2 pi")


def require_horizon(horizon: float) -> float:
    """Return the longest time scale of chrono gates, or raise ArgumentError unless it is finite and >= 2."""
    return require_number("horizon", horizon, 2.0)


def ring_logs(module: Any, squares: Any) -> tuple[Any, Any]:
    """Return nu_log and gamma_log of squared moduli, in the functions of numpy or torch.

    1 - abs(lambda)^2 is computed by expm1 of the layer's exponent, since the difference cancels near the unit
    circle.
    """
    nu = -0.5 * module.log(squares)
    return module.log(nu), 0.5 * module.log(-module.expm1(-2.0 * nu))
