r"""Predictions of theory for a setting before training.

`initial_gradient_by_lag`: ln ‖∂s(T)/∂s(T-k)‖₂ of freshly drawn models, on sequences of the task.

`signal_to_noise`: let g be the gradient of one batch at initialisation, Σ its covariance over batches, and g'
the gradient on the same sequences with the targets of others. Both contain the gradient of a read-out's bias;
only g contains the dependence of targets on inputs, so that μ = E(g - g') is the signal. After n small steps
its drift n‖μ‖ exceeds the wandering √(n tr Σ) once n > tr Σ/‖μ‖²: the number of updates after which the
signal exceeds its fluctuation (Bengio, Simard and Frasconi 1994, section IV; Goodfellow, Bengio and Courville
2016, section 10.7). ‖μ‖² is estimated
from the differences of K batches, as in `dynprop.gradients.estimates`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.gradients import cell_gradient_by_lag
from dynprop.gradients.estimates import ERRORS, largest_squared_mean, squared_mean
from dynprop.training.trials.ensemble import Ensemble
from dynprop.training.trials.setting import Setting
from dynprop.training.trials.training import group_size
from dynprop.training.whole import require_whole

__all__ = ["GradientSignal", "initial_gradient_by_lag", "signal_to_noise"]

# Number of batches whose gradients are computed together: more of them do not fit into the caches.
TOGETHER = 256


def initial_gradient_by_lag(setting: Setting, seeds: Sequence[int] = tuple(range(20))) -> FloatArray:
    """Return ln ‖∂s(T)/∂s(T-k)‖₂ at initialisation, k = 0..T, shape (models, T + 1).

    Args:
        setting: of the models.
        seeds: of the trials whose initial weights are used; each gets one sequence of its own, in float64.

    Examples:
        >>> from dynprop.training import Setting, initial_gradient_by_lag
        >>> logs = initial_gradient_by_lag(Setting("latch", 6, init="small", hidden=4), range(3))
        >>> logs.shape
        (3, 7)
        >>> bool(logs[:, -1].max() < logs[:, 1].min())
        True
    """
    ensemble = Ensemble(setting, list(seeds), dtype="float64")
    inputs, _, ends = ensemble.drawn("looking", 0, 1)
    # Sequences of one batch may differ in length; all are cut to the shortest.
    steps = int(ends.min()) + 1
    logs = cell_gradient_by_lag(ensemble.cell, ensemble.parameters(), inputs[:steps, :, 0])
    return logs[: len(seeds)]


@dataclass(frozen=True)
class GradientSignal:
    """How the gradient at initialisation compares with its own fluctuation, one entry per model.

    Attributes:
        signal: ‖μ‖², estimated without bias; may come out negative.
        error: standard error of the signal.
        noise: tr Σ of one batch.
        limit: the largest ‖μ‖² compatible with the estimate.
    """

    signal: FloatArray
    error: FloatArray
    noise: FloatArray
    limit: FloatArray

    @property
    def updates(self) -> float:
        """Median over models of tr Σ/‖μ‖², infinite where the signal is not significant."""
        significant = self.signal > ERRORS * self.error
        return _median_ratio(self.noise, np.where(significant, self.signal, 0.0))

    @property
    def least(self) -> float:
        """Median over models of tr Σ/‖μ‖² for the largest ‖μ‖² compatible with the estimate."""
        return _median_ratio(self.noise, self.limit)


def _median_ratio(noise: FloatArray, signal: FloatArray) -> float:
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.median(np.where(signal > 0.0, noise / signal, np.inf)))


def signal_to_noise(setting: Setting, models: int = 8, batches: int = 4096) -> GradientSignal:
    """Measure signal and noise of the gradient at initialisation.

    Args:
        setting: of the models; one batch has its batch size.
        models: number of initial models, at least 1.
        batches: K, largest number of batches for each, at least 3; drawing stops once the signal of half of
            the models is significant.

    Raises:
        ArgumentError: too few models or batches.

    Examples:
        >>> from dynprop.training import Setting, signal_to_noise
        >>> signal = signal_to_noise(Setting("latch", 3, hidden=4), models=2, batches=64)
        >>> signal.signal.shape, signal.updates >= signal.least
        ((2,), True)
    """
    models, batches = require_whole("models", models), require_whole("batches", batches, 3)
    ensembles = [Ensemble(setting, [seed], dtype="float64") for seed in range(models)]
    size = min(TOGETHER, group_size(replace(setting, dtype="float64")))
    block_ends = [*range(size, batches, size), batches]
    by_model: list[list[tuple[FloatArray, FloatArray]]] = [[] for _ in ensembles]
    done, next_test = 0, 1
    for block, end in enumerate(block_ends):
        for ensemble, samples in zip(ensembles, by_model, strict=True):
            samples.append(_gradients(ensemble, block, end - done))
        done = end
        # Few tests: each may give a false positive.
        if end == batches or (block + 1 == next_test and end >= 3):
            result = GradientSignal(*np.array([_signal(samples) for samples in by_model]).T)
            if math.isfinite(result.updates):
                break
            next_test *= 4
    return result


def _signal(samples: list[tuple[FloatArray, FloatArray]]) -> tuple[float, float, float, float]:
    gradients, shuffled = (np.concatenate(each) for each in zip(*samples, strict=True))
    differences = gradients - shuffled
    signal, error = squared_mean(differences)
    return (
        signal,
        error,
        float(gradients.var(axis=0, ddof=1).sum()),
        largest_squared_mean(differences, signal),
    )


def _gradients(ensemble: Ensemble, block: int, count: int) -> tuple[FloatArray, FloatArray]:
    """Return the gradients of one model on some batches, and those with the targets of other sequences."""
    size = ensemble.setting.batch
    # This stream is not used by training.
    inputs, targets, ends = ensemble.drawn("looking", 1 + block, count * 2 * size)
    copies = ensemble.copied(count)
    # Each copy of the model gets 2·size sequences; of the second half only the targets are used.
    axis = 1 if ensemble.task.every else 0
    by_copy = targets.reshape(*targets.shape[:axis], count, 2 * size, *targets.shape[axis + 2 :])
    own_targets, other_targets = (by_copy.narrow(axis + 1, first, size) for first in (0, size))
    own_inputs = inputs.reshape(len(inputs), count, 2 * size, -1)[:, :, :size]
    own_ends = ends.reshape(count, 2 * size)[:, :size]
    gradients, shuffled = (
        copies.gradients(own_inputs, each, own_ends).numpy() for each in (own_targets, other_targets)
    )
    return gradients, shuffled
