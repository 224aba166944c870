"""Controls of kind layer: torch's own modules, and correct layers written independently of them."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from dynprop.kinds.layer.faults.sides import TimeSpans, with_spans
from dynprop.kinds.layer.faults.truncation import END, EVERY_OUTPUT, Sliding, Windows
from dynprop.kinds.layer.target import Layer
from dynprop.laws.catalogue import Catalogue

layer: Catalogue = Catalogue("layer", "torch")
CATALOGUES = (layer,)

layer.add_control("control/torch-rnn", "torch.nn.RNN.", nn.RNN)
layer.add_control("control/torch-gru", "torch.nn.GRU.", nn.GRU)
layer.add_control(
    "control/torch-lstm-stack",
    "torch.nn.LSTM with two layers, projected to three units.",
    partial(nn.LSTM, num_layers=2, proj_size=3),
)
layer.add_control(
    "control/torch-gru-batch-first",
    "torch.nn.GRU with the batch axis first.",
    partial(nn.GRU, batch_first=True),
)
layer.add_control(
    "control/torch-gru-bidirectional",
    "torch.nn.GRU in both directions: it has no causal order and cannot resume.",
    partial(nn.GRU, bidirectional=True),
)


@layer.control("control/gru-cells")
class GruCells(nn.Module):
    """A loop over torch.nn.GRUCell with a step form."""

    def __init__(self, input_size: int = 3, hidden_size: int = 8) -> None:
        super().__init__()
        self.input_size: int = input_size
        self.hidden_size: int = hidden_size
        self.cell: nn.GRUCell = nn.GRUCell(input_size, hidden_size)

    def step(self, x_t: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """Take one step."""
        following: Tensor = self.cell(x_t, state)
        return following, following

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Run over the sequence."""
        h = x.new_zeros(x.shape[1], self.hidden_size) if state is None else state
        y = [x.new_zeros(0, *h.shape)]
        for x_t in x:
            _, h = self.step(x_t, h)
            y.append(h[None])
        return torch.cat(y), h


