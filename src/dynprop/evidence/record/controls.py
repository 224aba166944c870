"""Long evidence: correct implementations are never accused, over many cases.

    python -m dynprop.evidence.record.controls --examples 10000 --resume
    python -m dynprop.evidence.record.controls --examples 10000 --shard 1/4 --resume

The record, docs/evidence/controls.json, is written once every control is judged.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from typing import Any

from dynprop.check.run.runner import Options, run_law
from dynprop.evidence.code import code_of_planted, is_own
from dynprop.evidence.compare import Code, Names, Source
from dynprop.evidence.kill_matrix import subject_of
from dynprop.evidence.record.jobs import Job, add_arguments, environment, run_record
from dynprop.kinds import all_controls, all_kinds, laws_for
from dynprop.laws.catalogue import Control

__all__ = ["SOURCE", "jobs", "main", "merged", "record"]

PACKAGES = ("dynprop", "numpy", "torch", "scipy", "python-flint", "hypothesis")


def record(control: Control, examples: int, seed: int, budget: float) -> dict[str, Any]:
    """Judge one control on i.i.d. cases, split among the laws by their shares, and return its record.

    Args:
        control: a correct implementation.
        examples: number of cases in all.
        seed: seeds the cases.
        budget: seconds after which a law draws no further case (the record shows what ran).
    """
    subject = subject_of(control)
    kind_laws = laws_for(control.kind)
    laws = [law for law in kind_laws if law.applies(subject) is None]
    total = sum(law.share for law in laws)
    started = time.monotonic()
    rows: list[dict[str, Any]] = []
    for law in laws:
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
        "cases": sum(r["cases"] for r in rows),
        "decided": sum(r["decided"] for r in rows),
        "failed": sum(r["failed"] for r in rows),
        "worst_ratio": max(r["worst_ratio"] for r in rows),
        "seconds": round(time.monotonic() - started, 1),
        "not_applicable": [law.id for law in kind_laws if law not in laws],
        "laws": rows,
    }


def jobs(examples: int, seed: int, budget: float) -> list[Job]:
    """Return one job per control."""
    controls = [control for control in all_controls() if is_own(control.kind)]
    code = code_of_planted(control.kind for control in controls)
    settings = {"seed": seed, "examples": examples, "budget": budget, **environment(*PACKAGES)}

    def job(control: Control) -> Job:
        key = {**settings, "kind": control.kind, "code": code[control.kind]}
        return Job(control.name, key, lambda: record(control, examples, seed, budget))

    return [job(control) for control in controls]


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


def _expected() -> Names:
    laws = {kind: frozenset(law.id for law in laws_for(kind)) for kind in all_kinds()}
    return {control.name: laws[control.kind] for control in all_controls() if is_own(control.kind)}


def _recorded(data: Mapping[str, Any]) -> Names:
    return {
        row["control"]: frozenset([*(r["law"] for r in row["laws"]), *row.get("not_applicable", ())])
        for row in data["controls"]
    }


def _described(data: Mapping[str, Any]) -> Code:
    return {row["kind"]: data.get("code", {}).get(row["kind"]) for row in data["controls"]}


SOURCE = Source(
    "python -m dynprop.evidence.record.controls --resume",
    _expected,
    _recorded,
    lambda: code_of_planted(filter(is_own, all_kinds())),
    _described,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Record every control; return 1 if one is accused."""
    parser = argparse.ArgumentParser(
        prog="python -m dynprop.evidence.record.controls", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--examples", type=int, default=10_000, help="cases per control")
    parser.add_argument("--seed", type=int, default=20261123)
    parser.add_argument("--budget", type=float, default=600.0, help="seconds per law")
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

    written = run_record(given, jobs(given.examples, given.seed, given.budget), merged, announce)
    rows = judged if written is None else written["controls"]
    return int(any(row["failed"] for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
