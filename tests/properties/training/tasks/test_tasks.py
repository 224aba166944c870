"""Tasks keep their contract; what the laws of kind task judge is not repeated here."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dynprop.errors import ArgumentError, TargetError
from dynprop.training import TASKS, Criterion, Task, task_named
from dynprop.training.tasks import digits
from dynprop.training.tasks.task import sequence_losses

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


# Hochreiter and Schmidhuber 1997, table 10: minimal lag between the last relevant input and the teacher.
@pytest.mark.parametrize(
    ("name", "lag"),
    [("adding-hochreiter", 50), ("multiplication", 50), ("temporal-order-6a", 40), ("temporal-order-6b", 24)],
)
def test_the_minimal_lag_at_length_100_is_that_of_table_10(name: str, lag: int) -> None:
    # The last position and the shortest length meet in one of 539 sequences or more often.
    batch = TASKS[name].sample(100, 20_000, np.random.default_rng(0))
    seen = batch.inputs[:, :, 1:] if batch.inputs.shape[2] == 2 else batch.inputs[:, :, 6:]
    marks = np.asarray((seen == 1.0).any(axis=-1))
    last = len(marks) - 1 - marks[::-1].argmax(axis=0)
    assert (batch.ends - last)[marks.any(axis=0)].min() == lag


@pytest.mark.parametrize(
    ("name", "first"), [("temporal-order-6a", (1, 9)), ("temporal-order-6b", (1, 5, 12))]
)
def test_at_the_shortest_length_relevant_symbols_meet_nothing(name: str, first: tuple[int, ...]) -> None:
    task = TASKS[name]
    inputs = task.sample(task.shortest, 4000, np.random.default_rng(0)).inputs
    relevant = np.asarray(inputs[:, :, 6:].any(axis=-1))
    assert (relevant.sum(axis=0) == len(first)).all()
    assert not relevant[0].any()
    places = np.nonzero(relevant.T)[1].reshape(-1, len(first))
    # A tenth, a half and so on of 20 steps, counted from one.
    assert tuple(places.min(axis=0)) == first
    assert (np.diff(places, axis=1) > 0).all()


@pytest.mark.parametrize("name", ["adding-hochreiter", "multiplication"])
def test_at_the_shortest_length_marks_fill_the_first_half(name: str) -> None:
    task = TASKS[name]
    assert task.shortest == 20
    marks = task.sample(task.shortest, 4000, np.random.default_rng(0)).inputs[:, :, 1] == 1.0
    assert np.flatnonzero(marks.any(axis=1)).tolist() == list(range(1, 10))
    # Two marks are two: none falls on another one, the first pair alone hides one.
    assert set(marks.sum(axis=0).tolist()) == {1, 2}


def test_fewer_than_thirteen_products_of_two_thousand_may_err() -> None:
    task = TASKS["multiplication"]
    batch = task.sample(30, 2000, np.random.default_rng(0))
    for wrong, success in ((12, True), (13, False)):
        predictions = batch.targets.copy()
        predictions[:wrong] += 0.05
        assert task.succeeds(predictions, batch.targets, 30) == success


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
    with pytest.raises(ArgumentError, match="count: got 0, expected a whole number of at least 1"):
        task.sample(task.shortest, 0, rng)
    assert len(task.sample(task.shortest, 4, rng).inputs) == task.steps(task.shortest)


# The levels that the literature quotes, and one exact value for each formula.
@pytest.mark.parametrize(
    ("name", "length", "level"),
    [
        ("adding-urnn", 100, 1 / 6),
        ("adding-tcn", 600, 1 / 6),
        # Var(X) = 1/3 each, one of them zero with probability 1/10 + 9/10/49.
        ("adding-hochreiter", 100, (2 - 0.1 - 0.9 / 49) / 48),
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


@pytest.mark.parametrize("wrong", ["side", "class", "beyond", "probability"])
@pytest.mark.parametrize("said", [math.nan, math.inf, -math.inf])
def test_a_prediction_that_is_not_a_number_is_wrong(wrong: Any, said: float) -> None:
    criterion = Criterion(1, wrong, tolerance=0.3)
    if wrong in ("side", "beyond"):
        answers, targets = np.array([[said]]), np.array([[1.0]])
        right = wrong == "side" and said == math.inf
    else:
        # Class 0 is where argmax finds a NaN; an infinite logit says its class, but is no probability.
        answers, targets = np.array([[said, 0.0, 0.0]]), np.array([0])
        right = wrong == "class" and said == math.inf
    assert criterion.mistakes(answers, targets).tolist() == [not right]


def test_a_step_whose_logits_are_not_numbers_is_wrong_and_the_others_are_not() -> None:
    logits = np.tile(np.array([0.0, 1.0]), (3, 2, 1))
    logits[1, 0, 1] = math.nan
    mistakes = Criterion(1, "class").mistakes(logits, np.ones((3, 2), dtype=np.int64))
    assert np.argwhere(mistakes).tolist() == [[1, 0]]


@pytest.mark.parametrize("task", ALL, ids=named)
@pytest.mark.parametrize("said", [math.nan, math.inf, -math.inf, 1e200, 1.7e308])
def test_a_diverged_learner_fails_without_a_warning(task: Task, said: float) -> None:
    batch = task.sample(task.shortest, 8, np.random.default_rng(0))
    predictions = task.solve(batch)
    predictions[..., 0] = said
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        losses = sequence_losses(task.loss, predictions, batch.targets)
        assert losses.shape == (8,)
        assert not (losses < 0.0).any()
        assert not math.isnan(said) or np.isnan(losses).all()
        assert not task.succeeds(predictions, batch.targets, task.shortest)


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
