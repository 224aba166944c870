r"""Recurrent cells as functions of stacked parameters: many models of one shape run as one computation.

Every array has an axis for the model, and models do not interact: a NaN in one does not spread to others.
With inputs x (time, model, batch, feature), weights U (model, feature, g·hidden), W (model, hidden,
g·hidden), g the number of gates, and states as rows:

=====  ==================================================================================================
tanh   h = tanh(x U + b + h' W)                                        Elman 1990, eq. of section 2
relu   h = max(0, x U + b + h' W)                                      Le, Jaitly and Hinton 2015
gru    r, z = σ(...); n = tanh(x U_n + b_n + r·(h' W_n + c)); h = (1-z)·n + z·h'     Cho et al. 2014, as torch
lstm   i, f, o = σ(...); g = tanh(...); c = f·c' + i·g; h = o·tanh(c)  Gers, Schmidhuber and Cummins 2000
lru    h = λ·h' + γ·(x B); λ = exp(-exp(ν) + iθ); γ = √(1-|λ|²)        Orvieto et al. 2023, eq. 6 and 7
unit   h = tanh(w h' + e + x u), e the first feature                   Bengio, Simard and Frasconi 1994
=====  ==================================================================================================

σ(a) is evaluated as (1 + tanh(a/2))/2: torch's sigmoid rounds differently at the end of an array than
inside it, so that a model would depend on its position in the batch.

The state of an LSTM is (h, c), that of an LRU (Re h, Im h); every other state is (h,). The tanh and relu
cells have a hand-written backward pass through time, where an ensemble spends most of its time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from dynprop.errors import ArgumentError
from dynprop.gradients.elman import elman, product, tanh, with_bias

__all__ = ["CELLS", "Cell", "Parameters", "State", "cell_named"]

Parameters = Mapping[str, Tensor]
State = tuple[Tensor, ...]


class Cell(ABC):
    """A recurrent cell whose parameters are stacked over models.

    Attributes:
        name: identifier, such as "tanh".
        gates: number of blocks of hidden columns in its weights.
        parts: number of arrays of its state, each (model, batch, hidden).
        width: outputs per hidden unit.
        buffers: arrays of hidden size that training keeps per step, for the estimate of memory.
    """

    name: str
    gates: int = 1
    parts: int = 1
    width: int = 1
    buffers: int = 3

    def shapes(self, features: int, hidden: int) -> dict[str, tuple[int, ...]]:
        """Return the shape of each parameter of one model."""
        columns = self.gates * hidden
        return {"inputs": (features, columns), "recurrent": (hidden, columns), "bias": (columns,)}

    def start(self, models: int, batch: int, hidden: int, dtype: torch.dtype) -> State:
        """Return the zero state."""
        return tuple(torch.zeros(models, batch, hidden, dtype=dtype) for _ in range(self.parts))

    def project(self, parameters: Parameters, inputs: Tensor) -> Tensor:
        """Return x U + b for all steps at once, (time, model, batch, gates · hidden)."""
        steps, models, batch, features = inputs.shape
        weights = parameters["inputs"]
        rows = inputs.transpose(0, 1).reshape(models, steps * batch, features)
        if "bias" in parameters:
            # The bias as one more row of weights: its gradient is then part of a matrix product, and not a
            # sum whose order may depend on the number of models.
            rows = torch.cat([rows, rows.new_ones(models, steps * batch, 1)], dim=-1)
            weights = with_bias(weights, parameters["bias"])
        found = product(rows, weights).view(models, steps, batch, -1)
        return found.transpose(0, 1)

    @abstractmethod
    def step(self, parameters: Parameters, projected: Tensor, state: State) -> State:
        """Return the next state from one step of the output of `project`."""

    def visible(self, state: State) -> Tensor:
        """Return the output for a state, (..., width · hidden)."""
        return state[0]

    def run(self, parameters: Parameters, inputs: Tensor, state: State) -> Tensor:
        """Return the output at every step, (time, model, batch, width · hidden).

        Args:
            parameters: stacked over models.
            inputs: (time, model, batch, feature), at least one step.
            state: before the first step.
        """
        projected = self.project(parameters, inputs)
        seen = []
        for now in projected.unbind(0):
            state = self.step(parameters, now, state)
            seen.append(self.visible(state))
        return torch.stack(seen)

    def final(self, parameters: Parameters, inputs: Tensor, state: State) -> Tensor:
        """Return the output at the last step, (model, batch, width · hidden)."""
        for now in self.project(parameters, inputs).unbind(0):
            state = self.step(parameters, now, state)
        return self.visible(state)


class _Elman(Cell):
    """h = f(x U + b + h' W)."""

    activation = "tanh"

    def run(self, parameters: Parameters, inputs: Tensor, state: State) -> Tensor:
        """Return the states; forward and backward are loops of one batched product per step."""
        return elman(self.project(parameters, inputs), parameters["recurrent"], state[0], self.activation)

    def final(self, parameters: Parameters, inputs: Tensor, state: State) -> Tensor:
        """Return the last state."""
        drive = self.project(parameters, inputs)
        return elman(drive, parameters["recurrent"], state[0], self.activation, last=True)


class _Tanh(_Elman):
    name = "tanh"

    def step(self, parameters: Parameters, projected: Tensor, state: State) -> State:
        return (torch.tanh(torch.baddbmm(projected, state[0], parameters["recurrent"])),)


class _Relu(_Elman):
    name = "relu"
    activation = "relu"

    def step(self, parameters: Parameters, projected: Tensor, state: State) -> State:
        return (torch.relu(torch.baddbmm(projected, state[0], parameters["recurrent"])),)


def _sigmoid(values: Tensor) -> Tensor:
    return 0.5 * tanh(0.5 * values) + 0.5


class _Gru(Cell):
    name = "gru"
    gates = 3
    buffers = 14

    def shapes(self, features: int, hidden: int) -> dict[str, tuple[int, ...]]:
        return {**super().shapes(features, hidden), "inner": (hidden,)}

    def step(self, parameters: Parameters, projected: Tensor, state: State) -> State:
        (h,) = state
        n = h.shape[-1]
        inside = product(h, parameters["recurrent"])
        both = _sigmoid(projected[..., : 2 * n] + inside[..., : 2 * n])
        reset, keep = both[..., :n], both[..., n:]
        inner = inside[..., 2 * n :] + parameters["inner"][:, None, :]
        new = tanh(projected[..., 2 * n :] + reset * inner)
        return (new + keep * (h - new),)


class _Lstm(Cell):
    name = "lstm"
    gates = 4
    parts = 2
    buffers = 16

    def step(self, parameters: Parameters, projected: Tensor, state: State) -> State:
        h, c = state
        n = h.shape[-1]
        total = projected + product(h, parameters["recurrent"])
        gates = _sigmoid(total[..., : 3 * n])
        new = tanh(total[..., 3 * n :])
        c = gates[..., n : 2 * n] * c + gates[..., :n] * new
        return gates[..., 2 * n :] * tanh(c), c


class _Lru(Cell):
    name = "lru"
    gates = 2
    parts = 2
    width = 2
    buffers = 12

    def shapes(self, features: int, hidden: int) -> dict[str, tuple[int, ...]]:
        return {"inputs": (features, 2 * hidden), "nu": (hidden,), "theta": (hidden,)}

    def project(self, parameters: Parameters, inputs: Tensor) -> Tensor:
        radius = torch.exp(-torch.exp(parameters["nu"]))
        # Scale the weights, not their products: the gradient of a scale is then a sum over features, in an
        # order that does not depend on the number of models.
        scale = torch.sqrt(1.0 - radius * radius).repeat(1, 2)[:, None, :]
        return super().project({"inputs": scale * parameters["inputs"]}, inputs)

    def step(self, parameters: Parameters, projected: Tensor, state: State) -> State:
        real, imaginary = state
        n = real.shape[-1]
        radius = torch.exp(-torch.exp(parameters["nu"]))
        cosine = (radius * torch.cos(parameters["theta"]))[:, None, :]
        sine = (radius * torch.sin(parameters["theta"]))[:, None, :]
        turned = cosine * real - sine * imaginary + projected[..., :n]
        return turned, cosine * imaginary + sine * real + projected[..., n:]

    def visible(self, state: State) -> Tensor:
        return torch.cat(state, dim=-1)


class _Unit(_Elman):
    """One unit with external noise: the weight of feature 0 is fixed at one."""

    name = "unit"

    def shapes(self, features: int, hidden: int) -> dict[str, tuple[int, ...]]:
        if hidden != 1:
            raise ArgumentError("hidden", str(hidden), "1 for the cell unit, which has one hidden unit")
        return {"inputs": (features - 1, 1), "recurrent": (1, 1)}

    def project(self, parameters: Parameters, inputs: Tensor) -> Tensor:
        return inputs[..., :1] + super().project({"inputs": parameters["inputs"]}, inputs[..., 1:])

    def step(self, parameters: Parameters, projected: Tensor, state: State) -> State:
        return (torch.tanh(projected + state[0] * parameters["recurrent"]),)


CELLS: dict[str, Cell] = {cell.name: cell for cell in (_Tanh(), _Relu(), _Gru(), _Lstm(), _Lru(), _Unit())}


def cell_named(name: Any) -> Cell:
    """Return the cell of this name.

    Raises:
        ArgumentError: there is no such cell.

    Example:
        >>> cell_named("lstm").shapes(features=3, hidden=8)
        {'inputs': (3, 32), 'recurrent': (8, 32), 'bias': (32,)}
    """
    if name not in CELLS:
        raise ArgumentError("cell", repr(name), f"one of {', '.join(CELLS)}")
    return CELLS[name]
