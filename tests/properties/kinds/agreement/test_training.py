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
from tests.properties.kinds.kinds import judged

LAWS = [law.id for law in laws_for("agreement") if law.test.__module__.endswith(("lags", "success"))]


def both_rooms() -> Any:
    names = {name: getattr(room, name) for room in (gradients, training) for name in room.__all__}
    return SimpleNamespace(**names)


@pytest.mark.parametrize("law", LAWS)
def test_gradients_and_training_keep_every_law(law: str) -> None:
    result = judged(law, Agreement(both_rooms(), framework="numpy"), Options(examples=10, iid=10))
    assert result.verdict == "pass", result.counterexample
    assert result.decided == result.cases >= 20
    assert result.worst_ratio <= 1.0


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