@layer.control("control/lstm-cells")
class LstmCells(nn.Module):
    """A loop over torch.nn.LSTMCell; state (h, c); a step form."""

    def __init__(self, input_size: int = 3, hidden_size: int = 8) -> None:
        super().__init__()
        self.input_size: int = input_size
        self.hidden_size: int = hidden_size
        self.cell: nn.LSTMCell = nn.LSTMCell(input_size, hidden_size)

    def initial_state(self, batch: int) -> tuple[Tensor, Tensor]:
        """Return zeros."""
        zeros = self.cell.bias_hh.new_zeros(batch, self.hidden_size)
        return zeros, zeros.clone()

    def step(
        self,
        x_t: Tensor,
        state: tuple[Tensor, Tensor],
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Take one step."""
        h, c = self.cell(x_t, state)
        return h, (h, c)

    def forward(
        self, x: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Run over the sequence."""
        state = self.initial_state(x.shape[1]) if state is None else state
        outputs = [x.new_zeros(0, *state[0].shape)]
        for x_t in x.unbind():
            h, state = self.step(x_t, state)
            outputs.append(h.unsqueeze(0))
        return torch.cat(outputs), state


@layer.control("control/diagonal-forms")
class DiagonalForms(nn.Module):
    """A linear diagonal layer with signed gates and a read-out, in all its forms."""

    def __init__(self, input_size: int = 3, hidden_size: int = 8) -> None:
        super().__init__()
        self.input_size: int = input_size
        self.hidden_size: int = hidden_size
        self.gate: nn.Linear = nn.Linear(input_size, hidden_size)
        self.write: nn.Linear = nn.Linear(input_size, hidden_size, bias=False)
        self.read: nn.Linear = nn.Linear(hidden_size, input_size)

    def initial_state(self, batch: int) -> Tensor:
        """Return zeros."""
        return torch.zeros_like(self.gate.bias).repeat(batch, 1)

    def step(self, x_t: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Take one step."""
        following = torch.tanh(self.gate(x_t)) * state + self.write(x_t)
        return self.read(following), following

    def chunk(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Multiply triangular matrices of gate products, 8 steps at a time."""
        outputs = [self.read(self.write(x[:0]))]
        for piece in torch.split(x, 8):
            gates, values = torch.tanh(self.gate(piece)), self.write(piece)
            rows = [torch.ones_like(gates[0])[None]]
            for gate in gates:
                rows.append(torch.cat([rows[-1] * gate, torch.ones_like(gate)[None]]))
            entered = torch.cat([state[None], values])
            states = [(row * entered[: len(row)]).sum(0) for row in rows[1:]]
            if states:
                outputs.append(self.read(torch.stack(states)))
                state = states[-1]
        return torch.cat(outputs), state

    def parallel(self, x: Tensor) -> Tensor:
        """Compose halves of the sequence by recursion."""

        def states(gates: Tensor, values: Tensor) -> Tensor:
            middle = len(gates) // 2
            if not middle:
                return values
            first = states(gates[:middle], values[:middle])
            second = states(gates[middle:], values[middle:])
            return torch.cat([first, second + gates[middle:].cumprod(0) * first[-1]])

        y: Tensor = self.read(states(torch.tanh(self.gate(x)), self.write(x)))
        return y

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Take one step after the other."""
        h = self.initial_state(x.shape[1]) if state is None else state
        trajectory = [self.write(x[:0])]
        for x_t in x:
            h = self.step(x_t, h)[1]
            trajectory.append(h[None])
        return self.read(torch.cat(trajectory)), h


@layer.control("control/padded-rows")
class PaddedRows(nn.Module):
    """A tanh layer for padded rows, whose states stand still behind their own length."""

    def __init__(self, input_size: int = 3, hidden_size: int = 8) -> None:
        super().__init__()
        self.input_size: int = input_size
        self.hidden_size: int = hidden_size
        self.cell: nn.RNNCell = nn.RNNCell(input_size, hidden_size)

    def forward(
        self, x: Tensor, state: Tensor | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Run over the sequence; the outputs of the padding repeat the last state."""
        h = x.new_zeros(x.shape[1], self.hidden_size) if state is None else state
        outputs = [h[None][:0]]
        for t, x_t in enumerate(x):
            following = self.cell(x_t, h)
            h = following if lengths is None else torch.where((t < lengths)[:, None], following, h)
            outputs.append(h[None])
        return torch.cat(outputs), h


@layer.control("control/learned-initial-state")
class LearnedInitialState(nn.Module):
    """A tanh layer that starts from a learned state, which initial_state returns too."""

    def __init__(self, input_size: int = 3, hidden_size: int = 8) -> None:
        super().__init__()
        self.input_size: int = input_size
        self.hidden_size: int = hidden_size
        self.cell: nn.RNNCell = nn.RNNCell(input_size, hidden_size)
        self.start: nn.Parameter = nn.Parameter(torch.randn(hidden_size))

    def initial_state(self, batch: int) -> Tensor:
        """Return the learned state for every row."""
        return self.start.repeat(batch, 1)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Run over the sequence."""
        h = self.initial_state(x.shape[1]) if state is None else state
        outputs = [h[None][:0]]
        for x_t in x:
            h = self.cell(x_t, h)
            outputs.append(h[None])
        return torch.cat(outputs), h


@layer.control("control/min-gru-steps")
class MinGruSteps(nn.Module):
    """A minGRU step by step, without logarithms; dropout on its outputs in training only."""

    def __init__(self, input_size: int = 3, hidden_size: int = 8) -> None:
        super().__init__()
        self.input_size: int = input_size
        self.hidden_size: int = hidden_size
        self.both: nn.Linear = nn.Linear(input_size, 2 * hidden_size)
        self.dropout: nn.Dropout = nn.Dropout(0.2)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Run over the sequence."""
        h = x.new_zeros(x.shape[1], self.hidden_size) if state is None else state
        outputs = [h[None][:0]]
        for x_t in x:
            keep, content = self.both(x_t).chunk(2, -1)
            z = torch.sigmoid(keep)
            h = (1 - z) * h + z * content
            outputs.append(h[None])
        return self.dropout(torch.cat(outputs)), h


@layer.control("control/state-tree")
class StateTree(nn.Module):
    """A convolution of width 3 before a GRU; the state is a dict with a list in it."""

    def __init__(self, input_size: int = 3, hidden_size: int = 8) -> None:
        super().__init__()
        self.input_size: int = input_size
        self.hidden_size: int = hidden_size
        self.mix: nn.Linear = nn.Linear(3 * input_size, input_size)
        self.cell: nn.GRUCell = nn.GRUCell(input_size, hidden_size)

    def initial_state(self, batch: int) -> dict[str, Any]:
        """Return zeros."""
        weight = self.mix.weight
        past = [weight.new_zeros(batch, self.input_size) for _ in range(2)]
        return {"h": weight.new_zeros(batch, self.hidden_size), "past": past}

    def step(self, x_t: Tensor, state: dict[str, Any]) -> tuple[Tensor, dict[str, Any]]:
        """Take one step."""
        before, past = state["past"]
        mixed = torch.tanh(self.mix(torch.cat([before, past, x_t], -1)))
        h = self.cell(mixed, state["h"])
        return h, {"h": h, "past": [past, x_t]}

    def forward(
        self,
        x: Tensor,
        state: dict[str, Any] | None = None,
    ) -> tuple[Tensor, dict[str, Any]]:
        """Run over the sequence."""
        tree = self.initial_state(x.shape[1]) if state is None else state
        outputs = [x.new_zeros(0, x.shape[1], self.hidden_size)]
        for x_t in x:
            y_t, tree = self.step(x_t, tree)
            outputs.append(y_t[None])
        return torch.cat(outputs), tree


@layer.control("control/position-counter")
class PositionCounter(nn.Module):
    """A layer that counts its steps in an integer part of its state and adds their phase."""

    def __init__(self, input_size: int = 3, hidden_size: int = 8) -> None:
        super().__init__()
        self.input_size: int = input_size
        self.hidden_size: int = hidden_size
        self.cell: nn.RNNCell = nn.RNNCell(input_size, hidden_size)

    def forward(
        self, x: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Run over the sequence; the state is (h, steps so far)."""
        if state is None:
            steps = torch.zeros(x.shape[1], dtype=torch.int64, device=x.device)
            state = x.new_zeros(x.shape[1], self.hidden_size), steps
        h, steps = state
        outputs = [h[None][:0]]
        for x_t in x:
            phase = torch.sin(steps.to(x.dtype) / 4)[:, None]
            h = self.cell(x_t + phase, h)
            steps = steps + 1
            outputs.append(h[None])
        return torch.cat(outputs), (h, steps)


@layer.control("control/time-spans")
def time_spans() -> Layer:
    """A tanh layer whose state decays over the time span of its own row and step."""
    return with_spans(TimeSpans())


@layer.control("control/closed-over-weights")
def closed_over_weights() -> Layer:
    """Functions without a module, whose weights are declared by parameters=."""
    generator = torch.Generator().manual_seed(5)
    weights = {
        "read": torch.randn(3, 6, generator=generator) / 2,
        "recur": torch.randn(6, 6, generator=generator) / 3,
        "start": torch.randn(6, generator=generator),
    }

    def initial_state(batch: int) -> Tensor:
        return weights["start"].repeat(batch, 1)

    def step(x_t: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        following = torch.tanh(x_t @ weights["read"] + state @ weights["recur"])
        return following, following

    def forward(x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        h = initial_state(x.shape[1]) if state is None else state
        outputs = [h[None][:0]]
        for x_t in x:
            h = step(x_t, h)[1]
            outputs.append(h[None])
        return torch.cat(outputs), h

    return Layer(
        forward=forward,
        step=step,
        initial_state=initial_state,
        parameters=weights,
        name="closed-over weights",
    )


layer.add_control(
    "control/windows-from-the-end",
    "A tanh layer that cuts its gradient every 6 steps, counted from the end of a call.",
    Windows,
    domain=END,
)
layer.add_control(
    "control/lags-up-to-4",
    "A tanh layer whose outputs have the gradients of lags 0 to 4 each.",
    Sliding,
    domain=EVERY_OUTPUT,
)


@layer.control("control/windows-from-the-start", domain={"reach": 5, "windows": "start"})
class WindowsFromTheStart(LstmCells):
    """An LSTM that detaches both parts of its state every 5 steps, counted from the start of a call."""

    def forward(
        self, x: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Run over the sequence."""
        h, c = self.initial_state(x.shape[1]) if state is None else state
        outputs = [x.new_zeros(0, *h.shape)]
        for window in torch.split(x, 5) if len(x) else ():
            if len(outputs) > 1:
                h, c = h.detach(), c.detach()
            for x_t in window:
                h, (h, c) = self.step(x_t, (h, c))
                outputs.append(h.unsqueeze(0))
        return torch.cat(outputs), (h, c)


@layer.control(
    "control/gru-beside-torch",
    domain={
        "reference": nn.GRU,
        "reference_parameters": {
            f"cell.{name}": f"{name}_l0" for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        },
    },
)
class GruBesideTorch(GruCells):
    """A loop over torch.nn.GRUCell, which torch.nn.GRU with the same parameters agrees with."""
