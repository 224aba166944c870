"""Controls of kind unroll: correct implementations without shared code."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dynprop.laws.catalogue import Catalogue

Array = npt.NDArray[Any]

numpy_unroll: Catalogue = Catalogue("unroll", "numpy")
torch_unroll: Catalogue = Catalogue("unroll", "torch")
CATALOGUES = (numpy_unroll, torch_unroll)


# Unrolls


@numpy_unroll.control("control/unroll-loop")
def unroll_loop(W: Array, h0: Array, steps: int) -> Array:
    """The recurrence itself, step by step."""
    states = np.empty((steps + 1, len(h0)), h0.dtype)
    states[0] = h0
    for t in range(steps):
        states[t + 1] = W.T @ states[t]
    return states


@numpy_unroll.control("control/unroll-doubling")
def unroll_doubling(W: Array, h0: Array, steps: int) -> Array:
    """Doubles the number of known states with one product by a squared matrix."""
    states, power = h0[None, :], W
    while len(states) <= steps:
        states = np.concatenate([states, states @ power])
        power = power @ power
    return states[: steps + 1].copy()


@numpy_unroll.control("control/unroll-blocks")
def unroll_blocks(W: Array, h0: Array, steps: int) -> Array:
    """Blocks of 8 steps: powers 1 to 8 of W side by side, applied to the last state of each block."""
    powers = [W]
    for _ in range(7):
        powers.append(powers[-1] @ W)
    stacked = np.stack(powers)
    states = [h0[None]]
    while len(states) * 8 - 7 <= steps:
        states.append(np.einsum("i,kij->kj", states[-1][-1], stacked))
    return np.concatenate(states)[: steps + 1]


@numpy_unroll.control("control/unroll-long-double")
def unroll_long_double(W: Array, h0: Array, steps: int) -> Array:
    """The loop in extended precision, rounded once at the end."""
    kind = np.clongdouble if np.iscomplexobj(h0) else np.longdouble
    extended, states = W.astype(kind), [h0.astype(kind)]
    for _ in range(steps):
        states.append(states[-1] @ extended)
    return np.stack(states).astype(h0.dtype)


@torch_unroll.control("control/unroll-torch-loop")
def unroll_torch_loop(W: Tensor, h0: Tensor, steps: int) -> Tensor:
    """The recurrence itself under autograd, the states stacked."""
    states = [h0]
    for _ in range(steps):
        states.append(torch.mv(W.T, states[-1]))
    return torch.stack(states)


@torch_unroll.control("control/unroll-torch-powers")
def unroll_torch_powers(W: Tensor, h0: Tensor, steps: int) -> Tensor:
    """Every power of W on its own, by torch.linalg.matrix_power."""
    states = [h0]
    for t in range(1, steps + 1):
        states.append(h0 @ torch.linalg.matrix_power(W, t))
    return torch.stack(states)


class _Adjoint(torch.autograd.Function):
    """The loop with its backward pass written by hand: the gradient travels by W."""

    @staticmethod
    def forward(ctx: Any, W: Tensor, h0: Tensor, steps: int) -> Tensor:
        states = [h0]
        for _ in range(steps):
            states.append(states[-1] @ W)
        trajectory = torch.stack(states)
        ctx.save_for_backward(W, trajectory)
        return trajectory

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> Any:
        W, states = ctx.saved_tensors
        to_w, carry = torch.zeros_like(W), upstream[0][-1]
        for t in range(len(states) - 2, -1, -1):
            to_w = to_w + states[t].conj()[:, None] * carry
            carry = upstream[0][t] + W.conj() @ carry
        return to_w, carry, None


@torch_unroll.control("control/unroll-torch-function")
def unroll_torch_function(W: Tensor, h0: Tensor, steps: int) -> Tensor:
    """An autograd.Function with the exact backward pass written by hand."""
    states: Tensor = _Adjoint.apply(W, h0, steps)  # type: ignore[no-untyped-call]
    return states


@numpy_unroll.control("control/unroll-of-python-integers", domain={"dtypes": ("float64", "int64")})
def unroll_of_python_integers(W: Array, h0: Array, steps: int) -> Array:
    """The loop with integers of Python, refused by an OverflowError where 64 bits are too few."""
    if not np.issubdtype(W.dtype, np.integer):
        return unroll_loop(W, h0, steps)
    return unroll_loop(W.astype(object), h0.astype(object), steps).astype(np.int64)


@numpy_unroll.control("control/unroll-of-integers-in-double", domain={"dtypes": ("int64",)})
def unroll_of_integers_in_double(W: Array, h0: Array, steps: int) -> Array:
    """The loop in float64, returned as float64."""
    return unroll_loop(W.astype(np.float64), h0.astype(np.float64), steps)
