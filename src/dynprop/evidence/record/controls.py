"""Long evidence: correct implementations are never accused, over many cases.

    python -m dynprop.evidence.record.controls --examples 10000 --resume
    python -m dynprop.evidence.record.controls --examples 10000 --shard 1/4 --resume
    python -m dynprop.evidence.record.controls --examples 10000 --law scan/adjoint --resume

The record, docs/evidence/controls.json, is written once every control is judged. Rows of controls chosen by
--only replace or join those of the record that exists, and results of one law chosen by --law replace or join
those in the rows of its controls; each then has its own date, seed, versions and digests. With --law each
control gets the law's share of the examples, as in a whole run.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from dynprop.check.run.runner import Options, run_law
from dynprop.errors import ArgumentError
from dynprop.evidence.code import code_of_planted, is_own
from dynprop.evidence.compare import Code, Names, Source, differences
from dynprop.evidence.kill_matrix import subject_of
from dynprop.evidence.record.jobs import Job, add_arguments, environment, join_record, run_jobs, run_record
from dynprop.evidence.record.rows import OWN, Recorded, described
from dynprop.kinds import all_controls, all_kinds, law_by_id, laws_for
from dynprop.laws.catalogue import Control
from dynprop.laws.law import Law

__all__ = ["SOURCE", "jobs", "joined", "law_jobs", "main", "merged", "record", "results"]

PACKAGES = ("dynprop", "numpy", "torch", "scipy", "python-flint", "hypothesis")


def _every(law: Law) -> bool:
    return True


def record(
    control: Control, examples: int, seed: int, budget: float, chosen: Callable[[Law], bool] = _every
) -> dict[str, Any]:
    """Judge one control on i.i.d. cases, split among the laws by their shares, and return its record.

    Args:
        control: a correct implementation.
        examples: number of cases in all.
        seed: seeds the cases.
        budget: seconds after which a law draws no further case (the record shows what ran).
        chosen: whether a law is run; every law has its share of the examples, chosen or not.
    """
    subject = subject_of(control)
    kind_laws = laws_for(control.kind)
    laws = [law for law in kind_laws if law.applies(subject) is None]
    total = sum(law.share for law in laws)
    started = time.monotonic()
    rows: list[dict[str, Any]] = []
    for law in filter(chosen, laws):
        count = max(1, round(examples * law.share / total))
        result = run_law(law, subject, Options(0, count, seed, budget, 0.0))
        rows.append(
            {
                "law": law.id,
                "cases": result.cases,
                "decided": result.decided,
                "undecidable": result.undecidable,
                "refused": result.refused,
                "failed": result.wrong + result.errors + result.inaccurate,
                "worst_ratio": result.worst_ratio,
            }
        )
    return {
        "control": control.name,
        "kind": control.kind,
        **_totals(rows),
        "seconds": round(time.monotonic() - started, 1),
        "not_applicable": [law.id for law in kind_laws if chosen(law) and law not in laws],
        "laws": rows,
    }


def _totals(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    sums = {name: sum(row[name] for row in rows) for name in ("cases", "decided", "failed")}
    return {**sums, "worst_ratio": max((row["worst_ratio"] for row in rows), default=0.0)}


def jobs(examples: int, seed: int, budget: float) -> list[Job]:
    """Return one job per control."""
    controls = [control for control in all_controls() if is_own(control.kind)]
    keys = _keys(controls, examples, seed, budget)

    def job(control: Control) -> Job:
        return Job(control.name, keys[control.kind], lambda: record(control, examples, seed, budget))

    return [job(control) for control in controls]


def law_jobs(law: Law, examples: int, seed: int, budget: float) -> list[Job]:
    """Return one job per control of a law's kind, for this law alone.

    Args:
        law: the law.
        examples: number of cases that all laws of the kind would share.
        seed: seeds the cases.
        budget: seconds after which the law draws no further case.
    """
    controls = [c for c in all_controls() if is_own(c.kind) and law in laws_for(c.kind)]
    keys = _keys(controls, examples, seed, budget)

    def job(control: Control) -> Job:
        key = {**keys[control.kind], "law": law.id}
        work = partial(record, control, examples, seed, budget, lambda other: other.id == law.id)
        return Job(f"{control.name} {law.id}", key, work)

    return [job(control) for control in controls]


def _keys(controls: Sequence[Control], examples: int, seed: int, budget: float) -> dict[str, dict[str, Any]]:
    """Return what determines the results of each kind."""
    settings = {"seed": seed, "examples": examples, "budget": budget, **environment(*PACKAGES)}
    code = code_of_planted(control.kind for control in controls)
    return {kind: {**settings, "kind": kind, "code": rooms} for kind, rooms in code.items()}


def merged(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the record of stored results, with date, versions and digests of their runs."""
    keys = [part["key"] for part in parts]
    head = {name: keys[0][name] for name in ("seed", "examples", "python", "versions")}
    return {
        "date": max(part["date"] for part in parts),
        **head,
        "code": {key["kind"]: key["code"] for key in keys},
        "controls": [part["result"] for part in parts],
    }


