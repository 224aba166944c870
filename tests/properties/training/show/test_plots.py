"""What the picture of a sweep shows: marks at their lengths, curves apart, and nothing that was not seen."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from dynprop.training.analysis.forecast import Forecast, Plan, Profile
from dynprop.training.show import plots
from dynprop.training.show.layout import (
    legend_columns,
    marker_positions,
    needs_log_axis,
    shared_options,
    ticks,
)
from dynprop.training.show.plots import plot_sweep
from dynprop.training.show.styles import MORE_THAN, curve_styles
from dynprop.training.show.summary import summarise
from dynprop.training.sweeps.sweep import Sweep
from dynprop.training.trials.setting import Setting
from dynprop.training.trials.trial import Trial

LENGTHS = [(4, 6, 8, 10, 15, 20, 30), (4, 8, 100), (6,), (100, 101, 102), tuple(range(20, 120, 5))]
EIGHT: dict[str, Any] = {
    "cells": ("tanh", "gru"),
    "inits": ("small", "orthogonal"),
    "optimisers": ("sgd", "adam"),
}
TWELVE: dict[str, Any] = {
    "cells": ("lstm",),
    "inits": ("default+forget=1", "small=0.05+chrono=100", "orthogonal=1.2"),
    "optimisers": ("sgd", "momentum=0.95", "momentum=0.99", "adam"),
}


def runs(sweep: Sweep, outcome: Callable[[Setting, int], Trial], seeds: int = 4) -> list[Trial]:
    return [outcome(setting, seed) for setting in sweep.settings for seed in range(seeds)]


def short_ones_learn(setting: Setting, seed: int) -> Trial:
    if setting.length <= 8 + 4 * seed:
        return Trial(setting, seed, "success", 50 + 50 * seed)
    return Trial(setting, seed, "failure", setting.updates, 0.69, 0.5, 1.0, 0.001)


@pytest.fixture
def foreseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is measured: short signals are seen, long ones are not."""

    def signals(settings: Sequence[Setting], **rest: object) -> dict[Setting, Forecast]:
        return {s: Forecast(Plan(3, 256), 5.0 if s.length < 10 else math.inf, 40.0) for s in settings}

    def gradients(settings: Sequence[Sequence[Setting]], *args: object, **rest: object) -> list[Profile]:
        lags = [-0.1 * np.arange(own[-1].length + 1.0) for own in settings]
        return [Profile(len(logs) - 1, np.stack([logs, 1.2 * logs])) for logs in lags]

    monkeypatch.setattr(plots, "measured_forecasts", signals)
    monkeypatch.setattr(plots, "measured_profiles", gradients)


def drawn(sweep: Sweep, outcome: Callable[[Setting, int], Trial] = short_ones_learn) -> Any:
    """Return the figure of a sweep, without its layout."""
    return plot_sweep(sweep, summarise(sweep, runs(sweep, outcome)))


def marks(axes: Any, *kinds: Any) -> list[tuple[float, float, Any]]:
    """Return (x, y, mark) of what is marked in a panel; of some kinds only, where they are named."""
    return [
        (float(x), float(y), line.get_marker())
        for line in axes.get_lines()
        if line.get_marker() not in ("None", "_") and (not kinds or line.get_marker() in kinds)
        for x, y in zip(np.atleast_1d(line.get_xdata()), np.atleast_1d(line.get_ydata()), strict=True)
        if math.isfinite(y)
    ]


# Where marks lie


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("count", [1, 2, 8, 40])
def test_a_mark_stays_by_its_length_however_many_curves_there_are(
    lengths: tuple[int, ...], count: int
) -> None:
    at = np.array(lengths, dtype=np.float64)
    for log in (False, True):
        scale = np.log if log else np.asarray
        found, own = scale(marker_positions(lengths, count, log=log)), scale(at)
        assert found.shape == (count, len(lengths))
        # The shifts of all curves have no preference.
        assert np.allclose(found.mean(axis=0), own)
        for i in range(len(lengths)):
            gap = min((abs(own[j] - own[i]) for j in range(len(lengths)) if j != i), default=5.0)
            assert np.abs(found[:, i] - own[i]).max() <= 0.2 * gap + 1e-12
        # And they are different.
        assert (np.diff(found, axis=0) > 0.0).all()


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.usefixtures("foreseen")
def test_every_mark_of_a_figure_is_nearest_to_its_own_length(lengths: tuple[int, ...]) -> None:
    sweep = Sweep("latch", lengths, **EIGHT)
    success, time, _, signal = drawn(sweep).axes
    for axes in (success, time, signal):
        low, high = axes.get_xlim()
        found = marks(axes)
        assert len(found) >= len(sweep.settings)
        for length in lengths:
            near = [
                x
                for x, _, mark in found
                if min(lengths, key=lambda other: abs(other - x)) == length and mark != MORE_THAN
            ]
            assert len(near) == 8
            assert all(low < x < high for x in near)
            others = [abs(other - length) for other in lengths if other != length]
            assert max(abs(x - length) for x in near) <= 0.3 * min(others, default=3.0)


