"""All targets of a project in one check: their declaration, the table, expected failures, JUnit."""

from __future__ import annotations

import json
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from dynprop.check.process import isolate
from dynprop.check.project import config
from dynprop.check.project.config import Project, find_project, read_project
from dynprop.check.project.judged import JudgedTarget, ProjectReport, resolved_expectations
from dynprop.check.project.side_by_side import check_project
from dynprop.check.run.outcome import LawResult
from dynprop.check.run.report import Report
from dynprop.check.show.junit import junit_xml
from dynprop.cli import main
from dynprop.errors import ArgumentError, DefectError, TargetError

EXAMPLE = Path(__file__).parents[4] / "examples" / "project"
FAKES = Path(__file__).parents[1] / "fake_targets.py"


def written(folder: Path, text: str) -> Path:
    file = folder / config.FILE
    file.write_text(text)
    return file


def report(**counts: str) -> Report:
    """Return a report with one law for each name, of a given verdict."""
    numbers: dict[str, Any] = {"pass": {"decided": 1}, "wrong": {"decided": 1, "wrong": 1}, "undecidable": {}}
    laws = []
    for slug, verdict in counts.items():
        result = LawResult(f"scan/{slug.replace('_', '-')}", cases=1, **numbers[verdict])
        laws.append(result)
    return Report("f.py:scan", "scan", 0, tuple(laws))


def judged(expected: dict[str, str] | None = None, **counts: str) -> JudgedTarget:
    found = report(**counts)
    return JudgedTarget("scan", found, resolved_expectations(expected or {}, found))


