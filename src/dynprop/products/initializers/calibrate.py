"""Scale each layer of a torch module from data, so that its output has a given variance.

One forward pass scales all layers in the order of execution, each on the outputs of those before it after
their own scaling (Mishkin and Matas 2016 iterate instead). A second pass measures every output. A layer
whose variance is not the given one is excluded and the module is scaled again without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dynprop.arrays import describe
from dynprop.errors import ArgumentError
from dynprop.extras import needs
from dynprop.products.initializers.layer_kinds import Layer, scalable_layers
from dynprop.products.initializers.layer_scales import factor_of, variance_of
from dynprop.products.weights.scalar import require_number

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

__all__ = ["Calibration", "calibrate_"]

# Relative error of a variance that the measuring pass accepts: of the order of the root of the precision.
_ACCEPTED = {"float64": 1e-6, "float32": 1e-2, "float16": 0.1, "bfloat16": 0.1}


class Calibration(dict[str, float]):
    """The factor of each scaled layer's weights by name, in the order of execution.

    Attributes:
        left_alone: layers with weights that were not scaled, by name, each with the reason.
    """

    def __init__(self, factors: Mapping[str, float], left_alone: Mapping[str, str]) -> None:
        """Keep the factors and the reasons."""
        super().__init__(factors)
        self.left_alone: dict[str, str] = dict(left_alone)

    def __repr__(self) -> str:
        return f"Calibration({dict(self)!r}, left_alone={self.left_alone!r})"

    def __reduce__(self) -> tuple[type[Calibration], tuple[dict[str, float], dict[str, str]]]:
        return Calibration, (dict(self), self.left_alone)


def calibrate_(module: nn.Module, sample: Any, variance: float | Mapping[str, float] = 1.0) -> Calibration:
    """Scale the weights of a module's layers so that each one's output has the given variance.

    Linear, bilinear, convolutional and recurrent layers (RNN, GRU, LSTM and their cells) and the output
    projection of multi-head attention are scaled in the order in which they run on the sample, in evaluation
    mode. Biases, buffers, gradients, training flags and random states are left as they are, and all weights
    too if an error is raised. A second pass measures the variances; a layer of another variance is restored.

    Args:
        module: a torch module.
        sample: what it is called with; a tuple gives several arguments, a PackedSequence is one.
        variance: of the entries of every layer's output, over batch and units; or by layer name, and layers
            without a name in it are left alone. A tanh layer's output stays below 1.

    Returns:
        The factor of each layer's weights, by name, in the order of execution: a dict. Its attribute
        `left_alone` names the layers with weights that were not scaled, each with the reason: not called,
        a weight shared with an embedding, a subclass whose output its weight's scale does not bring to the
        variance, a kind that is not known.

    Raises:
        ArgumentError: no torch module, or a compiled one; a variance that is not positive; a name of no
            layer; a layer that is dead (its output does not vary on the sample, or is not finite), called
            more than once or of a weight that another layer shares or that is computed from others; a
            variance out of range, of its bias alone or of a recurrent layer's range; or no layer was scaled.

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
    with needs("calibrate_"):
        import torch
        from torch.nn.utils.rnn import PackedSequence

    if not isinstance(module, torch.nn.Module):
        raise ArgumentError("module", describe(module), "a torch.nn.Module")
    layers, left_alone = scalable_layers(module)
    targets = _targets(layers, left_alone, variance)
    if isinstance(variance, Mapping):
        left_alone = {}
    weights = {name: value.detach().clone() for name, value in module.named_parameters()}
    buffers = {name: value.detach().clone() for name, value in module.named_buffers()}
    several = isinstance(sample, tuple) and not isinstance(sample, PackedSequence)
    arguments = sample if several else (sample,)
    done = False
    try:
        while True:
            scaling = _Scaling(layers, targets, left_alone)
            _run(module, arguments, buffers, {name: scaling.hook(name) for name in targets})
            measured: dict[str, float] = {}
            _run(
                module,
                arguments,
                buffers,
                {n: (layers[n].module, _recorder(n, measured)) for n in scaling.factors},
            )
            wrong = _first_wrong(layers, targets, scaling.factors, measured)
            if wrong is None:
                done = True
                break
            name, reason = wrong
            left_alone = {**left_alone, name: reason}
            del targets[name]
            _restore(module.named_parameters(), weights)
    finally:
        if not done:
            _restore(module.named_parameters(), weights)
    return _result(targets, scaling.factors, scaling.left_alone, isinstance(variance, Mapping))


