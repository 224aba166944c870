"""Layers of a torch module that `calibrate_` can scale, and the weights that it scales in each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dynprop.errors import ArgumentError

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Layer", "scalable_layers"]


@dataclass(frozen=True)
class Layer:
    """A layer that can be scaled.

    Attributes:
        module: the torch module.
        weights: parameters that are scaled by one factor.
        bias: the bias of an output that is affine in the weights, shaped for addition; None without one.
        affine: whether the output is affine in the weights.
        own_forward: whether a subclass computes the output in its own way.
    """

    module: Any  # a layer's attributes depend on its kind
    weights: tuple[Tensor, ...]
    bias: Tensor | None
    affine: bool
    own_forward: bool


def scalable_layers(module: nn.Module) -> tuple[dict[str, Layer], dict[str, str]]:
    """Return the layers that can be scaled, and those with weights that cannot with the reason, by name.

    Raises:
        ArgumentError: a weight that is computed from others or shared by two layers, an uninitialised one,
            or a compiled module.
    """
    import torch
    from torch import nn

    if isinstance(module, torch.jit.ScriptModule):
        raise ArgumentError(
            "module", f"a {type(module).__name__}", "an eager module; compile it after calibration"
        )
    found: dict[str, Layer] = {}
    left: dict[str, str] = {}
    inside: set[nn.Module] = set()
    for name, part in module.named_modules():
        if any(torch.nn.parameter.is_lazy(p) for p in part.parameters(recurse=False)):
            got = f"{name!r} with uninitialised parameters"
            raise ArgumentError("module", got, "initialised ones; call the module once before")
        if part in inside:
            continue
        if isinstance(part, torch.jit.ScriptModule):
            left[name] = "a compiled module does not show its layers"
            inside.update(part.modules())
            continue
        base = next((kind for kind in _kinds() if isinstance(part, kind)), None)
        if base is None:
            matrices = [key for key, p in part.named_parameters(recurse=False) if p.ndim >= 2]
            if matrices:
                left[name] = f"{type(part).__name__} is no layer that can be scaled"
            continue
        found[name] = _layer(name, part, base)
        if isinstance(part, nn.MultiheadAttention):
            inside.add(part.out_proj)
    _refuse_shared(found)
    for name, reason in _shared_elsewhere(module, found).items():
        del found[name]
        left[name] = reason
    return found, left


def _kinds() -> tuple[type[Any], ...]:
    from torch import nn
    from torch.nn.modules.conv import _ConvNd

    return nn.Linear, _ConvNd, nn.Bilinear, nn.MultiheadAttention, nn.RNNBase, nn.RNNCellBase


def _layer(name: str, part: Any, base: type[Any]) -> Layer:
    from torch import nn
    from torch.nn.modules.conv import _ConvNd

    owner, keys = part, ["weight"]
    if isinstance(part, nn.RNNBase):
        keys = [key for group in part._all_weights for key in group if key.startswith("weight")]
    elif isinstance(part, nn.RNNCellBase):
        keys = ["weight_ih", "weight_hh"]
    elif isinstance(part, nn.MultiheadAttention):
        # The output is linear in this weight; the others enter through the softmax.
        owner = part.out_proj
    weights = []
    for key in keys:
        weight = owner._parameters.get(key)
        if weight is None:
            raise ArgumentError("module", f"{name!r} whose {key} is computed from others", "plain weights")
        weights.append(weight)
    affine = not isinstance(part, nn.RNNBase | nn.RNNCellBase)
    bias = getattr(owner, "bias", None) if affine else None
    if bias is not None and isinstance(part, _ConvNd):
        bias = bias.reshape(-1, *[1] * len(part.kernel_size))
    return Layer(part, tuple(weights), bias, affine, not _is_torch_forward(type(part)))


def _is_torch_forward(kind: type[Any]) -> bool:
    return str(getattr(kind.forward, "__module__", "")).startswith("torch.nn.modules.")


def _refuse_shared(layers: dict[str, Layer]) -> None:
    known: list[tuple[str, Tensor]] = []
    for name, layer in layers.items():
        for weight in layer.weights:
            for other, seen in known:
                if other != name and _overlap(weight, seen):
                    got = f"one weight in {other!r} and {name!r}"
                    raise ArgumentError("module", got, "a weight per layer")
            known.append((name, weight))


def _shared_elsewhere(module: nn.Module, layers: dict[str, Layer]) -> dict[str, str]:
    """Return layers whose weights another module holds too, such as an embedding."""
    found = {}
    owned = {id(weight): name for name, layer in layers.items() for weight in layer.weights}
    places = [
        (f"{part_name}.{key}".lstrip("."), value)
        for part_name, part in module.named_modules()
        for key, value in (*part._parameters.items(), *part._buffers.items())
        if value is not None
    ]
    for name, layer in layers.items():
        prefix = f"{name}." if name else ""
        for place, value in places:
            same = any(_overlap(weight, value) for weight in layer.weights)
            if same and not (place.startswith(prefix) and owned.get(id(value)) == name):
                found[name] = f"its weight is shared with {place!r}"
    return found


def _overlap(a: Tensor, b: Tensor) -> bool:
    """Return whether two tensors have memory in common, as tied weights and views do."""
    first, second = _extent(a), _extent(b)
    return a.device == b.device and first[0] < second[1] and second[0] < first[1]


def _extent(tensor: Tensor) -> tuple[int, int]:
    if tensor.numel() == 0:
        return 0, 0
    last = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    start = tensor.data_ptr()
    return start, start + (last + 1) * tensor.element_size()
