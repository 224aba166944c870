r"""The simple recurrence of many models, with backpropagation through time written out.

Forward h_t = f(a_t + h_{t-1} W), backward with δ_t = ∂L/∂a_t (Werbos 1990; Goodfellow, Bengio and Courville
2016, eq. 10.17 to 10.27):

    δ_t = f'(h_t) · (∂L/∂h_t + δ_{t+1} Wᵀ),    ∂L/∂W = Σ_t h_{t-1}ᵀ δ_t,    ∂L/∂h_0 = δ_1 Wᵀ

One batched product per step and direction; autograd would keep and visit some six nodes per step instead. f'
is a function of h for tanh (1 - h²) and for relu (h > 0).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["elman"]


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, projected: Tensor, weights: Tensor, start: Tensor, activation: str) -> Tensor:
        steps, models, batch, hidden = projected.shape
        states = torch.empty(steps + 1, models, batch, hidden, dtype=projected.dtype)
        states[0] = start
        apply = torch.tanh_ if activation == "tanh" else torch.relu_
        before = states[0]
        for drive, now in zip(projected.unbind(0), states[1:].unbind(0), strict=True):
            torch.baddbmm(drive, before, weights, out=now)
            apply(now)
            before = now
        ctx.save_for_backward(states, weights)
        ctx.activation = activation
        return states[1:]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        states, weights = ctx.saved_tensors
        # A sum over steps arrives as an expanded array, whose slices are no plain memory.
        above = grads[0].contiguous()
        turned = weights.transpose(1, 2)
        deltas = torch.empty_like(above)
        carried = torch.zeros_like(above[0])
        back = torch.zeros_like(weights)
        for t in range(len(above) - 1, -1, -1):
            carried.add_(above[t])
            delta, after = deltas[t], states[t + 1]
            if ctx.activation == "tanh":
                torch.ops.aten.tanh_backward.grad_input(carried, after, grad_input=delta)
            else:
                torch.ops.aten.threshold_backward.grad_input(carried, after, 0, grad_input=delta)
            torch.bmm(delta, turned, out=carried)
            back.baddbmm_(states[t].transpose(1, 2), delta)
        return deltas, back, carried, None


def elman(projected: Tensor, weights: Tensor, start: Tensor, activation: str) -> Tensor:
    """Return the states h_1..h_T, (time, model, batch, hidden).

    Args:
        projected: a_t, (time, model, batch, hidden).
        weights: W, (model, hidden, hidden); rows of a state are multiplied from the left.
        start: h_0, (model, batch, hidden).
        activation: "tanh" or "relu".
    """
    found: Tensor = _Recurrence.apply(projected, weights, start, activation)  # type: ignore[no-untyped-call]
    return found
