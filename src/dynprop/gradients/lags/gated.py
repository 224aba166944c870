"""Steps of gated cells: GRU, LSTM and minGRU; the equations are in module `steps`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np

from dynprop.arrays import FloatArray, require_rank
from dynprop.gradients.lags.steps import (
    Step,
    diagonals,
    gates_of,
    held,
    scaled_rows,
    sigmoid,
    sigmoid_slope,
    tanh_slope,
)

__all__ = ["GruStep", "LstmStep", "MinGruStep"]


@dataclass(frozen=True, eq=False)
class _Gated(Step):
    """Gates as torch orders them, with two biases."""

    inputs: FloatArray
    recurrent: FloatArray
    input_bias: FloatArray
    recurrent_bias: FloatArray

    def _settle(self, gates: int) -> None:
        n, features = gates_of(self.inputs, self.recurrent, gates)
        held(
            self,
            inputs=(self.inputs, (gates * n, features)),
            recurrent=(self.recurrent, (gates * n, n)),
            input_bias=(self.input_bias, (gates * n,)),
            recurrent_bias=(self.recurrent_bias, (gates * n,)),
        )

    @property
    def width(self) -> int:
        """Hidden units."""
        return int(self.recurrent.shape[1])

    @property
    def features(self) -> int:
        """Numbers in an input."""
        return int(self.inputs.shape[1])

    def _halves(self, inputs: FloatArray, hidden: FloatArray) -> tuple[FloatArray, FloatArray]:
        n = self.width
        from_inputs = inputs @ self.inputs.T + self.input_bias
        from_state = hidden @ self.recurrent.T + self.recurrent_bias
        shape = (len(inputs), -1, n)
        return from_inputs.reshape(shape).swapaxes(0, 1), from_state.reshape(shape).swapaxes(0, 1)

    def recurrent_weights(self) -> dict[str, FloatArray]:
        """Return the block of each gate."""
        names = ("reset", "update", "candidate") if len(self._blocks) == 3 else (
            "input", "forget", "candidate", "output"
        )  # fmt: skip
        return dict(zip(names, self._blocks, strict=True))

    @cached_property
    def _input_blocks(self) -> FloatArray:
        return self.inputs.reshape(-1, self.width, self.features)

    @cached_property
    def _blocks(self) -> FloatArray:
        return self.recurrent.reshape(-1, self.width, self.width)


@final
@dataclass(frozen=True, eq=False)
class GruStep(_Gated):
    """A GRU as torch.nn.GRU computes it (Cho et al. 2014; the reset gate acts on W_n h + c).

    Attributes:
        inputs: (3n, features), gates r, z, n.
        recurrent: (3n, n).
        input_bias, recurrent_bias: (3n,).

    Raises:
        ArgumentError: a shape does not fit.
    """

    def __post_init__(self) -> None:
        self._settle(3)

    @property
    def size(self) -> int:
        """Numbers in its state."""
        return self.width

    def step(self, inputs: FloatArray, state: FloatArray) -> FloatArray:
        """Return the next states."""
        x, h = self._halves(inputs, state)
        reset, keep = sigmoid(x[0] + h[0]), sigmoid(x[1] + h[1])
        new = np.tanh(x[2] + reset * h[2])
        return np.asarray(new + keep * (state - new))

    def gates(self, inputs: FloatArray, state: FloatArray) -> dict[str, FloatArray]:
        """Return reset and update gate; the update gate keeps the old state."""
        x, h = self._halves(inputs, state)
        return {"reset": sigmoid(x[0] + h[0]), "update": sigmoid(x[1] + h[1])}

    def coefficients(self, inputs: FloatArray, state: FloatArray) -> FloatArray:
        """Return what the derivatives need beside the weights."""
        x, h = self._halves(inputs, state)
        reset, keep = sigmoid(x[0] + h[0]), sigmoid(x[1] + h[1])
        a = x[2] + reset * h[2]
        new = sigmoid(-x[1] - h[1]) * tanh_slope(a)
        return np.stack(
            [
                new * h[2] * sigmoid_slope(x[0] + h[0]),
                (state - np.tanh(a)) * sigmoid_slope(x[1] + h[1]),
                new * reset,
                new,
                keep,
            ]
        )

    def jacobians(self, coefficients: FloatArray) -> FloatArray:
        """Return ∂s'/∂s."""
        found = scaled_rows(coefficients[0], self._blocks[0])
        for coefficient, block in zip(coefficients[1:3], self._blocks[1:], strict=True):
            found += scaled_rows(coefficient, block)
        found[:, np.arange(self.width), np.arange(self.width)] += coefficients[4]
        return found

    def input_jacobians(self, coefficients: FloatArray) -> FloatArray:
        """Return ∂s'/∂x."""
        chosen = (coefficients[0], coefficients[1], coefficients[3])
        return np.asarray(sum(scaled_rows(c, u) for c, u in zip(chosen, self._input_blocks, strict=True)))

    def pulled(self, vectors: FloatArray, coefficients: FloatArray) -> FloatArray:
        """Return v ∂s'/∂s."""
        gated = np.concatenate([vectors * c for c in coefficients[:3]], axis=-1)
        return np.asarray(gated @ self.recurrent + vectors * coefficients[4])

    def pulled_to_inputs(self, vectors: FloatArray, coefficients: FloatArray) -> FloatArray:
        """Return v ∂s'/∂x."""
        chosen = (coefficients[0], coefficients[1], coefficients[3])
        return np.asarray(np.concatenate([vectors * c for c in chosen], axis=-1) @ self.inputs)


