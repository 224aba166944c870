"""Trials of one setting, trained together and judged one by one."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from dynprop.arrays import BoolArray, FloatArray, IntArray
from dynprop.errors import ArgumentError
from dynprop.training.ensemble import Ensemble, bytes_per_model
from dynprop.training.setting import Setting
from dynprop.training.task import sequence_losses
from dynprop.training.trial import Trial

__all__ = ["BUDGET", "group_size", "train"]

# Bytes that one ensemble may take.
BUDGET = 512 * 2**20
# Fresh sequences that a learner must do well on before all of a criterion's are drawn.
SCREEN = 128
_FINAL = 2**40

Listener = Callable[[int, int, int], None]


def _unheard(updates: int, going: int, succeeded: int) -> None:
    return None


def group_size(setting: Setting, budget: int = BUDGET) -> int:
    """Return how many models fit into a budget of bytes, at least one."""
    return max(1, budget // bytes_per_model(setting))


def train(
    setting: Setting,
    seeds: Sequence[int],
    *,
    budget: int = BUDGET,
    timeout: float | None = None,
    listen: Listener = _unheard,
) -> list[Trial]:
    """Train one model for each seed and say how each came out.

    A trial is a function of setting and seed alone: which other seeds are trained beside it, in how many
    ensembles and in which order, makes no difference (tests compare bits).

    Args:
        setting: what to train, and how.
        seeds: whole numbers of at least 0, all different.
        budget: bytes that an ensemble may take; beyond it the seeds are split among several.
        timeout: seconds for each ensemble, after which its models are "timed out".
        listen: called now and then with updates made, models still training and successes of an ensemble.

    Returns:
        One Trial for each seed, in the order of the seeds.

    Raises:
        ArgumentError: no seed, a negative one, or one twice.
    """
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise ArgumentError(
            "seeds", f"{list(seeds)[:5]}", "different whole numbers of at least 0, one or more"
        )
    size = group_size(setting, budget)
    found: dict[int, Trial] = {}
    for first in range(0, len(seeds), size):
        group = _Run(setting, seeds[first : first + size], timeout, listen)
        found |= {trial.seed: trial for trial in group.trained()}
    return [found[seed] for seed in seeds]


class _Run:
    """The training of one ensemble."""

    def __init__(
        self, setting: Setting, seeds: Sequence[int], timeout: float | None, listen: Listener
    ) -> None:
        self.setting = setting
        self.ensemble = Ensemble(setting, seeds)
        self.listen = listen
        self.deadline = np.inf if timeout is None else time.monotonic() + timeout
        self.done: list[Trial] = []

    def trained(self) -> list[Trial]:
        """Train until every model has succeeded, diverged, or used up its updates."""
        updates = self.setting.updates
        for number in range(updates):
            self.ensemble.update(number)
            made = number + 1
            if made % self.setting.every == 0 or made == updates:
                self._judge(made, final=made == updates)
                succeeded = len({trial.seed for trial in self.done if trial.succeeded})
                self.listen(made, len(set(self.ensemble.seeds)), succeeded)
            if not self.ensemble.seeds:
                break
            if time.monotonic() > self.deadline:
                self._leave(np.arange(len(self.ensemble.seeds)), "timed out", made)
                break
        return self.done

    def _judge(self, made: int, final: bool) -> None:
        """Take out the models that are through."""
        broken = np.flatnonzero(self.ensemble.diverged)
        if len(broken):
            self._leave(broken, "diverged", made)
        if not self.ensemble.seeds:
            return
        block = made // self.setting.every
        solved, losses, wrong = _judged(self.ensemble, block, screened=not final)
        if final:
            reach = self.ensemble.reach()
            for status, which in (("success", solved), ("failure", ~solved)):
                chosen = np.flatnonzero(which)
                self._note(chosen, status, made, losses, wrong, None if status == "success" else reach)
            self.ensemble.seeds.clear()
        elif solved.any():
            self._note(np.flatnonzero(solved), "success", made, losses, wrong, None)
            self.ensemble.keep(np.flatnonzero(~solved))

    def _leave(self, which: IntArray, status: str, made: int) -> None:
        """Take models out that cannot be judged."""
        self._note(which, status, made, None, None, None)
        kept = np.setdiff1d(np.arange(len(self.ensemble.seeds)), which)
        if len(kept):
            self.ensemble.keep(kept)
        else:
            self.ensemble.seeds.clear()

    def _note(
        self,
        which: IntArray,
        status: str,
        made: int,
        losses: FloatArray | None,
        wrong: FloatArray | None,
        reach: FloatArray | None,
    ) -> None:
        for i in which:
            loss, share, lag = (None if x is None else _number(x[i]) for x in (losses, wrong, reach))
            seed, peak = self.ensemble.seeds[i], _number(self.ensemble.peak[i])
            self.done.append(Trial(self.setting, seed, status, made, loss, share, peak, lag))


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _judged(ensemble: Ensemble, block: int, *, screened: bool) -> tuple[BoolArray, FloatArray, FloatArray]:
    """Judge every model on fresh sequences: which have succeeded, mean losses, shares of wrong answers.

    With a screen, a learner that already makes more mistakes on a few sequences than the criterion allows on
    all has failed this time, whatever the rest would say; the others are judged on all of them.
    """
    task, length = ensemble.task, ensemble.setting.length
    count = task.criterion.count
    few = min(SCREEN, count) if screened and task.criterion.wrong != "nothing" else count
    inputs, targets, ends = ensemble.drawn("judging", block, count)
    said = ensemble.said(inputs[:, :, :few], ends[:, :few])
    held = np.moveaxis(targets.numpy(), 1, 0) if task.every else targets.numpy()
    models = len(ensemble.seeds)
    losses, wrong, solved = np.zeros(models), np.zeros(models), np.zeros(models, dtype=np.bool_)
    hopeful = []
    for i in range(models):
        part = held[i][..., :few] if task.every else held[i][:few]
        mistakes = task.criterion.mistakes(said[i], part)
        losses[i], wrong[i] = sequence_losses(task.loss, said[i], part).mean(), mistakes.mean()
        if mistakes.sum() <= task.criterion.allowed * count:
            hopeful.append(i)
    if few < count and hopeful:
        rest = ensemble.said(inputs[:, :, few:], ends[:, few:])
        axis = 1 if task.every else 0
        for i in hopeful:
            whole = np.concatenate([said[i], rest[i]], axis=axis)
            losses[i] = sequence_losses(task.loss, whole, held[i]).mean()
            wrong[i] = task.criterion.mistakes(whole, held[i]).mean()
            solved[i] = task.succeeds(whole, held[i], length)
    elif few == count:
        for i in hopeful:
            solved[i] = task.succeeds(said[i], held[i], length)
    return solved, losses, wrong
