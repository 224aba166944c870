r"""Many models of one shape, trained as one computation.

Parameters of all models lie in one array (model, parameter); each step of a cell is one batched product.
Models share nothing: losses are added, so that each model's gradient is its own, and each is clipped by its
own norm.

The results of a model do not depend on the others: matrix products are computed model by model, reductions
within a model have a fixed order, and all other operations are elementwise and independent of the position in
an array. So a trial has the same bits alone as in any ensemble, with any number of threads; tests compare
them for every cell and optimiser. On a machine whose libraries round otherwise, losses after 40 updates agree
within `ROUNDING` (observed with torch's own batched products: 8e-8 for gru, lstm and tanh, 1e-3 for an
unclipped relu net).

The gradient of the loss with respect to the predictions is written out, with p = softmax(ŷ):

    squared        2 (ŷ - y)/n          logistic  -y σ(-y ŷ)/n          cross-entropy  (p - 1_y)/n
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dynprop.arrays import BoolArray, FloatArray, IntArray, NumericArray
from dynprop.gradients.cells import Cell, State, cell_named
from dynprop.gradients.elman import product, with_bias
from dynprop.training.tasks import task_named
from dynprop.training.tasks.task import Batch, Task
from dynprop.training.trials.initial import initial_weights, parse_init
from dynprop.training.trials.rules import parse_rule
from dynprop.training.trials.setting import OPTIMISERS, Setting

__all__ = ["CHUNK", "ROUNDING", "Ensemble", "bytes_per_model", "output_gradient"]

# Largest relative difference of losses by rounding, on machines where bits differ.
ROUNDING = 1e-2


@np.errstate(all="ignore")
def output_gradient(loss: str, predictions: NumericArray, targets: NumericArray) -> NumericArray:
    """Return the gradient of each model's mean loss with respect to its predictions.

    Args:
        loss: "squared", "logistic" or "cross-entropy".
        predictions: (model, count, output), or (time, model, count, class).
        targets: as predictions for squared and logistic; class numbers, without the last axis, else.
    """
    gradient: NumericArray
    if loss == "cross-entropy":
        count = targets.shape[-1] * (targets.shape[0] if targets.ndim == 3 else 1)
        powers = np.exp(predictions - predictions.max(axis=-1, keepdims=True))
        # Fixed order of summation, unlike .sum().
        total = powers[..., 0].copy()
        for k in range(1, powers.shape[-1]):
            total += powers[..., k]
        gradient = powers / total[..., None]
        gradient -= targets[..., None] == np.arange(powers.shape[-1])
        gradient /= count
        return gradient
    count = predictions.shape[-2] * predictions.shape[-1]
    if loss == "squared":
        gradient = (predictions - targets) * (2.0 / count)
    else:
        gradient = targets * (np.tanh(0.5 * targets * predictions) - 1.0) * (0.5 / count)
    return gradient


def bytes_per_model(setting: Setting) -> int:
    """Estimate the memory of one model of an ensemble, in bytes."""
    task, cell = task_named(setting.task), cell_named(setting.cell)
    size = 4 if setting.dtype == "float32" else 8
    steps, per_step = task.steps(setting.length), setting.hidden * (cell.gates + cell.buffers)
    training = steps * setting.batch * (per_step + 2 * task.features)
    block = steps * setting.batch * task.features * updates_per_block(setting)
    judged = min(task.criterion.count, CHUNK)
    judging = steps * judged * (setting.hidden * (cell.gates + 2) + 4 * task.features)
    weights = sum(math.prod(shape) for shape in cell.shapes(task.features, setting.hidden).values())
    weights += cell.width * setting.hidden * task.outputs
    # Parameters, their gradient, its float64 copy for the norm (twice the size), and the optimiser state.
    return size * (training + block + judging) + 8 * 4 * weights


# Number of sequences that a test of success runs at a time.
CHUNK = 512


def updates_per_block(setting: Setting) -> int:
    """Return the number of updates whose sequences are drawn together: a function of the setting alone."""
    task = task_named(setting.task)
    per_update = task.steps(setting.length) * setting.batch * task.features
    return max(1, min(setting.every, 65536 // per_update))


class Ensemble:
    """Models that are trained together, each with a seed of its own.

    Args:
        setting: of all models.
        seeds: one for each model.
        dtype: of the computation, in place of the setting's; the random numbers are the same.

    Attributes:
        seeds: of the models that still train.
        max_grad_norm: largest gradient norm of each so far.
        diverged: which of them had a NaN or infinite gradient.
    """

    def __init__(self, setting: Setting, seeds: Sequence[int], dtype: str | None = None) -> None:
        self.setting = setting
        self._format = dtype or setting.dtype
        self.task: Task = task_named(setting.task)
        self.cell: Cell = cell_named(setting.cell)
        self.seeds: list[int] = list(seeds)
        self.dtype: torch.dtype = torch.float32 if self._format == "float32" else torch.float64
        self._shapes: dict[str, tuple[int, ...]] = {}
        self.flat: Tensor = self._initial_parameters().requires_grad_(True)
        self.optimiser: torch.optim.Optimizer = self._optimiser()
        self.max_grad_norm: FloatArray = np.zeros(len(self.seeds))
        self.diverged: BoolArray = np.zeros(len(self.seeds), dtype=np.bool_)
        self._blocks: tuple[int, Tensor, Tensor, Tensor] | None = None

    def _initial_parameters(self) -> Tensor:
        """Return the initial parameters, (model, parameters)."""
        init = parse_init(self.setting.init, self.setting.cell)
        rows = []
        for seed in self.seeds:
            rng = self.setting.generator(seed, "weights")
            weights = initial_weights(
                self.task, self.setting.cell, init, self.setting.hidden, self.setting.length, rng
            )
            self._shapes = {name: value.shape for name, value in weights.items()}
            rows.append(np.concatenate([value.ravel() for value in weights.values()]))
        return torch.from_numpy(np.stack(rows)).to(self.dtype)

    def _optimiser(self) -> torch.optim.Optimizer:
        name, number = parse_rule("optimiser", self.setting.optimiser, OPTIMISERS)
        if name == "adam":
            return torch.optim.Adam([self.flat], lr=self.setting.rate)
        return torch.optim.SGD([self.flat], lr=self.setting.rate, momentum=number or 0.0)

    def parameters(self, flat: Tensor | None = None) -> dict[str, Tensor]:
        """Return the parameters by name, each with the models as its first axis."""
        source = self.flat if flat is None else flat
        sizes = [math.prod(shape) for shape in self._shapes.values()]
        parts = torch.split(source, sizes, dim=1)
        return {
            name: part.reshape(len(source), *shape)
            for (name, shape), part in zip(self._shapes.items(), parts, strict=True)
        }

    def readout_inputs(
        self, parameters: dict[str, Tensor], inputs: Tensor, ends: Tensor, start: State
    ) -> Tensor:
        """Return the inputs of the read-out: the last state of each sequence, or all states.

        Args:
            parameters: by name.
            inputs: (time, model, count, feature).
            ends: index of the last step of each sequence, (model, count).
            start: the state before the first step.
        """
        if self.task.every:
            return self.cell.run(parameters, inputs, start)
        if bool((ends == len(inputs) - 1).all()):
            return self.cell.final(parameters, inputs, start)
        states = self.cell.run(parameters, inputs, start)
        return torch.gather(states, 0, ends[None, :, :, None].expand(1, *states.shape[1:]))[0]

    def predictions(self, parameters: dict[str, Tensor], readout: Tensor) -> Tensor:
        """Return the outputs of the models, (model, count, output), or (time, model, count, class).

        Args:
            parameters: by name.
            readout: from `readout_inputs`.
        """
        if self.task.direct:
            return readout
        shape = readout.shape
        rows = readout.transpose(0, 1).reshape(shape[1], -1, shape[-1]) if self.task.every else readout
        ones = rows.new_ones(*rows.shape[:-1], 1)
        weights = with_bias(parameters["out"], parameters["out bias"])
        outputs = product(torch.cat([rows, ones], dim=-1), weights)
        if self.task.every:
            return outputs.view(shape[1], shape[0], shape[2], -1).transpose(0, 1)
        return outputs

    def update(self, number: int) -> None:
        """Make one update of every model on its own sequences."""
        self.flat.grad = self.gradients(*self._sequences(number))
        self._clip()
        self.optimiser.step()

    def gradients(self, inputs: Tensor, targets: Tensor, ends: Tensor) -> Tensor:
        """Return the gradient of each model's mean loss on its sequences, (model, parameters)."""
        parameters = self.parameters()
        start = self.cell.start(len(self.seeds), inputs.shape[2], self.setting.hidden, self.dtype)
        outputs = self.predictions(parameters, self.readout_inputs(parameters, inputs, ends, start))
        (gradient,) = torch.autograd.grad([outputs], [self.flat], [self._upstream(outputs, targets)])
        return gradient

    def _upstream(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return torch.from_numpy(output_gradient(self.task.loss, outputs.detach().numpy(), targets.numpy()))

    def _clip(self) -> None:
        """Clip gradients, and stop models whose gradient is NaN or infinite."""
        assert self.flat.grad is not None
        gradient: NumericArray = self.flat.grad.numpy()
        norms = _norms(gradient)
        broken = ~np.isfinite(gradient).all(axis=1)
        if broken.any():
            self.diverged |= broken
            gradient[broken] = 0.0
            norms[broken] = 0.0
            self.flat.detach().numpy()[broken] = 0.0
        self.max_grad_norm = np.where(self.diverged, np.inf, np.maximum(self.max_grad_norm, norms))
        if self.setting.clip is not None:
            gradient *= (self.setting.clip / np.maximum(norms, self.setting.clip))[:, None]

    def _sequences(self, number: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the sequences of one update."""
        size = updates_per_block(self.setting)
        block, at = divmod(number, size)
        if self._blocks is None or self._blocks[0] != block:
            drawn = self.drawn("training", block, size * self.setting.batch)
            self._blocks = (block, *drawn)
        _, inputs, targets, ends = self._blocks
        part = slice(at * self.setting.batch, (at + 1) * self.setting.batch)
        part_targets = targets[:, :, part] if self.task.every else targets[:, part]
        return inputs[:, :, part], part_targets, ends[:, part]

    def drawn(self, stream: str, block: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return fresh sequences of every model: inputs (time, model, count, feature), targets, ends."""
        draw = self.task.draw
        return self.stacked(
            [
                draw(self.setting.length, count, self.setting.generator(seed, stream, block))
                for seed in self.seeds
            ]
        )

    def stacked(self, batches: Sequence[Batch]) -> tuple[Tensor, Tensor, Tensor]:
        """Return one batch for each model as inputs (time, model, count, feature), targets, ends."""
        inputs = np.stack([batch.inputs.astype(self._format) for batch in batches], axis=1)
        axis = 1 if self.task.every else 0
        targets: Any = np.stack([batch.targets for batch in batches], axis=axis)
        targets = targets if self.task.loss == "cross-entropy" else targets.astype(self._format)
        ends: IntArray = np.stack([batch.ends for batch in batches])
        return torch.from_numpy(inputs), torch.from_numpy(targets), torch.from_numpy(ends)

    def keep(self, which: IntArray) -> None:
        """Keep some of the models only."""
        index = torch.from_numpy(which)
        state = self.optimiser.state.get(self.flat, {})
        self.flat = self.flat.detach()[index].clone().requires_grad_(True)
        self.optimiser = self._optimiser()
        optimiser_state = {
            k: v[index].clone() if v.ndim == 2 else v for k, v in state.items() if torch.is_tensor(v)
        }
        if optimiser_state:
            self.optimiser.state[self.flat] = optimiser_state
        self.seeds = [self.seeds[i] for i in which]
        self.max_grad_norm, self.diverged = self.max_grad_norm[which], self.diverged[which]
        if self._blocks is not None:
            block, inputs, targets, ends = self._blocks
            kept_targets = targets[:, index] if self.task.every else targets[index]
            self._blocks = (block, inputs[:, index], kept_targets, ends[index])

    def copied(self, count: int) -> Ensemble:
        """Return an ensemble of `count` copies of the first model, for its gradients."""
        copies = copy.copy(self)
        copies.seeds = self.seeds[:1] * count
        copies.flat = self.flat.detach()[:1].repeat(count, 1).requires_grad_(True)
        return copies

    # Tests of success

    def outputs(self, inputs: Tensor, ends: Tensor, which: IntArray) -> NumericArray:
        """Return the outputs of some models on sequences of their own, as float64, model first."""
        with torch.no_grad():
            parameters = self.parameters(self.flat[torch.from_numpy(which)])
            start = self.cell.start(len(which), inputs.shape[2], self.setting.hidden, self.dtype)
            predictions = self.predictions(parameters, self.readout_inputs(parameters, inputs, ends, start))
        values = predictions.double().numpy()
        return np.moveaxis(values, 1, 0) if self.task.every else np.asarray(values)

    def gradient_ratio(self, count: int = 64) -> FloatArray:
        """Return ‖∂L/∂h(0)‖ over the norm of the loss's direct gradient on the states, for each model."""
        inputs, targets, ends = self.drawn("looking", 0, count)
        parameters = {name: value.detach() for name, value in self.parameters().items()}
        start = self.cell.start(len(self.seeds), count, self.setting.hidden, self.dtype)
        start_state = tuple(part.requires_grad_(True) for part in start)
        readout = self.readout_inputs(parameters, inputs, ends, start_state)
        outputs = self.predictions(parameters, readout)
        upstream = self._upstream(outputs, targets)
        grads = torch.autograd.grad([outputs], [readout, *start_state], [upstream], materialize_grads=True)
        direct = _norms((grads[0].transpose(0, 1) if self.task.every else grads[0]).numpy())
        back = _norms(np.stack([_norms(part.numpy()) for part in grads[1:]], axis=1))
        with np.errstate(all="ignore"):
            return np.where(direct > 0.0, back / direct, np.nan)


@np.errstate(all="ignore")
def _norms(values: NumericArray) -> FloatArray:
    """Return the norm of each model's numbers without overflow of their squares."""
    rows = np.array(values, dtype=np.float64).reshape(len(values), -1)
    largest: FloatArray = np.abs(rows).max(axis=1)
    rows /= np.where(largest > 0.0, largest, 1.0)[:, None]
    norms: FloatArray = largest * np.sqrt(np.matmul(rows[:, None, :], rows[:, :, None])[:, 0, 0])
    return norms
