"""The recurrences of ten models as kind ``linear-attention``: how each declares itself.

The kernels are the published equations, step by step, in the call that each model's own kernels have. Replace
one by the kernel to be judged; the declaration stays. Expected of all: pass.

    dynprop check examples/adapters/linear_attention_models.py:gated_deltanet --kind linear-attention
"""

import numpy as np
import torch

from dynprop.check import LinearAttention


def zeros(k, v):
    """Return states (batch, head, K, V) for arguments (batch, time, head, ...)."""
    return v.new_zeros(v.shape[0], v.shape[2], k.shape[3], v.shape[3])


def seen(state, x):
    """Return what a state has for keys or queries."""
    return torch.einsum("bhk,bhkv->bhv", x, state)


def outer(k, v):
    """Return k v^T."""
    return k[..., None] * v[..., None, :]


# Linear attention (Katharopoulos et al. 2020, eq. 16 to 20), without the normaliser: S += k v^T.


def linear_kernel(q, k, v, initial_state=None, scale=1.0):
    state, outputs = zeros(k, v) if initial_state is None else initial_state, []
    for t in range(v.shape[1]):
        state = state + outer(k[:, t], v[:, t])
        outputs.append(scale * seen(state, q[:, t]))
    return torch.stack(outputs, 1), state


linear = LinearAttention(linear_kernel)


# RetNet (Sun et al. 2023, eq. 6), head first: one decay for each head.


def retention(q, k, v, decay, state=None, scale=1.0):
    batch, heads, steps, keys = q.shape
    state = v.new_zeros(batch, heads, keys, v.shape[3]) if state is None else state
    outputs = []
    for t in range(steps):
        state = decay.exp()[:, None, None] * state + outer(k[:, :, t], v[:, :, t])
        outputs.append(scale * seen(state, q[:, :, t]))
    return torch.stack(outputs, 2), state


retnet = LinearAttention(retention, decay="constant", layout="bhtd")


# Mamba-2 (Dao and Gu 2024, section 5): q = C, k = B, v = x, beta = dt, log decay = dt A; states (V, K).


def ssd(X, A, B, C, initial_states=None):
    """X = x dt (batch, time, head, V), A = dt A (batch, time, head), B and C (batch, time, group, K)."""
    repeats = X.shape[2] // B.shape[2]
    B, C = B.repeat_interleave(repeats, 2), C.repeat_interleave(repeats, 2)
    state = zeros(B, X).transpose(2, 3) if initial_states is None else initial_states
    outputs = []
    for t in range(X.shape[1]):
        state = A[:, t].exp()[..., None, None] * state + outer(X[:, t], B[:, t])
        outputs.append(torch.einsum("bhn,bhpn->bhp", C[:, t], state))
    return torch.stack(outputs, 1), state


def mamba2_call(q, k, v, log_decay, beta, initial_state=None):
    return ssd(v * beta[..., None], log_decay, k, q, initial_state)


mamba2 = LinearAttention(mamba2_call, update="add", scale="none", groups="interleave", state_layout="vk")


# GLA (Yang et al. 2024, eq. 3): a decay for each component of the keys.


def gla_kernel(q, k, v, gk, initial_state=None, scale=1.0):
    state, outputs = zeros(k, v) if initial_state is None else initial_state, []
    for t in range(v.shape[1]):
        state = gk[:, t].exp()[..., None] * state + outer(k[:, t], v[:, t])
        outputs.append(scale * seen(state, q[:, t]))
    return torch.stack(outputs, 1), state


gla = LinearAttention(gla_kernel, decay="channel")


# RWKV-6 (Peng et al. 2024, eq. 19): outputs read the state before the write; a bonus u for the step's own.


def rwkv6_kernel(r, k, v, w, u, initial_state=None):
    """w is the log decay, below zero."""
    state, outputs = zeros(k, v) if initial_state is None else initial_state, []
    for t in range(v.shape[1]):
        own = (r[:, t] * u * k[:, t]).sum(-1, keepdim=True) * v[:, t]
        outputs.append(seen(state, r[:, t]) + own)
        state = w[:, t].exp()[..., None] * state + outer(k[:, t], v[:, t])
    return torch.stack(outputs, 1), state


rwkv6 = LinearAttention(
    rwkv6_kernel,
    decay="channel",
    read="before",
    scale="none",
    names={"q": "r", "k": "k", "v": "v", "log_decay": "w", "bonus": "u"},
)


