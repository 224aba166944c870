"""Faults of kind layer in one form: step, chunk, parallel, padded rows, layouts of a batch."""

from __future__ import annotations

import torch
from torch import Tensor

from dynprop.kinds.layer.faults.bases import Diagonal, Elman, Gru, gated_sums, over_time
from dynprop.laws.catalogue import Catalogue

layer: Catalogue = Catalogue("layer", "torch")
CATALOGUES = (layer,)


# Chunk and parallel


@layer.fault("layer/chunk-state-scaled", source="xlstm 2.0.6", caught_by={"hand-over": "wrong"})
class ChunkStateScaled(Diagonal):
    """Keeps the state of its chunk form larger by the square root of the width."""

    def chunk(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Agree with itself, and with no other form."""
        scale = self.hidden_size**0.5
        y, last = super().chunk(x, state / scale)
        return y, last * scale


@layer.fault(
    "layer/chunk-ignores-state",
    source="fla-org/flash-linear-attention#351",
    caught_by={"forms-agree": "wrong"},
)
class ChunkIgnoresState(Diagonal):
    """Starts its chunk form from zero whatever state is given."""

    def chunk(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Forget the state."""
        return super().chunk(x, torch.zeros_like(state))


@layer.fault("layer/chunk-carry-lost", gross=False, caught_by={"forms-agree": "wrong"})
class ChunkCarryLost(Diagonal):
    """Loses the carry at every multiple of 16 steps within its chunk form."""

    def chunk(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Run block by block."""
        outputs, last = [x.new_zeros(0, x.shape[1], self.hidden_size)], state
        for begin in range(0, x.shape[0], 16):
            carry = state if begin == 0 else torch.zeros_like(state)  # should be last
            y, last = super().chunk(x[begin : begin + 16], carry)
            outputs.append(y)
        return torch.cat(outputs), last


@layer.fault("layer/parallel-decay-one-step-off", caught_by={"forms-agree": "wrong"})
class ParallelDecayOneStepOff(Diagonal):
    """Lets what a step writes decay by that step's own gate in the parallel form."""

    def parallel(self, x: Tensor) -> Tensor:
        """Run the parallel form on what has decayed once too often."""
        gates, written = self.terms(x)
        return gated_sums(gates, gates * written)  # should be written


@layer.fault(
    "layer/parallel-decay-overflows",
    source="fla-org/flash-linear-attention#77",
    gross=False,
    caught_by={"forms-agree": "wrong"},
)
class ParallelDecayOverflows(Diagonal):
    """Divides by the decay since the start in its parallel form: NaN once that underflows."""

    def parallel(self, x: Tensor) -> Tensor:
        """Subtract logarithms of the decay."""
        gates, written = self.terms(x)
        decay = torch.cumsum(torch.log(gates), 0)
        return torch.exp(decay) * torch.cumsum(torch.exp(-decay) * written, 0)


# Step


class SteppedGru(Gru):
    """A right GRU whose step form is written separately; ``step_cell`` is what the faults break."""

    def gates(self, x_t: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return the reset and update gates of one step."""
        read, recur = self.read(x_t), self.recur(state)
        both = torch.sigmoid(read + recur)[..., : 2 * self.hidden_size]
        reset, update = both.chunk(2, -1)
        return reset, update

    def candidate(self, x_t: Tensor, state: Tensor, reset: Tensor) -> Tensor:
        """Return the new content of one step."""
        wide = 2 * self.hidden_size
        read: Tensor = self.read(x_t)
        recur: Tensor = self.recur(state)
        return torch.tanh(read[..., wide:] + reset * recur[..., wide:])

    def step(self, x_t: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Take one step."""
        reset, update = self.gates(x_t, state)
        following = (1 - update) * self.candidate(x_t, state, reset) + update * state
        return following, following


@layer.fault("layer/step-gate-order", caught_by={"own-steps": "wrong"})
class StepGateOrder(SteppedGru):
    """Reads the gates of its step form in the order z, r where the weights hold r, z."""

    def gates(self, x_t: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Swap the gates."""
        reset, update = super().gates(x_t, state)
        return update, reset


@layer.fault(
    "layer/step-reset-before-product", source="microsoft/onnxscript#2852", caught_by={"own-steps": "wrong"}
)
class StepResetBeforeProduct(SteppedGru):
    """Resets the state before the recurrent product in its step form, after it elsewhere."""

    def candidate(self, x_t: Tensor, state: Tensor, reset: Tensor) -> Tensor:
        """Compute the original variant of the GRU."""
        return super().candidate(x_t, reset * state, torch.ones_like(reset))


# Padded rows


class Padded(Elman):
    """A right layer for padded rows: a row's state stops at its own length."""

    def last(self, states: Tensor, begin: Tensor, lengths: Tensor) -> Tensor:
        """Return each row's state after its own last step."""
        reached = torch.cat([begin[None], states])
        return reached[lengths, torch.arange(lengths.shape[0])]

    def forward(
        self, x: Tensor, state: Tensor | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Run over the sequence; outputs of the padding are zero."""
        begin = self.begin(x, state)
        y, last = over_time(self, x, begin)
        if lengths is None:
            return y, last
        real = torch.arange(x.shape[0])[:, None] < lengths
        return y * real[..., None], self.last(y, begin, lengths)


@layer.fault(
    "layer/empty-row-returns-padded-state", source="flax 0.12.8", gross=False, caught_by={"padding": "wrong"}
)
class EmptyRowReturnsPaddedState(Padded):
    """Returns the state after all padded steps for a row of length 0."""

    def last(self, states: Tensor, begin: Tensor, lengths: Tensor) -> Tensor:
        """Index by lengths - 1, which is the last step at length 0."""
        return states[lengths - 1, torch.arange(lengths.shape[0])]


@layer.fault("layer/padded-row-runs-on", caught_by={"padding": "wrong"})
class PaddedRowRunsOn(Padded):
    """Returns the state after the padding for every row that is shorter."""

    def last(self, states: Tensor, begin: Tensor, lengths: Tensor) -> Tensor:
        """Ignore the lengths."""
        return torch.cat([begin[None], states])[-1]


# Layouts of the batch


@layer.fault("layer/batch-first-by-view", caught_by={"row-alone": "wrong"})
class BatchFirstByView(Elman):
    """Declares batch_first, and reshapes (batch, time) where it should transpose."""

    batch_first = True

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Run over the wrong sequence; right for one row or one step."""
        batch, time, _ = x.shape
        y, last = super().forward(x.reshape(time, batch, self.input_size), state)
        return y.reshape(batch, time, self.hidden_size), last


@layer.fault("layer/single-row-squeezed", gross=False, caught_by={"row-alone": "wrong"})
class SingleRowSqueezed(Elman):
    """Drops the batch axis of its outputs where the batch has one row."""

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Squeeze."""
        y, last = super().forward(x, state)
        return y.squeeze(1), last
