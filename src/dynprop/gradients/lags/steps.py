r"""One step of a recurrent cell with its Jacobian written out, in numpy.

With pre-activations :math:`a = Ux + Ws + b` of each gate, :math:`\sigma` the logistic function and primes
for derivatives:

========  ==========================================  =====================================================
cell      next state                                  Jacobian :math:`\partial s'/\partial s`
========  ==========================================  =====================================================
Elman     f(a)                                        diag(f'(a)) W
leaky     k s + g f(a)                                k I + g diag(f'(a)) W
GRU       (1-z) n + z h, n = tanh(u + r q),           diag(z) + diag((h-n) z') W_z
          q = W_n h + c                               + diag((1-z) n') (diag(r) W_n + diag(q r') W_r)
LSTM      c = f c + i g, h = o tanh(c)                M = diag(c f') W_f + diag(g i') W_i + diag(i g') W_g;
                                                      ∂c/∂(h, c) = (M, diag(f)), ∂h/∂(h, c) =
                                                      (diag(o' tanh c) W_o, 0) + diag(o/cosh² c) ∂c
minGRU    (1-z) h + z (Vx + c), z = σ(Ux + b)         diag(1-z)
diagonal  λ h + B x, complex, as (Re h, Im h)         ((Re λ, -Im λ), (Im λ, Re λ)), diagonal blocks
========  ==========================================  =====================================================

Trap: the derivative of tanh is :math:`1/\cosh^2 a`, not :math:`1 - h^2`, which is zero for |a| > 19 and has
lost half its digits at |a| = 9. Autograd uses the latter: the two agree to u/(1-h²) of themselves.

A step separates what depends on the inputs and the state, its `coefficients`, from the weights, so that many
steps are differentiated together.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np

from dynprop.arrays import FloatArray, NumericArray, describe, exact_floats, require_finite, require_rank
from dynprop.errors import ArgumentError

__all__ = ["DiagonalStep", "ElmanStep", "GruStep", "LstmStep", "MinGruStep", "Step", "lru_step", "ssm_step"]


# A state that is not finite is reported; warnings are not needed.
_quiet = np.errstate(over="ignore", invalid="ignore")


def sigmoid(a: FloatArray) -> FloatArray:
    """Return the logistic function, accurate in both tails."""
    from scipy.special import expit

    return np.asarray(expit(a))


def sigmoid_slope(a: FloatArray) -> FloatArray:
    """Return σ(a) σ(-a), accurate in both tails."""
    return np.asarray(sigmoid(a) * sigmoid(-a))


def tanh_slope(a: FloatArray) -> FloatArray:
    """Return 1/cosh² a, accurate in both tails."""
    e = np.exp(-2.0 * np.abs(a))
    return np.asarray(4.0 * e / ((1.0 + e) * (1.0 + e)))


class Step(ABC):
    """One step of a cell; states and inputs are rows."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Numbers in its state."""

    @property
    @abstractmethod
    def features(self) -> int:
        """Numbers in an input."""

    @abstractmethod
    def step(self, inputs: FloatArray, state: FloatArray) -> FloatArray:
        """Return the next states, (m, size), from inputs (m, features) and states (m, size)."""

    @abstractmethod
    def coefficients(self, inputs: FloatArray, state: FloatArray) -> FloatArray:
        """Return what the derivatives at m points need beside the weights, (q, m, width)."""

    @abstractmethod
    def jacobians(self, coefficients: FloatArray) -> FloatArray:
        """Return ∂s'/∂s, (m, size, size)."""

    @abstractmethod
    def input_jacobians(self, coefficients: FloatArray) -> FloatArray:
        """Return ∂s'/∂x, (m, size, features)."""

    @abstractmethod
    def pulled(self, vectors: FloatArray, coefficients: FloatArray) -> FloatArray:
        """Return v ∂s'/∂s for rows v of shape (p, m, size), without forming the Jacobians."""

    @abstractmethod
    def pulled_to_inputs(self, vectors: FloatArray, coefficients: FloatArray) -> FloatArray:
        """Return v ∂s'/∂x, (p, m, features), for rows v of shape (p, m, size)."""

    def gates(self, inputs: FloatArray, state: FloatArray) -> dict[str, FloatArray]:
        """Return what lets the gradient through, numbers in [0, 1] by name, each (m, width)."""
        return {}

    def recurrent_weights(self) -> dict[str, FloatArray]:
        """Return the square matrices that act on the state, by name."""
        return {}

    @_quiet
    def run(self, inputs: FloatArray, initial: FloatArray | None = None) -> FloatArray:
        """Return the states, (batch, time + 1, size), the initial one first.

        Args:
            inputs: (batch, time, features).
            initial: (batch, size); zero by default.
        """
        batch, steps, _ = inputs.shape
        states = np.zeros((batch, steps + 1, self.size))
        if initial is not None:
            states[:, 0] = initial
        for t in range(steps):
            states[:, t + 1] = self.step(inputs[:, t], states[:, t])
        return states


