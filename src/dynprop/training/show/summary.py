"""Runs of a sweep, counted by configuration and length, for its table, figure and page."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from dynprop.training.analysis.success import LearningTime, SuccessCurve, learning_time
from dynprop.training.sweeps.live import configuration
from dynprop.training.sweeps.sweep import Sweep
from dynprop.training.trials.setting import Setting
from dynprop.training.trials.trial import LOST, Trial

__all__ = ["Summary", "Unsolved", "summarise"]


@dataclass(frozen=True)
class Unsolved:
    """Runs of one length without success.

    Attributes:
        budget_used: updates of runs that used up their budget; None if none did.
        diverged_after: median update at which runs diverged to NaN; None if none did.
        causes: number of failures by cause; "lost" for runs that timed out or lost their worker.
    """

    budget_used: int | None
    diverged_after: float | None
    causes: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Summary:
    """One configuration of a sweep.

    Attributes:
        settings: by increasing length, with or without runs.
        curve: success rates of the lengths that have runs.
        times: updates until success, one for each rate of the curve.
        unsolved: the other runs, one for each rate of the curve.
    """

    settings: tuple[Setting, ...]
    curve: SuccessCurve
    times: tuple[LearningTime, ...]
    unsolved: tuple[Unsolved, ...]


def summarise(sweep: Sweep, trials: Sequence[Trial]) -> list[Summary]:
    """Count the runs of a sweep, configuration by configuration."""
    settings = sweep.settings
    names = {setting.key: configuration(setting, settings) for setting in settings}
    by_name: dict[str, tuple[list[Setting], list[Trial]]] = {}
    for setting in settings:
        by_name.setdefault(names[setting.key], ([], []))[0].append(setting)
    for trial in trials:
        by_name[names[trial.setting.key]][1].append(trial)
    summaries = []
    for name, (members, runs) in by_name.items():
        curve = SuccessCurve.of(name, runs)
        groups = [[t for t in runs if t.setting.length == rate.length] for rate in curve.rates]
        times = tuple(learning_time(group) for group in groups)
        unsolved = tuple(_unsolved(group) for group in groups)
        summaries.append(Summary(tuple(sorted(members, key=lambda s: s.length)), curve, times, unsolved))
    return summaries


def _unsolved(trials: Sequence[Trial]) -> Unsolved:
    failed = [t.updates for t in trials if t.status == "failure"]
    diverged = [t.updates for t in trials if t.status == "diverged"]
    causes = (
        ("exploded", sum(t.cause == "explosion" for t in trials)),
        ("vanished", sum(t.cause == "vanishing" for t in trials)),
        ("otherwise", sum(t.cause == "neither" for t in trials)),
        ("lost", sum(t.status in LOST for t in trials)),
    )
    return Unsolved(
        max(failed, default=None),
        statistics.median(diverged) if diverged else None,
        tuple((name, count) for name, count in causes if count),
    )
