"""Tasks keep their contract; what the laws of kind task judge is not repeated here."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from dynprop.errors import ArgumentError, TargetError
from dynprop.training import TASKS, Criterion, Task, digits, task_named
from dynprop.training.task import sequence_losses

ALL = list(TASKS.values())


def named(task: Task) -> str:
    return task.name


@pytest.mark.parametrize("task", ALL, ids=named)
def test_a_task_says_what_it_is_and_where_it_comes_from(task: Task) -> None:
    assert task_named(task.name) is task
    assert task.summary
    assert any(year in task.source for year in ("199", "200", "201"))
    assert task.criterion.text
    assert task.criterion.published == ("(ours)" not in task.criterion.text)


def test_there_are_the_tasks_that_were_promised() -> None:
    names = (
        "latch latch-unit two-sequence parity adding-hochreiter adding-urnn adding-tcn multiplication copy "
    )
    names += "temporal-order-6a temporal-order-6b temporal-order-pascanu digits"
    assert set(names.split()) <= set(TASKS)


def test_an_unknown_task_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ArgumentError, match="task: got 'adding', expected one of latch, latch-unit"):
        task_named("adding")


@pytest.mark.parametrize("task", ALL, ids=named)
def test_a_length_that_does_not_fit_is_refused(task: Task) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ArgumentError, match=f"length: got {task.shortest - 1}, expected"):
        task.sample(task.shortest - 1, 4, rng)
    with pytest.raises(ArgumentError, match="a whole number"):
        task.sample(20.5, 4, rng)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="at least 1 sequence"):
        task.sample(task.shortest, 0, rng)
    assert len(task.sample(task.shortest, 4, rng).inputs) == task.steps(task.shortest)


# The levels that the literature quotes, and one exact value for each formula.
@pytest.mark.parametrize(
    ("name", "length", "level"),
    [
        ("adding-urnn", 100, 1 / 6),
        ("adding-tcn", 600, 1 / 6),
        # Var(X) = 1/3 each, one of them zero with probability 1/10 + 9/10/48.
        ("adding-hochreiter", 100, (2 - 0.1 - 0.9 / 48) / 48),
        ("latch", 10, math.log(2)),
        ("latch-unit", 10, 0.64),
        ("two-sequence", 50, 0.25),
        ("parity", 30, math.log(2)),
        ("temporal-order-6a", 100, math.log(4)),
        ("temporal-order-6b", 100, math.log(8)),
        ("temporal-order-pascanu", 100, math.log(4)),
        ("copy", 100, 10 * math.log(8) / 120),
    ],
)
def test_the_level_of_chance_is_that_of_the_literature(name: str, length: int, level: float) -> None:
    assert TASKS[name].chance_loss(length) == pytest.approx(level, rel=1e-14)


@pytest.mark.parametrize("name", ["adding-hochreiter", "multiplication"])
def test_the_level_of_chance_is_the_variance_of_many_targets(name: str) -> None:
    task = TASKS[name]
    targets = task.sample(30, 200_000, np.random.default_rng(1)).targets
    # Fourth moments of targets within [0, 1] give a standard error below 2e-4; seen: 3e-5 and 1.2e-4.
    assert abs(targets.var() - task.chance_loss(30)) < 8e-4


def test_losses_are_those_of_their_formulas() -> None:
    y = np.array([[0.0], [2.0]])
    assert sequence_losses("squared", y, np.array([[1.0], [1.0]])).tolist() == [1.0, 1.0]
    logistic = sequence_losses("logistic", y, np.array([[1.0], [-1.0]]))
    assert logistic == pytest.approx([math.log(2), math.log1p(math.exp(2))], rel=1e-15)
    logits = np.array([[0.0, math.log(3.0)]])
    assert sequence_losses("cross-entropy", logits, np.array([0])) == pytest.approx([math.log(4)], rel=1e-15)
    steps = np.stack([logits, logits])
    both = sequence_losses("cross-entropy", steps, np.array([[0], [1]]))
    assert both == pytest.approx([(math.log(4) + math.log(4 / 3)) / 2], rel=1e-15)


@pytest.mark.parametrize(
    ("criterion", "error", "right"),
    [
        (Criterion(1, "beyond", tolerance=0.04), 0.0399, True),
        (Criterion(1, "beyond", tolerance=0.04), 0.0401, False),
        (Criterion(1, "beyond", tolerance=0.04), math.nan, False),
    ],
)
def test_a_tolerance_is_kept_to_the_edge(criterion: Criterion, error: float, right: bool) -> None:
    targets = np.full((3, 1), 0.5)
    assert criterion.mistakes(targets + error, targets).tolist() == [not right] * 3


def test_probabilities_are_judged_at_their_tolerance() -> None:
    criterion = Criterion(1, "probability", tolerance=0.3)
    for p, wrong in ((0.71, False), (0.69, True)):
        logits = np.log(np.array([[p, 1 - p]]))
        assert criterion.mistakes(logits, np.array([0])).tolist() == [wrong]


def test_a_prediction_that_is_not_a_number_is_wrong() -> None:
    assert Criterion(1, "side").mistakes(np.array([[math.nan]]), np.array([[1.0]])).all()


@pytest.mark.parametrize("task", ALL, ids=named)
def test_so_many_mistakes_are_allowed_and_no_more(task: Task) -> None:
    criterion = task.criterion
    most = math.floor(criterion.allowed * criterion.count + 1e-9)
    assert criterion.allows(most, criterion.count)
    assert not criterion.allows(most + 1, criterion.count)


def test_a_loss_above_its_share_of_chance_is_no_success() -> None:
    task = TASKS["adding-urnn"]
    batch = task.sample(10, 400, np.random.default_rng(0))
    for share, success in ((0.09, True), (0.11, False)):
        off = math.sqrt(share / 6.0)
        assert task.succeeds(batch.targets + off, batch.targets, 10) == success


# Digits


def test_the_oracle_of_the_digits_meets_its_criterion_on_images_that_it_has_not_seen() -> None:
    task = TASKS["digits"]
    assert task.examine is not None
    batch = task.examine(64, 360, np.random.default_rng(0))
    assert task.succeeds(task.solve(batch), batch.targets, 64)
    assert batch.inputs.min() == 0.0
    assert batch.inputs.max() == 1.0


def test_held_out_digits_are_not_trained_on() -> None:
    pixels, labels = digits._part(False)
    held, _ = digits._part(True)
    assert (len(labels), len(held)) == (1438, 359)
    drawn = TASKS["digits"].sample(64, 200, np.random.default_rng(3)).inputs[:, :, 0].T
    assert all((pixels == image).all(axis=1).any() for image in drawn)


def test_the_level_of_the_digits_is_the_entropy_of_their_classes() -> None:
    # Ten classes, nearly even: a little below ln 10.
    assert 2.29 < TASKS["digits"].chance_loss(64) < math.log(10)
    with pytest.raises(ArgumentError, match="64: digits has no other"):
        TASKS["digits"].chance_loss(65)


def test_digits_without_their_package_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    digits._images.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "sklearn.datasets", None)
    with pytest.raises(TargetError, match=r"pip install 'dynprop\[digits\]'"):
        TASKS["digits"].chance_loss(64)


def test_tasks_of_one_name_and_other_lengths_do_not_exist() -> None:
    assert replace(TASKS["latch"], only=5).require_length(5) == 5