def _scaled_rows(coefficient: FloatArray, weights: FloatArray) -> FloatArray:
    """Return diag(c) W for each row c."""
    return np.asarray(coefficient[:, :, None] * weights)


def _diagonals(blocks: FloatArray) -> FloatArray:
    """Return diagonal matrices, (m, n, n), of rows (m, n)."""
    m, n = blocks.shape
    found = np.zeros((m, n, n))
    found[:, np.arange(n), np.arange(n)] = blocks
    return found


def _held(owner: object, **arrays: tuple[NumericArray, tuple[int, ...]]) -> None:
    """Keep float64 copies of arrays on a frozen dataclass, with their shapes checked."""
    for name, (value, shape) in arrays.items():
        found = np.array(exact_floats(name, value), dtype=np.float64)
        require_finite(name, found)
        if found.shape != shape:
            raise ArgumentError(name, describe(found), f"shape {shape}")
        object.__setattr__(owner, name, found)


def _gates(inputs: NumericArray, recurrent: NumericArray, gates: int) -> tuple[int, int]:
    """Return hidden size and features of weights (gates·n, features) and (gates·n, n)."""
    for name, value in (("inputs", inputs), ("recurrent", recurrent)):
        require_rank(name, value, ("gates · hidden", "columns"))
    n = int(recurrent.shape[1])
    if n == 0 or len(recurrent) != gates * n:
        raise ArgumentError("recurrent", describe(recurrent), f"shape ({gates}·n, n), n > 0")
    return n, int(inputs.shape[1])


