"""Faults of chunked forms: the state between chunks, masks, decays inside, the inverse, the last chunk."""

from __future__ import annotations

import torch
from torch import Tensor

from dynprop.kinds.linear_attention.faults.planting import GATED, Planter
from dynprop.kinds.linear_attention.kernels import Chunked, Given
from dynprop.kinds.linear_attention.target import LinearAttention
from dynprop.laws.catalogue import Catalogue

kernels = Catalogue("linear-attention", "torch")
CATALOGUES = (kernels,)

fault = Planter(kernels, GATED)


# The state between chunks.


@fault("state-lost-between-chunks", "outputs")
class StateLost(Chunked):
    """Starts every chunk from zero."""

    def _sequence(self, x: Given, state: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        outputs = []
        for begin, end in self._edges(x.steps):
            start = state if begin == 0 else torch.zeros_like(state)
            o, final = self._chunk(x.part(slice(begin, end)), start, scale, begin)
            outputs.append(o)
        return torch.cat(outputs, 1), final


@fault("state-undecayed-between-chunks", "outputs")
class StateUndecayed(Chunked):
    """Carries the state to the next chunk without the decay of this one."""

    def _carried(self, state: Tensor, sums: Tensor, begin: int) -> Tensor:
        return state


@fault("state-decayed-twice-between-chunks", "outputs")
class StateTwice(Chunked):
    """Decays the state by each chunk twice."""

    def _carried(self, state: Tensor, sums: Tensor, begin: int) -> Tensor:
        return super()._carried(super()._carried(state, sums, begin), sums, begin)


@fault("initial-state-off-by-a-chunk", "outputs")
class InitialOffByChunk(Chunked):
    """Carries the initial state past the first chunk without its decay."""

    def _carried(self, state: Tensor, sums: Tensor, begin: int) -> Tensor:
        return state if begin == 0 else super()._carried(state, sums, begin)


@fault("state-read-undecayed", "outputs")
class ReadUndecayed(Chunked):
    """Reads the state before the chunk without the decay up to the step."""

    def _seen(self, x: Tensor, sums: Tensor, state: Tensor, begin: int) -> Tensor:
        return x @ state


@fault("state-read-one-step-short", "outputs")
class ReadShort(Chunked):
    """Decays the state before the chunk up to the step before."""

    def _seen(self, x: Tensor, sums: Tensor, state: Tensor, begin: int) -> Tensor:
        shorter = torch.cat([torch.zeros_like(sums[:, :, :1]), sums[:, :, :-1]], 2)
        return super()._seen(x, shorter, state, begin)


@fault("state-read-in-the-first-chunk-only", "outputs")
class ReadFirst(Chunked):
    """Reads the state before the chunk in the first chunk only."""

    def _seen(self, x: Tensor, sums: Tensor, state: Tensor, begin: int) -> Tensor:
        return super()._seen(x, sums, state, begin) * (begin == 0)


@fault("keys-kept-undecayed", "outputs")
class KeptUndecayed(Chunked):
    """Adds the keys of a chunk to the state without their decay to its end."""

    def _kept(self, k: Tensor, sums: Tensor) -> Tensor:
        return k


@fault("keys-kept-by-the-whole-decay", "outputs")
class KeptWhole(Chunked):
    """Decays the keys of a chunk by their decay from its begin."""

    def _kept(self, k: Tensor, sums: Tensor) -> Tensor:
        return k * torch.exp(sums)


@fault("states-crossed-over-heads", "outputs")
class StatesCrossed(Chunked):
    """Hands the states of the heads to the next chunk in the reverse order."""

    def _carried(self, state: Tensor, sums: Tensor, begin: int) -> Tensor:
        return super()._carried(state, sums, begin).flip(1)


# Masks and decays inside a chunk.


@fault("diagonal-left-out", "outputs")
class DiagonalOut(Chunked):
    """Reads only what earlier steps wrote."""

    def _decays(self, upper: Tensor, lower: Tensor, diagonal: int) -> Tensor:
        return super()._decays(upper, lower, -1)


@fault("diagonal-in-the-triangle", "outputs")
class DiagonalIn(Chunked):
    """Subtracts from a value what its own key reads of an earlier write twice."""

    def _solved(self, triangle: Tensor, right: Tensor) -> Tensor:
        return super()._solved(2.0 * triangle, right)


@fault("future-seen", "causality")
class FutureSeen(Chunked):
    """Reads the next step, too."""

    def _decays(self, upper: Tensor, lower: Tensor, diagonal: int) -> Tensor:
        steps = lower.shape[2]
        mask = torch.ones(steps, steps, dtype=torch.bool).tril(min(diagonal + 1, 1))
        return self._masked(upper[:, :, :, None] - lower[:, :, None], mask)


@fault("mask-after-the-exponential", "gradient-dense")
class MaskLate(Chunked):
    """Masks after the exponential: its overflow times zero is NaN in the backward pass."""

    def _masked(self, exponent: Tensor, mask: Tensor) -> Tensor:
        return torch.where(mask[..., None], torch.exp(exponent), torch.zeros_like(exponent))


@fault("decays-inverted", "outputs")
class DecaysInverted(Chunked):
    """Lets writes grow with their age where they should decay."""

    def _masked(self, exponent: Tensor, mask: Tensor) -> Tensor:
        return super()._masked(-exponent, mask)


@fault("decays-left-out-inside", "outputs")
class DecaysOut(Chunked):
    """Decays nothing inside a chunk."""

    def _masked(self, exponent: Tensor, mask: Tensor) -> Tensor:
        return super()._masked(torch.zeros_like(exponent), mask)


@fault("decays-one-step-too-many", "outputs")
class DecaysMany(Chunked):
    """Decays a write already at its own step."""

    def _decays(self, upper: Tensor, lower: Tensor, diagonal: int) -> Tensor:
        shorter = torch.cat([torch.zeros_like(lower[:, :, :1]), lower[:, :, :-1]], 2)
        return super()._decays(upper, shorter, diagonal)


@fault("sums-not-begun-anew", "outputs")
class SumsGlobal(Chunked):
    """Adds the log decays of all chunks before."""

    def _sequence(self, x: Given, state: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        self.total: Tensor | float = 0.0
        return super()._sequence(x, state, scale)

    def _sums(self, decay: Tensor) -> Tensor:
        found = super()._sums(decay) + self.total
        self.total = found[:, -1:]
        return found


@fault("product-of-two-exponentials", "outputs")
class TwoExponentials(Chunked):
    """Computes exp(b_t) exp(-b_s): undeclared, its range ends at a sum of 80 in float32."""

    def _decays(self, upper: Tensor, lower: Tensor, diagonal: int) -> Tensor:
        steps = lower.shape[2]
        mask = torch.ones(steps, steps, dtype=torch.bool).tril(diagonal)
        return torch.exp(upper)[:, :, :, None] * torch.exp(-lower)[:, :, None] * mask[..., None]


# The inverse.


@fault("inverse-of-third-order", "outputs")
class InverseThird(Chunked):
    """Inverts the triangle by the first three terms of its series."""

    def _solved(self, triangle: Tensor, right: Tensor) -> Tensor:
        first = triangle @ right
        second = triangle @ first
        return right - first + second - triangle @ second


@fault("inverse-of-first-order", "outputs")
class InverseFirst(Chunked):
    """Takes I - L for the inverse of I + L."""

    def _solved(self, triangle: Tensor, right: Tensor) -> Tensor:
        return right - triangle @ right


@fault("inverse-left-out", "outputs")
class InverseOut(Chunked):
    """Takes I for the inverse of I + L."""

    def _solved(self, triangle: Tensor, right: Tensor) -> Tensor:
        return right


@fault("inverse-transposed", "outputs")
class InverseTransposed(Chunked):
    """Solves with the transposed triangle."""

    def _solved(self, triangle: Tensor, right: Tensor) -> Tensor:
        return super()._solved(triangle.transpose(-1, -2), right)


@fault("inverse-with-the-wrong-sign", "outputs")
class InverseSign(Chunked):
    """Solves with I - L."""

    def _solved(self, triangle: Tensor, right: Tensor) -> Tensor:
        return super()._solved(-triangle, right)


@fault("inverse-in-bfloat16", "outputs", "inaccurate", dtypes=("float32",), max_length=33)
class InverseCoarse(Chunked):
    """Rounds the triangle to bfloat16."""

    def _solved(self, triangle: Tensor, right: Tensor) -> Tensor:
        return super()._solved(triangle.bfloat16().to(triangle.dtype), right)


@fault("beta-missing-in-the-triangle", "outputs")
class BetaMissing(Chunked):
    """Leaves beta out of the triangle."""

    def _chunk(self, x: Given, state: Tensor, scale: float, begin: int) -> tuple[Tensor, Tensor]:
        assert x.beta is not None
        self.beta = x.beta.transpose(1, 2)[..., None]
        return super()._chunk(x, state, scale, begin)

    def _solved(self, triangle: Tensor, right: Tensor) -> Tensor:
        return super()._solved(triangle / self.beta.clamp(min=1e-6), right)


# The last chunk.


@fault("last-chunk-dropped", "outputs")
class LastDropped(Chunked):
    """Returns zeros for the steps of a last chunk that is not whole."""

    def _chunk(self, x: Given, state: Tensor, scale: float, begin: int) -> tuple[Tensor, Tensor]:
        o, state = super()._chunk(x, state, scale, begin)
        return (o if begin == 0 or x.steps == self.size else torch.zeros_like(o)), state


@fault("state-before-the-last-chunk", "final-state")
class StateBefore(Chunked):
    """Returns the state before a last chunk that is not whole."""

    def _sequence(self, x: Given, state: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        o, final = super()._sequence(x, state, scale)
        whole = x.steps // self.size * self.size
        if 0 < whole < x.steps:
            final = super()._sequence(x.part(slice(0, whole)), state, scale)[1]
        return o, final


@fault("last-chunk-of-one-step", "outputs")
class LastOfOne(Chunked):
    """Reads a last chunk of one step from the state of the chunk before only."""

    def _decays(self, upper: Tensor, lower: Tensor, diagonal: int) -> Tensor:
        found = super()._decays(upper, lower, diagonal)
        return found * 0.0 if lower.shape[2] == 1 else found


@fault("first-whole-chunk-twice", "final-state")
class FirstTwice(Chunked):
    """Adds the writes of a sequence of exactly one chunk twice."""

    def _sequence(self, x: Given, state: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        o, final = super()._sequence(x, state, scale)
        return (o, 2.0 * final) if x.steps == self.size else (o, final)


@fault("parallel-form-without-decay", "outputs")
def parallel_without_decay() -> LinearAttention:
    """The parallel form decays nothing."""
    return LinearAttention(Chunked(), parallel=DecaysOut(size=10_000), **GATED)


@fault("chunk-to-step-off-the-grid", "resume")
class OffTheGrid(Chunked):
    """Loses a hundredth of an initial state where the length is off the grid of chunks."""

    def _start(self, given: Given, initial: Tensor | None, count: int) -> Tensor:
        start = super()._start(given, initial, count)
        return start * 0.99 if initial is not None and given.steps % self.size else start
