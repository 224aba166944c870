"""Faults of kind agreement: `dynprop.gradients` and `dynprop.training` with one wrong function."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from dynprop import gradients, training
from dynprop.laws.catalogue import Catalogue
from dynprop.training import GradientSignal, LearningTime, Setting, Trial

Array = npt.NDArray[Any]
Interval = tuple[float, float]

faults: Catalogue = Catalogue("agreement", "numpy")
CATALOGUES = (faults,)

LEVEL = 0.95


def planted(
    slug: str, replaces: str, *, caught_by: Mapping[str, str]
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Plant the decorated function in the place of one of these rooms."""

    def plant(wrong: Callable[..., Any]) -> Callable[..., Any]:
        def build() -> object:
            names = {n: getattr(training, n) for n in training.__all__ if n.islower()}
            names["cell_gradient_by_lag"] = gradients.cell_gradient_by_lag
            return SimpleNamespace(**{**names, replaces: wrong})

        build.__doc__ = wrong.__doc__
        faults.fault(f"agreement/{slug}", fresh=True, caught_by=caught_by)(build)
        return wrong

    return plant


# Intervals


@planted("wald-interval", "proportion_interval", caught_by={"fixed-interval": "wrong"})
def wald_interval(successes: int, trials: int, level: float = LEVEL) -> Interval:
    """Takes the normal interval around the share, which is empty where none or all succeed."""
    from scipy.stats import norm

    share = successes / trials
    wide = float(norm.ppf(0.5 + 0.5 * level)) * math.sqrt(share * (1.0 - share) / trials)
    return max(0.0, share - wide), min(1.0, share + wide)


@planted("wilson-interval", "proportion_interval", caught_by={"fixed-interval": "wrong"})
def wilson_interval(successes: int, trials: int, level: float = LEVEL) -> Interval:
    """Takes Wilson's interval, which holds what it says on the average over probabilities only."""
    from scipy.stats import binomtest

    found = binomtest(successes, trials).proportion_ci(level, method="wilson")
    return float(found.low), float(found.high)


@planted("whole-error-on-each-side", "proportion_interval", caught_by={"fixed-interval": "wrong"})
def whole_error_on_each_side(successes: int, trials: int, level: float = LEVEL) -> Interval:
    """Gives each end the error that both may have together."""
    return training.proportion_interval(successes, trials, 2.0 * level - 1.0)


@planted("parts-of-a-success", "proportion_interval", caught_by={"impossible-counts": "wrong"})
def parts_of_a_success(successes: float, trials: float, level: float = LEVEL) -> Interval:
    """Puts into the tails whatever it is given: half a success among three trials."""
    from scipy.special import betaincinv

    tail, failures = 0.5 * (1.0 - level), trials - successes
    low = 0.0 if successes <= 0 else float(betaincinv(successes, failures + 1, tail))
    high = 1.0 if failures <= 0 else 1.0 - float(betaincinv(failures, successes + 1, tail))
    return low, high


@planted("peeking-at-fixed-intervals", "confidence_sequence", caught_by={"any-time-interval": "wrong"})
def peeking_at_fixed_intervals(successes: int, trials: int, level: float = LEVEL) -> Interval:
    """Gives the interval for a fixed number of trials at every number of them."""
    return training.proportion_interval(successes, trials, level)


@planted("interval-that-says-nothing", "confidence_sequence", caught_by={"any-time-interval": "wrong"})
def interval_that_says_nothing(successes: int, trials: int, level: float = LEVEL) -> Interval:
    """Holds every probability."""
    return 0.0, 1.0


# Times


@planted("failures-left-out", "learning_time", caught_by={"censored-times": "wrong"})
def failures_left_out(trials: Sequence[Trial]) -> LearningTime:
    """Takes the median over the runs that succeeded: the hard ones are not there."""
    return training.learning_time([trial for trial in trials if trial.succeeded])


@planted("failures-learn-at-the-budget", "learning_time", caught_by={"censored-times": "wrong"})
def failures_learn_at_the_budget(trials: Sequence[Trial]) -> LearningTime:
    """Counts a run without success as one that succeeded when it ended."""
    return training.learning_time([replace(trial, status="success") for trial in trials])


@planted("diverged-runs-might-have-learnt", "learning_time", caught_by={"censored-times": "wrong"})
def diverged_runs_might_have_learnt(trials: Sequence[Trial]) -> LearningTime:
    """Censors a run that diverged where it broke off, as if it could still have learnt like the others."""
    return training.learning_time(
        [replace(t, status="timed out") if t.status == "diverged" else t for t in trials]
    )


