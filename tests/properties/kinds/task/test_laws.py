"""Each law of kind task fails the fault that it is about, and accuses no right task."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from dynprop.check.run.outcome import judge_case
from dynprop.check.run.runner import Options, run_law
from dynprop.cli import main
from dynprop.contracts.domain import Domain
from dynprop.kinds import all_controls, all_faults, law_by_id, laws_for
from dynprop.kinds.task.cases import TaskCase, usual_case
from dynprop.kinds.task.target import TaskAdapter
from dynprop.kinds.task.variants import VARIANTS
from dynprop.laws.catalogue import Control, Fault
from dynprop.training import TASKS, Batch

QUICK = Options(examples=3, patience=0.0)
LAWS = [law.id for law in laws_for("task")]
Rng = np.random.Generator


@cache
def entries() -> dict[str, Fault | Control]:
    chosen: list[Fault | Control] = [*all_faults(), *all_controls()]
    return {entry.name: entry for entry in chosen if entry.kind == "task"}


@pytest.mark.parametrize("law", LAWS)
def test_no_law_accuses_independent_cases_of_right_tasks(law: str) -> None:
    options = Options(examples=0, iid=2, seed=7)
    for name in VARIANTS:
        result = run_law(law_by_id(law), TaskAdapter(TASKS[name]), options)
        assert result.verdict in ("pass", "not-applicable"), name


def test_every_synthetic_task_is_a_published_variant() -> None:
    assert set(VARIANTS) == set(TASKS) - {"digits"}


# Single laws: what they see, and what they do not mistake.


def drawn_otherwise(name: str, change: Any, **fields: Any) -> TaskAdapter:
    right = TASKS[name]

    def draw(length: int, count: int, rng: Rng) -> Batch:
        batch = right.draw(length, count, rng)
        changed = replace(batch, inputs=batch.inputs.copy())
        return change(changed, rng) or changed

    return TaskAdapter(replace(right, draw=draw, **fields))


def verdict(law: str, subject: TaskAdapter, case: TaskCase) -> str:
    return judge_case(law_by_id(f"task/{law}"), subject, case).verdict


def test_a_slight_lean_is_seen_and_chance_is_not() -> None:
    law = law_by_id("task/no-leak")

    def leaning(by: float) -> TaskAdapter:
        def change(batch: Batch, rng: Rng) -> Batch:
            inputs = batch.inputs.copy()
            inputs[3, :, 0] += by * batch.targets[:, 0]
            return replace(batch, inputs=inputs)

        return drawn_otherwise("latch", change)

    case = TaskCase(20, 2048, 1)
    ratios = [law.test(leaning(by), case).ratio for by in (0.0, 0.01, 0.04)]
    # Of 40 sums the largest lies near 2.5 deviations, and the bound at 8.
    assert 0.1 < ratios[0] < 0.6
    # 0.04 of a deviation of 0.2 over 2,048 sequences: nine deviations.
    assert ratios[1] < 1.0 < ratios[2]


def test_classes_of_55_to_45_are_seen_and_of_501_to_499_are_not() -> None:
    def lot(share: float) -> TaskAdapter:
        def draw(length: int, count: int, rng: Rng) -> Batch:
            side = np.where(rng.random(count) < share, 1.0, -1.0)
            inputs = 0.2 * rng.standard_normal((length, count, 1))
            inputs[0, :, 0] = side
            return Batch(inputs, side[:, None].copy(), np.full(count, length - 1))

        return TaskAdapter(replace(TASKS["latch"], draw=draw))

    for case in usual_case(Domain(), lot(0.5), count=2048, numbers=2**22):
        found = [verdict("classes-reachable", lot(share), case) for share in (0.55, 0.53, 0.501, 0.5)]
        assert found == ["wrong", "wrong", "pass", "pass"]


@pytest.mark.parametrize(("name", "share"), [("latch", 1.02), ("two-sequence", 0.98)])
def test_noise_whose_deviation_is_off_by_two_percent_is_seen(name: str, share: float) -> None:
    def scaled(by: float) -> TaskAdapter:
        def change(batch: Batch, rng: Rng) -> None:
            batch.inputs[3:] *= by

        return drawn_otherwise(name, change)

    law = law_by_id("task/input-distribution")
    assert run_law(law, scaled(1.0), QUICK).verdict == "pass"
    assert run_law(law, scaled(share), QUICK).verdict == "wrong"


def test_values_of_one_step_alone_from_another_law_are_seen() -> None:
    def squared(batch: Batch, rng: Rng) -> None:
        batch.inputs[7, :, 0] **= 2

    assert (
        verdict("input-distribution", drawn_otherwise("adding-tcn", squared), TaskCase(20, 2048, 0))
        == "wrong"
    )


@pytest.mark.parametrize("lag", [1, 2, 1024])
def test_sequences_that_come_again_are_seen_at_any_distance(lag: int) -> None:
    def again(batch: Batch, rng: Rng) -> Batch:
        at = np.arange(len(batch.ends))
        at = np.where((at // lag) % 2 == 1, at - lag, at)
        return Batch(batch.inputs[:, at], batch.targets[at], batch.ends[at])

    for name in ("copy", "temporal-order-6a"):

        def shuffled(batch: Batch, rng: Rng) -> Batch:
            at = np.arange(len(batch.ends))
            at = np.where((at // lag) % 2 == 1, at - lag, at)
            return Batch(batch.inputs[:, at], batch.targets[..., at], batch.ends[at])

        assert (
            verdict("independent-sequences", drawn_otherwise(name, shuffled), TaskCase(22, 2048, 3))
            == "wrong"
        )
    assert verdict("independent-sequences", drawn_otherwise("latch", again), TaskCase(20, 2048, 3)) == "wrong"


def test_a_batch_drawn_with_replacement_is_seen() -> None:
    def again(batch: Batch, rng: Rng) -> Batch:
        at = rng.integers(0, len(batch.ends), len(batch.ends))
        return Batch(batch.inputs[:, at], batch.targets[at], batch.ends[at])

    assert (
        verdict("independent-sequences", drawn_otherwise("adding-urnn", again), TaskCase(9, 64, 0)) == "wrong"
    )


def test_noise_that_remembers_itself_is_seen() -> None:
    def smooth(batch: Batch, rng: Rng) -> None:
        for t in range(2, len(batch.inputs)):
            batch.inputs[t] = 0.3 * batch.inputs[t - 1] + np.sqrt(1.0 - 0.09) * batch.inputs[t]

    subject = drawn_otherwise("latch", smooth)
    assert verdict("independent-sequences", subject, TaskCase(20, 2048, 0)) == "wrong"
    assert verdict("no-leak", subject, TaskCase(20, 2048, 0)) == "pass"


def test_symbols_that_depend_on_where_they_stand_are_seen() -> None:
    def tied(batch: Batch, rng: Rng) -> Batch:
        seen = batch.inputs[:, :, 6:].any(axis=-1)
        first = seen.argmax(axis=0)
        rows = np.arange(len(batch.ends))
        bit = first % 2
        batch.inputs[first, rows, 6:] = np.eye(2)[bit]
        return replace(batch, targets=2 * bit + batch.targets % 2)

    # The first symbol stands at 1 to 3, so that classes are uneven too; at 2 to 5 they are even.
    case = TaskCase(30, 4096, 0)
    subject = drawn_otherwise("temporal-order-6a", tied)
    assert verdict("mark-frequencies", subject, case) == "wrong"
    assert [verdict(law, subject, case) for law in ("sequences", "classes-reachable", "no-leak")] == [
        "pass"
    ] * 3


def test_a_task_is_checked_from_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    quick = ["--kind", "task", "--only", "target-from-inputs", "--examples", "2"]
    assert main(["check", "dynprop.training.tasks.marked_sequences:ADDING_URNN", *quick]) == 0
    assert "target-from-inputs  pass" in capsys.readouterr().out
    assert main(["check", "dynprop.kinds.task.faults.tasks:oracle_forgets", *quick]) == 2
    assert "no name, loss, shortest" in capsys.readouterr().err
