"""The kill matrix as a record: every planted fault and every control, judged by every law of its kind.

    python -m dynprop.evidence.record.faults --resume
    python -m dynprop.evidence.record.faults --shard 1/4 --resume
    python -m dynprop.evidence.record.faults --only scan/exclusive --resume

The record, docs/evidence/faults.json, is written once every entry is judged. Rows of entries chosen by --only
replace or join those of the record that exists; each then has its own date, seed, versions and digests. A
law is recorded if at least one row has it.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from dynprop.check.run.report import library_versions
from dynprop.evidence.code import code_of_planted, is_own
from dynprop.evidence.compare import Code, Names, Source, some_row_differences
from dynprop.evidence.kill_matrix import KillMatrix, Row, chosen_entries, judge, options_of
from dynprop.evidence.record.jobs import Job, add_arguments, run_record
from dynprop.evidence.record.rows import OWN, Recorded, described
from dynprop.kinds import all_kinds, laws_for
from dynprop.laws.catalogue import Control, Fault

__all__ = ["SOURCE", "jobs", "joined", "main", "merged", "results"]


def jobs(examples: int | None, seed: int) -> list[Job]:
    """Return one job per fault and control; its result is a row of the matrix."""
    entries = [entry for entry in chosen_entries() if is_own(entry.kind)]
    code = code_of_planted(entry.kind for entry in entries)
    versions = library_versions("torch")

    def job(entry: Fault | Control) -> Job:
        options = options_of(entry, examples, seed)
        key = {"seed": seed, "examples": options.examples, "versions": versions}
        return Job(
            entry.name,
            {**key, "kind": entry.kind, "code": code[entry.kind]},
            lambda: dict(judge(entry, options).__dict__),
        )

    return [job(entry) for entry in entries]


def merged(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the record of stored results, with date, versions and digests of their runs."""
    keys = [part["key"] for part in parts]
    code = {key["kind"]: key["code"] for key in keys}
    matrix = KillMatrix(tuple(Row(**part["result"]) for part in parts), keys[0]["seed"], code)
    head = {"date": max(part["date"] for part in parts), "versions": keys[0]["versions"]}
    return {**matrix.to_json(), **head}


def joined(data: Mapping[str, Any], parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return a record in which stored results replace the rows of their names, or join them.

    Rows of faults and controls that exist no longer are left out.
    """
    rows = {row["name"]: row for row in data["rows"]}
    for part in parts:
        own = {"date": part["date"], **{name: part["key"][name] for name in OWN if name in part["key"]}}
        rows[part["result"]["name"]] = {**part["result"], **own}
    kept = [rows[entry.name] for entry in chosen_entries() if entry.name in rows]
    matrix = KillMatrix(tuple(Row(**{name: row[name] for name in _COLUMNS}) for row in kept))
    counts = {name: list(getattr(matrix, name)) for name in ("uncaught", "accused", "idle")}
    whole = [
        {**row, "caught_by": list(found.caught_by)} for row, found in zip(kept, matrix.rows, strict=True)
    ]
    return {**data, **counts, "rows": whole}


_COLUMNS = tuple(field.name for field in fields(Row))


def results(data: Mapping[str, Any]) -> list[Recorded]:
    """Return every row of a record."""
    return [Recorded(row["kind"], row["name"], row) for row in data["rows"]]


def _expected() -> Names:
    laws = {kind: frozenset(law.id for law in laws_for(kind)) for kind in all_kinds()}
    return {entry.name: laws[entry.kind] for entry in chosen_entries() if is_own(entry.kind)}


def _recorded(data: Mapping[str, Any]) -> Names:
    return {row["name"]: frozenset(row["verdicts"]) for row in data["rows"]}


def _described(data: Mapping[str, Any]) -> Code:
    return described(data, results(data))


SOURCE = Source(
    "python -m dynprop.evidence.record.faults --resume",
    _expected,
    _recorded,
    lambda: code_of_planted(filter(is_own, all_kinds())),
    _described,
    some_row_differences,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Record the kill matrix; return 1 if a fault is uncaught or a control accused."""
    parser = argparse.ArgumentParser(
        prog="python -m dynprop.evidence.record.faults", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--examples", type=int, help="cases per law; default 20 for gross faults, else 100")
    parser.add_argument("--seed", type=int, default=0)
    add_arguments(parser, "faults")
    given = parser.parse_args(arguments)
    failed: list[str] = []

    def announce(result: dict[str, Any]) -> None:
        row = Row(**result)
        if row.correct == bool(row.caught_by):
            failed.append(row.name)
        laws = ", ".join(row.caught_by) or "no law"
        print(f"{row.name}: {'accused' if row.correct else 'caught'} by {laws}", flush=True)

    with warnings.catch_warnings():
        # A wrong implementation may warn about what it does.
        warnings.simplefilter("ignore")
        record = run_record(given, jobs(given.examples, given.seed), merged, announce, joined)
    if record is not None:
        failed += record["uncaught"] + record["accused"]
    return int(bool(failed))


if __name__ == "__main__":
    raise SystemExit(main())
