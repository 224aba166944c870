"""Every record of docs/evidence beside its source: names that are missing, and code that changed since.

python docs/records.py      prints the digests that each record describes beside today's; exits with 1 if
a record lacks a required name of its source, or has one too many
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from docs import layers  # noqa: E402 - the repository is on the path from here on
from dynprop.evidence.compare import Code, Names, Source, digest_lines, entry_differences, laws_text  # noqa: E402
from dynprop.evidence.record import calls, controls, experiments, faults, powers  # noqa: E402
from dynprop.kinds import laws_for  # noqa: E402
from examples import survey  # noqa: E402

__all__ = ["SOURCES", "main", "read", "undated"]

EVIDENCE = ROOT / "docs" / "evidence"


def _survey_expected() -> Names:
    return {entry["name"]: frozenset(law.id for law in laws_for(entry["kind"])) for entry in survey.listed()}


def _survey_recorded(data: Mapping[str, Any]) -> Names:
    return {entry["name"]: frozenset(law["id"] for law in entry["laws"]) for entry in data["entries"]}


def _survey_today() -> Code:
    return {entry["name"]: survey.code_of_entry(entry) for entry in survey.listed()}


def _survey_described(data: Mapping[str, Any]) -> Code:
    return {entry["name"]: entry.get("code") for entry in data["entries"]}


SOURCES: Mapping[str, Source] = {
    "faults.json": faults.SOURCE,
    "controls.json": controls.SOURCE,
    "closed_form.json": powers.SOURCE,
    "calls.json": calls.SOURCE,
    "layers.json": layers.SOURCE,
    "training.json": experiments.SOURCE,
    "survey.json": Source(
        "python examples/survey.py --all --record docs/evidence/survey.json --resume",
        _survey_expected,
        _survey_recorded,
        _survey_today,
        _survey_described,
        entry_differences,
    ),
}


def read(name: str) -> dict[str, Any]:
    """Return a record."""
    found: dict[str, Any] = json.loads((EVIDENCE / name).read_text(encoding="utf-8"))
    return found


def undated(data: Mapping[str, Any]) -> list[str]:
    """Return what a record, or one of its runs, does not carry of date, seed and versions."""
    entries = [{**data, **entry} for entry in data.get("entries", ())]
    runs = [*entries, *(part["run"] for part in data.get("experiments", {}).values())] or [data]
    return sorted({key for run in runs for key in ("date", "seed", "versions") if key not in run})


def main() -> int:
    """Print digests and differences of every record; return 1 if names differ."""
    problems = 0
    for name, source in SOURCES.items():
        data = read(name)
        print(f"{name}: {'group':20} {'room':24} {'record':12} today")
        print("\n".join(digest_lines(source.described(data), source.today())))
        if laws := laws_text(source.expected(), source.recorded(data)):
            print(f"  {laws.strip()}")
        found = source.problems(data)
        found += [f"missing: {key}" for key in undated(data)]
        for line in found:
            print(f"  {line}")
        if found:
            print(f"  record it by: {source.command}")
        problems += len(found)
    return int(problems > 0)


if __name__ == "__main__":
    sys.exit(main())
