"""A kind of another package, installed beside dynprop, is judged like one of dynprop's own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from dynprop.check.replay import replay
from dynprop.check.run.report import Report
from dynprop.cli_check import check_signature, options_of_kinds
from dynprop.errors import ArgumentError
from dynprop.kinds import all_kinds
from dynprop.kinds.discovery import RESERVED

TOY = Path(__file__).parent / "toy"
PAGE = Path(__file__).parents[3] / "docs" / "kinds.md"
LAWS = ["running-extreme/definition", "running-extreme/resume", "running-extreme/values-unchanged"]
KERNELS = """\
import numpy as np

def right(values):
    return np.minimum.accumulate(values)

def from_zero(values):
    return np.minimum.accumulate(np.r_[0.0, values])[1:].astype(values.dtype)
"""
# Everything in one process, which starts children: an interpreter that imports numpy costs seconds.
DRIVER = """\
import contextlib, io, json
from dynprop.cli import main

def called(*arguments):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(list(arguments))
    return [status, out.getvalue(), err.getvalue()]

"""


def install(site: Path, name: str, entry_points: dict[str, str]) -> None:
    """Write what an installer writes for a package that offers kinds."""
    information = site / f"{name.replace('-', '_')}-0.1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1.0\n")
    lines = [f"{kind} = {place}" for kind, place in entry_points.items()]
    (information / "entry_points.txt").write_text("\n".join(["[dynprop.kinds]", *lines, ""]))


def driven(site: Path, folder: Path, code: str, driver: str = DRIVER) -> Any:
    """Run code with a site in a fresh interpreter; return the JSON that it prints last."""
    path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", driver + code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "COLUMNS": "80"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the toy package installed."""
    made = tmp_path_factory.mktemp("site")
    project = tomllib.loads((TOY / "pyproject.toml").read_text())["project"]
    install(made, project["name"], project["entry-points"]["dynprop.kinds"])
    shutil.copytree(TOY / "dynprop_toy", made / "dynprop_toy")
    return made


def test_the_command_line_judges_replays_lists_and_shows_a_kind_of_another_package(
    site: Path, tmp_path: Path
) -> None:
    (tmp_path / "kernels.py").write_text(KERNELS)
    found = driven(
        site,
        tmp_path,
        """
common = ["--kind", "running-extreme", "--extreme", "min", "--examples", "20"]
print(json.dumps({
    "wrong": called("check", "kernels:from_zero", *common, "--json", "a.json", "--html", "a.html"),
    "right": called("check", "kernels:right", *common),
    "other": called("check", "kernels:right", "--kind", "running-extreme", "--extreme", "mean"),
    "foreign": called("check", "kernels:right", "--kind", "scan", "--extreme", "min"),
    "replay": called("replay", "a.json"),
    "laws": called("laws", "--kind", "running-extreme"),
    "help": called("check", "--help"),
}))
""",
    )
    assert found["wrong"][0] == 1
    report = json.loads((tmp_path / "a.json").read_text())
    assert [law["id"] for law in report["laws"]] == LAWS
    assert [law["verdict"] for law in report["laws"]] == ["wrong", "pass", "pass"]
    assert report["options"] == {"extreme": "min", "examples": 20}
    assert report["laws"][0]["counterexample"]["case"]["values"] == [1.0]
    page = (tmp_path / "a.html").read_text()
    assert "entry t is the extreme of the first t + 1 values, exactly" in page

    script = report["laws"][0]["counterexample"]["script"]
    assert "from kernels import from_zero as f" in found["wrong"][1]
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, b"")

    assert found["right"][0] == 0
    assert "pass: 3 laws hold" in found["right"][1]
    assert found["other"] == [2, "", "dynprop: extreme: got 'mean', expected one of max, min\n"]
    assert found["foreign"][0] == 2
    line = "dynprop: --extreme: got 'min', expected an option that kind scan takes: --framework, --device"
    assert found["foreign"][2].startswith(line)
    assert found["replay"][0] == 1
    assert "running-extreme/definition  still fails  wrong" in found["replay"][1]
    assert [
        line.split()[0] for line in found["laws"][1].splitlines() if re.match(r"\S+/\S+  C", line)
    ] == LAWS
    assert re.search(r"--extreme max\|min +Which extreme runs; default max\.", found["help"][1])
    assert "or running-extreme." in " ".join(found["help"][1].split())


