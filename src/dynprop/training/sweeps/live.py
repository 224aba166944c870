"""Live view of a running sweep on stderr: successes by configuration and length, and time left."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table

from dynprop.progress_line import EVERY, ProgressLine
from dynprop.training.store.index import add_to_counts
from dynprop.training.sweeps.events import GroupStarted, Recorded, SweepEvent, TrainingProgress
from dynprop.training.sweeps.sweep import Folder
from dynprop.training.trials.setting import Setting

__all__ = ["LiveView", "configuration"]


def configuration(setting: Setting, settings: Sequence[Setting]) -> str:
    """Name a configuration by the options in which the sweep varies, and by its initialisation."""
    names = [n for n in ("cell", "optimiser") if len({getattr(s, n) for s in settings}) > 1]
    return ", ".join([*(str(getattr(setting, n)) for n in names), setting.init])


class LiveView:
    """The view of one run of a sweep; use it as the ``listen`` of `run_sweep`.

    On a terminal it is a table that is redrawn: a row per configuration, a column per length, each cell the
    successes of the recorded runs, and the wanted number. Elsewhere it is a plain line, at most one every
    five seconds.

    Args:
        folder: of the sweep, open.
        file: where to write; default stderr.
        every: seconds between plain lines.
        retry: whether lost runs are trained again.
    """

    def __init__(
        self, folder: Folder, *, file: TextIO | None = None, every: float = EVERY, retry: bool = False
    ) -> None:
        self._console = Console(file=file or sys.stderr, markup=False, emoji=False, highlight=False)
        self._settings = folder.sweep.settings
        self._wanted = folder.sweep.seeds
        own_keys = {setting.key for setting in self._settings}
        counts = folder.ledger.counts(lost=not retry)
        self._counts = {key: pair for key, pair in counts.items() if key in own_keys}
        self._total = len(self._settings) * self._wanted
        self._already = sum(min(self._wanted, total) for total, _ in self._counts.values())
        self._added = 0
        self._line = ProgressLine(self._console.file, every)
        self._now = ""
        # A rich.live.Live, which is imported only on a terminal.
        self._live: Any = None

    def __call__(self, event: SweepEvent) -> None:
        """Update the view after an event of the sweep."""
        match event:
            case Recorded(trials):
                add_to_counts(self._counts, trials)
                self._added += len(trials)
            case GroupStarted(setting):
                self._now = f"{configuration(setting, self._settings)}, length {setting.length}"
            case TrainingProgress(updates, training, succeeded):
                where = self._now.partition(" · ")[0]
                self._now = f"{where} · update {updates}, {training} training, {succeeded} solved"
        self._show()

    def line(self) -> str:
        """Return the state of the sweep on one line."""
        done = self._already + self._added
        solved = sum(successes for _, successes in self._counts.values())
        parts = [f"{done}/{self._total} runs, {solved} successes", self._time_left(), self._now]
        return " · ".join(part for part in parts if part)

    def _time_left(self) -> str:
        """Estimate the time left from the rate of added runs."""
        if not self._added:
            return ""
        each = self._line.seconds() / self._added
        seconds = each * (self._total - self._already - self._added)
        return f"{seconds / 60:.0f} min left" if seconds >= 90 else f"{seconds:.0f} s left"

    def table(self) -> Table:
        """Return the table of successes, configurations by lengths."""
        lengths = sorted({setting.length for setting in self._settings})
        table = Table(title=self.line(), title_justify="left", title_style="")
        table.add_column("initialisation")
        for length in lengths:
            table.add_column(str(length), justify="right")
        rows: dict[str, list[str]] = {}
        for setting in self._settings:
            row = rows.setdefault(configuration(setting, self._settings), [""] * len(lengths))
            total, successes = self._counts.get(setting.key, (0, 0))
            open_ = "" if total >= self._wanted else f" of {self._wanted}"
            row[lengths.index(setting.length)] = f"{successes}/{total}{open_}" if total else "·"
        for name, row in rows.items():
            table.add_row(name, *row)
        return table

    @contextmanager
    def display(self) -> Iterator[LiveView]:
        """Show the view inside the context."""
        if not self._console.is_terminal:
            yield self
            return
        from rich.live import Live

        with Live(self.table(), console=self._console, transient=True, auto_refresh=False) as live:
            self._live = live
            try:
                yield self
            finally:
                self._live = None

    def _show(self) -> None:
        if self._live is not None:
            self._live.update(self.table(), refresh=True)
        elif not self._console.is_terminal:
            self._line.show(self.line())
