"""What a sweep shows while it runs, on stderr: each configuration and length, successes so far, time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table

from dynprop.training.store.index import add_to_counts
from dynprop.training.sweeps.sweep import Folder
from dynprop.training.trials.setting import Setting
from dynprop.training.trials.trial import Trial

__all__ = ["LiveView", "configuration"]


def configuration(setting: Setting, others: Sequence[Setting]) -> str:
    """Name a configuration by what tells it from the others of its sweep; the initialisation always."""
    names = [n for n in ("cell", "optimiser") if len({getattr(s, n) for s in others}) > 1]
    return ", ".join([*(str(getattr(setting, n)) for n in names), setting.init])


class LiveView:
    """The view of one run of a sweep; use it as the ``listen`` of `run_sweep`.

    On a terminal a table that is redrawn: a row per configuration, a column per length, each cell the
    successes of the runs that are recorded, and how many are wanted. Elsewhere a plain line, at most one
    every five seconds.

    Args:
        folder: of the sweep, open.
        file: where to write; default stderr.
        every: seconds between plain lines.
        retry: whether runs that were lost are trained again.
    """

    def __init__(
        self, folder: Folder, *, file: TextIO | None = None, every: float = 5.0, retry: bool = False
    ) -> None:
        self._console = Console(file=file or sys.stderr, markup=False, emoji=False, highlight=False)
        self._settings = folder.sweep.settings
        self._wanted = folder.sweep.seeds
        own = {setting.key for setting in self._settings}
        counts = folder.ledger.counts(lost=not retry)
        self._counts = {key: pair for key, pair in counts.items() if key in own}
        self._total = len(self._settings) * self._wanted
        self._already = sum(min(self._wanted, total) for total, _ in self._counts.values())
        self._added = 0
        self._every = every
        self._begin = self._spoke = time.monotonic()
        self._now = ""
        self._live: Any = None

    def __call__(self, event: str, value: Any) -> None:
        """Take note of one event of a sweep."""
        if event == "recorded":
            self._record(value)
        elif event == "group":
            self._now = f"{configuration(value.setting, self._settings)}, length {value.setting.length}"
        elif event == "progress":
            made, going, solved = value
            where = self._now.partition(" · ")[0]
            self._now = f"{where} · update {made}, {going} training, {solved} solved"
        self._show()

    def _record(self, trials: Sequence[Trial]) -> None:
        add_to_counts(self._counts, trials)
        self._added += len(trials)

    def line(self) -> str:
        """Return the state of the sweep on one line."""
        done = self._already + self._added
        solved = sum(successes for _, successes in self._counts.values())
        parts = [f"{done}/{self._total} runs, {solved} successes", self._left(), self._now]
        return " · ".join(part for part in parts if part)

    def _left(self) -> str:
        """Estimate the time left from the runs that were added."""
        if not self._added:
            return ""
        each = (time.monotonic() - self._begin) / self._added
        seconds = each * (self._total - self._already - self._added)
        return f"{seconds / 60:.0f} min left" if seconds >= 90 else f"{seconds:.0f} s left"

    def table(self) -> Table:
        """Return the table of successes, configurations by lengths."""
        lengths = sorted({setting.length for setting in self._settings})
        found = Table(title=self.line(), title_justify="left", title_style="")
        found.add_column("initialisation")
        for length in lengths:
            found.add_column(str(length), justify="right")
        rows: dict[str, list[str]] = {}
        for setting in self._settings:
            row = rows.setdefault(configuration(setting, self._settings), [""] * len(lengths))
            total, successes = self._counts.get(setting.key, (0, 0))
            open_ = "" if total >= self._wanted else f" of {self._wanted}"
            row[lengths.index(setting.length)] = f"{successes}/{total}{open_}" if total else "·"
        for name, row in rows.items():
            found.add_row(name, *row)
        return found

    @contextmanager
    def shown(self) -> Iterator[LiveView]:
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
        elif not self._console.is_terminal and time.monotonic() - self._spoke >= self._every:
            self._spoke = time.monotonic()
            seconds = self._spoke - self._begin
            print(f"dynprop: {seconds:.0f} s · {self.line()}", file=self._console.file, flush=True)