def test_its_adapter_faults_and_controls_are_found_from_python(site: Path, tmp_path: Path) -> None:
    found = driven(
        site,
        tmp_path,
        """
import numpy as np
from dynprop.check import adapters, again, check, load_subject, parametrize_with_laws
from dynprop.evidence.kill_matrix import kill_matrix
from dynprop.kinds import all_controls, all_faults, law_by_id

entries = [e for e in (*all_faults(), *all_controls()) if e.kind == "running-extreme"]
matrix = kill_matrix(examples=20, entries=entries)
adapter = adapters.RunningExtreme(np.minimum.accumulate, extreme="min")
report = check(adapter, examples=5)
other = adapters.RunningExtreme(np.minimum.accumulate)
wrong = check(other, examples=5).laws[0]
mark = parametrize_with_laws([adapter]).mark
print(json.dumps({
    "caught": {row.name: row.caught_by for row in matrix.rows},
    "idle": matrix.idle,
    "verdict": report.verdict,
    "domain": report.domain["dtypes"],
    "again": again(wrong.law, other, wrong.counterexample.case).verdict,
    "fixed": again(wrong.law, adapter, wrong.counterexample.case).verdict,
    "tests": [parameter.id for parameter in mark.args[1]],
    "statement": law_by_id("running-extreme/resume").statement,
}))
""",
    )
    definition, resume, unchanged = LAWS
    assert found["caught"] == {
        "running-extreme/starts-at-zero": [definition],
        "running-extreme/forgets": [definition, resume],
        "running-extreme/in-place": [unchanged],
        "control/numpy-accumulate": [],
    }
    assert found["idle"] == []
    assert (found["verdict"], found["domain"]) == ("pass", ["float64", "float32"])
    assert (found["again"], found["fixed"]) == ("wrong", "pass")
    assert found["tests"] == [f"running extreme:{law}" for law in LAWS]
    assert found["statement"].startswith("the sequence may be cut")


BROKEN = {
    "broken": "offered:nowhere",
    "raises": "raises_at_import:KIND",
    "no-kind": "offered:TEXT",
    "misnamed": "offered:OTHER",
    "scan": "offered:TAKEN",
    "seeded": "offered:SEEDED",
    "textual": "offered:TEXTUAL",
    "twin": "offered:TWIN",
    "lawless": "offered:LAWLESS",
}
OFFERED = """\
from dynprop.kinds import Kind, Option

def kind(name, adapter=None, laws=(), **fields):
    return Kind(name, "f(x)", "x", adapter=f"offered:{adapter or name}", laws=laws, **fields)

TEXT = "no kind"
OTHER = kind("other")
TAKEN = kind("scan")
SEEDED = kind("seeded", options=(Option("seed", "A seed.", "N", int),))
TEXTUAL = kind("textual", options=(Option("max_length", "A length in words.", "WORDS"),))
TWIN = kind("twin", adapter="Scan")
LAWLESS = kind("lawless", laws=("raises_at_import",))
"""
REASONS = {
    "broken": "loading offered:nowhere raised AttributeError: module 'offered' has no attribute 'nowhere'",
    "raises": "loading raises_at_import:KIND raised RuntimeError: no licence",
    "no-kind": "offered:TEXT is of type str, expected a dynprop.kinds.Kind",
    "misnamed": "offered:OTHER is named 'other', expected the name of its entry point, 'misnamed'",
    "seeded": "offered:SEEDED has an option 'seed', expected a Python name that no check has already",
    "textual": "offered:TEXTUAL has an option 'max_length' of another type than kind scan",
    "twin": "offered:TWIN has an adapter Scan, as kind scan has",
    "lawless": "importing raises_at_import raised RuntimeError: no licence",
    "doubled": "several packages offer it: offered:TAKEN, offered:TWIN",
}


