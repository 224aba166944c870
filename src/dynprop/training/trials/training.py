"""Training of all trials of one setting together, each with its own test of success."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from dynprop.arrays import BoolArray, FloatArray, IntArray
from dynprop.errors import ArgumentError
from dynprop.training.tasks.task import sequence_losses
from dynprop.training.trials.ensemble import CHUNK, Ensemble, bytes_per_model
from dynprop.training.trials.setting import Setting
from dynprop.training.trials.threads import one_thread_each, threads_that_pay
from dynprop.training.trials.trial import Trial

__all__ = ["BUDGET", "group_size", "train"]

# Memory of one ensemble in bytes.
BUDGET = 512 * 2**20
# Fresh sequences of the first test; only a learner that passes is tested on the others.
SCREEN = 128

Listener = Callable[[int, int, int], None]


def _ignore(updates: int, going: int, succeeded: int) -> None:
    return None


def group_size(setting: Setting, budget: int = BUDGET) -> int:
    """Return the number of models that fit into a budget of bytes, at least one."""
    return max(1, budget // bytes_per_model(setting))


def train(
    setting: Setting,
    seeds: Sequence[int],
    *,
    budget: int = BUDGET,
    timeout: float | None = None,
    threads: int | None = None,
    listen: Listener = _ignore,
) -> list[Trial]:
    """Train one model for each seed and return its outcome.

    A trial is a function of setting and seed alone: other seeds, the number of ensembles and threads and the
    order make no difference (tests compare bits).

    Args:
        setting: of all models.
        seeds: whole numbers of at least 0, all different.
        budget: bytes for the models trained at a time; further models are trained afterwards.
        timeout: seconds for the models trained at a time, after which they are "timed out".
        threads: number of threads, each with an ensemble of its own; None for torch's number of threads if
            the models are large enough.
        listen: called after each test of success with updates made, models still training and successes among
            those trained at a time.

    Returns:
        One Trial for each seed, in the order of the seeds.

    Raises:
        ArgumentError: no seed, a negative one, or one twice; no thread.

    Examples:
        >>> from dynprop.training import Setting, train
        >>> trials = train(Setting("latch", 3, hidden=4, batch=8, updates=300, rate=0.5), [0, 1])
        >>> [trial.status for trial in trials]
        ['success', 'success']
    """
    valid = [isinstance(seed, int | np.integer) and not isinstance(seed, bool) for seed in seeds]
    if not (len(seeds) and all(valid) and min(seeds) >= 0 and len(set(seeds)) == len(seeds)):
        raise ArgumentError(
            "seeds", f"{list(seeds)[:5]}", "different whole numbers of at least 0, one or more"
        )
    seeds = [int(seed) for seed in seeds]
    if threads is not None and threads < 1:
        raise ArgumentError("threads", str(threads), "a whole number of at least 1")
    size = group_size(setting, budget)
    by_seed: dict[int, Trial] = {}
    for start in range(0, len(seeds), size):
        group = seeds[start : start + size]
        count = threads_that_pay(setting, len(group)) if threads is None else threads
        with one_thread_each():
            trials = _side_by_side(setting, group, min(count, len(group)), timeout, listen)
        by_seed |= {trial.seed: trial for trial in trials}
    return [by_seed[seed] for seed in seeds]


def _side_by_side(
    setting: Setting, seeds: Sequence[int], threads: int, timeout: float | None, listen: Listener
) -> list[Trial]:
    """Train ensembles of neighbouring seeds, each in its own thread, from one test of success to the next."""
    deadline = math.inf if timeout is None else time.monotonic() + timeout
    cuts = [len(seeds) * i // threads for i in range(threads + 1)]
    runs = [_Run(setting, seeds[low:high], deadline) for low, high in itertools.pairwise(cuts)]
    with ThreadPoolExecutor(threads) as pool:
        try:
            while running := [run for run in runs if run.ensemble.seeds]:
                # A single thread needs no pool.
                list(map(_Run.advance, running) if threads == 1 else pool.map(_Run.advance, running))
                solved = sum(trial.succeeded for run in runs for trial in run.done)
                updates_made = max(run.updates_made for run in runs)
                listen(updates_made, sum(len(run.ensemble.seeds) for run in runs), solved)
        finally:
            # After an interrupt the other threads stop at their next update.
            for run in runs:
                run.deadline = -math.inf
    return [trial for run in runs for trial in run.done]


class _Run:
    """The training of one ensemble.

    Attributes:
        updates_made: number of updates so far.
        done: trials of the models that have finished.
    """

    def __init__(self, setting: Setting, seeds: Sequence[int], deadline: float) -> None:
        self.setting = setting
        self.ensemble = Ensemble(setting, seeds)
        self.deadline = deadline
        self.updates_made = 0
        self.done: list[Trial] = []

    def advance(self) -> None:
        """Train up to the next test and remove models that succeeded, diverged, or used up their updates."""
        updates, every = self.setting.updates, self.setting.every
        for number in range(
            self.updates_made, min(updates, self.updates_made - self.updates_made % every + every)
        ):
            self.ensemble.update(number)
            self.updates_made = number + 1
            late = time.monotonic() > self.deadline
            if self.updates_made % every == 0 or self.updates_made == updates:
                self._judge(final=self.updates_made == updates)
            if late:
                self._remove(self.ensemble.diverged, "diverged")
                self._remove(np.ones(len(self.ensemble.seeds), dtype=np.bool_), "timed out")
                break

    def _judge(self, *, final: bool) -> None:
        """Test the models for success, and remove those that have finished."""
        self._remove(self.ensemble.diverged, "diverged")
        if not self.ensemble.seeds:
            return
        # The last test may come before a multiple of `every`; its sequences are fresh, too.
        block = -(-self.updates_made // self.setting.every)
        solved, losses, rates = _judged(self.ensemble, block, final=final)
        if final:
            broken = ~np.isfinite(losses)
            self._remove(broken, "diverged")
            solved, losses, rates = solved[~broken], losses[~broken], rates[~broken]
            if not self.ensemble.seeds:
                return
            ratios = self.ensemble.gradient_ratio()
            for status, which in (("success", solved), ("failure", ~solved)):
                models = np.flatnonzero(which)
                self._record(models, status, losses, rates, None if status == "success" else ratios)
            self.ensemble.keep(np.zeros(0, dtype=np.int64))
        elif solved.any():
            self._record(np.flatnonzero(solved), "success", losses, rates, None)
            self.ensemble.keep(np.flatnonzero(~solved))

    def _remove(self, which: BoolArray, status: str) -> None:
        """Record models with a status, without a test, and remove them."""
        if not which.any():
            return
        self._record(np.flatnonzero(which), status, None, None, None)
        self.ensemble.keep(np.flatnonzero(~which))

    def _record(
        self,
        which: IntArray,
        status: str,
        losses: FloatArray | None,
        error_rates: FloatArray | None,
        ratios: FloatArray | None,
    ) -> None:
        for i in which:
            loss, error_rate, ratio = (
                None if x is None else _finite(x[i]) for x in (losses, error_rates, ratios)
            )
            seed, norm = self.ensemble.seeds[i], _finite(self.ensemble.max_grad_norm[i])
            self.done.append(
                Trial(self.setting, seed, status, self.updates_made, loss, error_rate, norm, ratio)
            )


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _judged(ensemble: Ensemble, block: int, *, final: bool) -> tuple[BoolArray, FloatArray, FloatArray]:
    """Test every model on fresh sequences; return successes, mean losses and error rates.

    Sequences come a few at a time. Except in the last test, a learner with more mistakes than the criterion
    allows on all sequences is not tested further: it has failed this test.
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
        outputs = ensemble.outputs(inputs, ends, active)
        for i, y, batch in zip(active, outputs, batches, strict=True):
            mistaken = criterion.mistakes(y, batch.targets)
            mistakes[i] += mistaken.sum()
            answers[i] += mistaken.size
            losses[i] += sequence_losses(task.loss, y, batch.targets).sum()
            judged[i] += size
        if not final:
            active = active[mistakes[active] <= allowed]
    losses, error_rates = losses / judged, mistakes / answers
    limit = (
        np.inf if criterion.loss_below is None else criterion.loss_below * task.chance_loss(setting.length)
    )
    solved = (judged == criterion.count) & (mistakes <= allowed) & (losses < limit)
    return np.asarray(solved), losses, error_rates
