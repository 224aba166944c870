"""Initial weights in place, for torch: the functions of `rules`, called like those of torch.nn.init.

Weights are (fan_out, fan_in), followed by the kernel's axes for convolutions, as in torch.nn. Numbers
are drawn in float64 from the given generator, or from torch's default one, and rounded once, so that a
float32 and a float64 weight of one seed are equal up to rounding.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from dynprop.arrays import describe, dtype_name, library_of
from dynprop.errors import ArgumentError
from dynprop.products.initializers.rules import spectral_radius
from dynprop.products.initializers.scale import (
    TRUNCATED_DEVIATION,
    TRUNCATED_MASS,
    require_horizon,
    require_ring,
    require_square,
    ring_logs,
    scaled_variance,
    walk_variance,
)
from dynprop.products.weights.activations import ActivationLike
from dynprop.products.weights.scalar import require_number

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = [
    "chrono_gates_",
    "chrono_lstm_",
    "identity_",
    "lru_ring_",
    "orthogonal_",
    "spectral_radius_",
    "sussillo_abbott_",
    "variance_scaled_",
]


def variance_scaled_(
    tensor: Tensor,
    scale: float = 1.0,
    mode: str = "fan_in",
    law: str = "normal",
    generator: torch.Generator | None = None,
) -> Tensor:
    """Fill a weight with independent numbers of mean 0 and variance scale / fan; see `variance_scaled`.

    Args:
        tensor: floating, shape (fan_out, fan_in, ...); a kernel of k places multiplies both fans by k.
        scale: 1 for linear, 2 for ReLU layers, with fan_in.
        mode: "fan_in", "fan_out" or "fan_avg".
        law: "normal", "truncated" or "uniform".
        generator: source of all randomness; default torch's own.

    Returns:
        The tensor.

    Raises:
        ArgumentError: no floating tensor with two axes at least, a negative scale, unknown mode or law.

    Source: Glorot and Bengio (2010), AISTATS, eq. 12 and 16; He et al. (2015), arXiv:1502.01852, eq. 10.

    Example:
        >>> import torch
        >>> from dynprop.products import variance_scaled_
        >>> generator = torch.Generator().manual_seed(0)
        >>> weight = variance_scaled_(torch.empty(300, 400), scale=2.0, generator=generator)
        >>> round(400 * float(weight.var()), 1)
        2.0
    """
    deviation = math.sqrt(scaled_variance(_fans(tensor), scale, mode, law))
    if law == "normal":
        return _fill(tensor, _normal(tuple(tensor.shape), generator) * deviation)
    if law == "uniform":
        return _fill(tensor, _uniform(tuple(tensor.shape), generator, math.sqrt(3.0) * deviation))
    signed = _uniform(tuple(tensor.shape), generator, TRUNCATED_MASS)
    return _fill(tensor, signed.erfinv() * (math.sqrt(2.0) * deviation / TRUNCATED_DEVIATION))


def sussillo_abbott_(
    tensor: Tensor, activation: ActivationLike = "linear", generator: torch.Generator | None = None
) -> Tensor:
    """Fill a weight with Gaussian numbers at the gain of zero drift; see `sussillo_abbott`.

    Args:
        tensor: floating, shape (fan_out, fan_in, ...).
        activation: activation of the layer, as in `critical_gain`.
        generator: source of all randomness; default torch's own.

    Returns:
        The tensor.

    Raises:
        ArgumentError: no floating tensor with two axes at least, or an unknown activation.
        PrecisionError: an activation without a critical gain (GELU, SiLU, Mish), as `critical_gain`.

    Source: Sussillo and Abbott (2014), arXiv:1412.6558, section 2, with the exact gain.

    Example:
        >>> import torch
        >>> from dynprop.products import sussillo_abbott_
        >>> generator = torch.Generator().manual_seed(0)
        >>> weight = sussillo_abbott_(torch.empty(300, 400), "relu", generator=generator)
        >>> round(400 * float(weight.var()), 1)
        2.0
    """
    deviation = math.sqrt(walk_variance(_fans(tensor), activation))
    return _fill(tensor, _normal(tuple(tensor.shape), generator) * deviation)


def orthogonal_(tensor: Tensor, gain: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
    """Fill a weight with an orthogonal matrix times a gain, Haar distributed; see `orthogonal`.

    Args:
        tensor: floating, shape (fan_out, fan_in, ...); axes after the first are taken as one.
        gain: norm of each vector, >= 0.
        generator: source of all randomness; default torch's own.

    Returns:
        The tensor.

    Raises:
        ArgumentError: no floating tensor with two axes at least, or a negative gain.

    Source: Mezzadri (2007), Notices AMS 54:592, section 5; Saxe, McClelland and Ganguli (2014).

    Example:
        >>> import torch
        >>> from dynprop.products import orthogonal_
        >>> weight = orthogonal_(torch.empty(3, 3), gain=2.0, generator=torch.Generator().manual_seed(0))
        >>> torch.allclose(weight @ weight.T, 4.0 * torch.eye(3), atol=1e-5)
        True
    """
    import torch

    _fans(tensor)
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    factor = require_number("gain", gain, 0.0)
    frame, triangle = torch.linalg.qr(_normal((max(rows, columns), min(rows, columns)), generator))
    frame = frame * torch.copysign(torch.tensor(factor, dtype=torch.float64), triangle.diagonal())
    return _fill(tensor, (frame if rows >= columns else frame.T).reshape(tensor.shape))


def identity_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Fill a weight of two axes with the identity times a gain, cut to its shape.

    Returns:
        The tensor.

    Raises:
        ArgumentError: no floating tensor with two axes, or a gain that is not finite.

    Source: Le, Jaitly and Hinton (2015), arXiv:1504.00941, section 3.

    Example:
        >>> import torch
        >>> from dynprop.products import identity_
        >>> identity_(torch.empty(2, 3), gain=0.5)
        tensor([[0.5000, 0.0000, 0.0000],
                [0.0000, 0.5000, 0.0000]])
    """
    import torch

    _fans(tensor, kernel=False)
    eye = torch.eye(*tensor.shape, dtype=torch.float64) * require_number("gain", gain)
    return _fill(tensor, eye)