# DeltaNet (Yang et al. 2024, eq. 2), gated DeltaNet (Yang, Kautz and Hatamizadeh 2025, eq. 10), KDA (Kimi
# Linear, 2025): S = d S; S += beta k (v - S^T k)^T.


def delta_rule(q, k, v, g, beta, initial_state=None, scale=None, output_final_state=False):
    scale = k.shape[-1] ** -0.5 if scale is None else scale
    state, outputs = zeros(k, v) if initial_state is None else initial_state, []
    for t in range(v.shape[1]):
        if g is not None:
            decay = g[:, t].exp()
            state = (decay[..., None] if decay.ndim == 3 else decay[..., None, None]) * state
        state = state + outer(k[:, t], beta[:, t, :, None] * (v[:, t] - seen(state, k[:, t])))
        outputs.append(scale * seen(state, q[:, t]))
    return torch.stack(outputs, 1), state if output_final_state else None


def deltanet_call(q, k, v, beta, initial_state=None):
    return delta_rule(q, k, v, None, beta, initial_state, output_final_state=True)


def normalising_call(q, k, v, g, beta, initial_state=None, scale=1.0):
    """Gated DeltaNet with use_qk_l2norm_in_kernel."""
    q, k = (x * torch.rsqrt((x * x).sum(-1, keepdim=True) + 1e-6) for x in (q, k))
    return delta_rule(q, k, v, g, beta, initial_state, scale, output_final_state=True)


deltanet = LinearAttention(deltanet_call, update="delta")
gated_deltanet = LinearAttention(normalising_call, update="delta", decay="scalar", normalises=1e-6)
kda = LinearAttention(delta_rule, update="delta", decay="channel")


# RWKV-7 (Peng et al. 2025, eq. 16): S = diag(w) S + b (S^T a)^T + k v^T with a = -kk, b = kk eta.


def rwkv7_kernel(r, w, k, v, a, b, state=None):
    """w is the log decay; one transition matrix for each step, applied from the right to (V, K)."""
    state, outputs = zeros(k, v).transpose(2, 3) if state is None else state, []
    for t in range(v.shape[1]):
        transition = torch.diag_embed(w[:, t].exp()) + outer(a[:, t], b[:, t])
        state = state @ transition + outer(v[:, t], k[:, t])
        outputs.append(torch.einsum("bhvk,bhk->bhv", state, r[:, t]))
    return torch.stack(outputs, 1), state


rwkv7 = LinearAttention(
    rwkv7_kernel,
    update="dplr",
    decay="channel",
    scale="none",
    state_layout="vk",
    names={"q": "r", "k": "k", "v": "v", "log_decay": "w"},
)


# mLSTM (Beck et al. 2024, eq. 19 to 27): beta = exp(i), log decay = log f, states times exp(-m). The
# normaliser is the same recurrence for a column of ones in v; outputs and states are compared times exp(m).


def mlstm_kernel(q, k, v, i, f, c, m):
    """Stabilised numerators and states, each times exp(-m)."""
    numerators, stabilisers = np.empty_like(v), np.empty_like(i)
    for t in range(v.shape[1]):
        larger = np.maximum(f[:, t] + m, i[:, t])
        keep, write = np.exp(f[:, t] + m - larger), np.exp(i[:, t] - larger)
        c = keep[..., None, None] * c + write[..., None, None] * k[:, t, :, :, None] * v[:, t, :, None]
        m = stabilisers[:, t] = larger
        numerators[:, t] = np.einsum("bhk,bhkv->bhv", q[:, t], c)
    return numerators, stabilisers, c, m


def mlstm_call(q, k, v, log_decay, beta, initial_state=None):
    batch, _, heads, values = v.shape
    start = np.zeros((batch, heads, k.shape[3], values), v.dtype) if initial_state is None else initial_state
    with np.errstate(divide="ignore"):
        i = np.log(beta)
    h, stabilisers, c, m = mlstm_kernel(q, k, v, i, log_decay, start, np.zeros((batch, heads), v.dtype))
    scale = np.asarray(k.shape[3], v.dtype) ** -0.5
    return h * np.exp(stabilisers)[..., None] * scale, c * np.exp(m)[..., None, None]


mlstm = LinearAttention(mlstm_call, framework="numpy", update="add", decay="scalar")
