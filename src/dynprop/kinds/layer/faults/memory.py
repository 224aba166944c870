"""Faults of kind layer in memory and global state, and in what one path of several forgets."""

from __future__ import annotations

import random
import warnings

import torch
from torch import Tensor, nn

from dynprop.kinds.layer.faults.bases import Diagonal, Elman, over_time, stacked
from dynprop.kinds.layer.faults.state import Convolved, State
from dynprop.laws.catalogue import Catalogue

layer = Catalogue("layer", "torch")
CATALOGUES = (layer,)


# Layouts


@layer.fault("layer/strides-ignored", source="pytorch/pytorch#345", caught_by={"memory-layout": "wrong"})
class StridesIgnored(Elman):
    """Reads its inputs in the order of contiguous memory, whatever their strides are."""

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Run over the memory from the first number on."""
        _, batch, feature = x.shape
        return super().forward(torch.as_strided(x, x.shape, (batch * feature, feature, 1)), state)


@layer.fault("layer/state-strides-ignored", gross=False, caught_by={"memory-layout": "wrong"})
class StateStridesIgnored(Elman):
    """Reads the state that it is given in the order of contiguous memory, whatever its strides are."""

    def begin(self, x: Tensor, state: Tensor | None) -> Tensor:
        """Return the state before the first step."""
        begin = super().begin(x, state)
        return torch.as_strided(begin, begin.shape, (begin.shape[1], 1), begin.storage_offset())


class GradientStridesIgnored(torch.autograd.Function):
    """The identity, whose backward pass reads the gradient in the order of contiguous memory."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, y: Tensor) -> Tensor:
        """Copy."""
        return y.clone()

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, upstream: Tensor) -> Tensor:
        """Read the gradient as if it were contiguous."""
        memory = torch.cat([upstream.flatten()] * 2) if 0 in upstream.stride() else upstream
        _, batch, feature = upstream.shape
        return torch.as_strided(memory, upstream.shape, (batch * feature, feature, 1))


@layer.fault("layer/gradient-strides-ignored", gross=False, caught_by={"memory-layout": "wrong"})
class ArrivingStridesIgnored(Elman):
    """Reads the gradient that arrives at its outputs in the order of contiguous memory."""

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Run over the sequence."""
        y, last = super().forward(x, state)
        return GradientStridesIgnored.apply(y), last  # type: ignore[no-untyped-call]  # torch


# Results that are kept


@layer.fault("layer/outputs-overwritten", fresh=True, caught_by={"results-kept": "wrong"})
class OutputsOverwritten(Elman):
    """Writes the outputs of a call into the memory of those of the last call of the same shape."""

    pool: Tensor | None = None

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Hand out the buffer again."""
        y, last = super().forward(x, state)
        kept = self.pool
        if kept is not None and kept.shape == y.shape and kept.dtype == y.dtype:
            kept.data.copy_(y)
        self.pool = y
        return y, last


@layer.fault("layer/cache-reused-for-inference", gross=False, fresh=True, caught_by={"results-kept": "wrong"})
class CacheReusedForInference(Elman):
    """Keeps one state in memory for calls without gradients, and returns that memory each time."""

    cache: Tensor | None = None

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the cache where no gradient is wanted."""
        y, last = super().forward(x, state)
        if torch.is_grad_enabled():
            return y, last
        if self.cache is None or self.cache.shape != last.shape or self.cache.dtype != last.dtype:
            self.cache = last.clone()
        self.cache.copy_(last)
        return y, self.cache


# Global state


@layer.fault("layer/left-in-training", gross=False, fresh=True, caught_by={"global-state-unchanged": "wrong"})
class LeftInTraining(Elman):
    """Is in training mode after a call, whatever it was in before."""

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Run over the sequence, and switch the mode."""
        result = super().forward(x, state)
        self.recur.train(not self.recur.training)
        return result


