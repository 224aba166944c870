r"""Many independent cases at once, by a filter: what extended precision can decide needs no exact arithmetic.

The state of every case is computed step by step in numpy's long double (unit :math:`u_L`, 2^-64 on
x86), whose error is at most :math:`\delta=\gamma_{nt}(u_L)\,|W^T|^t|h|` by the theorem that bounds the
subject (``bounds``). A component is surely decided if :math:`b+\delta<|h_t|`, surely undecidable if
:math:`b\ge|h_t|+\delta`, and its error is at most the distance to the filter's value plus
:math:`\delta`. A case of which all this is sure, and whose errors are within their bounds, has passed;
every other case, and one that raised, is handed back to be judged alone and exactly. Where long double
is no wider than double, that is all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from dynprop.arrays import BoolArray, IntArray, NumericArray
from dynprop.contracts.domain import Domain
from dynprop.kinds.power.bounds import absolute_powers, assembled, rounding_count
from dynprop.kinds.power.cases import (
    LARGEST,
    VECTORS,
    PowerCase,
    scaled_to_range,
    usable_families,
    vectors,
    within_format,
)
from dynprop.kinds.power.families.families import FAMILIES, draw_matrices, round_matrix
from dynprop.kinds.power.subject import PowerSubject
from dynprop.laws.law import Cleared
from dynprop.laws.rounding import gamma

__all__ = ["Group", "draw_groups", "exact_batch", "sift"]

Rng = np.random.Generator
LATEST = 60
# Covers the rounding of the comparisons themselves.
ROOM = 2.0**-40


@dataclass(frozen=True)
class Group:
    """Cases of one size, format and kind of numbers.

    Attributes:
        W: shape (count, n, n).
        h: shape (count, n).
        t: shape (count,).
        dtype: the real format.
        families: names of the classes of matrices, one per case.
        seeds: shape (count,).
    """

    W: NumericArray
    h: NumericArray
    t: IntArray
    dtype: str
    families: tuple[str, ...]
    seeds: IntArray

    def case(self, i: int) -> PowerCase:
        """Return one case."""
        return PowerCase(
            self.W[i], self.h[i], int(self.t[i]), self.dtype, self.families[i], "judged", int(self.seeds[i])
        )


def draw_groups(rng: Rng, domain: Domain, count: int) -> Iterator[Group]:
    """Draw independent cases, then sort them into groups of equal size, format and kind of numbers."""
    dtypes = [d for d in domain.dtypes if d in ("float64", "float32")] or list(domain.dtypes)
    names = usable_families(tuple(FAMILIES), dtypes[0])
    family = rng.integers(0, len(names), count)
    smallest = np.array([FAMILIES[name].smallest for name in names])[family]
    n = smallest + (rng.random(count) * (LARGEST + 1 - smallest)).astype(np.int64)
    t = rng.integers(1, min(LATEST, domain.max_length) + 1, count)
    format_ = rng.integers(0, len(dtypes), count)
    made: dict[tuple[int, bool], list[tuple[IntArray, NumericArray]]] = {}
    order = np.lexsort((n, family))
    edges = np.flatnonzero(np.diff(family[order]) | np.diff(n[order])) + 1
    for members in np.split(order, edges):
        if len(members):
            name, size = names[family[members[0]]], int(n[members[0]])
            w = draw_matrices(rng, name, len(members), size)
            made.setdefault((size, np.iscomplexobj(w)), []).append((members, w))
    for (size, complex_), pieces in made.items():
        members = np.concatenate([index for index, _ in pieces])
        w = np.concatenate([matrices for _, matrices in pieces])
        kinds = rng.integers(0, len(VECTORS), len(members))
        drawn = [vectors(rng, len(members), size, name, complex_=complex_) for name in VECTORS]
        h = np.choose(kinds[:, None], drawn)
        seeds = rng.integers(0, 2**31, len(members))
        for i, dtype in enumerate(dtypes):
            some = np.flatnonzero(format_[members] == i)
            if len(some):
                chosen = members[some]
                families = tuple(names[f] for f in family[chosen])
                scaled = _extreme(rng, w[some], families, t[chosen], dtype)
                yield Group(
                    round_matrix(within_format(scaled, dtype), dtype),
                    round_matrix(within_format(h[some], dtype), dtype),
                    t[chosen],
                    dtype,
                    families,
                    seeds[some],
                )


def _extreme(rng: Rng, w: NumericArray, families: tuple[str, ...], t: IntArray, dtype: str) -> NumericArray:
    found = w.copy()
    for name in sorted(set(families)):
        if FAMILIES[name].extreme:
            where = np.array([f == name for f in families])
            found[where] = scaled_to_range(rng, w[where], name, t[where], dtype)
    return found


def _extended(group: Group) -> tuple[NumericArray, float]:
    """Return the states in extended precision, and the unit of that format."""
    kind = np.clongdouble if np.iscomplexobj(group.W) else np.longdouble
    order = np.argsort(-group.t, kind="stable")
    w = group.W[order].astype(kind)
    state = group.h[order].astype(kind)[:, None, :]
    ends = np.searchsorted(-group.t[order], -np.arange(1, group.t.max(initial=0) + 1), side="right")
    for end in ends:
        state[:end] = state[:end] @ w[:end]
    found = np.empty_like(state[:, 0])
    found[order] = state[:, 0]
    return found, float(np.finfo(np.longdouble).eps) / 2.0


def sift(group: Group, values: NumericArray) -> tuple[BoolArray, BoolArray, float]:
    """Say which cases surely passed and which are surely undecidable, and the worst ratio of the passed.

    Args:
        group: the cases.
        values: what the subject computed, shape (count, n); NaN where it is to be judged alone.
    """
    n, complex_ = group.h.shape[1], np.iscomplexobj(group.W)
    powers = absolute_powers(group.W, group.h, group.t)
    scale = powers[0]
    levels = np.maximum(group.t, 1).astype(np.float64)
    sigma, start = np.full(len(levels), np.inf), np.linalg.norm(group.h, axis=1)
    times = group.t.astype(np.float64)
    with np.errstate(all="ignore"):
        bound = assembled(*powers, sigma, start, times, group.dtype, complex_=complex_)
        state, unit = _extended(group)
        delta = gamma(2.0 * rounding_count(n, complex_=complex_) * levels, unit)[:, None] * scale
        magnitude = np.abs(state).astype(np.float64)
        distance = np.abs(values - state).astype(np.float64) * (1.0 + ROOM) + delta
        empty = (scale == 0.0) & (magnitude == 0.0)
        sure = (bound.entry + 2.0 * delta < magnitude * (1.0 - ROOM)) | empty
        # Only where a component is left open is the norm of W needed.
        left = np.flatnonzero(~(sure & bound.in_range).all(axis=1))
        if len(left):
            sigma[left] = np.linalg.norm(group.W[left], 2, axis=(1, 2))
            bound = assembled(*powers, sigma, start, times, group.dtype, complex_=complex_)
            sure = (bound.entry + 2.0 * delta < magnitude * (1.0 - ROOM)) | empty
        limit = np.where(sure, bound.entry, np.minimum(bound.entry, bound.norm)) * (1.0 - ROOM)
        sure = (sure | (limit + 2.0 * delta < magnitude * (1.0 - ROOM))) & bound.in_range & np.isfinite(limit)
        never = (limit >= magnitude * (1.0 + ROOM) + 2.0 * delta) & ~empty
        never |= ~bound.in_range | ~np.isfinite(limit)
        clear = (sure | never).all(axis=1)
        passed = clear & sure.any(axis=1) & (~sure | (distance <= limit)).all(axis=1)
        ratio = np.where(sure & passed[:, None] & (distance > 0.0), distance / limit, 0.0)
    return passed, clear & ~sure.any(axis=1), float(ratio.max(initial=0.0))


def exact_batch(
    subject: PowerSubject, rng: Rng, count: int, announce: Callable[[PowerCase], None]
) -> Cleared:
    """Draw independent cases, try the subject on each, and sift them; see the module docstring.

    Args:
        subject: the target.
        rng: where the cases come from.
        count: how many.
        announce: called with every case before the target is.
    """
    decided, undecidable, worst = 0, 0, 0.0
    rest: list[PowerCase] = []
    for group in draw_groups(rng, subject.domain, count):
        values = np.full(group.h.shape, np.nan, dtype=group.h.dtype)
        for i in range(len(group.t)):
            case = group.case(i)
            announce(case)
            try:
                found = subject.values(case.arguments, case.dtype)
            except Exception:
                continue  # judged alone, where what it raised is attributed
            if not np.iscomplexobj(found) or case.is_complex:
                values[i] = found
        passed, outside, ratio = sift(group, values)
        decided += int(passed.sum())
        undecidable += int(outside.sum())
        worst = max(worst, ratio)
        rest += [group.case(int(i)) for i in np.flatnonzero(~(passed | outside))]
    return Cleared(decided, undecidable, worst, tuple(rest))
