r"""Quadrature for averages over Gaussian variables, exact about kinks and jumps at known places.

A Gaussian average :math:`\mathrm E\,f(\sqrt q z)` is taken on each half line separately, and on each piece
between kinks, by Gauss-Legendre (Gauss-Hermite converges only like 1/nodes at a kink). The substitution
:math:`z = \sinh(u)/(1+\sqrt q)` puts as many nodes on the scale of the activation, 1/sqrt(q), as on that of
the Gaussian.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from dynprop.arrays import FloatArray

__all__ = ["half_line", "line"]

# The Gaussian density is cut at this z: the mass beyond is 2e-33.
_END = 12.0
_PANEL = 128


@lru_cache(maxsize=16)
def _legendre(nodes: int) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights on (0, 1): one Gauss-Legendre rule, or panels of 128 nodes."""
    panels = max(1, nodes // _PANEL)
    x, weights = np.polynomial.legendre.leggauss(min(nodes, _PANEL))
    starts = np.arange(panels)[:, None]
    return ((starts + 0.5 * (x + 1.0)) / panels).ravel(), np.tile(0.5 * weights / panels, panels)


def half_line(q: float, nodes: int, kinks: tuple[float, ...] = ()) -> tuple[FloatArray, FloatArray]:
    """Nodes z > 0 and weights with the Gaussian density.

    Args:
        q: variance of x = sqrt(q) z.
        nodes: number of nodes on each piece, a quarter of it where there are many.
        kinks: positive x that separate pieces.
    """
    many = kinks and len(kinks) > 4
    x, weights = _legendre(nodes // 4 if many else nodes)
    sharp = 1.0 + math.sqrt(q)
    end = math.asinh(sharp * _END)
    if kinks:
        inner = [k / math.sqrt(q) for k in kinks if k < _END * math.sqrt(q)]
        cuts = np.array([0.0, *(math.asinh(sharp * z) / end for z in inner), 1.0])
        widths = np.diff(cuts)
        x = (cuts[:-1, None] + widths[:, None] * x).ravel()
        weights = (widths[:, None] * weights).ravel()
    z = np.sinh(end * x) / sharp
    jacobian = end * np.cosh(end * x) / sharp
    return z, weights * jacobian * np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)


def line(q: float, nodes: int, kinks: tuple[float, ...] = ()) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights on both half lines, each cut at the kinks on its side; see `half_line`."""
    if not kinks:
        z, weights = half_line(q, nodes)
        return np.concatenate([-z, z]), np.concatenate([weights, weights])
    left, right = tuple(sorted(-k for k in kinks if k < 0.0)), tuple(sorted(k for k in kinks if k > 0.0))
    (below, lower), (above, upper) = half_line(q, nodes, left), half_line(q, nodes, right)
    return np.concatenate([-below, above]), np.concatenate([lower, upper])
