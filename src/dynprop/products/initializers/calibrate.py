r"""The scale of each layer set from data: every layer's output gets the variance that is asked for.

An affine layer without its bias is linear in its weight, y = s y_0 + b, so that the variance over all entries
is a quadratic in s,

.. math:: s^2\,\mathrm{Var}\,y_0 + 2s\,\mathrm{Cov}(y_0, b) + \mathrm{Var}\,b = v,

and its positive root is the factor: one forward pass sets all layers, each seeing the outputs of those before
it as they will be (Mishkin and Matas 2016 iterate instead). Outputs of a recurrent layer are not linear in
its weights; their scale is bracketed and bisected.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dynprop.arrays import describe
from dynprop.errors import ArgumentError
from dynprop.products.weights.scalar import require_number

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

__all__ = ["calibrate_"]

# Recurrent weights are scaled by a factor between 2^-12 and 2^12, found to 2^-40.
_REACH, _HALVINGS = 12.0, 46
_GRID = 24


def calibrate_(
    module: nn.Module, sample: Any, variance: float | Mapping[str, float] = 1.0
) -> dict[str, float]:
    """Scale the weights of a module's layers so that each one's output has the variance asked for.

    Linear, convolutional and recurrent layers (RNN, GRU, LSTM) are scaled in the order in which they run on
    the sample, in evaluation mode. Biases, buffers, gradients, training flags and random states are left as
    they are, and all weights too if an error is raised.

    Args:
        module: a torch module.
        sample: what it is called with; a tuple gives several arguments.
        variance: of the entries of every layer's output, over batch and units; or by layer name, and layers
            without a name in it are left alone. A tanh layer's output stays below 1.

    Returns:
        The factor of each layer's weights, by name, in the order of execution.

    Raises:
        ArgumentError: no torch module; a variance that is not positive; a name of no layer; a layer that is
            dead (its output does not vary on the sample, or is not finite), called more than once or of a
            weight that another layer shares or that is computed from others; or a variance out of reach, of
            its bias alone or of a recurrent layer's range.

    Source: Mishkin and Matas (2016), arXiv:1511.06422, algorithm 1.

    Example:
        >>> import torch
        >>> from dynprop.products import calibrate_
        >>> generator = torch.Generator().manual_seed(0)
        >>> layer, sample = torch.nn.Linear(8, 8), torch.randn(50, 8, generator=generator)
        >>> list(calibrate_(layer, sample, variance=4.0))
        ['']
        >>> round(float(layer(sample).detach().var(correction=0)), 3)
        4.0
    """
    import torch

    if not isinstance(module, torch.nn.Module):
        raise ArgumentError("module", describe(module), "a torch.nn.Module")
    targets = _targets(module, variance)
    weights = {name: value.detach().clone() for name, value in module.named_parameters()}
    buffers = {name: value.detach().clone() for name, value in module.named_buffers()}
    factors: dict[str, float] = {}
    handles = [
        layer.register_forward_hook(_hook(name, layer, target, factors), with_kwargs=True)
        for name, (layer, target) in targets.items()
    ]
    arguments = sample if isinstance(sample, tuple) else (sample,)
    try:
        with _evaluating(module), torch.no_grad(), torch.random.fork_rng(devices=[]):
            module(*arguments)
    except BaseException:
        _put(module.named_parameters(), weights)
        raise
    finally:
        for handle in handles:
            handle.remove()
        _put(module.named_buffers(), buffers)
    return factors


def _layers(module: nn.Module) -> dict[str, Any]:
    """Return the layers that are scaled, by name, each with weights of its own."""
    from torch import nn
    from torch.nn.modules.conv import _ConvNd

    found = {
        name: layer
        for name, layer in module.named_modules()
        if isinstance(layer, nn.Linear | _ConvNd | nn.RNNBase)
    }
    owners: dict[int, str] = {}
    for name, layer in found.items():
        for key in _weight_names(layer):
            weight = layer._parameters.get(key)
            if weight is None:
                raise ArgumentError(
                    "module", f"{name!r} whose {key} is computed from others", "plain weights"
                )
            other = owners.setdefault(id(weight), name)
            if other != name:
                raise ArgumentError("module", f"one weight in {other!r} and {name!r}", "a weight per layer")
    return found


def _weight_names(layer: Any) -> list[str]:
    from torch import nn

    if isinstance(layer, nn.RNNBase):
        return [name for group in layer._all_weights for name in group if name.startswith("weight")]
    return ["weight"]


def _targets(module: nn.Module, variance: float | Mapping[str, float]) -> dict[str, tuple[Any, float]]:
    layers = _layers(module)
    if not isinstance(variance, Mapping):
        variance = dict.fromkeys(layers, variance)
    targets = {}
    for name, value in variance.items():
        if name not in layers:
            known = ", ".join(layers) or "no layer"
            raise ArgumentError("variance", f"a layer {name!r}", f"names among {known}")
        number = require_number("variance", value, 0.0)
        if number == 0.0:
            raise ArgumentError("variance", "0.0", "a positive number")
        targets[name] = (layers[name], number)
    return targets


def _hook(name: str, layer: Any, target: float, factors: dict[str, float]) -> Any:
    """Return what scales a layer right after its first call, and gives the scaled output on."""

    def scale(_module: Any, arguments: tuple[Any, ...], keywords: dict[str, Any], output: Any) -> Any:
        if name in factors:
            raise ArgumentError("module", f"{name!r} called twice in one pass", "one call of each layer")
        from torch import nn

        shown = name or "the module itself"
        if isinstance(layer, nn.RNNBase):
            factor = _recurrent_factor(shown, layer, target, arguments, keywords)
        else:
            factor = _affine_factor(shown, layer, target, output)
        for key in _weight_names(layer):
            layer._parameters[key].mul_(factor)
        factors[name] = factor
        return layer.forward(*arguments, **keywords)

    return scale


def _affine_factor(name: str, layer: Any, target: float, output: Tensor) -> float:
    """Solve the quadratic of the module docstring."""
    import torch
    from torch import nn

    values = output.detach().to(torch.float64)
    bias = torch.zeros((), dtype=torch.float64)
    if layer.bias is not None:
        places = 0 if isinstance(layer, nn.Linear) else len(layer.kernel_size)
        bias = layer.bias.detach().to(torch.float64).reshape(-1, *[1] * places)
    constant = bias.expand_as(values)
    linear = values - constant
    linear, constant = linear - linear.mean(), constant - constant.mean()
    own, both, rest = (
        float((a * b).mean()) for a, b in ((linear, linear), (linear, constant), (constant, constant))
    )
    _require_alive(name, own, float(values.abs().max()) if values.numel() else 0.0)
    root = both * both - own * (rest - target)
    factor = (math.sqrt(root) - both) / own if root >= 0.0 else -1.0
    if not factor > 0.0:
        got = f"{target:g} for {name!r}, whose bias alone has variance {rest:.3g}"
        raise ArgumentError("variance", got, "more than that, or a bias of 0")
    return factor


def _recurrent_factor(
    name: str, layer: Any, target: float, arguments: tuple[Any, ...], keywords: dict[str, Any]
) -> float:
    """Bisect the smallest common factor of all weights of a recurrent layer that reaches the target."""
    weights = [layer._parameters[key] for key in _weight_names(layer)]
    original = [weight.detach().clone() for weight in weights]

    def measured(exponent: float) -> float:
        for weight, values in zip(weights, original, strict=True):
            weight.copy_(values * 2.0**exponent)
        return _variance(layer.forward(*arguments, **keywords)[0])

    try:
        _require_alive(name, measured(0.0), 0.0)
        grid = [-_REACH + 2.0 * _REACH * i / _GRID for i in range(_GRID + 1)]
        found = [measured(exponent) for exponent in grid]
        above = next((i for i, value in enumerate(found) if value >= target), None)
        if above is None or above == 0:
            got = f"{target:g} for {name!r}"
            reach = f"between {min(found):.3g} and {max(found):.3g}, which scaling its weights reaches"
            raise ArgumentError("variance", got, reach)
        low, high = grid[above - 1], grid[above]
        for _ in range(_HALVINGS):
            middle = 0.5 * (low + high)
            low, high = (low, middle) if measured(middle) >= target else (middle, high)
    finally:
        for weight, values in zip(weights, original, strict=True):
            weight.copy_(values)
    return float(2.0 ** (0.5 * (low + high)))


def _variance(values: Any) -> float:
    import torch

    return float(values.data.to(torch.float64).var(correction=0))


def _require_alive(name: str, variance: float, size: float) -> None:
    # A constant output varies by rounding errors only, 6e-8 of it in float32.
    if not math.isfinite(variance) or variance <= (1e-7 * size) ** 2:
        got = f"a dead layer {name!r}: the variance of its output on the sample is {variance:.3g}"
        raise ArgumentError("module", got, "layers that respond; look at those before it, and at the sample")


@contextmanager
def _evaluating(module: torch.nn.Module) -> Iterator[None]:
    """Set every submodule to evaluation, and each back to what it was."""
    flags = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, flag in flags.items():
            part.training = flag


def _put(named: Iterable[tuple[str, Tensor]], known: Mapping[str, Tensor]) -> None:
    import torch

    with torch.no_grad():
        for name, value in named:
            value.copy_(known[name])