@layer.fault("layer/noise-drawn-in-evaluation", gross=False, caught_by={"global-state-unchanged": "wrong"})
class NoiseDrawnInEvaluation(Elman):
    """Draws noise from torch's global generator in evaluation mode, where it is not used."""

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Run over the sequence."""
        noise = torch.randn_like(x)
        return super().forward(x + noise if self.training else x, state)


@layer.fault("layer/python-seeded", gross=False, caught_by={"global-state-unchanged": "wrong"})
class PythonSeeded(Elman):
    """Seeds Python's global generator at every call."""

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Be reproducible at the expense of everyone else."""
        random.seed(len(x))
        return super().forward(x, state)


@layer.fault("layer/warnings-silenced", gross=False, caught_by={"global-state-unchanged": "wrong"})
class WarningsSilenced(Elman):
    """Adds a filter of warnings at every call, and leaves it there."""

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Silence what it might say itself."""
        warnings.filterwarnings("ignore", message=f"filter {len(warnings.filters)}")
        return super().forward(x, state)


# Parts of a state, and ends of blocks


@layer.fault("layer/step-forgets-convolution", gross=False, caught_by={"state-read": "wrong"})
class StepForgetsConvolution(Convolved):
    """Has a step form that uses the state of its recurrence and not the inputs before."""

    def step(self, x_t: Tensor, state: State) -> tuple[Tensor, State]:
        """Take one step."""
        y, following = self.forward(x_t[None], (state[0], torch.zeros_like(state[1])))
        return y[0], following


@layer.fault("layer/step-forgets-position", gross=False, caught_by={"state-read": "wrong"})
class StepForgetsPosition(nn.Module):
    """Counts its steps in its state and adds their phase, which its step form leaves out."""

    def __init__(self, input_size: int = 3, hidden_size: int = 8) -> None:
        super().__init__()
        self.input_size = input_size
        self.inner = Elman(input_size, hidden_size)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Run over the sequence; the state is (h, steps so far)."""
        h = self.inner.begin(x, None if state is None else state[0])
        steps = x.new_zeros(x.shape[1]) if state is None else state[1]
        outputs = []
        for x_t in x.unbind(0):
            h = self.inner.cell(x_t + torch.sin(steps)[:, None], h)
            steps = steps + 1
            outputs.append(h)
        return stacked(outputs, x, self.inner.hidden_size), (h, steps)

    def step(self, x_t: Tensor, state: State) -> tuple[Tensor, State]:
        """Take one step."""
        h = self.inner.cell(x_t, state[0])
        return h, (h, state[1] + 1)


class Blocked(Diagonal):
    """A right layer whose chunk form runs blocks of 64 steps; ``carried`` is what the faults break."""

    def carried(self, states: Tensor, steps: int) -> Tensor:
        """Return the state after a block."""
        return states[-1]

    def chunk(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Run block by block."""
        outputs = [x.new_zeros(0, x.shape[1], self.hidden_size)]
        for begin in range(0, len(x), 64):
            block = x[begin : begin + 64]
            y, _ = over_time(self, block, state)
            state = self.carried(y, len(x)) if len(block) == 64 else y[-1]
            outputs.append(y)
        return torch.cat(outputs), state


@layer.fault("layer/full-blocks-return-late", gross=False, caught_by={"hand-over": "wrong"})
class FullBlocksReturnLate(Blocked):
    """Returns the state before the last step where the steps fill their blocks of 64 exactly."""

    def carried(self, states: Tensor, steps: int) -> Tensor:
        """Return the state after a block."""
        return states[-2] if steps % 64 == 0 else states[-1]


@layer.fault("layer/piece-of-one-block-and-a-step", gross=False, caught_by={"forms-agree": "wrong"})
class PieceOfOneBlockAndAStep(Blocked):
    """Loses the carry into a last block of one step in its chunk form."""

    def carried(self, states: Tensor, steps: int) -> Tensor:
        """Return the state after a block."""
        return torch.zeros_like(states[-1]) if steps % 64 == 1 else states[-1]
