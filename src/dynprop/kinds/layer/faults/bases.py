"""Small correct recurrent layers, which the faults of kind layer subclass and break in one place.

x is (time, batch, feature), a state (batch, hidden), and the output of a step is its state.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Diagonal", "Elman", "Gru", "gated_sums", "over_time", "stacked"]


def gated_sums(gates: Tensor, written: Tensor) -> Tensor:
    """Return h_t = a_t h_{t-1} + w_t from h = 0 at every time, by doubling."""
    states, distance = written, 1
    while distance < len(written):
        carried = gates[distance:] * states[:-distance]
        states = torch.cat([states[:distance], states[distance:] + carried])
        gates = torch.cat([gates[:distance], gates[distance:] * gates[:-distance]])
        distance *= 2
    return states


def stacked(outputs: list[Tensor], x: Tensor, width: int) -> Tensor:
    """Stack the outputs of the steps over time; at length 0 there are none."""
    return torch.stack(outputs) if outputs else x.new_zeros(0, x.shape[1], width)


class Elman(nn.Module):
    """h_t = tanh(W x_t + U h_{t-1} + b)."""

    def __init__(self, input_size: int = 3, hidden_size: int = 8) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.read: nn.Linear = nn.Linear(input_size, hidden_size)
        self.recur: nn.Linear = nn.Linear(hidden_size, hidden_size, bias=False)

    def begin(self, x: Tensor, state: Tensor | None) -> Tensor:
        """Return the state before the first step, zeros where none is given."""
        return x.new_zeros(x.shape[1], self.hidden_size) if state is None else state

    def cell(self, x_t: Tensor, state: Tensor) -> Tensor:
        """Return the next state."""
        return torch.tanh(self.read(x_t) + self.recur(state))

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Run over the sequence."""
        return over_time(self, x, self.begin(x, state))


class Gru(Elman):
    """The GRU of torch: r, z, n, with the reset gate applied after the recurrent product."""

    def __init__(self, input_size: int = 3, hidden_size: int = 8) -> None:
        super().__init__(input_size, hidden_size)
        self.read: nn.Linear = nn.Linear(input_size, 3 * hidden_size)
        self.recur: nn.Linear = nn.Linear(hidden_size, 3 * hidden_size)

    def cell(self, x_t: Tensor, state: Tensor) -> Tensor:
        """Return the next state."""
        read_r, read_z, read_n = self.read(x_t).chunk(3, -1)
        recur_r, recur_z, recur_n = self.recur(state).chunk(3, -1)
        reset, update = torch.sigmoid(read_r + recur_r), torch.sigmoid(read_z + recur_z)
        new = torch.tanh(read_n + reset * recur_n)
        return (1 - update) * new + update * state


class Diagonal(Elman):
    """h_t = a_t h_{t-1} + (1 - a_t) v_t, a_t = sigmoid(A x_t), v_t = V x_t, in four forms."""

    def __init__(self, input_size: int = 3, hidden_size: int = 8) -> None:
        super().__init__(input_size, hidden_size)
        self.recur: nn.Linear = nn.Linear(input_size, hidden_size)

    def terms(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gates and the gated inputs."""
        gates = torch.sigmoid(self.recur(x))
        return gates, (1 - gates) * self.read(x)

    def cell(self, x_t: Tensor, state: Tensor) -> Tensor:
        """Return the next state."""
        gate, written = self.terms(x_t)
        return gate * state + written

    def step(self, x_t: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Take one step."""
        following = self.cell(x_t, state)
        return following, following

    def chunk(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Run over a piece of a sequence from a state."""
        return over_time(self, x, state)

    def parallel(self, x: Tensor) -> Tensor:
        """Return all outputs from the zero state."""
        return gated_sums(*self.terms(x))

    def initial_state(self, batch: int) -> Tensor:
        """Return the state that a call without one starts from."""
        return self.read.weight.new_zeros(batch, self.hidden_size)


def over_time(layer: Elman, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """Run the cell of a layer from a state; return the outputs and the last state."""
    outputs = []
    for x_t in x.unbind(0):
        state = layer.cell(x_t, state)
        outputs.append(state)
    return stacked(outputs, x, layer.hidden_size), state
