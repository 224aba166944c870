"""Cases of a kernel with matrix-valued states: strata first, numbers second.

With usual draws (64 steps, no initial state, as many key as value heads, moderate decay) a quarter of the
planted faults change nothing at all. So lengths lie at and around one and two chunks, rows have different
states that are not zero, K and V differ (once they are equal), keys are repeated and not normalised, beta is
0, 1 and 2, and packed sequences begin inside a chunk.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Annotated, Any

import numpy as np

from dynprop.arrays import FloatArray, round_to
from dynprop.contracts.domain import Domain
from dynprop.errors import ArgumentError
from dynprop.kinds.linear_attention.convention import Convention
from dynprop.laws.cases import ArrayCase, Axes, fewer, one_bit, three_bits
from dynprop.laws.draw import Source

__all__ = ["LinearCase", "linear_case", "packed_case", "whole_case"]

Rng = np.random.Generator
SIMPLER = (np.sign, one_bit, three_bits)
TIMED = ("q", "k", "v", "decay", "beta", "a", "b")


@dataclass(frozen=True, eq=False)
class LinearCase(ArrayCase):
    """One input of a kernel; every number is exactly representable in the dtype.

    Attributes:
        q: shape (batch, time, key head, K); batch is 1 where sequences are packed.
        k: same shape.
        v: shape (batch, time, head, V).
        decay: shape (batch, time, head) or (batch, time, head, K), in the declared space, or None.
        constant_decay: shape (head,): the same decay at every step, or None.
        beta: shape (batch, time, head), or None.
        a, b: shape (batch, time, head, K), or None.
        bonus: shape (head, K), or None.
        initial: shape (sequence, head, K, V), or None.
        scale: the argument ``scale``.
        boundaries: where packed sequences begin, and the end; None where each batch row is a sequence.
        dtype: the format of the arguments.
        multiple: number of which each length is a multiple.
        stratum: the classes that the numbers were drawn from.
        seed: seed of further random numbers of a law, such as cotangents.
    """

    q: Annotated[FloatArray, Axes(("batch", "time", "key head"))]
    k: Annotated[FloatArray, Axes(("batch", "time", "key head"))]
    v: Annotated[FloatArray, Axes(("batch", "time", "head"))]
    decay: Annotated[FloatArray | None, Axes(("batch", "time", "head"))]
    constant_decay: Annotated[FloatArray | None, Axes(("head",))]
    beta: Annotated[FloatArray | None, Axes(("batch", "time", "head"))]
    a: Annotated[FloatArray | None, Axes(("batch", "time", "head"))]
    b: Annotated[FloatArray | None, Axes(("batch", "time", "head"))]
    bonus: Annotated[FloatArray | None, Axes(("head",))]
    initial: Annotated[FloatArray | None, Axes(("sequence", "head"))]
    scale: float
    boundaries: tuple[int, ...] | None
    dtype: str
    multiple: int = 1
    stratum: str = ""
    seed: int = 0

    @property
    def batch(self) -> int:
        """Number of rows of the batch."""
        return int(self.q.shape[0])

    @property
    def steps(self) -> int:
        """Number of steps, of all packed sequences together."""
        return int(self.q.shape[1])

    @property
    def heads(self) -> int:
        """Number of value heads."""
        return int(self.v.shape[2])

    @property
    def key_heads(self) -> int:
        """Number of key heads."""
        return int(self.q.shape[2])

    @property
    def sequences(self) -> int:
        """Number of sequences, each with a state of its own."""
        return self.batch if self.boundaries is None else len(self.boundaries) - 1

    @property
    def state_shape(self) -> tuple[int, int, int, int]:
        """The shape of initial and final states."""
        return self.sequences, self.heads, int(self.q.shape[3]), int(self.v.shape[3])

    @property
    def timed_decay(self) -> FloatArray | None:
        """The decay argument at every step, or None."""
        if self.constant_decay is None:
            return self.decay
        return np.broadcast_to(self.constant_decay, (self.batch, self.steps, self.heads))

    def factor(self, convention: Convention) -> float | None:
        """Return the factor of the outputs; None for 1/sqrt(K), which is no float."""
        if convention.scale == "1/sqrt(K)":
            return None
        return self.scale if convention.scale == "argument" else 1.0

    def argument(self, name: str) -> FloatArray | None:
        """Return an argument by its name in the call."""
        if name == "log_decay":
            return self.decay if self.constant_decay is None else self.constant_decay
        value: FloatArray | None = getattr(self, {"initial_state": "initial"}.get(name, name))
        return value

    def refusable(self) -> bool:
        """No drawn case may be refused: its classes are what a target declares."""
        return False

    def describe(self) -> str:
        """Describe the case on one line."""
        _, heads, keys, values = self.state_shape
        lengths = f"{self.batch} x {self.steps} steps"
        if self.boundaries is not None:
            lengths = f"packed lengths {', '.join(map(str, np.diff(self.boundaries)))}"
        start = "no initial state" if self.initial is None else "with initial states"
        size = f"{self.key_heads} key heads, {heads} value heads, K {keys}, V {values}"
        return f"{self.dtype}, {lengths}, {size}, {start}, {self.stratum}"

    def require_consistent(self) -> None:
        """Raise ArgumentError unless ranks, numbers of heads and boundaries fit each other."""
        ranks = {
            "q": 4,
            "k": 4,
            "v": 4,
            "constant_decay": 1,
            "beta": 3,
            "a": 4,
            "b": 4,
            "bonus": 2,
            "initial": 4,
        }
        for name, rank in ranks.items():
            value = getattr(self, name)
            if value is not None and value.ndim != rank:
                raise ArgumentError(name, f"an array of shape {value.shape}", f"one of {rank} axes")
        if self.q.shape != self.k.shape or self.q.shape[:2] != self.v.shape[:2]:
            got = f"q {self.q.shape}, k {self.k.shape}, v {self.v.shape}"
            raise ArgumentError("q, k, v", got, "q and k of one shape, and v with their batch and time")
        if self.key_heads == 0 or self.heads % self.key_heads:
            got = f"{self.heads} value heads for {self.key_heads} key heads"
            raise ArgumentError("heads", got, "a number of value heads that the number of key heads divides")
        if self.initial is not None and self.initial.shape != self.state_shape:
            raise ArgumentError("initial", f"shape {self.initial.shape}", f"shape {self.state_shape}")
        edges = self.boundaries
        if edges is None:
            return
        rising = all(a < b for a, b in pairwise(edges))
        if self.batch != 1 or edges[0] != 0 or edges[-1] != self.steps or not rising:
            got = f"{edges} for {self.batch} x {self.steps} steps"
            raise ArgumentError("cu_seqlens", got, "one row, and numbers that rise from 0 to its steps")

    def part(self, start: int, stop: int) -> LinearCase:
        """Return the steps from start to stop; the initial state stays only where start is 0."""
        cut = self.take("time", slice(start, stop))
        return cut if start == 0 else replace(cut, initial=None)

    def with_initial(self, state: FloatArray | None) -> LinearCase:
        """Return the case with another initial state."""
        return replace(self, initial=state)

    def row(self, index: int) -> LinearCase:
        """Return one row of the batch."""
        one = np.array([index])
        cut = self.take("batch", one)
        return cut if self.initial is None else replace(cut, initial=self.initial[one])

    def group(self, key_head: int, convention: Convention) -> LinearCase:
        """Return one key head with its value heads."""
        own = np.flatnonzero(convention.key_heads(self.heads, self.key_heads) == key_head)
        return self.take("head", own).take("key head", np.array([key_head]))

    def sequence(self, index: int) -> LinearCase:
        """Return one packed sequence as a batch of one row."""
        assert self.boundaries is not None
        start, stop = self.boundaries[index : index + 2]
        initial = None if self.initial is None else self.initial[index : index + 1]
        return replace(self.take("time", slice(start, stop)), initial=initial, boundaries=None)

    def cotangents(self) -> tuple[FloatArray, FloatArray]:
        """Return reproducible weights of outputs and final state, exact in the dtype, for a scalar loss."""
        rng = np.random.default_rng([self.seed, 17])
        if self.stratum.startswith("whole numbers"):
            draws = [_integers(rng, -1, 2, shape) for shape in (self.v.shape, self.state_shape)]
        else:
            draws = [rng.standard_normal(shape) for shape in (self.v.shape, self.state_shape)]
        return round_to(draws[0], self.dtype), round_to(draws[1], self.dtype)

    def smaller(self) -> Iterator[LinearCase]:
        """Yield simpler cases: fewer rows, sequences, heads and steps, then rounder numbers."""
        if self.boundaries is None:
            for i in range(self.batch if self.batch > 1 else 0):
                yield self.row(i)
            unit = self.multiple
            for count in fewer(self.steps // unit, self.steps // unit // 2, self.steps // unit - 1):
                yield self.take("time", slice(count * unit))
                yield self.take("time", slice(self.steps - count * unit, self.steps))
        elif self.sequences > 2:
            for count in (2, self.sequences - 1):
                stop = self.boundaries[count]
                initial = None if self.initial is None else self.initial[:count]
                short = self.take("time", slice(stop))
                yield replace(short, initial=initial, boundaries=tuple(self.boundaries[: count + 1]))
        if self.heads == self.key_heads > 1:
            one = np.array([0])
            yield self.take("head", one).take("key head", one)
        if self.initial is not None:
            yield replace(self, initial=None)
            yield from self.simpler("initial", *SIMPLER)
        for name in ("v", "q"):
            yield from self.simpler(name, *SIMPLER)


# Drawing. The first of each list is what Hypothesis tries first: it is a telling one.

DECAYS = {"mid": 0.3, "slow": 0.01, "one": 0.0, "strong": 3.0, "tiny": 20.0}
KEYS = ("unit", "repeated", "unnormalised")
STRENGTHS = ("between 0 and 1", "0 or 1", "up to 2")
SIZES = ((4, 3), (3, 5), (3, 3), (2, 4), (8, 5), (5, 2), (16, 8), (16, 16), (4, 4))
SCALES = (1.0, 0.5, 0.1)


def lengths_of(convention: Convention, domain: Domain, *, longest: int, shortest: int = 1) -> list[int]:
    """Return the lengths of the strata: around one and two chunks, and many chunks."""
    if convention.chunk_size is None:
        strata = [17, 5, 33, 16, 15, 32, 3, 65, 129, 64, 1, 63, 200, 128]
    else:
        c = convention.chunk_size
        strata = [c + 1, max(1, c // 2), 2 * c + 1, c, c - 1, 2 * c, 3, 1, 3 * c + 2]
    unit, limit = convention.multiple_of, min(longest, domain.max_length)
    rounded = [max(unit, -(-n // unit) * unit) for n in strata]
    kept = [n for n in dict.fromkeys(rounded) if shortest <= n <= max(limit, unit)]
    return kept or [max(unit, -(-shortest // unit) * unit)]


def _convention(subject: Any) -> Convention:
    convention: Convention = getattr(subject, "convention", None) or Convention()
    return convention


def linear_case(
    source: Source,
    domain: Domain,
    subject: Any = None,
    *,
    shortest: int = 1,
    longest: int = 200,
    states: tuple[bool, ...] = (True, False),
) -> LinearCase:
    """Draw a batch of sequences of one length.

    Args:
        source: where choices come from.
        domain: what the target promises.
        subject: the target, whose convention decides which arguments there are.
        shortest: smallest number of steps.
        longest: largest number of steps.
        states: whether there is an initial state.
    """
    convention = _convention(subject)
    dtype = source.choice(domain.dtypes)
    steps = source.choice(lengths_of(convention, domain, longest=longest, shortest=shortest))
    batch = 1 if convention.layout == "thd" else source.choice((2, 1, 3))
    return _drawn(source, convention, dtype, batch, steps, None, states)


def packed_case(source: Source, domain: Domain, subject: Any = None, *, longest: int = 140) -> LinearCase:
    """Draw packed sequences: one shorter than a chunk first, a boundary inside a chunk."""
    convention = _convention(subject)
    dtype = source.choice(domain.dtypes)
    c, unit = convention.chunk_size or source.choice((16, 16, 64)), convention.multiple_of
    patterns = ((5, c - 3, c + 1), (3, c + 2), (c, 1, 2), (1, 2 * c, 7), (c - 1, c + 1, 3))
    pattern = source.choice(patterns)
    rounded = [max(unit, -(-max(1, n) // unit) * unit) for n in pattern]
    limit = min(longest, domain.max_length)
    while sum(rounded) > max(limit, 2 * unit) and len(rounded) > 2:
        rounded.pop()
    boundaries = tuple(int(n) for n in np.cumsum([0, *rounded]))
    return _drawn(source, convention, dtype, 1, boundaries[-1], boundaries)


def _drawn(
    source: Source,
    convention: Convention,
    dtype: str,
    batch: int,
    steps: int,
    boundaries: tuple[int, ...] | None,
    states: tuple[bool, ...] = (True, False),
) -> LinearCase:
    few = steps > 70
    keys, values = source.choice(SIZES[:4] if few else SIZES)
    keys, values = convention.keys or keys, convention.values or values
    grouped = 1 if convention.groups == "none" else source.choice((2, 1))
    key_heads = 2 if not few or grouped == 2 else 1
    start = convention.initial and source.choice(states)
    classes = {
        "decay": source.choice(tuple(DECAYS)) if convention.takes_decay else "",
        "keys": source.choice(KEYS),
        "beta": source.choice(STRENGTHS) if convention.write_strength else "",
    }
    scale = source.choice(SCALES) if convention.scale == "argument" else 1.0
    size = source.choice((1.0, 1.0, 1e-3, 1e3)) if dtype != "float16" else 1.0
    rng = source.generator()
    heads = key_heads * grouped
    shape = (batch, steps, key_heads, keys)
    sequences = batch if boundaries is None else len(boundaries) - 1

    def rounded(array: FloatArray) -> FloatArray:
        return round_to(array, dtype)

    k = _keys(rng, shape, classes["keys"], convention)
    decay = _decays(rng, convention, (batch, steps, heads, keys), classes["decay"], dtype)
    a, b = _low_rank(rng, (batch, steps, heads, keys)) if convention.update == "dplr" else (None, None)
    stratum = ", ".join(f"{name} {value}" for name, value in classes.items() if value)
    return LinearCase(
        rounded(rng.standard_normal(shape)),
        rounded(k),
        rounded(rng.standard_normal((batch, steps, heads, values)) * size),
        decay if convention.decay in ("scalar", "channel") else None,
        decay if convention.decay == "constant" else None,
        rounded(_strengths(rng, (batch, steps, heads), classes["beta"])) if classes["beta"] else None,
        None if a is None else rounded(a),
        None if b is None else rounded(b),
        rounded(rng.standard_normal((heads, keys))) if convention.bonus else None,
        rounded(rng.standard_normal((sequences, heads, keys, values)) * size) if start else None,
        float(round_to(np.array(scale), dtype)),
        boundaries,
        dtype,
        convention.multiple_of,
        stratum,
        int(rng.integers(2**31)),
    )


def _keys(rng: Rng, shape: tuple[int, ...], name: str, convention: Convention) -> FloatArray:
    keys = rng.standard_normal(shape)
    if name == "repeated":
        keys = keys[:, np.arange(shape[1]) % 3]
    if name == "unnormalised":
        # Longer keys let a delta rule explode, which leaves the range of the format.
        longest = 1.2 if convention.update == "delta" else 2.0
        keys *= rng.uniform(0.2, longest, (*shape[:3], 1)) / np.sqrt(shape[3])
    else:
        keys /= np.linalg.norm(keys, axis=-1, keepdims=True)
    return np.asarray(keys)


def _integers(rng: Rng, low: int, high: int, shape: tuple[int, ...]) -> FloatArray:
    """Return whole numbers from low to high - 1."""
    return np.asarray(rng.integers(low, high, shape), dtype=np.float64)


def _strengths(rng: Rng, shape: tuple[int, ...], name: str) -> FloatArray:
    if name == "0 or 1":
        return _integers(rng, 0, 2, shape)
    return rng.uniform(0.0, 2.0 if name == "up to 2" else 1.0, shape)


def _low_rank(rng: Rng, shape: tuple[int, ...]) -> tuple[FloatArray, FloatArray]:
    """Return a and b as in RWKV-7: a = -kk, b = kk eta with kk of norm 1."""
    direction = rng.standard_normal(shape)
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    return -direction, direction * rng.uniform(0.0, 1.0, shape)


def _decays(
    rng: Rng,
    convention: Convention,
    shape: tuple[int, int, int, int],
    name: str,
    dtype: str,
) -> FloatArray | None:
    """Return decays in the declared space: (head,), (batch, time, head) or (batch, time, head, K)."""
    if not convention.takes_decay:
        return None
    axes = {"constant": shape[2:3], "scalar": shape[:3], "channel": shape}[convention.decay]
    logs = -DECAYS[name] * rng.uniform(0.2, 1.0, axes)
    if convention.max_log_decay is not None:
        most = 0.99 * convention.max_log_decay / convention.chunk
        logs = np.full(axes, -most) if name == "tiny" else np.maximum(logs, -most)
    if convention.decay_space == "log2":
        logs = logs / np.log(2.0)
    values = round_to(logs, dtype)
    if convention.decay_space == "linear":
        values = np.maximum(round_to(np.exp(logs), dtype), 2.0**-14)
    return values


# Whole numbers.

LONG_NORM = 2.0**20


def whole_case(source: Source, domain: Domain, subject: Any = None) -> LinearCase:
    """Draw whole numbers: one-hot keys, beta 0 or 1, no decay, small q, v, states; packed if a form is.

    A kernel that normalises gets keys and queries 2^20 times one-hot: their norms are exact for every usual
    epsilon.
    """
    convention = _convention(subject)
    dtype = source.choice(domain.dtypes)
    packed = bool(getattr(subject, "has_packed", False)) and source.choice((True, False))
    longest = 200 if dtype in ("float64", "float32") else 40
    base = (
        packed_case(source, replace(domain, dtypes=(dtype,)), subject, longest=longest)
        if packed
        else linear_case(source, replace(domain, dtypes=(dtype,)), subject, longest=longest)
    )
    rng = source.generator()
    keys = convention.keys or 4  # for 4, 1/sqrt(K) is a power of two
    shape = (*base.q.shape[:3], keys)
    k = np.eye(keys)[rng.integers(0, keys, shape[:3])]
    q = _integers(rng, -1, 2, shape)
    if convention.normalises is not None:
        k, q = LONG_NORM * k, LONG_NORM * np.eye(keys)[rng.integers(0, keys, shape[:3])]
    neutral = convention.neutral_decay
    wide = (*base.v.shape[:3], keys)
    a = b = None
    if convention.update == "dplr":
        unit = np.eye(keys)[rng.integers(0, keys, wide[:3])]
        a, b = -unit, unit * rng.integers(0, 2, (*wide[:3], 1))
    decay: FloatArray | None = None
    if base.decay is not None:
        decay = np.full(wide if convention.decay == "channel" else wide[:3], neutral)
    sequences, heads, _, values = base.state_shape
    whole_state = _integers(rng, -3, 4, (sequences, heads, keys, values))
    return replace(
        base,
        q=q,
        k=k,
        v=_integers(rng, -3, 4, base.v.shape),
        decay=decay,
        constant_decay=None if base.constant_decay is None else np.full(heads, neutral),
        beta=None if base.beta is None else _integers(rng, 0, 2, base.beta.shape),
        a=a,
        b=b,
        bonus=None if base.bonus is None else _integers(rng, -1, 2, (heads, keys)),
        initial=None if base.initial is None else whole_state,
        scale=float(source.choice((1.0, 0.5, 2.0))) if convention.scale == "argument" else 1.0,
        stratum="whole numbers",
    )
