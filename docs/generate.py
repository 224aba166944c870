"""Make the generated pages of docs/ from the registry of laws and from docs/evidence.

    python docs/generate.py              laws.md, faults.md, judged.md, controls.md, closed_form.md,
                                         calls.md, training.md and the table in bounds.md

A page shows which code its record describes, and what has changed since (docs/records.py). A page without a
record is left as it is, and the command that records it is printed.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from docs.constants import constant_rows
from docs.records import SOURCES
from docs.training_page import training_page
from dynprop.evidence.compare import Code, laws_text, state_text
from dynprop.evidence.record import controls, faults
from dynprop.evidence.record.rows import Recorded, apart_text
from dynprop.kinds import all_kinds, laws_for
from examples.survey import listed

__all__ = ["DOCS", "EVIDENCE", "PAGES", "STANDALONE", "main", "page", "state"]

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
EVIDENCE = DOCS / "evidence"
FAILING = ("wrong", "error", "inaccurate")
NOTE = "<!-- made by docs/generate.py: do not edit -->"

# Entries of the survey, by the beginning of their names -> script that shows the defect without dynprop.
STANDALONE = {
    "accelerated-scan-ref": "accelerated_scan_length_one.py",
    "assoc-scan": "assoc_scan_return_next.py",
    "flax-": "flax_length_zero.py",
    "keras-gru-float64": "keras_float64.py",
    "keras-simple-rnn-float64": "keras_float64.py",
    "lru-pytorch": "lru_pytorch_state.py",
    "torch-sparse": "torch_sparse_generator.py",
    "mingru": "mingru_gradient.py",
    "snntorch-associative-leaky": "snntorch_associative_leaky.py",
    "xlstm-mlstm": "xlstm_chunk_to_step.py",
}

# Records whose rows may have been recorded apart -> their rows.
APART: Mapping[str, Callable[[Mapping[str, Any]], list[Recorded]]] = {
    "faults.json": faults.results,
    "controls.json": controls.results,
}

# Tables.


def _cell(value: object) -> str:
    """Return a value as the text of a table cell."""
    text = " ".join(str(value).split()).replace("|", "\\|")
    return re.sub(r"<(?=[A-Za-z/!])", "&lt;", text)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(_cell(v) for v in row) + " |" for row in rows]
    return "\n".join(lines)


def _code(text: str) -> str:
    """Return text as inline code; in a table the bars of |x| would end a cell."""
    return f"`{text}`"


def _slug(identifier: str) -> str:
    return identifier.split("/", 1)[-1]


def ratio(value: float | None) -> str:
    """Return an error over bound as a short number."""
    if value is None:
        return ""
    if value in (0.0, float("inf")):
        return "0" if value == 0.0 else "∞"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{value:.2g}" if 1e-3 <= value < 100 else f"{mantissa}e{int(exponent)}"


def _versions(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _recorded(data: Mapping[str, Any]) -> str:
    """Return when and with which versions, seed and length a run was recorded."""
    parts = [str(data["date"])] if "date" in data else []
    parts += [f"Python {data['python']}"] if "python" in data else []
    parts += [_versions(data["versions"])] if "versions" in data else []
    parts += [f"{name} {data[name]}" for name in ("seed", "examples") if name in data]
    return f"Recorded: {', '.join(parts)}.\n\n" if parts else ""


@cache
def _today(name: str) -> Code:
    """Return the digests of today's code for a record; taken once in a run."""
    return SOURCES[name].today()


def state(name: str, data: Mapping[str, Any]) -> str:
    """Return which code a record describes, what changed since, and which results were recorded apart."""
    source = SOURCES[name]
    text = state_text(source.described(data), _today(name))
    text += laws_text(source.expected(), source.recorded(data))
    return text + apart_text(APART[name](data)) if name in APART else text


# Pages.


def laws_page() -> str:
    """Return laws.md: every law of every kind."""
    text = [
        f"# The laws\n\n{NOTE}\n",
        "One row per law, in the order in which `dynprop check` runs them. A claim is explained in the "
        "[theory map](theory.md), a bound in [bounds](bounds.md). `dynprop laws` prints the same list.\n",
    ]
    for kind in all_kinds():
        found = laws_for(kind)
        rows = [(_code(_slug(law.id)), law.claim, law.statement, law.source) for law in found]
        text.append(f"## Kind `{kind}`: {len(found)} laws\n")
        text.append(_table(("law", "claim", "statement", "source"), rows) + "\n")
    return "\n".join(text)