@planted("lost-runs-leave-before-the-others-succeed", "learning_time", caught_by={"censored-times": "wrong"})
def lost_runs_leave_first(trials: Sequence[Trial]) -> LearningTime:
    """Takes runs that were given up at the time of a success out of those at risk."""
    return training.learning_time(
        [replace(t, updates=t.updates - 1) if t.status == "timed out" else t for t in trials]
    )


# Trials


@planted("seed-is-a-place", "train", caught_by={"trial-alone": "wrong"})
def seed_is_a_place(setting: Setting, seeds: Sequence[int]) -> list[Trial]:
    """Seeds a model by its place among those that are trained together."""
    return training.train(setting, range(len(seeds)))


@planted("loss-averaged-over-models", "train", caught_by={"trial-alone": "wrong"})
def loss_averaged_over_models(setting: Setting, seeds: Sequence[int]) -> list[Trial]:
    """Trains on the mean of the losses of all models, so that each learns more slowly beside others."""
    return [
        trial
        for seed in seeds
        for trial in training.train(replace(setting, rate=setting.rate / len(seeds)), [seed])
    ]


@planted("one-model-for-all-seeds", "train", caught_by={"trial-alone": "wrong"})
def one_model_for_all_seeds(setting: Setting, seeds: Sequence[int]) -> list[Trial]:
    """Draws every model from the same numbers."""
    return training.train(setting, [0]) * len(seeds)


# Gradients by lag


@planted("jacobian-without-the-slope", "cell_gradient_by_lag", caught_by={"jacobian-products": "wrong"})
def jacobian_without_the_slope(cell: Any, parameters: Any, inputs: torch.Tensor) -> Array:
    """Multiplies the weights alone: the spectral radius for the gradient, whatever the units do."""
    weights, steps = parameters["recurrent"].numpy(), len(inputs)
    powers = [[np.linalg.matrix_power(w, k) for k in range(steps + 1)] for w in weights]
    norms: Array = np.array([[np.linalg.norm(p, 2) for p in row] for row in powers])
    return np.asarray(np.log(norms))


@planted("sequence-from-its-end", "cell_gradient_by_lag", caught_by={"jacobian-products": "wrong"})
def sequence_from_its_end(cell: Any, parameters: Any, inputs: torch.Tensor) -> Array:
    """Reads the sequence backwards."""
    return gradients.cell_gradient_by_lag(cell, parameters, inputs.flip(0))


@planted("lags-begin-at-one", "initial_gradient_by_lag", caught_by={"gradient-at-start": "wrong"})
def lags_begin_at_one(setting: Setting, seeds: Sequence[int]) -> Array:
    """Says at lag k what belongs to lag k + 1."""
    longer = replace(setting, length=setting.length + 1)
    return training.initial_gradient_by_lag(longer, seeds)[:, 1:]


@planted("logarithm-to-base-ten", "initial_gradient_by_lag", caught_by={"gradient-at-start": "wrong"})
def logarithm_to_base_ten(setting: Setting, seeds: Sequence[int]) -> Array:
    """Returns decimal logarithms."""
    return training.initial_gradient_by_lag(setting, seeds) / math.log(10.0)


@planted("signal-of-the-whole-gradient", "signal_to_noise", caught_by={"signal-by-lag": "wrong"})
def signal_of_the_whole_gradient(setting: Setting, models: int, batches: int) -> GradientSignal:
    """Counts as signal what the bias of a read-out learns, which knows the mean target and no input."""
    from dynprop.training.trials.ensemble import Ensemble

    double, found = replace(setting, dtype="float64", clip=None), []
    batches = min(batches, 32)
    for seed in range(models):
        ensemble = Ensemble(double, [seed])
        drawn = (ensemble.drawn("looking", 1 + block, setting.batch) for block in range(batches))
        rows = np.array([ensemble.gradients(*each).numpy()[0] for each in drawn])
        mean, noise = rows.mean(axis=0), float(rows.var(axis=0, ddof=1).sum())
        signal = float(mean @ mean) - noise / batches
        found.append((signal, noise / batches, noise, signal + noise / batches))
    return GradientSignal(*np.array(found).T)


@planted("noise-over-signal-upside-down", "signal_to_noise", caught_by={"signal-by-lag": "wrong"})
def noise_over_signal_upside_down(setting: Setting, models: int, batches: int) -> GradientSignal:
    """Exchanges signal and noise."""
    found = training.signal_to_noise(setting, models, batches)
    return replace(found, signal=found.noise, noise=found.signal)
