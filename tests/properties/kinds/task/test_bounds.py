"""What chance explains in a task is bounded by theorems, from both sides; variants are what papers say."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from dynprop.kinds.task.bounds import (
    bernstein,
    binomial,
    cdf_distances,
    evidence_from,
    interval,
    weighted_sums,
)
from dynprop.kinds.task.mark_positions import (
    hidden_probability,
    hochreiter_pairs,
    one_in_each_half,
    probability_per_step,
    two_anywhere,
)
from dynprop.kinds.task.random_inputs import Normal, Uniform
from dynprop.kinds.task.success import _SpoiledAnswers
from dynprop.kinds.task.target import TaskAdapter
from dynprop.kinds.task.variants import VARIANTS
from dynprop.training import TASKS

ONE = np.ones(1)


def passed(count: float, trials: int, chance: float, false_alarm: float) -> bool:
    return binomial("", count * ONE, trials, chance, axes=("count",), false_alarm=false_alarm).ratio <= 1.0


@pytest.mark.parametrize("chance", [Fraction(1, 2), Fraction(1, 3), Fraction(1, 50), Fraction(19, 20)])
@pytest.mark.parametrize("false_alarm", [1e-3, 1e-12, 1e-18])
def test_counts_leave_their_bounds_as_seldom_as_stated_and_hardly_more_seldom(
    chance: Fraction, false_alarm: float
) -> None:
    trials = 200
    weight = [math.comb(trials, k) * chance**k * (1 - chance) ** (trials - k) for k in range(trials + 1)]
    right = [passed(k, trials, float(chance), false_alarm) for k in range(trials + 1)]
    low, high = right.index(True), trials - right[::-1].index(True)
    assert right == [low <= k <= high for k in range(trials + 1)]
    # Each tail is at most half of the rate, and with one more count it is above.
    for outer, inner in ((sum(weight[:low]), weight[low]), (sum(weight[high + 1 :]), weight[high])):
        assert outer <= Fraction(false_alarm) / 2 * Fraction(1001, 1000)
        assert outer + inner > Fraction(false_alarm) / 2


def test_where_nothing_may_be_one_is_too_many_and_where_little_is_expected_nothing_is_too_few() -> None:
    assert passed(0.0, 2048, 0.0, 1e-12)
    assert not passed(1.0, 2048, 0.0, 1e-12)
    assert not passed(2047.0, 2048, 1.0, 1e-12)
    assert passed(0.0, 2048, 1.0 / 500, 1e-12)
    assert not passed(60.0, 2048, 1.0 / 500, 1e-12)
    assert passed(0.0, 0, 0.25, 1e-12)


@pytest.mark.parametrize("law", [Uniform(-1.0, 1.0), Uniform(0.0, 0.5), Normal(0.2)])
def test_a_law_is_sub_gaussian_with_its_deviation(law: Uniform | Normal) -> None:
    rates = np.linspace(-80.0, 80.0, 401) / law.sub_gaussian / 10.0
    if isinstance(law, Uniform):
        half = (law.high - law.low) / 2.0
        exact = np.where(rates == 0.0, 1.0, np.sinh(rates * half) / np.where(rates == 0.0, 1.0, rates * half))
    else:
        exact = np.exp(0.5 * (rates * law.deviation) ** 2)
    assert (exact <= np.exp(0.5 * (rates * law.sub_gaussian) ** 2) * (1.0 + 1e-12)).all()
    # No smaller parameter is one: a sub-Gaussian parameter is at least the deviation.
    drawn = law.cdf(np.array([law.mean]))
    assert drawn == pytest.approx(0.5)


def test_sums_are_bounded_to_the_edge() -> None:
    squares = 4.0 * ONE
    edge = math.sqrt(2.0 * math.log(2.0 / 1e-12) * 4.0)
    assert weighted_sums("", 0.999 * edge * ONE, squares, axes=("sum",)).ratio <= 1.0
    assert weighted_sums("", 1.001 * edge * ONE, squares, axes=("sum",)).ratio > 1.0
    # A Gaussian sum reaches it with a probability below the stated one, and not much below it.
    assert 1e-14 < math.erfc(edge / 2.0 / math.sqrt(2.0)) < 1e-12


def test_distribution_functions_are_bounded_to_the_edge_and_by_groups() -> None:
    rng = np.random.default_rng(0)
    right, empty = rng.random(4000), np.zeros(0)
    assert cdf_distances("", [right, right[:50], empty], axis="group").ratio < 0.6
    # An eighth, the distance of the mean of two uniform numbers, and a thirtieth.
    assert cdf_distances("", [right, rng.random((2, 4000)).mean(axis=0)], axis="group").ratio > 1.0
    assert cdf_distances("", [rng.random(40000) ** 1.1], axis="group").ratio > 1.0
    # Single precision is no other law.
    assert cdf_distances("", [rng.random(10**6, dtype=np.float32).astype(float)], axis="group").ratio < 0.6
    assert cdf_distances("", [np.full(9, np.nan)], axis="group").ratio == math.inf


def test_the_mean_of_bounded_numbers_is_judged_with_their_own_variance() -> None:
    rng = np.random.default_rng(1)
    values = rng.random(20_000)
    assert bernstein("", values, 0.5, 1.0).ratio < 0.6
    # Its deviation is 0.289/141 = 0.002, and the bound seven or eight of them.
    assert bernstein("", values, 0.51, 1.0).ratio < 1.0 < bernstein("", values, 0.52, 1.0).ratio


def test_an_interval_is_kept_to_its_ends() -> None:
    for value, right in ((0.91, True), (0.89, False), (1.19, True), (1.21, False), (math.nan, False)):
        assert (interval("", 2.0 * value, 2.0, 0.9, 1.2).ratio <= 1.0) == right


def test_a_wrong_frequency_is_a_failure_that_says_where() -> None:
    found = evidence_from(
        [binomial("marks", np.array([512.0, 9.0]), 2048, np.array([0.25, 0.0]), axes=("time",))], {}
    )
    assert found.failure == "marks at time 1: got 9, expected 0 within 0"


# The variants.


@pytest.mark.parametrize("name", [name for name, v in VARIANTS.items() if v.marks])
def test_probabilities_of_places_add_up_to_one(name: str) -> None:
    for length in (20, 24, 30, 57, 100):
        places = VARIANTS[name].positions(length)
        assert sum(places.values()) == 1
        seen = sum(len(at) * p for at, p in places.items())
        assert sum(probability_per_step(places, length)) == seen


def test_the_first_pair_is_marked_as_often_as_the_recipe_says() -> None:
    for length in (20, 21, 57, 100, 300):
        assert hidden_probability(length) == Fraction(1, 10) + Fraction(9, 10) / (length // 2 - 1)
        # Every pair up to T/2 comes up, and none beyond.
        assert {t for at in hochreiter_pairs(length) for t in at} == set(range(1, length // 2))


def test_pairs_of_marks_are_what_they_are_called() -> None:
    assert one_in_each_half(5) == dict.fromkeys(
        [(0, 2), (0, 3), (0, 4), (1, 2), (1, 3), (1, 4)], Fraction(1, 6)
    )
    assert two_anywhere(3) == dict.fromkeys([(0, 1), (0, 2), (1, 2)], Fraction(1, 3))


# Table 10: minimal lag between the last relevant input and the teacher, T = 100.
LAGS = {"adding-hochreiter": 50, "multiplication": 50, "temporal-order-6a": 40, "temporal-order-6b": 24}


@pytest.mark.parametrize(("name", "lag"), LAGS.items())
def test_the_minimal_lag_is_that_of_table_10(name: str, lag: int) -> None:
    variant = VARIANTS[name]
    shortest, _ = variant.steps(100)
    assert shortest - 1 - max(t for at in variant.positions(100) for t in at) == lag


@pytest.mark.parametrize("name", VARIANTS)
def test_answers_are_spoiled_as_they_say(name: str) -> None:
    task, success = TASKS[name], VARIANTS[name].success
    subject = TaskAdapter(task)
    targets = subject.sample(task.shortest + 3, success.count, 0).targets
    answers = _SpoiledAnswers(subject, success, targets, task.shortest + 3)
    for beyond in (-1e-6, 1e-6):
        if success.wrong == "loss":
            answer = answers.losing(success.limit * (1.0 + beyond))
            share = plain_loss(answer, targets) / VARIANTS[name].chance(task.shortest + 3) / success.limit
            assert share - 1.0 == pytest.approx(beyond, rel=1e-3)
            continue
        answer = answers.near(beyond)
        if success.wrong == "beyond":
            error = np.abs(answer - targets).max(axis=1)
            assert error / success.limit - 1.0 == pytest.approx(np.full(len(error), beyond), rel=1e-3)
        elif success.wrong == "side":
            assert (np.sign(answer * targets) == -np.sign(beyond)).all()
        else:
            chances = np.exp(answer)
            assert chances.sum(axis=1) == pytest.approx(np.ones(len(targets)), rel=1e-12)
            error = np.abs(chances - np.eye(chances.shape[1])[targets]).max(axis=1)
            limit = success.limit or 0.5
            assert ((error > limit) == (beyond > 0.0)).all()


def plain_loss(answer: np.ndarray, targets: np.ndarray) -> float:
    if answer.shape == targets.shape:
        return float(((answer - targets) ** 2).mean())
    return float(-np.take_along_axis(answer, targets[..., None], axis=-1).mean())
