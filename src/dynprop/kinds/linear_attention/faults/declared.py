"""Faults that one declared option reveals: each kernel is right under another declaration."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from dynprop.kinds.linear_attention.faults.planting import PLAIN, Planter
from dynprop.kinds.linear_attention.kernels import Chunked, Given, Recurrent
from dynprop.kinds.linear_attention.target import LinearAttention
from dynprop.laws.catalogue import Catalogue

kernels = Catalogue("linear-attention", "torch")
CATALOGUES = (kernels,)

fault = Planter(kernels, PLAIN)


@fault("declared-log2", "outputs", decay_space="log2")
class NotLog2(Recurrent):
    """Declares decays to base 2 and computes those to base e."""


@fault("declared-linear-decay", "outputs", decay_space="linear")
class NotLinear(Recurrent):
    """Declares decays as they are and takes their exponentials."""


@fault("declared-decay-after", "outputs", order="decay-after")
class NotAfter(Recurrent):
    """Declares the decay after the write and decays first."""


@fault("declared-decay-after-and-first-for-the-state", "final-state", order="decay-after")
class HalfAfter(Recurrent):
    """Decays after the write, but returns the state before the last decay."""

    def _sequence(self, x: Given, state: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        assert x.decay is not None
        moved = torch.cat([torch.zeros_like(x.decay[:, :1]), x.decay[:, :-1]], 1)
        _, final = super()._sequence(replace(x, decay=moved), state, scale)
        queries = replace(x, decay=moved, q=x.q * torch.exp(x.decay))
        return super()._sequence(queries, state, scale)[0], final


@fault("declared-read-before", "outputs", family="gla", read="before")
class NotBefore(Recurrent):
    """Declares that outputs read the state before the write, and reads the one after it."""

    family = "gla"


@fault("bonus-on-the-state", "outputs", family="rwkv-6")
class BonusOnState(Recurrent):
    """Writes with the bonus, too."""

    family = "rwkv-6"

    def _written(self, state: Tensor, k: Tensor, u: Tensor) -> Tensor:
        return super()._written(state, k * self.bonus, u)

    def _prepared(self, given: Given) -> Given:
        assert given.bonus is not None
        self.bonus = given.bonus
        return given


@fault("declared-scale-by-the-size", "outputs", scale="1/sqrt(K)")
class NotBySize(Recurrent):
    """Declares the scale 1/sqrt(K) and applies that of V."""

    def _read(self, x: Given, t: int, before: Tensor, after: Tensor, scale: float) -> Tensor:
        return super()._read(x, t, before, after, x.v.shape[3] ** -0.5)


@fault("declared-no-scale", "outputs", scale="none")
class NotUnscaled(Recurrent):
    """Declares no scale and applies 1/sqrt(K)."""

    def _read(self, x: Given, t: int, before: Tensor, after: Tensor, scale: float) -> Tensor:
        return super()._read(x, t, before, after, x.k.shape[3] ** -0.5)


@fault("declared-head-first", "outputs", layout="bhtd")
class HeadFirst(Recurrent):
    """Takes head-first arguments, and decays them along the heads."""

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, **others: object) -> tuple[Tensor, Tensor | None]:
        """Return outputs and final state."""
        swapped = {
            n: x.transpose(1, 2) if n in ("log_decay", "beta") and isinstance(x, Tensor) else x
            for n, x in others.items()
        }
        decay = swapped["log_decay"]
        assert isinstance(decay, Tensor)
        swapped["log_decay"] = decay.flip(2)
        o, state = super().__call__(*(x.transpose(1, 2) for x in (q, k, v)), **swapped)  # type: ignore[arg-type]  # passed on
        return o.transpose(1, 2), state


@fault("declared-without-a-batch-axis", "outputs", layout="thd")
class TimeFirst(Recurrent):
    """Takes arguments without a batch axis, and begins with the second step."""

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, **others: object) -> tuple[Tensor, Tensor | None]:
        """Return outputs and final state."""
        wide = {
            n: x[None] if n in ("log_decay", "beta") and isinstance(x, Tensor) else x
            for n, x in others.items()
        }
        beta = wide["beta"]
        assert isinstance(beta, Tensor)
        first = torch.arange(beta.shape[1]) > 0
        wide["beta"] = beta * first[:, None]
        o, state = super().__call__(q[None], k[None], v[None], **wide)  # type: ignore[arg-type]  # passed on
        return o[0], state


@fault("declared-state-value-first", "final-state", state_layout="vk")
class NotValueFirst(Recurrent):
    """Declares states (V, K), takes them so, and returns square ones as (K, V)."""

    def _start(self, given: Given, initial: Tensor | None, count: int) -> Tensor:
        return super()._start(given, None if initial is None else initial.transpose(2, 3), count)

    def _final(self, state: Tensor) -> Tensor:
        return state if state.shape[2] == state.shape[3] else state.transpose(2, 3)


@fault("declared-tiled-heads", "outputs", groups="tile")
class NotTiled(Recurrent):
    """Declares tiled heads and interleaves them."""


@fault("declared-interleaved-heads", "gradient-dense", groups="interleave")
class HeadsByMean(Recurrent):
    """Interleaves heads, and gives their key head the mean of their gradients."""

    def _spread(self, x: Tensor, heads: int) -> Tensor:
        spread = super()._spread(x, heads)
        share = x.shape[2] / heads
        return spread.detach() + share * (spread - spread.detach())


@fault("declared-normalised", "outputs", normalises=1e-6)
class NotNormalised(Recurrent):
    """Declares that it normalises q and k, and normalises the keys only."""

    def _prepared(self, given: Given) -> Given:
        return replace(given, k=given.k * torch.rsqrt((given.k**2).sum(-1, keepdim=True) + 1e-6))


@fault("declared-normalised-without-its-gradient", "gradient-dense", normalises=1e-6)
class NormDetached(Recurrent):
    """Normalises q and k by norms that have no gradient."""

    def _prepared(self, given: Given) -> Given:
        q, k = (x * torch.rsqrt((x.detach() ** 2).sum(-1, keepdim=True) + 1e-6) for x in (given.q, given.k))
        return replace(given, q=q, k=k)


@fault("declared-multiple-of-24", "final-state", multiple_of=24)
class MultipleWrong(Recurrent):
    """Declares lengths in multiples of 24, and loses the last half of one at 24 itself."""

    def _sequence(self, x: Given, state: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        o, final = super()._sequence(x, state, scale)
        return (
            (o, super()._sequence(x.part(slice(0, 12)), state, scale)[1]) if x.steps % 24 == 0 else (o, final)
        )


@fault("declared-largest-decay", "outputs", max_log_decay=40.0)
class LargestDecay(Chunked):
    """Declares sums of log decays up to 40 in 64 steps, and clamps a chunk's at 5."""

    def _sums(self, decay: Tensor) -> Tensor:
        return super()._sums(decay).clamp(min=-5.0)


