"""Long evidence: correct implementations are never accused, over many cases, recorded with its seed.

Run as ``python -m dynprop.evidence.record.controls --examples 10000``; writes docs/evidence/controls.json.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import sys
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from dynprop.check.run.runner import Options, run_law
from dynprop.evidence.kill_matrix import subject_of
from dynprop.kinds import all_controls, laws_for
from dynprop.laws.catalogue import Control

__all__ = ["main", "record"]


def record(control: Control, examples: int, seed: int, budget: float) -> dict[str, Any]:
    """Judge one control on i.i.d. cases, split among the laws by their shares, and return its record.

    Args:
        control: a correct implementation.
        examples: number of cases in all.
        seed: seeds the cases.
        budget: seconds after which a law draws no further case (the record shows what ran).
    """
    subject = subject_of(control)
    laws = [law for law in laws_for(control.kind) if law.applies(subject) is None]
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
        "laws": rows,
    }


def _described(given: argparse.Namespace, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the record with its seed, date and versions."""
    packages = ("dynprop", "numpy", "torch", "scipy", "python-flint", "hypothesis")
    return {
        "date": datetime.date.today().isoformat(),
        "seed": given.seed,
        "examples": given.examples,
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in packages},
        "controls": rows,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Record every control; return 1 if one was accused."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=10_000, help="cases per control")
    parser.add_argument("--seed", type=int, default=20261123)
    parser.add_argument("--budget", type=float, default=600.0, help="seconds per law")
    parser.add_argument("--only", nargs="*", default=[""], help="controls whose name contains one of these")
    parser.add_argument("--out", type=Path, default=Path("docs/evidence/controls.json"))
    given = parser.parse_args(arguments)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    for control in all_controls():
        if any(word in control.name for word in given.only):
            row = record(control, given.examples, given.seed, given.budget)
            rows.append(row)
            # Written after every control: a long run that is stopped keeps what it has.
            given.out.write_text(json.dumps(_described(given, rows), indent=1, allow_nan=False) + "\n")
            print(
                f"{row['control']:36} {row['cases']:7} cases {row['decided']:7} decided "
                f"{row['failed']:3} failed  worst {row['worst_ratio']:.2g}  {row['seconds']:.0f} s",
                flush=True,
            )
    return 1 if any(r["failed"] for r in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