@final
@dataclass(frozen=True, eq=False)
class LstmStep(_Gated):
    """An LSTM as torch.nn.LSTM computes it; the state is (h, c) (Gers, Schmidhuber and Cummins 2000).

    Attributes:
        inputs: (4n, features), gates i, f, g, o.
        recurrent: (4n, n).
        input_bias, recurrent_bias: (4n,).

    Raises:
        ArgumentError: a shape does not fit.
    """

    def __post_init__(self) -> None:
        self._settle(4)

    @property
    def size(self) -> int:
        """Numbers in its state."""
        return 2 * self.width

    def step(self, inputs: FloatArray, state: FloatArray) -> FloatArray:
        """Return the next states."""
        n = self.width
        x, h = self._halves(inputs, state[:, :n])
        a = x + h
        cell = sigmoid(a[1]) * state[:, n:] + sigmoid(a[0]) * np.tanh(a[2])
        return np.concatenate([sigmoid(a[3]) * np.tanh(cell), cell], axis=1)

    def gates(self, inputs: FloatArray, state: FloatArray) -> dict[str, FloatArray]:
        """Return input, forget and output gate."""
        x, h = self._halves(inputs, state[:, : self.width])
        return {"input": sigmoid((x + h)[0]), "forget": sigmoid((x + h)[1]), "output": sigmoid((x + h)[3])}

    def coefficients(self, inputs: FloatArray, state: FloatArray) -> FloatArray:
        """Return what the derivatives need beside the weights."""
        n = self.width
        x, h = self._halves(inputs, state[:, :n])
        a, old = x + h, state[:, n:]
        new, forget, enter = np.tanh(a[2]), sigmoid(a[1]), sigmoid(a[0])
        cell = forget * old + enter * new
        return np.stack(
            [
                new * sigmoid_slope(a[0]),
                old * sigmoid_slope(a[1]),
                enter * tanh_slope(a[2]),
                np.tanh(cell) * sigmoid_slope(a[3]),
                sigmoid(a[3]) * tanh_slope(cell),
                forget,
            ]
        )

    def _rows(self, coefficients: FloatArray, blocks: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the derivatives of h and of c with respect to what the weights multiply."""
        cell = scaled_rows(coefficients[0], blocks[0])
        for coefficient, block in zip(coefficients[1:3], blocks[1:3], strict=True):
            cell += scaled_rows(coefficient, block)
        return scaled_rows(coefficients[3], blocks[3]) + coefficients[4][:, :, None] * cell, cell

    def jacobians(self, coefficients: FloatArray) -> FloatArray:
        """Return ∂s'/∂s."""
        n, m = self.width, coefficients.shape[1]
        found = np.zeros((m, 2 * n, 2 * n))
        found[:, :n, :n], found[:, n:, :n] = self._rows(coefficients, self._blocks)
        found[:, np.arange(n), np.arange(n, 2 * n)] = coefficients[4] * coefficients[5]
        found[:, np.arange(n, 2 * n), np.arange(n, 2 * n)] = coefficients[5]
        return found

    def input_jacobians(self, coefficients: FloatArray) -> FloatArray:
        """Return ∂s'/∂x."""
        return np.concatenate(self._rows(coefficients, self._input_blocks), axis=1)

    def pulled(self, vectors: FloatArray, coefficients: FloatArray) -> FloatArray:
        """Return v ∂s'/∂s."""
        gated, cell = self._pulled_togates_of(vectors, coefficients)
        return np.concatenate([gated @ self.recurrent, cell * coefficients[5]], axis=-1)

    def pulled_to_inputs(self, vectors: FloatArray, coefficients: FloatArray) -> FloatArray:
        """Return v ∂s'/∂x."""
        return np.asarray(self._pulled_togates_of(vectors, coefficients)[0] @ self.inputs)

    def _pulled_togates_of(
        self, vectors: FloatArray, coefficients: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Return v times the derivatives with respect to the gates, and to the new cell state."""
        n = self.width
        hidden, cell = vectors[..., :n], vectors[..., n:] + vectors[..., :n] * coefficients[4]
        gated = [cell * c for c in coefficients[:3]]
        return np.concatenate([*gated, hidden * coefficients[3]], axis=-1), cell


@final
@dataclass(frozen=True, eq=False)
class MinGruStep(Step):
    """h' = (1-z) h + z (V x + c), z = σ(U x + b); Feng et al. (2024), arXiv:2410.01201, section 3.1.

    Attributes:
        gate: U, (n, features).
        gate_bias: b, (n,).
        candidate: V, (n, features).
        candidate_bias: c, (n,).

    Raises:
        ArgumentError: a shape does not fit.
    """

    gate: FloatArray
    gate_bias: FloatArray
    candidate: FloatArray
    candidate_bias: FloatArray

    def __post_init__(self) -> None:
        require_rank("gate", self.gate, ("hidden", "features"))
        shape = (int(self.gate.shape[0]), int(self.gate.shape[1]))
        held(
            self,
            gate=(self.gate, shape),
            gate_bias=(self.gate_bias, shape[:1]),
            candidate=(self.candidate, shape),
            candidate_bias=(self.candidate_bias, shape[:1]),
        )

    @property
    def size(self) -> int:
        """Numbers in its state."""
        return len(self.gate)

    @property
    def features(self) -> int:
        """Numbers in an input."""
        return int(self.gate.shape[1])

    def step(self, inputs: FloatArray, state: FloatArray) -> FloatArray:
        """Return the next states."""
        a = inputs @ self.gate.T + self.gate_bias
        new = inputs @ self.candidate.T + self.candidate_bias
        return np.asarray(sigmoid(-a) * state + sigmoid(a) * new)

    def gates(self, inputs: FloatArray, state: FloatArray) -> dict[str, FloatArray]:
        """Return the share of the old state that is kept."""
        return {"keep": sigmoid(-(inputs @ self.gate.T + self.gate_bias))}

    def coefficients(self, inputs: FloatArray, state: FloatArray) -> FloatArray:
        """Return what the derivatives need beside the weights."""
        a = inputs @ self.gate.T + self.gate_bias
        new = inputs @ self.candidate.T + self.candidate_bias
        return np.stack([sigmoid(-a), (new - state) * sigmoid_slope(a), sigmoid(a)])

    def jacobians(self, coefficients: FloatArray) -> FloatArray:
        """Return ∂s'/∂s."""
        return diagonals(coefficients[0])

    def input_jacobians(self, coefficients: FloatArray) -> FloatArray:
        """Return ∂s'/∂x."""
        gate = scaled_rows(coefficients[1], self.gate)
        return np.asarray(gate + scaled_rows(coefficients[2], self.candidate))

    def pulled(self, vectors: FloatArray, coefficients: FloatArray) -> FloatArray:
        """Return v ∂s'/∂s."""
        return np.asarray(vectors * coefficients[0])

    def pulled_to_inputs(self, vectors: FloatArray, coefficients: FloatArray) -> FloatArray:
        """Return v ∂s'/∂x."""
        gate = (vectors * coefficients[1]) @ self.gate
        return np.asarray(gate + (vectors * coefficients[2]) @ self.candidate)