@fault("declared-chunks-of-23", "outputs", chunk_size=23)
class ChunksOf23(Chunked):
    """Declares chunks of 23 steps, and forgets the state of 23 steps exactly."""

    size = 23

    def _carried(self, state: Tensor, sums: Tensor, begin: int) -> Tensor:
        return super()._carried(state, sums, begin) * (0.0 if begin == 23 else 1.0)


@fault(
    "declared-single-inside", "outputs", "inaccurate", inside="float32", dtypes=("bfloat16",), max_length=33
)
class NotSingleInside(Recurrent):
    """Declares float32 inside, and keeps the state in bfloat16."""

    def _sequence(self, x: Given, state: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        o, final = super()._sequence(x, state.to(x.v.dtype), scale)
        return o, final.float()


@fault("declared-sizes", "outputs", sizes={"K": 32, "V": 4})
class SizesWrong(Recurrent):
    """Declares K = 32 alone, and reads 16 components of the queries."""

    def _prepared(self, given: Given) -> Given:
        return replace(given, q=given.q * (torch.arange(given.q.shape[3]) < 16))


@fault("declared-overwritten-state", "inputs-unchanged", overwrites=("initial_state",))
class OverwritesMore(Recurrent):
    """Declares that it overwrites the initial state, and overwrites the values."""

    def _prepared(self, given: Given) -> Given:
        if not given.v.requires_grad:
            given.v.mul_(0.5)
            return replace(given, v=given.v * 2.0)
        return given


@fault("declared-names", "outputs", names={"log_decay": "w"})
def named() -> LinearAttention:
    """Declares that its log decay is called w, and takes it for the decay itself."""
    right = Recurrent()

    def kernel(
        q: Tensor,
        k: Tensor,
        v: Tensor,
        w: Tensor,
        beta: Tensor,
        g: Tensor | None = None,
        initial_state: Tensor | None = None,
        scale: float = 1.0,
    ) -> tuple[Tensor, Tensor | None]:
        return right(
            q, k, v, log_decay=torch.log(-w + 1e-3), beta=beta, initial_state=initial_state, scale=scale
        )

    return LinearAttention(kernel, update="delta", decay="scalar", names={"log_decay": "w"})


@fault("declared-constant-decay", "outputs", family="retnet")
class NotConstant(Recurrent):
    """Declares a decay for each head, and takes that of the first."""

    family = "retnet"

    def _gates(self, log_decay: Tensor | None, v: Tensor) -> Tensor | None:
        assert log_decay is not None
        return super()._gates(log_decay[:1].expand_as(log_decay), v)


@fault("declared-decay-by-channel", "outputs", family="kda")
class NotByChannel(Recurrent):
    """Declares a decay for each component of the keys, and takes their mean."""

    family = "kda"

    def _factor(self, log_decay: Tensor) -> Tensor:
        return torch.exp(log_decay.mean(-1, keepdim=True))


@fault("declared-update-dplr", "outputs", family="dplr")
class NotDplr(Recurrent):
    """Declares D + b a^T, and computes D + a b^T."""

    family = "dplr"

    def _prepared(self, given: Given) -> Given:
        return replace(given, a=given.b, b=given.a)


@fault("declared-update-dplr-decayed", "outputs", family="dplr")
class DplrDecayed(Recurrent):
    """Reads the decayed state with a."""

    family = "dplr"

    def _stepped(self, x: Given, t: int, state: Tensor) -> Tensor:
        assert x.a is not None
        assert x.b is not None
        after = self._decayed(x, t, state)
        seen = torch.einsum("bhk,bhkv->bhv", x.a[:, t], after)
        return self._written(after + x.b[:, t, :, :, None] * seen[:, :, None], x.k[:, t], x.v[:, t])


@fault("declared-update-add", "outputs", family="ssd")
class StrengthOnKeys(Recurrent):
    """Declares beta k v^T, and divides the log decay by beta, as for dt A."""

    family = "ssd"

    def _prepared(self, given: Given) -> Given:
        assert given.decay is not None
        assert given.beta is not None
        return replace(given, decay=given.decay * given.beta[..., None])


@fault("declared-normalised-without-epsilon", "outputs", normalises=0.0)
class LargeEpsilon(Recurrent):
    """Declares norms without an epsilon, and has one of a half."""

    def _prepared(self, given: Given) -> Given:
        q, k = (x * torch.rsqrt((x**2).sum(-1, keepdim=True) + 0.5) for x in (given.q, given.k))
        return replace(given, q=q, k=k)
