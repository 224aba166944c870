"""Progress lines on a stream that is no terminal: "dynprop: 12 s · ...", at most one every few seconds."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import IO

__all__ = ["EVERY", "ProgressLine"]

# Seconds between two lines.
EVERY = 5.0


class ProgressLine:
    """Prints a line when it is due; otherwise nothing.

    Args:
        file: where to write.
        every: seconds between two lines.
        first: seconds before the first line; None for `every`.
    """

    def __init__(self, file: IO[str], every: float = EVERY, first: float | None = None) -> None:
        self._file = file
        self._every = every
        self._begin = time.monotonic()
        self._due = self._begin + (every if first is None else first)

    def seconds(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self._begin

    def show(self, text: str) -> None:
        """Print a text if a line is due."""
        now = time.monotonic()
        if now >= self._due:
            self._due = now + self._every
            # A stream that is full or closed ends the lines, not the work.
            with suppress(OSError, ValueError):
                print(f"dynprop: {now - self._begin:.0f} s · {text}", file=self._file, flush=True)
