"""Correct kernels in torch, step by step and by chunks, in parts that a planted fault overrides.

A kernel is an object: its family decides which arguments its signature has. The parts of a chunk, for
cumulated log decays b (b_t from the chunk's begin) and S the state before it::

    decays(t, s) = exp(b_t - b_s) for s <= t, masked before the exponential
    delta   (I + diag(beta) L) u = beta (v - (exp(b) k)^T S),  L_ts = k_t . decays(t, s) k_s for s < t
    dplr    (I - L_ab) r = (exp(b_{t-1}) a)^T S + L_ak v
    o_t = scale [(exp(b_t) q_t)^T S + sum_{s <= t} (q_t . decays(t, s) k_s) u_s]
    S_end = exp(b_end) S + sum_s (exp(b_end - b_s) k_s) u_s^T
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

__all__ = ["FAMILIES", "Chunked", "Given", "Kernel", "Recurrent", "Widened", "options"]


@dataclass(frozen=True)
class Given:
    """Arguments by value head, shape (batch, time, head, ...), decays with a last axis of size 1 or K."""

    q: Tensor
    k: Tensor
    v: Tensor
    decay: Tensor | None
    beta: Tensor | None
    a: Tensor | None
    b: Tensor | None
    bonus: Tensor | None

    def part(self, time: slice, batch: slice = slice(None)) -> Given:
        """Return some steps."""
        named = {n: x for n, x in vars(self).items() if n != "bonus"}
        cut: dict[str, Any] = {n: None if x is None else x[batch, time] for n, x in named.items()}
        return replace(self, **cut)

    @property
    def steps(self) -> int:
        """Number of steps."""
        return self.v.shape[1]


# Family: options of the kind that its kernels declare, and the arguments that they take besides.
FAMILIES: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "linear": ({"update": "add"}, ()),
    "retnet": ({"update": "add", "decay": "constant"}, ("log_decay",)),
    "ssd": ({"update": "add", "decay": "scalar"}, ("log_decay", "beta")),
    "gla": ({"update": "add", "decay": "channel"}, ("log_decay",)),
    "delta": ({"update": "delta"}, ("beta",)),
    "gated-delta": ({"update": "delta", "decay": "scalar"}, ("log_decay", "beta")),
    "kda": ({"update": "delta", "decay": "channel"}, ("log_decay", "beta")),
    "dplr": ({"update": "dplr", "decay": "channel"}, ("log_decay", "a", "b")),
    "rwkv-6": ({"update": "add", "decay": "channel", "read": "before"}, ("log_decay", "bonus")),
}
LAST = ("initial_state", "scale", "cu_seqlens")


def options(family: str, **more: Any) -> dict[str, Any]:
    """Return the options of ``dynprop check`` that a kernel of a family declares."""
    return {**FAMILIES[family][0], **more}


class Kernel:
    """A kernel of a family; subclasses compute one sequence after the other in their own form."""

    family = "gated-delta"

    def __init__(self, family: str = "") -> None:
        """Set the family, and the signature that it has."""
        self.family = family or self.family
        self.update = FAMILIES[self.family][0]["update"]
        keyword = inspect.Parameter.KEYWORD_ONLY
        names = (*FAMILIES[self.family][1], *LAST)
        self.__signature__ = inspect.Signature(
            [inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD) for n in ("q", "k", "v")]
            + [inspect.Parameter(n, keyword, default=None) for n in names]
        )

    def __call__(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        *,
        log_decay: Tensor | None = None,
        beta: Tensor | None = None,
        a: Tensor | None = None,
        b: Tensor | None = None,
        bonus: Tensor | None = None,
        initial_state: Tensor | None = None,
        scale: float = 1.0,
        cu_seqlens: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Return outputs and final state."""
        heads = v.shape[2]
        given = Given(
            self._spread(q, heads), self._spread(k, heads), v, self._gates(log_decay, v), beta, a, b, bonus
        )
        given = self._prepared(given)
        start = self._start(given, initial_state, v.shape[0] if cu_seqlens is None else len(cu_seqlens) - 1)
        if cu_seqlens is None:
            o, state = self._sequence(given, start, scale)
            return self._returned(o, v), self._final(state)
        outputs: list[Tensor] = []
        states: list[Tensor] = []
        for i, part in enumerate(self._segments(given, cu_seqlens)):
            o, state = self._sequence(part, self._resumed(start, states, i), scale)
            outputs.append(o)
            states.append(state)
        return self._returned(torch.cat(outputs, 1), v), self._final(self._gathered(states))

    # Arguments.

    def _spread(self, x: Tensor, heads: int) -> Tensor:
        """Return a key head for every value head, neighbours sharing one."""
        return x.repeat_interleave(heads // x.shape[2], 2)

    def _gates(self, log_decay: Tensor | None, v: Tensor) -> Tensor | None:
        """Return log decays with a time axis and a last axis."""
        if log_decay is None:
            return None
        if log_decay.ndim == 1:
            return log_decay.expand(v.shape[0], v.shape[1], v.shape[2])[..., None]
        return log_decay if log_decay.ndim == 4 else log_decay[..., None]

    def _prepared(self, given: Given) -> Given:
        """Return the arguments as the kernel computes with them."""
        return given

    def _start(self, given: Given, initial: Tensor | None, count: int) -> Tensor:
        """Return the states before the first step."""
        heads, keys, values = given.v.shape[2], given.k.shape[3], given.v.shape[3]
        return given.v.new_zeros(count, heads, keys, values) if initial is None else initial

    # Packed sequences.

    def _segments(self, given: Given, cu_seqlens: Tensor) -> Iterator[Given]:
        """Yield the packed sequences."""
        edges = cu_seqlens.tolist()
        for begin, end in pairwise(edges):
            yield given.part(slice(begin, end))

    def _resumed(self, start: Tensor, states: list[Tensor], index: int) -> Tensor:
        """Return the state before a packed sequence."""
        return start[index : index + 1]

    def _gathered(self, states: list[Tensor]) -> Tensor:
        """Return the final states of packed sequences."""
        return torch.cat(states)

    # Results.

    def _returned(self, o: Tensor, v: Tensor) -> Tensor:
        """Return the outputs as the caller gets them."""
        return o

    def _final(self, state: Tensor) -> Tensor:
        """Return the final state as the caller gets it."""
        return state

    def _sequence(self, x: Given, state: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        """Return outputs and final state of sequences of one length."""
        raise NotImplementedError


class Recurrent(Kernel):
    """The recurrence, step by step."""

    def _sequence(self, x: Given, state: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        """Write and read at every step."""
        outputs = []
        for t in range(x.steps):
            before, state = state, self._stepped(x, t, state)
            outputs.append(self._read(x, t, before, state, scale))
        return torch.stack(outputs, 1), state

    def _stepped(self, x: Given, t: int, state: Tensor) -> Tensor:
        """Return the state after a step."""
        after = self._decayed(x, t, state)
        if self.update == "dplr":
            assert x.a is not None
            assert x.b is not None
            seen = torch.einsum("bhk,bhkv->bhv", x.a[:, t], state)
            after = after + x.b[:, t, :, :, None] * seen[:, :, None]
        return self._written(after, x.k[:, t], self._value(x, t, state, after))

    def _decayed(self, x: Given, t: int, state: Tensor) -> Tensor:
        """Return the state times the decay of a step."""
        return state if x.decay is None else state * self._factor(x.decay[:, t])[..., None]

    def _factor(self, log_decay: Tensor) -> Tensor:
        """Return the decay."""
        return torch.exp(log_decay)

    def _value(self, x: Given, t: int, state: Tensor, decayed: Tensor) -> Tensor:
        """Return what a step writes under its key."""
        error = self._error(x.v[:, t], x.k[:, t], state, decayed) if self.update == "delta" else x.v[:, t]
        return error if x.beta is None else self._strength(x.beta[:, t]) * error

    def _error(self, v: Tensor, k: Tensor, state: Tensor, decayed: Tensor) -> Tensor:
        """Return the value less what the state has under the key."""
        return v - torch.einsum("bhk,bhkv->bhv", k, decayed)

    def _strength(self, beta: Tensor) -> Tensor:
        """Return the factor of a write."""
        return beta[..., None]

    def _written(self, state: Tensor, k: Tensor, u: Tensor) -> Tensor:
        """Return the state with a value under a key."""
        return state + k[..., None] * u[:, :, None]

    def _read(self, x: Given, t: int, before: Tensor, after: Tensor, scale: float) -> Tensor:
        """Return the output of a step."""
        if self.family != "rwkv-6":
            return torch.einsum("bhk,bhkv->bhv", x.q[:, t], after) * scale
        assert x.bonus is not None
        known = (x.q[:, t] * x.bonus * x.k[:, t]).sum(-1, keepdim=True)
        return (torch.einsum("bhk,bhkv->bhv", x.q[:, t], before) + known * x.v[:, t]) * scale


class Chunked(Kernel):
    """Chunks: masked products inside, the state between them; not for RWKV-6."""

    size = 16
    inverse = "solve"

    def __init__(self, family: str = "", size: int = 0, inverse: str = "") -> None:
        """Set family, number of steps in a chunk (all where it is large), and how triangles are inverted."""
        super().__init__(family)
        self.size = size or self.size
        self.inverse = inverse or self.inverse

    def _sequence(self, x: Given, state: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        """Go from chunk to chunk."""
        outputs = []
        for begin, end in self._edges(x.steps):
            o, state = self._chunk(x.part(slice(begin, end)), state, scale, begin)
            outputs.append(o)
        return torch.cat(outputs, 1), state

    def _edges(self, steps: int) -> list[tuple[int, int]]:
        """Return begin and end of every chunk."""
        return [(begin, min(begin + self.size, steps)) for begin in range(0, steps, self.size)]

    def _chunk(self, x: Given, state: Tensor, scale: float, begin: int) -> tuple[Tensor, Tensor]:
        """Return the outputs of a chunk, and the state after it."""
        q, k, v = (y.transpose(1, 2) for y in (x.q, x.k, x.v))
        decay = x.k.new_zeros(1, x.steps, 1, 1) if x.decay is None else x.decay
        sums = self._sums(decay).transpose(1, 2)
        inside = self._decays(sums, sums, 0)
        u = v if x.beta is None else x.beta.transpose(1, 2)[..., None] * v
        extra_o = extra_s = v.new_zeros(())
        if self.update == "delta":
            assert x.beta is not None
            beta = x.beta.transpose(1, 2)[..., None]
            strict = self._decays(sums, sums, -1)
            triangle = beta * self._scores(k, k, strict)
            u = self._solved(triangle, beta * (v - self._seen(k, sums, state, begin)))
        elif self.update == "dplr":
            assert x.a is not None
            assert x.b is not None
            a, b = x.a.transpose(1, 2), x.b.transpose(1, 2)
            exclusive = torch.cat([torch.zeros_like(sums[:, :, :1]), sums[:, :, :-1]], 2)
            strict = self._decays(exclusive, sums, -1)
            known = self._seen(a, exclusive, state, begin) + self._scores(a, k, strict) @ v
            r = self._solved(-self._scores(a, b, strict), known)
            extra_o = self._scores(q, b, inside) @ r
            extra_s = self._kept(b, sums).transpose(-1, -2) @ r
        o = self._seen(q, sums, state, begin) + self._scores(q, k, inside) @ u + extra_o
        state = self._carried(state, sums, begin) + self._kept(k, sums).transpose(-1, -2) @ u + extra_s
        return (o * scale).transpose(1, 2), state

    def _sums(self, decay: Tensor) -> Tensor:
        """Return the log decays from the begin of the chunk up to each step."""
        return torch.cumsum(decay, 1)

    def _decays(self, upper: Tensor, lower: Tensor, diagonal: int) -> Tensor:
        """Return exp(upper_t - lower_s) at or below a diagonal, 0 above; shape (..., t, s, K or 1)."""
        steps = lower.shape[2]
        mask = torch.ones(steps, steps, dtype=torch.bool, device=lower.device).tril(diagonal)
        return self._masked(upper[:, :, :, None] - lower[:, :, None], mask)

    def _masked(self, exponent: Tensor, mask: Tensor) -> Tensor:
        """Return the exponential where the mask is true, 0 elsewhere."""
        return torch.exp(exponent.masked_fill(~mask[..., None], -torch.inf))

    def _scores(self, x: Tensor, y: Tensor, decays: Tensor) -> Tensor:
        """Return x_t . decays(t, s) y_s."""
        if decays.shape[-1] == 1:
            return (x @ y.transpose(-1, -2)) * decays[..., 0]
        return (x[:, :, :, None] * decays * y[:, :, None]).sum(-1)

    def _seen(self, x: Tensor, sums: Tensor, state: Tensor, begin: int) -> Tensor:
        """Return what the state before the chunk has for keys or queries."""
        return (x * torch.exp(sums)) @ state

    def _kept(self, k: Tensor, sums: Tensor) -> Tensor:
        """Return the keys as the state after the chunk has them."""
        return k * torch.exp(sums[:, :, -1:] - sums)

    def _carried(self, state: Tensor, sums: Tensor, begin: int) -> Tensor:
        """Return the state before the chunk as the state after it has it."""
        return torch.exp(sums[:, :, -1])[..., None] * state

    def _solved(self, triangle: Tensor, right: Tensor) -> Tensor:
        """Return the solution of (I + triangle) u = right, the triangle strictly lower."""
        steps = triangle.shape[-1]
        if self.inverse == "solve":
            unit = torch.eye(steps, dtype=torch.float64).to(triangle)
            exact = triangle.dtype in (torch.float32, torch.float64)
            left, wanted = (unit + triangle, right) if exact else ((unit + triangle).float(), right.float())
            found: Tensor = torch.linalg.solve_triangular(left, wanted, upper=False, unitriangular=True)
            return found.to(right.dtype)
        rows: list[Tensor] = []
        for t in range(steps):
            row = right[:, :, t]
            if rows:
                row = row - (triangle[:, :, t, None, :t] @ torch.stack(rows, 2))[:, :, 0]
            rows.append(row)
        return torch.stack(rows, 2)


class Widened(Chunked):
    """Chunks computed in float32 where the arguments have fewer digits; states are float32."""

    def _prepared(self, given: Given) -> Given:
        """Widen everything."""
        if given.v.dtype in (torch.float32, torch.float64):
            return given
        wide: dict[str, Any] = {n: None if x is None else x.float() for n, x in vars(given).items()}
        return replace(given, **wide)

    def _returned(self, o: Tensor, v: Tensor) -> Tensor:
        """Round the outputs once."""
        return o.to(v.dtype)