def faults_page(data: Mapping[str, Any], state: str = "") -> str:
    """Return faults.md: the kill matrix."""
    rows = data["rows"]
    wrong, right = ([r for r in rows if r["correct"] is c] for c in (False, True))
    real = sum(r["source"] != "dynprop" for r in wrong)
    text = [
        f"# Planted faults and the laws that catch them\n\n{NOTE}\n",
        f"Each fault is a wrong implementation of a recurrence with one defect; {real} of {len(wrong)} are "
        "named after a bug in somebody's software, the source. `dynprop faults` runs every law on every "
        "fault and on every control, a correct implementation that no law may accuse. A gross fault gets "
        "20 examples per law, any other as many as `dynprop check` draws.\n",
        f"{_recorded(data)}{state}**{len(wrong) - len(data['uncaught'])} of {len(wrong)} faults are caught, "
        f"{len(data['accused'])} of {len(right)} controls are accused.**\n",
    ]
    for title, names in (
        ("Faults that no law catches", "uncaught"),
        ("Controls that are accused", "accused"),
    ):
        if data[names]:
            text.append(f"{title}: {', '.join(_code(n) for n in data[names])}.\n")
    for kind in dict.fromkeys(r["kind"] for r in rows):
        text.append(f"## Kind `{kind}`\n")
        text.append(
            _table(
                ("fault", "what it does", "source", "caught by"),
                (
                    (_code(_slug(r["name"])), r["summary"], _origin(r["source"]), _catchers(r))
                    for r in wrong
                    if r["kind"] == kind
                ),
            )
            + "\n"
        )
        text.append(
            _table(
                ("control", "what it does", "cases", "accused by"),
                (
                    (_code(_slug(r["name"])), r["summary"], r["cases"], _catchers(r) or "none")
                    for r in right
                    if r["kind"] == kind
                ),
            )
            + "\n"
        )
    text.append("## Blind spots\n")
    if data["idle"]:
        idle = ", ".join(_code(i) for i in data["idle"])
        text.append(f"No planted fault shows what these laws are for: {idle}. Each needs a fault.\n")
    else:
        text.append("Every law catches at least one planted fault.\n")
    alone = _needed(wrong)
    text.append("Laws that are the only one to catch some fault:\n")
    text.append(_table(("law", "faults"), ((_code(i), ", ".join(f)) for i, f in alone.items())) + "\n")
    return "\n".join(text)


def _origin(source: str) -> str:
    """Return the software and its bug, without the list that it stands in; nothing where it is ours."""
    return "" if source == "dynprop" else re.sub(r"^[A-Z]+( section \d+)?: ", "", source)


def _catchers(row: Mapping[str, Any]) -> str:
    """Return the laws that failed a fault, those that gave no more than lost digits marked."""
    marks = {"wrong": "", "error": " (error)", "inaccurate": " (inaccurate)"}
    return ", ".join(_code(_slug(i)) + marks[row["verdicts"][i]] for i in row["caught_by"])


