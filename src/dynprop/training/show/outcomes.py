"""The runs of a sweep, counted configuration by configuration: what its table, pictures and page show."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from dynprop.training.analysis.success import LearningTime, SuccessCurve, learning_time
from dynprop.training.sweeps.live import configuration
from dynprop.training.sweeps.sweep import Sweep
from dynprop.training.trials.setting import Setting
from dynprop.training.trials.trial import LOST, Trial

__all__ = ["Effort", "Shown", "shown"]


@dataclass(frozen=True)
class Effort:
    """What the runs of one length that did not succeed have spent.

    Attributes:
        used: updates of those that used up their budget, or None where no run did.
        broke: median updates after which those broke off whose numbers were none, or None without such.
        causes: how many failed, by cause; "lost" for those that timed out or whose worker was lost.
    """

    used: int | None
    broke: float | None
    causes: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Shown:
    """One configuration of a sweep.

    Attributes:
        settings: by increasing length, those that nothing was trained of included.
        curve: counted by length, where there are runs.
        times: how long successes took, one for each rate of the curve.
        efforts: what the others spent, one for each rate of the curve.
    """

    settings: tuple[Setting, ...]
    curve: SuccessCurve
    times: tuple[LearningTime, ...]
    efforts: tuple[Effort, ...]


def shown(sweep: Sweep, trials: Sequence[Trial]) -> list[Shown]:
    """Count the runs of a sweep, configuration by configuration."""
    settings = sweep.settings
    names = {setting.key: configuration(setting, settings) for setting in settings}
    by_name: dict[str, tuple[list[Setting], list[Trial]]] = {}
    for setting in settings:
        by_name.setdefault(names[setting.key], ([], []))[0].append(setting)
    for trial in trials:
        by_name[names[trial.setting.key]][1].append(trial)
    found = []
    for name, (own, runs) in by_name.items():
        curve = SuccessCurve.of(name, runs)
        groups = [[t for t in runs if t.setting.length == rate.length] for rate in curve.rates]
        times = tuple(learning_time(group) for group in groups)
        efforts = tuple(_effort(group) for group in groups)
        found.append(Shown(tuple(sorted(own, key=lambda s: s.length)), curve, times, efforts))
    return found


def _effort(trials: Sequence[Trial]) -> Effort:
    failed = [t.updates for t in trials if t.status == "failure"]
    broken = [t.updates for t in trials if t.status == "diverged"]
    causes = (
        ("exploded", sum(t.cause == "explosion" for t in trials)),
        ("vanished", sum(t.cause == "vanishing" for t in trials)),
        ("otherwise", sum(t.cause == "neither" for t in trials)),
        ("lost", sum(t.status in LOST for t in trials)),
    )
    return Effort(
        max(failed, default=None),
        statistics.median(broken) if broken else None,
        tuple((name, count) for name, count in causes if count),
    )
