"""Replaying a report: does each saved counterexample still fail?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from dynprop.check.process.isolate import replay_isolated
from dynprop.check.run.events import Listener
from dynprop.check.run.report import Report
from dynprop.check.run.session import Retrial
from dynprop.errors import ArgumentError
from dynprop.kinds import all_kinds, unusable_kinds

__all__ = ["exit_code", "read_report", "read_reports", "replay"]


def read_report(path: Path) -> Report:
    """Read the JSON file that ``dynprop check --json`` wrote for one target.

    Raises:
        ArgumentError: there is no such file, or it is not a report on one target.
    """
    return Report.from_json(_read(path))


def read_reports(path: Path) -> tuple[Report, ...]:
    """Read the JSON file that ``dynprop check --json`` wrote for one target or for a project.

    Targets that could not be judged are left out.

    Raises:
        ArgumentError: there is no such file, or it is not a report.
    """
    data = _read(path)
    targets = data.get("targets") if isinstance(data, dict) else None
    if not isinstance(targets, list):
        return (Report.from_json(data),)
    judged = [target for target in targets if not isinstance(target, dict) or "laws" in target]
    return tuple(Report.from_json(target) for target in judged)


def _read(path: Path) -> object:
    """Return the contents of a JSON file."""
    try:
        data: object = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ArgumentError(
            "report", f"{path} ({error.strerror})", "a file that check --json wrote"
        ) from error
    except ValueError as error:
        raise ArgumentError(
            "report", f"{path}, which is not JSON", "a file that check --json wrote"
        ) from error
    return data


def replay(report: Report, *, timeout: float | None = None, listen: Listener | None = None) -> list[Retrial]:
    """Run each saved counterexample of a report again, in a child process.

    Args:
        report: from ``read_report`` or ``dynprop.check.check``.
        timeout: seconds that one case may take; default that of the report, else 60.
        listen: called with every event of the replay; see ``dynprop.check.run.events``.

    Returns:
        One retrial per counterexample, in the order of the report.

    Raises:
        ArgumentError: the kind or a law of the report does not exist, or a saved case is no case of its kind.
        TargetError: the target cannot be loaded.
    """
    if report.kind not in {**all_kinds(), **unusable_kinds()}:
        expected = f"one of {', '.join(all_kinds())}; the package with this kind may not be installed"
        raise ArgumentError("kind", f"{report.kind!r} in the report", expected)
    return replay_isolated(report, timeout=timeout, listen=listen)


def exit_code(retrials: Sequence[Retrial]) -> int:
    """Return 1 if a counterexample still fails, else 0."""
    return int(any(retrial.failed for retrial in retrials))
