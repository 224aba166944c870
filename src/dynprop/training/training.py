"""Trials of one setting, trained together and judged one by one."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from dynprop.arrays import BoolArray, FloatArray, IntArray
from dynprop.errors import ArgumentError
from dynprop.training.ensemble import CHUNK, Ensemble, bytes_per_model
from dynprop.training.setting import Setting
from dynprop.training.task import sequence_losses
from dynprop.training.trial import Trial

__all__ = ["BUDGET", "group_size", "train"]

# Bytes that one ensemble may take.
BUDGET = 512 * 2**20
# Fresh sequences that a learner must do well on before more of a criterion's are drawn.
SCREEN = 128

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
                succeeded = sum(trial.succeeded for trial in self.done)
                self.listen(made, len(self.ensemble.seeds), succeeded)
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
        solved, losses, wrong = _judged(self.ensemble, block, final=final)
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


def _judged(ensemble: Ensemble, block: int, *, final: bool) -> tuple[BoolArray, FloatArray, FloatArray]:
    """Judge every model on fresh sequences: which have succeeded, mean losses, shares of wrong answers.

    Sequences come a few at a time. Unless this is the last judgement, a learner that has made more mistakes
    than the criterion allows on all of them is through: it has failed this time, whatever the rest would say.
    """
    task, setting = ensemble.task, ensemble.setting
    criterion, models = task.criterion, len(ensemble.seeds)
    draw = task.examine or task.draw
    streams = [setting.generator(seed, "judging", block) for seed in ensemble.seeds]
    losses, mistakes, answers, judged = (np.zeros(models) for _ in range(4))
    per_sequence = task.steps(setting.length) if task.every else 1
    allowed = criterion.allowed * criterion.count * per_sequence
    active = np.arange(models)
    while len(active):
        size = min(CHUNK if judged[active[0]] else SCREEN, criterion.count - int(judged[active[0]]))
        if size == 0:
            break
        batches = [draw(setting.length, size, streams[i]) for i in active]
        inputs, _, ends = ensemble.stacked(batches)
        said = ensemble.said(inputs, ends, active)
        for i, y, batch in zip(active, said, batches, strict=True):
            wrong = criterion.mistakes(y, batch.targets)
            mistakes[i] += wrong.sum()
            answers[i] += wrong.size
            losses[i] += sequence_losses(task.loss, y, batch.targets).sum()
            judged[i] += size
        if not final:
            active = active[mistakes[active] <= allowed]
    losses, wrong_share = losses / judged, mistakes / answers
    limit = (
        np.inf if criterion.loss_below is None else criterion.loss_below * task.chance_loss(setting.length)
    )
    solved = (judged == criterion.count) & (mistakes <= allowed) & (losses < limit)
    return np.asarray(solved), losses, wrong_share