def _needed(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in rows:
        if len(row["caught_by"]) == 1:
            found.setdefault(row["caught_by"][0], []).append(_code(_slug(row["name"])))
    return found


def judged_page(data: Mapping[str, Any], state: str = "") -> str:
    """Return judged.md: released packages and their verdicts."""
    entries = data["entries"]
    surprising = [e["name"] for e in entries if e["verdict"] not in e["expected"]]
    text = [
        f"# Released packages, judged\n\n{NOTE}\n",
        "Verdicts on releases as they were, through the adapters in [examples](../examples/README.md). A "
        "verdict is about one release, one adapter and the declared domain. "
        "`python examples/survey.py --all` judges them again.\n",
        _recorded(data)
        + state
        + f"{len(entries)} targets"
        + (f"; not as expected: {', '.join(_code(n) for n in surprising)}" if surprising else "")
        + ".\n",
        _table(
            ("target", "release", "verdict", "effective lag", "decided lags", "failing laws", "story"),
            (_judged_row(e) for e in entries),
        )
        + "\n",
    ]
    failing = [e for e in entries if e["verdict"] in FAILING]
    if failing:
        text.append("## What fails\n")
    text += [_judged_failures(e) for e in failing]
    return "\n".join(text)


@cache
def _requirements() -> dict[str, list[str]]:
    """Return the releases that survey.toml pins, by the name of the entry."""
    return {entry["name"]: entry.get("requires", []) for entry in listed()}


def _release(entry: Mapping[str, Any]) -> str:
    """Return the releases that the entry is about, as survey.toml pins them."""
    return ", ".join(requirement.replace("==", " ") for requirement in _requirements()[entry["name"]])


def _judged_row(entry: Mapping[str, Any]) -> tuple[object, ...]:
    failing = [_code(_slug(r["id"])) for r in entry["laws"] if r["verdict"] in FAILING]
    name = f"[{entry['name']}](#{entry['name']})" if failing else entry["name"]
    lags = ["" if entry.get(k) is None else entry[k] for k in ("effective_lag", "max_decided_lag")]
    return name, _release(entry), f"**{entry['verdict']}**", *lags, ", ".join(failing), entry["story"]


def _judged_failures(entry: Mapping[str, Any]) -> str:
    target, options = entry["target"], entry.get("options", {})
    given = " ".join(f"--{k.replace('_', '-')} {_option(v)}" for k, v in options.items())
    place = target.partition(":")[0]
    linked = f"[{target}](../{place})" if place.endswith(".py") else _code(target)
    script = next((f for start, f in STANDALONE.items() if entry["name"].startswith(start)), None)
    lines = [
        f"### {entry['name']}\n",
        f"{linked}, kind `{entry['kind']}`"
        + (f", `{given}`" if given else "")
        + f"; {_versions(entry['versions'])}.",
    ]
    if script:
        lines.append(f"Without dynprop: [{script}](../examples/standalone/{script}).")
    lines.append("")
    # Laws that meet the same error share a line; the dtype in its text is that of the case.
    found: dict[tuple[str, str], list[str]] = {}
    for result in entry["laws"]:
        if result["verdict"] in FAILING:
            message = (result["counterexample"] or {}).get("message") or result.get("note", "")
            likely = f". Likely: {result['hypothesis']}" if result["hypothesis"] else ""
            text = re.sub(r"torch\.\w+Tensor", "torch.Tensor", message + likely)
            found.setdefault((result["verdict"], text), []).append(_code(_slug(result["id"])))
    lines += [f"- {', '.join(laws)} **{verdict}**: {_cell(text)}." for (verdict, text), laws in found.items()]
    return "\n".join(lines) + "\n"


def _option(value: object) -> str:
    if isinstance(value, Mapping):
        return ",".join(f"{k}={v}" for k, v in value.items())
    return ",".join(str(v) for v in value) if isinstance(value, list | tuple) else str(value)


def controls_page(data: Mapping[str, Any], state: str = "") -> str:
    """Return controls.md: how often correct implementations were judged, and never accused."""
    rows = data["controls"]
    laws: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        for found in row["laws"]:
            laws.setdefault(found["law"], []).append({**found, "control": row["control"]})
    total, failed = (sum(r[name] for r in rows) for name in ("cases", "failed"))
    text = [
        f"# Correct implementations, judged at length\n\n{NOTE}\n",
        "Independent, identically distributed cases, split among the laws by their shares. A case that "
        "fails would be a false accusation. `make evidence` records this again.\n",
        f"{_recorded(data)}{state}**{failed} of {total:,} cases were accused, over {len(rows)} controls.**\n",
        _table(
            ("control", "kind", "cases", "decided", "accused", "worst error/bound", "seconds"),
            (
                (
                    _code(_slug(r["control"])),
                    r["kind"],
                    f"{r['cases']:,}",
                    f"{r['decided']:,}",
                    r["failed"],
                    ratio(r["worst_ratio"]),
                    f"{r['seconds']:.0f}",
                )
                for r in rows
            ),
        )
        + "\n",
        "## By law\n",
        _table(
            ("law", "cases", "decided", "undecidable", "refused", "accused", "worst error/bound", "on"),
            (_control_law(law, found) for law, found in laws.items()),
        )
        + "\n",
    ]
    return "\n".join(text)


def _control_law(law: str, found: Sequence[Mapping[str, Any]]) -> tuple[object, ...]:
    names = ("cases", "decided", "undecidable", "refused", "failed")
    counts = [f"{sum(f[name] for f in found):,}" for name in names]
    worst = max(found, key=lambda f: f["worst_ratio"] or 0.0)
    on = _code(_slug(worst["control"])) if worst["worst_ratio"] else ""
    return _code(law), *counts, ratio(worst["worst_ratio"]), on


# The measured table of bounds.md.


def closed_form_page(data: Mapping[str, Any], state: str = "") -> str:
    """Return closed_form.md: closed forms over strata of difficulty, and none silently wrong."""
    limits = data["limits"]
    everywhere, in_floats = (
        "; ".join(f"{row['t']}: {row[key]:.0%}" for row in data["decades"] if row[key] is not None)
        for key in ("ten_times_worse_caught_all", "ten_times_worse_caught_float64")
    )
    text = [
        f"# Closed forms, judged at length\n\n{NOTE}\n",
        "Independent cases of `dynprop.linear.closed_form` by the automatic route, in equal shares from "
        "strata of difficulty: a class of matrices, a range of t and a scale of the stored numbers. Each "
        "answer is compared with the exact state of the stored floats. *Wrong* is an error that certainly "
        f"exceeds the stated bound; *refused* a `PrecisionError` within {limits['max_bits']:,} bits and "
        f"{limits['max_seconds']:g} seconds.\n",
        f"{_recorded(data)}{state}**{data['wrong']} of {data['cases']:,} cases are wrong, "
        f"{data['undecided']} undecided, {data['refused']:,} refused, in {data['seconds'] / 60:.0f} "
        "minutes.**\n",
        "A float64 route gives its bound before its error is known; where two eigenvalues cannot be "
        "separated the bound is attained to first order, hence ratios near 1. The bound of the certified "
        "route is its own rounding: its ratio is 1.\n",
        "Bounds are not generous. Share of the answers in which ten times the worst relative error of "
        f"their decade of t would exceed the bound: {everywhere}.\n",
        "The answers of float64 routes alone, few where t is large and with errors far below the 1e-10 that "
        f"they must promise: {in_floats}.\n",
    ]
    for title, key, name in (
        ("By time", "decades", "t"),
        ("By size", "sizes", "n"),
        ("By numbers", "fields", "numbers"),
        ("By route", "routes", "route"),
        ("By stratum", "strata", "stratum"),
    ):
        head = (name, "cases", "answered", "refused", "wrong", "float64", "worst error/bound", "worst error")
        text += [f"## {title}\n", _table(head, (_judged_powers(row, name) for row in data[key])) + "\n"]
    return "\n".join(text)


def _judged_powers(row: Mapping[str, Any], name: str) -> tuple[object, ...]:
    counts = (f"{row[key]:,}" for key in ("cases", "answered", "refused", "wrong", "float64_cases"))
    return (row[name], *counts, ratio(row["worst_ratio_float64"]), ratio(row["worst_error"]))


def calls_page(data: Mapping[str, Any], state: str = "") -> str:
    """Return calls.md: random calls of every public function, and none outside its bound."""
    total, allowed = data["calls"], data["seconds_allowed"]
    wrong = [row for row in data["strata"] if row["outside"] or row["crashed"] or row["late"]]
    text = [
        f"# Random calls of every public function\n\n{NOTE}\n",
        "Independent calls of the functions of `dynprop.linear` and `dynprop.products`, in equal shares from "
        "strata: a function with a family of arguments. Each result is compared with independent arithmetic "
        "(mpmath, FLINT, exact fractions, or a simulation with its error). *Outside* is an error beyond the "
        "bound; *undecided* a result that the reference does not decide; *refused* a `DynpropError`; "
        f"*crashed* any other exception; *late* no result within {allowed:g} seconds of processor time. "
        "`make calls` records this again.\n",
        f"{_recorded(data)}{state}**{data['outside']} of {total:,} calls are outside the bound, "
        f"{data['crashed']} crashed, {data['late']} late; {data['refused']:,} "
        f"({data['refused'] / total:.1%}) refused, {data['undecided']:,} undecided.**\n",
        "## By stratum\n",
        _table(
            (
                *("function", "family", "calls", "answered", "refused", "undecided", "outside"),
                *("worst error/bound", "slowest, s"),
            ),
            map(_judged_calls, data["strata"]),
        )
        + "\n",
        "## Bounds\n",
        _table(
            ("function", "bound"),
            dict.fromkeys((_code(row["function"]), row["bound"]) for row in data["strata"]),
        )
        + "\n",
        "## Reasons of refusals\n",
        _table(
            ("function", "family", "refused", "share", "reason"),
            (
                (*_family(row), count, f"{count / row['calls']:.0%}", reason)
                for row in data["strata"]
                for reason, count in row["reasons"].items()
            ),
        )
        + "\n",
    ]
    if wrong:
        failures = [
            (*_family(row), f["outcome"], f["reason"], f["call"][:200])
            for row in wrong
            for f in row["failures"]
        ]
        text += [
            "## Failures\n",
            _table(("function", "family", "outcome", "reason", "call"), failures) + "\n",
        ]
    left_out = ((_code(name), reason) for name, reason in data["left_out"].items())
    text += ["## Without a stratum\n", _table(("function", "reason"), left_out) + "\n"]
    return "\n".join(text)


def _family(row: Mapping[str, Any]) -> tuple[str, str]:
    return _code(row["function"]), row["stratum"].partition("/")[2]


def _judged_calls(row: Mapping[str, Any]) -> tuple[object, ...]:
    refused = f"{row['refused']} ({row['refused'] / row['calls']:.0%})" if row["refused"] else "0"
    counts = (row["calls"], row["answered"], refused, row["undecided"], row["outside"])
    return (*_family(row), *counts, ratio(row["worst_ratio"]), f"{row['slowest']:.2g}")


def layers_table(data: Mapping[str, Any], state: str = "") -> str:
    """Return the table of bounds.md: the worst error over bound of each law and group of layers."""
    groups = list(dict.fromkeys(row["group"] for row in data["layers"]))
    worst: dict[str, dict[str, float]] = {}
    counts: dict[str, list[int]] = {}
    for row in data["layers"]:
        for law in row["laws"]:
            count = counts.setdefault(law["id"], [0, 0])
            count[0] += law["decided"]
            count[1] += law["undecidable"]
            if law["worst_ratio"] is not None:
                at = worst.setdefault(law["id"], {})
                at[row["group"]] = max(at.get(row["group"], 0.0), law["worst_ratio"])
    rows = [
        (_code(_slug(law)), *(ratio(found.get(g)) for g in groups), *counts[law])
        for law, found in worst.items()
    ]
    sizes = ", ".join(f"{sum(r['group'] == g for r in data['layers'])} × {g}" for g in groups)
    failing = [r["target"] for r in data["layers"] if r["verdict"] in FAILING]
    accused = f"Accused: {', '.join(failing)}." if failing else "None is accused."
    return (
        f"{_recorded(data)}{state}Default examples; {sizes}. {accused} "
        "An empty cell: not applicable, or nothing decided.\n\n"
        + _table(("law", *groups, "decided", "undecidable"), rows)
    )


def bounds_page(data: Mapping[str, Any], state: str = "") -> str:
    """Return bounds.md with its tables as they are now."""
    text = (DOCS / "bounds.md").read_text(encoding="utf-8")
    path = EVIDENCE / "controls.json"
    records = [data, *([json.loads(path.read_text(encoding="utf-8"))] if path.is_file() else [])]
    constants = _table(("constant", "value", "meaning", "worst error/bound"), constant_rows(records))
    return _between(_between(text, "layers.json", layers_table(data, state)), "constants", constants)


def _between(text: str, name: str, part: str) -> str:
    """Return a page with the part between two comments replaced."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    head, _, rest = text.partition(begin)
    return f"{head}{begin}\n{part}\n{end}{rest.partition(end)[2]}"


def experiments_page(data: Mapping[str, Any], state: str = "") -> str:
    """Return training.md: the results of the experiments on training."""
    runs: dict[str, list[str]] = {}
    for name, found in data["experiments"].items():
        runs.setdefault(_recorded(found["run"]), []).append(name)
    lines = [text if len(runs) == 1 else f"{', '.join(names)}. {text}" for text, names in runs.items()]
    return training_page(data, _table, NOTE, "".join(lines) + state)


# Page -> evidence that it needs, and what makes it.
PAGES: dict[str, tuple[str | None, Callable[..., str]]] = {
    "laws.md": (None, laws_page),
    "faults.md": ("faults.json", faults_page),
    "judged.md": ("survey.json", judged_page),
    "controls.md": ("controls.json", controls_page),
    "closed_form.md": ("closed_form.json", closed_form_page),
    "calls.md": ("calls.json", calls_page),
    "bounds.md": ("layers.json", bounds_page),
    "training.md": ("training.json", experiments_page),
}


def page(name: str) -> str | None:
    """Return the text of a generated page, or None where its evidence is not there."""
    evidence, make = PAGES[name]
    if evidence is None:
        return make().rstrip("\n") + "\n"
    path = EVIDENCE / evidence
    if not path.is_file():
        return None
    data = json.loads(path.read_text(encoding="utf-8"))
    return make(data, state(evidence, data)).rstrip("\n") + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write every page whose evidence is there."""
    argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0]).parse_args(arguments)
    for name, (evidence, _) in PAGES.items():
        text = page(name)
        if text is None:
            how = SOURCES[str(evidence)].command
            print(f"{name}: left as it is; docs/evidence/{evidence} is not there, record it by: {how}")
        else:
            (DOCS / name).write_text(text, encoding="utf-8")
            print(f"{name}: written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
