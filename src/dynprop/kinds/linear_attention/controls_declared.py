"""Controls that declare something: layouts, spaces of decays, orders, norms, limits, formats inside."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from dynprop.kinds.linear_attention.kernels import Chunked, Given, Recurrent, Widened, options
from dynprop.kinds.linear_attention.target import LinearAttention
from dynprop.laws.catalogue import Catalogue

kernels = Catalogue("linear-attention", "torch")
CATALOGUES = (kernels,)

Results = tuple[Tensor, Tensor | None]

plain = Chunked("gated-delta")
kda = Chunked("kda", 16, "loop")


@kernels.control(
    "control/linear-attention-head-first",
    domain={"layout": "bhtd", "state_layout": "vk", "decay_space": "log2", "scale": "1/sqrt(K)"},
)
def head_first(q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor, h0: Tensor | None = None) -> Results:
    """Chunks of a gated delta rule, head first, decays to base 2, states (V, K), scale 1/sqrt(K)."""
    q, k, v, g, beta = (x.transpose(1, 2) for x in (q, k, v, g, beta))
    start = None if h0 is None else h0.transpose(2, 3)
    decay = g * torch.log(torch.tensor(2.0, dtype=g.dtype))
    o, state = plain(q, k, v, log_decay=decay, beta=beta, initial_state=start, scale=k.shape[3] ** -0.5)
    return o.transpose(1, 2), None if state is None else state.transpose(2, 3)


@kernels.control(
    "control/linear-attention-time-first",
    domain={"layout": "thd", "decay": "channel", "decay_space": "linear", "scale": "none"},
)
def time_first(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    decay: Tensor,
    beta: Tensor,
    state: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
) -> Results:
    """Chunks of KDA without a batch axis, decays as they are, no scale, packed or not."""
    q, k, v, decay, beta = (x[None] for x in (q, k, v, decay, beta))
    logs = torch.log(decay)
    o, final = kda(q, k, v, log_decay=logs, beta=beta, initial_state=state, cu_seqlens=cu_seqlens)
    return o[0], final


class DecayAfter(Recurrent):
    """A step that writes first and then decays."""

    def _stepped(self, x: Given, t: int, state: Tensor) -> Tensor:
        """Write, decay."""
        return self._decayed(x, t, self._written(state, x.k[:, t], self._value(x, t, state, state)))


class ReadBefore(DecayAfter):
    """The same, reading the state before the write."""

    def _read(self, x: Given, t: int, before: Tensor, after: Tensor, scale: float) -> Tensor:
        """Read the state before."""
        return super()._read(x, t, before, before, scale)


class Normalising(Chunked):
    """Chunks of normalised queries and keys."""

    def _prepared(self, given: Given) -> Given:
        """Normalise."""
        q, k = (x * torch.rsqrt((x * x).sum(-1, keepdim=True) + 1e-6) for x in (given.q, given.k))
        return replace(given, q=q, k=k)


class TwoExponentials(Chunked):
    """exp(b_t) exp(-b_s) inside a chunk, in range by declaration."""

    def _decays(self, upper: Tensor, lower: Tensor, diagonal: int) -> Tensor:
        """Multiply."""
        mask = torch.ones(lower.shape[2], lower.shape[2], dtype=torch.bool).tril(diagonal)
        return torch.exp(upper)[:, :, :, None] * torch.exp(-lower)[:, :, None] * mask[..., None]


class Tiled(Chunked):
    """Chunks with tiled heads."""

    def _spread(self, x: Tensor, heads: int) -> Tensor:
        """Repeat the heads one after the other."""
        return x.repeat(1, 1, heads // x.shape[2], 1)


class Overwriting(Recurrent):
    """The recurrence, written over the initial state."""

    def _final(self, state: Tensor) -> Tensor:
        """Overwrite."""
        if self.caller is None or self.caller.requires_grad:
            return state
        return self.caller.copy_(state.detach())

    def _start(self, given: Given, initial: Tensor | None, count: int) -> Tensor:
        """Remember the caller's state."""
        self.caller = initial
        return super()._start(given, None if initial is None else initial.clone(), count)


class Multiples(Chunked):
    """Chunks that take multiples of 8 steps only."""

    def _sequence(self, x: Given, state: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        """Refuse other lengths and sizes."""
        if x.steps % 8 or (x.k.shape[3], x.v.shape[3]) != (16, 32):
            raise ValueError(f"keys {tuple(x.k.shape)}, expected a multiple of 8 steps, K 16 and V 32")
        return super()._sequence(x, state, scale)


def enter(name: str, summary: str, kernel: LinearAttention, **declared: object) -> None:
    """Enter a kernel that declares something."""
    kernels.add_control(f"control/linear-attention-{name}", summary, kernel, domain=declared)


AFTER = options("gated-delta", order="decay-after")
BEFORE = options("gla", order="decay-after", read="before")
NORMS = options("gated-delta", normalises=1e-6)
LIMIT = options("gated-delta", max_log_decay=30.0, chunk_size=16)
TILED = options("gated-delta", groups="tile")
OVER = options("delta", overwrites=("initial_state",))
EIGHT = options("kda", multiple_of=8, sizes={"K": 16, "V": 32})
SINGLE = options("gated-delta", inside="float32", groups="interleave")
SINGLE_HALF = options("kda", inside="float32", dtypes=("float16",))
SINGLE_DPLR = options("dplr", inside="float32", dtypes=("bfloat16",))

enter(
    "decay-after",
    "A gated delta rule that decays after the write.",
    LinearAttention(DecayAfter(), **AFTER),
    **AFTER,
)
enter(
    "read-before",
    "Gated linear attention that reads, writes, decays.",
    LinearAttention(ReadBefore("gla"), **BEFORE),
    **BEFORE,
)
enter("normalising", "Chunks that normalise q and k.", LinearAttention(Normalising(), **NORMS), **NORMS)
enter(
    "two-exponentials",
    "Chunks of exp(b_t) exp(-b_s), whose largest sum is declared.",
    LinearAttention(TwoExponentials(), **LIMIT),
    **LIMIT,
)
enter("tiled", "Chunks with tiled heads.", LinearAttention(Tiled(), **TILED), **TILED)
enter(
    "overwriting",
    "A delta rule in the place of its state.",
    LinearAttention(Overwriting("delta"), **OVER),
    **OVER,
)
enter(
    "multiples-of-8",
    "Chunks that take multiples of 8 steps, K 16 and V 32.",
    LinearAttention(Multiples("kda"), **EIGHT),
    **EIGHT,
)
enter(
    "widened",
    "Chunks computed in float32 whatever comes.",
    LinearAttention(Widened(), chunk=Widened(size=64, inverse="loop"), step=Widened(), **SINGLE),
    **SINGLE,
)
enter(
    "widened-dplr",
    "dplr in float32 for bfloat16.",
    LinearAttention(Widened("dplr"), **SINGLE_DPLR),
    **SINGLE_DPLR,
)
enter(
    "widened-half",
    "KDA in float32 for float16, whose range ends at 65504 and whose small numbers have few digits.",
    LinearAttention(Widened("kda"), **SINGLE_HALF),
    **SINGLE_HALF,
)
