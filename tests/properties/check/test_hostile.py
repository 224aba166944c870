"""A target that misbehaves costs itself only: one clear verdict or line, the right exit status."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from dynprop.check.process import isolate
from dynprop.check.process.output import MOST
from dynprop.check.run.outcome import LawResult
from dynprop.cli import main

from .hostile_targets import TARGETS, Expected

HOSTILE = Path(__file__).with_name("hostile_targets.py")

pytestmark = pytest.mark.usefixtures("warm_children")


def judged(
    capsys: pytest.CaptureFixture[str], place: str, law: str = "shape-and-dtype", timeout: float = 60.0
) -> tuple[int, str]:
    """Return the exit status of a check with few cases, and all that it prints."""
    common = ["--kind", "scan", "--framework", "numpy", "--only", law, "--examples", "1"]
    common += ["--timeout", str(timeout)]
    status = main(["check", place, *common, "--dtypes", "float64", "--max-length", "4"])
    out, err = capsys.readouterr()
    assert len(err) < MOST + 2_000
    assert len(out) < 8_000
    printed = out + err
    printed.encode("utf-8")
    assert "Traceback" not in printed
    assert "defect of" not in printed
    return status, " ".join(printed.split())


def test_there_are_many() -> None:
    assert len(TARGETS) >= 90


@pytest.mark.parametrize(("name", "expected"), TARGETS.items(), ids=TARGETS)
def test_a_target_that_misbehaves_costs_itself_only(
    name: str, expected: Expected, capsys: pytest.CaptureFixture[str]
) -> None:
    # Only what hangs is worth an impatience that a busy machine might not meet.
    timeout = 0.3 if "no answer" in expected.part else 60.0
    status, printed = judged(capsys, f"{HOSTILE}:{name}", expected.law, timeout)
    assert expected.part in printed
    assert status == expected.status, printed


RIGHT = """
import numpy as np
def scan(gates, inputs, initial=None):
    states, state = np.empty_like(inputs), initial
    for t in range(inputs.shape[1]):
        state = inputs[:, t] if state is None else gates[:, t] * state + inputs[:, t]
        states[:, t] = state
    return states
"""


@pytest.mark.parametrize(
    ("source", "status", "part"),
    [
        ("raise KeyboardInterrupt", 2, "raised KeyboardInterrupt (target.py:1)"),
        ("raise GeneratorExit('no')", 2, "raised GeneratorExit: no (target.py:1)"),
        ("import sys; sys.exit('bye')", 2, "raised SystemExit: bye"),
        (
            "class E(Exception):\n def __str__(self): 1 / 0\nraise E",
            2,
            "its text cannot be read: ZeroDivision",
        ),
        ("raise ValueError('\\udc80')", 2, r"raised ValueError: \udc80"),
        ("raise ValueError('a\\nb\\nc')", 2, "raised ValueError: a ... c"),
        ("import os; os._exit(0)", 2, "the interpreter was ended with exit status 0"),
        ("import os; os.abort()", 2, "the interpreter was ended by SIGABRT"),
        ("import os; os.closerange(3, 256)", 2, "the pipe on which its results are reported"),
        ("def f(): return f()\nf()", 2, "raised RecursionError"),
        ("\x00", 2, "null bytes"),
        ("def scan(", 2, "SyntaxError"),
        ("scan = 3", 2, "is of type int"),
        ("class M:\n def __getattribute__(self, n): raise SystemError('mine')\nscan = M()", 2, "mine"),
        ("import os; os.fork()" + RIGHT, 0, "1 law holds"),
        ("import numpy, json; numpy.where = json.dumps = None" + RIGHT, 0, "1 law holds"),
        ("import builtins; builtins.len = builtins.isinstance = None" + RIGHT, 0, "1 law holds"),
        ("import warnings; warnings.simplefilter('error')" + RIGHT, 0, "1 law holds"),
        ("import sys; sys.path.clear(); sys.argv.clear()" + RIGHT, 0, "1 law holds"),
        ("import sys; sys.stdout.close(); sys.stderr.close()" + RIGHT, 0, "1 law holds"),
        ("import os, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)" + RIGHT, 0, "1 law holds"),
    ],
)
def test_an_import_that_misbehaves_costs_itself_only(
    source: str,
    status: int,
    part: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "target.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    found, printed = judged(capsys, "target.py:scan")
    assert part in printed
    assert found == status


def test_an_import_that_never_ends_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(isolate, "START", 0.5)
    (tmp_path / "waits.py").write_text("import time; time.sleep(600.0)")
    assert judged(capsys, f"{tmp_path}/waits.py:scan", timeout=0.5) == (
        2,
        f"dynprop: loading {tmp_path}/waits.py:scan: no answer within 0.5 s",
    )


def counted(source: str, tmp_path: Path, law: str = "lengths") -> LawResult:
    """Return the result of a law on a scan that begins with this source in each of its calls."""
    (tmp_path / "counts.py").write_text("import os\ncalls = 0" + RIGHT.replace("    states, ", source, 1))
    report = isolate.check_isolated(
        f"{tmp_path}/counts.py:scan", "scan", options={"framework": "numpy"}, only=[law], examples=3
    )
    return report.laws[0]


CALLS = """    global calls
    calls += 1
    {}
    states, """


def test_cases_that_passed_before_the_child_was_lost_are_counted(tmp_path: Path) -> None:
    result = counted(CALLS.format("if calls == 11: os._exit(3)"), tmp_path)
    # The first call is no case.
    assert (result.cases, result.errors, result.verdict) == (10, 1, "error")
    assert result.decided + result.undecidable == 9
    assert result.decided >= 6
    assert 0.0 < result.worst_ratio < 1.0


def test_a_case_that_failed_before_the_child_was_lost_is_the_counterexample(tmp_path: Path) -> None:
    lost = "if calls == 6: os._exit(3)\n    if calls == 5: return 0.0 * inputs + 7.0"
    result = counted(CALLS.format(lost), tmp_path)
    assert (result.cases, result.wrong, result.errors, result.verdict) == (5, 1, 1, "wrong")
    assert result.counterexample is not None
    assert "got 7, expected" in result.counterexample.message
    assert result.note == "later: the interpreter was ended with exit status 3"


def test_processes_that_a_target_starts_end_with_its_check(tmp_path: Path) -> None:
    source = (
        "import os, time\nif os.fork() == 0:\n open('pid', 'w').write(str(os.getpid()))\n time.sleep(600)\n"
    )
    place = repr(str(tmp_path / "pid"))
    (tmp_path / "starts.py").write_text(source.replace("'pid'", place) + RIGHT)
    isolate.check_isolated(
        f"{tmp_path}/starts.py:scan", "scan", options={"framework": "numpy"}, only=["lengths"], examples=1
    )
    state = Path(f"/proc/{(tmp_path / 'pid').read_text()}/stat")
    deadline = time.monotonic() + 10.0
    while state.exists() and " Z " not in state.read_text() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not state.exists() or " Z " in state.read_text()
