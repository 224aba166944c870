"""Controls of kind linear-attention: correct kernels of seven families and more, in every form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dynprop.kinds.linear_attention.kernels import FAMILIES, Chunked, Recurrent, options
from dynprop.kinds.linear_attention.target import LinearAttention
from dynprop.laws.catalogue import Catalogue

Array = npt.NDArray[Any]

numpy_kernels = Catalogue("linear-attention", "numpy")
torch_kernels = Catalogue("linear-attention", "torch")
CATALOGUES = (numpy_kernels, torch_kernels)

GROUPED = ("ssd", "gated-delta")


def enter(name: str, summary: str, family: str, **forms: Any) -> None:
    """Enter a torch kernel in some forms among the controls."""
    groups = {"groups": "interleave"} if family in GROUPED else {}
    declared = options(family, **groups)
    torch_kernels.add_control(
        f"control/linear-attention-{name}", summary, LinearAttention(**forms, **declared), domain=declared
    )


for family in FAMILIES:
    enter(
        f"recurrent-{family}", f"The recurrence of {family}, step by step.", family, forward=Recurrent(family)
    )
for family in ("linear", "retnet", "ssd", "gla", "delta", "gated-delta", "kda", "dplr"):
    enter(
        f"chunks-{family}",
        f"Chunks of 16 steps of {family}; a triangular solver where there is a triangle.",
        family,
        forward=Chunked(family, 16, "solve"),
    )
for family in ("delta", "gated-delta", "dplr"):
    enter(
        f"small-chunks-{family}",
        f"Chunks of 4 steps of {family}, the triangle inverted row by row.",
        family,
        forward=Chunked(family, 4, "loop"),
    )
    enter(
        f"large-chunks-{family}",
        f"Chunks of 64 steps of {family}, by a solver.",
        family,
        forward=Chunked(family, 64, "solve"),
    )
for family in ("gla", "gated-delta", "dplr"):
    enter(
        f"forms-{family}",
        f"Every form of {family}: recurrent, by steps, in chunks of two sizes, parallel.",
        family,
        forward=Recurrent(family),
        step=Recurrent(family),
        chunk=(Chunked(family, 16, "loop"), Chunked(family, 64, "solve")),
        parallel=Chunked(family, 10_000, "solve"),
    )


# numpy, written for itself.


def _begin(v: Array, k: Array, initial_state: Array | None) -> Array:
    shape = (v.shape[0], v.shape[2], k.shape[3], v.shape[3])
    return np.zeros(shape, v.dtype) if initial_state is None else initial_state


@numpy_kernels.control("control/linear-attention-numpy-linear", domain={"update": "add"})
def numpy_linear(
    q: Array, k: Array, v: Array, initial_state: Array | None = None, scale: float = 1.0
) -> tuple[Array, Array]:
    """Linear attention as cumulative sums of outer products."""
    states = np.cumsum(k[..., None] * v[..., None, :], axis=1) + _begin(v, k, initial_state)[:, None]
    factor = np.asarray(scale, v.dtype)
    return np.einsum("bthk,bthkv->bthv", q, states) * factor, states[:, -1]


@numpy_kernels.control(
    "control/linear-attention-numpy-gated-delta", domain={"decay": "scalar", "groups": "tile"}
)
def numpy_gated_delta(
    q: Array,
    k: Array,
    v: Array,
    log_decay: Array,
    beta: Array,
    initial_state: Array | None = None,
    scale: float = 1.0,
) -> tuple[Array, Array]:
    """The gated delta rule, heads tiled, step by step."""
    repeats = (1, 1, v.shape[2] // q.shape[2], 1)
    q, k = np.tile(q, repeats), np.tile(k, repeats)
    state, outputs = _begin(v, k, initial_state), np.empty_like(v)
    for t in range(v.shape[1]):
        state = np.exp(log_decay[:, t])[..., None, None] * state
        seen = (k[:, t, :, None] @ state)[:, :, 0]
        written = beta[:, t, :, None] * (v[:, t] - seen)
        state = state + k[:, t, :, :, None] * written[:, :, None]
        outputs[:, t] = (q[:, t, :, None] @ state)[:, :, 0] * np.asarray(scale, v.dtype)
    return outputs, state


@numpy_kernels.control(
    "control/linear-attention-numpy-delta-transitions", domain={"decay": "none", "scale": "1/sqrt(K)"}
)
def numpy_delta_transitions(
    q: Array, k: Array, v: Array, beta: Array, initial_state: Array | None = None
) -> tuple[Array, Array]:
    """The delta rule with its matrices of transition, (I - beta k k^T) S + beta k v^T."""
    state, outputs = _begin(v, k, initial_state), np.empty_like(v)
    for t in range(v.shape[1]):
        key = k[:, t, :, :, None]
        transition = np.eye(k.shape[3], dtype=v.dtype) - beta[:, t, :, None, None] * key @ key.swapaxes(2, 3)
        state = transition @ state + beta[:, t, :, None, None] * key @ v[:, t, :, None]
        outputs[:, t] = (q[:, t, :, None] @ state)[:, :, 0]
    return outputs / np.sqrt(np.asarray(k.shape[3], v.dtype)), state


@numpy_kernels.control("control/linear-attention-numpy-retention", domain={"decay": "constant"})
def numpy_retention(
    q: Array, k: Array, v: Array, log_decay: Array, initial_state: Array | None = None, scale: float = 1.0
) -> tuple[Array, Array]:
    """Retention in its parallel form: one masked matrix of powers of the decay."""
    steps = np.arange(v.shape[1])
    gaps = steps[:, None] - steps
    powers = np.exp(log_decay[:, None, None] * np.maximum(gaps, 0)) * (gaps >= 0)
    scores = np.einsum("bthk,bshk->bhts", q, k) * powers.astype(v.dtype)
    start = _begin(v, k, initial_state)
    decayed = np.exp(log_decay * (steps[:, None] + 1)).astype(v.dtype)[None, :, :, None]
    o = np.einsum("bhts,bshv->bthv", scores, v) + np.einsum("bthk,bhkv->bthv", q * decayed, start)
    left = np.exp(log_decay * (len(steps) - 1 - steps)[:, None]).astype(v.dtype)[None, :, :, None]
    state = np.einsum("bthk,bthv->bhkv", k * left, v)
    return o * np.asarray(scale, v.dtype), state + decayed[:, -1, :, :, None] * start


class _GatedDelta(torch.autograd.Function):
    """The gated delta rule, saved by its arguments; the backward pass computes the states again."""

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor, start: Tensor, scale: float
    ) -> tuple[Tensor, Tensor]:
        """Return outputs and final state."""
        ctx.save_for_backward(q, k, v, g, beta, start)
        ctx.scale = scale
        states, _ = _GatedDelta.states(k, v, g, beta, start)
        o = torch.stack([torch.einsum("bhk,bhkv->bhv", q[:, t], s) for t, s in enumerate(states[1:])], 1)
        return o * scale, states[-1]

    @staticmethod
    def states(
        k: Tensor, v: Tensor, g: Tensor, beta: Tensor, start: Tensor
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Return every state, and the errors."""
        states, errors = [start], []
        for t in range(v.shape[1]):
            decayed = states[-1] * g[:, t].exp()[..., None, None]
            errors.append(v[:, t] - torch.einsum("bhk,bhkv->bhv", k[:, t], decayed))
            u = beta[:, t, :, None] * errors[-1]
            states.append(decayed + k[:, t, :, :, None] * u[:, :, None])
        return states, errors

    @staticmethod
    def backward(ctx: Any, to_o: Tensor, to_state: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients."""
        q, k, v, g, beta, start = ctx.saved_tensors
        states, errors = _GatedDelta.states(k, v, g, beta, start)
        dq, dk, dv = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
        dg, dbeta, grad = torch.empty_like(g), torch.empty_like(beta), to_state
        for t in reversed(range(v.shape[1])):
            c = to_o[:, t] * ctx.scale
            dq[:, t] = torch.einsum("bhkv,bhv->bhk", states[t + 1], c)
            grad = grad + q[:, t, :, :, None] * c[:, :, None]
            du = torch.einsum("bhk,bhkv->bhv", k[:, t], grad)
            dv[:, t] = beta[:, t, :, None] * du
            dbeta[:, t] = (du * errors[t]).sum(-1)
            d = g[:, t].exp()[..., None, None]
            dk[:, t] = torch.einsum("bhkv,bhv->bhk", grad, beta[:, t, :, None] * errors[t])
            dk[:, t] -= torch.einsum("bhkv,bhv->bhk", d * states[t], dv[:, t])
            grad = grad - k[:, t, :, :, None] * dv[:, t, :, None]
            dg[:, t] = (d * grad * states[t]).sum((-1, -2))
            grad = d * grad
        return dq, dk, dv, dg, dbeta, grad, None


@torch_kernels.control("control/linear-attention-recomputed", domain={"decay": "scalar"})
def recomputed(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    beta: Tensor,
    initial_state: Tensor | None = None,
    scale: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """The gated delta rule with a backward pass of its own that recomputes the states."""
    shape = (v.shape[0], v.shape[2], k.shape[3], v.shape[3])
    start = v.new_zeros(shape) if initial_state is None else initial_state
    apply: Callable[..., tuple[Tensor, Tensor]] = _GatedDelta.apply
    return apply(q, k, v, log_decay, beta, start, scale)