@final
@dataclass(frozen=True, eq=False)
class ElmanStep(Step):
    """s' = keep · s + gain · f(U x + W s + b); Elman (1990) with keep 0 and gain 1.

    A leaky unit has keep = 1 - α and gain = α, a residual one keep = 1 (Jaeger et al. 2007).

    Attributes:
        inputs: U, (n, features).
        recurrent: W, (n, n).
        bias: b, (n,).
        activation: "tanh", "sigmoid", "relu" or "linear".
        keep: share of the old state that is added.
        gain: factor of the new one.

    Raises:
        ArgumentError: a shape does not fit, the activation is unknown, or a number is not finite.
    """

    inputs: FloatArray
    recurrent: FloatArray
    bias: FloatArray
    activation: str = "tanh"
    keep: float = 0.0
    gain: float = 1.0

    def __post_init__(self) -> None:
        n, features = _gates(self.inputs, self.recurrent, 1)
        _held(
            self,
            inputs=(self.inputs, (n, features)),
            recurrent=(self.recurrent, (n, n)),
            bias=(self.bias, (n,)),
        )
        if self.activation not in ("tanh", "sigmoid", "relu", "linear"):
            raise ArgumentError("activation", repr(self.activation), "tanh, sigmoid, relu or linear")

    @property
    def size(self) -> int:
        """Numbers in its state."""
        return len(self.recurrent)

    @property
    def features(self) -> int:
        """Numbers in an input."""
        return int(self.inputs.shape[1])

    def _drive(self, inputs: FloatArray, state: FloatArray) -> FloatArray:
        return np.asarray(inputs @ self.inputs.T + self.bias + state @ self.recurrent.T)

    def step(self, inputs: FloatArray, state: FloatArray) -> FloatArray:
        """Return the next states."""
        return self._next(self._drive(inputs, state), state)

    def _next(self, a: FloatArray, state: FloatArray) -> FloatArray:
        if self.activation == "tanh":
            new = np.tanh(a)
        elif self.activation == "sigmoid":
            new = sigmoid(a)
        else:
            new = np.maximum(a, 0.0) if self.activation == "relu" else a
        return np.asarray(
            new if (self.keep, self.gain) == (0.0, 1.0) else self.keep * state + self.gain * new
        )

    @_quiet
    def run(self, inputs: FloatArray, initial: FloatArray | None = None) -> FloatArray:
        """Return the states, with the inputs' share of all steps taken at once."""
        batch, steps, _ = inputs.shape
        states = np.zeros((batch, steps + 1, self.size))
        if initial is not None:
            states[:, 0] = initial
        drive, turned = inputs @ self.inputs.T + self.bias, np.ascontiguousarray(self.recurrent.T)
        for t in range(steps):
            states[:, t + 1] = self._next(drive[:, t] + states[:, t] @ turned, states[:, t])
        return states

    def coefficients(self, inputs: FloatArray, state: FloatArray) -> FloatArray:
        """Return what the derivatives need beside the weights."""
        a = self._drive(inputs, state)
        if self.activation == "tanh":
            slope = tanh_slope(a)
        elif self.activation == "sigmoid":
            slope = sigmoid_slope(a)
        else:
            slope = (a > 0.0).astype(np.float64) if self.activation == "relu" else np.ones_like(a)
        return np.asarray(self.gain * slope)[None]

    def gates(self, inputs: FloatArray, state: FloatArray) -> dict[str, FloatArray]:
        """Return the slopes of the units, in units of the steepest."""
        steepest = 0.25 if self.activation == "sigmoid" else 1.0
        return {"slope": self.coefficients(inputs, state)[0] / (steepest * self.gain)}

    def recurrent_weights(self) -> dict[str, FloatArray]:
        """Return W."""
        return {"W": self.recurrent}

    def jacobians(self, coefficients: FloatArray) -> FloatArray:
        """Return ∂s'/∂s."""
        found = _scaled_rows(coefficients[0], self.recurrent)
        if self.keep:
            found[:, np.arange(self.size), np.arange(self.size)] += self.keep
        return found

    def input_jacobians(self, coefficients: FloatArray) -> FloatArray:
        """Return ∂s'/∂x."""
        return _scaled_rows(coefficients[0], self.inputs)

    def pulled(self, vectors: FloatArray, coefficients: FloatArray) -> FloatArray:
        """Return v ∂s'/∂s."""
        found = (vectors * coefficients[0]) @ self.recurrent
        return np.asarray(found + self.keep * vectors if self.keep else found)

    def pulled_to_inputs(self, vectors: FloatArray, coefficients: FloatArray) -> FloatArray:
        """Return v ∂s'/∂x."""
        return np.asarray((vectors * coefficients[0]) @ self.inputs)