def test_an_axis_is_logarithmic_where_lengths_would_crowd() -> None:
    assert [needs_log_axis(lengths) for lengths in LENGTHS] == [False, True, False, True, False]


def test_an_axis_names_lengths_that_have_room() -> None:
    assert ticks((4, 6, 8, 10, 15, 20, 30)) == [4, 6, 8, 10, 15, 20, 30]
    assert ticks((4, 8, 100), log=True) == [4, 8, 100]
    assert ticks((6,)) == [6]
    # The longest is named, and those that do not run into it.
    named = ticks(tuple(range(1, 101)))
    assert named[-1] == 100
    assert min(np.diff(named)) >= 5


# How curves look


def test_no_two_curves_look_the_same() -> None:
    styles = curve_styles(84)
    assert len({tuple(sorted(style.items())) for style in styles}) == 84
    # Without markers, colour and line are enough.
    assert len({(style["color"], style["linestyle"]) for style in styles[:28]}) == 28
    assert {style["linestyle"] for style in styles[:7]} == {"-"}


@pytest.mark.parametrize("kinds", [EIGHT, TWELVE])
@pytest.mark.usefixtures("foreseen")
def test_the_legend_shows_each_curve_as_it_is_drawn(kinds: dict[str, Any]) -> None:
    sweep = Sweep("latch", (4, 8, 16), **kinds)
    figure = drawn(sweep)
    (legend,) = figure.legends
    entries = summarise(sweep, [])
    assert [text.get_text() for text in legend.get_texts()] == [entry.curve.name for entry in entries]
    styles = [(h.get_color(), h.get_marker()) for h in legend.legend_handles]
    assert len(set(styles)) == len(entries)
    success = figure.axes[0]
    lines = [line for line in success.get_lines() if line.get_marker() not in ("None", "_")]
    assert [(line.get_color(), line.get_marker()) for line in lines] == styles


@pytest.mark.parametrize(
    ("kinds", "lengths"),
    [({}, (6,)), ({"inits": ("small", "default")}, LENGTHS[0]), (EIGHT, LENGTHS[1]), (TWELVE, LENGTHS[3])],
)
@pytest.mark.usefixtures("foreseen")
def test_nothing_lies_over_a_panel_and_no_text_is_cut_off(
    kinds: dict[str, Any], lengths: tuple[int, ...]
) -> None:
    figure = drawn(Sweep("latch", lengths, **kinds))
    figure.draw_without_rendering()
    (legend,) = figure.legends
    box = legend.get_window_extent()
    panels = [axes.get_window_extent() for axes in figure.axes]
    assert box.y0 > max(panel.y1 for panel in panels)
    texts = [*legend.get_texts(), legend.get_title()]
    for axes, panel in zip(figure.axes, panels, strict=True):
        heads = [axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label, *axes.texts]
        assert not any(
            text.get_window_extent().overlaps(other) for text in heads for other in panels if text.get_text()
        )
        assert panel.width > 0.35 * figure.bbox.width
        texts += heads
    whole = figure.bbox
    for text in texts:
        if text.get_text():
            found = text.get_window_extent()
            assert found.x0 >= whole.x0
            assert found.x1 <= whole.x1
            assert found.y0 >= whole.y0
            assert found.y1 <= whole.y1


def test_a_legend_has_as_many_columns_as_fit() -> None:
    assert legend_columns(["small", "orthogonal"], 792.0, 9.5) == 2
    assert legend_columns(["momentum=0.95, small=0.05+chrono=100"] * 12, 792.0, 9.5) == 3
    assert legend_columns(["x" * 300], 792.0, 9.5) == 1


