r"""What a diagnosis measures of one recurrent part, besides the gradient by lag.

The weight gradient by lag is that of a loss that reads the last output with a fixed random unit vector, as
a linear read-out does, one sequence at a time. Its lag k *hides* where the root mean square over sequences
of ‖G_k‖ is below 1/100 of the fluctuation over sequences of the last five steps' contribution: the drift
that lag k can give then needs more than 10,000 updates to exceed the wandering that the short lags cause.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from dynprop.arrays import FloatArray, NumericArray
from dynprop.errors import ArgumentError
from dynprop.gradients.lags.chain import CellChain, Chain
from dynprop.gradients.lags.stack import StackChain
from dynprop.gradients.lags.steps import ElmanStep, Step
from dynprop.gradients.models.rnn import Part
from dynprop.gradients.shares import contributions
from dynprop.results import Result

__all__ = ["Activity", "Hiding", "activity_of", "eigenvalues_of", "hiding", "predicted_slopes", "top_cell"]

SHORT = 5
HIDDEN = 100.0
# Lags after which contributions that have died out are no longer followed.
GONE = 1e-9
# A gate or slope below the one or above the other is as good as closed or open.
CLOSED, OPEN = 0.05, 0.95
# Steps whose Jacobians are averaged for the operating point.
AVERAGED = 64


@dataclass(frozen=True)
class Activity:
    """A gate, or the slope of units, over units, steps and sequences.

    Attributes:
        mean: its mean.
        closed: share below 0.05: the gradient does not pass.
        opened: share above 0.95.
    """

    mean: float
    closed: float
    opened: float


@dataclass(frozen=True, eq=False, repr=False)
class Hiding(Result):
    """The weight gradient by lag, and from which lag on it hides.

    Attributes:
        sizes: root mean square over sequences of ‖G_k‖, (lags,); zero where it has died out.
        shares: of the mean gradient, ⟨G_k, G⟩/‖G‖², (lags,).
        fluctuation: standard deviation over sequences of the contribution of lags 0 to 4.
        norms: norm of the whole gradient of each sequence.
        hidden_from: first lag from which on sizes stay below fluctuation / 100; None if none.
    """

    sizes: FloatArray
    shares: FloatArray
    fluctuation: float
    norms: FloatArray
    hidden_from: int | None


@dataclass
class _Sums:
    """Contributions of the sequences so far."""

    squares: FloatArray
    total: dict[int, FloatArray] = field(default_factory=dict)
    short: list[FloatArray] = field(default_factory=list)
    whole: list[FloatArray] = field(default_factory=list)


def top_cell(chain: Chain) -> CellChain | None:
    """Return the chain of the last layer's cell, where its Jacobian is written out."""
    if isinstance(chain, StackChain):
        return chain.layers[-1]
    return chain if isinstance(chain, CellChain) else None


