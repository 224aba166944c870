r"""What to do, with numbers: changes of a start, tried on a copy and measured again on other inputs.

==============  =====================================================================================
tanh net        W orthogonal times a gain (Saxe, McClelland and Ganguli 2014): isometric while units are
                linear; the gain makes up for their slope
ReLU net        W the identity (Le, Jaitly and Hinton 2015) or orthogonal times √2, biases zero
LSTM            forget bias ln(L - 1): a forget gate of 1 - 1/L keeps a state for L steps; or chrono, b_f = ln
                U[1, L - 1], b_i = -b_f (Tallec and Ollivier 2018, eq. 16)
GRU             the same for the update gate, which keeps the state
explosion       W times a factor: the measured growth per step taken out
saturation      U times a factor, so that what inputs give a unit has standard deviation 1/2
==============  =====================================================================================

L is the lag that is to be reached. A change helps if, at that lag, the logarithm of what is left of the
gradient comes at least half way to 0, and by ln 2, on held-out inputs, and for every held-out seed where the
model can be built again. A change that does not help is not given.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from dynprop.gradients.models.recording import copied

__all__ = ["Advice", "Change", "changes_for", "helps"]

LEAST = math.log(2.0)
# Standard deviation of what the inputs give a unit that is not saturated.
DRIVE = 0.5


@dataclass(frozen=True)
class Change:
    """A change of a model's start.

    Attributes:
        name: in a few words.
        text: what to do, with numbers.
        apply: changes a recurrent part in place.
    """

    name: str
    text: str
    apply: Callable[[nn.Module], None]


@dataclass(frozen=True)
class Advice:
    """A change that helps, before and after on held-out inputs.

    Attributes:
        name: in a few words.
        text: what to do, with numbers.
        before: ln of what is left at the lag, of each held-out model.
        after: the same after the change.
        median_before: ln of what is left by lag, median over sequences of the first held-out model.
        median_after: the same after the change.
    """

    name: str
    text: str
    before: tuple[float, ...]
    after: tuple[float, ...]
    median_before: tuple[float, ...]
    median_after: tuple[float, ...]


def helps(before: Sequence[float], after: Sequence[float]) -> bool:
    """Whether every model comes half way to ln 1, and by a factor of two."""
    return len(before) > 0 and all(
        math.isfinite(b) and abs(b) <= min(0.5 * abs(a), abs(a) - LEAST)
        for a, b in zip(before, after, strict=True)
    )


def changed(model: nn.Module, name: str, change: Change) -> nn.Module:
    """Return a copy of a model whose recurrent part is changed."""
    held = copied(model)
    with torch.no_grad():
        change.apply(held.get_submodule(name))
    return held


def changes_for(part: nn.Module, lag: int, slope: float, drive: float = 0.0) -> list[Change]:
    """Return the changes that are worth a try.

    Args:
        part: a recurrent layer or cell.
        lag: that is to be reached.
        slope: change of ln norm per lag.
        drive: standard deviation of what the inputs give a unit, where units are saturated; otherwise 0.
    """
    reach = max(lag, 3)
    bias = math.log(reach - 1.0)
    if isinstance(part, nn.LSTM | nn.LSTMCell):
        given = "a forget gate of " + f"{1.0 - 1.0 / reach:.3g} keeps a state for {reach} steps"
        return [
            Change("forget bias 1", "set the forget bias to 1", _gate_bias(4, {1: 1.0})),
            Change("forget bias", f"set the forget bias to {bias:.2f}: {given}", _gate_bias(4, {1: bias})),
            Change(
                "chrono bias",
                f"draw forget biases from ln U[1, {reach - 1}], input biases their negatives",
                _chrono(4, 1, 0, reach),
            ),
        ]
    if isinstance(part, nn.GRU | nn.GRUCell):
        return [
            Change("update bias 1", "set the update bias to 1", _gate_bias(3, {1: 1.0})),
            Change(
                "update bias",
                f"set the update bias to {bias:.2f}: such a gate keeps a state for {reach} steps",
                _gate_bias(3, {1: bias}),
            ),
            Change(
                "chrono bias", f"draw update biases from ln U[1, {reach - 1}]", _chrono(3, 1, None, reach)
            ),
        ]
    if not isinstance(part, nn.RNN | nn.RNNCell):
        return []
    if part.nonlinearity == "relu":
        text = f"start W orthogonal, times {math.sqrt(2.0):.3g}, biases at 0"
        found = [
            Change("identity start", "start W as the identity, biases at 0", _identity),
            Change("orthogonal start", text, _orthogonal_without_biases),
        ]
    else:
        found = [
            Change(
                f"orthogonal start, gain {gain:g}", f"start W orthogonal, times {gain:g}", _orthogonal(gain)
            )
            for gain in (1.0, 1.1, 1.25, 1.5)
        ]
    if drive > 0.0:
        found = _with_smaller_inputs(found, DRIVE / drive)
    if slope > 0.0:
        factor = math.exp(-slope)
        found.append(Change("smaller weights", f"multiply W by {factor:.3g} at the start", _scaled(factor)))
    return found


def _with_smaller_inputs(changes: list[Change], factor: float) -> list[Change]:
    """Return input weights times a factor, alone and with each change."""
    text = f"multiply input weights, or inputs, by {factor:.2g}"

    def smaller(part: nn.Module) -> None:
        for weight in _named(part, "weight_ih"):
            weight.mul_(factor)

    def both(change: Change) -> Callable[[nn.Module], None]:
        def apply(part: nn.Module) -> None:
            smaller(part)
            change.apply(part)

        return apply

    pairs = [Change(f"smaller inputs, {c.name}", f"{text}; {c.text}", both(c)) for c in changes]
    return [Change("smaller inputs", text, smaller), *pairs]


def _named(part: nn.Module, kind: str) -> list[nn.Parameter]:
    """Return weights or biases of all layers and directions, "weight_hh" say."""
    return [p for name, p in part.named_parameters(recurse=False) if name.startswith(kind)]


def _gate_bias(gates: int, values: dict[int, float]) -> Callable[[nn.Module], None]:
    """Set the sum of both biases of some gates."""

    def apply(part: nn.Module) -> None:
        for kind, share in (("bias_ih", 1.0), ("bias_hh", 0.0)):
            for bias in _named(part, kind):
                blocks = bias.view(gates, -1)
                for gate, value in values.items():
                    blocks[gate] = share * value

    return apply


def _chrono(gates: int, keep: int, enter: int | None, reach: int) -> Callable[[nn.Module], None]:
    def apply(part: nn.Module) -> None:
        rng = np.random.default_rng(0)
        for bias in _named(part, "bias_ih"):
            blocks = bias.view(gates, -1)
            drawn = torch.from_numpy(np.log(rng.uniform(1.0, reach - 1.0, blocks.shape[1]))).to(bias)
            blocks[keep] = drawn
            if enter is not None:
                blocks[enter] = -drawn
        for bias in _named(part, "bias_hh"):
            blocks = bias.view(gates, -1)
            for gate in (keep, enter):
                if gate is not None:
                    blocks[gate] = 0.0

    return apply


def _orthogonal(gain: float) -> Callable[[nn.Module], None]:
    def apply(part: nn.Module) -> None:
        rng = np.random.default_rng(0)
        for weight in _named(part, "weight_hh"):
            frame, triangle = np.linalg.qr(rng.standard_normal(tuple(weight.shape)))
            weight.copy_(torch.from_numpy(gain * frame * np.sign(np.diag(triangle))).to(weight))

    return apply


def _without_biases(part: nn.Module) -> None:
    for bias in _named(part, "bias"):
        bias.zero_()


def _orthogonal_without_biases(part: nn.Module) -> None:
    _orthogonal(math.sqrt(2.0))(part)
    _without_biases(part)


def _identity(part: nn.Module) -> None:
    for weight in _named(part, "weight_hh"):
        weight.copy_(torch.eye(len(weight)).to(weight))
    _without_biases(part)


def _scaled(factor: float) -> Callable[[nn.Module], None]:
    def apply(part: nn.Module) -> None:
        for weight in _named(part, "weight_hh"):
            weight.mul_(factor)

    return apply
