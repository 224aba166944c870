"""A finished or unfinished sweep as a table, as pictures and as one self-contained page."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup
from rich.console import Console
from rich.table import Table

from dynprop.errors import ArgumentError, LedgerError
from dynprop.training.live import configuration
from dynprop.training.success import LearningTime, SuccessCurve, SuccessRate, learning_time
from dynprop.training.sweep import Sweep, export_csv, finished
from dynprop.training.tasks import task_named
from dynprop.training.trial import Trial

__all__ = ["Shown", "print_sweep", "remarks", "show_folder", "shown", "write_pages"]

TEMPLATE = "report.html.j2"
HEAD = ("length", "solved", "share", "95 % fixed", "any time", "updates", "failures")


@dataclass(frozen=True)
class Shown:
    """One configuration of a sweep: its curve, and how long its successes took.

    Attributes:
        curve: counted by length.
        times: one for each rate of the curve.
    """

    curve: SuccessCurve
    times: tuple[LearningTime, ...]


def shown(sweep: Sweep, trials: Sequence[Trial]) -> list[Shown]:
    """Count the runs of a sweep, configuration by configuration."""
    settings = sweep.settings
    names = {setting.key: configuration(setting, settings) for setting in settings}
    by_name: dict[str, list[Trial]] = {name: [] for name in names.values()}
    for trial in trials:
        by_name[names[trial.setting.key]].append(trial)
    found = []
    for name, own in by_name.items():
        curve = SuccessCurve.of(name, own)
        times = (learning_time(t for t in own if t.setting.length == rate.length) for rate in curve.rates)
        found.append(Shown(curve, tuple(times)))
    return found


def remarks(sweep: Sweep, trials: Sequence[Trial]) -> list[str]:
    """Say what the numbers do not: who learnt nothing, what is missing."""
    task = task_named(sweep.task)
    failures = [trial for trial in trials if not trial.succeeded]
    idle = [trial for trial in failures if trial.at_chance]
    found = []
    if idle:
        levels = sorted({f"{task.chance_loss(trial.setting.length):.4g}" for trial in idle})
        found.append(
            f"{len(idle)} of {len(failures)} failures learnt nothing: loss {', '.join(levels)} is the level "
            f"of {task.level}"
        )
    asked = len(sweep.settings) * sweep.seeds
    if asked > len(trials):
        found.append(f"{asked - len(trials)} of {asked} runs are not done yet")
    found.append(f"success: {task.criterion.text}")
    return found


def _percent(interval: tuple[float, float]) -> str:
    return f"[{interval[0]:.2f}, {interval[1]:.2f}]"


def _cells(rate: SuccessRate, spent: LearningTime) -> list[str]:
    median = "" if spent.median is None else f"{spent.median:.0f}"
    if median and (spent.low, spent.high) != (None, None):
        low, high = ("?" if side is None else f"{side:.0f}" for side in (spent.low, spent.high))
        median += f" ({low}-{high})"
    counts = (
        (rate.explosions, "exploded"),
        (rate.vanishings, "vanished"),
        (rate.lost, "lost"),
    )
    return [
        str(rate.length),
        f"{rate.successes}/{rate.trials}",
        f"{rate.rate:.2f}",
        _percent(rate.interval),
        _percent(rate.sequence),
        median,
        ", ".join(f"{count} {name}" for count, name in counts if count),
    ]


def print_sweep(sweep: Sweep, trials: Sequence[Trial], console: Console | None = None) -> None:
    """Print a table for each configuration, its threshold, and remarks."""
    out = console or Console(markup=False, emoji=False, highlight=False, soft_wrap=True)
    for entry in shown(sweep, trials):
        title = f"{sweep.task}: {entry.curve.name}"
        table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
        for name in HEAD:
            last = name == HEAD[-1]
            table.add_column(name, justify="left" if last else "right", no_wrap=not last)
        for rate, spent in zip(entry.curve.rates, entry.times, strict=True):
            table.add_row(*_cells(rate, spent))
        out.print(table)
        out.print(f"{entry.curve.threshold}\n")
    for line in remarks(sweep, trials):
        out.print(line)


def write_pages(folder: Path, sweep: Sweep, trials: Sequence[Trial]) -> list[Path]:
    """Write curve.png, curve.svg and report.html into the folder of a sweep; return their paths.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    from dynprop.training.plots import plot_sweep

    entries = shown(sweep, trials)
    figure = plot_sweep(sweep, [entry.curve for entry in entries], [entry.times for entry in entries])
    paths = [folder / "curve.png", folder / "curve.svg", folder / "report.html"]
    figure.savefig(paths[0], dpi=150)
    picture = io.StringIO()
    # Without a date the same sweep gives the same file.
    figure.savefig(picture, format="svg", metadata={"Date": None})
    paths[1].write_text(picture.getvalue(), encoding="utf-8")
    paths[2].write_text(_page(sweep, trials, entries, picture.getvalue()), encoding="utf-8")
    return paths


def show_folder(folder: Path, table: Path | None = None) -> None:
    """Print the table of a sweep, write its pages, and every run as a line of a CSV file.

    Raises:
        ArgumentError: the folder holds no sweep, or nothing has been trained yet.
        LedgerError: the ledger or a file cannot be read or written.
    """
    sweep, trials = finished(folder)
    if not trials:
        raise ArgumentError("show", str(folder), f"a sweep with runs; go on with --resume {folder}")
    print_sweep(sweep, trials)
    try:
        if table is not None:
            export_csv(trials, table)
        written = [*write_pages(folder, sweep, trials), *([table] if table else [])]
    except OSError as error:
        raise LedgerError(f"{error.filename}: {error.strerror}: name a file that can be written") from error
    print("written: " + ", ".join(str(path) for path in written))


def _page(sweep: Sweep, trials: Sequence[Trial], entries: Sequence[Shown], picture: str) -> str:
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(files(__package__).joinpath(TEMPLATE).read_text(encoding="utf-8"))
    rows: list[dict[str, Any]] = [
        {
            "name": entry.curve.name,
            "threshold": str(entry.curve.threshold),
            "rows": [_cells(r, t) for r, t in zip(entry.curve.rates, entry.times, strict=True)],
        }
        for entry in entries
    ]
    return template.render(
        task=task_named(sweep.task),
        sweep=sweep,
        head=HEAD,
        entries=rows,
        remarks=remarks(sweep, trials),
        picture=Markup(picture[picture.index("<svg") :]),
    )
