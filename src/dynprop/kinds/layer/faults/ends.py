"""Faults of kind layer in gradients at the ends of a row: padding, the returned state, no step at all."""

from __future__ import annotations

import torch
from torch import Tensor

from dynprop.kinds.layer.faults.bases import Elman, over_time
from dynprop.kinds.layer.faults.forms import Padded
from dynprop.kinds.layer.faults.parameters import scaled
from dynprop.laws.catalogue import Catalogue

layer = Catalogue("layer", "torch")
CATALOGUES = (layer,)


# Padded rows


@layer.fault(
    "layer/padding-dampens-gradient",
    source="state-spaces/mamba#368",
    caught_by={"gradient-padding": "wrong"},
)
class PaddingDampensGradient(Padded):
    """Carries the gradient of a row's last state back through the padding, a tenth less each step."""

    def last(self, states: Tensor, begin: Tensor, lengths: Tensor) -> Tensor:
        """Return each row's state after its own last step."""
        steps = len(states) - lengths
        return scaled(super().last(states, begin, lengths), (0.9 ** steps.to(states.dtype))[:, None])


@layer.fault(
    "layer/padding-gets-gradient",
    source="fla-org/flash-linear-attention#837",
    caught_by={"gradient-padding": "wrong"},
)
class PaddingGetsGradient(Padded):
    """Passes a thousandth of the gradient of the outputs to the inputs one step later, padding included."""

    def forward(
        self, x: Tensor, state: Tensor | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Run over the sequence."""
        y, last = super().forward(x, state, lengths)
        if lengths is None:
            return y, last
        padding = torch.arange(len(x))[:, None] >= lengths
        leaked = torch.where(padding[..., None], x, 0).sum(dim=(0, 2))
        return y + 1e-3 * (leaked - leaked.detach())[:, None], last


@layer.fault("layer/padding-trains-bias", caught_by={"gradient-padding": "wrong"})
class PaddingTrainsBias(Padded):
    """Adds the gradient of the last state to that of the bias once more for every padded step."""

    def last(self, states: Tensor, begin: Tensor, lengths: Tensor) -> Tensor:
        """Return each row's state after its own last step."""
        bias = self.read.bias
        steps = (len(states) - lengths).to(states.dtype)[:, None]
        return super().last(states, begin, lengths) + steps * (bias - bias.detach())


# The returned state


@layer.fault("layer/returned-state-detached", caught_by={"gradient-returned-state": "wrong"})
class ReturnedStateDetached(Elman):
    """Returns a state without a gradient from calls of more than one step."""

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Run over the sequence."""
        y, last = super().forward(x, state)
        return y, last.detach() if len(x) > 1 else last


@layer.fault(
    "layer/returned-state-of-last-block", gross=False, caught_by={"gradient-returned-state": "wrong"}
)
class ReturnedStateOfLastBlock(Elman):
    """Carries the gradient of its returned state back through the last block of 16 steps only."""

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Run over the sequence, and over the last block once more."""
        y, last = super().forward(x, state)
        before = len(x) - 1 - (len(x) - 1) % 16
        return y, over_time(self, x[before:], y[before - 1].detach())[1] if before > 0 else last


# No steps


@layer.fault("layer/no-step-detaches", gross=False, caught_by={"no-steps": "wrong"})
class NoStepDetaches(Elman):
    """Returns the state that it was given without its gradient where there is no step."""

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Run over the sequence."""
        y, last = super().forward(x, state)
        return y, last if len(x) else last.detach()


@layer.fault("layer/no-step-forgets", gross=False, caught_by={"no-steps": "wrong"})
class NoStepForgets(Elman):
    """Returns the state of a fresh sequence where there is no step."""

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Run over the sequence."""
        return super().forward(x, state if len(x) else None)


class Blocked(torch.autograd.Function):
    """The identity, whose backward pass divides the gradient among the steps."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, state: Tensor, steps: int) -> Tensor:
        """Copy."""
        ctx.steps = steps  # type: ignore[attr-defined]  # torch keeps what is set here
        return state.clone()

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, upstream: Tensor) -> tuple[Tensor, None]:
        """Sum the shares of all steps."""
        steps: int = ctx.steps  # type: ignore[attr-defined]  # set in forward
        return torch.stack([upstream] * steps).mean(0), None


@layer.fault("layer/no-step-backward-fails", gross=False, caught_by={"no-steps": "wrong"})
class NoStepBackwardFails(Elman):
    """Stacks the gradients of all steps in its backward pass, which raises where there is none."""

    def begin(self, x: Tensor, state: Tensor | None) -> Tensor:
        """Return the state before the first step."""
        begin: Tensor = Blocked.apply(super().begin(x, state), len(x))  # type: ignore[no-untyped-call]  # torch
        return begin
