"""A finished or unfinished sweep as a table, as pictures and as one self-contained page."""

from __future__ import annotations

import errno
import io
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup
from rich.console import Console
from rich.table import Table

from dynprop.errors import ArgumentError, DynpropError, LedgerError, TargetError
from dynprop.training.analysis.success import LearningTime, SuccessRate
from dynprop.training.show.looks import common
from dynprop.training.show.outcomes import Effort, Shown, shown
from dynprop.training.sweeps.sweep import Sweep, export_csv, finished
from dynprop.training.tasks import task_named
from dynprop.training.trials.trial import LOST, Trial

__all__ = ["Shown", "print_sweep", "remarks", "show_folder", "shown", "write_pages"]

TEMPLATE = "report.html.j2"
HEAD = ("length", "solved", "share", "95 % fixed", "any time", "updates to learn", "failures")
PAGES = ("curve.png", "curve.svg", "report.html")
# Seconds of silence before it is said what takes so long, and between two such lines.
PATIENCE, EVERY = 3.0, 5.0
# Ids that are not random, and letters that look the same everywhere: the same sweep gives the same file.
SVG: Any = {"svg.hashsalt": "dynprop", "svg.fonttype": "path"}


def remarks(sweep: Sweep, trials: Sequence[Trial], folder: Path | None = None) -> list[str]:
    """Say what the numbers do not: who learnt nothing, what was lost, what is missing.

    Args:
        sweep: what was asked for.
        trials: its runs.
        folder: where it is, for the commands that are named.
    """
    task = task_named(sweep.task)
    lost = [trial for trial in trials if trial.status in LOST]
    failures = [trial for trial in trials if not trial.succeeded and trial.status not in LOST]
    idle = [trial for trial in failures if trial.at_chance]
    go_on = f"dynprop train --resume {'DIR' if folder is None else folder}"
    found = []
    if idle:
        levels = sorted({task.chance_loss(trial.setting.length) for trial in idle})
        texts = list(dict.fromkeys(f"{level:.4g}" for level in levels))
        said = ", ".join(texts) if len(texts) <= 3 else f"{texts[0]} to {texts[-1]}"
        found.append(
            f"{len(idle)} of {len(failures)} failures learnt nothing: loss {said} is the level "
            f"of {task.level}"
        )
    if lost:
        late = sum(trial.status == "timed out" for trial in lost)
        kinds = ((late, "timed out"), (len(lost) - late, "with their worker"))
        ways = ", ".join(f"{count} {kind}" for count, kind in kinds if count)
        found.append(
            f"{len(lost)} of {len(trials)} runs were lost ({ways}) and count as failures; "
            f"train them again: {go_on} --retry"
        )
    asked = len(sweep.settings) * sweep.seeds
    if asked > len(trials):
        found.append(f"{asked - len(trials)} of {asked} runs are not done yet: {go_on}")
    found.append(f"success: {task.criterion.text}")
    return found


def _interval(interval: tuple[float, float]) -> str:
    return f"[{interval[0]:.2f}, {interval[1]:.2f}]"


def _to_learn(spent: LearningTime, effort: Effort) -> str:
    """Say the median with its interval, or what it is more than."""
    if spent.median is None:
        if effort.used is None:
            return "" if effort.broke is None else "diverged"
        return f"over {effort.used}"
    median = f"{spent.median:.0f}"
    if spent.low is None and spent.high is None:
        return median
    if spent.high is None:
        return f"{median} ({spent.low:.0f} or more)"
    return f"{median} ({'up to ' if spent.low is None else f'{spent.low:.0f}-'}{spent.high:.0f})"


def _cells(rate: SuccessRate, spent: LearningTime, effort: Effort) -> list[str]:
    return [
        str(rate.length),
        f"{rate.successes}/{rate.trials}",
        f"{rate.rate:.2f}",
        _interval(rate.interval),
        _interval(rate.sequence),
        _to_learn(spent, effort),
        ", ".join(f"{count} {cause}" for cause, count in effort.causes),
    ]


def _rows(entry: Shown) -> list[list[str]]:
    return [_cells(*each) for each in zip(entry.curve.rates, entry.times, entry.efforts, strict=True)]


def print_sweep(
    sweep: Sweep, trials: Sequence[Trial], console: Console | None = None, *, folder: Path | None = None
) -> None:
    """Print a table for each configuration, its threshold, and remarks.

    Args:
        sweep: what was asked for.
        trials: its runs.
        console: where to; default stdout.
        folder: where the sweep is, for the commands that are named.
    """
    out = console or Console(markup=False, emoji=False, highlight=False, soft_wrap=True)
    for entry in shown(sweep, trials):
        title = f"{sweep.task}: {entry.curve.name}"
        table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
        for name in HEAD:
            last = name == HEAD[-1]
            table.add_column(name, justify="left" if last else "right", no_wrap=not last)
        for row in _rows(entry):
            table.add_row(*row)
        out.print(table)
        out.print(f"threshold: {entry.curve.threshold}\n")
    for line in remarks(sweep, trials, folder):
        out.print(line)