def test_a_kind_that_cannot_be_used_costs_only_itself(tmp_path: Path) -> None:
    site = tmp_path / "site"
    install(site, "broken-kinds", {**BROKEN, "doubled": "offered:TAKEN"})
    install(site, "more-kinds", {"doubled": "offered:TWIN"})
    (site / "offered.py").write_text(OFFERED)
    (site / "raises_at_import.py").write_text("raise RuntimeError('no licence')\n")
    found = driven(
        site,
        tmp_path,
        f"""
from dynprop.kinds import all_faults, all_laws, unusable_kinds
print(json.dumps({{
    "asked": {{name: called("laws", "--kind", name) for name in {sorted(REASONS)}}},
    "scan": called("laws", "--kind", "scan"),
    "all": called("laws"),
    "help": called("check", "--help"),
    "faults": len({{fault.kind for fault in all_faults()}}),
    "laws": len({{law.kind for law in all_laws()}}),
    "unusable": dict(unusable_kinds()),
}}))
""",
    )
    for name, reason in REASONS.items():
        line = f"dynprop: kind: got {name!r}, expected a kind that can be used: {reason}\n"
        assert found["asked"][name] == [2, "", line]
    for command in ("scan", "all", "help"):
        status, out, err = found[command]
        assert (status, err) == (0, "")
        assert out
    assert "scan/forward" in found["scan"][1]
    assert found["faults"] == found["laws"] == len(all_kinds())
    assert set(found["unusable"]) == {*REASONS, "scan"} - {"lawless"}
    assert found["unusable"]["scan"] == "offered:TAKEN has the name of another kind, 'scan'"


TURNED = {
    "stray-law": ("laws.py", '"running-extreme/resume"', '"running-extremes/resume"'),
    "stray-fault": ("faults.py", '"running-extreme/forgets"', '"running-extremes/forgets"'),
    "stray-catalogue": ("controls.py", 'Catalogue("running-extreme"', 'Catalogue("running-extremes"'),
    "adapter": ("__init__.py", "target:RunningExtreme", "target:RunningExtremes"),
    "setup-name": ("__init__.py", "cases:setup", "cases:set_up"),
    "promise-name": ("__init__.py", '    setup="', '    promise="dynprop_toy.cases:promised",\n    setup="'),
    "accepts-name": ("__init__.py", '    setup="', '    accepts="dynprop_toy.cases:taken",\n    setup="'),
    "setup-raises": ("cases.py", "    shape = (len", '    raise KeyError("shape")\n    shape = (len'),
    "promise-raises": ("__init__.py", '    setup="', '    promise="dynprop_toy.cases:setup",\n    setup="'),
    "law-raises": ("laws.py", "cut = len(", "cut = subject.middle + len("),
}


def turned(site: Path, folder: Path, name: str) -> Path:
    """Install the toy package with one piece of its text replaced, and write the targets."""
    file, text, other = TURNED[name]
    made = folder / "site"
    shutil.copytree(site, made)
    path = made / "dynprop_toy" / file
    source = path.read_text()
    assert source.count(text) == 1
    path.write_text(source.replace(text, other))
    (folder / "kernels.py").write_text(KERNELS)
    return made


