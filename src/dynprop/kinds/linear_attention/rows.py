"""A case as rows of one recurrence: value heads, one length, order decay, write, read.

Sequences of one length are computed together, one row for each sequence and value head; packed sequences one
after the other. ``gathered`` brings results of rows back to the axes of the case; entries of grouped
key heads and of constant decays are sums over rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.kinds.linear_attention.cases import LinearCase
from dynprop.kinds.linear_attention.convention import Convention, Places

__all__ = ["Part", "Rows", "gathered", "parts_of"]


@dataclass(frozen=True)
class Rows:
    """Rows of the recurrence; absent arguments are None.

    Attributes:
        q, k: shape (row, time, K).
        v: shape (row, time, V).
        decay: shape (row, time, K) or (row, time, 1), in the declared space.
        beta: shape (row, time).
        a, b: shape (row, time, K).
        initial: shape (row, K, V).
        bonus: shape (row, K): step t of the case also adds scale (q_t . (bonus k_t)) v_t to its output.
        scale: factor of the outputs; None for 1/sqrt(K).
        outputs: cotangents of the outputs, shape (row, time, V).
        final: cotangents of the final state, shape (row, K, V).
        convention: of the kernel.
        places: steps of the rows at which the steps of the case stand.
    """

    q: FloatArray
    k: FloatArray
    v: FloatArray
    decay: FloatArray | None
    beta: FloatArray | None
    a: FloatArray | None
    b: FloatArray | None
    initial: FloatArray
    bonus: FloatArray | None
    scale: float | None
    outputs: FloatArray | None
    final: FloatArray | None
    convention: Convention
    places: Places

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """Number of rows and steps, K and V."""
        rows, steps, keys = self.q.shape
        return rows, steps, keys, self.v.shape[2]

    @property
    def factor(self) -> float:
        """The scale as a float."""
        return float(self.sizes[2]) ** -0.5 if self.scale is None else self.scale


@dataclass(frozen=True)
class Part:
    """Rows, and where they stand in their case.

    Attributes:
        rows: the rows.
        sequences: the sequences that they belong to.
        time: their steps in the arrays of the case.
        heads: number of value heads.
    """

    rows: Rows
    sequences: slice
    time: slice
    heads: int


def parts_of(
    case: LinearCase,
    convention: Convention,
    outputs: FloatArray | None = None,
    final: FloatArray | None = None,
) -> list[Part]:
    """Return the rows of a case, with the cotangents of outputs and final state."""
    if case.boundaries is None:
        return [_part(case, convention, slice(0, case.batch), slice(0, case.steps), outputs, final)]
    pairs = zip(case.boundaries, case.boundaries[1:], strict=False)
    return [
        _part(case, convention, slice(i, i + 1), slice(start, stop), outputs, final)
        for i, (start, stop) in enumerate(pairs)
    ]


def _part(
    case: LinearCase,
    convention: Convention,
    sequences: slice,
    time: slice,
    outputs: FloatArray | None,
    final: FloatArray | None,
) -> Part:
    heads, keys, values = case.heads, case.q.shape[3], case.v.shape[3]
    batch = slice(0, case.batch) if case.boundaries is None else slice(0, 1)
    places = convention.places(time.stop - time.start)
    key_head = convention.key_heads(heads, case.key_heads)

    def timed(name: str, array: FloatArray | None, neutral: float = 0.0) -> FloatArray | None:
        if array is None:
            return None
        own = array[batch, time]
        if name in ("q", "k"):
            own = own[:, :, key_head]
        by_head = np.moveaxis(own, 2, 1)
        flat = by_head.reshape(-1, *by_head.shape[2:])
        placed = np.full((flat.shape[0], places.steps, *flat.shape[2:]), neutral)
        placed[:, places.of(name)] = flat
        return placed

    def needed(name: str, array: FloatArray) -> FloatArray:
        placed = timed(name, array)
        assert placed is not None
        return placed

    def state(array: FloatArray | None) -> FloatArray | None:
        return None if array is None else array[sequences].reshape(-1, keys, values)

    decay = case.timed_decay
    if decay is not None and decay.ndim == 3:
        decay = decay[..., None]
    initial, count = state(case.initial), (sequences.stop - sequences.start) * heads
    rows = Rows(
        needed("q", case.q),
        needed("k", case.k),
        needed("v", case.v),
        timed("log_decay", decay, convention.neutral_decay),
        timed("beta", case.beta),
        timed("a", case.a),
        timed("b", case.b),
        np.zeros((count, keys, values)) if initial is None else initial,
        None if case.bonus is None else np.tile(case.bonus, (count // heads, 1)),
        case.factor(convention),
        timed("o", outputs),
        state(final),
        convention,
        places,
    )
    return Part(rows, sequences, time, heads)


def gathered(
    case: LinearCase, convention: Convention, name: str, pairs: Sequence[tuple[Part, FloatArray]]
) -> FloatArray:
    """Return values of rows in the axes of the case's argument or result of a name.

    Args:
        case: the case.
        convention: of the kernel.
        name: an argument, "o" or "final_state".
        pairs: each part with its values, (row, time, ...) or (row, K, V) for states, (row, K) for a bonus.
    """
    heads = case.heads
    if name in ("initial_state", "final_state"):
        return np.concatenate([v.reshape(-1, heads, *v.shape[1:]) for _, v in pairs])
    if name == "bonus":
        return np.asarray(sum(v.reshape(-1, heads, v.shape[1]).sum(axis=0) for _, v in pairs))
    pieces = []
    for part, values in pairs:
        own = values[:, part.rows.places.of(name)]
        by_sequence = own.reshape(-1, heads, *own.shape[1:])
        pieces.append(np.moveaxis(by_sequence, 1, 2))
    together = np.concatenate(pieces, axis=1)
    if name in ("q", "k"):
        key_head = convention.key_heads(heads, case.key_heads)
        summed = [together[:, :, key_head == j].sum(axis=2) for j in range(case.key_heads)]
        return np.stack(summed, axis=2)
    if name == "log_decay":
        if convention.decay == "constant":
            return np.asarray(together[..., 0].sum(axis=(0, 1)))
        return together if convention.decay == "channel" else together[..., 0]
    return together


def one_by_one(rows: Rows) -> Iterator[Rows]:
    """Yield every row alone."""

    def at(values: FloatArray | None, n: int) -> FloatArray | None:
        return None if values is None else values[n : n + 1]

    for n in range(rows.sizes[0]):
        yield replace(
            rows,
            q=rows.q[n : n + 1],
            k=rows.k[n : n + 1],
            v=rows.v[n : n + 1],
            initial=rows.initial[n : n + 1],
            bonus=at(rows.bonus, n),
            decay=at(rows.decay, n),
            beta=at(rows.beta, n),
            a=at(rows.a, n),
            b=at(rows.b, n),
            outputs=at(rows.outputs, n),
            final=at(rows.final, n),
        )