@dataclass(frozen=True, eq=False)
class _Gated(Step):
    """Gates as torch orders them, with two biases."""

    inputs: FloatArray
    recurrent: FloatArray
    input_bias: FloatArray
    recurrent_bias: FloatArray

    def _settle(self, gates: int) -> None:
        n, features = _gates(self.inputs, self.recurrent, gates)
        _held(
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
        found = _scaled_rows(coefficients[0], self._blocks[0])
        for coefficient, block in zip(coefficients[1:3], self._blocks[1:], strict=True):
            found += _scaled_rows(coefficient, block)
        found[:, np.arange(self.width), np.arange(self.width)] += coefficients[4]
        return found

    def input_jacobians(self, coefficients: FloatArray) -> FloatArray:
        """Return ∂s'/∂x."""
        chosen = (coefficients[0], coefficients[1], coefficients[3])
        return np.asarray(sum(_scaled_rows(c, u) for c, u in zip(chosen, self._input_blocks, strict=True)))

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
        cell = _scaled_rows(coefficients[0], blocks[0])
        for coefficient, block in zip(coefficients[1:3], blocks[1:3], strict=True):
            cell += _scaled_rows(coefficient, block)
        return _scaled_rows(coefficients[3], blocks[3]) + coefficients[4][:, :, None] * cell, cell

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
        gated, cell = self._pulled_to_gates(vectors, coefficients)
        return np.concatenate([gated @ self.recurrent, cell * coefficients[5]], axis=-1)

    def pulled_to_inputs(self, vectors: FloatArray, coefficients: FloatArray) -> FloatArray:
        """Return v ∂s'/∂x."""
        return np.asarray(self._pulled_to_gates(vectors, coefficients)[0] @ self.inputs)

    def _pulled_to_gates(
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
        _held(
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
        return _diagonals(coefficients[0])

    def input_jacobians(self, coefficients: FloatArray) -> FloatArray:
        """Return ∂s'/∂x."""
        gate = _scaled_rows(coefficients[1], self.gate)
        return np.asarray(gate + _scaled_rows(coefficients[2], self.candidate))

    def pulled(self, vectors: FloatArray, coefficients: FloatArray) -> FloatArray:
        """Return v ∂s'/∂s."""
        return np.asarray(vectors * coefficients[0])

    def pulled_to_inputs(self, vectors: FloatArray, coefficients: FloatArray) -> FloatArray:
        """Return v ∂s'/∂x."""
        gate = (vectors * coefficients[1]) @ self.gate
        return np.asarray(gate + (vectors * coefficients[2]) @ self.candidate)


@final
@dataclass(frozen=True, eq=False)
class DiagonalStep(Step):
    """h' = λ h + B x with a complex diagonal λ; the state is (Re h, Im h).

    Attributes:
        eigenvalues: λ, (n,), complex.
        inputs: B, (n, features), complex.

    Raises:
        ArgumentError: a shape does not fit, or a number is not finite.
    """

    eigenvalues: NumericArray
    inputs: NumericArray

    def __post_init__(self) -> None:
        require_rank("eigenvalues", self.eigenvalues, ("hidden",))
        require_rank("inputs", self.inputs, ("hidden", "features"))
        for name in ("eigenvalues", "inputs"):
            value = np.array(exact_floats(name, getattr(self, name)), dtype=np.complex128)
            require_finite(name, value)
            object.__setattr__(self, name, value)
        if len(self.inputs) != len(self.eigenvalues):
            raise ArgumentError("inputs", describe(self.inputs), f"{len(self.eigenvalues)} rows")

    @property
    def size(self) -> int:
        """Numbers in its state."""
        return 2 * len(self.eigenvalues)

    @property
    def features(self) -> int:
        """Numbers in an input."""
        return int(self.inputs.shape[1])

    def step(self, inputs: FloatArray, state: FloatArray) -> FloatArray:
        """Return the next states."""
        n = len(self.eigenvalues)
        new = self.eigenvalues * (state[:, :n] + 1j * state[:, n:]) + inputs @ self.inputs.T
        return np.concatenate([new.real, new.imag], axis=1)

    def coefficients(self, inputs: FloatArray, state: FloatArray) -> FloatArray:
        """Return what the derivatives need beside the weights."""
        parts = np.stack([self.eigenvalues.real, self.eigenvalues.imag])
        return np.ascontiguousarray(np.broadcast_to(parts[:, None], (2, len(inputs), parts.shape[1])))

    def jacobians(self, coefficients: FloatArray) -> FloatArray:
        """Return ∂s'/∂s."""
        real, imaginary = (_diagonals(part) for part in coefficients)
        return np.concatenate(
            [np.concatenate([real, -imaginary], axis=2), np.concatenate([imaginary, real], axis=2)], axis=1
        )

    def input_jacobians(self, coefficients: FloatArray) -> FloatArray:
        """Return ∂s'/∂x."""
        both = np.concatenate([self.inputs.real, self.inputs.imag])
        return np.array(np.broadcast_to(both, (coefficients.shape[1], *both.shape)))

    def pulled(self, vectors: FloatArray, coefficients: FloatArray) -> FloatArray:
        """Return v ∂s'/∂s."""
        n = len(self.eigenvalues)
        first, second = vectors[..., :n], vectors[..., n:]
        real, imaginary = coefficients
        return np.concatenate([first * real + second * imaginary, second * real - first * imaginary], axis=-1)

    def pulled_to_inputs(self, vectors: FloatArray, coefficients: FloatArray) -> FloatArray:
        """Return v ∂s'/∂x."""
        return np.asarray(vectors @ np.concatenate([self.inputs.real, self.inputs.imag]))


def lru_step(nu: FloatArray, theta: FloatArray, inputs: NumericArray) -> DiagonalStep:
    """Return a linear recurrent unit: λ = exp(-exp(ν) + iθ), inputs scaled by γ = √(1-|λ|²).

    Args:
        nu: ν, (n,).
        theta: θ, (n,), radians.
        inputs: B, (n, features), complex, before its scale.

    Raises:
        ArgumentError: a shape does not fit.

    Source: Orvieto et al. (2023), arXiv:2303.06349, eq. 6 and 7.

    Example:
        >>> import numpy as np
        >>> from dynprop.gradients import lru_step
        >>> step = lru_step(np.log(-np.log([0.9])), np.array([0.1]), np.ones((1, 1)))
        >>> np.round(np.abs(step.eigenvalues), 6)
        array([0.9])
    """
    decay = np.exp(np.asarray(exact_floats("nu", nu), dtype=np.float64))
    eigenvalues = np.exp(-decay + 1j * np.asarray(exact_floats("theta", theta)))
    scale = np.sqrt(-np.expm1(-2.0 * decay))
    return DiagonalStep(eigenvalues, scale[:, None] * np.asarray(exact_floats("inputs", inputs)))


def ssm_step(poles: NumericArray, inputs: NumericArray, step_size: float) -> DiagonalStep:
    """Return a diagonal state-space model under zero-order hold: λ = exp(Δa), B̄ = (λ-1)/a · B.

    Args:
        poles: a, (n,), complex, in continuous time; a zero pole integrates.
        inputs: B, (n, features), complex.
        step_size: Δ > 0, time of one step.

    Raises:
        ArgumentError: a shape does not fit, or the step is not positive.

    Source: Gupta, Gu and Berant (2022), arXiv:2203.14343, eq. 3; Gu et al. (2022), arXiv:2206.11893.

    Example:
        >>> import numpy as np
        >>> from dynprop.gradients import ssm_step
        >>> float(ssm_step(np.array([-0.5]), np.ones((1, 1)), 2.0).eigenvalues[0].real.round(6))
        0.367879
    """
    if not (step_size > 0.0 and np.isfinite(step_size)):
        raise ArgumentError("step_size", repr(step_size), "a positive finite number")
    a = np.asarray(exact_floats("poles", poles), dtype=np.complex128)
    at_rest = a == 0.0
    held = np.where(at_rest, step_size, np.expm1(step_size * a) / np.where(at_rest, 1.0, a))
    return DiagonalStep(np.exp(step_size * a), held[:, None] * np.asarray(exact_floats("inputs", inputs)))
