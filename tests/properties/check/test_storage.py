"""A check leaves nothing in the caller's folder, and the caller's Hypothesis as it was."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

KERNEL = """\
import numpy as np

SEVENS = 777_777

def scan(gates, inputs, initial=None):
    state, states = 0.0 if initial is None else initial, np.empty_like(inputs)
    for t in range(inputs.shape[1]):
        state = gates[:, t] * state + inputs[:, t]
        states[:, t] = state
    return states
"""
CHECK = """\
import kernel
from contextlib import suppress
from pathlib import Path
from hypothesis import given, settings, strategies as st
from dynprop.check import Scan, check

def judge():
    subject = Scan(kernel.scan, framework="numpy")
    assert check(subject, laws=["shape-and-dtype"], examples=60).verdict == "pass"

@settings(settings.get_profile("default"))  # the profile of CI keeps nothing
@given(st.integers())
def own(n):
    assert n < 1000  # a failure, which Hypothesis keeps

judge()
assert not Path(".hypothesis").exists()
with suppress(AssertionError):
    own()
assert Path(".hypothesis/examples").is_dir()
before = sorted(Path(".hypothesis").rglob("*"))
judge()
assert sorted(Path(".hypothesis").rglob("*")) == before
"""
PYTEST = """\
import kernel
from dynprop.check import Scan, parametrize_with_laws
@parametrize_with_laws([Scan(kernel.scan, framework="numpy")], laws=["shape-and-dtype"], examples=60)
def test_scan(check):
    check()
"""

INTEGERS = """\
import kernel
from hypothesis import Phase, given, seed, settings, strategies as st
from dynprop.laws.hypothesis_source import without_constants_of_modules

@seed(0)
@settings(max_examples=300, database=None, phases=[Phase.generate])
@given(st.integers(0, 2**32 - 1))
def show(n):
    print(n)

with without_constants_of_modules():
    show()
"""


def left_by(folder: Path, *arguments: str) -> list[str]:
    """Run Python in a folder; return the names that are new there."""
    variables = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(folder.parent)}
    variables.pop("HYPOTHESIS_STORAGE_DIRECTORY", None)
    sources = {path.name for path in folder.iterdir()}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return sorted(path.name for path in folder.iterdir() if path.name not in sources)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "project"
    made.mkdir()
    (made / "kernel.py").write_text(KERNEL)
    return made


def test_a_check_in_process_leaves_nothing_and_the_caller_keeps_a_database_of_his_own(folder: Path) -> None:
    assert left_by(folder, "-c", CHECK) == [".hypothesis"]


def test_laws_as_pytest_tests_leave_nothing(folder: Path) -> None:
    (folder / "test_kernel.py").write_text(PYTEST)
    assert left_by(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:benchmark") == []


def test_a_check_in_a_child_leaves_nothing(folder: Path) -> None:
    command = ["check", "kernel:scan", "--kind", "scan", "--framework", "numpy", "--only", "shape-and-dtype"]
    assert left_by(folder, "-m", "dynprop", *command, "--examples", "60") == []


def test_a_seed_alone_decides_the_cases(folder: Path) -> None:
    def drawn(constant: int) -> str:
        (folder / "kernel.py").write_text(KERNEL.replace("777_777", str(constant)))
        run = [sys.executable, "-c", INTEGERS]
        return subprocess.run(run, cwd=folder, capture_output=True, text=True, timeout=120, check=True).stdout

    assert drawn(777_777) == drawn(888_888)
