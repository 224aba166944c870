"""How long a verdict takes: whole checks, and the first counterexample of a gross fault.

Budgets stand in ``extra_info``; the results are asserted first and the times never (machines are shared).
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from dynprop.check.process.isolate import check_isolated
from dynprop.check.run.events import Event, Shrinking
from dynprop.check.run.report import Report

LOOP = """
import numpy as np

def scan(gates, inputs, initial):
    state = np.zeros_like(inputs[:, :0].sum(1)) if initial is None else initial
    states = np.empty_like(inputs)
    for t in range(inputs.shape[1]):
        state = gates[:, t] * state + inputs[:, t]
        states[:, t] = state
    return states

def ignores_initial(gates, inputs, initial):
    return scan(gates, inputs, None)
"""


@pytest.fixture
def kernels(tmp_path: Path) -> Path:
    """Write a right and a grossly wrong numpy scan."""
    path = tmp_path / "kernels.py"
    path.write_text(LOOP)
    return path


def run_once(benchmark: BenchmarkFixture, budget: float, *args: Any, **kwargs: Any) -> Report:
    """Time one check in a child process, imports included; a short one where nothing is timed."""
    benchmark.extra_info["budget_seconds"] = budget
    if not benchmark.enabled:
        kwargs = {"examples": 5, **kwargs}
    report: Report = benchmark.pedantic(check_isolated, args, kwargs, rounds=1, iterations=1)
    return report


@pytest.mark.slow
def test_a_numpy_scan_at_default_examples(benchmark: BenchmarkFixture, kernels: Path) -> None:
    target = f"{kernels}:scan"
    report = run_once(benchmark, 30.0, target, "scan", options={"framework": "numpy"})
    assert report.verdict == "pass"
    assert report.effective_lag == report.max_decided_lag == 2047


@pytest.mark.slow
def test_torch_gru_at_default_examples(benchmark: BenchmarkFixture) -> None:
    report = run_once(benchmark, 60.0, "torch.nn:GRU", "layer")
    assert report.verdict == "pass"
    assert report.effective_lag == report.max_decided_lag == 99


def test_the_first_counterexample_of_a_gross_fault(benchmark: BenchmarkFixture, kernels: Path) -> None:
    first: list[float] = []
    started = time.perf_counter()

    def listen(event: Event) -> None:
        if isinstance(event, Shrinking) and not first:
            first.append(time.perf_counter() - started)

    target, options = f"{kernels}:ignores_initial", {"framework": "numpy"}
    report = run_once(benchmark, 5.0, target, "scan", options=options, only=["forward"], listen=listen)
    assert report.verdict == "wrong"
    assert report.laws[0].hypothesis is not None
    assert report.laws[0].hypothesis.startswith("initial state ignored")
    assert len(first) == 1
    benchmark.extra_info["seconds_to_first_counterexample"] = first[0]
