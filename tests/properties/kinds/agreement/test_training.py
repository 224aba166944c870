"""Each law across functions of gradients and training fails the one wrong function that it is about."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dynprop import gradients, training
from dynprop.check.run.runner import Options
from dynprop.cli import main
from dynprop.kinds import laws_for
from dynprop.kinds.agreement.target import Agreement
from tests.properties.kinds.kinds import assert_caught, correct, judged, planted

LAWS = [law.id for law in laws_for("agreement") if law.test.__module__.endswith(("lags", "success"))]

CAUGHT = [
    ("agreement/fixed-interval", "wald-interval"),
    ("agreement/fixed-interval", "wilson-interval"),
    ("agreement/fixed-interval", "whole-error-on-each-side"),
    ("agreement/any-time-interval", "peeking-at-fixed-intervals"),
    ("agreement/any-time-interval", "interval-that-says-nothing"),
    ("agreement/censored-times", "failures-left-out"),
    ("agreement/censored-times", "failures-learn-at-the-budget"),
    ("agreement/censored-times", "diverged-runs-might-have-learnt"),
    ("agreement/censored-times", "lost-runs-leave-before-the-others-succeed"),
    ("agreement/trial-alone", "seed-is-a-place"),
    ("agreement/trial-alone", "loss-averaged-over-models"),
    ("agreement/trial-alone", "one-model-for-all-seeds"),
    ("agreement/jacobian-products", "jacobian-without-the-slope"),
    ("agreement/jacobian-products", "sequence-from-its-end"),
    ("agreement/gradient-at-start", "lags-begin-at-one"),
    ("agreement/gradient-at-start", "logarithm-to-base-ten"),
    ("agreement/signal-by-lag", "signal-of-the-whole-gradient"),
    ("agreement/signal-by-lag", "noise-over-signal-upside-down"),
]


def both_rooms() -> Any:
    names = {name: getattr(room, name) for room in (gradients, training) for name in room.__all__}
    return SimpleNamespace(**names)


@pytest.mark.parametrize(("law", "fault"), CAUGHT)
def test_the_law_fails_the_fault_that_it_is_about(law: str, fault: str) -> None:
    result = judged(law, planted(f"agreement/{fault}"), Options(examples=10, patience=0.2))
    assert_caught(result, "wrong")


def test_every_law_has_a_fault_here() -> None:
    assert {law for law, _ in CAUGHT} == set(LAWS)


@pytest.mark.parametrize("law", LAWS)
def test_gradients_and_training_keep_every_law(law: str) -> None:
    result = judged(law, Agreement(both_rooms(), framework="numpy"), Options(examples=10, iid=10))
    assert result.verdict == "pass", result.counterexample
    assert result.decided == result.cases >= 20
    assert result.worst_ratio <= 1.0


@pytest.mark.parametrize("law", LAWS)
def test_what_others_write_is_not_accused(law: str) -> None:
    result = judged(law, correct("agreement-success"), Options(examples=40, patience=0.3))
    assert result.verdict in ("pass", "not-applicable"), result.counterexample


def test_a_share_of_one_half_that_is_rounded_upwards_is_one_half() -> None:
    """Found by agreement/censored-times: in floats this product is above 1/2, and the median came later."""
    setting = training.Setting("latch", 10, updates=100)
    runs = [("success", at) for at in (10, 10, 20, 20, 40, 50)] + [
        ("timed out", at) for at in (40, 40, 40, 50)
    ]
    trials = [training.Trial(setting, seed, *run) for seed, run in enumerate(runs)]
    found = training.learning_time(trials)
    # 8/10 · 6/8 · 5/6 is one half.
    assert found.unsolved[2] > 0.5
    assert found.median == 40


def test_the_rooms_are_judged_on_the_command_line(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    arguments = ["check", "dynprop:training", "--kind", "agreement", "--examples", "2", "--json", str(report)]
    assert main(arguments) == 0
    verdicts = {law["id"]: law["verdict"] for law in json.loads(report.read_text())["laws"]}
    elsewhere = "agreement/jacobian-products"
    assert {verdicts[law] for law in LAWS if law != elsewhere} == {"pass"}
    assert verdicts[elsewhere] == "not-applicable"
