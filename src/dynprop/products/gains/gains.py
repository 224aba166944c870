r"""Gains that preserve the size of a signal over many steps, for fresh weights and for one shared matrix.

A gain g means weights of variance :math:`g^2/n`. With fresh Gaussian weights the log norm has drift
:math:`\log g + \tfrac12(\mathrm E\log\chi^2_n - \log n)` per linear layer, exactly, so

.. math:: g = \sqrt{n/2}\;e^{-\psi(n/2)/2} = 1 + \tfrac1{2n} + O(n^{-2})

has none; exp(1/(2n)) is its first-order form (Sussillo and Abbott 2014). Its spread over T layers is
:math:`\sqrt{T\,\psi'(n/2)/4} \approx \sqrt{T/2n}`. With one shared matrix the log norm follows T log of the
spectral radius, which differs from matrix to matrix, so the spread grows like T rather than its root. This is
claim C5; `horizon_gain` measures it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dynprop.errors import ArgumentError
from dynprop.products.edge import edge_of_chaos
from dynprop.products.gains.walks import norm_walks
from dynprop.products.matrices.layers import (
    chi_square_log_moments,
    layer_norm_law,
    require_exact_activation,
    require_width,
)
from dynprop.products.weights.activations import ActivationLike
from dynprop.products.weights.scalar import require_depth

__all__ = ["HorizonGain", "NormWalk", "critical_gain", "horizon_gain"]


def critical_gain(width: int, activation: ActivationLike) -> float:
    """Return the gain g at which a deep net with fresh weights of variance g^2 / width keeps its signals.

    Args:
        width: units of every layer, >= 1.
        activation: "linear": the log norm has no drift, exact at every width (digamma). "relu": likewise,
            given that no layer dies (probability 2^-width each). Others, as in `mean_field`: the edge
            of chaos without bias, the limit of large width, whatever the width.

    Returns:
        g > 0. For linear 1 + 1/(2 width) and for relu sqrt(2) (1 + 5/(4 width)), to first order; 1 for tanh,
        sqrt(pi)/2 for erf.

    Raises:
        ArgumentError: width not an integer from 1 to 2**53 (10**7 for relu), or unknown activation.
        PrecisionError: no gain keeps the signal without a bias (GELU, SiLU, Mish), as `edge_of_chaos`.

    Source: Sussillo and Abbott (2014), arXiv:1412.6558; Poole et al. (2016), arXiv:1606.05340.

    Example:
        >>> from dynprop.products import critical_gain
        >>> round(critical_gain(50, "linear"), 4), round(critical_gain(50, "relu"), 4)
        (1.0101, 1.4513)
        >>> critical_gain(50, "tanh")
        1.0
    """
    n = require_width("width", width, activation if isinstance(activation, str) else "")
    if isinstance(activation, str) and activation in ("linear", "relu"):
        return math.exp(0.5 * (math.log(n) - chi_square_log_moments(activation, n)[0]))
    return math.sqrt(edge_of_chaos(activation, 0.0).weight_variance)


@dataclass(frozen=True)
class NormWalk:
    """The log norm of a signal after a number of steps, over random weights.

    Attributes:
        drift: mean of log(norm after / norm before), natural, at the gain of the HorizonGain.
        spread: its standard deviation; it does not depend on the gain.
        zero_drift_gain: the gain at which the drift at this horizon would be 0.
        drift_error: standard error of the drift, 0 where it is exact.
        spread_error: standard error of the spread, 0 where it is exact.
    """

    drift: float
    spread: float
    zero_drift_gain: float
    drift_error: float
    spread_error: float


@dataclass(frozen=True)
class HorizonGain:
    """The gain for a horizon, with drift and spread for fresh and for shared weights.

    Attributes:
        gain: the gain without drift with fresh weights, that of `critical_gain`.
        fresh: new weights at every step, as in a deep net; exact.
        shared: the same weights at every step, as in a recurrent net; simulated.
    """

    gain: float
    fresh: NormWalk
    shared: NormWalk


def horizon_gain(
    width: int, steps: int, activation: str = "linear", samples: int = 400, seed: int = 0
) -> HorizonGain:
    """Return the gain for a number of steps, and drift and spread of the log norm there, fresh and shared.

    Fresh weights have exact formulas. For one shared Gaussian matrix no finite formula is known: it is
    simulated with a fixed seed, and standard errors are returned.

    Args:
        width: units n, >= 1.
        steps: horizon T, >= 1.
        activation: "linear" or "relu"; the size of a tanh or erf net is bounded, see `mean_field`.
        samples: number of shared matrices to simulate, >= 8; the work is samples x steps x width^2.
        seed: seed of the simulation.

    Raises:
        ArgumentError: a count that is too small, another activation, or a ReLU width at which fewer than 8
            signals survive to the horizon.

    Source: Sussillo and Abbott (2014), arXiv:1412.6558, section 2, for fresh weights.

    Example:
        >>> from dynprop.products import horizon_gain
        >>> found = horizon_gain(width=20, steps=10, samples=100)
        >>> round(found.gain, 4), round(found.fresh.spread, 2)
        (1.0257, 0.51)
        >>> found.shared.spread > found.fresh.spread
        True
    """
    n, horizon = require_depth("width", width, 1), require_depth("steps", steps, 1)
    kind = require_exact_activation(activation)
    count = require_depth("samples", samples, 8)
    start = require_depth("seed", seed, 0)
    gain = critical_gain(n, kind)
    law = layer_norm_law([n] * (horizon + 1), gain, kind)
    fresh = NormWalk(law.log_mean, math.sqrt(law.log_variance), gain, 0.0, 0.0)
    logs = norm_walks(n, horizon, kind, gain, "shared", count, start).forward[:, -1]
    logs = logs[np.isfinite(logs)]
    if len(logs) < 8:
        raise ArgumentError("width", str(n), f"a width at which relu signals live for {horizon} steps")
    drift, spread = float(logs.mean()), float(logs.std(ddof=1))
    # The variance of a sample variance, from the fourth moment, since the logarithms are not Gaussian.
    fourth = float(((logs - drift) ** 4).mean())
    error = math.sqrt(max(0.0, fourth - spread**4) / len(logs)) / (2.0 * spread) if spread else 0.0
    shared = NormWalk(drift, spread, gain * math.exp(-drift / horizon), spread / math.sqrt(len(logs)), error)
    return HorizonGain(gain, fresh, shared)
