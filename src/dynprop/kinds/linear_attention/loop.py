"""The recurrence and its adjoint in float64: whole numbers, where nothing is rounded, and known mistakes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.kinds.linear_attention.rows import Rows

__all__ = ["decays_of", "loop", "normalised", "undecayed"]


def decays_of(rows: Rows) -> FloatArray:
    """Return the decays d_t, shape (row, time, 1) or (row, time, K); ones where there are none."""
    if rows.decay is None:
        return np.ones((*rows.q.shape[:2], 1))
    if rows.convention.decay_space == "linear":
        return rows.decay
    with np.errstate(all="ignore"):
        return np.asarray(
            np.exp2(rows.decay) if rows.convention.decay_space == "log2" else np.exp(rows.decay)
        )


def normalised(values: FloatArray, epsilon: float) -> FloatArray:
    """Return vectors divided by sqrt(sum of squares + epsilon); zero stays zero."""
    norms = np.sqrt((values**2).sum(axis=-1, keepdims=True) + epsilon)
    return np.asarray(values / np.where(norms == 0.0, 1.0, norms))


def undecayed(rows: Rows) -> Rows:
    """Return the rows without their decays."""
    return replace(rows, decay=None)


def loop(rows: Rows) -> dict[str, FloatArray]:
    """Return outputs, final state and, where there are cotangents, gradients to the arguments."""
    steps = rows.sizes[1]
    delta, scale = rows.convention.update == "delta", rows.factor
    q, k = rows.q, rows.k
    if rows.convention.normalises is not None:
        q, k = (normalised(x, rows.convention.normalises) for x in (q, k))
    d = decays_of(rows)
    state, states, es, outputs = rows.initial, [rows.initial], [], np.empty_like(rows.v)
    beta = np.ones(q.shape[:2]) if rows.beta is None else rows.beta
    for t in range(steps):
        decayed = d[:, t, :, None] * state
        e = rows.v[:, t]
        if delta:
            e = e - np.einsum("nk,nkv->nv", k[:, t], decayed)
        after = decayed + k[:, t, :, None] * (beta[:, t, None] * e)[:, None]
        if rows.a is not None and rows.b is not None:
            after = after + rows.b[:, t, :, None] * np.einsum("nk,nkv->nv", rows.a[:, t], state)[:, None]
        state = after
        states.append(state)
        es.append(e)
        outputs[:, t] = scale * np.einsum("nk,nkv->nv", q[:, t], state)
    found = {"o": outputs, "final_state": state}
    read, write = rows.places.read, rows.places.write
    if rows.bonus is not None:
        product = (rows.bonus[:, None] * q[:, read] * k[:, write]).sum(axis=2, keepdims=True)
        outputs[:, read] += scale * product * rows.v[:, write]
    if rows.outputs is not None:
        found |= _adjoint(rows, q, k, d, beta, states, es)
    return found


def _adjoint(
    rows: Rows,
    q: FloatArray,
    k: FloatArray,
    d: FloatArray,
    beta: FloatArray,
    states: list[FloatArray],
    es: list[FloatArray],
) -> dict[str, FloatArray]:
    assert rows.outputs is not None
    c, scale, delta = rows.outputs, rows.factor, rows.convention.update == "delta"
    grad = np.zeros_like(rows.initial) if rows.final is None else rows.final
    to = {"q": np.empty_like(q), "k": np.empty_like(k), "v": np.empty_like(rows.v)}
    to |= {"beta": np.empty_like(beta), "log_decay": np.empty_like(q)}
    low_rank = (np.empty_like(q), np.empty_like(q))
    for t in reversed(range(rows.sizes[1])):
        before, decayed = states[t], d[:, t, :, None] * states[t]
        grad = grad + scale * q[:, t, :, None] * c[:, t, None]
        to["q"][:, t] = scale * np.einsum("nkv,nv->nk", states[t + 1], c[:, t])
        du = np.einsum("nk,nkv->nv", k[:, t], grad)
        to["v"][:, t] = beta[:, t, None] * du
        to["beta"][:, t] = (du * es[t]).sum(axis=1)
        to["k"][:, t] = np.einsum("nkv,nv->nk", grad, beta[:, t, None] * es[t])
        to_decayed = grad
        if delta:
            dr = -to["v"][:, t]
            to["k"][:, t] += np.einsum("nkv,nv->nk", decayed, dr)
            to_decayed = grad + k[:, t, :, None] * dr[:, None]
        to["log_decay"][:, t] = d[:, t] * (to_decayed * before).sum(axis=2)
        earlier = d[:, t, :, None] * to_decayed
        if rows.a is not None and rows.b is not None:
            dr = np.einsum("nk,nkv->nv", rows.b[:, t], grad)
            low_rank[0][:, t] = np.einsum("nkv,nv->nk", before, dr)
            r = np.einsum("nk,nkv->nv", rows.a[:, t], before)
            low_rank[1][:, t] = np.einsum("nkv,nv->nk", grad, r)
            earlier = earlier + rows.a[:, t, :, None] * dr[:, None]
        grad = earlier
    to["initial_state"] = grad
    if rows.bonus is not None:
        read, write = rows.places.read, rows.places.write
        weight = scale * (rows.v[:, write] * c[:, read]).sum(axis=2, keepdims=True)
        product = (rows.bonus[:, None] * q[:, read] * k[:, write]).sum(axis=2, keepdims=True)
        to["bonus"] = (weight * q[:, read] * k[:, write]).sum(axis=1)
        to["v"][:, write] += scale * product * c[:, read]
        to["q"][:, read] += weight * rows.bonus[:, None] * k[:, write]
        to["k"][:, write] += weight * rows.bonus[:, None] * q[:, read]
    if rows.convention.normalises is not None:
        for name, unit, given in (("q", q, rows.q), ("k", k, rows.k)):
            norms = np.sqrt((given**2).sum(axis=2, keepdims=True) + rows.convention.normalises)
            along = (unit * to[name]).sum(axis=2, keepdims=True)
            to[name] = np.where(
                norms == 0.0, 0.0, (to[name] - unit * along) / np.where(norms == 0.0, 1.0, norms)
            )
    if rows.decay is None:
        del to["log_decay"]
    else:
        if rows.decay.shape[2] == 1:
            to["log_decay"] = to["log_decay"].sum(axis=2, keepdims=True)
        if rows.convention.decay_space != "log":
            factor = d if rows.convention.decay_space == "linear" else 1.0 / np.log(2.0)
            to["log_decay"] = to["log_decay"] / factor
    if rows.beta is None:
        del to["beta"]
    if rows.a is not None:
        to |= {"a": low_rank[0], "b": low_rank[1]}
    return to