def _points(chain: CellChain) -> tuple[FloatArray, FloatArray]:
    """Return inputs and states of all steps, padding left out, at most 20,000 of them."""
    inside = np.arange(chain.inputs.shape[1]) < chain.lengths[:, None]
    inputs, states = chain.inputs[inside], chain.states[:, :-1][inside]
    every = max(1, len(inputs) // 20_000)
    return inputs[::every], states[::every]


def activity_of(part: Part) -> dict[str, Activity]:
    """Return the gates of the last layer, or the slopes of its units."""
    chain = top_cell(part.chain)
    if chain is None:
        return {}
    gates = chain.cell.gates(*_points(chain))
    return {
        name: Activity(float(v.mean()), float((v < CLOSED).mean()), float((v > OPEN).mean()))
        for name, v in gates.items()
    }


def mean_jacobian(chain: Chain) -> FloatArray:
    """Return the Jacobian averaged over steps at the end of the first sequence: the operating point."""
    length = int(chain.lengths[0])
    times = np.arange(max(1, length - AVERAGED + 1), length + 1)
    return np.asarray(chain.block(np.zeros_like(times), times).jacobians().mean(axis=0))


def eigenvalues_of(part: Part) -> dict[str, NumericArray]:
    """Return the eigenvalues of the recurrent weight, and of the Jacobian at the operating point."""
    found: dict[str, NumericArray] = {}
    chain = top_cell(part.chain)
    if chain is not None:
        weights = chain.cell.recurrent_weights()
        for name in ("W", "candidate"):
            if name in weights:
                found[f"weight ({name})" if name != "W" else "weight"] = np.linalg.eigvals(weights[name])
    found["operating point"] = np.linalg.eigvals(mean_jacobian(part.chain))
    return found


def predicted_slopes(part: Part, eigenvalues: dict[str, NumericArray]) -> dict[str, float]:
    """Return what theory says about the slope of ln norm per lag, by name; natural logarithms."""
    found = {}
    chain = top_cell(part.chain)
    with np.errstate(divide="ignore"):
        if "weight" in eigenvalues:
            found["linear: ln of the spectral radius of the weight"] = _log_radius(eigenvalues["weight"])
        name = "operating point: ln of the spectral radius of the mean Jacobian"
        found[name] = _log_radius(eigenvalues["operating point"])
        if chain is not None and isinstance(chain.cell, ElmanStep) and chain.cell.keep == 0.0:
            slopes = chain.cell.coefficients(*_points(chain))[0]
            variance = chain.size * float(chain.cell.recurrent.var())
            squared = variance * float((slopes * slopes).mean())
            found["mean field: half the ln of n Var(W) E f'²"] = 0.5 * float(np.log(squared))
    return found


def _log_radius(eigenvalues: NumericArray) -> float:
    return float(np.log(np.abs(eigenvalues).max()))


def drive_of(part: Part) -> float:
    """Return the standard deviation of what inputs give a unit, where most are saturated; otherwise 0."""
    chain = top_cell(part.chain)
    if chain is None or not isinstance(chain.cell, ElmanStep):
        return 0.0
    if chain.cell.activation not in ("tanh", "sigmoid") or activity_of(part)["slope"].closed <= 0.5:
        return 0.0
    return float((_points(chain)[0] @ chain.cell.inputs.T).std())


def contracts(step: Step) -> bool:
    """Whether a cell's weights alone make gradients vanish, whatever the inputs."""
    from dynprop.gradients.latching import vanishing_condition

    if not isinstance(step, ElmanStep) or step.keep or step.gain != 1.0:
        return False
    return vanishing_condition(step.recurrent, step.activation).vanishes


def hiding(model: Any, sequences: Iterable[Any], name: str, seed: int) -> Hiding | None:
    """Measure from which lag on the weight gradient hides; None where the part has no such decomposition.

    Args:
        model: the model.
        sequences: inputs of one sequence each, three or more.
        name: of the recurrent part.
        seed: of the read-out.
    """
    from dynprop.gradients.models.recording import record

    sums: _Sums | None = None
    generator = torch.Generator().manual_seed(seed)
    readout: torch.Tensor | None = None

    def loss(outputs: Any) -> torch.Tensor:
        nonlocal readout
        values = _last(outputs, ends)
        if readout is None:
            drawn = torch.randn(values.numel(), generator=generator, dtype=torch.float64)
            readout = drawn / drawn.norm()
        return (values.reshape(-1).double() * readout.to(values.device)).sum()

    for inputs in sequences:
        recording = record(model, inputs, name)
        ends = recording.parts[name][1][-1].output[0].shape
        try:
            rows = _until_gone(contributions(model, inputs, loss, name)[2])
        except ArgumentError:
            return None
        sums = sums or _Sums(np.zeros(0))
        _added(sums, rows)
    return None if sums is None else _hidden(sums)


def _last(outputs: Any, shape: Any) -> torch.Tensor:
    """Return the output of the last step of one sequence, of a layer's or a model's outputs."""
    while isinstance(outputs, tuple | list):
        outputs = outputs[0]
    values: torch.Tensor = outputs
    steps = max(int(shape[0]), int(shape[1])) if len(shape) > 1 else 1
    if values.ndim >= 2 and steps > 1:
        for axis in (0, 1):
            if values.shape[axis] == steps:
                return values.select(axis, steps - 1)
    return values


def _until_gone(parts: Iterable[torch.Tensor]) -> list[FloatArray]:
    rows: list[FloatArray] = []
    size = 0.0
    for part in parts:
        rows.append(part.cpu().double().numpy())
        norm = float(np.linalg.norm(rows[-1]))
        size = max(size, norm)
        if norm < GONE * size:
            break
    return rows


def _added(sums: _Sums, rows: list[FloatArray]) -> None:
    squares = np.array([float(row @ row) for row in rows])
    wide = np.zeros(max(len(squares), len(sums.squares)))
    wide[: len(sums.squares)] += sums.squares
    wide[: len(squares)] += squares
    sums.squares = wide
    for lag, row in enumerate(rows):
        sums.total[lag] = sums.total.get(lag, 0.0) + row
    sums.short.append(np.sum(rows[:SHORT], axis=0))
    sums.whole.append(np.sum(rows, axis=0))


def _hidden(sums: _Sums) -> Hiding:
    count = len(sums.whole)
    sizes = np.sqrt(sums.squares / count)
    short = np.stack(sums.short)
    fluctuation = math.sqrt(float(short.var(axis=0, ddof=1).sum())) if count > 1 else math.nan
    mean = np.mean(sums.whole, axis=0)
    square = float(mean @ mean)
    lags = range(len(sizes))
    dots = np.array([float(sums.total[lag] @ mean) / count for lag in lags])
    shares = dots / square if square > 0.0 else np.full(len(dots), math.nan)
    seen = np.flatnonzero(sizes >= fluctuation / HIDDEN) if fluctuation > 0.0 else np.array([], dtype=int)
    from_lag = int(seen[-1]) + 1 if len(seen) else 0
    norms = np.array([float(np.linalg.norm(row)) for row in sums.whole])
    return Hiding(sizes, shares, fluctuation, norms, from_lag if fluctuation > 0.0 else None)
