r"""The norm of a signal through layers of fresh Gaussian weights, exact at every width (claim C5).

With weights of variance :math:`g^2/n_{l-1}` into a layer of :math:`n_l` units, independently at every layer,

.. math:: \frac{\|x_l\|^2}{\|x_{l-1}\|^2} = \frac{g^2}{n_{l-1}}\,\chi^2_\beta, \qquad
          \beta = n_l \text{ (linear)}, \quad \beta \sim \mathrm{Bin}(n_l, \tfrac12) \text{ (ReLU)},

whatever the direction of :math:`x_{l-1}`, so the logarithm of the norm is a sum of independent terms. E log
chi^2_n = psi(n/2) + log 2, with variance psi'(n/2). :math:`\mathrm E\|x\|^4/(\mathrm E\|x\|^2)^2` is the
product of 1 + 2/n_l (linear) or 1 + 5/n_l (ReLU; Hanin 2018). A ReLU layer dies with probability 2^-n, so
its log moments are conditional on survival.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from dynprop.arrays import describe
from dynprop.errors import ArgumentError
from dynprop.products.weights.scalar import require_depth, require_number

__all__ = ["NormLaw", "chi_square_log_moments", "layer_norm_law", "require_exact_activation", "require_width"]


@dataclass(frozen=True)
class NormLaw:
    """Distribution of norm(x_L) / norm(x_0) through layers of fresh Gaussian weights. Logarithms are natural.

    Attributes:
        log_mean: E log of the norm ratio, given that no layer died.
        log_variance: its variance, given that no layer died.
        log_mean_square: log E of the squared ratio, dead layers counted as 0.
        square_ratio: E ratio^4 / (E ratio^2)^2, dead layers counted as 0: prod(1 + 2/n) or prod(1 + 5/n).
        zero_mass: probability that some layer died.
    """

    log_mean: float
    log_variance: float
    log_mean_square: float
    square_ratio: float
    zero_mass: float


def require_exact_activation(activation: object) -> str:
    """Return "linear" or "relu", or raise ArgumentError: no other activation has an exact formula."""
    if activation not in ("linear", "relu"):
        raise ArgumentError("activation", repr(activation), '"linear" or "relu"; see mean_field for others')
    return str(activation)


def layer_norm_law(widths: Sequence[int], gain: float, activation: str = "linear") -> NormLaw:
    """Return the exact distribution of the norm through rectangular layers of fresh Gaussian weights.

    Args:
        widths: n_0, n_1, ..., n_L, each >= 1: the input and every layer. Layer l has weights of shape
            (n_(l-1), n_l) and variance gain^2 / n_(l-1).
        gain: g >= 0; in square layers 1 preserves the mean square of linear ones, sqrt(2) that of ReLU ones.
        activation: "linear" or "relu".

    Raises:
        ArgumentError: a width that is not an integer >= 1, fewer than one of them, a negative gain, or
            another activation.

    Source: Sussillo and Abbott (2014), arXiv:1412.6558, section 2; Hanin (2018), arXiv:1801.03744, theorem 1.

    Example:
        >>> from dynprop.products import layer_norm_law
        >>> norm = layer_norm_law([10, 10, 10], gain=1.0)
        >>> round(norm.log_mean_square, 12), round(norm.square_ratio, 12)
        (0.0, 1.44)
    """
    kind = require_exact_activation(activation)
    g = require_number("gain", gain, 0.0)
    if not isinstance(widths, Iterable):
        raise ArgumentError("widths", describe(widths), "the widths of the input and of every layer")
    sizes = [require_width(f"widths[{i}]", width, kind) for i, width in enumerate(widths)]
    if not sizes:
        raise ArgumentError("widths", "none", "the width of the input and of every layer")
    layers = sizes[1:]
    log_gain = math.log(g) if g else -math.inf
    moments = [chi_square_log_moments(kind, n) for n in layers]
    scale = sum((2.0 * log_gain - math.log(n) for n in sizes[:-1]), 0.0)
    half, excess = (1.0, 2.0) if kind == "linear" else (0.5, 5.0)
    log_alive = sum(math.log1p(-(2.0**-n)) for n in layers) if kind == "relu" else 0.0
    return NormLaw(
        log_mean=0.5 * (scale + math.fsum(mean for mean, _ in moments)),
        log_variance=0.25 * math.fsum(variance for _, variance in moments),
        log_mean_square=scale + math.fsum(math.log(half * n) for n in layers),
        square_ratio=math.exp(math.fsum(math.log1p(excess / n) for n in layers)),
        zero_mass=-math.expm1(log_alive),
    )


def require_width(name: str, width: object, activation: str) -> int:
    """Return a width as an int, or raise ArgumentError unless it is an integer from 1 to 2**53.

    For "relu" at most 10**7: its moments are sums over all numbers of live units.
    """
    size = require_depth(name, width, 1)
    limit = 10**7 if activation == "relu" else 2**53
    if size > limit:
        raise ArgumentError(name, f"more than {limit}", f"at most {limit} units for {activation}")
    return size


@lru_cache(maxsize=256)
def chi_square_log_moments(kind: str, n: int) -> tuple[float, float]:
    """Mean and variance of log chi^2: n degrees ("linear"), or Bin(n, 1/2) of them given any ("relu")."""
    from scipy.special import digamma, gammaln, polygamma

    if kind == "linear":
        return float(digamma(n / 2.0)) + math.log(2.0), float(polygamma(1, n / 2.0))
    beta = np.arange(1, n + 1)
    logs = gammaln(n + 1) - gammaln(beta + 1) - gammaln(n - beta + 1) - n * math.log(2.0)
    weights = np.exp(logs)
    weights /= weights.sum()
    means = digamma(beta / 2.0) + math.log(2.0)
    mean = float(weights @ means)
    return mean, float(weights @ (polygamma(1, beta / 2.0) + (means - mean) ** 2))
