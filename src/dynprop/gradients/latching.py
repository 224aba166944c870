r"""Storing one bit in one unit, :math:`x_t = \tanh(w x_{t-1} + u_t)`, and what that costs the gradient.

For w > 1 the unit has attractors :math:`\pm x^*`, :math:`x^* = \tanh(w x^*)`. Inputs up to :math:`u^* =
\sqrt{w(w-1)} - \operatorname{arcosh}\sqrt w` in size, the saddle-node, never switch it; there :math:`c =
\sqrt{1 - 1/w}` is the unstable fixed point and :math:`u^* = w c - \operatorname{artanh} c`. But the slope
at the attractor, :math:`w(1 - x^{*2}) < 1`, is the factor of the gradient per step: the larger the inputs
that the unit withstands, the faster its gradient vanishes. For w <= 1 there is no latch.

Further: when a recurrence must contract. With :math:`|f'| \le \gamma`, 1 for tanh and 1/4 for the logistic
function, :math:`\sigma_{\max}(W) < 1/\gamma` is sufficient for gradients that vanish, and
:math:`\sigma_{\max}(W) > 1/\gamma` necessary for gradients that explode. The bound is about singular values:
the spectral radius may be far below 1 while the norm of a product grows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray, describe, exact_floats, require_finite
from dynprop.errors import ArgumentError
from dynprop.results import Result

__all__ = ["Latch", "VanishingCondition", "latch", "vanishing_condition"]

GAMMA = {"tanh": 1.0, "sigmoid": 0.25, "relu": 1.0, "linear": 1.0}
UNIT = 2.0**-53


@dataclass(frozen=True)
class Latch:
    """A tanh unit with a recurrent weight as a memory of one bit.

    Attributes:
        weight: w.
        disturbance: b, size of the inputs as a share of `critical_input`.
        attractor: smallest |x| at which the unit stays under inputs of that size, the largest fixed point of
            x = tanh(w x - b u*); x* for b = 0, and 0 for w <= 1.
        slope: w (1 - x²) there: the largest factor of the gradient per step once the unit is beyond it.
        critical_input: u*, size of a constant input that switches the unit; 0 for w <= 1.
    """

    weight: float
    disturbance: float
    attractor: float
    slope: float
    critical_input: float

    @property
    def half_life(self) -> float:
        """Steps over which the gradient halves at the attractor; infinite at w = 1."""
        return math.log(2.0) / -math.log(self.slope) if 0.0 < self.slope < 1.0 else (
            math.inf if self.slope >= 1.0 else 0.0
        )  # fmt: skip


def latch(w: float, disturbance: float = 0.0) -> Latch:
    """Return attractor, slope and critical input of a tanh unit with a recurrent weight.

    Args:
        w: the weight, 0 or more and finite.
        disturbance: b, size of the inputs as a share of the critical one, 0 <= b < 1.

    Raises:
        ArgumentError: a number is out of its range.

    Source: Bengio, Simard and Frasconi (1994), IEEE TNN 5(2):157, sections III and IV; the saddle-node in
        closed form is elementary.

    Example:
        >>> from dynprop.gradients import latch
        >>> found = latch(2.0)
        >>> round(found.attractor, 9), round(found.slope, 9), round(found.critical_input, 9)
        (0.957504024, 0.166372088, 0.532839975)
        >>> latch(5.0).slope < found.slope, latch(5.0).critical_input > found.critical_input
        (True, True)
    """
    for name, value, most in (("w", w, math.inf), ("disturbance", disturbance, 1.0)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value < most:
            expected = "a number, 0 or more" + (" and below 1" if most == 1.0 else ", and finite")
            raise ArgumentError(name, repr(value), expected)
    w, b = float(w), float(disturbance)
    if w <= 1.0:
        return Latch(w, b, 0.0, w, 0.0)
    critical = math.sqrt(w) * math.sqrt(w - 1.0) - math.acosh(math.sqrt(w))
    # a = w tanh(a) - b u*, from above, where a - w tanh(a) + b u* is convex: Newton falls to the largest
    # root.
    a = w
    for _ in range(200):
        value = a - w * math.tanh(a) + b * critical
        steepness = 1.0 - w * _tanh_slope(a)
        if steepness <= 0.0:
            break
        moved = a - value / steepness
        if not moved < a:
            break
        a = moved
    return Latch(w, b, math.tanh(a), w * _tanh_slope(a), critical)


def _tanh_slope(a: float) -> float:
    e = math.exp(-2.0 * abs(a))
    return 4.0 * e / ((1.0 + e) * (1.0 + e))


@dataclass(frozen=True, eq=False, repr=False)
class VanishingCondition(Result):
    """Whether gradients of an Elman net must vanish, whatever its inputs.

    Attributes:
        largest: σ_max(W), the 2-norm.
        limit: 1/γ.
        rate: γ σ_max(W), bound of the factor of a gradient per step.
        vanishes: True where σ_max(W) < 1/γ is proved; False says nothing but that it is not.
    """

    largest: float
    limit: float
    rate: float
    vanishes: bool


def vanishing_condition(recurrent: Any, activation: str = "tanh") -> VanishingCondition:
    """Return whether σ_max(W) < 1/γ, which is sufficient for gradients that vanish.

    The verdict is certified: σ_max(W) < 1/γ is the same as γ^-2 I - WᵀW positive definite, and a Cholesky
    factorisation of a matrix that is smaller by a bound on all rounding proves it (Rump 2006). At a weight
    within some n² u of the limit it is False.

    Args:
        recurrent: W, (n, n), as in f(W h + ...); its transpose has the same norm.
        activation: "tanh", "sigmoid", "relu" or "linear": γ = 1, 1/4, 1, 1.

    Raises:
        ArgumentError: W is not a square matrix of finite real numbers, or the activation is unknown.

    Source: Pascanu, Mikolov and Bengio (2013), arXiv:1211.5063, section 2.1; Rump (2006), BIT 46:433,
        Verification of positive definiteness, theorem 2.3.

    Example:
        >>> import numpy as np
        >>> from dynprop.gradients import vanishing_condition
        >>> vanishing_condition(0.9 * np.eye(3)).vanishes, vanishing_condition(np.eye(3)).vanishes
        (True, False)
        >>> vanishing_condition(3.9 * np.eye(3), "sigmoid").vanishes
        True

        The spectral radius is no such condition: of this matrix it is 0.5.

        >>> vanishing_condition(np.array([[0.5, 9.0], [0.0, 0.5]])).vanishes
        False
    """
    if activation not in GAMMA:
        raise ArgumentError("activation", repr(activation), f"one of {', '.join(GAMMA)}")
    w = np.asarray(exact_floats("recurrent", recurrent))
    if w.ndim != 2 or w.shape[0] != w.shape[1] or len(w) == 0 or w.dtype.kind == "c":
        raise ArgumentError("recurrent", describe(w), "a square matrix of real numbers")
    require_finite("recurrent", w)
    limit = 1.0 / GAMMA[activation]
    largest = float(np.linalg.norm(w, 2))
    return VanishingCondition(largest, limit, largest / limit, largest < limit and _certified(w, limit))


def _certified(w: FloatArray, limit: float) -> bool:
    """Whether limit² I - WᵀW is proved to be positive definite; limit² is exact (1 or 16)."""
    n = len(w)
    gamma = (n + 4) * UNIT / (1.0 - (n + 4) * UNIT)
    gap = limit * limit * np.eye(n) - w.T @ w
    sizes = np.abs(w).T @ np.abs(w)
    # Rounding of the product and of the subtraction, in the norm that bounds the 2-norm of a symmetric
    # matrix.
    formed = gamma * float((sizes + limit * limit * np.eye(n)).sum(axis=1).max())
    factored = gamma / (1.0 - gamma) * float(np.trace(gap)) + 4.0 * n * n * 2.0**-1022
    try:
        np.linalg.cholesky(gap - 2.0 * (formed + factored) * np.eye(n))
    except np.linalg.LinAlgError:
        return False
    return True