def _result(
    targets: Mapping[str, float], factors: dict[str, float], left_alone: dict[str, str], chosen: bool
) -> Calibration:
    """Return the result, with the layers that the sample did not run."""
    for name in targets:
        if name not in factors and name not in left_alone:
            left_alone[name] = "not called on the sample"
    if not factors and not (chosen and not targets):
        reasons = "; ".join(f"{name!r}: {reason}" for name, reason in left_alone.items())
        got = f"no layer that could be scaled{f' ({reasons})' if reasons else ''}"
        raise ArgumentError("module", got, "Linear, Bilinear, convolutional, recurrent or attention layers")
    return Calibration(factors, left_alone)


def _targets(
    layers: Mapping[str, Layer], left_alone: Mapping[str, str], variance: float | Mapping[str, float]
) -> dict[str, float]:
    if not isinstance(variance, Mapping):
        variance = dict.fromkeys(layers, variance) or {"": variance}
        if not layers:
            _require_positive(variance[""])
            return {}
    targets = {}
    for name, value in variance.items():
        if name in left_alone:
            raise ArgumentError("variance", f"a layer {name!r}", f"another: {left_alone[name]}")
        if name not in layers:
            known = ", ".join(layers) or "no layer"
            raise ArgumentError("variance", f"a layer {name!r}", f"names among {known}")
        targets[name] = _require_positive(value)
    return targets


def _require_positive(value: object) -> float:
    number = require_number("variance", value, 0.0)
    if number == 0.0:
        raise ArgumentError("variance", "0.0", "a positive number")
    return number


class _Scaling:
    """Forward hooks that scale each layer right after its first call, and pass the scaled output on."""

    def __init__(
        self, layers: Mapping[str, Layer], targets: Mapping[str, float], left_alone: Mapping[str, str]
    ) -> None:
        self.factors: dict[str, float] = {}
        self.left_alone = dict(left_alone)
        self._layers, self._targets = layers, targets

    def hook(self, name: str) -> tuple[Any, Callable[..., Any]]:
        """Return a layer and its hook."""
        layer = self._layers[name]

        def scale(_module: Any, arguments: tuple[Any, ...], keywords: dict[str, Any], output: Any) -> Any:
            if name in self.factors:
                got = f"{name!r} called twice in one pass"
                raise ArgumentError("module", got, "one call of each layer")
            if name in self.left_alone:
                return output

            def again() -> Any:
                return layer.module.forward(*arguments, **keywords)

            try:
                factor = factor_of(name or "the module itself", layer, self._targets[name], output, again)
            except ArgumentError as error:
                if not layer.own_forward:
                    raise
                self.left_alone[name] = str(error)
                return output
            for weight in layer.weights:
                weight.mul_(factor)
            self.factors[name] = factor
            return again()

        return layer.module, scale


def _recorder(name: str, measured: dict[str, float]) -> Callable[..., None]:
    def record(_module: Any, _arguments: Any, _keywords: Any, output: Any) -> None:
        measured[name] = variance_of(output)

    return record


def _first_wrong(
    layers: Mapping[str, Layer],
    targets: Mapping[str, float],
    factors: Mapping[str, float],
    measured: Mapping[str, float],
) -> tuple[str, str] | None:
    """Return the first layer whose measured variance is not its target, with the reason."""
    for name in factors:
        dtype = str(layers[name].weights[0].dtype).removeprefix("torch.")
        found, target = measured.get(name, float("nan")), targets[name]
        if not abs(found - target) <= _ACCEPTED.get(dtype, 1e-2) * target:
            return name, f"after scaling its output has variance {found:.4g} and not {target:g}"
    return None


def _run(
    module: nn.Module,
    arguments: tuple[Any, ...],
    buffers: Mapping[str, Tensor],
    hooks: Mapping[str, Any],
) -> None:
    """Call the module once in evaluation mode with forward hooks, and restore its buffers."""
    import torch

    handles = [part.register_forward_hook(hook, with_kwargs=True) for part, hook in hooks.values()]
    try:
        with _evaluating(module), torch.no_grad(), torch.random.fork_rng(devices=[]):
            module(*arguments)
    finally:
        for handle in handles:
            handle.remove()
        _restore(module.named_buffers(), buffers)


@contextmanager
def _evaluating(module: torch.nn.Module) -> Iterator[None]:
    """Set every submodule to evaluation mode, and restore its mode afterwards."""
    flags = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, flag in flags.items():
            part.training = flag


def _restore(named: Iterable[tuple[str, Tensor]], known: Mapping[str, Tensor]) -> None:
    import torch

    with torch.no_grad():
        for name, value in named:
            value.copy_(known[name])
