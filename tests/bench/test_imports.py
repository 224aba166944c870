"""The price of `import dynprop` and of `dynprop --help`.

Promised: an import costs less than 0.25 s beyond numpy's own, and help comes in under 0.4 s. The
times are reported beside these budgets and not asserted: a shared machine keeps no clock's promise.
What the time depends on is asserted before anything is timed: which modules are loaded.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

ROUNDS = 7
IMPORT_BUDGET = 0.25
HELP_BUDGET = 0.4
HEAVY = {"torch", "jax", "hypothesis", "scipy.stats"}


def run(*arguments: str) -> str:
    """Run a fresh interpreter, or a script, and return what it prints."""
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def python(code: str) -> str:
    return run(sys.executable, "-c", code)


def modules_loaded_by(statement: str) -> set[str]:
    printed = python(f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))")
    return set(json.loads(printed))


def seconds(code: str) -> float:
    begin = time.perf_counter()
    python(code)
    return time.perf_counter() - begin


def report(benchmark: BenchmarkFixture, **extra: float) -> None:
    benchmark.extra_info.update({name: round(value, 4) for name, value in extra.items()})


@pytest.mark.benchmark(group="import")
def test_import_of_numpy(benchmark: BenchmarkFixture) -> None:
    assert "dynprop" not in modules_loaded_by("import numpy")
    benchmark.pedantic(python, args=("import numpy",), rounds=ROUNDS, warmup_rounds=1)


@pytest.mark.benchmark(group="import")
def test_import_and_first_use(benchmark: BenchmarkFixture) -> None:
    """The top package loads its rooms when a name is used: this is the price with a room."""
    loaded = modules_loaded_by("from dynprop import scan")
    assert {"dynprop.linear.scan", "numpy"} <= loaded
    assert loaded.isdisjoint(HEAVY)
    benchmark.pedantic(python, args=("from dynprop import scan",), rounds=ROUNDS, warmup_rounds=1)


@pytest.mark.benchmark(group="import")
def test_import_of_dynprop(benchmark: BenchmarkFixture) -> None:
    loaded = modules_loaded_by("import dynprop")
    assert "dynprop" in loaded
    assert loaded.isdisjoint(HEAVY)
    benchmark.pedantic(python, args=("import dynprop",), rounds=ROUNDS, warmup_rounds=1)
    if benchmark.enabled:
        # In turns, so that a busy moment of the machine falls on both.
        pairs = [(seconds("import numpy"), seconds("import numpy, dynprop")) for _ in range(ROUNDS)]
        beyond = statistics.median(dynprop - numpy for numpy, dynprop in pairs)
        report(benchmark, beyond_numpy_s=beyond, budget_s=IMPORT_BUDGET)


@pytest.mark.benchmark(group="command line")
def test_help(benchmark: BenchmarkFixture) -> None:
    command = str(Path(sysconfig.get_path("scripts")) / "dynprop")
    printed = run(command, "--help")
    assert [name for name in ("check", "replay", "laws", "faults") if name not in printed] == []
    assert modules_loaded_by("import dynprop.cli").isdisjoint(HEAVY)
    benchmark.pedantic(run, args=(command, "--help"), rounds=ROUNDS, warmup_rounds=1)
    report(benchmark, budget_s=HELP_BUDGET)
