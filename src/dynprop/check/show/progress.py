"""The progress line of a check, on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from rich.console import Console

from dynprop.check.run.events import (
    CaseReplayed,
    CasesDone,
    Event,
    LawFinished,
    LawStarted,
    Loaded,
    Shrinking,
    SmallerCaseDone,
)
from dynprop.check.run.session import chosen_laws
from dynprop.progress_line import EVERY, ProgressLine

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

__all__ = ["Progress"]


class Progress:
    """A line on stderr with the law and the number of its cases; use it as the ``listen`` of a check.

    On a terminal it is one line that is redrawn and removed at the end; elsewhere it is a plain line, at most
    one every five seconds.

    Args:
        total: number of laws.
        noun: the plural of the things counted.
        file: where to write; default stderr.
        every: seconds between plain lines.
        only: the laws that run, if not all; a total of 0 is then found when the kind of the target is known.
    """

    def __init__(
        self,
        total: int = 0,
        *,
        noun: str = "laws",
        file: TextIO | None = None,
        every: float = EVERY,
        only: Sequence[str] | None = None,
    ) -> None:
        self._console = Console(file=file or sys.stderr, markup=False, emoji=False, highlight=False)
        self._total = total
        self._only = only
        self._noun = noun
        self._plain = ProgressLine(self._console.file, every)
        self._law, self._doing, self._cases = "", "starting", 0
        self._done = self._failed = 0
        self._live: tuple[Bar, TaskID] | None = None

    def __call__(self, event: Event) -> None:
        """Show one event of a check or of a replay."""
        match event:
            case Loaded(target):
                self._total = self._total or len(chosen_laws(target.named.kind, self._only))
            case LawStarted(law):
                self._law, self._doing, self._cases = law, "", 0
            case CasesDone(count):
                self._cases = count
            case Shrinking() | SmallerCaseDone():
                self._doing = "making the counterexample smaller"
            case LawFinished(finished):
                self._done += 1
                self._failed += finished.failed
            case CaseReplayed(replayed):
                self._done += 1
                self._failed += replayed.failed
        self._show()

    def step(self, name: str, done: int, total: int) -> None:
        """Show that something starts, with the number of those done and of all."""
        self._law, self._doing, self._done, self._total = name, "", done, total
        self._show()

    def line(self) -> str:
        """Return the line."""
        failed = f", {self._failed} failed" if self._failed else ""
        doing = self._doing or (f"{self._cases} cases" if self._cases else "")
        parts = [f"{self._done}/{self._total} {self._noun}{failed}", self._law, doing]
        return " · ".join([part for part in parts if part])

    @contextmanager
    def display(self) -> Iterator[Progress]:
        """Show the line inside the context."""
        if not self._console.is_terminal:
            yield self
            return
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        columns = (
            TimeElapsedColumn(),
            BarColumn(bar_width=16),
            TextColumn("{task.description}", markup=False),
        )
        with Bar(*columns, console=self._console, transient=True, redirect_stdout=False) as bar:
            task = bar.add_task(self.line(), total=self._total)
            self._live = (bar, task)
            try:
                yield self
            finally:
                self._live = None

    def _show(self) -> None:
        if self._live is not None:
            bar, task = self._live
            bar.update(task, total=self._total, completed=self._done, description=self.line())
        elif not self._console.is_terminal:
            self._plain.show(self.line())
