"""Faults of kind unroll in torch: right states and a wrong backward pass."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dynprop.laws.catalogue import Catalogue

unroll: Catalogue = Catalogue("unroll", "torch")
CATALOGUES = (unroll,)


class _TransposedAdjoint(torch.autograd.Function):
    """The loop, with a backward pass that travels by the transpose, as the states do."""

    @staticmethod
    def forward(ctx: Any, W: Tensor, h0: Tensor, steps: int) -> Tensor:
        states = [h0]
        for _ in range(steps):
            states.append(states[-1] @ W)
        ctx.save_for_backward(W)
        return torch.stack(states)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> Any:
        (W,) = ctx.saved_tensors
        (gradient,) = upstream
        carry = gradient[-1]
        for t in range(len(gradient) - 2, -1, -1):
            carry = gradient[t] + W.T @ carry  # should be W @ carry
        return None, carry, None


@unroll.fault("unroll/adjoint-by-the-transpose", caught_by={"adjoint": "wrong"})
def adjoint_by_the_transpose(W: Tensor, h0: Tensor, steps: int) -> Tensor:
    """Sends gradients back by the transpose of W."""
    states: Tensor = _TransposedAdjoint.apply(W, h0, steps)  # type: ignore[no-untyped-call]
    return states


@unroll.fault("unroll/gradient-cut", caught_by={"adjoint": "wrong"})
def gradient_cut(W: Tensor, h0: Tensor, steps: int) -> Tensor:
    """Detaches the state every four steps, as truncated backpropagation does."""
    states = [h0]
    for k in range(steps):
        state = states[-1].detach() if k % 4 == 3 else states[-1]
        states.append(state @ W)
    return torch.stack(states)
