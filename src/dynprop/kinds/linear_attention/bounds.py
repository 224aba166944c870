r"""Rounding-error bounds of any form: local errors, carried by the actual products of transition matrices.

Everything is componentwise. Phi(t,s) = A_t ... A_{s+1} with A_t = D_t - beta_t k_t (D_t k_t)^T for a delta
rule, D_t without one, D_t + b_t a_t^T for dplr; D(t..s) = D_t ... D_{s+1}. Where the log decay is the input,
every chunk form sums it: G_t = max(\|sum of log decays up to t\|, \|log decay t\|) per channel, or rather
(exp(c u G) - 1) / (c u), since the error of an exponent is exponentiated.

M_t is the size of what reaches step t by the actual products, H_t by decays only: a chunk form removes a
state that was erased by cancellation, not by forgetting. ``lost`` is what the inverse of a chunk's unit
triangular system loses, by the products X of the rule and L of the sizes: E = (I + X) L (I + X). An entry of
the result may err by c u B, and is decided where that is below its size. The constant c = 4 is empirical: see
``measure`` and docs/linear_attention.md for the worst errors over the bound.

An order other than decay, write, read is one with steps in which some arguments are zero
(``Convention.places``), so that it has the same bound.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dynprop.arrays import BoolArray, FloatArray
from dynprop.contracts.formats import Format
from dynprop.kinds.linear_attention.loop import decays_of, normalised
from dynprop.kinds.linear_attention.rows import Rows

__all__ = ["C", "RowBounds", "row_bounds"]

# The constant of the bound, empirical: local errors are of up to four units.
C = 4.0


@dataclass(frozen=True)
class RowBounds:
    """Bounds over c u, and the magnitude of intermediate results, by result; and which rows stay in range.

    Attributes:
        bound: by name, in the shapes of the results of ``exact_rows``.
        magnitude: sizes of what is summed by decays only, by name: below 1/u, whole numbers are exact.
        in_range: shape (row,): no intermediate result leaves the safe range of the format.
        constant: c, larger where the kernel normalises.
    """

    bound: dict[str, FloatArray]
    magnitude: dict[str, FloatArray]
    in_range: BoolArray
    constant: float


@dataclass
class _Sizes:
    """What the formulas share; arrays of steps are indexed from 0, states from 0 (initial) to T."""

    q: FloatArray
    k: FloatArray
    v: FloatArray
    d: FloatArray
    rise: FloatArray  # 1 + G
    beta: FloatArray
    a: FloatArray
    b: FloatArray
    signed: tuple[FloatArray, FloatArray, FloatArray, FloatArray]  # q, k, a, b with signs
    initial: FloatArray
    scale: float
    update: str
    tiny: float


def _sizes(rows: Rows, format_: Format) -> _Sizes:
    count, steps, keys, _ = rows.sizes
    q, k = rows.q, rows.k
    if rows.convention.normalises is not None:
        q, k = (normalised(x, rows.convention.normalises) for x in (q, k))
    d = np.broadcast_to(decays_of(rows), (count, steps, keys))
    rise = np.ones((count, steps, keys))
    if rows.decay is not None:
        with np.errstate(all="ignore"):
            logs = np.log(d) if rows.convention.decay_space == "linear" else rows.decay + 0.0 * d
        if rows.convention.decay_space == "log2":
            logs = logs * np.log(2.0)
        largest = np.maximum(np.abs(np.cumsum(logs, axis=1)), np.abs(logs))
        # An error x of the exponent is one of exp(x) - 1, which is more than x where sums are long or coarse.
        with np.errstate(over="ignore"):
            rise = 1.0 + np.expm1(C * format_.unit * largest) / (C * format_.unit)
    nothing = np.zeros_like(k)
    a, b = (nothing if x is None else x for x in (rows.a, rows.b))
    beta = np.ones((count, steps)) if rows.beta is None else np.abs(rows.beta)
    return _Sizes(
        np.abs(q),
        np.abs(k),
        np.abs(rows.v),
        d,
        rise,
        beta,
        np.abs(a),
        np.abs(b),
        (q, k, a, b),
        rows.initial,
        abs(rows.factor),
        rows.convention.update,
        format_.tiny / format_.unit,
    )


def _left(vector: FloatArray, matrix: FloatArray) -> FloatArray:
    """Return vector^T matrix, row by row: (row, K) and (row, K, V) give (row, V)."""
    return np.asarray(np.matmul(vector[:, None], matrix)[:, 0])


def _outer(x: FloatArray, y: FloatArray) -> FloatArray:
    return x[:, :, None] * y[:, None]


def _propagators(s: _Sizes) -> Iterator[FloatArray]:
    """Yield Phi(t, s) for s = 0..t, shape (row, t + 1, K, K), for t = 1, 2, ...; not for update add."""
    count, steps, keys = s.k.shape
    _, k, a, b = s.signed
    identity = np.broadcast_to(np.eye(keys), (count, 1, keys, keys))
    phi = identity
    for t in range(steps):
        decayed = s.d[:, t, None, :, None] * phi
        if s.update == "delta":
            seen = np.matmul(k[:, t, None, None], decayed)
            phi = decayed - s.beta[:, t, None, None, None] * k[:, t, None, :, None] * seen
        else:
            phi = decayed + b[:, t, None, :, None] * np.matmul(a[:, t, None, None], phi)
        phi = np.concatenate([phi, identity], axis=1)
        yield phi


def _carried(phi: FloatArray, terms: FloatArray) -> FloatArray:
    """Return the sum over s of abs(Phi(t, s)) terms_s, for terms (row, s, K, V)."""
    count, sources, keys, _ = phi.shape
    wide = np.abs(phi).transpose(0, 2, 1, 3).reshape(count, keys, sources * keys)
    return np.asarray(np.matmul(wide, terms.reshape(count, sources * keys, -1)))


def _grown(s: _Sizes, sizes: FloatArray) -> FloatArray:
    """Return H_t = max(D_t H_{t-1}, M_t, and for dplr D_t H_{t-1} + abs(k_t v_t^T)) for t = 0..T."""
    grown = [sizes[:, 0]]
    for t in range(s.k.shape[1]):
        kept = s.d[:, t, :, None] * grown[-1]
        if s.update == "dplr":
            kept = kept + _outer(s.k[:, t], s.v[:, t])
        grown.append(np.maximum(kept, sizes[:, t + 1]))
    return np.stack(grown, axis=1)


@dataclass
class _Forward:
    m: FloatArray  # M_0 .. M_T
    h: FloatArray  # H_0 .. H_T
    u: FloatArray  # u+_t, for dplr r+_t
    e: FloatArray  # e+_t
    inverse: FloatArray  # E without beta_t in front
    lost: FloatArray
    loc: FloatArray  # loc_t in places 1..T, loc_0 = 0
    ds: FloatArray  # dS_0 .. dS_T
    z: FloatArray  # Z_0 .. Z_T, zero but for dplr


def _reached(s: _Sizes) -> tuple[FloatArray, FloatArray]:
    """Return M_0 .. M_T, and E without the beta_t of its rows."""
    count, steps, keys = s.k.shape
    written = s.beta[:, :, None] * s.v
    sizes = [np.abs(s.initial)]
    inverse = np.zeros((count, steps, steps))
    if s.update == "add":
        for t in range(steps):
            sizes.append(s.d[:, t, :, None] * sizes[-1] + _outer(s.k[:, t], written[:, t]))
        return np.stack(sizes, axis=1), inverse
    _, k, a, b = s.signed
    delta = s.update == "delta"
    state, low = s.initial, (k if delta else b)
    products = np.zeros((count, 0, keys))  # Phi(t,s) k_s
    lowered = np.zeros((count, 0, keys))  # Phi(t,s) of what L and X are about: k_s, for dplr b_s
    decayed = np.zeros((count, 0, keys))  # D(t..s) of its absolute values
    x, size = np.zeros((count, steps, steps)), np.zeros((count, steps, steps))
    for t in range(steps):
        d, seen = s.d[:, t, None], (k if delta else a)[:, t]
        if delta:
            x[:, t, :t] = np.abs(np.matmul(d * lowered, seen[:, :, None])[..., 0])
            decayed = d * decayed
            size[:, t, :t] = np.matmul(decayed, (s.rise[:, t] * s.k[:, t])[:, :, None])[..., 0]
        else:
            x[:, t, :t] = np.abs(np.matmul(lowered, seen[:, :, None])[..., 0])
            size[:, t, :t] = np.matmul(decayed, (s.rise[:, t] * s.a[:, t])[:, :, None])[..., 0]
            decayed = d * decayed

        def advanced(vectors: FloatArray, t: int = t, d: FloatArray = d) -> FloatArray:
            if delta:
                after = d * vectors
                seen = np.matmul(after, k[:, t, :, None])
                return np.asarray(after - s.beta[:, t, None, None] * seen * k[:, t, None])
            return np.asarray(d * vectors + np.matmul(vectors, a[:, t, :, None]) * b[:, t, None])

        products = np.concatenate([advanced(products), k[:, t, None]], axis=1)
        lowered = products if delta else np.concatenate([advanced(lowered), b[:, t, None]], axis=1)
        decayed = np.concatenate([decayed, np.abs(low)[:, t, None]], axis=1)
        columns = advanced(state.swapaxes(1, 2))
        state = columns.swapaxes(1, 2)
        sizes.append(np.abs(state) + np.matmul(np.abs(products).swapaxes(1, 2), written[:, : t + 1]))
    identity = np.eye(steps)
    weighted = s.beta[:, :, None] * x if delta else x
    scaled = s.beta[:, :, None] * size if delta else size
    inverse = np.matmul(size + np.matmul(x, scaled), identity + weighted)
    return np.stack(sizes, axis=1), np.asarray(inverse)


def _forward(s: _Sizes) -> _Forward:
    steps = s.k.shape[1]
    m, inverse = _reached(s)
    h = m if s.update == "add" else _grown(s, m)
    before = s.d[..., None] * h[:, :-1]
    if s.update == "delta":
        e = s.v + np.matmul(s.k[:, :, None], before)[:, :, 0]
    elif s.update == "dplr":
        e = np.matmul(s.a[:, :, None], h[:, :-1])[:, :, 0]
    else:
        e = s.v
    strength = s.beta[:, :, None]
    u = strength * e
    lost = np.matmul(inverse, u)
    if s.update == "delta":
        lost = strength * lost
    rise = s.rise[..., None]
    k = s.k[..., None]
    loc = m[:, 1:] + rise * s.d[..., None] * m[:, :-1]
    if s.update == "delta":
        again = strength * np.matmul(s.k[:, :, None], rise * before)[:, :, 0]
        loc = loc + k * (u + again + lost)[:, :, None]
    elif s.update == "dplr":
        again = np.matmul(s.a[:, :, None], rise * h[:, :-1])[:, :, 0]
        loc = loc + k * s.v[:, :, None] + s.b[..., None] * (2.0 * again + lost)[:, :, None]
    else:
        loc = loc + k * u[:, :, None]
    loc = loc + s.tiny * (1.0 + k * (1.0 + s.beta[:, :, None, None]))
    loc = np.concatenate([np.zeros_like(loc[:, :1]), loc], axis=1)
    z = np.zeros_like(m)
    if s.update == "dplr":
        for t in range(steps):
            z[:, t + 1] = (
                s.d[:, t, :, None] * z[:, t]
                + _outer(s.k[:, t], s.v[:, t])
                + _outer(s.b[:, t], e[:, t] + lost[:, t])
            )
    ds = np.zeros_like(m)
    return _Forward(m, h, u, e, inverse, lost, loc, ds, z)


def row_bounds(rows: Rows, format_: Format) -> RowBounds:
    """Return the bounds over c u of every result of some rows, in a format.

    Args:
        rows: rows of the recurrence; bounds of gradients need cotangents.
        format_: the format that the kernel computes in.
    """
    s = _sizes(rows, format_)
    _, steps, keys = s.k.shape
    f = _forward(s)
    adjoint = rows.outputs is not None
    c = np.abs(rows.outputs) if rows.outputs is not None else np.zeros_like(s.v)
    final = np.zeros_like(s.initial) if rows.final is None else np.abs(rows.final)
    q = s.scale * s.q
    n = np.zeros_like(f.m)
    first = np.empty_like(s.v)  # the carried part of the bound of the outputs
    if s.update == "add":
        for t in range(steps):
            f.ds[:, t + 1] = s.d[:, t, :, None] * f.ds[:, t] + f.loc[:, t + 1]
            first[:, t] = _left(q[:, t], f.ds[:, t + 1])
        n[:, steps] = final
        for t in reversed(range(steps)):
            n[:, t + 1] += _outer(q[:, t], c[:, t])
            n[:, t] = s.d[:, t, :, None] * n[:, t + 1]
    else:
        signed_q, phi = s.scale * s.signed[0], np.zeros(0)
        for t, phi in enumerate(_propagators(s)):
            f.ds[:, t + 1] = _carried(phi, f.loc[:, : t + 2])
            seen = np.abs(np.matmul(signed_q[:, t, None, None], phi))[:, :, 0]  # (row, s, K)
            first[:, t] = np.einsum("nsk,nskv->nv", seen, f.loc[:, : t + 2])
            if adjoint:
                n[:, : t + 2] += seen[..., None] * c[:, t, None, None]
        if adjoint and rows.final is not None:
            n += np.abs(np.matmul(phi.swapaxes(2, 3), rows.final[:, None]))
    rise = s.rise[..., None]
    reading = q * s.rise
    f.ds[:, 1:] += rise * f.z[:, 1:]
    bound = {
        "o": first
        + np.matmul(q[:, :, None], f.m[:, 1:])[:, :, 0]
        + np.matmul(reading[:, :, None], f.z[:, 1:])[:, :, 0],
        "final_state": f.ds[:, -1] + f.m[:, -1],
    }
    magnitude = {"o": np.matmul(q[:, :, None], f.h[:, 1:])[:, :, 0], "final_state": f.h[:, -1]}
    widest = [f.m, f.h, f.z, n]
    if adjoint:
        more = _backward(s, f, n, q, c, final)
        bound |= more[0]
        magnitude |= more[1]
        widest += more[2]
    _add_bonus(rows, s, c, bound, magnitude)
    _to_declared(rows, s, bound, magnitude)
    steps_tiny = 4.0 * steps * format_.tiny / (C * format_.unit)
    in_range = np.logical_and.reduce([_within(x, format_.safe) for x in widest])
    constant = C if rows.convention.normalises is None else C + keys / 2.0 + 3.0
    return RowBounds(
        {name: value + steps_tiny for name, value in bound.items()}, magnitude, in_range, constant
    )


def _within(values: FloatArray, largest: float) -> BoolArray:
    flat = values.reshape(len(values), -1)
    return np.asarray((flat < largest).all(axis=1))  # NaN is not


def _backward(
    s: _Sizes, f: _Forward, n: FloatArray, q: FloatArray, c: FloatArray, final: FloatArray
) -> tuple[dict[str, FloatArray], dict[str, FloatArray], list[FloatArray]]:
    """Return bounds and magnitudes of the gradients, and arrays that must stay in range."""
    _, steps, _ = s.k.shape
    delta, dplr = s.update == "delta", s.update == "dplr"
    rise, d, k = s.rise[..., None], s.d[..., None], s.k[..., None]
    strength = s.beta[:, :, None]
    hb = n.copy()
    if s.update != "add":
        for t in reversed(range(steps)):
            hb[:, t] = np.maximum(s.d[:, t, :, None] * hb[:, t + 1], n[:, t])

    def seen(vectors: FloatArray, states: FloatArray) -> FloatArray:
        return np.asarray(np.matmul(vectors[:, :, None], states)[:, :, 0])

    after, later = n[:, 1:], hb[:, 1:]
    lostb = np.zeros_like(s.v)
    eta = n.copy()  # eta_T = N_T, eta_0 is the first
    eta[:, :-1] += rise * d * after
    if delta:
        bk = seen(s.rise * s.k, later)
        lostb = np.matmul(f.inverse.swapaxes(1, 2), strength * bk)
        eta[:, :-1] += rise * d * k * (strength * (2.0 * bk + lostb))[:, :, None]
    if dplr:
        bk = seen(s.b, later)
        lostb = np.matmul(f.inverse.swapaxes(1, 2), bk)
        eta[:, :-1] += s.a[..., None] * (2.0 * bk + lostb)[:, :, None]
    largest = (q / s.scale if s.scale else q).max(axis=(1, 2)) * c.max(axis=(1, 2))
    eta += (s.tiny * (1.0 + largest) * (1.0 + s.k.max(axis=(1, 2))))[:, None, None, None]
    dl = np.zeros_like(n)
    if s.update == "add":
        dl[:, steps] = eta[:, steps]
        for t in reversed(range(steps)):
            dl[:, t] = s.d[:, t, :, None] * dl[:, t + 1] + eta[:, t]
    else:
        dl[:, 0] += eta[:, 0]
        for t, phi in enumerate(_propagators(s)):
            dl[:, : t + 2] += np.matmul(np.abs(phi).swapaxes(2, 3), eta[:, t + 1, None])
    if dplr:
        carried = np.zeros_like(n)
        carried[:, steps] = final
        highest = np.ones_like(s.rise[:, 0])
        for t in reversed(range(steps)):
            j = carried[:, t + 1] + _outer(q[:, t], c[:, t])
            carried[:, t + 1] = j
            carried[:, t] = s.d[:, t, :, None] * j + _outer(s.a[:, t], seen(s.b, later)[:, t] + lostb[:, t])
            highest = np.maximum(highest, s.rise[:, t])
            dl[:, t + 1] += highest[..., None] * carried[:, t + 1]
        dl[:, 0] += highest[..., None] * carried[:, 0]
    dlt = dl[:, 1:]
    edu = seen(s.k, dlt + later) + (lostb if delta else 0.0)
    kn = seen(s.k, after)
    dr = strength * kn if delta else np.zeros_like(kn)
    earlier_m, earlier_ds = d * f.m[:, :-1], f.ds[:, :-1]
    decayed_ds = d * earlier_ds + rise * earlier_m
    seen_ds = seen(s.k, decayed_ds)
    u = strength * s.v if dplr else f.u
    lost = f.lost if delta else np.zeros_like(u)

    def against(states: FloatArray, vectors: FloatArray) -> FloatArray:
        return np.asarray(np.matmul(states, vectors[..., None])[..., 0])

    bound = {
        "v": strength * edu,
        "initial_state": dl[:, 0] + n[:, 0],
        "q": s.scale * against(f.ds[:, 1:] + f.m[:, 1:], c),
        "k": against(dlt + after, u),
    }
    magnitude = {
        "v": strength * seen(s.k, later),
        "initial_state": hb[:, 0],
        "q": s.scale * against(f.h[:, 1:], c),
        "k": against(later, u + lost),
    }
    if delta:
        eu = strength * seen_ds + f.u + f.lost
        bound["k"] = (
            against(dlt + after, f.u)
            + against(after, eu)
            + against(decayed_ds, dr)
            + against(earlier_m, strength * edu)
        )
        magnitude["k"] = magnitude["k"] + against(d * f.h[:, :-1], strength * seen(s.k, later) + lostb)
        unlost = np.matmul(f.inverse, f.u)
        bound["beta"] = (edu * f.e).sum(axis=2) + (kn * (seen_ds + f.e + unlost)).sum(axis=2)
        magnitude["beta"] = (seen(s.k, later) * (f.e + unlost)).sum(axis=2)
    else:
        bound["beta"] = (edu * s.v).sum(axis=2) + (kn * s.v).sum(axis=2)
        magnitude["beta"] = (seen(s.k, later) * s.v).sum(axis=2)
    # The decay.
    d_first = after + k * dr[:, :, None]
    # A chunk form has the step's own decay from differences of sums: its error is 1 + G, too.
    inner = (dlt + (1.0 + rise) * d_first) * f.m[:, :-1] + d_first * earlier_ds
    if delta:
        inner = inner + k * (strength * edu)[:, :, None] * f.m[:, :-1]
    sums = s.q * s.scale * against(f.h[:, 1:], c) + s.k * against(later, u + lost)
    if delta:
        sums = sums + s.k * against(d * f.h[:, :-1], strength * seen(s.k, later) + lostb)
    if dplr:
        sums = (
            sums + s.b * against(later, f.e + f.lost) + s.a * against(f.h[:, :-1], seen(s.b, later) + lostb)
        )
    sums = s.rise * sums
    sums[:, -1] += (n[:, -1] * f.m[:, -1]).sum(axis=2)
    tail = np.cumsum(sums[:, ::-1], axis=1)[:, ::-1]
    bound["log_decay"] = s.d * inner.sum(axis=3) + tail
    magnitude["log_decay"] = tail + s.d * (later * f.h[:, :-1]).sum(axis=3)
    if dplr:
        bn = seen(s.b, after)
        edr = seen(s.b, dlt + later) + lostb
        bound["a"] = against(earlier_ds + f.m[:, :-1], bn) + against(f.m[:, :-1], edr)
        magnitude["a"] = against(f.h[:, :-1], seen(s.b, later) + lostb)
        er = seen(s.a, earlier_ds + rise * f.h[:, :-1]) + f.lost
        bound["b"] = against(dlt + after, f.e) + against(after, er)
        magnitude["b"] = against(later, f.e + f.lost)
    return bound, magnitude, [hb, dl, eta]


def _add_bonus(
    rows: Rows, s: _Sizes, c: FloatArray, bound: dict[str, FloatArray], magnitude: dict[str, FloatArray]
) -> None:
    """Add the terms of a bonus: three factors, one sum over K, and for its gradient one over the steps.

    A sum of n products with m factors errs by at most (n + m) u of its absolute terms (Higham 2002, lemma
    3.1); the bound is over c u.
    """
    if rows.bonus is None:
        return
    read, write = rows.places.read, rows.places.write
    keys, units = rows.sizes[2], (rows.sizes[2] + 5.0) / C
    bonus = np.abs(rows.bonus)[:, None]
    q, k, v, weights = s.scale * s.q[:, read], s.k[:, write], s.v[:, write], c[:, read]
    product = (bonus * q * k).sum(axis=2, keepdims=True)
    terms = [("o", read, product * v)]
    if rows.outputs is not None:
        weight = (v * weights).sum(axis=2, keepdims=True)
        more = (v.shape[2] + 5.0) / C
        terms += [("v", write, product * weights), ("q", read, s.scale * bonus * k * weight)]
        terms += [("k", write, bonus * q * weight)]
        total = (q * k * weight).sum(axis=1)
        bound["bonus"] = (more + keys / C + len(read) / C) * total
        magnitude["bonus"] = total
        units = max(units, more)
    for name, where, value in terms:
        bound[name][:, where] += units * value
        magnitude[name][:, where] += value


def _to_declared(
    rows: Rows, s: _Sizes, bound: dict[str, FloatArray], magnitude: dict[str, FloatArray]
) -> None:
    """Turn bounds of gradients to the log decay, to unit q and k, into those of the arguments."""
    if rows.outputs is None:
        return
    if rows.decay is None:
        del bound["log_decay"], magnitude["log_decay"]
    else:
        for of in (bound, magnitude):
            value = of["log_decay"]
            if rows.convention.decay_space != "log":
                value = value / (s.d if rows.convention.decay_space == "linear" else np.log(2.0))
            of["log_decay"] = value.sum(axis=2, keepdims=True) if rows.decay.shape[2] == 1 else value
    if rows.beta is None:
        del bound["beta"], magnitude["beta"]
    if rows.convention.normalises is None:
        return
    for name, unit, given in (("q", s.q, rows.q), ("k", s.k, rows.k)):
        norms = np.sqrt((given**2).sum(axis=2, keepdims=True) + rows.convention.normalises)
        safe = np.where(norms == 0.0, 1.0, norms)
        for of in (bound, magnitude):
            along = (unit * of[name]).sum(axis=2, keepdims=True)
            of[name] = (of[name] + unit * along) / safe
        # The way back through the normalisation rounds what it gets.
        bound[name] = bound[name] + magnitude[name]
