"""A target that hangs or ends the interpreter costs one law; the others still run."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dynprop.check import check, load_subject
from dynprop.check.process import isolate as isolation
from dynprop.check.process.isolate import check_isolated
from dynprop.check.process.job import Item, Job
from dynprop.check.process.messages import Announced, ItemStarted, LawRaised
from dynprop.check.run.events import (
    CasesDone,
    CaseStarted,
    Event,
    LawFinished,
    LawStarted,
    Loaded,
    Shrinking,
    ignore,
)
from dynprop.check.run.report import Report
from dynprop.check.run.session import TargetFacts
from dynprop.check.run.subjects import TargetName
from dynprop.errors import ArgumentError, TargetError
from dynprop.kinds.scan.cases import ScanCase

FAKES = Path(__file__).parents[1] / "fake_targets.py"


def judge(name: str, *laws: str, **settings: Any) -> Report:
    options = {"framework": "numpy", **settings.pop("options", {})}
    examples = settings.pop("examples", 3)
    return check_isolated(
        f"{FAKES}:{name}", "scan", options=options, only=laws, examples=examples, **settings
    )


def test_a_child_says_what_this_process_says() -> None:
    laws = ("forward", "lengths", "threads", "gradient-by-lag")
    here = check(load_subject(f"{FAKES}:right", "scan", framework="numpy"), laws=laws, examples=3, seed=5)
    there = judge("right", *laws, seed=5)
    assert there.to_json() == here.to_json()
    assert there.exit_code() == 0
    assert there.effective_lag == there.max_decided_lag == 2047


def test_a_child_says_of_a_failure_what_this_process_says() -> None:
    here = check(
        load_subject(f"{FAKES}:ignores_initial", "scan", framework="numpy"), laws=["lengths"], examples=3
    )
    there = judge("ignores_initial", "lengths")
    assert there.verdict == here.verdict == "wrong"
    assert (there.laws[0].cases, there.laws[0].wrong) == (here.laws[0].cases, here.laws[0].wrong)
    assert there.laws[0].hypothesis is not None
    assert there.laws[0].hypothesis.startswith("initial state ignored")


def test_listeners_hear_every_step_in_order() -> None:
    heard: list[Event] = []
    judge("ignores_initial", "forward", "threads", listen=heard.append)
    events = [type(event) for event in heard]
    assert events[:2] == [Loaded, LawStarted]
    assert events.index(CasesDone) < events.index(Shrinking) < events.index(LawFinished)
    assert [event.law for event in heard if isinstance(event, LawStarted)] == ["scan/forward", "scan/threads"]
    results = [event.result for event in heard if isinstance(event, LawFinished)]
    assert [result.verdict for result in results] == ["wrong", "not-applicable"]
    (first,) = [event.result for event in heard if isinstance(event, Shrinking)]
    assert first.failed
    assert first.counterexample is not None


def test_a_child_sends_the_events_of_this_process_but_for_the_cases() -> None:
    here: list[Event] = []
    subject = load_subject(f"{FAKES}:right", "scan", framework="numpy")
    check(subject, laws=["forward"], examples=3, listen=here.append)
    there: list[Event] = []
    judge("right", "forward", listen=there.append)
    kept = [event for event in here if not isinstance(event, CaseStarted)]
    assert len(kept) == len(there) < len(here)
    assert [event for event in kept if not isinstance(event, LawFinished)] == [
        event for event in there if not isinstance(event, LawFinished)
    ]


def test_a_target_that_ends_the_interpreter_is_an_error_with_its_input() -> None:
    report = judge("exits_at_7", "lengths", "shape-and-dtype")
    first, second = report.laws
    assert (first.verdict, first.errors) == ("error", 1)
    assert first.cases > 1
    assert first.counterexample is not None
    assert first.counterexample.case["shape"][1] == 7
    assert "exit status 3" in first.counterexample.message
    assert "import exits_at_7" in first.counterexample.script
    assert second.verdict in ("pass", "error")
    assert second.cases > 0


def test_a_target_that_hangs_is_an_error_with_its_input_and_the_other_laws_run() -> None:
    report = judge("hangs_with_initial", "lengths", "exact-on-integers", "threads", timeout=5.0)
    first, _, last = report.laws
    assert first.verdict == "error"
    assert first.counterexample is not None
    assert first.counterexample.message == "no answer within 5 s"
    assert first.counterexample.case["initial"] is not None
    assert last.verdict == "not-applicable"
    assert report.options["timeout"] == 5.0


def test_a_hang_in_the_first_call_is_still_an_error_of_the_laws() -> None:
    report = judge("always_hangs", "forward", timeout=1.0)
    assert report.verdict == "error"
    assert report.laws[0].counterexample is not None


def test_a_failure_is_kept_when_making_it_smaller_ends_the_interpreter() -> None:
    report = judge("dies_when_made_smaller", "forward")
    (result,) = report.laws
    assert result.verdict == "wrong"
    assert result.counterexample is not None
    assert "expected" in result.counterexample.message
    assert "exit status 4" in result.note


def test_after_a_hang_silence_is_found_sooner_but_not_too_soon() -> None:
    job = Job("f:f", "scan", {}, ())
    supervisor = isolation._Supervisor(job, 60.0, ignore)
    stage = isolation._Stage(name="case")
    assert supervisor._allowance(stage) == 60.0
    supervisor._hung = True
    assert supervisor._allowance(stage) == 15.0
    for timeout, later in ((8.0, 5.0), (2.0, 2.0)):
        shorter = isolation._Supervisor(job, timeout, ignore)
        shorter._hung = True
        assert shorter._allowance(stage) == later
    assert supervisor._allowance(isolation._Stage(name="load")) == isolation.START
    supervisor.target = TargetFacts(TargetName("f", "scan", "jax", "f:f"), compiles=True)
    assert supervisor._allowance(stage) == 15.0 + isolation.COMPILATION


def test_a_law_that_raises_is_an_error_of_its_own_with_the_case() -> None:
    case = ScanCase(np.ones((1, 2, 1)), np.ones((1, 2, 1)), None, "float64")
    heard: list[Event] = []
    items = ((0, Item("scan/forward")), (1, Item("scan/lengths")))
    supervisor = isolation._Supervisor(Job("f:f", "scan", {}, items), 60.0, heard.append)
    supervisor.target = TargetFacts(TargetName("f", "scan", "numpy", "f:f"))
    for index, announced in enumerate((pickle.dumps(case), None)):
        stage = isolation._Stage()
        for message in (ItemStarted(index), Announced(announced), LawRaised("KeyError: 'x' (a.py:3)")):
            supervisor._handle(message, stage)
    first, second = supervisor.results
    assert (first.verdict, second.verdict) == ("error", "error")
    assert first.hypothesis == second.hypothesis == "a defect of the law rather than of the target"
    assert first.counterexample is not None
    assert first.counterexample.case == case.to_json()
    assert first.counterexample.message == "the law itself raised KeyError: 'x' (a.py:3)"
    assert (second.counterexample, second.note) == (None, "the law itself raised KeyError: 'x' (a.py:3)")
    assert [type(event) for event in heard] == [LawStarted, LawFinished] * 2


def test_a_raise_inside_the_domain_is_an_error() -> None:
    report = judge("raises_with_initial", "forward")
    assert report.verdict == "error"
    assert report.laws[0].counterexample is not None
    assert "RuntimeError: the kernel is missing" in report.laws[0].counterexample.message


def test_what_a_target_prints_does_not_reach_stdout(capfd: pytest.CaptureFixture[str]) -> None:
    judge("prints", "forward")
    out, err = capfd.readouterr()
    assert out == ""
    assert "noise of the target" in err
    assert "raw noise of the target" in err


@pytest.mark.parametrize(
    ("name", "settings", "error", "part"),
    [
        ("missing", {}, TargetError, "no attribute 'missing'"),
        ("takes_two", {}, TargetError, "takes_two takes"),
        ("returns_none", {}, TargetError, "returned NoneType"),
        ("right", {"options": {"max_length": 0}}, ArgumentError, "max_length: got 0"),
        ("right", {"options": {"sizes": {"a": 1}}}, ArgumentError, "an option that kind scan takes"),
        ("right", {"timeout": 0.0}, ArgumentError, "timeout: got 0.0"),
        ("right", {"examples": -1}, ArgumentError, "examples: got -1"),
    ],
)
def test_a_mistake_travels_back(
    name: str, settings: dict[str, Any], error: type[Exception], part: str
) -> None:
    with pytest.raises(error) as caught:
        judge(name, "forward", **settings)
    assert part in str(caught.value)


def test_an_unknown_law_is_refused_before_any_work() -> None:
    with pytest.raises(ArgumentError, match="law: got 'fwd', expected one of kind scan: forward, "):
        judge("no_such_target", "fwd")


def test_an_import_that_ends_the_interpreter_is_a_mistake_of_the_call(tmp_path: Path) -> None:
    (tmp_path / "ends.py").write_text("import os\nos._exit(5)\n")
    with pytest.raises(TargetError, match=r"loading .*ends\.py:f: .* exit status 5"):
        check_isolated(f"{tmp_path}/ends.py:f", "scan")


def test_a_script_without_a_main_guard_may_check_in_a_child(tmp_path: Path) -> None:
    source = (
        "from dynprop.check.process.isolate import check_isolated\n"
        f"report = check_isolated('{FAKES}:right', 'scan', options={{'framework': 'numpy'}}, "
        "only=['forward'], examples=1)\n"
        "print(report.verdict)\n"
    )
    (tmp_path / "unguarded.py").write_text(source)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "unguarded.py")],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stdout == "pass\n", done.stderr


def test_a_timeout_in_process_needs_a_target_that_a_child_can_import() -> None:
    from dynprop.kinds.scan.target import Scan

    with pytest.raises(ArgumentError, match="timeout"):
        check(Scan(lambda a, x, h: x, framework="numpy"), timeout=3.0)
    loaded = load_subject(f"{FAKES}:right", "scan", framework="numpy")
    assert check(loaded, laws=["forward"], examples=1, timeout=300.0).verdict == "pass"


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_ends_the_child_too(tmp_path: Path) -> None:
    import signal
    import time

    (tmp_path / "waits.py").write_text(
        "import os, time\n"
        "def scan(a, x, h):\n"
        "    open('pid', 'w').write(str(os.getpid()))\n"
        "    os.rename('pid', 'child')\n"
        "    time.sleep(600)\n"
    )
    command = [
        sys.executable,
        "-m",
        "dynprop.cli",
        "check",
        "waits:scan",
        "--kind",
        "scan",
        "--framework",
        "numpy",
    ]
    run = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    begin = time.monotonic()
    while not (tmp_path / "child").exists() and time.monotonic() - begin < 300.0:
        time.sleep(0.05)
    child = int((tmp_path / "child").read_text())
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=300)
    assert run.returncode == 130
    assert out == b""
    assert b"Traceback" not in err
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
