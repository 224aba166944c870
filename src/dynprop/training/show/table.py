"""A finished or unfinished sweep as a table, with remarks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from dynprop.training.analysis.success import LearningTime, SuccessRate
from dynprop.training.show.summary import Summary, Unsolved, summarise
from dynprop.training.sweeps.sweep import Sweep
from dynprop.training.tasks import task_named
from dynprop.training.trials.trial import LOST, Trial

__all__ = ["HEAD", "print_sweep", "remarks", "rows"]

HEAD = ("length", "solved", "share", "95 % fixed", "any time", "updates to learn", "failures")


def remarks(sweep: Sweep, trials: Sequence[Trial], folder: Path | None = None) -> list[str]:
    """Return remarks on failures at chance level, lost runs, missing runs, and the success criterion.

    Args:
        sweep: to be described.
        trials: its runs.
        folder: of the sweep, for the commands in the remarks.
    """
    task = task_named(sweep.task)
    lost = [trial for trial in trials if trial.status in LOST]
    failures = [trial for trial in trials if not trial.succeeded and trial.status not in LOST]
    at_chance = [trial for trial in failures if trial.at_chance]
    go_on = f"dynprop train --resume {'DIR' if folder is None else folder}"
    lines = []
    if at_chance:
        levels = sorted({task.chance_loss(trial.setting.length) for trial in at_chance})
        texts = list(dict.fromkeys(f"{level:.4g}" for level in levels))
        losses = ", ".join(texts) if len(texts) <= 3 else f"{texts[0]} to {texts[-1]}"
        lines.append(
            f"{len(at_chance)} of {len(failures)} failures learnt nothing: loss {losses} is the level "
            f"of {task.level}"
        )
    if lost:
        timed_out = sum(trial.status == "timed out" for trial in lost)
        kinds = ((timed_out, "timed out"), (len(lost) - timed_out, "with their worker"))
        causes = ", ".join(f"{count} {kind}" for count, kind in kinds if count)
        lines.append(
            f"{len(lost)} of {len(trials)} runs were lost ({causes}) and count as failures; "
            f"train them again: {go_on} --retry"
        )
    wanted = len(sweep.settings) * sweep.seeds
    if wanted > len(trials):
        lines.append(f"{wanted - len(trials)} of {wanted} runs are not done yet: {go_on}")
    lines.append(f"success: {task.criterion.text}")
    return lines


def _interval(interval: tuple[float, float]) -> str:
    return f"[{interval[0]:.2f}, {interval[1]:.2f}]"


def _updates(time: LearningTime, unsolved: Unsolved) -> str:
    """Return the median with its interval, or its lower bound."""
    if time.median is None:
        if unsolved.budget_used is None:
            return "" if unsolved.diverged_after is None else "diverged"
        return f"over {unsolved.budget_used}"
    median = f"{time.median:.0f}"
    if time.low is None and time.high is None:
        return median
    if time.high is None:
        return f"{median} ({time.low:.0f} or more)"
    return f"{median} ({'up to ' if time.low is None else f'{time.low:.0f}-'}{time.high:.0f})"


def _cells(rate: SuccessRate, time: LearningTime, unsolved: Unsolved) -> list[str]:
    return [
        str(rate.length),
        f"{rate.successes}/{rate.trials}",
        f"{rate.rate:.2f}",
        _interval(rate.interval),
        _interval(rate.sequence),
        _updates(time, unsolved),
        ", ".join(f"{count} {cause}" for cause, count in unsolved.causes),
    ]


def rows(entry: Summary) -> list[list[str]]:
    """Return the cells of one configuration, a row per length."""
    return [_cells(*each) for each in zip(entry.curve.rates, entry.times, entry.unsolved, strict=True)]


def print_sweep(
    sweep: Sweep, trials: Sequence[Trial], console: Console | None = None, *, folder: Path | None = None
) -> None:
    """Print a table for each configuration, its threshold, and remarks.

    Args:
        sweep: to be described.
        trials: its runs.
        console: where to write; default stdout.
        folder: of the sweep, for the commands in the remarks.
    """
    out = console or Console(markup=False, emoji=False, highlight=False, soft_wrap=True)
    for entry in summarise(sweep, trials):
        title = f"{sweep.task}: {entry.curve.name}"
        table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
        for name in HEAD:
            last = name == HEAD[-1]
            table.add_column(name, justify="left" if last else "right", no_wrap=not last)
        for row in rows(entry):
            table.add_row(*row)
        out.print(table)
        out.print(f"threshold: {entry.curve.threshold}\n")
    for line in remarks(sweep, trials, folder):
        out.print(line)
