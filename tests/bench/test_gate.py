"""The gate on this machine, timed in earnest; tests/properties/test_gate.py has its logic."""

from __future__ import annotations

from functools import partial

from pytest_benchmark.fixture import BenchmarkFixture

from tests.bench.gate import WORSE
from tests.bench.pairs import gathered, pair_of


def work(size: int) -> int:
    return sum(i * i for i in range(size))


def test_the_gate_on_this_machine(benchmark: BenchmarkFixture) -> None:
    """The same code 50 times against itself, and with 15 % more to do, timed in earnest."""
    assert work(4) == 14
    if benchmark.enabled:
        same = [
            gathered(pair_of(partial(work, 20_000), partial(work, 20_000)), WORSE, 0.5) for _ in range(50)
        ]
        assert [str(r) for r in same if r.exceeds(WORSE)] == []
        slow = [
            gathered(pair_of(partial(work, 23_000), partial(work, 20_000)), WORSE, 2.0) for _ in range(10)
        ]
        assert [str(r) for r in slow if not r.exceeds(WORSE)] == []
        benchmark.extra_info["same"] = [r.median for r in same]
        benchmark.extra_info["slower by 15 %"] = [r.median for r in slow]
    benchmark(partial(work, 20_000))
