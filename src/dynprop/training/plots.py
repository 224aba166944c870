"""Pictures of a sweep, as matplotlib figures that no global state knows of.

`plot_sweep`: above, the probability of success against length; below, on the same axis, what theory says
before anything is trained: the norm of ∂s(T)/∂s(T-k) at initialisation against the lag k. Where the lower
curve has fallen by some orders of magnitude, the upper one has fallen too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dynprop.linear.figures import BLUE, GREEN, GREY, INK, RED, clean
from dynprop.training.prediction import initial_gradient_by_lag
from dynprop.training.setting import Setting
from dynprop.training.success import SuccessCurve
from dynprop.training.sweep import Sweep

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_sweep"]

_COLOURS = (BLUE, RED, GREEN, "#b8860b", "#7a4fa3", "#4b8b9b")
_MARKS = "osD^vP"
_LN10 = math.log(10.0)


def plot_sweep(sweep: Sweep, curves: Sequence[SuccessCurve], models: int = 20) -> Figure:
    """Draw success against length, and the gradient by lag at initialisation below it.

    Args:
        sweep: what was asked for.
        curves: its configurations, in the order of `sweep.settings`.
        models: how many initial models the lower picture averages; the band holds the middle 80 % of them.

    Returns:
        A new figure; ``figure.savefig(path)`` writes it.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.2, 7.0), layout="constrained", facecolor="white")
    upper, lower = figure.subplots(2, 1, sharex=True)
    for axes in (upper, lower):
        clean(axes)
    settings = sweep.settings
    count = len(sweep.lengths)
    for i, curve in enumerate(curves):
        style = (_COLOURS[i % len(_COLOURS)], _MARKS[i % len(_MARKS)])
        # Marks that lie on one another are moved apart a little.
        shift = (i - (len(curves) - 1) / 2) * 0.006 * (max(sweep.lengths) - min(sweep.lengths) + 1)
        _success(upper, curve, style, shift)
        longest = max(settings[i * count : (i + 1) * count], key=lambda setting: setting.length)
        _profile(lower, longest, style[0], models)
    upper.axhline(0.5, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    upper.set_ylim(-0.04, 1.04)
    upper.set_ylabel("probability of success")
    upper.set_title(f"{sweep.task}: {_how(settings[0])}", loc="left", fontsize=11, color=INK)
    upper.legend(loc="best", frameon=False, fontsize=9)
    upper.tick_params(labelbottom=True)
    upper.set_xlabel("length T")
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


def _profile(axes: Axes, setting: Setting, colour: str, models: int) -> None:
    """Draw the median over initial models, and the band that holds the middle 80 %."""
    logs = initial_gradient_by_lag(setting, tuple(range(models))) / _LN10
    # Exact zeros (all units of a relu net dead) have no logarithm: they are drawn at the lowest value.
    floor = logs[np.isfinite(logs)].min(initial=0.0)
    low, middle, high = np.quantile(np.where(np.isfinite(logs), logs, floor), [0.1, 0.5, 0.9], axis=0)
    lags = np.arange(logs.shape[1])
    axes.plot(lags, middle, color=colour, linewidth=1.8, zorder=3)
    axes.fill_between(lags, low, high, color=colour, alpha=0.15, linewidth=0, zorder=2)