def joined(data: Mapping[str, Any], parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return a record in which stored results replace the rows or laws of their names, or join them.

    Rows of controls that exist no longer are left out.

    Raises:
        ArgumentError: a result of one law on a control that the record does not have.
    """
    rows = {row["control"]: row for row in data["controls"]}
    for part in parts:
        result, key = part["result"], part["key"]
        own = {"date": part["date"], **{name: key[name] for name in OWN}}
        name = result["control"]
        if "law" not in key:
            rows[name] = {**result, **own}
        elif name in rows:
            rows[name] = _with_law(rows[name], result, key["law"], own)
        else:
            raise ArgumentError("control", repr(name), f"a control of the record: --only {name} records it")
    return {**data, "controls": [rows[c.name] for c in all_controls() if c.name in rows]}


def _with_law(
    row: Mapping[str, Any], result: Mapping[str, Any], identifier: str, own: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a control's row with one law's result in the place of an older one, or in addition."""
    laws = {law["law"]: law for law in row["laws"] if law["law"] != identifier}
    laws |= {law["law"]: {**law, "seconds": result["seconds"], **own} for law in result["laws"]}
    absent = {*row.get("not_applicable", ()), *result["not_applicable"]} - set(laws)
    order = [law.id for law in laws_for(row["kind"])]
    found = [laws[name] for name in order if name in laws]
    return {
        **row,
        **_totals(found),
        "not_applicable": [name for name in order if name in absent],
        "laws": found,
    }


def results(data: Mapping[str, Any]) -> list[Recorded]:
    """Return every row of a record, and the laws in it that were recorded apart from their row."""
    found = []
    for row in data["controls"]:
        found.append(Recorded(row["kind"], row["control"], row))
        found += [Recorded(row["kind"], law["law"], law) for law in row["laws"] if "code" in law]
    return found


def _expected() -> Names:
    laws = {kind: frozenset(law.id for law in laws_for(kind)) for kind in all_kinds()}
    return {control.name: laws[control.kind] for control in all_controls() if is_own(control.kind)}


def _recorded(data: Mapping[str, Any]) -> Names:
    return {
        row["control"]: frozenset([*(r["law"] for r in row["laws"]), *row.get("not_applicable", ())])
        for row in data["controls"]
    }


def _described(data: Mapping[str, Any]) -> Code:
    return described(data, results(data))


SOURCE = Source(
    "python -m dynprop.evidence.record.controls --resume",
    _expected,
    _recorded,
    lambda: code_of_planted(filter(is_own, all_kinds())),
    _described,
    differences,
)


def _law(text: str) -> Law:
    try:
        return law_by_id(text)
    except ArgumentError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Record every control; return 1 if one is accused."""
    parser = argparse.ArgumentParser(
        prog="python -m dynprop.evidence.record.controls", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--examples", type=int, default=10_000, help="cases per control")
    parser.add_argument("--seed", type=int, default=20261123)
    parser.add_argument("--budget", type=float, default=600.0, help="seconds per law")
    parser.add_argument(
        "--law", type=_law, metavar="ID", help="only this law; its results join the record that exists"
    )
    add_arguments(parser, "controls")
    given = parser.parse_args(arguments)
    judged: list[dict[str, Any]] = []

    def announce(row: dict[str, Any]) -> None:
        judged.append(row)
        print(
            f"{row['control']:36} {row['cases']:7} cases {row['decided']:7} decided "
            f"{row['failed']:3} failed  worst {row['worst_ratio']:.2g}  {row['seconds']:.0f} s",
            flush=True,
        )

    length = given.examples, given.seed, given.budget
    written: dict[str, Any] | None
    if given.law:
        if not given.out.is_file():
            parser.error(f"--law: expected a record that the law's results can join; there is no {given.out}")
        written = join_record(given, run_jobs(given, law_jobs(given.law, *length), announce), joined)
    else:
        written = run_record(given, jobs(*length), merged, announce, joined)
    rows = judged if written is None else written["controls"]
    return int(any(row["failed"] for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
