"""What is measured before training for a picture: within a budget, said, and the same every time."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from dynprop.training.analysis import forecast
from dynprop.training.analysis.forecast import profile_plans, seconds, signal_plans
from dynprop.training.analysis.prediction import signal_to_noise
from dynprop.training.show.pages import write_pages
from dynprop.training.show.plots import plot_sweep
from dynprop.training.show.summary import summarise
from dynprop.training.sweeps.sweep import Sweep
from dynprop.training.trials.setting import Setting
from dynprop.training.trials.trial import Trial

MANY: dict[str, Any] = {
    "cells": ("tanh", "gru"),
    "inits": ("small", "orthogonal"),
    "optimisers": ("sgd", "adam"),
}


SWEEPS = [
    Sweep("latch", (4, 6, 8, 10, 15, 20, 30), inits=("small", "orthogonal")),
    Sweep("latch", (4, 8, 100), **MANY),
    Sweep("copy", (10, 20, 50), cells=("lstm", "gru"), options=(("hidden", 64),)),
    Sweep("latch", (10, 784), cells=("lstm", "tanh"), options=(("hidden", 100),)),
    Sweep("latch", tuple(range(5, 105, 5)), inits=("small", "default", "orthogonal", "identity")),
]


def failures(sweep: Sweep) -> list[Trial]:
    return [Trial(setting, seed, "failure", setting.updates) for setting in sweep.settings for seed in (0, 1)]


def notes(sweep: Sweep) -> list[str]:
    """Return what the figure of a sweep says below the titles of its panels."""
    axes = plot_sweep(sweep, summarise(sweep, failures(sweep))).axes
    return [each.texts[0].get_text().replace("\n", " ") for each in axes]


@pytest.mark.parametrize("sweep", SWEEPS)
@pytest.mark.parametrize("budget", [0.5, 10.0])
def test_all_measurements_of_a_figure_share_one_budget(sweep: Sweep, budget: float) -> None:
    plans = signal_plans(sweep.settings, budget)
    assert sum(seconds(setting, plan) for setting, plan in plans.items()) <= budget * (1.0 + 1e-9)
    count = len(sweep.lengths)
    own = [sweep.settings[i : i + count] for i in range(0, len(sweep.settings), count)]
    chosen = [choice for choice in profile_plans(own, 20, budget) if choice is not None]
    assert sum(forecast.profile_seconds(*choice) for choice in chosen) <= budget * (1.0 + 1e-9)
    assert all(1 <= models <= 20 for _, models in chosen)


def test_more_settings_have_fewer_batches_each() -> None:
    few, many = (Sweep("latch", (4, 8, 16, 32), inits=inits) for inits in (("small",), MANY["inits"]))
    alone, beside = signal_plans(few.settings), signal_plans(many.settings)
    assert list(alone) == [setting for setting in beside if setting in alone]
    assert sum(plan.batches for plan in alone.values()) > sum(beside[s].batches for s in alone)
    assert min(plan.batches for plan in beside.values()) >= forecast.GOOD.batches


def test_where_not_all_can_be_measured_the_ends_go_first() -> None:
    settings = Sweep("latch", tuple(range(10, 210, 10))).settings
    plans = signal_plans(settings, sum(seconds(s, forecast.GOOD) for s in settings) / 4)
    found = sorted(setting.length for setting in plans)
    assert found[0] == 10
    assert found[-1] == 200
    assert 3 <= len(found) < len(settings)


def test_what_cannot_be_afforded_is_left_out_and_the_picture_says_so() -> None:
    sweep = Sweep("latch", (784,), cells=("lstm",), options=(("hidden", 128),))
    assert notes(sweep)[2:] == ["left out: too long to compute"] * 2


def test_optimisers_make_no_difference_before_training(monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[Setting] = []

    def counted(setting: Setting, models: int, batches: int) -> Any:
        measured.append(setting)
        return signal_to_noise(setting, models, min(batches, 16))

    monkeypatch.setattr(forecast, "signal_to_noise", counted)
    sweep = Sweep("latch", (4, 8), optimisers=("sgd", "adam", "momentum"), options=(("hidden", 4),))
    found = forecast.measured_forecasts(sweep.settings, 1.0)
    assert [setting.optimiser for setting in measured] == ["sgd", "sgd"]
    assert len(found) == 6
    assert len({(setting.length, value.updates) for setting, value in found.items()}) == 2


def test_signals_that_overflow_are_not_seen() -> None:
    setting = Setting("latch", 784, "relu", "identity=3", hidden=4)
    found = forecast.measured_forecasts([setting], 1.0)
    assert [value.updates for value in found.values()] in ([], [math.inf])


def test_the_picture_says_with_what_its_signals_were_measured() -> None:
    sweep = Sweep("latch", (4, 8), options=(("hidden", 4), ("batch", 4)))
    _, _, gradient, signal = notes(sweep)
    plans = signal_plans(sweep.settings).values()
    low, high = min(plan.batches for plan in plans), max(plan.batches for plan in plans)
    batches = f"{low} to {high}" if low < high else str(low)
    assert signal.startswith(f"median of 3 models, at most {batches} batches each; ")
    assert "median of 20 models" in gradient


@pytest.mark.usefixtures("quick_pages")
def test_the_same_sweep_gives_the_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = Sweep("latch", (3, 6), inits=("small", "orthogonal"), options=(("hidden", 4),))
    trials = failures(sweep)
    found = []
    for name in ("a", "b"):
        folder = tmp_path / name / "sweep"
        folder.mkdir(parents=True)
        monkeypatch.chdir(folder.parent)
        paths = write_pages(Path("sweep"), sweep, trials)
        found.append([path.read_bytes() for path in paths])
    assert found[0] == found[1]
    assert ET.fromstring(found[0][1]).tag.endswith("svg")


@pytest.mark.usefixtures("quick_pages")
def test_what_takes_long_is_said_on_stderr(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]

    def ticking() -> float:
        now[0] += 2.0
        return now[0]

    monkeypatch.setattr("time.monotonic", ticking)
    monkeypatch.setattr(forecast, "signal_to_noise", lambda setting, models, batches: _Seen())
    sweep = Sweep("latch", (3, 4, 5, 6, 7, 8), options=(("hidden", 4),))
    write_pages(tmp_path, sweep, failures(sweep))
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    # Every two seconds something begins; after three it is said, then every five.
    parts = [re.fullmatch(r"dynprop: \d+ s · (.*)", line) for line in lines]
    said = [part and part[1] for part in parts]
    assert said == [f"signals before training: {i} of 6 settings" for i in (0, 3)]


class _Seen:
    updates, least = 7.0, 3.0
