r"""The simple recurrence of many models, with backpropagation through time written out.

Forward h_t = f(a_t + h_{t-1} W), backward with δ_t = ∂L/∂a_t (Werbos 1990; Goodfellow, Bengio and Courville
2016, eq. 10.17 to 10.27):

    δ_t = f'(h_t) · (∂L/∂h_t + δ_{t+1} Wᵀ),    ∂L/∂W = Σ_t h_{t-1}ᵀ δ_t,    ∂L/∂h_0 = δ_1 Wᵀ

One batched product per step and direction; autograd would keep and visit some six nodes per step instead. f'
is a function of h for tanh (1 - h²) and for relu (h > 0). The memory of h and δ is ordered by model, so that
∂L/∂W is one product per model over all steps and sequences.

The kernels are numpy's, on the memory of torch tensors, so that the results of a model do not depend on its
position among the models. numpy multiplies each model's matrices in a separate call and rounds the end of an
array like its inside; the rounding of torch's batched products depends on alignment, that of its fused
kernels on the position within a vector register. tanh is numpy's too, within 1.4 units in the last place.
A multithreaded BLAS may split sums in another order: `dynprop.training` sets it to one thread.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from dynprop.arrays import FloatArray

__all__ = ["elman", "product", "tanh", "with_bias"]

# An exploding model shows in its gradient; warnings are not needed.
_quiet = np.errstate(all="ignore")


def _array(values: Tensor) -> FloatArray:
    """View a tensor as a numpy array."""
    found: FloatArray = values.detach().numpy()
    return found


def _by_model(steps: int, like: FloatArray) -> FloatArray:
    """Return an empty array (time, model, batch, hidden) whose memory is ordered by model."""
    models, *rest = like.shape
    return np.empty((models, steps, *rest), dtype=like.dtype).swapaxes(0, 1)


def _rows(values: FloatArray) -> FloatArray:
    """Return (time, model, batch, hidden) as (model, time · batch, hidden), a view where memory allows."""
    _, models, _, hidden = values.shape
    return values.swapaxes(0, 1).reshape(models, -1, hidden)


class _Recurrence(torch.autograd.Function):
    @staticmethod
    @_quiet
    def forward(
        ctx: Any, projected: Tensor, weights: Tensor, start: Tensor, activation: str, last: bool
    ) -> Tensor:
        drive, matrices = _array(projected), _array(weights)
        states = _by_model(len(drive) + 1, drive[0])
        states[0] = _array(start)
        carried = np.empty(drive.shape[1:], dtype=drive.dtype)
        for before, driven, now in zip(states, drive, states[1:], strict=False):
            np.matmul(before, matrices, out=carried)
            carried += driven
            if activation == "tanh":
                np.tanh(carried, out=now)
            else:
                np.maximum(carried, 0.0, out=now)
        kept = torch.from_numpy(states)
        ctx.save_for_backward(kept, weights)
        ctx.activation, ctx.last = activation, last
        return kept[-1] if last else kept[1:]

    @staticmethod
    @_quiet
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        states, matrices = map(_array, ctx.saved_tensors)
        upstream = _array(grads[0])
        turned = np.ascontiguousarray(matrices.swapaxes(1, 2))
        deltas = _by_model(len(states) - 1, states[0])
        carried = np.array(upstream, order="C") if ctx.last else np.zeros(states.shape[1:], states.dtype)
        one = states.dtype.type(1.0)
        for t in range(len(deltas) - 1, -1, -1):
            if not ctx.last:
                carried += upstream[t]
            delta, after = deltas[t], states[t + 1]
            if ctx.activation == "tanh":
                np.multiply(after, after, out=delta)
                np.subtract(one, delta, out=delta)
                delta *= carried
            else:
                np.multiply(carried, after > 0.0, out=delta)
            np.matmul(delta, turned, out=carried)
        back = np.matmul(_rows(states[:-1]).swapaxes(1, 2), _rows(deltas))
        return *map(torch.from_numpy, (deltas, back, carried)), None, None


class _Product(torch.autograd.Function):
    @staticmethod
    @_quiet
    def forward(ctx: Any, rows: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(rows, weights)
        return torch.from_numpy(np.matmul(_array(rows), _array(weights)))

    @staticmethod
    @_quiet
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor]:
        rows, weights = map(_array, ctx.saved_tensors)
        upstream = np.ascontiguousarray(_array(grads[0]))
        back = torch.from_numpy(np.matmul(rows.swapaxes(1, 2), upstream))
        if not ctx.needs_input_grad[0]:
            return None, back
        return torch.from_numpy(np.matmul(upstream, weights.swapaxes(1, 2))), back


def product(rows: Tensor, weights: Tensor) -> Tensor:
    """Return the product of each model's matrices.

    Args:
        rows: (model, row, k).
        weights: (model, k, column).
    """
    found: Tensor = _Product.apply(rows, weights)  # type: ignore[no-untyped-call]
    return found


def with_bias(weights: Tensor, bias: Tensor) -> Tensor:
    """Return weights (model, row, column) with the bias as a further row."""
    return torch.cat([weights, bias[:, None, :]], dim=1)


class _Tanh(torch.autograd.Function):
    @staticmethod
    @_quiet
    def forward(ctx: Any, values: Tensor) -> Tensor:
        found = torch.from_numpy(np.tanh(_array(values)))
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
        last: return h_T alone, so that no gradients of the other states are needed.
    """
    found: Tensor = _Recurrence.apply(projected, weights, start, activation, last)  # type: ignore[no-untyped-call]
    return found
