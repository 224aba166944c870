"""Faults of the recurrence: state, decay, write, read, packed sequences, and what a call does besides."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from dynprop.kinds.linear_attention.faults.planting import GATED, Planter
from dynprop.kinds.linear_attention.kernels import Given, Recurrent
from dynprop.kinds.linear_attention.target import LinearAttention
from dynprop.laws.catalogue import Catalogue

kernels = Catalogue("linear-attention", "torch")
CATALOGUES = (kernels,)

fault = Planter(kernels, GATED)


# The initial and the final state.


@fault("initial-state-ignored", "outputs")
class InitialIgnored(Recurrent):
    """Starts from zero whatever the initial state is."""

    def _start(self, given: Given, initial: Tensor | None, count: int) -> Tensor:
        return super()._start(given, None, count)


@fault("initial-state-for-row-zero", "row-and-head-alone", source="LRU-pytorch 0.1.3")
class InitialForRowZero(Recurrent):
    """Gives the initial state to the first row only."""

    def _start(self, given: Given, initial: Tensor | None, count: int) -> Tensor:
        start = super()._start(given, initial, count)
        return torch.cat([start[:1], torch.zeros_like(start[1:])])


@fault("initial-state-of-row-zero", "row-and-head-alone")
class InitialOfRowZero(Recurrent):
    """Gives the initial state of the first row to all rows."""

    def _start(self, given: Given, initial: Tensor | None, count: int) -> Tensor:
        return super()._start(given, initial, count)[:1].expand(count, -1, -1, -1)


@fault("initial-state-transposed", "outputs", source="fla-org/flash-linear-attention")
class InitialTransposed(Recurrent):
    """Reads a square initial state with K and V exchanged."""

    def _start(self, given: Given, initial: Tensor | None, count: int) -> Tensor:
        start = super()._start(given, initial, count)
        return start.transpose(2, 3) if start.shape[2] == start.shape[3] else start


@fault("initial-state-undecayed", "outputs")
class InitialUndecayed(Recurrent):
    """Adds the initial state after the decay of the first step."""

    def _decayed(self, x: Given, t: int, state: Tensor) -> Tensor:
        return state if t == 0 else super()._decayed(x, t, state)


@fault("initial-state-decayed-twice", "outputs")
class InitialDecayedTwice(Recurrent):
    """Decays the initial state once before the first step, too."""

    def _decayed(self, x: Given, t: int, state: Tensor) -> Tensor:
        decayed = super()._decayed(x, t, state)
        return super()._decayed(x, t, decayed) if t == 0 else decayed


@fault("initial-state-halved-at-the-hand-over", "resume", source="xlstm 2.0.6: state off by sqrt(K)")
class HandOver(Recurrent):
    """Divides an initial state by sqrt K, as if it came in another scale."""

    def _start(self, given: Given, initial: Tensor | None, count: int) -> Tensor:
        return super()._start(given, initial, count) / math.sqrt(given.k.shape[3])


@fault("final-state-transposed", "final-state")
class FinalTransposed(Recurrent):
    """Returns a square final state with K and V exchanged."""

    def _final(self, state: Tensor) -> Tensor:
        return state.transpose(2, 3) if state.shape[2] == state.shape[3] else state


@fault("final-state-scaled", "final-state", source="xlstm 2.0.6")
class FinalScaled(Recurrent):
    """Returns the final state times sqrt K."""

    def _final(self, state: Tensor) -> Tensor:
        return state * math.sqrt(state.shape[2])


@fault("final-state-of-the-step-before", "final-state")
class FinalBefore(Recurrent):
    """Returns the state before the last step."""

    def _sequence(self, x: Given, state: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        o, final = super()._sequence(x, state, scale)
        return (
            (o, super()._sequence(x.part(slice(0, x.steps - 1)), state, scale)[1])
            if x.steps > 1
            else (o, final)
        )


@fault("final-state-decayed-again", "final-state")
class FinalDecayed(Recurrent):
    """Decays the final state by the last step once more."""

    def _sequence(self, x: Given, state: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        o, final = super()._sequence(x, state, scale)
        return o, self._decayed(x, x.steps - 1, final)


@fault("final-state-of-head-zero", "row-and-head-alone")
class FinalOfHeadZero(Recurrent):
    """Returns the final state of the first head for every head."""

    def _final(self, state: Tensor) -> Tensor:
        return state[:, :1].expand_as(state)


# The decay.


@fault("decay-after-the-update", "outputs")
class DecayAfter(Recurrent):
    """Decays the state after the write."""

    def _stepped(self, x: Given, t: int, state: Tensor) -> Tensor:
        u = self._value(x, t, state, state)
        return self._decayed(x, t, self._written(state, x.k[:, t], u))


@fault("decay-for-its-logarithm", "outputs")
class DecayForLog(Recurrent):
    """Multiplies by the log decay itself."""

    def _factor(self, log_decay: Tensor) -> Tensor:
        return log_decay


@fault("decay-to-base-two", "outputs")
class DecayBaseTwo(Recurrent):
    """Computes 2 to the power of a natural log decay."""

    def _factor(self, log_decay: Tensor) -> Tensor:
        return torch.exp2(log_decay)


@fault("decay-clamped", "outputs", source="transformers 5.24.0: clamps in prefill, not in decode")
class DecayClamped(Recurrent):
    """Clamps the log decay at -5."""

    def _factor(self, log_decay: Tensor) -> Tensor:
        return torch.exp(log_decay.clamp(min=-5.0))


@fault("decay-linearised", "outputs")
class DecayLinearised(Recurrent):
    """Takes 1 + log decay for the decay."""

    def _factor(self, log_decay: Tensor) -> Tensor:
        return 1.0 + log_decay


@fault("decay-one-step-late", "outputs")
class DecayLate(Recurrent):
    """Takes the decay of the step before."""

    def _decayed(self, x: Given, t: int, state: Tensor) -> Tensor:
        return state if t == 0 else super()._decayed(x, t - 1, state)


@fault("decay-of-head-zero", "row-and-head-alone")
class DecayOfHeadZero(Recurrent):
    """Takes the decay of the first head for every head."""

    def _prepared(self, given: Given) -> Given:
        assert given.decay is not None
        return replace(given, decay=given.decay[:, :, :1].expand_as(given.decay))


@fault("decay-of-row-zero", "row-and-head-alone")
class DecayOfRowZero(Recurrent):
    """Takes the decay of the first row for every row."""

    def _prepared(self, given: Given) -> Given:
        assert given.decay is not None
        return replace(given, decay=given.decay[:1].expand_as(given.decay))


@fault("decay-of-padding", "padding", source="state-spaces/mamba#368")
class DecayOfPadding(Recurrent):
    """Lets a step without a key decay the state by a part in a thousand."""

    def _decayed(self, x: Given, t: int, state: Tensor) -> Tensor:
        empty = (x.k[:, t] == 0.0).all(-1)[..., None, None]
        return torch.where(empty, state * 0.999, super()._decayed(x, t, state))


# The write and the read.


@fault("beta-ignored", "outputs")
class BetaIgnored(Recurrent):
    """Writes with full strength."""

    def _strength(self, beta: Tensor) -> Tensor:
        return torch.ones_like(beta)[..., None]


@fault(
    "beta-clamped",
    "outputs",
    source="dynprop",
)
class BetaClamped(Recurrent):
    """Clamps beta at 1."""

    def _strength(self, beta: Tensor) -> Tensor:
        return beta.clamp(max=1.0)[..., None]


@fault("beta-squared", "outputs")
class BetaSquared(Recurrent):
    """Applies beta to the keys and to the error."""

    def _strength(self, beta: Tensor) -> Tensor:
        return (beta * beta)[..., None]


@fault("beta-on-the-value-only", "outputs")
class BetaOnValue(Recurrent):
    """Erases with full strength and writes with beta."""

    def _value(self, x: Given, t: int, state: Tensor, decayed: Tensor) -> Tensor:
        assert x.beta is not None
        seen = torch.einsum("bhk,bhkv->bhv", x.k[:, t], decayed)
        return x.beta[:, t, :, None] * x.v[:, t] - seen


@fault("error-of-the-undecayed-state", "outputs")
class ErrorUndecayed(Recurrent):
    """Reads the state before its decay for the error."""

    def _error(self, v: Tensor, k: Tensor, state: Tensor, decayed: Tensor) -> Tensor:
        return super()._error(v, k, state, state)


@fault("error-without-the-state", "outputs")
class ErrorWithoutState(Recurrent):
    """Writes the value, and erases nothing."""

    def _error(self, v: Tensor, k: Tensor, state: Tensor, decayed: Tensor) -> Tensor:
        return v


@fault("error-with-the-wrong-sign", "outputs")
class ErrorSign(Recurrent):
    """Adds what the state has under the key to the value."""

    def _error(self, v: Tensor, k: Tensor, state: Tensor, decayed: Tensor) -> Tensor:
        return 2.0 * v - super()._error(v, k, state, decayed)


@fault("read-before-the-update", "outputs")
class ReadBefore(Recurrent):
    """Reads the state before the write."""

    def _read(self, x: Given, t: int, before: Tensor, after: Tensor, scale: float) -> Tensor:
        return super()._read(x, t, before, before, scale)


@fault("scale-twice", "outputs")
class ScaleTwice(Recurrent):
    """Applies the scale to the queries and to the outputs."""

    def _read(self, x: Given, t: int, before: Tensor, after: Tensor, scale: float) -> Tensor:
        return super()._read(x, t, before, after, scale * scale)


@fault("scale-missing", "outputs")
class ScaleMissing(Recurrent):
    """Ignores the scale."""

    def _read(self, x: Given, t: int, before: Tensor, after: Tensor, scale: float) -> Tensor:
        return super()._read(x, t, before, after, 1.0)


@fault("keys-normalised-inside", "outputs")
class KeysNormalised(Recurrent):
    """Normalises the keys, which nobody asked for."""

    def _prepared(self, given: Given) -> Given:
        return replace(given, k=functional.normalize(given.k, dim=-1))


@fault("queries-normalised-inside", "outputs")
class QueriesNormalised(Recurrent):
    """Normalises the queries, which nobody asked for."""

    def _prepared(self, given: Given) -> Given:
        return replace(given, q=functional.normalize(given.q, dim=-1))


@fault("heads-tiled-for-interleaved", "outputs")
class HeadsTiled(Recurrent):
    """Takes key head j mod n for value head j."""

    def _spread(self, x: Tensor, heads: int) -> Tensor:
        return x.repeat(1, 1, heads // x.shape[2], 1)


@fault("values-mixed-over-rows", "row-and-head-alone")
class RowsMixed(Recurrent):
    """Subtracts the mean of the values over the batch and adds that of the first row."""

    def _prepared(self, given: Given) -> Given:
        mean = given.v.mean(0, keepdim=True)
        return replace(given, v=given.v - mean + given.v[:1])


# Digits.


@fault("state-in-bfloat16", "final-state", "inaccurate", dtypes=("float32",), max_length=33)
class StateInBfloat16(Recurrent):
    """Keeps the state in bfloat16 between steps."""

    def _stepped(self, x: Given, t: int, state: Tensor) -> Tensor:
        return super()._stepped(x, t, state).bfloat16().to(state.dtype)


@fault("state-in-float16", "final-state", "inaccurate", dtypes=("float32",), max_length=33)
class StateInFloat16(Recurrent):
    """Keeps the state in float16 between steps."""

    def _stepped(self, x: Given, t: int, state: Tensor) -> Tensor:
        return super()._stepped(x, t, state).half().to(state.dtype)


@fault("operands-in-bfloat16", "outputs", "inaccurate", dtypes=("float32",), max_length=33)
class OperandsInBfloat16(Recurrent):
    """Rounds q, k and v to bfloat16."""

    def _prepared(self, given: Given) -> Given:
        q, k, v = (x.bfloat16().to(x.dtype) for x in (given.q, given.k, given.v))
        return replace(given, q=q, k=k, v=v)


@fault("single-inside-double", "outputs", "inaccurate", dtypes=("float64",), max_length=33)
class SingleInDouble(Recurrent):
    """Computes a float64 call in float32."""

    def _sequence(self, x: Given, state: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        single = replace(x, **{n: y.float() for n, y in vars(x).items() if y is not None})
        o, final = super()._sequence(single, state.float(), scale)
        return o.double(), final.double()


# Packed sequences.


@fault("cu-seqlens-ignored", "packed", source="transformers 5.24.0: torch_chunk_gated_delta_rule")
class BoundariesIgnored(Recurrent):
    """Accepts cu_seqlens and computes one sequence, with its state for all."""

    def _segments(self, given: Given, cu_seqlens: Tensor) -> Iterator[Given]:
        yield given

    def _gathered(self, states: list[Tensor]) -> Tensor:
        return states[0].expand(self.count, -1, -1, -1)

    def _start(self, given: Given, initial: Tensor | None, count: int) -> Tensor:
        self.count = count
        return super()._start(given, initial, count)


@fault("state-not-reset", "packed")
class StateNotReset(Recurrent):
    """Starts a packed sequence from the state of the one before, where no state is given."""

    def _start(self, given: Given, initial: Tensor | None, count: int) -> Tensor:
        self.given = initial is not None
        return super()._start(given, initial, count)

    def _resumed(self, start: Tensor, states: list[Tensor], index: int) -> Tensor:
        return states[-1] if states and not self.given else super()._resumed(start, states, index)


@fault("state-of-a-neighbour-added", "neighbours")
class NeighbourAdded(Recurrent):
    """Adds a part in a thousand of the state of the sequence before."""

    def _resumed(self, start: Tensor, states: list[Tensor], index: int) -> Tensor:
        own = super()._resumed(start, states, index)
        return own + 1e-3 * states[-1] if states else own


@fault("neighbour-in-the-last-digit", "whole-numbers", "inaccurate", dtypes=("float32",), max_length=33)
class NeighbourInLastDigit(Recurrent):
    """Adds 2^-22 of the state of the sequence before: within every bound, and no whole number any more."""

    def _resumed(self, start: Tensor, states: list[Tensor], index: int) -> Tensor:
        own = super()._resumed(start, states, index)
        return own + 2.0**-22 * states[-1] if states else own


@fault("reset-one-step-late", "packed")
class ResetLate(Recurrent):
    """Begins every packed sequence but the first one step late."""

    def _segments(self, given: Given, cu_seqlens: Tensor) -> Iterator[Given]:
        edges = cu_seqlens.tolist()
        inner = [min(e + 1, edges[-1] - 1) for e in edges[1:-1]]
        return super()._segments(given, torch.tensor([edges[0], *inner, edges[-1]]))


@fault("initial-state-of-the-first-sequence", "packed")
class InitialOfFirst(Recurrent):
    """Starts every packed sequence from the initial state of the first."""

    def _resumed(self, start: Tensor, states: list[Tensor], index: int) -> Tensor:
        return start[:1]


@fault("final-state-of-the-last-sequence", "packed")
class FinalOfLast(Recurrent):
    """Returns the final state of the last packed sequence for all."""

    def _gathered(self, states: list[Tensor]) -> Tensor:
        return states[-1].expand(len(states), -1, -1, -1)


@fault("packed-order-reversed", "packed")
class PackedReversed(Recurrent):
    """Returns the final states of packed sequences in the reverse order."""

    def _gathered(self, states: list[Tensor]) -> Tensor:
        return torch.cat(states[::-1])


@fault("last-step-skipped", "resume")
class LastSkipped(Recurrent):
    """Forgets the write of the last step in the final state, where there are several steps."""

    def _sequence(self, x: Given, state: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        o, final = super()._sequence(x, state, scale)
        return (o, final - x.k[:, -1, :, :, None] * 0.01) if x.steps > 1 else (o, final)


# Several forms.


class WithoutDecay(Recurrent):
    """A form that does not decay the state."""

    def _decayed(self, x: Given, t: int, state: Tensor) -> Tensor:
        return state


@fault("step-without-decay", "outputs", source="transformers 5.24.0: decode differs from prefill")
def step_without_decay() -> LinearAttention:
    """The form for one step does not decay the state."""
    return LinearAttention(Recurrent(), step=WithoutDecay(), **GATED)


@fault("step-state-scaled", "resume", source="xlstm 2.0.6: chunkwise kernel to step")
def step_state_scaled() -> LinearAttention:
    """The form for one step takes states divided by sqrt K, and returns them so."""
    return LinearAttention(Recurrent(), step=HandOver(), **GATED)


@fault("one-block-size-wrong", "outputs")
def one_block_size_wrong() -> LinearAttention:
    """One of three variants takes the decay of the step before."""
    return LinearAttention(Recurrent(), chunk=(Recurrent(), DecayLate()), **GATED)
