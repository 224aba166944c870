r"""The factor by which a layer's weights are scaled so that its output has a given variance.

An affine layer without its bias is linear in its weight, y = s y_0 + b, so that the variance over all entries
is a quadratic in s,

.. math:: s^2\,\mathrm{Var}\,y_0 + 2s\,\mathrm{Cov}(y_0, b) + \mathrm{Var}\,b = v,

with its positive root as the factor. The output of a recurrent layer, or of a layer with a forward of its
own, is not affine in the weights; the scale is bracketed and bisected.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dynprop.errors import ArgumentError
from dynprop.products.initializers.layer_kinds import Layer

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["factor_of", "output_of", "variance_of"]

# Weights are scaled by a factor between 2^-12 and 2^12, found to 2^-40.
_MAX_LOG2, _HALVINGS = 12.0, 46
_GRID = 24


def output_of(values: Any) -> Tensor:
    """Return the entries whose variance is set: the first of several outputs, a PackedSequence's data."""
    from torch.nn.utils.rnn import PackedSequence

    if isinstance(values, tuple) and not isinstance(values, PackedSequence):
        values = values[0]
    entries: Tensor = values.data if isinstance(values, PackedSequence) else values
    if not entries.is_floating_point():
        raise ArgumentError("module", f"a layer with an output of {entries.dtype}", "real floating outputs")
    return entries.detach()


def variance_of(values: Any) -> float:
    """Return the variance over all entries of an output, in float64."""
    import torch

    return float(output_of(values).to(torch.float64).var(correction=0))


def factor_of(name: str, layer: Layer, target: float, output: Any, again: Callable[[], Any]) -> float:
    """Return the factor of a layer's weights at which its output has the target variance.

    Args:
        name: the layer's name in messages.
        layer: the layer.
        target: variance of the output.
        output: its output with the weights as they are.
        again: computes its output anew, with the weights of the moment.

    Raises:
        ArgumentError: a dead layer, or a target out of range.
    """
    if layer.affine and not layer.own_forward:
        return _affine_factor(name, layer, target, output)
    return _bisected_factor(name, layer, target, again)


def _affine_factor(name: str, layer: Layer, target: float, output: Any) -> float:
    """Solve the quadratic of the module docstring."""
    import torch

    values = output_of(output).to(torch.float64)
    bias = torch.zeros((), dtype=torch.float64)
    if layer.bias is not None:
        bias = layer.bias.detach().to(torch.float64)
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


def _bisected_factor(name: str, layer: Layer, target: float, again: Callable[[], Any]) -> float:
    """Bisect the smallest common factor of all weights that gives the target."""
    original = [weight.detach().clone() for weight in layer.weights]

    def measured(exponent: float) -> float:
        for weight, values in zip(layer.weights, original, strict=True):
            weight.copy_(values * 2.0**exponent)
        return variance_of(again())

    try:
        _require_alive(name, measured(0.0), 0.0)
        grid = [-_MAX_LOG2 + 2.0 * _MAX_LOG2 * i / _GRID for i in range(_GRID + 1)]
        found = [measured(exponent) for exponent in grid]
        above = next((i for i, value in enumerate(found) if value >= target), None)
        if above is None or above == 0:
            got = f"{target:g} for {name!r}"
            attained = f"between {min(found):.3g} and {max(found):.3g}, which scaling its weights attains"
            raise ArgumentError("variance", got, attained)
        low, high = grid[above - 1], grid[above]
        for _ in range(_HALVINGS):
            middle = 0.5 * (low + high)
            low, high = (low, middle) if measured(middle) >= target else (middle, high)
    finally:
        for weight, values in zip(layer.weights, original, strict=True):
            weight.copy_(values)
    return float(2.0 ** (0.5 * (low + high)))


def _require_alive(name: str, variance: float, size: float) -> None:
    # A constant output varies by rounding errors only, 6e-8 of it in float32.
    if not math.isfinite(variance) or variance <= (1e-7 * size) ** 2:
        got = f"a dead layer {name!r}: the variance of its output on the sample is {variance:.3g}"
        raise ArgumentError("module", got, "layers that respond; look at those before it, and at the sample")