MISTAKES = [
    (
        "stray-law",
        ["check", "kernels:right", "--kind"],
        "law 'running-extremes/resume' of module dynprop_toy.laws has an id that does not begin with "
        "'running-extreme/'",
    ),
    (
        "stray-fault",
        ["faults", "--kind"],
        "importing dynprop_toy.faults raised ArgumentError: fault: got 'running-extremes/forgets', "
        "expected a name that begins with 'running-extreme/'",
    ),
    (
        "stray-catalogue",
        ["faults", "--kind"],
        "module dynprop_toy.controls has a Catalogue of kind 'running-extremes', expected 'running-extreme'",
    ),
    (
        "adapter",
        ["check", "kernels:right", "--kind"],
        "module dynprop_toy.target has no RunningExtremes",
    ),
    ("adapter", ["faults", "--kind"], "module dynprop_toy.target has no RunningExtremes"),
    ("setup-name", ["check", "kernels:right", "--kind"], "module dynprop_toy.cases has no set_up"),
    ("promise-name", ["check", "kernels:right", "--kind"], "module dynprop_toy.cases has no promised"),
    ("accepts-name", ["check", "kernels:right", "--kind"], "module dynprop_toy.cases has no taken"),
]
# Other libraries are imported once; each mistake gets a copy of the process, which imports dynprop.
FORKED = """
import os, sys
from pathlib import Path
import hypothesis, numpy, rich, typer

for number, (site, arguments) in enumerate(SITES):
    child = os.fork()
    if not child:
        sys.path.insert(0, site)
        exec(DRIVER)
        from dynprop.kinds import all_laws
        answer = [called(*arguments), len({law.kind for law in all_laws()})]
        Path(f"{number}.json").write_text(json.dumps(answer))
        os._exit(0)
    os.waitpid(child, 0)
print("0")
"""


def test_a_mistake_in_a_record_is_one_line(site: Path, tmp_path: Path) -> None:
    sites = [
        (str(turned(site, tmp_path / str(i), name)), [*command, "running-extreme"])
        for i, (name, command, _) in enumerate(MISTAKES)
    ]
    (tmp_path / "kernels.py").write_text(KERNELS)
    driven(tmp_path, tmp_path, f"SITES, DRIVER = {sites!r}, {DRIVER!r}\n{FORKED}", driver="import json\n")
    for i, (name, _, reason) in enumerate(MISTAKES):
        (status, out, err), kinds = json.loads((tmp_path / f"{i}.json").read_text())
        line = f"dynprop: kind: got 'running-extreme', expected a kind that can be used: {reason}"
        assert (status, out, err.strip().splitlines()[-1]) == (2, "", line)
        assert "Traceback" not in err
        assert kinds == len(all_kinds()) + (name != "stray-law")


@pytest.mark.parametrize("name", ["setup-raises", "promise-raises", "law-raises"])
def test_an_exception_of_a_kind_names_its_place_and_replaces_no_verdict(
    name: str, site: Path, tmp_path: Path
) -> None:
    command = ["check", "kernels:from_zero", "--kind", "running-extreme", "--extreme", "min"]
    status, out, err = driven(
        turned(site, tmp_path, name),
        tmp_path,
        f"print(json.dumps(called(*{command!r}, '--examples', '5', '--json', 'a.json')))",
    )
    assert status == 1, err
    definition, resume, _ = json.loads((tmp_path / "a.json").read_text())["laws"]
    assert definition["verdict"] == "wrong"
    script = definition["counterexample"]["script"]
    comment = "# kind running-extreme cannot write its script of this case: KeyError: 'shape'"
    assert (comment in script) == ("again(" in script) == (name == "setup-raises")
    assert ("the law itself raised" in out) == (name == "law-raises")
    if name == "law-raises":
        assert resume["verdict"] == "error"
        assert re.search(
            r"the law itself raised AttributeError: .*middle.*\(laws\.py:\d+\)", json.dumps(resume)
        )


def test_the_replay_of_a_report_of_an_unknown_kind_names_the_missing_package() -> None:
    report = Report("kernels:f", "counter", 0, (), {}, {}, {})
    with pytest.raises(ArgumentError, match=r"'counter' in the report.* with this kind may not be installed"):
        replay(report)


def test_the_options_of_every_check_are_reserved() -> None:
    of_kinds = {option.name for option in options_of_kinds()}
    assert set(check_signature().parameters) - of_kinds <= RESERVED
    assert of_kinds.isdisjoint(RESERVED)


def test_the_page_shows_the_files_of_the_toy_project() -> None:
    text = PAGE.read_text(encoding="utf-8")
    shown = dict(re.findall(r"^```\w+ file=(\S+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    files = [TOY / "pyproject.toml", *sorted((TOY / "dynprop_toy").glob("*.py"))]
    assert shown == {path.relative_to(TOY).as_posix(): path.read_text(encoding="utf-8") for path in files}
