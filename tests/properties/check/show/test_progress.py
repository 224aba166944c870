"""The progress of a check, away from a terminal: a plain line when it is due."""

from __future__ import annotations

import re
from io import StringIO

from dynprop.check.run.events import CasesDone, LawFinished, LawStarted
from dynprop.check.run.outcome import LawResult
from dynprop.check.show.progress import Progress


def lines(every: float) -> list[str]:
    file = StringIO()
    progress = Progress(2, file=file, every=every)
    with progress.display():
        progress(LawStarted("scan/forward"))
        progress(CasesDone(7))
        progress(LawFinished(LawResult("scan/forward", cases=7, errors=1)))
    return [re.sub(r"^dynprop: \d+ s · ", "", line) for line in file.getvalue().splitlines()]


def test_every_event_is_a_line_that_counts_laws_failures_and_cases() -> None:
    started, counted, finished = lines(every=0.0)
    assert started == "0/2 laws · scan/forward"
    assert counted == "0/2 laws · scan/forward · 7 cases"
    assert finished == "1/2 laws, 1 failed · scan/forward · 7 cases"


def test_no_line_is_printed_before_it_is_due() -> None:
    assert lines(every=3600.0) == []
