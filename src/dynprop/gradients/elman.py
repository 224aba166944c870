r"""The simple recurrence of many models, with backpropagation through time written out.

Forward h_t = f(a_t + h_{t-1} W), backward with δ_t = ∂L/∂a_t (Werbos 1990; Goodfellow, Bengio and Courville
2016, eq. 10.17 to 10.27):

    δ_t = f'(h_t) · (∂L/∂h_t + δ_{t+1} Wᵀ),    ∂L/∂W = Σ_t h_{t-1}ᵀ δ_t,    ∂L/∂h_0 = δ_1 Wᵀ

One batched product per step and direction; autograd would keep and visit some six nodes per step instead. f'
is a function of h for tanh (1 - h²) and for relu (h > 0).

Every elementwise operation here is a single correctly rounded one. torch's fused kernels (tanh_backward, say)
round otherwise in the last elements of an array, where they leave the vector unit, so that a model's gradient
would depend on its place among the models. For the same reason every matrix of a model begins at a whole
vector register: products of matrices may round otherwise at another alignment.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["ALIGNED", "elman", "product", "tanh", "with_bias"]

# Matrices of one model begin at multiples of this many numbers, four vector registers.
ALIGNED = 64


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, projected: Tensor, weights: Tensor, start: Tensor, activation: str, last: bool
    ) -> Tensor:
        steps, models, batch, hidden = projected.shape
        states = torch.empty(steps + 1, models, batch, hidden, dtype=projected.dtype)
        states[0] = start
        states[1:] = projected
        apply = torch.tanh_ if activation == "tanh" else torch.relu_
        before = states[0]
        for now in states[1:].unbind(0):
            apply(now.baddbmm_(before, weights))
            before = now
        ctx.save_for_backward(states, weights)
        ctx.activation, ctx.last = activation, last
        return states[steps] if last else states[1:]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        states, weights = ctx.saved_tensors
        turned = weights.transpose(1, 2)
        deltas = torch.empty_like(states[1:])
        carried = (
            grads[0].clone(memory_format=torch.contiguous_format) if ctx.last else torch.zeros_like(states[0])
        )
        back = aligned_zeros(weights)
        one = torch.ones((), dtype=states.dtype)
        for t in range(len(deltas) - 1, -1, -1):
            if not ctx.last:
                carried.add_(grads[0][t])
            delta, after = deltas[t], states[t + 1]
            if ctx.activation == "tanh":
                torch.mul(after, after, out=delta)
                torch.sub(one, delta, out=delta).mul_(carried)
            else:
                torch.mul(carried, after > 0.0, out=delta)
            torch.bmm(delta, turned, out=carried)
            back.baddbmm_(states[t].transpose(1, 2), delta)
        return deltas, back, carried, None, None


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(rows, weights)
        return torch.bmm(rows, weights)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor]:
        rows, weights = ctx.saved_tensors
        upstream = grads[0].contiguous()
        back = aligned_zeros(weights)
        torch.bmm(rows.transpose(1, 2), upstream, out=back)
        first = torch.bmm(upstream, weights.transpose(1, 2)) if ctx.needs_input_grad[0] else None
        return first, back


def product(rows: Tensor, weights: Tensor) -> Tensor:
    """Return the product of each model's matrices, with an aligned gradient.

    Args:
        rows: (model, row, k).
        weights: (model, k, column).
    """
    found: Tensor = _Product.apply(rows, weights)  # type: ignore[no-untyped-call]
    return found


def aligned_zeros(like: Tensor) -> Tensor:
    """Return zeros (model, row, column), each model's at a whole vector register."""
    models, rows, columns = like.shape
    size = rows * columns
    flat = like.new_zeros(models, -(-size // ALIGNED) * ALIGNED)
    return flat[:, :size].view(models, rows, columns)


def with_bias(weights: Tensor, bias: Tensor) -> Tensor:
    """Return weights (model, row, column) with the bias as a further row, aligned."""
    models, rows, columns = weights.shape
    size = (rows + 1) * columns
    filling = weights.new_zeros(models, -size % ALIGNED)
    flat = torch.cat([weights.reshape(models, -1), bias, filling], dim=1)
    return flat[:, :size].view(models, rows + 1, columns)


class _Tanh(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        found = torch.tanh(values)
        ctx.save_for_backward(found)
        return found

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (found,) = ctx.saved_tensors
        slope: Tensor = 1.0 - found * found
        return grads[0] * slope


def tanh(values: Tensor) -> Tensor:
    """Return tanh, with a derivative of correctly rounded operations only."""
    found: Tensor = _Tanh.apply(values)  # type: ignore[no-untyped-call]
    return found


def elman(projected: Tensor, weights: Tensor, start: Tensor, activation: str, last: bool = False) -> Tensor:
    """Return the states h_1..h_T, (time, model, batch, hidden), or h_T alone.

    Args:
        projected: a_t, (time, model, batch, hidden).
        weights: W, (model, hidden, hidden); rows of a state are multiplied from the left.
        start: h_0, (model, batch, hidden).
        activation: "tanh" or "relu".
        last: return h_T alone, which saves the gradients of the others.
    """
    found: Tensor = _Recurrence.apply(projected, weights, start, activation, last)  # type: ignore[no-untyped-call]
    return found
