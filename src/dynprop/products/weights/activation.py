r"""An activation with its derivative, its kinks, and its Gaussian averages.

The averages are :math:`\mathrm E\,\phi(\sqrt q z)^2` and :math:`\mathrm E\,\phi'(\sqrt q z)^2`, z standard
normal. They have closed forms for linear, ReLU, erf and sin, and come from quadrature otherwise (`averages`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.products.weights.averages import half_line, line

__all__ = ["Activation", "ClosedForms"]

# Nodes on each piece of the line.
_NODES = 128


@dataclass(frozen=True)
class ClosedForms:
    """Gaussian averages as functions of the variance q; see the methods of `Activation`."""

    second_moment: Callable[[float], float]
    slope_moment: Callable[[float], float]
    moment_slope: Callable[[float], float]
    pair_moments: Callable[[float, float], tuple[float, float]]


@dataclass(frozen=True, repr=False)
class Activation:
    """An activation with its derivative and Gaussian averages.

    Attributes:
        name: its name, such as "tanh", or that of a callable.
        function: phi, elementwise on float arrays.
        derivative: phi', likewise; at 0 it gives the limit from the side of the sign of the zero. Where phi
            jumps it is the derivative on both sides, as in backpropagation.
        homogeneous: E phi(sqrt(q) z)^2 / q where that is one number for every q, else None.
        kinks: positions other than 0 where phi or phi' jumps, ascending.
        jumps: positions where phi jumps.
        closed: closed forms of the averages, or None for quadrature.
        derivative_error: relative error of the derivative.
    """

    name: str
    function: Callable[[FloatArray], FloatArray]
    derivative: Callable[[FloatArray], FloatArray]
    homogeneous: float | None = None
    kinks: tuple[float, ...] = ()
    jumps: tuple[float, ...] = ()
    closed: ClosedForms | None = None
    derivative_error: float = 0.0

    def __repr__(self) -> str:
        return f"Activation({self.name!r})"

    @property
    def exact(self) -> bool:
        """Whether all averages are closed forms."""
        return self.closed is not None or self.homogeneous is not None

    def second_moment(self, q: float, nodes: int = _NODES) -> float:
        """E phi(sqrt(q) z)^2."""
        if self.homogeneous is not None:
            return self.homogeneous * q
        if self.closed is not None:
            return self.closed.second_moment(q)
        if q == 0.0:
            with np.errstate(over="ignore", invalid="ignore"):
                return float(np.mean(self.function(np.array([-0.0, 0.0])) ** 2))
        z, weights = line(q, nodes, self.kinks)
        with np.errstate(over="ignore", invalid="ignore"):
            return float(weights @ self.function(math.sqrt(q) * z) ** 2)

    def slope_moment(self, q: float, nodes: int = _NODES) -> float:
        """E phi'(sqrt(q) z)^2."""
        if self.homogeneous is not None:
            return self.homogeneous
        if self.closed is not None:
            return self.closed.slope_moment(q)
        if q == 0.0:
            with np.errstate(over="ignore", invalid="ignore"):
                return float(np.mean(self.derivative(np.array([-0.0, 0.0])) ** 2))
        z, weights = line(q, nodes, self.kinks)
        with np.errstate(over="ignore", invalid="ignore"):
            return float(weights @ self.derivative(math.sqrt(q) * z) ** 2)

    def moment_slope(self, q: float, nodes: int = _NODES) -> float:
        """d/dq E phi(sqrt(q) z)^2 = E phi phi' z / sqrt(q), by Stein's lemma E (phi'^2 + phi phi'').

        Where phi jumps it is E (phi^2 - phi(0)^2) (z^2 - 1) / (2 q), the derivative of the density.
        """
        if self.homogeneous is not None:
            return self.homogeneous
        if self.closed is not None:
            return self.closed.moment_slope(q)
        if q == 0.0:
            return self.slope_moment(0.0)
        z, weights = line(q, nodes, self.kinks)
        x = math.sqrt(q) * z
        with np.errstate(over="ignore", invalid="ignore"):
            if self.jumps:
                squares = self.function(x) ** 2 - self.function(np.zeros(1))[0] ** 2
                return float(weights @ (squares * (z * z - 1.0))) / (2.0 * q)
            return float(weights @ (self.function(x) * self.derivative(x) * z)) / math.sqrt(q)

    def pair_moments(self, q: float, c: float, nodes: int = 48) -> tuple[float, float]:
        """E phi(u) phi(v) and E phi'(u) phi'(v) for Gaussians of variance q and correlation c, |c| < 1."""
        if self.closed is not None:
            return self.closed.pair_moments(q, c)
        z, weights = half_line(q, nodes)
        z, weights = np.concatenate([-z, z]), np.concatenate([weights, weights])
        # u = a s + b d and v = a s - b d treat both signals alike.
        root = math.sqrt(q)
        s, d = root * math.sqrt((1.0 + c) / 2.0) * z, root * math.sqrt((1.0 - c) / 2.0) * z
        u, v = s[:, None] + d, s[:, None] - d
        values = self.function(u) * self.function(v)
        slopes = self.derivative(u) * self.derivative(v)
        return float(weights @ values @ weights), float(weights @ slopes @ weights)
