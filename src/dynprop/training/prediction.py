r"""What theory says about a setting before anything is trained.

`initial_gradient_by_lag`: ln ‖∂s(T)/∂s(T-k)‖₂ of freshly drawn models, on sequences of the task.

`signal_to_noise`: let g be the gradient of one batch at initialisation, Σ its covariance over batches, and g'
the gradient on the same sequences with the targets of others. Both know where a read-out's bias should go;
only g knows what the inputs say about the targets, so that μ = E(g - g') is the signal. After n small steps
its drift n‖μ‖ exceeds the wandering √(n tr Σ) once n > tr Σ/‖μ‖²: the number of updates in which the signal
can be told from the fluctuation that hides it (Bengio, Simard and Frasconi 1994, section IV; Goodfellow,
Bengio and Courville 2016, section 10.7). From K batches ‖μ‖² is estimated without bias as ‖mean‖² - tr Cov/K;
where that is not positive, the signal is below what K batches can see.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.gradients import cell_gradient_by_lag
from dynprop.training.ensemble import Ensemble
from dynprop.training.setting import Setting

__all__ = ["GradientSignal", "initial_gradient_by_lag", "signal_to_noise"]


def initial_gradient_by_lag(setting: Setting, seeds: Sequence[int] = tuple(range(20))) -> FloatArray:
    """Return ln ‖∂s(T)/∂s(T-k)‖₂ at initialisation, k = 0..T, shape (models, T + 1).

    Args:
        setting: what would be trained.
        seeds: whose initial weights; each sees one sequence of its own.
    """
    ensemble = Ensemble(replace(setting, dtype="float64"), list(seeds))
    inputs, _, ends = ensemble.drawn("looking", 0, 1)
    # Sequences of one batch may differ in length; all have the shortest.
    steps = int(ends.min()) + 1
    logs = cell_gradient_by_lag(ensemble.cell, ensemble.parameters(), inputs[:steps, :, 0])
    return logs[: len(seeds)]


@dataclass(frozen=True)
class GradientSignal:
    """How the gradient at initialisation compares with its own fluctuation, one entry per model.

    Attributes:
        signal: ‖μ‖², estimated without bias; may come out negative.
        noise: tr Σ of one batch.
    """

    signal: FloatArray
    noise: FloatArray

    @property
    def updates(self) -> float:
        """Median over models of tr Σ/‖μ‖², infinite where the signal is not seen."""
        with np.errstate(all="ignore"):
            each = np.where(self.signal > 0.0, self.noise / self.signal, np.inf)
        return float(np.median(each))


def signal_to_noise(setting: Setting, models: int = 8, batches: int = 256) -> GradientSignal:
    """Measure signal and noise of the gradient at initialisation.

    Args:
        setting: what would be trained; its batch is the batch meant here.
        models: how many initial models.
        batches: K, how many batches for each.
    """
    double = replace(setting, dtype="float64", clip=None)
    signal, noise = np.zeros(models), np.zeros(models)
    for seed in range(models):
        ensemble = Ensemble(double, [seed])
        ensemble.flat = ensemble.flat.detach()[:1].repeat(batches, 1).requires_grad_(True)
        # Each copy has sequences of its own, from streams that no trial uses.
        ensemble.seeds = [2**40 + seed * batches + i for i in range(batches)]
        inputs, targets, ends = ensemble.drawn("looking", 1, setting.batch)
        # Targets of the neighbour in the batch: drawn alike, and independent of these inputs.
        others = targets.roll(1, dims=-1 if ensemble.task.loss == "cross-entropy" else 1)
        right, wrong = (ensemble.gradients(inputs, y, ends).numpy() for y in (targets, others))
        mean = (right - wrong).mean(axis=0)
        noise[seed] = right.var(axis=0, ddof=1).sum()
        signal[seed] = mean @ mean - (right - wrong).var(axis=0, ddof=1).sum() / batches
    return GradientSignal(signal, noise)
