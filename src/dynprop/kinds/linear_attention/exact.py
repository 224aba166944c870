"""The recurrence and its adjoint in ball arithmetic (Arb), rounded to unevaluated sums of two floats.

With c_t the cotangent of o_t and C that of S_T: L_T = C + scale q_T c_T^T, and backwards, for a delta rule,
du = L^T k; dv = beta du; dbeta = du . e; dr = -beta du; dk = L u + S' dr^T; dS' = L + k dr;
d(log decay)_i = d_i sum_j dS'_ij S_{t-1,ij}; dq = scale S_t c_t; L_{t-1} = D dS' + scale q_{t-1} c_{t-1}^T.

The precision grows with the product of 1 + beta |k|^2 (for dplr 1 + |a||b|): at a fixed number of bits the
balls outgrow explosive states, and a correct loop looks wrong.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from flint import arb, arb_mat

from dynprop.arrays import FloatArray
from dynprop.kinds.linear_attention.rows import Rows, one_by_one
from dynprop.laws.exact import Exact, working_precision

__all__ = ["exact_rows"]

BASE_BITS = 220
# Radius of the final state, relative to its largest entry, below which every result has 100 good bits.
SHARPEST = 2.0**-110


def exact_rows(rows: Rows) -> dict[str, Exact]:
    """Return outputs ("o"), the "final_state", and the gradients where the rows have cotangents.

    Args:
        rows: rows of the recurrence.

    Returns:
        Results by name, with the axes of the arguments: (row, time, ...), (row, K, V) for states. The
        gradient of a decay has K components where the decay is a vector, else one.
    """
    found = [_row(one) for one in one_by_one(rows)]
    return {
        name: Exact(
            np.stack([result[name].high for result in found]),
            np.stack([result[name].low for result in found]),
        )
        for name in found[0]
    }


def _bits(rows: Rows) -> int:
    if rows.a is not None and rows.b is not None:
        growth = np.linalg.norm(rows.a, axis=2) * np.linalg.norm(rows.b, axis=2)
    elif rows.beta is not None and rows.convention.update == "delta":
        growth = rows.beta * (rows.k**2).sum(axis=2)
        if rows.convention.normalises is not None:
            growth = rows.beta
    else:
        growth = np.zeros(1)
    return BASE_BITS + int(2.2 * np.log2(1.0 + np.abs(growth)).sum())


@dataclass(frozen=True)
class _Step:
    """What a step keeps for the way back."""

    q: arb_mat
    k: arb_mat
    v: arb_mat
    d: list[arb] | None
    beta: arb | None
    decayed: arb_mat
    e: arb_mat
    u: arb_mat


def _times(d: Sequence[arb] | None, matrix: arb_mat) -> arb_mat:
    """Return diag(d) times a matrix; one number stands for all of them."""
    if d is None:
        return matrix
    if len(d) == 1:
        return matrix * d[0]
    diagonal = arb_mat(len(d), len(d))
    for i, value in enumerate(d):
        diagonal[i, i] = value
    return diagonal * matrix


def _column(values: FloatArray) -> arb_mat:
    return arb_mat(len(values), 1, values.tolist())


class _Lengths:
    """Normalisation x / sqrt(sum of squares + epsilon), and the way back."""

    def __init__(self, epsilon: float) -> None:
        self._epsilon = arb(epsilon)
        self._norms: dict[int, arb] = {}

    def applied(self, x: arb_mat) -> arb_mat:
        """Return the normalised column; zero stays zero."""
        norm = ((x.transpose() * x)[0, 0] + self._epsilon).sqrt()
        result = x if norm == 0 else x * (1 / norm)
        self._norms[id(result)] = norm
        return result

    def back(self, normalised: arb_mat, gradient: arb_mat) -> arb_mat:
        """Return the gradient to what was normalised."""
        norm = self._norms[id(normalised)]
        if norm == 0:
            return gradient * 0
        along = (normalised.transpose() * gradient)[0, 0]
        return (gradient - normalised * along) * (1 / norm)


def _decays(rows: Rows) -> list[list[arb] | None]:
    """Return the decays of every step of one row."""
    if rows.decay is None:
        return [None] * rows.sizes[1]
    space, two = rows.convention.decay_space, arb(2)
    found: list[list[arb] | None] = []
    for values in rows.decay[0].tolist():
        if space == "linear":
            found.append([arb(value) for value in values])
        elif space == "log2":
            found.append([two ** arb(value) for value in values])
        else:
            found.append([arb(value).exp() for value in values])
    return found


def _row(rows: Rows) -> dict[str, Exact]:
    bits = _bits(rows)
    while True:
        with working_precision(bits):
            found, radius = _computed(rows)
            if radius < SHARPEST or bits > 20_000:
                return {name: _exact(name, values, rows) for name, values in found.items()}
        bits *= 2


def _radius(matrix: arb_mat) -> float:
    entries = matrix.entries()
    largest = max((float(abs(x.mid())) for x in entries), default=0.0)
    return max(float(x.rad()) for x in entries) / largest if largest else 0.0


def _computed(rows: Rows) -> tuple[Mapping[str, list[arb_mat]], float]:
    _, steps, keys, _ = rows.sizes
    scale = arb(keys).rsqrt() if rows.scale is None else arb(rows.scale)
    norms = None if rows.convention.normalises is None else _Lengths(rows.convention.normalises)
    delta = rows.convention.update == "delta"
    state = arb_mat(keys, rows.initial.shape[2], rows.initial[0].ravel().tolist())
    found: dict[str, list[arb_mat]] = defaultdict(list)
    states, kept = [state], []
    low_rank = (
        [(_column(a), _column(b)) for a, b in zip(rows.a[0], rows.b[0], strict=True)]
        if (rows.a is not None and rows.b is not None)
        else None
    )
    decays = _decays(rows)
    for t in range(steps):
        q, k = _column(rows.q[0, t]), _column(rows.k[0, t])
        if norms is not None:
            q, k = norms.applied(q), norms.applied(k)
        v = arb_mat(1, rows.v.shape[2], rows.v[0, t].tolist())
        beta = None if rows.beta is None else arb(float(rows.beta[0, t]))
        decayed = _times(decays[t], state)
        e = v - k.transpose() * decayed if delta else v
        u = e if beta is None else e * beta
        after = decayed + k * u
        if low_rank is not None:
            a, b = low_rank[t]
            after = after + b * (a.transpose() * state)
        state = after
        states.append(state)
        kept.append(_Step(q, k, v, decays[t], beta, decayed, e, u))
        found["o"].append(q.transpose() * state * scale)
    found["final_state"] = [state]
    if rows.bonus is not None:
        _add_bonus(rows, kept, scale, found)
    radius = _radius(state)
    if rows.outputs is not None:
        radius = max(radius, _backward(rows, states, kept, low_rank, scale, norms, found))
    return found, radius


def _backward(
    rows: Rows,
    states: Sequence[arb_mat],
    kept: Sequence[_Step],
    low_rank: Sequence[tuple[arb_mat, arb_mat]] | None,
    scale: arb,
    norms: _Lengths | None,
    found: dict[str, list[arb_mat]],
) -> float:
    assert rows.outputs is not None
    _, steps, keys, values = rows.sizes
    delta, linear = rows.convention.update == "delta", rows.convention.decay_space == "linear"
    to_log2 = arb(2).log() if rows.convention.decay_space == "log2" else None
    final = np.zeros((keys, values)) if rows.final is None else rows.final[0]
    grad = arb_mat(keys, values, final.ravel().tolist())
    direct = _bonus_gradients(rows, kept, scale, found) if rows.bonus is not None else {}
    for t in reversed(range(steps)):
        step, before = kept[t], states[t]
        c = arb_mat(1, values, rows.outputs[0, t].tolist())
        grad = grad + step.q * c * scale
        dq = states[t + 1] * c.transpose() * scale
        du = step.k.transpose() * grad
        dv = du if step.beta is None else du * step.beta
        dk = grad * step.u.transpose()
        to_decayed = grad
        if delta:
            dr = dv * -1
            dk = dk + step.decayed * dr.transpose()
            to_decayed = grad + step.k * dr
        if step.beta is not None:
            found["beta"].append(du * step.e.transpose())
        for name, at, value in (("q", t, dq), ("k", t, dk), ("v", t, dv)):
            if (name, at) in direct:
                found[name].append(value + direct[name, at])
            else:
                found[name].append(value)
        if norms is not None:
            found["q"][-1] = norms.back(step.q, found["q"][-1])
            found["k"][-1] = norms.back(step.k, found["k"][-1])
        if step.d is not None:
            terms = _decay_terms(to_decayed, before, len(step.d))
            if not linear:
                terms = [x * d for x, d in zip(terms, step.d, strict=True)]
            if to_log2 is not None:
                terms = [x * to_log2 for x in terms]
            found["log_decay"].append(arb_mat(len(terms), 1, terms))
        earlier = _times(step.d, to_decayed)
        if low_rank is not None:
            a, b = low_rank[t]
            dr = b.transpose() * grad
            found["a"].append(before * dr.transpose())
            found["b"].append(grad * (before.transpose() * a))
            earlier = earlier + a * dr
        grad = earlier
    for name in ("q", "k", "v", "beta", "log_decay", "a", "b"):
        if name in found:
            found[name].reverse()
    found["initial_state"] = [grad]
    return _radius(grad)


def _decay_terms(gradient: arb_mat, state: arb_mat, count: int) -> list[arb]:
    """Return the sum over V of gradient times state, for every component of K or, with count 1, of all."""
    if count == 1:
        pairs = zip(gradient.entries(), state.entries(), strict=True)
        return [sum((x * y for x, y in pairs), arb(0))]
    products = gradient * state.transpose()
    return [products[i, i] for i in range(count)]


def _pairs(rows: Rows) -> list[tuple[int, int]]:
    return list(zip(rows.places.read.tolist(), rows.places.write.tolist(), strict=True))


def _bonus_products(rows: Rows, kept: Sequence[_Step]) -> list[tuple[int, int, arb]]:
    """Return place of the read, place of the write, and q . (bonus k), for every step of the case."""
    assert rows.bonus is not None
    bonus = _column(rows.bonus[0]).entries()
    found = []
    for read, write in _pairs(rows):
        factors = zip(bonus, kept[read].q.entries(), kept[write].k.entries(), strict=True)
        found.append((read, write, sum((u * q * k for u, q, k in factors), arb(0))))
    return found


def _add_bonus(rows: Rows, kept: Sequence[_Step], scale: arb, found: dict[str, list[arb_mat]]) -> None:
    for read, write, product in _bonus_products(rows, kept):
        found["o"][read] = found["o"][read] + kept[write].v * (product * scale)


def _bonus_gradients(
    rows: Rows, kept: Sequence[_Step], scale: arb, found: dict[str, list[arb_mat]]
) -> dict[tuple[str, int], arb_mat]:
    assert rows.bonus is not None
    assert rows.outputs is not None
    bonus = _column(rows.bonus[0]).entries()
    total = [arb(0)] * len(bonus)
    direct: dict[tuple[str, int], arb_mat] = {}
    for read, write, product in _bonus_products(rows, kept):
        c = arb_mat(1, rows.v.shape[2], rows.outputs[0, read].tolist())
        q, k = kept[read].q.entries(), kept[write].k.entries()
        weight = (kept[write].v * c.transpose())[0, 0] * scale
        direct["v", write] = c * (product * scale)
        direct["q", read] = arb_mat(len(q), 1, [u * x * weight for u, x in zip(bonus, k, strict=True)])
        direct["k", write] = arb_mat(len(k), 1, [u * x * weight for u, x in zip(bonus, q, strict=True)])
        total = [s + x * y * weight for s, x, y in zip(total, q, k, strict=True)]
    found["bonus"] = [arb_mat(len(total), 1, total)]
    return direct


def _exact(name: str, values: Sequence[arb_mat], rows: Rows) -> Exact:
    """Return the numbers of one row, rounded to two floats."""
    _, steps, keys, components = rows.sizes
    entries = [x for value in values for x in value.entries()]
    high = np.array([float(x) for x in entries])
    finite = np.isfinite(high)
    low = np.array(
        [float(x - h) if ok else 0.0 for x, h, ok in zip(entries, high.tolist(), finite, strict=True)]
    )
    shape: tuple[int, ...] = {
        "o": (steps, components),
        "v": (steps, components),
        "beta": (steps,),
        "final_state": (keys, components),
        "initial_state": (keys, components),
        "bonus": (keys,),
        "log_decay": (steps, -1),
    }.get(name, (steps, keys))
    return Exact(high.reshape(shape), low.reshape(shape))