class _Patience:
    """Says on stderr what is being done, once it takes long."""

    def __init__(self) -> None:
        self._begin = time.monotonic()
        self._next = self._begin + PATIENCE

    def __call__(self, doing: str) -> None:
        if (now := time.monotonic()) >= self._next:
            self._next = now + EVERY
            # As the live view of training says it.
            print(f"dynprop: {now - self._begin:.0f} s · {doing}", file=sys.stderr, flush=True)


def write_pages(
    folder: Path, sweep: Sweep, trials: Sequence[Trial], listen: Callable[[str], None] | None = None
) -> list[Path]:
    """Write curve.png, curve.svg and report.html into the folder of a sweep; return their paths.

    Args:
        folder: of the sweep.
        sweep: what was asked for.
        trials: its runs.
        listen: is told what is being computed; by default it is said on stderr, once that takes long.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
        LedgerError: a file cannot be written; it is as it was before.
    """
    paths = [folder / name for name in PAGES]
    try:
        # Before anything is computed for a folder that cannot be written.
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _unwritten(paths, error) from error
    import matplotlib as mpl

    from dynprop.training.show.plots import plot_sweep

    entries = shown(sweep, trials)
    figure = plot_sweep(sweep, entries, listen=listen or _Patience())
    picture, drawing = io.BytesIO(), io.StringIO()
    figure.savefig(picture, format="png", dpi=150)
    # Laid out already.
    figure.set_layout_engine("none")
    with mpl.rc_context(SVG):
        # Nor does a date make files of the same sweep differ.
        figure.savefig(drawing, format="svg", metadata={"Date": None})
    text = drawing.getvalue()
    page = _page(sweep, trials, entries, text, folder)
    for path, data in zip(paths, (picture.getvalue(), text.encode(), page.encode()), strict=True):
        _write(path, data)
    return paths


def _write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    new = path.with_name(f"{path.name}.new")
    try:
        new.write_bytes(data)
        new.replace(path)
    except OSError as error:
        with suppress(OSError):
            new.unlink()
        raise _unwritten([path], error) from error


def _unwritten(paths: Sequence[Path], error: OSError, advice: str = "") -> LedgerError:
    """Return an error that names files and says what to do: an error of a full disk names none."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        advice = "make room on the disk"
    names = ", ".join(str(path) for path in paths)
    reason = error.strerror or str(error)
    return LedgerError(
        f"{names}: {reason}: {advice or 'show a copy of the folder, where files can be written'}"
    )


def show_folder(folder: Path, table: Path | None = None) -> None:
    """Print the table of a sweep, write its pages, and every run as a line of a CSV file.

    The table is printed, and each file written, whether or not another file can be.

    Raises:
        ArgumentError: the folder holds no sweep, or nothing has been trained yet.
        LedgerError: the ledger cannot be read, or a file cannot be written.
        TargetError: matplotlib is not installed.
    """
    sweep, trials = finished(folder)
    if not trials:
        raise ArgumentError("show", str(folder), f"a sweep with runs; go on with --resume {folder}")
    print_sweep(sweep, trials, folder=folder)
    sys.stdout.flush()
    written: list[Path] = []
    failed: list[DynpropError] = []
    if table is not None:
        try:
            export_csv(trials, table)
            written.append(table)
        except OSError as error:
            failed.append(_unwritten([table], error, "name a file that can be written"))
    try:
        written = [*write_pages(folder, sweep, trials), *written]
    except LedgerError as error:
        failed.append(error)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "matplotlib":
            raise
        failed.append(TargetError("pictures need matplotlib: pip install 'dynprop[plots]'"))
    if written:
        print("written: " + ", ".join(str(path) for path in written))
    if failed:
        raise type(failed[0])("; ".join(str(error) for error in failed))


def _page(sweep: Sweep, trials: Sequence[Trial], entries: Sequence[Shown], picture: str, folder: Path) -> str:
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(files(__package__).joinpath(TEMPLATE).read_text(encoding="utf-8"))
    rows: list[dict[str, Any]] = [
        {"name": entry.curve.name, "threshold": str(entry.curve.threshold), "rows": _rows(entry)}
        for entry in entries
    ]
    return template.render(
        task=task_named(sweep.task),
        sweep=sweep,
        common=common(sweep.settings),
        head=HEAD,
        entries=rows,
        remarks=remarks(sweep, trials, Path(os.path.normpath(folder))),
        picture=Markup(picture[picture.index("<svg") :]),
    )
