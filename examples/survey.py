"""Judge released packages and compare each verdict with what was found by hand (survey.toml).

    python examples/survey.py --short            the selection of `make check`
    python examples/survey.py --all              everything, a few minutes
    python examples/survey.py --only xlstm       entries whose name contains a word
    --record FILE                                write verdicts, versions, date and digests of the code as
                                                 JSON after each entry; entries that did not run stay
    --resume                                     with --record: only entries whose code has changed

Exit status 1 if a verdict is not the expected one, or a law that should have failed did not.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import os
import platform
import sys
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from dynprop.check.process.isolate import check_isolated
from dynprop.check.run.report import Report
from dynprop.errors import DynpropError
from dynprop.evidence.code import code_of_kind, digest_of_file

ROOT = Path(__file__).resolve().parent.parent
FAILING = ("wrong", "error", "inaccurate")


def judged(entry: dict[str, Any]) -> Report:
    """Run the laws on one entry, in a child process."""
    options = {k.replace("-", "_"): v for k, v in entry.get("options", {}).items()}
    run = {name: options.pop(name) for name in ("examples", "timeout") if name in options}
    options["framework"] = entry["framework"]
    return check_isolated(entry["target"], entry["kind"], options=options, **run)


def listed() -> list[dict[str, Any]]:
    """Return the entries of survey.toml."""
    found: list[dict[str, Any]] = tomllib.loads((ROOT / "examples" / "survey.toml").read_text())["entry"]
    return found


def code_of_entry(entry: dict[str, Any]) -> dict[str, str]:
    """Return the digests of what judges an entry, of its adapter, and of its lines in survey.toml."""
    names = ("target", "kind", "framework", "options", "requires")
    declared = json.dumps({name: entry.get(name) for name in names}, sort_keys=True)
    place = ROOT / entry["target"].partition(":")[0]
    adapter = {f"examples.{place.stem}": digest_of_file(place)} if place.is_file() else {}
    return {
        **code_of_kind(entry["kind"]),
        **adapter,
        "examples.survey.toml": hashlib.sha256(declared.encode()).hexdigest()[:12],
    }


def missing(entry: dict[str, Any]) -> list[str]:
    """Return the required releases that are not installed."""
    absent = []
    for requirement in entry.get("requires", []):
        name, _, wanted = requirement.partition("==")
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            found = "not installed"
        if wanted and found.split("+")[0] != wanted:
            absent.append(f"{requirement} (found: {found})")
    return absent


def verdict_line(entry: dict[str, Any], report: Report) -> tuple[list[str], list[str]]:
    """Return what to print about a report, and what differs from the expectation."""
    failed = {r.law: r for r in report.laws if r.verdict in FAILING}
    decided = sum(r.decided for r in report.laws)
    lag = "" if report.effective_lag is None else f"  effective lag {report.effective_lag}"
    own = {k: v for k, v in report.versions.items() if k not in ("python", "dynprop", "numpy")}
    versions = ", ".join(f"{name} {version}" for name, version in own.items())
    lines = [f"  {report.verdict:<11}{decided:>5} cases decided{lag}   {versions}"]
    for law, result in failed.items():
        message = result.counterexample.message if result.counterexample else result.note
        lines.append(f"    {law}: {message}"[:150])
        if result.hypothesis:
            lines.append(f"      likely: {result.hypothesis}")
    problems = []
    if report.verdict not in entry["expected"]:
        problems.append(f"verdict {report.verdict}, expected {' or '.join(entry['expected'])}")
    problems += [f"{law} did not fail" for law in entry.get("laws", []) if law not in failed]
    return lines, problems


@dataclass(frozen=True)
class Outcome:
    """What came of one entry: lines to print, whether they are unexpected, and what to record."""

    lines: list[str]
    surprising: bool
    record: dict[str, Any] | None = None


def outcome(entry: dict[str, Any]) -> Outcome:
    """Judge one entry and compare the verdict with the expected one."""
    started, code = time.monotonic(), code_of_entry(entry)
    absent = missing(entry)
    if absent:
        return Outcome([f"  NOT JUDGED: needs {', '.join(absent)}"], True)
    try:
        report = judged(entry)
    except DynpropError as error:
        return Outcome([f"  NOT JUDGED: {error}"], True)
    lines, problems = verdict_line(entry, report)
    record = report.to_json()
    record |= {"name": entry["name"], "story": entry["story"], "expected": entry["expected"]}
    record |= {"seconds": round(time.monotonic() - started, 1), "date": f"{datetime.date.today()}"}
    record["code"] = code
    return Outcome([*lines, *(f"  UNEXPECTED: {problem}" for problem in problems)], bool(problems), record)


def recorded(path: Path | None) -> dict[str, dict[str, Any]]:
    """Return the entries that a record has, by name."""
    if path is None or not path.is_file():
        return {}
    return {entry["name"]: entry for entry in json.loads(path.read_text())["entries"]}


def write(path: Path, records: list[dict[str, Any]], order: list[str]) -> None:
    """Write the records among those that the file has, in the order of survey.toml."""
    known = recorded(path) | {record["name"]: record for record in records}
    data = {
        "date": datetime.date.today().isoformat(),
        "python": platform.python_version(),
        "entries": [known[name] for name in order if name in known],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(data, indent=1, allow_nan=False) + "\n")
    part.replace(path)


def main() -> int:
    """Judge the chosen entries; see the module docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument("--short", action="store_true", help="the selection of make check")
    chosen.add_argument("--all", action="store_true", help="every entry")
    chosen.add_argument("--only", metavar="WORD", help="entries whose name contains this")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="entries at a time")
    parser.add_argument("--record", type=Path, metavar="FILE", help="write the verdicts as JSON")
    parser.add_argument("--resume", action="store_true", help="skip recorded entries of today's code")
    given = parser.parse_args()
    os.chdir(ROOT)
    entries = listed()
    picked = [
        e for e in entries if given.all or (given.short and e["short"]) or (given.only or "\0") in e["name"]
    ]
    if not picked:
        print(f"no entry of survey.toml has {given.only!r} in its name", file=sys.stderr)
        return 2
    if given.resume:
        known = recorded(given.record)
        picked = [e for e in picked if known.get(e["name"], {}).get("code") != code_of_entry(e)]
    surprises = 0
    # Every entry runs in a process of its own: these threads only wait for them.
    with ThreadPoolExecutor(max_workers=given.workers) as executor:
        for i, (entry, found) in enumerate(zip(picked, executor.map(outcome, picked), strict=True), 1):
            print(f"[{i}/{len(picked)}] {entry['name']}: {entry['story']}")
            print("\n".join(found.lines), flush=True)
            surprises += found.surprising
            if given.record and found.record:
                write(given.record, [found.record], [e["name"] for e in entries])
    agreed = len(picked) - surprises
    print(f"\n{agreed} of {len(picked)} verdicts are as expected")
    return 1 if surprises else 0


if __name__ == "__main__":
    sys.exit(main())
