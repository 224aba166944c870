"""The gate of tests/bench: the same code never alarms, a slow-down of 15 % does, whatever the noise."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.bench.gate import WORSE, Gate
from tests.bench.pairs import Ratio, gathered, median_interval

MACHINE = {"cpu": "Abacus 3000", "threads": "2", "python": "3.11"}


def noisy(true: float, seed: int) -> Callable[[], float]:
    """Return ratios with a scatter of 5 % and, one time in ten, a busy moment on either side."""
    rng = np.random.default_rng(seed)

    def sample() -> float:
        burst = math.exp(rng.normal(0.0, 0.5)) if rng.random() < 0.1 else 1.0
        return true * burst * math.exp(rng.normal(0.0, 0.05))

    return sample


@pytest.mark.parametrize("seed", range(50))
def test_the_same_ratio_gives_no_alarm_and_15_percent_more_does(seed: int) -> None:
    assert not gathered(noisy(1.0, seed), WORSE, 1.0).exceeds(WORSE)
    assert gathered(noisy(1.15, seed), WORSE, 1.0).exceeds(WORSE)


@pytest.mark.parametrize("count", [11, 12, 25, 100])
def test_the_interval_of_the_median_holds_it_as_often_as_it_says(count: int) -> None:
    rng = np.random.default_rng(count)
    missed = 0
    for _ in range(2000):
        low, high = median_interval(list(rng.standard_normal(count)), miss=0.05)
        missed += not low <= 0.0 <= high
    # At most 5 % by the theorem; five standard errors beyond that would be a wrong rank.
    assert missed / 2000 <= 0.05 + 5.0 * math.sqrt(0.05 * 0.95 / 2000)


def test_few_pairs_have_no_interval_and_are_judged_by_their_median() -> None:
    assert median_interval([1.0] * 10) == (-math.inf, math.inf)
    assert median_interval([1.0] * 11) == (1.0, 1.0)
    assert Ratio(1.2, -math.inf, math.inf, 3).exceeds(1.1)
    assert not Ratio(1.05, -math.inf, math.inf, 3).exceeds(1.1)


def test_the_short_form_fails_only_for_certain() -> None:
    short = Gate(MACHINE, alarm=Ratio.surely_exceeds)
    assert short.verdict("a", Ratio(1.4, 1.2, 1.5, 40), 1.3) is None
    assert short.verdict("a", Ratio(1.4, 1.35, 1.5, 40), 1.3) is not None
    assert Gate(MACHINE).verdict("a", Ratio(1.4, 1.2, 1.5, 40), 1.3) is not None


def test_a_ratio_is_held_against_what_is_committed_for_this_machine(tmp_path: Path) -> None:
    gate = Gate(MACHINE, folder=tmp_path, updating=True)
    assert gate.verdict("a", Ratio(2.0, 1.9, 2.1, 40), None) is None
    gate.write()
    again = Gate(MACHINE, folder=tmp_path)
    assert again.committed == {"a": 2.0}
    assert again.limit("a", None) == pytest.approx(2.2)
    assert again.verdict("a", Ratio(2.1, 2.05, 2.15, 40), None) is None
    found = again.verdict("a", Ratio(2.3, 2.25, 2.35, 40), None)
    assert found == "2.3 [2.25, 2.35] of 40 pairs is more than 10% above the committed ratio 2"


def test_further_processes_raise_what_is_committed_and_never_lower_it(tmp_path: Path) -> None:
    for measured, kept in ((2.0, 2.0), (1.5, 2.0), (2.5, 2.5)):
        gate = Gate(MACHINE, folder=tmp_path, updating=True, replace=max)
        gate.verdict("a", Ratio(measured, measured, measured, 40), None)
        gate.write()
        assert Gate(MACHINE, folder=tmp_path).committed == {"a": kept}
    gate = Gate(MACHINE, folder=tmp_path, updating=True)
    gate.verdict("a", Ratio(1.0, 1.0, 1.0, 40), None)
    gate.write()
    assert Gate(MACHINE, folder=tmp_path).committed == {"a": 1.0}


def test_on_another_machine_only_ceilings_are_gated(tmp_path: Path) -> None:
    gate = Gate(MACHINE, folder=tmp_path, updating=True)
    gate.verdict("a", Ratio(0.5, 0.4, 0.6, 40), 1.3)
    gate.write()
    other = Gate(MACHINE | {"numpy": "9.9"}, folder=tmp_path)
    assert other.committed == {}
    assert other.verdict("a", Ratio(1.2, 1.1, 1.25, 40), 1.3) is None
    assert other.verdict("a", Ratio(1.4, 1.35, 1.45, 40), 1.3) is not None
    assert any("only ceilings are gated" in line for line in other.lines())
