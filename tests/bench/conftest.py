"""What every benchmark shares: the gate on paired ratios, and which versions were timed."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from tests.bench.gate import TIMED, Gate, installed, machine
from tests.bench.pairs import gathered, pair_of

SECONDS, SHORT_SECONDS = 10.0, 1.0
# How far medians of processes lie apart: one function on one machine had 1.23, 1.25, 1.37 and 1.42.
SCATTER = 1.10
GATE = pytest.StashKey[Gate]()

Call = Callable[[], object]


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("gate", "paired ratios of tests/bench")
    group.addoption("--short", action="store_true", help="a second for each pair; fail only for certain")
    group.addoption("--update-ratios", action="store_true", help="replace the committed ratios")
    group.addoption("--raise-ratios", action="store_true", help="replace those that are exceeded")


def pytest_configure(config: pytest.Config) -> None:
    gate = Gate(machine(), updating=config.getoption("--update-ratios", default=False))
    if config.getoption("--raise-ratios", default=False):
        # Some ratios differ between processes more than within one: the largest of several is committed.
        gate.updating, gate.replace = True, max
    if config.getoption("--short", default=False):
        # A busy machine is no regression: what looks bad in a second gets ten, and must be certain then. Nor
        # is another process: within one the median is certain to a percent, and the next one differs.
        gate.seconds, gate.alarm = SHORT_SECONDS, lambda ratio, limit: ratio.surely_exceeds(SCATTER * limit)
    config.stash[GATE] = gate


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    gate = config.stash[GATE]
    if not gate.measured:
        return
    terminalreporter.section("paired ratios")
    for line in gate.lines():
        terminalreporter.write_line(line)
    if gate.updating:
        gate.write()
        terminalreporter.write_line(f"written: {gate.path}")


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    machine_info["python"] = platform.python_version()
    machine_info["cores"] = os.cpu_count()
    machine_info["versions"] = {p: installed(p) for p in (*TIMED, "dynprop", "hypothesis", "typer")}


class Compare:
    """Times a function against its reference and asks the gate; runs both once where nothing is timed."""

    def __init__(self, benchmark: BenchmarkFixture, gate: Gate, name: str) -> None:
        self._benchmark, self._gate, self._name = benchmark, gate, name

    def __call__(self, subject: Call, reference: Call, *, ceiling: float | None = None) -> None:
        """Gate subject over reference.

        Args:
            subject: what is promised to be fast; its result was asserted before.
            reference: what it is measured against, in turns with it.
            ceiling: the largest ratio that is promised on any machine.
        """
        if not self._benchmark.enabled:
            reference()
            self._benchmark(subject)
            return
        limit = self._gate.limit(self._name, ceiling)
        wanted = -1.0 if limit is None else limit  # nothing to decide: all the time goes into the median
        sample = pair_of(subject, reference)
        ratio = gathered(sample, wanted, self._gate.seconds)
        if limit is not None and ratio.exceeds(limit) and self._gate.seconds < SECONDS:
            ratio = gathered(sample, wanted, SECONDS)
        found = self._gate.verdict(self._name, ratio, ceiling)
        self._benchmark.extra_info |= {"ratio": ratio.median, "pairs": ratio.pairs, "ceiling": ceiling}
        self._benchmark.pedantic(subject, rounds=1)
        assert found is None, found


@pytest.fixture
def compare(benchmark: BenchmarkFixture, request: pytest.FixtureRequest) -> Compare:
    """Return what gates one function over its reference."""
    return Compare(benchmark, request.config.stash[GATE], request.node.nodeid)
