r"""Gaussian averages of an activation and of its derivative.

:math:`\mathrm E\,\phi(\sqrt q z)^2` and :math:`\mathrm E\,\phi'(\sqrt q z)^2`, z standard normal.
Closed forms for linear, ReLU and erf; quadrature for tanh and for any callable, on each half line
separately, so that a kink at 0 costs nothing (Gauss-Hermite converges only like 1/nodes there). The
substitution :math:`z = \sinh(u)/(1+\sqrt q)` puts as many nodes on the scale of the activation, 1/sqrt(q),
as on that of the Gaussian.

Trap: tanh' is 1/cosh^2; 1 - tanh^2 has no digits left in saturation.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray, describe
from dynprop.errors import ArgumentError

__all__ = ["Activation", "ActivationLike", "resolve_activation"]

# Nodes on a half line, where the Gaussian is cut, and the step of the five-point derivative.
_NODES = 128
_END = 12.0
_STEP = 2.0**-10


@dataclass(frozen=True)
class Activation:
    """An activation with its derivative and Gaussian averages.

    Attributes:
        name: "linear", "relu", "tanh", "erf", or the name of a callable.
        function: phi, elementwise on float arrays.
        derivative: phi', likewise; at 0 it gives the limit from the side of the sign of the zero.
        homogeneous: E phi(sqrt(q) z)^2 / q where that is one number for every q, else None.
    """

    name: str
    function: Callable[[FloatArray], FloatArray]
    derivative: Callable[[FloatArray], FloatArray]
    homogeneous: float | None = None

    def second_moment(self, q: float) -> float:
        """E phi(sqrt(q) z)^2."""
        if self.homogeneous is not None:
            return self.homogeneous * q
        if self.name == "erf":
            return (2.0 / math.pi) * math.asin(2.0 * q / (1.0 + 2.0 * q))
        z, weights = _line(q)
        return float(weights @ self.function(math.sqrt(q) * z) ** 2)

    def slope_moment(self, q: float) -> float:
        """E phi'(sqrt(q) z)^2."""
        if self.homogeneous is not None:
            return self.homogeneous
        if self.name == "erf":
            return (4.0 / math.pi) / math.sqrt(1.0 + 4.0 * q)
        if q == 0.0:
            return float(np.mean(self.derivative(np.array([-0.0, 0.0])) ** 2))
        z, weights = _line(q)
        return float(weights @ self.derivative(math.sqrt(q) * z) ** 2)

    def moment_slope(self, q: float) -> float:
        """d/dq E phi(sqrt(q) z)^2 = E phi phi' z / sqrt(q), by Stein's lemma E (phi'^2 + phi phi'')."""
        if self.homogeneous is not None:
            return self.homogeneous
        if self.name == "erf":
            return (4.0 / math.pi) / ((1.0 + 2.0 * q) * math.sqrt(1.0 + 4.0 * q))
        if q == 0.0:
            return self.slope_moment(0.0)
        z, weights = _line(q)
        x = math.sqrt(q) * z
        return float(weights @ (self.function(x) * self.derivative(x) * z)) / math.sqrt(q)

    def pair_moments(self, q: float, c: float, nodes: int = 48) -> tuple[float, float]:
        """E phi(u) phi(v) and E phi'(u) phi'(v) for Gaussians of variance q and correlation c, |c| < 1."""
        if self.name == "erf":
            full, cross = 1.0 + 2.0 * q, 2.0 * q * c
            return (2.0 / math.pi) * math.asin(cross / full), (4.0 / math.pi) / math.sqrt(full**2 - cross**2)
        z, weights = _half_line(q, nodes)
        z, weights = np.concatenate([-z, z]), np.concatenate([weights, weights])
        # u = a s + b d and v = a s - b d treat both signals alike.
        root = math.sqrt(q)
        s, d = root * math.sqrt((1.0 + c) / 2.0) * z, root * math.sqrt((1.0 - c) / 2.0) * z
        u, v = s[:, None] + d, s[:, None] - d
        values = self.function(u) * self.function(v)
        slopes = self.derivative(u) * self.derivative(v)
        return float(weights @ values @ weights), float(weights @ slopes @ weights)