def spectral_radius_(
    tensor: Tensor,
    radius: float = 1.0,
    nonzeros: int | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Fill a recurrent weight with a Gaussian matrix of given spectral radius; see `spectral_radius`.

    Args:
        tensor: floating, shape (n, n).
        radius: largest modulus of an eigenvalue, >= 0, up to the rounding of entries to the tensor's dtype.
        nonzeros: weights into each unit that are not zero; None for all.
        generator: source of all randomness; default torch's own.

    Returns:
        The tensor.

    Raises:
        ArgumentError: no floating square matrix, a negative radius, more nonzeros than n.
        PrecisionError: no sparse matrix with a cycle was drawn.

    Source: Sutskever, Martens, Dahl and Hinton (2013), section 4; Jaeger (2001).

    Example:
        >>> import torch
        >>> from dynprop.products import spectral_radius_
        >>> generator = torch.Generator().manual_seed(0)
        >>> weight = spectral_radius_(torch.empty(20, 20), radius=1.25, generator=generator)
        >>> round(float(torch.linalg.eigvals(weight).abs().max()), 4)
        1.25
    """
    import torch

    _fans(tensor, kernel=False)
    require_square(tuple(tensor.shape))
    # One number from torch seeds numpy, since the number of draws depends on the eigenvalues.
    place = "cpu" if generator is None else generator.device
    seed = int(torch.randint(2**62, (), generator=generator, device=place))
    weights = spectral_radius((len(tensor), len(tensor)), np.random.default_rng(seed), radius, nonzeros)
    return _fill(tensor, torch.from_numpy(np.ascontiguousarray(weights.T)))


def lru_ring_(
    nu_log: Tensor,
    theta_log: Tensor,
    gamma_log: Tensor,
    r_min: float = 0.9,
    r_max: float = 0.999,
    max_phase: float = 2.0 * math.pi,
    generator: torch.Generator | None = None,
) -> None:
    """Fill the three parameters of a linear recurrent unit; see `lru_ring`.

    Args:
        nu_log, theta_log, gamma_log: floating tensors of one shape (size,).
        r_min, r_max: moduli lie between them, 0 <= r_min <= r_max <= 1.
        max_phase: phases lie between 0 and this, in (0, 2 pi].
        generator: source of all randomness; default torch's own.

    Raises:
        ArgumentError: tensors that are not floating or of different shapes, or a value outside of these.

    Source: Orvieto et al. (2023), arXiv:2303.06349, lemma 3.2 and appendix A.

    Example:
        >>> import torch
        >>> from dynprop.products import lru_ring_
        >>> nu, theta, gamma = (torch.empty(100, dtype=torch.float64) for _ in range(3))
        >>> lru_ring_(nu, theta, gamma, r_min=0.5, r_max=0.9, generator=torch.Generator().manual_seed(0))
        >>> moduli = torch.exp(-nu.exp())
        >>> bool((moduli >= 0.5).all() and (moduli <= 0.9).all())
        True
    """
    import torch

    _same_vectors({"nu_log": nu_log, "theta_log": theta_log, "gamma_log": gamma_log})
    require_ring(r_min, r_max, max_phase)
    squares = r_min**2 + (r_max**2 - r_min**2) * _open_unit(len(nu_log), generator)
    if r_min < r_max:
        squares = squares.clamp(max=float(np.nextafter(r_max**2, 0.0)))
    phases = max_phase * _open_unit(len(nu_log), generator)
    nu, gamma = ring_logs(torch, squares)
    for tensor, values in ((nu_log, nu), (theta_log, phases.log()), (gamma_log, gamma)):
        _fill(tensor, values)


def chrono_gates_(
    forget: Tensor, input: Tensor, horizon: float, generator: torch.Generator | None = None
) -> None:
    """Fill the biases of forget and input gates with log U and -log U; see `chrono_gates`.

    Args:
        forget: bias of the forget gate, shape (size,); it may be a slice of a larger bias.
        input: bias of the input gate, same shape.
        horizon: longest time scale in steps, >= 2.
        generator: source of all randomness; default torch's own.

    Raises:
        ArgumentError: tensors that are not floating or of different shapes, or a horizon below 2.

    Source: Tallec and Ollivier (2018), arXiv:1804.11188, section 3, eq. 16.

    Example:
        >>> import torch
        >>> from dynprop.products import chrono_gates_
        >>> forget, input = torch.empty(100), torch.empty(100)
        >>> chrono_gates_(forget, input, horizon=50, generator=torch.Generator().manual_seed(0))
        >>> bool((1 + forget.exp() <= 50.001).all()), torch.equal(input, -forget)
        (True, True)
    """
    _same_vectors({"forget": forget, "input": input})
    longest = require_horizon(horizon)
    values = (1.0 + (longest - 2.0) * _open_unit(len(forget), generator)).log()
    _fill(forget, values)
    _fill(input, -values)


def chrono_lstm_(
    module: torch.nn.LSTM, horizon: float, generator: torch.Generator | None = None
) -> torch.nn.LSTM:
    """Give a torch.nn.LSTM chrono gates, in every layer and direction.

    The LSTM adds its two biases, each ordered input, forget, cell, output. The first gets the chrono biases,
    with 0 for cell and output; the second gets 0.

    Args:
        module: an LSTM with biases.
        horizon: longest time scale in steps, >= 2.
        generator: source of all randomness; default torch's own.

    Returns:
        The module.

    Raises:
        ArgumentError: no LSTM, one without biases, or a horizon below 2.

    Source: Tallec and Ollivier (2018), arXiv:1804.11188, section 3, eq. 16.

    Example:
        >>> import torch
        >>> from dynprop.products import chrono_lstm_
        >>> lstm = torch.nn.LSTM(3, 4)
        >>> lstm = chrono_lstm_(lstm, horizon=2)
        >>> lstm.bias_ih_l0.detach()[:8]
        tensor([-0., -0., -0., -0., 0., 0., 0., 0.])
    """
    import torch

    if not isinstance(module, torch.nn.LSTM) or not module.bias:
        raise ArgumentError("module", type(module).__name__, "a torch.nn.LSTM with biases")
    require_horizon(horizon)
    size = module.hidden_size
    with torch.no_grad():
        for name, bias in module.named_parameters():
            if name.startswith("bias_"):
                bias.zero_()
            if name.startswith("bias_ih"):
                chrono_gates_(bias[size : 2 * size], bias[:size], horizon, generator)
    return module


def _fans(tensor: Any, kernel: bool = True) -> tuple[int, int]:
    """Return fan_in and fan_out of a weight, or raise ArgumentError."""
    if library_of(tensor) != "torch" or not tensor.is_floating_point():
        raise ArgumentError("tensor", describe(tensor), "a floating torch tensor")
    if tensor.ndim < 2 or (tensor.ndim > 2 and not kernel) or 0 in tensor.shape:
        more = " or more, (fan_out, fan_in, ...)" if kernel else ", (fan_out, fan_in)"
        raise ArgumentError("tensor", describe(tensor), f"two axes{more}, none of size 0")
    if "strided" not in str(tensor.layout):
        raise ArgumentError("tensor", f"a {tensor.layout} tensor", "a dense tensor")
    if any(step == 0 and size > 1 for step, size in zip(tensor.stride(), tensor.shape, strict=True)):
        raise ArgumentError("tensor", "an expanded tensor, whose entries share memory", "its clone")
    places = math.prod(tensor.shape[2:])
    return tensor.shape[1] * places, tensor.shape[0] * places


def _same_vectors(tensors: dict[str, Tensor]) -> None:
    sizes = {tuple(tensor.shape) for tensor in tensors.values() if library_of(tensor) == "torch"}
    for name, tensor in tensors.items():
        if library_of(tensor) != "torch" or not tensor.is_floating_point() or tensor.ndim != 1:
            raise ArgumentError(name, describe(tensor), "a floating torch tensor of shape (size,)")
        if len(sizes) > 1:
            raise ArgumentError(name, f"{dtype_name(tensor)} {tuple(tensor.shape)}", f"one shape of {sizes}")


def _fill(tensor: Tensor, values: Tensor) -> Tensor:
    import torch

    with torch.no_grad():
        return tensor.copy_(values)


def _normal(shape: tuple[int, ...], generator: torch.Generator | None) -> Tensor:
    return _empty(shape, generator).normal_(generator=generator)


def _uniform(shape: tuple[int, ...], generator: torch.Generator | None, half: float) -> Tensor:
    return _empty(shape, generator).uniform_(-half, half, generator=generator)


def _open_unit(size: int, generator: torch.Generator | None) -> Tensor:
    """Uniform numbers strictly between 0 and 1."""
    drawn = _empty((size,), generator).uniform_(generator=generator)
    return drawn.clamp(min=2.0**-54, max=1.0 - 2.0**-53)


def _empty(shape: tuple[int, ...], generator: torch.Generator | None) -> Tensor:
    """Return an empty float64 tensor on the generator's device."""
    import torch

    return torch.empty(shape, dtype=torch.float64, device=None if generator is None else generator.device)
