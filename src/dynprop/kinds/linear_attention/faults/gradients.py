"""Faults of the backward pass: the results are right, and a gradient is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from dynprop.kinds.linear_attention.faults.planting import GATED, Planter
from dynprop.kinds.linear_attention.kernels import Chunked, Given, Kernel, Recurrent
from dynprop.laws.catalogue import Catalogue

kernels = Catalogue("linear-attention", "torch")
CATALOGUES = (kernels,)

fault = Planter(kernels, GATED)


class _Weighted(torch.autograd.Function):
    """The identity, whose gradient is multiplied by a number."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad * ctx.factor, None


def weighted(x: Tensor, factor: float) -> Tensor:
    """Return the same numbers with another gradient."""
    apply: Callable[[Tensor, float], Tensor] = _Weighted.apply
    return apply(x, factor)


def leaf(name: str, law: str, factor: float, summary: str, family: str = "gated-delta") -> None:
    """Plant kernels in which the gradient of one argument is multiplied by a factor."""

    def prepared(self: Kernel, given: Given) -> Given:
        argument = {"log_decay": "decay"}.get(name, name)
        value = getattr(given, argument)
        return replace(given, **{argument: weighted(value, factor)})

    word = {0.0: "dropped", 0.5: "halved"}[factor]
    made = type(f"{name}_{word}", (Recurrent,), {"__doc__": summary, "family": family, "_prepared": prepared})
    fault(f"gradient-of-{name.replace('_', '-')}-{word}", law, family=family)(made)


for argument in ("q", "k", "v", "log_decay", "beta"):
    leaf(argument, "gradient-dense", 0.0, f"The gradient to {argument} is dropped.")
for argument in ("a", "b"):
    leaf(argument, "gradient-dense", 0.0, f"The gradient to {argument} is dropped.", "dplr")
leaf("bonus", "gradient-dense", 0.0, "The gradient to the bonus is dropped.", "rwkv-6")
leaf("log_decay", "gradient-dense", 0.5, "The gradient to log_decay is halved.")


@fault("gradient-of-the-initial-state-dropped", "gradient-initial-state")
class InitialDropped(Recurrent):
    """The gradient to the initial state is dropped."""

    def _start(self, given: Given, initial: Tensor | None, count: int) -> Tensor:
        return weighted(super()._start(given, initial, count), 0.0)


@fault("gradient-of-the-initial-state-undecayed", "gradient-initial-state")
class InitialUndecayed(Recurrent):
    """The gradient to the initial state lacks the decay of the first step."""

    def _decayed(self, x: Given, t: int, state: Tensor) -> Tensor:
        right = super()._decayed(x, t, state)
        return (state - state.detach()) + right.detach() if t == 0 and x.steps > 1 else right


@fault("gradient-of-packed-initial-states-dropped", "packed")
class PackedInitialDropped(Recurrent):
    """The gradient to the initial states of packed sequences is dropped."""

    def _resumed(self, start: Tensor, states: list[Tensor], index: int) -> Tensor:
        return super()._resumed(start, states, index).detach()


@fault("gradient-over-the-boundary", "packed")
class OverBoundary(Recurrent):
    """The gradient of a packed sequence reaches the one before."""

    def _resumed(self, start: Tensor, states: list[Tensor], index: int) -> Tensor:
        own = super()._resumed(start, states, index)
        return own + (states[-1] - states[-1].detach()) if states else own


@fault("gradient-through-the-state-dropped", "gradient-through-state")
class FinalDropped(Recurrent):
    """The gradient from the final state is dropped."""

    def _final(self, state: Tensor) -> Tensor:
        return weighted(state, 0.0)


