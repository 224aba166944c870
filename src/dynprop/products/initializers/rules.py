r"""Initial weights of a stated scale: numpy functions f(shape, rng), shape (fan_in, fan_out).

Rows of a batch are multiplied from the left, x @ W, as in `dynprop.linear.unroll`; entry (i, j) leads from
input i to unit j. The given Generator is the only source of randomness. The torch versions, in place and with
a trailing underscore as in torch.nn.init, are in module `torch` of this package.

Variance 1/fan_in preserves the mean square; the gain of `sussillo_abbott` preserves the typical size, a
different requirement (see `gains`). An orthogonal matrix preserves every norm. For a recurrent matrix the
spectral radius matters, not the variance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.errors import PrecisionError
from dynprop.products.initializers.scale import (
    TRUNCATED_DEVIATION,
    TRUNCATED_MASS,
    require_generator,
    require_horizon,
    require_ring,
    require_shape,
    require_square,
    ring_logs,
    scaled_variance,
    walk_variance,
)
from dynprop.products.weights.activations import ActivationLike
from dynprop.products.weights.scalar import require_depth, require_number
from dynprop.results import Result

__all__ = [
    "ChronoGates",
    "LruRing",
    "chrono_gates",
    "identity",
    "lru_ring",
    "orthogonal",
    "spectral_radius",
    "sussillo_abbott",
    "variance_scaled",
]

Rng = np.random.Generator
Shape = tuple[int, int]
_TRIES = 64


def variance_scaled(
    shape: Shape, rng: Rng, scale: float = 1.0, mode: str = "fan_in", law: str = "normal"
) -> FloatArray:
    """Draw independent weights of mean 0 and variance scale / fan.

    Args:
        shape: (fan_in, fan_out).
        rng: source of all randomness.
        scale: 1 preserves the mean square of linear layers, 2 of ReLU layers (He et al. 2015), with fan_in; 1
            with fan_avg is Glorot's compromise between signal and gradient.
        mode: "fan_in", "fan_out" or "fan_avg", their mean.
        law: "normal"; "truncated", cut at two standard deviations of its parent and rescaled to the
            variance; or "uniform" around 0.

    Returns:
        float64 weights of that shape.

    Raises:
        ArgumentError: a shape that is not two sizes >= 1, no Generator, a negative scale, unknown mode or
            law.

    Source: Glorot and Bengio (2010), AISTATS, eq. 12 and 16; He et al. (2015), arXiv:1502.01852, eq. 10.

    Example:
        >>> import numpy as np
        >>> from dynprop.products import variance_scaled
        >>> weights = variance_scaled((400, 300), np.random.default_rng(0), scale=2.0)
        >>> weights.shape, round(400 * float(weights.var()), 1)
        ((400, 300), 2.0)
    """
    fans, draw = require_shape(shape), require_generator(rng)
    deviation = scaled_variance(fans, scale, mode, law) ** 0.5
    if law == "normal":
        return np.asarray(draw.standard_normal(fans) * deviation)
    if law == "uniform":
        half = 3.0**0.5 * deviation
        return draw.uniform(-half, half, fans)
    from scipy.special import erfinv

    signed = draw.uniform(-TRUNCATED_MASS, TRUNCATED_MASS, fans)
    return np.asarray(erfinv(signed) * (2.0**0.5 * deviation / TRUNCATED_DEVIATION))


def sussillo_abbott(shape: Shape, rng: Rng, activation: ActivationLike = "linear") -> FloatArray:
    """Draw Gaussian weights with the gain at which the log norm has no drift.

    Args:
        shape: (fan_in, fan_out).
        rng: source of all randomness.
        activation: activation of the layer, as in `critical_gain`; exact for "linear" and "relu".

    Returns:
        Weights of variance g^2 / fan_in, g the critical gain at width fan_out: the outputs have
        the typical mean square of the inputs, for any two widths.

    Raises:
        ArgumentError: as `variance_scaled`; an unknown activation.
        PrecisionError: an activation without a critical gain (GELU, SiLU, Mish), as `critical_gain`.

    Source: Sussillo and Abbott (2014), arXiv:1412.6558, section 2, with the exact gain for exp(1/(2n)).

    Example:
        >>> import numpy as np
        >>> from dynprop.products import sussillo_abbott
        >>> weights = sussillo_abbott((400, 300), np.random.default_rng(0), "relu")
        >>> weights.shape, round(400 * float(weights.var()), 1)
        ((400, 300), 2.0)
    """
    fans, draw = require_shape(shape), require_generator(rng)
    return np.asarray(draw.standard_normal(fans) * walk_variance(fans, activation) ** 0.5)


def orthogonal(shape: Shape, rng: Rng, gain: float = 1.0) -> FloatArray:
    """Draw a matrix with orthogonal rows or columns of one norm, uniformly among all (Haar measure).

    Args:
        shape: (fan_in, fan_out); the shorter side is orthonormal times the gain.
        rng: source of all randomness.
        gain: norm of each vector, >= 0.

    Returns:
        Q times the gain, from the QR factorisation of a Gaussian matrix with the signs of the diagonal of R
        moved to Q. Without this correction the signs follow the factorisation's convention: the first entry
        of Q would never be positive.

    Raises:
        ArgumentError: as `variance_scaled`; a negative gain.

    Source: Mezzadri (2007), Notices AMS 54:592, section 5; Saxe, McClelland and Ganguli (2014),
        arXiv:1312.6120.

    Example:
        >>> import numpy as np
        >>> from dynprop.products import orthogonal
        >>> weights = orthogonal((3, 2), np.random.default_rng(0), gain=2.0)
        >>> np.allclose(weights.T @ weights, 4.0 * np.eye(2))
        True
    """
    (rows, columns), draw = require_shape(shape), require_generator(rng)
    factor = require_number("gain", gain, 0.0)
    frame, triangle = np.linalg.qr(draw.standard_normal((max(rows, columns), min(rows, columns))))
    frame = frame * np.copysign(factor, triangle.diagonal())
    return np.ascontiguousarray(frame if rows >= columns else frame.T)


def identity(shape: Shape, rng: Rng | None = None, gain: float = 1.0) -> FloatArray:
    """Return the identity times a gain, cut to the shape; nothing is random.

    Args:
        shape: (fan_in, fan_out).
        rng: not used; accepted for the common signature f(shape, rng).
        gain: diagonal entry.

    Raises:
        ArgumentError: as `variance_scaled`; a gain that is not finite.

    Source: Le, Jaitly and Hinton (2015), arXiv:1504.00941, section 3.

    Example:
        >>> from dynprop.products import identity
        >>> identity((2, 3), gain=0.5)
        array([[0.5, 0. , 0. ],
               [0. , 0.5, 0. ]])
    """
    return np.eye(*require_shape(shape)) * require_number("gain", gain)


def spectral_radius(shape: Shape, rng: Rng, radius: float = 1.0, nonzeros: int | None = None) -> FloatArray:
    """Draw a square Gaussian matrix and scale it to a spectral radius.

    Args:
        shape: (n, n).
        rng: source of all randomness.
        radius: largest modulus of an eigenvalue, >= 0; as exact as the computed eigenvalues, whose error is
            a few n units in the last place times their condition.
        nonzeros: weights into each unit that are not zero, at random places; None for all.

    Raises:
        ArgumentError: a shape that is not square, a negative radius, more nonzeros than n.
        PrecisionError: 64 sparse matrices in a row have no cycle, so their radius is 0 at any scale.

    Source: Sutskever, Martens, Dahl and Hinton (2013), section 4: 15 nonzeros, radius 1.1; Jaeger (2001).

    Example:
        >>> import numpy as np
        >>> from dynprop.products import spectral_radius
        >>> weights = spectral_radius((20, 20), np.random.default_rng(0), radius=1.25, nonzeros=5)
        >>> round(float(abs(np.linalg.eigvals(weights)).max()), 6), int((weights != 0).sum())
        (1.25, 100)
    """
    n, draw = require_square(shape), require_generator(rng)
    wanted = require_number("radius", radius, 0.0)
    count = n if nonzeros is None else require_depth("nonzeros", nonzeros, 1)
    if count > n:
        require_depth("n of shape (n, n)", n, count)
    for _ in range(_TRIES):
        weights = draw.standard_normal((n, n))
        if count < n:
            # A random subset of places in every column: the ranks of n independent numbers.
            places = np.argsort(draw.random((n, n)), axis=0)
            np.put_along_axis(weights, places[count:], 0.0, axis=0)
        # Computed eigenvalues of a nilpotent matrix are not 0, so cycles of its pattern are checked instead.
        if count == n or _has_cycle(weights):
            found = float(np.abs(np.linalg.eigvals(weights)).max())
            return np.asarray(weights * (wanted / found))
    raise PrecisionError(f"{_TRIES} matrices with {count} nonzeros per unit and n = {n}: none has a cycle")


def _has_cycle(weights: FloatArray) -> bool:
    """Return whether the graph of the nonzero entries has a cycle: units without inputs are removed."""
    kept = np.ones(len(weights), dtype=np.bool_)
    edges = weights != 0.0
    while kept.any():
        fed = kept & edges[kept].any(axis=0)
        if np.array_equal(fed, kept):
            return True
        kept = fed
    return False


@dataclass(frozen=True, eq=False, repr=False)
class LruRing(Result):
    """Parameters of a linear recurrent unit, lambda = exp(-exp(nu_log) + i exp(theta_log)).

    Attributes:
        nu_log, theta_log: logarithms of decay and phase per step, shape (size,).
        gamma_log: logarithm of the input's normalisation sqrt(1 - abs(lambda)^2), shape (size,).
    """

    nu_log: FloatArray
    theta_log: FloatArray
    gamma_log: FloatArray


def lru_ring(
    size: int, rng: Rng, r_min: float = 0.9, r_max: float = 0.999, max_phase: float = 2.0 * np.pi
) -> LruRing:
    """Draw eigenvalues uniformly from a ring of the complex plane, in a linear recurrent unit's parameters.

    Squared moduli are uniform between r_min^2 and r_max^2, phases between 0 and max_phase. With the
    normalisation a unit driven by white noise of power 1 has stationary power 1, and power
    1 - abs(lambda)^(2t) after t steps from zero.

    Args:
        size: number of eigenvalues, >= 1.
        rng: source of all randomness.
        r_min, r_max: 0 <= r_min <= r_max <= 1; with r_max = 1 moduli stay below 1 unless r_min is 1.
        max_phase: in (0, 2 pi].

    Raises:
        ArgumentError: a value outside of these, no Generator.

    Source: Orvieto et al. (2023), arXiv:2303.06349, lemma 3.2 and appendix A.

    Example:
        >>> import numpy as np
        >>> from dynprop.products import lru_ring
        >>> ring = lru_ring(100, np.random.default_rng(0), r_min=0.5, r_max=0.9)
        >>> moduli = np.exp(-np.exp(ring.nu_log))
        >>> bool((moduli >= 0.5).all() and (moduli <= 0.9).all())
        True
    """
    count, draw = require_depth("size", size, 1), require_generator(rng)
    require_ring(r_min, r_max, max_phase)
    squares = r_min**2 + (r_max**2 - r_min**2) * _open_unit(draw, count)
    if r_min < r_max:
        squares = np.minimum(squares, np.nextafter(r_max**2, 0.0))
    phases = max_phase * _open_unit(draw, count)
    with np.errstate(divide="ignore"):
        nu_log, gamma_log = ring_logs(np, squares)
    return LruRing(nu_log, np.log(phases), gamma_log)


@dataclass(frozen=True, eq=False, repr=False)
class ChronoGates(Result):
    """Biases of the gates of an LSTM.

    Attributes:
        forget: biases of the forget gate, shape (size,).
        input: biases of the input gate, the negative of `forget`.
    """

    forget: FloatArray
    input: FloatArray


def chrono_gates(size: int, rng: Rng, horizon: float) -> ChronoGates:
    """Draw gate biases whose time scales are uniform up to a horizon: forget log U, input -log U.

    U is uniform on [1, horizon - 1]; a forget gate at rest is U/(1 + U), so its time scale 1/(1 - f) = 1 + U
    is exactly uniform on [2, horizon].

    Args:
        size: number of units, >= 1.
        rng: source of all randomness.
        horizon: longest time scale in steps, >= 2; at 2 all biases are 0.

    Raises:
        ArgumentError: a value outside of these, no Generator.

    Source: Tallec and Ollivier (2018), arXiv:1804.11188, section 3, eq. 16.

    Example:
        >>> import numpy as np
        >>> from dynprop.products import chrono_gates
        >>> gates = chrono_gates(100, np.random.default_rng(0), horizon=50)
        >>> time_scales = 1 + np.exp(gates.forget)
        >>> bool((time_scales >= 2).all() and (time_scales <= 50).all())
        True
    """
    count, draw = require_depth("size", size, 1), require_generator(rng)
    forget = np.log(draw.uniform(1.0, require_horizon(horizon) - 1.0, count))
    return ChronoGates(forget, -forget)


def _open_unit(rng: Rng, size: int) -> Any:
    """Uniform numbers strictly between 0 and 1, since log(-log u) is not finite at 0 and 1."""
    return (rng.integers(2**52, size=size) + 0.5) * 2.0**-52
