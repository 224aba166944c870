r"""The log norm of a signal and of its gradient, layer by layer, measured in random nets (claim C5).

.. math:: x_l = \phi(W_l x_{l-1}), \qquad \delta_{l-1} = W_l^T(\phi'(W_l x_{l-1}) \odot \delta_l),

with a fresh :math:`W_l` at every layer (a deep feedforward net) or one W (a recurrent net without input).
Both walks are
stored as logarithms. The gradient is rescaled at every layer, the signal where the activation is homogeneous.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.errors import ArgumentError
from dynprop.products.weights.activations import Activation, ActivationLike, resolve_activation
from dynprop.products.weights.scalar import require_depth, require_number
from dynprop.results import Result

__all__ = ["NormWalks", "norm_walks"]

# Largest number of weights in memory at a time.
_MAX_WEIGHTS = 1 << 22


@dataclass(frozen=True, eq=False, repr=False)
class NormWalks(Result):
    """Measured walks of random nets, natural logarithms, each starting at 0.

    Attributes:
        forward: log(norm of x_l / norm of x_0), shape (nets, depth + 1), l = 0 first; -inf once the
            signal is zero.
        backward: log(norm of dL/dx_l / norm of dL/dx_L), shape (nets, depth + 1), in the order of l, so
            that the last column is 0 and the first is the gradient that reaches the input.
    """

    forward: FloatArray
    backward: FloatArray


def norm_walks(
    width: int,
    depth: int,
    activation: ActivationLike,
    gain: float,
    weights: Literal["fresh", "shared"],
    nets: int = 40,
    seed: int = 0,
) -> NormWalks:
    """Measure forward and backward norms in random nets with Gaussian weights of variance gain^2 / width.

    The input is a random direction with mean square 1 per unit, the gradient at the output a random
    direction.

    Args:
        width: units of every layer, >= 1.
        depth: layers, or time steps, >= 1.
        activation: as in `mean_field`.
        gain: g >= 0, see `critical_gain`.
        weights: "fresh" for new weights at every layer, "shared" for the same at all.
        nets: number of nets, >= 1.
        seed: seed of all random numbers; fresh and shared nets of one seed have the same inputs.

    Raises:
        ArgumentError: a count that is too small, a negative gain, an unknown activation or kind of weights.

    Source: experiment of Sussillo and Abbott (2014), arXiv:1412.6558, section 3, and its recurrent
        counterpart.

    Example:
        >>> from dynprop.products import norm_walks
        >>> walks = norm_walks(width=20, depth=5, activation="tanh", gain=0.1, weights="fresh", nets=3)
        >>> walks.forward.shape
        (3, 6)
        >>> bool((walks.forward[:, -1] < -5).all())
        True
    """
    n, layers = require_depth("width", width, 1), require_depth("depth", depth, 1)
    phi = resolve_activation(activation)
    scale = require_number("gain", gain, 0.0) / math.sqrt(n)
    if weights not in ("fresh", "shared"):
        raise ArgumentError("weights", repr(weights), '"fresh" or "shared"')
    count = require_depth("nets", nets, 1)
    ends, draws = np.random.SeedSequence(require_depth("seed", seed, 0)).spawn(2)
    end_rng, rng = np.random.default_rng(ends), np.random.default_rng(draws)
    distinct = layers if weights == "fresh" else 1
    block = max(1, _MAX_WEIGHTS // (distinct * n * n))
    parts = []
    for first in range(0, count, block):
        shape = (min(block, count - first), n, 1)
        matrices = rng.standard_normal((distinct, shape[0], n, n)) * scale
        signal, gradient = end_rng.standard_normal(shape), end_rng.standard_normal(shape)
        parts.append(_walk(matrices, layers, phi, signal, gradient))
    forward, backward = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    return NormWalks(forward, backward)


def _walk(
    matrices: FloatArray, layers: int, phi: Activation, signal: FloatArray, gradient: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Run signals forward and gradients backward, shape (nets, width, 1); one matrix if shared."""
    nets, width = signal.shape[:2]
    forward, backward = np.zeros((nets, layers + 1)), np.zeros((nets, layers + 1))
    signal = signal * (math.sqrt(width) / np.linalg.norm(signal, axis=1, keepdims=True))
    slopes = []
    start = 0.5 * math.log(width)
    for layer in range(layers):
        inputs = matrices[layer % len(matrices)] @ signal
        slopes.append(phi.derivative(inputs))
        signal = phi.function(inputs)
        logs, rescaled = _log_norms(signal)
        if phi.homogeneous is None:
            forward[:, layer + 1] = logs - start
        else:
            forward[:, layer + 1] = forward[:, layer] + logs
            signal = rescaled
            if layer == 0:
                forward[:, 1] -= start
    gradient = _log_norms(gradient)[1]
    for layer in reversed(range(layers)):
        gradient = np.swapaxes(matrices[layer % len(matrices)], 1, 2) @ (slopes[layer] * gradient)
        logs, gradient = _log_norms(gradient)
        backward[:, layer] = backward[:, layer + 1] + logs
    return forward, backward


def _log_norms(vectors: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return log norms, shape (nets,), and the vectors scaled to norm 1 (a zero vector stays zero)."""
    # Squares of entries below 1e-160 underflow: divided by the largest entry they do not.
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    scaled = vectors / np.where(largest > 0.0, largest, 1.0)
    norms = np.linalg.norm(scaled, axis=1, keepdims=True)
    with np.errstate(divide="ignore"):
        logs = np.log(norms[:, 0, 0]) + np.log(largest[:, 0, 0])
    return logs, scaled / np.where(norms > 0.0, norms, 1.0)
