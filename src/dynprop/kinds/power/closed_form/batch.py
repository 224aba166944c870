r"""Many independent cases at once: a filter in extended precision avoids exact arithmetic for most of them.

The state of every case is computed step by step in numpy's long double (unit :math:`u_L`, 2^-64 on
x86), whose error is at most :math:`\delta=\gamma_{nt}(u_L)\,|W^T|^t|h|` by the theorem that bounds the
subject (``bounds``). A component is certainly decided if :math:`b+\delta<|h_t|`, certainly undecidable if
:math:`b\ge|h_t|+\delta`, and its error is at most the distance to the filter's value plus
:math:`\delta`. A case passes if every component is certainly decided or undecidable and every decided
one is within its bound; all other cases, and those that raised, are returned and judged exactly, one by one.
Where long double is no wider than double, these are all cases.
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
    USUAL,
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
    largest = np.where(rng.random(count) < 0.125, LARGEST, USUAL)
    n = smallest + (rng.random(count) * (largest + 1 - smallest)).astype(np.int64)
    t = rng.integers(1, min(LATEST, domain.max_length) + 1, count)
    format_ = rng.integers(0, len(dtypes), count)
    by_size: dict[tuple[int, bool], list[tuple[IntArray, NumericArray]]] = {}
    order = np.lexsort((n, family))
    edges = np.flatnonzero(np.diff(family[order]) | np.diff(n[order])) + 1
    for members in np.split(order, edges):
        if len(members):
            name, size = names[family[members[0]]], int(n[members[0]])
            w = draw_matrices(rng, name, len(members), size)
            by_size.setdefault((size, np.iscomplexobj(w)), []).append((members, w))
    for (size, complex_), pieces in by_size.items():
        members = np.concatenate([index for index, _ in pieces])
        w = np.concatenate([matrices for _, matrices in pieces])
        kinds = rng.integers(0, len(VECTORS), len(members))
        drawn = [vectors(rng, len(members), size, name, complex_=complex_) for name in VECTORS]
        h = np.choose(kinds[:, None], drawn)
        seeds = rng.integers(0, 2**31, len(members))
        for i, dtype in enumerate(dtypes):
            rows = np.flatnonzero(format_[members] == i)
            if len(rows):
                chosen = members[rows]
                families = tuple(names[f] for f in family[chosen])
                scaled = _extreme(rng, w[rows], families, t[chosen], dtype)
                yield Group(
                    round_matrix(within_format(scaled, dtype), dtype),
                    round_matrix(within_format(h[rows], dtype), dtype),
                    t[chosen],
                    dtype,
                    families,
                    seeds[rows],
                )


def _extreme(rng: Rng, w: NumericArray, families: tuple[str, ...], t: IntArray, dtype: str) -> NumericArray:
    scaled = w.copy()
    for name in sorted(set(families)):
        if FAMILIES[name].extreme:
            where = np.array([f == name for f in families])
            scaled[where] = scaled_to_range(rng, w[where], name, t[where], dtype)
    return scaled


def _extended(group: Group) -> tuple[NumericArray, float]:
    """Return the states in extended precision, and the unit of that format."""
    kind = np.clongdouble if np.iscomplexobj(group.W) else np.longdouble
    order = np.argsort(-group.t, kind="stable")
    w = group.W[order].astype(kind)
    state = group.h[order].astype(kind)[:, None, :]
    ends = np.searchsorted(-group.t[order], -np.arange(1, group.t.max(initial=0) + 1), side="right")
    for end in ends:
        state[:end] = state[:end] @ w[:end]
    states = np.empty_like(state[:, 0])
    states[order] = state[:, 0]
    return states, float(np.finfo(np.longdouble).eps) / 2.0


def sift(group: Group, values: NumericArray) -> tuple[BoolArray, BoolArray, float]:
    """Return masks of the cases that pass and that are undecidable, both for certain, and the worst ratio.

    Args:
        group: the cases.
        values: what the subject computed, shape (count, n); NaN for a case to be judged on its own.
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
        certain = (bound.entry + 2.0 * delta < magnitude * (1.0 - ROOM)) | empty
        # The norm of W is needed only where a component is undecided.
        undecided = np.flatnonzero(~(certain & bound.in_range).all(axis=1))
        if len(undecided):
            sigma[undecided] = np.linalg.norm(group.W[undecided], 2, axis=(1, 2))
            bound = assembled(*powers, sigma, start, times, group.dtype, complex_=complex_)
            certain = (bound.entry + 2.0 * delta < magnitude * (1.0 - ROOM)) | empty
        limit = np.where(certain, bound.entry, np.minimum(bound.entry, bound.norm)) * (1.0 - ROOM)
        certain = (
            (certain | (limit + 2.0 * delta < magnitude * (1.0 - ROOM))) & bound.in_range & np.isfinite(limit)
        )
        undecidable = (limit >= magnitude * (1.0 + ROOM) + 2.0 * delta) & ~empty
        undecidable |= ~bound.in_range | ~np.isfinite(limit)
        settled = (certain | undecidable).all(axis=1)
        passed = settled & certain.any(axis=1) & (~certain | (distance <= limit)).all(axis=1)
        ratio = np.where(certain & passed[:, None] & (distance > 0.0), distance / limit, 0.0)
    return passed, settled & ~certain.any(axis=1), float(ratio.max(initial=0.0))


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
    unresolved: list[PowerCase] = []
    for group in draw_groups(rng, subject.domain, count):
        values = np.full(group.h.shape, np.nan, dtype=group.h.dtype)
        for i in range(len(group.t)):
            case = group.case(i)
            announce(case)
            try:
                state = subject.values(case.arguments, case.dtype)
            except Exception:
                continue  # judged on its own later, where the exception is attributed
            if not np.iscomplexobj(state) or case.is_complex:
                values[i] = state
        passed, undecided, ratio = sift(group, values)
        decided += int(passed.sum())
        undecidable += int(undecided.sum())
        worst = max(worst, ratio)
        unresolved += [group.case(int(i)) for i in np.flatnonzero(~(passed | undecided))]
    return Cleared(decided, undecidable, worst, tuple(unresolved))
