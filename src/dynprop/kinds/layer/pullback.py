"""Values of backward passes through a layer: what is given to them, and what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dynprop.arrays import FloatArray, NumericArray

__all__ = ["Cotangents", "Leaves", "Pullback", "StepProducts"]

Leaves = tuple[NumericArray, ...]


@dataclass(frozen=True)
class Cotangents:
    """The weights of a loss sum(outputs * y) + sum(state * last state).

    Attributes:
        outputs: shape (batch, time, outputs).
        state: one array for each floating leaf of the last state, of its shape; empty for a loss of the
            outputs alone.
    """

    outputs: FloatArray
    state: Leaves = ()


@dataclass(frozen=True)
class Pullback:
    """The gradients of a loss.

    Attributes:
        inputs: shape (batch, time, feature).
        state: to each floating leaf of the state given; empty where none is given.
        sides: to the side inputs by name, shape (batch, time, ...).
        parameters: to the trained parameters by name, complex ones as torch has them.
    """

    inputs: FloatArray
    state: Leaves
    sides: Mapping[str, FloatArray]
    parameters: Mapping[str, NumericArray]


@dataclass(frozen=True)
class StepProducts:
    """The gradients of a loss by vector-Jacobian products of single float64 steps, the last step first.

    Attributes:
        pullback: the gradients; those to parameters are sums over the steps.
        shares: what each step adds to the gradient of a parameter, by name, shape (time, entries), complex
            entries as two real ones.
        outputs: the weights of the output of each step, shape (time, batch, outputs).
        states: for each step, the gradients to the floating leaves of the state after it.
    """

    pullback: Pullback
    shares: Mapping[str, FloatArray]
    outputs: FloatArray
    states: tuple[Leaves, ...]
