"""Streams that are closed or full, missing libraries, and defects: one line each, and never exit status 1."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from dynprop import cli
from dynprop.errors import DefectError

LAWS = ["laws", "--kind", "product"]


def ended(arguments: Sequence[str], prepare: Callable[[], None]) -> tuple[int, str]:
    """Run a command in a copy of this process whose streams are changed; return exit status and stderr."""
    read, written = os.pipe()
    copy = os.fork()
    if not copy:
        status = 99
        try:
            status = changed(written, arguments, prepare)
        finally:
            os._exit(status)
    os.close(written)
    with os.fdopen(read, "rb") as lines:
        err = lines.read().decode("utf-8")
    return os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1]), err


def changed(written: int, arguments: Sequence[str], prepare: Callable[[], None]) -> int:
    """Run a command in this process, whose stderr goes to a pipe."""
    os.dup2(written, 2)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  (the process ends)
    sys.stderr = open(2, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115
    prepare()
    return cli.main(arguments)


def fill(descriptor: int) -> None:
    os.dup2(os.open("/dev/full", os.O_WRONLY), descriptor)


def close_stdout() -> None:
    os.close(1)
    sys.stdout = None  # as Python sets it


def narrow_stdout() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.stdout = open(1, "w", encoding="ascii", closefd=False)  # noqa: SIM115  (the process ends)


def leave_the_pipe() -> None:
    read, written = os.pipe()
    os.close(read)
    os.dup2(written, 1)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux")
def test_a_full_stdout_is_one_line_and_no_verdict() -> None:
    status, err = ended(LAWS, lambda: fill(1))
    assert status == 2
    assert err == "dynprop: stdout: No space left on device\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux")
def test_a_full_stdout_is_one_line_for_an_interpreter_too() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "dynprop", *LAWS],
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=300,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux")
def test_a_full_stderr_changes_nothing() -> None:
    assert ended([*LAWS, "--json", os.devnull], lambda: fill(2))[0] == 0
    assert ended(["laws", "--kind", "none"], lambda: fill(2))[0] == 2


def test_a_closed_stdout_is_no_failure() -> None:
    assert ended(LAWS, close_stdout) == (0, "")


def test_a_narrow_stdout_takes_every_character() -> None:
    assert ended(LAWS, narrow_stdout) == (0, "")


@pytest.mark.parametrize("arguments", [LAWS, [*LAWS, "--json", "-"]])
def test_a_reader_that_goes_away_is_not_a_failing_law(arguments: list[str]) -> None:
    status, err = ended(arguments, leave_the_pipe)
    # 0 where all of the output still waited to be written when the command was done.
    assert status in (0, 128 + 13)
    assert err == ""


def test_a_defect_is_one_line_that_says_what_to_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(kind: str) -> None:
        raise KeyError("a\x1b[2J\udc80")

    monkeypatch.setattr("dynprop.kinds.laws_for", broken)
    assert cli.main(LAWS) == 4
    _, err = capsys.readouterr()
    (line,) = err.splitlines()
    assert line.startswith("dynprop: a defect of dynprop: dynprop laws raised KeyError: ")
    assert "report it with this text" in line
    assert "(test_cli_streams.py:" in line
    err.encode("utf-8")


def test_a_defect_in_a_child_is_one_line_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*given: object, **named: object) -> None:
        raise DefectError("a defect of dynprop: it broke")

    monkeypatch.setattr("dynprop.check.process.isolate.check_isolated", broken)
    assert cli.main(["check", "f:f", "--kind", "scan"]) == 4
    assert capsys.readouterr().err == "dynprop: a defect of dynprop: it broke\n"


def test_the_page_of_the_metadata_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from email.message import Message

    from dynprop import defects

    metadata = Message()
    metadata["Project-URL"] = "Issues, https://example.org/issues"
    monkeypatch.setattr("dynprop.defects.metadata.metadata", lambda name: metadata)
    assert "report it with this text at https://example.org/issues;" in defects.defect_text("it broke")


MISSING = """
import sys
for name in ("torch", "jax", "matplotlib", "distributed", "sklearn"):
    sys.modules[name] = None
from dynprop.cli import main
from dynprop.errors import MissingExtraError
assert main(["train", "--task", "latch", "--out", "nowhere", "--lengths", "4"]) == 2
assert main(["faults", "--kind", "scan"]) == 2
for framework in ("torch", "jax"):
    from dynprop.errors import TargetError
    from dynprop.subjects.frameworks import framework_named
    try:
        framework_named(framework)
    except TargetError as error:
        print(error, file=sys.stderr)

def missing(call):
    try:
        call()
    except MissingExtraError as error:
        print(error, file=sys.stderr)
    else:
        raise AssertionError(call)

import dynprop.gradients, dynprop.linear, dynprop.products, dynprop.training
from dynprop.linear.figures import blank
missing(lambda: dynprop.gradients.cell_gradient_by_lag)
missing(lambda: dynprop.products.calibrate_(None, None))
missing(lambda: blank(1.0, 1.0))
missing(lambda: dynprop.products.plot_walk(width=2, depth=2, activation="tanh", nets=1))
"""


def test_a_missing_library_is_one_line_with_the_name_of_its_extra(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MISSING], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == [
        f"{subject} needs {library}, which is not installed: pip install 'dynprop[{extra}]'"
        for subject, library, extra in (
            ("dynprop: dynprop train", "PyTorch", "torch"),
            ("dynprop: dynprop faults", "PyTorch", "torch"),
            ("framework torch", "PyTorch", "torch"),
            ("framework jax", "JAX", "jax"),
            ("dynprop.gradients.cell_gradient_by_lag", "PyTorch", "torch"),
            ("calibrate_", "PyTorch", "torch"),
            ("a figure", "Matplotlib", "plots"),
            ("a figure", "Matplotlib", "plots"),
        )
    ]
