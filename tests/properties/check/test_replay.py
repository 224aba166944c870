"""A saved counterexample can be judged again, by the command line and by the printed script."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dynprop.check import again, load_subject
from dynprop.check.process.isolate import check_isolated
from dynprop.check.replay import exit_code, read_report, replay
from dynprop.check.run.events import CaseReplayed, Event, LawStarted, Loaded
from dynprop.check.run.report import Report
from dynprop.errors import ArgumentError, TargetError

FAKES = Path(__file__).with_name("fake_targets.py")

pytestmark = pytest.mark.usefixtures("warm_children")
SOURCE = """\
import numpy as np

def scan(gates, inputs, initial=None):
    state, states = 0.0 if initial is None else initial, np.empty_like(inputs)
    for t in range(inputs.shape[1]):
        state = gates[:, t] * state + inputs[:, t]
        states[:, t] = state
    return FACTOR * states
"""


def failing_report(folder: Path, law: str = "forward") -> Report:
    (folder / "kernel.py").write_text(SOURCE.replace("FACTOR", "2.0"))
    options = {"framework": "numpy", "gates": "unit"}
    return check_isolated(f"{folder}/kernel.py:scan", "scan", options=options, only=[law], examples=2)


def test_a_counterexample_still_fails_until_the_target_is_repaired(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    path = tmp_path / "saved.json"
    path.write_text(failing_report(tmp_path).dumps())
    saved = read_report(path)
    heard: list[Event] = []
    (retrial,) = replay(saved, listen=heard.append)
    assert [type(event) for event in heard] == [Loaded, LawStarted, CaseReplayed]
    assert (retrial.verdict, retrial.law, exit_code([retrial])) == ("wrong", "scan/forward", 1)
    assert saved.laws[0].counterexample is not None
    assert retrial.message == saved.laws[0].counterexample.message
    assert retrial.hypothesis is not None
    assert retrial.hypothesis.startswith("scaled by 2")

    # Of the same size and of the same second: by these bytecode is known that is cached.
    written = (tmp_path / "kernel.py").stat().st_mtime_ns
    (tmp_path / "kernel.py").write_text(SOURCE.replace("FACTOR", "1.0"))
    os.utime(tmp_path / "kernel.py", ns=(written, written))
    (retrial,) = replay(saved)
    assert (retrial.verdict, retrial.message, exit_code([retrial])) == ("pass", "", 0)


def test_a_target_that_hangs_on_its_counterexample_still_fails(tmp_path: Path) -> None:
    target, options = f"{FAKES}:hangs_with_initial", {"framework": "numpy"}
    report = check_isolated(target, "scan", options=options, only=["forward"], examples=2, timeout=4.0)
    (retrial,) = replay(report)
    assert (retrial.verdict, retrial.message) == ("error", "no answer within 4 s")


def test_a_report_without_counterexamples_has_nothing_to_replay() -> None:
    assert replay(Report("no_such_target", "scan", 0, ())) == []
    assert exit_code([]) == 0


def test_a_saved_case_of_a_law_that_is_gone_is_refused(tmp_path: Path) -> None:
    data = failing_report(tmp_path).to_json()
    data["laws"][0]["id"] = "scan/gone"
    with pytest.raises(ArgumentError, match="scan/gone"):
        replay(Report.from_json(data))


def test_a_saved_case_that_is_none_is_refused(tmp_path: Path) -> None:
    data = failing_report(tmp_path).to_json()
    data["laws"][0]["counterexample"]["case"] = {"gates": 3}
    with pytest.raises(ArgumentError, match="a saved case of kind scan"):
        replay(Report.from_json(data))


def test_a_target_that_is_gone_is_told(tmp_path: Path) -> None:
    report = failing_report(tmp_path)
    (tmp_path / "kernel.py").unlink()
    with pytest.raises(TargetError, match=r"no file .*kernel\.py"):
        replay(report)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (None, "No such file"),
        ("import numpy", "is not JSON"),
        ("[]", "a JSON list"),
        ("{}", "without target"),
    ],
)
def test_a_file_that_is_no_report_is_refused(text: str | None, part: str, tmp_path: Path) -> None:
    path = tmp_path / "no_report.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ArgumentError, match=part):
        read_report(path)


@pytest.mark.parametrize("law", ["forward", "exact-on-integers", "split-resume"])
def test_the_printed_script_runs_as_it_is(law: str, tmp_path: Path) -> None:
    report = failing_report(tmp_path, law)
    example = report.laws[0].counterexample
    assert example is not None
    done = subprocess.run(
        [sys.executable, "-c", example.script], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_again_prints_what_came_of_a_case(tmp_path: Path) -> None:
    case = json.loads(failing_report(tmp_path).dumps())["laws"][0]["counterexample"]["case"]
    subject = load_subject(f"{tmp_path}/kernel.py:scan", "scan", framework="numpy")
    retrial = again("scan/forward", subject, case)
    lines = str(retrial).splitlines()
    assert lines[0] == "scan/forward: wrong"
    assert [line.split()[0] for line in lines[1:]] == ["case", "found", "likely"]
    assert retrial.failed


def test_again_refuses_what_is_no_law_or_no_case() -> None:
    subject = load_subject(f"{FAKES}:right", "scan", framework="numpy")
    with pytest.raises(ArgumentError, match="law: got 'scan/gone'"):
        again("scan/gone", subject, {})
    with pytest.raises(ArgumentError, match="a saved case of kind scan"):
        again("scan/forward", subject, {"gates": []})
    with pytest.raises(ArgumentError, match="subject: got function"):
        again("scan/forward", test_again_refuses_what_is_no_law_or_no_case, {})
