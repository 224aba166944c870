"""Faults of kind layer in how a state is taken, kept and returned."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dynprop.kinds.layer.faults.bases import Diagonal, Elman, over_time, stacked
from dynprop.laws.catalogue import Catalogue

layer: Catalogue = Catalogue("layer", "torch")
CATALOGUES = (layer,)


@layer.fault("layer/own-state-not-accepted", source="xlstm 2.0.6", caught_by={"own-state-accepted": "error"})
class OwnStateNotAccepted(Elman):
    """Returns its state with one axis more than it accepts."""

    def begin(self, x: Tensor, state: Tensor | None) -> Tensor:
        """Accept (batch, hidden) only."""
        if state is not None and state.dim() != 2:
            raise ValueError(f"expected a state (batch, hidden), got {tuple(state.shape)}")
        return super().begin(x, state)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the state as (1, batch, hidden)."""
        y, last = super().forward(x, state)
        return y, last[None]


@layer.fault(
    "layer/state-for-row-zero", source="LRU-pytorch 0.1.3", caught_by={"row-alone-with-state": "wrong"}
)
class StateForRowZero(Elman):
    """Gives the state to the first row of the batch and resets the others."""

    def begin(self, x: Tensor, state: Tensor | None) -> Tensor:
        """Use row 0."""
        zeros = super().begin(x, None)
        return zeros if state is None else torch.cat([state[:1], zeros[1:]])


@layer.fault("layer/first-state-for-all-rows", caught_by={"row-alone-with-state": "wrong"})
class FirstStateForAllRows(Elman):
    """Starts every row of the batch from the state of row 0."""

    def begin(self, x: Tensor, state: Tensor | None) -> Tensor:
        """Broadcast row 0."""
        begin = super().begin(x, state)
        return begin[:1].expand_as(begin)


@layer.fault("layer/square-state-transposed", gross=False, caught_by={"row-alone-with-state": "wrong"})
class SquareStateTransposed(Elman):
    """Accepts a state (hidden, batch) too, and so transposes one where batch equals hidden."""

    def begin(self, x: Tensor, state: Tensor | None) -> Tensor:
        """Guess the layout from the first axis."""
        if state is not None and state.shape[0] == self.hidden_size:
            state = state.T
        return super().begin(x, state)


@layer.fault(
    "layer/activation-twice-on-resume",
    source="a released layer: tanh of a tanh state",
    caught_by={"split-resume": "wrong"},
)
class ActivationTwiceOnResume(Elman):
    """Applies tanh again to a state that it is given, as if that were a pre-activation."""

    def begin(self, x: Tensor, state: Tensor | None) -> Tensor:
        """Squash the state."""
        return torch.tanh(super().begin(x, state))


@layer.fault("layer/keeps-state-between-calls", caught_by={"no-hidden-state": "wrong"})
class KeepsStateBetweenCalls(Elman):
    """Starts from the last state of the call before where none is given."""

    last: Tensor | None = None

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Remember the last state."""
        kept = self.last
        if state is None and kept is not None and kept.shape[0] == x.shape[1]:
            state = kept.to(x)
        y, last = super().forward(x, state)
        self.last = last.detach()
        return y, last


@layer.fault("layer/given-state-overwritten", caught_by={"inputs-unchanged": "wrong"})
class GivenStateOverwritten(Elman):
    """Writes the last state into the memory of the state that it was given."""

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Update the caller's tensor as a cache would be."""
        y, last = super().forward(x, None if state is None else state.clone())
        if state is not None:
            state.data.copy_(last)
        return y, last


