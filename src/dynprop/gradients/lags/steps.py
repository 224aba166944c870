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
from typing import final

import numpy as np

from dynprop.arrays import FloatArray, NumericArray, describe, exact_floats, require_finite, require_rank
from dynprop.errors import ArgumentError

__all__ = [
    "ElmanStep",
    "Step",
    "diagonals",
    "gates_of",
    "held",
    "scaled_rows",
    "sigmoid",
    "sigmoid_slope",
    "tanh_slope",
]


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


def scaled_rows(coefficient: FloatArray, weights: FloatArray) -> FloatArray:
    """Return diag(c) W for each row c."""
    return np.asarray(coefficient[:, :, None] * weights)


def diagonals(blocks: FloatArray) -> FloatArray:
    """Return diagonal matrices, (m, n, n), of rows (m, n)."""
    m, n = blocks.shape
    found = np.zeros((m, n, n))
    found[:, np.arange(n), np.arange(n)] = blocks
    return found


def held(owner: object, **arrays: tuple[NumericArray, tuple[int, ...]]) -> None:
    """Keep float64 copies of arrays on a frozen dataclass, with their shapes checked."""
    for name, (value, shape) in arrays.items():
        found = np.array(exact_floats(name, value), dtype=np.float64)
        require_finite(name, found)
        if found.shape != shape:
            raise ArgumentError(name, describe(found), f"shape {shape}")
        object.__setattr__(owner, name, found)


def gates_of(inputs: NumericArray, recurrent: NumericArray, gates: int) -> tuple[int, int]:
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
        n, features = gates_of(self.inputs, self.recurrent, 1)
        held(
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
        found = scaled_rows(coefficients[0], self.recurrent)
        if self.keep:
            found[:, np.arange(self.size), np.arange(self.size)] += self.keep
        return found

    def input_jacobians(self, coefficients: FloatArray) -> FloatArray:
        """Return ∂s'/∂x."""
        return scaled_rows(coefficients[0], self.inputs)

    def pulled(self, vectors: FloatArray, coefficients: FloatArray) -> FloatArray:
        """Return v ∂s'/∂s."""
        found = (vectors * coefficients[0]) @ self.recurrent
        return np.asarray(found + self.keep * vectors if self.keep else found)

    def pulled_to_inputs(self, vectors: FloatArray, coefficients: FloatArray) -> FloatArray:
        """Return v ∂s'/∂x."""
        return np.asarray((vectors * coefficients[0]) @ self.inputs)
