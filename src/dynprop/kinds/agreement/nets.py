r"""Small recurrent nets for laws about gradients by lag, with derivatives apart from the library's.

A net is drawn as numpy weights in torch's order, evaluated in numpy on complex states, and built as a
module of torch for the function under test. Derivatives are by complex steps: for real analytic f,
:math:`f'(x) = \operatorname{Im} f(x + ih)/h + O(h^2)`, and with h = 1e-30 nothing cancels (Squire and Trapp
1998), so that a derivative is as good as an evaluation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray, NumericArray

__all__ = ["KINDS", "RecurrentNet", "drawn_net", "linear_module", "map_module"]

KINDS = ("RNN", "GRU", "LSTM")
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
H = 1e-30


def _sigmoid(a: NumericArray) -> NumericArray:
    return np.asarray(1.0 / (1.0 + np.exp(-a)))


@dataclass(frozen=True)
class RecurrentNet:
    """A stack of layers.

    Attributes:
        kind: "RNN" (tanh), "GRU" or "LSTM".
        features: of an input.
        hidden: units of a layer.
        layers: weights (inputs, recurrent, input bias, recurrent bias) of each.
    """

    kind: str
    features: int
    hidden: int
    layers: tuple[tuple[FloatArray, FloatArray, FloatArray, FloatArray], ...]

    @property
    def each(self) -> int:
        """Numbers in the state of one layer."""
        return self.hidden * (2 if self.kind == "LSTM" else 1)

    @property
    def size(self) -> int:
        """Numbers in the whole state, layer after layer, h before c."""
        return self.each * len(self.layers)

    def module(self) -> Any:
        """Return the net as torch's module, in float64."""
        import torch

        build = getattr(torch.nn, self.kind)
        found = build(self.features, self.hidden, num_layers=len(self.layers), dtype=torch.float64)
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        with torch.no_grad():
            for index, arrays in enumerate(self.layers):
                for name, array in zip(names, arrays, strict=True):
                    getattr(found, f"{name}_l{index}").copy_(torch.from_numpy(array))
        return found

    def step(self, inputs: NumericArray, state: NumericArray) -> NumericArray:
        """Return the next states, rows, real or complex."""
        parts, read = [], inputs
        for index, (u, w, b, c) in enumerate(self.layers):
            old = state[:, index * self.each : (index + 1) * self.each]
            new = self._layer(read @ u.T + b, old[:, : self.hidden] @ w.T + c, old)
            parts.append(new)
            read = new[:, : self.hidden]
        return np.concatenate(parts, axis=1)

    def _layer(self, x: NumericArray, h: NumericArray, old: NumericArray) -> NumericArray:
        n = self.hidden
        if self.kind == "RNN":
            return np.asarray(np.tanh(x + h))
        if self.kind == "GRU":
            reset, keep = _sigmoid(x[:, :n] + h[:, :n]), _sigmoid(x[:, n : 2 * n] + h[:, n : 2 * n])
            new = np.tanh(x[:, 2 * n :] + reset * h[:, 2 * n :])
            return np.asarray((1.0 - keep) * new + keep * old)
        a = x + h
        enter, forget, leave = (_sigmoid(a[:, i * n : (i + 1) * n]) for i in (0, 1, 3))
        cell = forget * old[:, n:] + enter * np.tanh(a[:, 2 * n : 3 * n])
        return np.concatenate([leave * np.tanh(cell), cell], axis=1)

    def states(self, inputs: FloatArray) -> list[FloatArray]:
        """Return the states of one sequence (time, features), the zero state first."""
        found = [np.zeros(self.size)]
        for now in inputs:
            found.append(np.asarray(self.step(now[None], found[-1][None])[0], dtype=np.float64))
        return found

    def jacobians(self, inputs: FloatArray) -> list[FloatArray]:
        """Return ∂s(t)/∂s(t-1) of each step."""
        found = []
        for now, before in zip(inputs, self.states(inputs), strict=False):
            moved = before + 1j * H * np.eye(self.size)
            after = self.step(np.repeat(now[None], self.size, axis=0), moved)
            found.append(np.asarray(after.imag.T / H))
        return found

    def last_output(self, inputs: NumericArray) -> NumericArray:
        """Return h(T) of the last layer of sequences (time, batch, features)."""
        state: NumericArray = np.zeros((inputs.shape[1], self.size))
        for now in inputs:
            state = self.step(now, state)
        top = self.size - self.each
        return state[:, top : top + self.hidden]

    def responses(self, inputs: FloatArray) -> list[FloatArray]:
        """Return ∂h(T)/∂x(T-k) of one sequence, k = 0 to T-1, each (hidden, features)."""
        found = []
        for lag in range(len(inputs)):
            copies = np.repeat(inputs[:, None, :], self.features, axis=1).astype(complex)
            copies[len(inputs) - 1 - lag] += 1j * H * np.eye(self.features)
            found.append(np.asarray(self.last_output(copies).imag.T / H))
        return found

    def steepness(self, inputs: FloatArray) -> float:
        """Return the largest 1/(1 - h²): a rounding of h moves the slope of a unit by this times itself."""
        values = np.concatenate(
            [np.tanh(np.abs(s)) if self.kind == "LSTM" else s for s in self.states(inputs)]
        )
        return float((1.0 / (1.0 - np.minimum(values * values, 1.0 - 1e-12))).max())


def drawn_net(rng: np.random.Generator, kind: str, hidden: int, layers: int) -> RecurrentNet:
    """Draw a net of gain at most 1: trajectories that differ by rounding stay together."""
    features, gates = 2, GATES[kind]
    gain = rng.uniform(0.2, 1.0)
    found = []
    for layer in range(layers):
        fan_in = features if layer == 0 else hidden
        rows = gates * hidden
        found.append(
            (
                0.5 * rng.standard_normal((rows, fan_in)),
                gain * rng.standard_normal((rows, hidden)) / math.sqrt(hidden),
                0.3 * rng.standard_normal(rows),
                0.3 * rng.standard_normal(rows),
            )
        )
    return RecurrentNet(kind, features, hidden, tuple(found))


def linear_module(w: FloatArray, log_scale: float = 0.0) -> Any:
    """Return h(t) = e^log_scale W h(t-1) + x(t) as a module that is called like torch.nn.RNN."""
    import torch

    matrix = torch.from_numpy(math.exp(log_scale) * w)

    def step(state: Any) -> Any:
        return state @ matrix.T

    return map_module(step, added=True)


def map_module(step: Any, added: bool) -> Any:
    """Return s(t) = step(s(t-1)) + x(t), or step(s(t-1) + x(t)), as a module called like torch.nn.RNN."""
    import torch

    class Map(torch.nn.Module):
        """A recurrence of its own."""

        def forward(self, x: Any, state: Any = None) -> Any:
            held, seen = torch.zeros_like(x[0]) if state is None else state, []
            for now in x:
                held = step(held) + now if added else step(held + now)
                seen.append(held)
            return torch.stack(seen), held

    return Map()