# What a title says


@pytest.mark.usefixtures("foreseen")
def test_a_title_says_only_what_all_curves_share() -> None:
    mixed = Sweep("latch", (4, 8), **EIGHT, options=(("clip", None), ("hidden", 4), ("rate", 0.01)))
    said = shared_options(mixed.settings)
    assert said == "4 units, rate 0.01, no clipping, batch 16, at most 1500 updates, judged every 50"
    title = drawn(mixed).legends[0].get_title().get_text()
    assert title == f"latch: {said}"
    plain = Sweep("latch", (4, 8), inits=("small", "default"))
    assert shared_options(plain.settings).startswith("tanh, sgd, 8 units, rate 0.1, clip 1, ")


# Times that are known, and those that are not


@pytest.mark.usefixtures("foreseen")
def test_lost_runs_draw_no_arrow() -> None:
    sweep = Sweep("latch", (4, 8, 16), inits=("small", "default"))

    def lost(setting: Setting, seed: int) -> Trial:
        if setting.init == "small":
            return Trial(setting, seed, "worker lost", 0)
        return Trial(setting, seed, "timed out", 700, 0.69)

    assert marks(drawn(sweep, lost).axes[1]) == []


@pytest.mark.usefixtures("foreseen")
def test_an_arrow_begins_at_the_updates_that_were_made() -> None:
    sweep = Sweep("latch", (4, 8, 16), options=(("updates", 700),))

    def one_used_it_up(setting: Setting, seed: int) -> Trial:
        return (
            Trial(setting, seed, "failure", 700, 0.69) if seed == 0 else Trial(setting, seed, "timed out", 5)
        )

    time = drawn(sweep, one_used_it_up).axes[1]
    assert [y for _, y, _ in marks(time, MORE_THAN)] == [700.0] * 3
    assert [y for _, y, _ in marks(time, "o")] == [700.0] * 3


@pytest.mark.usefixtures("foreseen")
def test_a_cross_says_when_runs_diverged() -> None:
    sweep = Sweep("latch", (4, 8))
    figure = drawn(sweep, lambda setting, seed: Trial(setting, seed, "diverged", 100 * (1 + seed)))
    time = figure.axes[1]
    assert [(y, mark) for _, y, mark in marks(time)] == [(250.0, "x")] * 2
    assert any("× diverged" in text.get_text().replace(":", "") for text in time.texts)
    calm = drawn(sweep).axes[1]
    assert not any("×" in text.get_text() for text in calm.texts)


@pytest.mark.usefixtures("foreseen")
def test_medians_are_joined_only_where_nothing_is_missing_between() -> None:
    def middle_fails(setting: Setting, seed: int) -> Trial:
        if setting.length == 8:
            return Trial(setting, seed, "failure", setting.updates, 0.69)
        return Trial(setting, seed, "success", 50)

    time = drawn(Sweep("latch", (4, 8, 16)), middle_fails).axes[1]
    (line,) = [line for line in time.get_lines() if len(np.atleast_1d(line.get_xdata())) == 3]
    assert np.isnan(line.get_ydata()).tolist() == [False, True, False]


@pytest.mark.usefixtures("foreseen")
def test_a_sweep_without_a_run_of_some_configuration_is_drawn() -> None:
    sweep = Sweep("latch", (4, 8), inits=("small", "default"))
    trials = [trial for trial in runs(sweep, short_ones_learn) if trial.setting.init == "small"]
    figure = plot_sweep(sweep, summarise(sweep, trials[:1]))
    figure.draw_without_rendering()
    assert "1 runs at each length" in figure.axes[0].texts[0].get_text()


def test_exact_zeros_end_a_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    logs = np.array([[0.0, -1.0, -2.0, -math.inf, -math.inf]] * 20)
    monkeypatch.setattr(plots, "measured_forecasts", lambda settings, **rest: {})
    monkeypatch.setattr(plots, "measured_profiles", lambda *args, **rest: [Profile(4, logs)])
    _, _, gradient, signal = drawn(Sweep("latch", (4, 8))).axes
    (line,) = gradient.get_lines()
    assert np.isfinite(line.get_ydata()).tolist() == [True] * 3 + [False] * 2
    assert "exactly zero" in gradient.texts[0].get_text()
    assert marks(signal) == []
    assert signal.texts[0].get_text() == "left out: too long to compute"