@layer.fault("layer/state-dtype-changed", caught_by={"shape-and-dtype": "wrong"})
class StateDtypeChanged(Elman):
    """Returns its state in float32 whatever precision it runs in."""

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Round the state on its way out."""
        y, last = super().forward(x, None if state is None else state.to(x.dtype))
        return y, last.float()


@layer.fault("layer/initial-state-is-not-none", caught_by={"own-initial-state": "wrong"})
class InitialStateIsNotNone(Diagonal):
    """Documents one initial state and uses another where none is given."""

    def initial_state(self, batch: int) -> Tensor:
        """Return ones; None means zeros."""
        return torch.ones_like(super().initial_state(batch))


@layer.fault("layer/cell-state-lost", caught_by={"own-steps": "wrong"})
class CellStateLost(nn.Module):
    """An LSTM that resumes from h and forgets c."""

    def __init__(self, input_size: int = 3, hidden_size: int = 8) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.cell: nn.LSTMCell = nn.LSTMCell(input_size, hidden_size)

    def forward(
        self, x: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Run over the sequence."""
        h = x.new_zeros(x.shape[1], self.hidden_size) if state is None else state[0]
        c = torch.zeros_like(h)  # should be state[1]
        outputs = []
        for x_t in x.unbind(0):
            h, c = self.cell(x_t, (h, c))
            outputs.append(h)
        return stacked(outputs, x, self.hidden_size), (h, c)


@layer.fault("layer/stack-returned-upside-down", caught_by={"own-steps": "wrong"})
class StackReturnedUpsideDown(nn.Module):
    """Two layers whose states come back in the opposite order."""

    def __init__(self, input_size: int = 3, hidden_size: int = 8) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.lower: Elman = Elman(input_size, hidden_size)
        self.upper: Elman = Elman(hidden_size, hidden_size)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Run the lower layer, then the upper one; a state is (layer, batch, hidden)."""
        first, second = (None, None) if state is None else (state[0], state[1])
        below, last_lower = self.lower(x, first)
        y, last_upper = self.upper(below, second)
        return y, torch.stack([last_upper, last_lower])  # should be lower, upper


State = tuple[Tensor, Tensor]


class Convolved(nn.Module):
    """A right layer behind a causal convolution of width 4; the state is (h, last 3 inputs)."""

    def __init__(self, input_size: int = 3, hidden_size: int = 8) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.taps: nn.Parameter = nn.Parameter(torch.randn(4, input_size) / 2)
        self.inner: Elman = Elman(input_size, hidden_size)

    def window(self, x: Tensor, state: State | None) -> Tensor:
        """Return the three inputs before the piece."""
        return x.new_zeros(3, *x.shape[1:]) if state is None else state[1].transpose(0, 1)

    def following(self, x: Tensor, extended: Tensor) -> Tensor:
        """Return the three inputs before the next piece."""
        return extended[x.shape[0] :]

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Convolve, then run over the sequence."""
        extended = torch.cat([self.window(x, state), x])
        shifts = [extended[lag : lag + x.shape[0]] for lag in range(4)]
        mixed = (self.taps[:, None, None] * torch.stack(shifts)).sum(0)
        begin = self.inner.begin(x, None if state is None else state[0])
        y, last = over_time(self.inner, mixed, begin)
        return y, (last, self.following(x, extended).transpose(0, 1))


@layer.fault(
    "layer/convolution-cache-lost",
    source="fla-org/flash-linear-attention#285",
    caught_by={"split-resume": "wrong"},
)
class ConvolutionCacheLost(Convolved):
    """Resumes its recurrence from the state, and its convolution from zeros."""

    def window(self, x: Tensor, state: State | None) -> Tensor:
        """Forget the inputs before the piece."""
        return super().window(x, None)


@layer.fault(
    "layer/short-piece-cache",
    source="fla-org/flash-linear-attention#1140",
    gross=False,
    caught_by={"split-resume": "wrong"},
)
class ShortPieceCache(Convolved):
    """Fills its convolution cache with zeros if a piece is shorter than 3 steps."""

    def following(self, x: Tensor, extended: Tensor) -> Tensor:
        """Keep the last inputs of this piece only."""
        return torch.cat([x.new_zeros(3, *x.shape[1:]), x])[-3:]  # should be of extended
