r"""Pictures of a sweep, as matplotlib figures that no global state knows of.

`plot_sweep`, from above, on one axis of lengths and lags:

1. the probability of success against length;
2. the time to learn: median updates until success, or an arrow at the budget where half never succeed; dashed
   beside it the updates after which the signal can be told from its fluctuation, or an arrow at the fewest
   that they can be;
3. the norm of ∂s(T)/∂s(T-k) at initialisation against the lag k.

What is dashed and what is in the third picture is known before anything is trained. Where the gradient has
fallen by some orders of magnitude and the signal is later than the budget, the probability has fallen too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dynprop.linear.figures import BLUE, GREEN, GREY, INK, RED, clean
from dynprop.training.prediction import affordable_batches, initial_gradient_by_lag, signal_to_noise
from dynprop.training.setting import Setting
from dynprop.training.success import LearningTime, SuccessCurve
from dynprop.training.sweep import Sweep

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_sweep"]

_COLOURS = (BLUE, RED, GREEN, "#b8860b", "#7a4fa3", "#4b8b9b")
_MARKS = "osD^vP"
# An arrow upwards, from where the number is.
_MORE = 10
_MODELS = 4
_LN10 = math.log(10.0)


def plot_sweep(
    sweep: Sweep, curves: Sequence[SuccessCurve], times: Sequence[Sequence[LearningTime]], models: int = 20
) -> Figure:
    """Draw success, time to learn and the gradient at initialisation against length and lag.

    Args:
        sweep: what was asked for.
        curves: its configurations, in the order of `sweep.settings`.
        times: time to learn at each length of each curve.
        models: how many initial models the gradient is taken of; the band holds the middle 80 % of them.

    Returns:
        A new figure; ``figure.savefig(path)`` writes it.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.2, 10.0), layout="constrained", facecolor="white")
    upper, middle, lower = panels = figure.subplots(3, 1, sharex=True)
    settings, count = sweep.settings, len(sweep.lengths)
    step = 0.006 * (max(sweep.lengths) - min(sweep.lengths) + 1)
    for i, (curve, learnt) in enumerate(zip(curves, times, strict=True)):
        style = (_COLOURS[i % len(_COLOURS)], _MARKS[i % len(_MARKS)])
        # Marks that lie on one another are moved apart a little.
        shift = (i - (len(curves) - 1) / 2) * step
        own = sorted(settings[i * count : (i + 1) * count], key=lambda setting: setting.length)
        _success(upper, curve, style, shift)
        _measured(middle, curve, learnt, own[0].updates, style, shift)
        _predicted(middle, own, style[0], shift)
        _profile(lower, own[-1], style[0], models)
    for axes in panels:
        clean(axes)
        axes.tick_params(labelbottom=True)
    upper.axhline(0.5, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    upper.set_ylim(-0.04, 1.04)
    upper.set_ylabel("probability of success")
    upper.set_title(f"{sweep.task}: {_how(settings[0])}", loc="left", fontsize=11, color=INK)
    upper.legend(loc="best", frameon=False, fontsize=9)
    upper.set_xlabel("length T")
    middle.set_yscale("log")
    middle.axhline(settings[0].updates, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    # Room for the arrows.
    middle.set_ylim(top=3.0 * middle.get_ylim()[1])
    middle.set_ylabel("updates")
    middle.set_xlabel("length T")
    title = "time to learn; hollow: until the signal shows, predicted at initialisation; arrows: at least"
    middle.set_title(title, loc="left", fontsize=11, color=INK)
    lower.set_ylabel(r"$\log_{10}\,\|\partial s(T)/\partial s(T-k)\|_2$")
    lower.set_xlabel("lag k")
    lower.set_title("gradient by lag at initialisation, nothing trained", loc="left", fontsize=11, color=INK)
    lower.set_xlim(0, max(sweep.lengths) * 1.03 + 0.5)
    return figure


def _how(setting: Setting) -> str:
    clip = "no clipping" if setting.clip is None else f"clip {setting.clip:g}"
    return f"{setting.cell}, {setting.hidden} units, {setting.optimiser} {setting.rate:g}, {clip}"


def _success(axes: Axes, curve: SuccessCurve, style: tuple[str, str], shift: float) -> None:
    """Draw the shares with their intervals."""
    colour, mark = style
    known = [rate for rate in curve.rates if rate.trials]
    x = np.array([rate.length + shift for rate in known])
    y = np.array([rate.rate for rate in known])
    low, high = (np.array([rate.interval[side] for rate in known]) for side in (0, 1))
    # Where every run succeeds, the share may lie above the upper end by one rounding.
    spread = [np.maximum(y - low, 0.0), np.maximum(high - y, 0.0)]
    axes.errorbar(
        x,
        y,
        yerr=spread,
        color=colour,
        marker=mark,
        markersize=5,
        linewidth=1.8,
        elinewidth=1.1,
        capsize=2.5,
        label=curve.name,
        zorder=3,
    )


def _measured(
    axes: Axes,
    curve: SuccessCurve,
    times: Sequence[LearningTime],
    budget: int,
    style: tuple[str, str],
    shift: float,
) -> None:
    """Draw median updates until success with their intervals; an arrow at the budget where none is seen."""
    colour, mark = style
    for rate, found in zip(curve.rates, times, strict=True):
        x = rate.length + shift
        if found.median is None:
            axes.plot(x, budget, color=colour, marker=_MORE, markersize=9, linestyle="", zorder=3)
            continue
        # An open end of the interval reaches to the budget.
        low = found.median if found.low is None else found.low
        high = budget if found.high is None else found.high
        spread = [[found.median - low], [high - found.median]]
        look: Any = {"markersize": 5, "elinewidth": 1.1, "capsize": 2.5, "linestyle": "", "zorder": 3}
        axes.errorbar(x, found.median, yerr=spread, color=colour, marker=mark, **look)
    known = [(rate.length + shift, t.median) for rate, t in zip(curve.rates, times, strict=True) if t.median]
    axes.plot(*np.array(known).reshape(-1, 2).T, color=colour, linewidth=1.8, zorder=3)


def _predicted(axes: Axes, settings: Sequence[Setting], colour: str, shift: float) -> None:
    """Draw after how many updates the signal shows; arrows at the fewest where it is not seen."""
    found = [signal_to_noise(setting, _MODELS, affordable_batches(setting)) for setting in settings]
    x = np.array([setting.length + shift for setting in settings])
    shown, least = (np.array([getattr(signal, name) for signal in found]) for name in ("updates", "least"))
    seen = np.isfinite(shown)
    look: Any = {"color": colour, "markerfacecolor": "white", "zorder": 2}
    axes.plot(x[seen], shown[seen], marker="o", markersize=4, linewidth=1.0, linestyle="--", **look)
    some = ~seen & np.isfinite(least)
    axes.plot(x[some], least[some], marker=_MORE, markersize=7, linestyle="", **look)


def _profile(axes: Axes, setting: Setting, colour: str, models: int) -> None:
    """Draw the median over initial models, and the band that holds the middle 80 %."""
    logs = initial_gradient_by_lag(setting, tuple(range(models))) / _LN10
    # Exact zeros (all units of a relu net dead) have no logarithm: they are drawn at the lowest value.
    floor = logs[np.isfinite(logs)].min(initial=0.0)
    low, middle, high = np.quantile(np.where(np.isfinite(logs), logs, floor), [0.1, 0.5, 0.9], axis=0)
    lags = np.arange(logs.shape[1])
    axes.plot(lags, middle, color=colour, linewidth=1.8, zorder=3)
    axes.fill_between(lags, low, high, color=colour, alpha=0.15, linewidth=0, zorder=2)