ActivationLike = str | Activation | Callable[[FloatArray], FloatArray]


@lru_cache(maxsize=8)
def _legendre(nodes: int) -> tuple[FloatArray, FloatArray]:
    x, weights = np.polynomial.legendre.leggauss(nodes)
    return 0.5 * (x + 1.0), 0.5 * weights


def _half_line(q: float, nodes: int) -> tuple[FloatArray, FloatArray]:
    """Nodes on the positive half line and weights for the Gaussian density."""
    x, weights = _legendre(nodes)
    sharp = 1.0 + math.sqrt(q)
    reach = math.asinh(sharp * _END)
    z = np.sinh(reach * x) / sharp
    jacobian = reach * np.cosh(reach * x) / sharp
    return z, weights * jacobian * np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)


def _line(q: float) -> tuple[FloatArray, FloatArray]:
    z, weights = _half_line(q, _NODES)
    return np.concatenate([-z, z]), np.concatenate([weights, weights])


def _tanh_slope(x: FloatArray) -> FloatArray:
    return np.asarray(1.0 / np.cosh(np.minimum(np.abs(x), 350.0)) ** 2)


def _erf(x: FloatArray) -> FloatArray:
    from scipy.special import erf

    return np.asarray(erf(x))


def _erf_slope(x: FloatArray) -> FloatArray:
    return np.asarray(2.0 / math.sqrt(math.pi) * np.exp(-np.square(x)))


_NAMED = {
    "linear": Activation("linear", lambda x: x, np.ones_like, homogeneous=1.0),
    "relu": Activation(
        "relu", lambda x: np.maximum(x, 0.0), lambda x: np.where(np.signbit(x), 0.0, 1.0), homogeneous=0.5
    ),
    "tanh": Activation("tanh", np.tanh, _tanh_slope),
    "erf": Activation("erf", _erf, _erf_slope),
}


def resolve_activation(activation: object) -> Activation:
    """Return the activation for a name, an Activation, or an elementwise callable on float arrays.

    The derivative of a bare callable comes from five points that stay on one side of 0, good to about 1e-11
    for a function that is smooth except at 0; give an `Activation` to supply it.

    Raises:
        ArgumentError: an unknown name, something that cannot be called, or a callable that does not map a
            float array to finite reals of the same shape.
    """
    if isinstance(activation, Activation):
        return activation
    if isinstance(activation, str):
        if activation not in _NAMED:
            names = ", ".join(f'"{name}"' for name in _NAMED)
            raise ArgumentError("activation", repr(activation), f"{names}, or a callable on float arrays")
        return _NAMED[activation]
    if not callable(activation):
        raise ArgumentError("activation", describe(activation), "a name or a callable on float arrays")
    given: Callable[[FloatArray], Any] = activation

    def function(x: FloatArray) -> FloatArray:
        return np.asarray(given(x), dtype=np.float64)

    probe = np.array([-2.0, -0.5, 0.0, 0.5, 2.0])
    try:
        values = function(probe.copy())
    except Exception as error:
        raise ArgumentError(
            "activation", f"a callable that raises {error!r}", "a callable on float arrays"
        ) from error
    if values.shape != probe.shape or not np.isfinite(values).all():
        raise ArgumentError(
            "activation", f"a callable that gives {values!r:.80}", "finite values, shape kept"
        )
    return Activation(getattr(activation, "__name__", "callable"), function, _five_points(function))


def _five_points(function: Callable[[FloatArray], FloatArray]) -> Callable[[FloatArray], FloatArray]:
    """Fourth-order difference quotient, central, and one-sided near 0, where activations have kinks."""

    def derivative(x: FloatArray) -> FloatArray:
        h = _STEP * np.maximum(1.0, np.abs(x))
        outward = np.where(np.signbit(x), -h, h)
        central = function(x - 2 * h) - 8 * function(x - h) + 8 * function(x + h) - function(x + 2 * h)
        values = [function(x + k * outward) for k in range(5)]
        sided = sum(c * v for c, v in zip((-25.0, 48.0, -36.0, 16.0, -3.0), values, strict=True))
        return np.where(np.abs(x) < 3 * h, sided / (12.0 * outward), central / (12.0 * h))

    return derivative
