"""The command line keeps its contract: exit statuses, strict JSON, one line for a wrong call."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from dynprop import __version__
from dynprop.cli import main
from dynprop.kinds import all_controls, all_faults
from dynprop.laws.catalogue import Control, Fault

FAKES = Path(__file__).parent / "check" / "fake_targets.py"

pytestmark = pytest.mark.usefixtures("warm_children")


def check(name: str, *arguments: str, law: str = "forward") -> int:
    common = ["check", f"{FAKES}:{name}", "--kind", "scan", "--framework", "numpy", "--examples", "2"]
    return main([*common, "--only", law, *arguments])


def complaint(capsys: pytest.CaptureFixture[str]) -> str:
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("dynprop: ")
    return line


@pytest.mark.parametrize(
    ("name", "law", "arguments", "status"),
    [
        ("right", "forward", [], 0),
        ("right", "scan/forward", ["--strict"], 0),
        ("ignores_initial", "forward", [], 1),
        ("single_inside", "forward", ["--dtypes", "float64"], 1),
        ("raises_with_initial", "forward", [], 1),
        ("exits_at_7", "lengths", [], 1),
        ("right", "threads", [], 3),
        ("refuses", "lengths", ["--max-length", "1"], 3),
    ],
)
def test_the_exit_status_says_what_came_out(
    name: str, law: str, arguments: list[str], status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(name, *arguments, law=law) == status
    out, _ = capsys.readouterr()
    assert f"{FAKES}:{name}" in out
    verdict, _, reason = out.rpartition("─\n")[2].rpartition("decided\n")[2].partition(": ")
    assert verdict in ("pass", "wrong", "inaccurate", "error", "refused", "not applicable")
    assert reason


def test_a_hang_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert check("hangs_with_initial", "--timeout", "4") == 1
    assert "no answer within 4 s" in capsys.readouterr().out


def test_an_undecidable_law_is_no_success_when_strict(monkeypatch: pytest.MonkeyPatch) -> None:
    from dynprop.check.process import isolate
    from dynprop.check.run.outcome import LawResult
    from dynprop.check.run.report import Report

    laws = (LawResult("scan/forward", cases=1, decided=1), LawResult("scan/reset", cases=1, undecidable=1))
    monkeypatch.setattr(isolate, "check_isolated", lambda *args, **kwargs: Report("f", "scan", 0, laws))
    assert check("right") == 0
    assert check("right", "--strict") == 3


def test_json_on_stdout_is_all_that_stands_there(capfd: pytest.CaptureFixture[str]) -> None:
    assert check("prints", "--json", "-", "--seed", "7") == 0
    out, err = capfd.readouterr()
    data = json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is no strict JSON"))
    assert (data["verdict"], data["seed"], data["kind"]) == ("pass", 7, "scan")
    assert data["options"] == {"framework": "numpy", "examples": 2, "only": ["forward"]}
    assert "noise of the target" in err


def test_files_are_written_beside_what_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = ["--json", str(tmp_path / "a.json"), "--html", str(tmp_path / "a.html")]
    assert check("ignores_initial", *files) == 1
    assert "most likely: initial state ignored" in capsys.readouterr().out
    data = json.loads((tmp_path / "a.json").read_text())
    assert data["laws"][0]["hypothesis"].startswith("initial state ignored")
    page = (tmp_path / "a.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "initial state ignored" in page

    assert main(["replay", str(tmp_path / "a.json")]) == 1
    out = capsys.readouterr().out
    assert "still fails  wrong: " in out
    assert "1 of 1 saved counterexamples still fail" in out


def test_options_reach_the_domain_and_the_report(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    options = [
        "--gates",
        "signed",
        "--inputs",
        "positive",
        "--dtypes",
        "float64, float32",
        "--max-length",
        "9",
    ]
    assert (
        check("right", *options, "--arithmetic", "log", "--reach", "4", "--iid", "3", "--json", str(file))
        == 0
    )
    data = json.loads(file.read_text())
    assert data["domain"] == {
        "gates": "signed",
        "inputs": "positive",
        "dtypes": ["float64", "float32"],
        "max_length": 9,
        "arithmetic": "log",
        "reach": 4,
        "windows": None,
    }
    assert data["options"]["iid"] == 3


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["chekc"], ["chekc", "check"]),
        (["check"], ["TARGET", "dynprop check --help"]),
        (["check", f"{FAKES}:right"], ["kind: got none", "function right", "--kind with one of scan"]),
        (["check", "f:f", "--kind", "scan", "--frmework", "numpy"], ["--frmework", "--framework"]),
        (["check", "f:f", "--kind", "scn"], ["kind", "'scn'", "associative-scan"]),
        (["check", "f:f", "--kind", "scan", "--examples", "many"], ["--examples"]),
        (["check", "f:f", "--kind", "scan", "--examples", "-1"], ["examples", "-1"]),
        (["check", "f:f", "--kind", "scan", "--seed", "-1"], ["seed", "-1"]),
        (["check", "f:f", "--kind", "scan", "--timeout", "0"], ["timeout", "above 0"]),
        (["check", "f:f", "--kind", "scan", "--only", "fwd"], ["'fwd'", "forward"]),
        (["check", "f:f", "--kind", "layer", "--sizes", "a"], ["sizes", "NAME=N"]),
        (
            ["check", "f:f", "--kind", "scan", "--sizes", "input_size=3"],
            ["--sizes: got 'input_size=3', expected an option that kind scan takes: --framework, --device"],
        ),
        (["check", "f:f", "--kind", "product", "--reach", "0"], ["--reach: got '0'", "kind product"]),
        (["check", "f:f", "--kind", "scan", "--matrix"], ["--matrix: got the flag", "kind scan takes"]),
        (["check", "f:f", "--kind", "scan", "--json", "no/a.json"], ["--json", "no does not"]),
        (["check", "f:f", "--kind", "scan", "--json", "."], ["--json", "not a folder"]),
        (["check", "f:f", "--kind", "scan", "--html", "no/a.html"], ["--html", "no does not"]),
        (["check", "nowhere_at_all:f", "--kind", "scan"], ["nowhere_at_all", "installed"]),
        (["check", "json.dumps", "--kind", "scan"], ["did you mean json:dumps"]),
        (["check", f"{FAKES}:rigth", "--kind", "scan"], ["'rigth'", "did you mean right"]),
        (["check", f"{FAKES}:takes_two", "--kind", "scan", "--framework", "numpy"], ["takes_two takes"]),
        (["check", f"{FAKES}:returns_none", "--kind", "scan", "--framework", "numpy"], ["returned NoneType"]),
        (["check", f"{FAKES}:right", "--kind", "scan", "--framework", "tf"], ["framework", "'tf'"]),
        (["check", f"{FAKES}:right", "--kind", "scan", "--gates", "odd"], ["gates", "'odd'", "signed"]),
        (["check", f"{FAKES}:right", "--kind", "scan", "--dtypes", "float8"], ["dtypes", "float8"]),
        (["replay", "nowhere.json"], ["nowhere.json", "No such file"]),
        (["replay", str(FAKES)], ["not JSON"]),
        (["replay"], ["REPORT", "dynprop replay --help"]),
        (["laws", "--kind", "scn"], ["'scn'"]),
        (["laws", "--json", "no/laws.json"], ["--json"]),
    ],
)
def test_a_wrong_call_is_one_line_and_status_2(
    arguments: list[str], parts: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    line = complaint(capsys)
    assert [part for part in parts if part not in line] == []


def test_an_import_that_raises_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "raises.py").write_text("\nraise OSError('no driver')\n")
    assert main(["check", f"{tmp_path}/raises.py:f", "--kind", "scan"]) == 2
    line = complaint(capsys)
    assert "raised OSError: no driver" in line
    assert "raises.py:2)" in line


def test_laws_are_listed_for_people_and_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["laws", "--kind", "scan"]) == 0
    assert "scan/gradient-by-lag  C6" in capsys.readouterr().out
    assert main(["laws", "--kind", "scan", "--json", "-"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {"id", "kind", "claim", "statement", "source"} == set(listed[0])
    assert all(entry["kind"] == "scan" for entry in listed)


@pytest.mark.parametrize(
    ("fault", "control", "status", "flag"),
    [("wrong", "pass", 0, ""), ("pass", "pass", 1, "UNCAUGHT"), ("error", "inaccurate", 1, "ACCUSED")],
)
def test_faults_fail_if_one_is_uncaught_or_a_control_accused(
    fault: str,
    control: str,
    status: int,
    flag: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from dynprop.evidence import kill_matrix as matrix

    def row(name: str, correct: bool, verdict: str) -> matrix.Row:
        verdicts = {"scan/forward": verdict, "scan/threads": "not-applicable"}
        return matrix.Row(f"scan/{name}", "scan", "", "", correct, False, None, verdicts, 9)

    found = matrix.KillMatrix((row("sign-flipped", False, fault), row("loop", True, control)))

    def kill(
        examples: int | None,
        listen: Callable[[str, int, int], None],
        entries: Sequence[Fault | Control],
    ) -> matrix.KillMatrix:
        assert examples == 3
        assert len(entries) == len(all_faults()) + len(all_controls())
        listen("scan/loop", 1, 2)
        return found

    monkeypatch.setattr(matrix, "kill_matrix", kill)
    assert main(["faults", "--examples", "3"]) == status
    out = capsys.readouterr().out
    assert "a forward" in out
    assert flag in out
    assert f"sign-flipped  {'W' if fault == 'wrong' else '.' if fault == 'pass' else 'E'}" in out
    assert main(["faults", "--examples", "3", "--json", "-"]) == status
    assert json.loads(capsys.readouterr().out) == found.to_json()


def test_laws_that_catch_no_fault_are_listed_unless_faults_are_chosen_by_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from dynprop.evidence import kill_matrix as matrix

    verdicts = {"scan/forward": "wrong", "scan/threads": "pass"}
    row = matrix.Row("scan/sign-flipped", "scan", "", "", False, False, None, verdicts, 9)
    monkeypatch.setattr(matrix, "kill_matrix", lambda **given: matrix.KillMatrix((row,)))
    assert main(["faults", "--kind", "scan"]) == 0
    assert "laws that catch no fault: scan/threads" in capsys.readouterr().out
    assert main(["faults", "--kind", "scan", "--fault", "exclusive"]) == 0
    assert "laws that catch no fault" not in capsys.readouterr().out


def test_help_names_the_commands_and_is_printed_without_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    helped = capsys.readouterr().out
    assert [name for name in ("check", "replay", "laws", "faults") if name not in helped] == []
    assert main([]) == 0
    assert capsys.readouterr().out == helped


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"dynprop {__version__}\n"


def test_help_loads_nothing_that_it_does_not_need() -> None:
    code = "import sys, dynprop.cli as cli; cli.main(['-h']); print(sorted(sys.modules), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True
    )
    for heavy in ("torch", "jax", "hypothesis", "numpy", "scipy", "flint", "dynprop.laws", "dynprop.check"):
        assert f"'{heavy}'" not in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="a pipe whose reader has gone")
def test_a_reader_that_goes_away_is_no_error() -> None:
    command = f"{sys.executable} -m dynprop.cli laws --kind scan | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=300, check=False)
    assert "Traceback" not in done.stderr