def test_a_file_gives_targets_with_kind_options_and_expected_failures(tmp_path: Path) -> None:
    text = """
[tool.dynprop]
examples = 7
pythonpath = ["src"]
strict = true

[[tool.dynprop.targets]]
target = "a:b"
kind = "scan"
max-length = 64
dtypes = ["float64", "float32"]
expected-failures = { reset = "issue 3" }

[[tool.dynprop.targets]]
target = "c.py:d"
name = "d"
kind = "layer"
examples = 9
timeout = 2.5
sizes = { input_size = 4, hidden_size = 7 }
only = ["causality"]
"""
    project = read_project(written(tmp_path, text), seed=5)
    first, second = project.targets
    assert (project.strict, project.jobs, project.pythonpath) == (True, None, (str(tmp_path / "src"),))
    assert (first.name, first.examples, first.seed, first.timeout) == ("a:b", 7, 5, None)
    assert first.options == {"max_length": 64, "dtypes": ("float64", "float32")}
    assert first.expected_failures == {"reset": "issue 3"}
    assert (second.name, second.examples, second.timeout, second.only) == ("d", 9, 2.5, ("causality",))
    assert second.options == {"sizes": {"input_size": 4, "hidden_size": 7}}


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("[tool.dynprop]", "no targets, expected at least one [[tool.dynprop.targets]]"),
        ("[tool.dynprop]\ntargts = []", "the key 'targts'"),
        ("[tool.dynprop]\ntargts = []", "did you mean targets?"),
        ("[tool.dynprop]\nexamples = true\ntargets = [{}]", "examples of [tool.dynprop]: got True"),
        ("[tool.dynprop]\ntargets = [3]", "target 1 of [tool.dynprop]: got 3"),
        ("[tool.dynprop]\ntargets = [{ kind = 'scan' }]", "no key target"),
        ("[tool.dynprop]\ntargets = [{ target = 'a:b', kind = 'scn' }]", "did you mean 'scan'?"),
        ("[tool.dynprop]\ntargets = [{ target = 'a:b', kind = 'scan', sizes = 'a=1' }]", "the key 'sizes'"),
        ("[tool.dynprop]\ntargets = [{ target = 'a:b', kind = 'scan', max_length = '9' }]", "a whole number"),
        ("[tool.dynprop]\ntargets = [{ target = 'a:b', dtypes = 3 }]", "text, as after --dtypes"),
        ("[tool.dynprop]\ntargets = [{ target = 'a:b', dtypes = [3] }]", "a list of strings"),
        ("[tool.dynprop]\ntargets = [{ target = 'a:b', matrix = 1 }]", "true or false"),
        ("[tool.dynprop]\ntargets = [{ target = 'a:b', expected_failures = { a = '' } }]", "a reason"),
        ("[tool.dynprop", "a TOML file"),
    ],
)
def test_a_mistake_in_the_file_is_one_line(
    text: str, part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path, text)
    monkeypatch.chdir(tmp_path)
    assert main(["check"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert part in line


def test_the_file_is_found_from_a_folder_below(tmp_path: Path) -> None:
    file = written(tmp_path, "[tool.dynprop]")
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    assert find_project(inner) == file
    (inner / config.FILE).write_text("[project]\nname = 'other'")
    with pytest.raises(ArgumentError, match=r"TARGET: got none, and no \[tool.dynprop\] in"):
        find_project(inner)


@pytest.mark.parametrize(
    ("targets", "status"),
    [
        ([judged(forward="pass")], 0),
        ([judged(forward="pass", reset="wrong")], 1),
        ([judged({"reset": "known"}, forward="pass", reset="wrong")], 0),
        ([judged({"scan/reset": "known"}, reset="wrong")], 0),
        ([judged({"reset": "known"}, forward="pass", reset="pass")], 1),
        ([judged({"reset": "known"}, forward="pass", reset="undecidable")], 1),
        ([judged(forward="undecidable")], 3),
        ([judged(forward="pass"), JudgedTarget.without_report("x", TargetError("no such"))], 2),
        ([JudgedTarget.without_report("x", DefectError("broke")), judged(forward="undecidable")], 4),
        ([JudgedTarget.without_report("x", DefectError("broke")), judged(forward="wrong")], 1),
    ],
)
def test_the_exit_status_is_the_gravest_and_stale_expectations_fail(
    targets: list[JudgedTarget], status: int
) -> None:
    assert ProjectReport(tuple(targets)).exit_code == status


def test_with_strict_an_undecidable_law_is_no_success() -> None:
    targets = (judged(forward="pass", reset="undecidable"),)
    assert (ProjectReport(targets).exit_code, ProjectReport(targets, strict=True).exit_code) == (0, 3)


def test_a_law_that_raised_by_itself_is_a_defect_and_not_a_failure() -> None:
    result = LawResult("scan/forward", cases=1, errors=1, defect="a defect of dynprop")
    found = Report("f", "scan", 0, (result, LawResult("scan/reset", cases=1, decided=1)))
    assert found.exit_code() == 4
    assert JudgedTarget("f", found).exit_code() == 4


def test_an_expected_failure_of_no_law_is_refused() -> None:
    with pytest.raises(
        ArgumentError, match=r"expected_failures: got gone, expected laws that run on f\.py:scan"
    ):
        judged({"gone": "why"}, forward="pass")


def test_junit_has_a_suite_for_each_target_and_a_case_for_each_law() -> None:
    first = judged({"reset": "known", "causality": "old"}, forward="pass", reset="wrong", causality="pass")
    second = judged(forward="wrong", padding="undecidable")
    third = JudgedTarget.without_report("half \udc80 \x00", TargetError("no such"))
    root = ET.fromstring(junit_xml([first, second, third]))
    assert (root.get("tests"), root.get("failures"), root.get("errors"), root.get("skipped")) == (
        "6",
        "2",
        "1",
        "2",
    )
    found = {
        (case.get("name"), child.tag, child.get("type")) for case in root.iter("testcase") for child in case
    }
    assert found == {
        ("scan/reset", "skipped", "expected"),
        ("scan/causality", "failure", "stale"),
        ("scan/forward", "failure", "wrong"),
        ("scan/padding", "skipped", "undecidable"),
        ("judged", "error", "call"),
    }


def project_of(*targets: dict[str, Any]) -> Project:
    made = [config.ProjectTarget(name=target["target"], **target) for target in targets]
    return Project(FAKES.parent, tuple(made), jobs=2)


@pytest.mark.usefixtures("warm_children")
def test_targets_are_judged_side_by_side_and_each_costs_itself_only() -> None:
    common = {"kind": "scan", "options": {"framework": "numpy"}, "only": ("forward",), "examples": 1}
    names = ("right", "ignores_initial", "no_such", "right")
    project = project_of(*({"target": f"fake_targets.py:{name}", **common} for name in names))
    heard: list[tuple[str, int, int]] = []
    result = check_project(project, lambda *event: heard.append(event))
    assert [target.verdict for target in result.targets] == ["pass", "wrong", "not judged", "pass"]
    assert "no attribute 'no_such'" in result.targets[2].problem
    assert result.exit_code == 1
    assert [name for name, _, _ in heard] == [target.name for target in project.targets]
    assert {total for _, _, total in heard} == {4}


@pytest.mark.usefixtures("warm_children")
def test_ctrl_c_ends_the_children_of_all_targets() -> None:
    common = {"kind": "scan", "options": {"framework": "numpy"}, "only": ("forward",)}
    project = project_of(*({"target": "fake_targets.py:always_hangs", **common} for _ in range(3)))
    seen: list[int] = []

    def interrupt() -> None:
        while len(isolate._alive) < 2:
            time.sleep(0.01)
        seen.extend(child._process.pid for child in tuple(isolate._alive))
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        check_project(project)
    deadline = time.monotonic() + 20.0
    while isolate._alive and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not isolate._alive
    assert len(seen) == 2


@pytest.mark.usefixtures("warm_children")
def test_the_example_judges_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "project"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(folder / "src")
    files = ["--json", str(tmp_path / "report.json"), "--junit", str(tmp_path / "laws.xml")]
    assert main(["check", "--examples", "1", "--jobs", "1", *files]) == 0
    out, _ = capsys.readouterr()
    assert "3 targets: 3 pass" in out
    assert "scan/shape-and-dtype: fails as expected (the chunk buffer is float64:" in out
    data = json.loads((tmp_path / "report.json").read_text())
    assert [target["kind"] for target in data["targets"]] == ["scan", "scan", "layer"]
    assert [list(target["expected_failures"]) for target in data["targets"]] == [
        [],
        ["scan/shape-and-dtype"],
        [],
    ]
    assert len(ET.parse(tmp_path / "laws.xml").getroot().findall("testsuite")) == 3

    assert main(["replay", str(tmp_path / "report.json")]) == 1
    assert "1 of 1 saved counterexamples still fail: leaky.scan:scan_in_chunks" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--gates", "unit"], "--gates: got 'unit', expected a TARGET beside it"),
        (["--kind", "scan"], "--kind: got 'scan', expected a TARGET beside it"),
        (["--matrix"], "--matrix: got the flag"),
        (["--html", "a.html"], "--html: got 'a.html'"),
        (["f:f", "--kind", "scan", "--jobs", "2"], "--jobs: got 2, expected no TARGET"),
    ],
)
def test_options_of_one_target_need_it(
    arguments: list[str],
    part: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    written(tmp_path, "[tool.dynprop]\ntargets = [{ target = 'a:b' }]")
    monkeypatch.chdir(tmp_path)
    assert main(["check", *arguments]) == 2
    assert part in capsys.readouterr().err