@fault("gradient-through-the-state-decayed-again", "gradient-through-state")
class FinalDecayed(Recurrent):
    """The gradient from the final state is decayed by the last step once more."""

    def _sequence(self, x: Given, state: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        o, final = super()._sequence(x, state, scale)
        again = self._decayed(x, x.steps - 1, final)
        return o, final.detach() + again - again.detach()


@fault("gradient-cut-between-chunks", "gradient-by-lag")
class CutBetweenChunks(Chunked):
    """No gradient passes from one chunk to the chunk before."""

    def _carried(self, state: Tensor, sums: Tensor, begin: int) -> Tensor:
        return super()._carried(state, sums, begin).detach()


@fault("gradient-undecayed-between-chunks", "gradient-by-lag")
class UndecayedBetweenChunks(Chunked):
    """The gradient passes from one chunk to the chunk before without its decay."""

    def _carried(self, state: Tensor, sums: Tensor, begin: int) -> Tensor:
        return super()._carried(state, sums, begin).detach() + state - state.detach()


@fault("gradient-cut-after-ten-steps", "gradient-by-lag")
class CutAfterTen(Recurrent):
    """The gradient is cut at every tenth step."""

    def _stepped(self, x: Given, t: int, state: Tensor) -> Tensor:
        return super()._stepped(x, t, state.detach() if t % 10 == 9 else state)


@fault("gradient-of-the-erasure-dropped", "gradient-dense")
class ErasureDropped(Recurrent):
    """The gradient to a key leaves out what the key erases."""

    def _error(self, v: Tensor, k: Tensor, state: Tensor, decayed: Tensor) -> Tensor:
        return super()._error(v, k.detach(), state, decayed)


@fault("gradient-of-the-erased-state-dropped", "gradient-by-lag")
class ErasedStateDropped(Recurrent):
    """The gradient to the state leaves out what is erased."""

    def _error(self, v: Tensor, k: Tensor, state: Tensor, decayed: Tensor) -> Tensor:
        return super()._error(v, k, state, decayed.detach())


@fault("gradient-of-beta-by-the-value", "gradient-dense")
class BetaByValue(Recurrent):
    """The gradient to beta is that of beta v, without the erasure."""

    def _value(self, x: Given, t: int, state: Tensor, decayed: Tensor) -> Tensor:
        assert x.beta is not None
        error = self._error(x.v[:, t], x.k[:, t], state, decayed)
        beta = x.beta[:, t, :, None]
        wrong = beta * x.v[:, t].detach()
        return beta.detach() * error + wrong - wrong.detach()


@fault("gradient-of-the-decay-at-the-next-step", "gradient-dense")
class DecayNext(Recurrent):
    """The gradient to a log decay is that of the next step."""

    def _prepared(self, given: Given) -> Given:
        assert given.decay is not None
        rolled = given.decay.roll(1, 1)
        return replace(given, decay=given.decay.detach() + rolled - rolled.detach())


@fault("gradient-of-the-decay-not-summed", "gradient-dense")
class DecayNotSummed(Chunked):
    """The gradient to a log decay is not summed over the later steps of its chunk."""

    def _sums(self, decay: Tensor) -> Tensor:
        return super()._sums(decay).detach() + decay - decay.detach()


@fault("gradient-of-a-shared-decay-averaged", "gradient-dense", family="retnet")
class DecayAveraged(Recurrent):
    """The gradient to a constant decay is the mean over the rows, not their sum."""

    family = "retnet"

    def _gates(self, log_decay: Tensor | None, v: Tensor) -> Tensor | None:
        assert log_decay is not None
        return super()._gates(weighted(log_decay, 1.0 / v.shape[0]), v)


@fault("gradient-of-the-first-value-head", "gradient-dense")
class FirstValueHead(Recurrent):
    """The gradient to a key head is that of its first value head."""

    def _spread(self, x: Tensor, heads: int) -> Tensor:
        spread = super()._spread(x, heads)
        first = torch.arange(heads) % (heads // x.shape[2]) == 0
        return torch.where(first[:, None], spread, spread.detach())


@fault("gradient-of-q-without-the-scale", "gradient-dense")
class QueryUnscaled(Recurrent):
    """The gradient to q lacks the scale."""

    def _read(self, x: Given, t: int, before: Tensor, after: Tensor, scale: float) -> Tensor:
        o = super()._read(x, t, before, after, scale)
        wrong = torch.einsum("bhk,bhkv->bhv", x.q[:, t], after.detach())
        right = torch.einsum("bhk,bhkv->bhv", x.q[:, t].detach(), after) * scale
        return o.detach() + right - right.detach() + wrong - wrong.detach()


@fault("gradient-of-the-last-write-dropped", "gradient-through-state")
class LastWriteDropped(Recurrent):
    """The last step's key and value get no gradient from the final state."""

    def _sequence(self, x: Given, state: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        o = super()._sequence(x, state, scale)[0]
        last = replace(x, k=torch.cat([x.k[:, :-1], x.k[:, -1:].detach()], 1))
        return o, super()._sequence(last, state, scale)[1]


@fault("gradient-of-even-steps", "gradient-dense")
class EvenSteps(Recurrent):
    """The values of odd steps get no gradient."""

    def _prepared(self, given: Given) -> Given:
        even = (torch.arange(given.steps) % 2 == 0)[:, None, None]
        return replace(given, v=torch.where(even, given.v, given.v.detach()))


@fault("gradient-in-bfloat16", "gradient-dense", "inaccurate", dtypes=("float32",), max_length=33)
class GradientCoarse(Recurrent):
    """Gradients to the arguments pass through bfloat16."""

    def _prepared(self, given: Given) -> Given:
        v = given.v.detach() + (given.v - given.v.detach()).bfloat16().to(given.v.dtype)
        return replace(given, v=v)
