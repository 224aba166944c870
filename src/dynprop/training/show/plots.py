r"""Figures of a sweep, made without pyplot.

`plot_sweep` has two rows of two panels: results of training above, predictions before training below.

=======================================  ===========================================================
probability of success against length    updates until success against length
gradient ∂s(T)/∂s(T-k) against the lag   updates until the signal of the gradient exceeds its
                                         fluctuation, against length
=======================================  ===========================================================

The probability of success falls where the gradient has fallen by some orders of magnitude and the signal
comes later than the budget. Markers of several curves at one length lie side by side. An arrow marks a lower
bound: of updates, if half of the runs were unsolved at the end of their budget; of the signal, if it was not
significant in all batches. Lost runs have no arrow: nothing is known about them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dynprop.extras import needs
from dynprop.linear.figures import GREY, INK, clean
from dynprop.training.analysis.forecast import (
    Forecast,
    Listener,
    Profile,
    ignore,
    measured_forecasts,
    measured_profiles,
)
from dynprop.training.show.layout import (
    MARGIN,
    SINGLE,
    legend_columns,
    marker_positions,
    needs_log_axis,
    shared_options,
    ticks,
    wrapped,
)
from dynprop.training.show.styles import MORE_THAN, curve_styles
from dynprop.training.show.summary import Summary
from dynprop.training.sweeps.sweep import Sweep
from dynprop.training.trials.setting import Setting

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_sweep"]

WIDTH, HEIGHT = 11.0, 8.2
# Font sizes in points: names of the curves, and notes below a title.
NAMES, NOTES = 9.5, 8.5
# Letters of a note that fit above a panel.
LETTERS = 76
SOFT = "#5b6770"
DASHES: Any = (0, (4, 3))
# Keyword arguments of Axes.plot.
Style = dict[str, Any]
# Most curves whose bands do not hide one another.
FEW = 4


def plot_sweep(
    sweep: Sweep,
    entries: Sequence[Summary],
    models: int = 20,
    listen: Listener = ignore,
) -> Figure:
    """Draw success and time to learn against length, with gradient and signal before training.

    Args:
        sweep: to be drawn.
        entries: its configurations, counted.
        models: most initial models for the gradient by lag; the band holds the middle 80 % of them. Fewer,
            noted in the figure, if they would take too long.
        listen: called with a description of the current measurement.

    Returns:
        A new figure; ``figure.savefig(path)`` writes it.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    with needs("a figure"):
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine
        from matplotlib.lines import Line2D

    profiles = measured_profiles([entry.settings for entry in entries], models, listen=listen)
    forecasts = measured_forecasts(
        [setting for entry in entries for setting in entry.settings], listen=listen
    )
    styles = curve_styles(len(entries))
    names = [entry.curve.name for entry in entries]
    count = legend_columns(names, 72.0 * WIDTH, NAMES)
    rows = -(-len(names) // count)
    size = (WIDTH, HEIGHT + 0.21 * rows)
    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1, hspace=0.03, wspace=0.03)
    figure = Figure(figsize=size, layout=layout, facecolor="white")
    (success, time), (gradient, signal) = figure.subplots(2, 2)
    handles = [Line2D([], [], **style, markersize=5, linewidth=1.8) for style in styles]
    title = wrapped(f"{sweep.task}: {shared_options(sweep.settings)}", 110)
    legend = figure.legend(
        handles,
        names,
        loc="outside upper left",
        ncols=count,
        title=title,
        title_fontsize=12,
        alignment="left",
        fontsize=NAMES,
        frameon=False,
        handlelength=3.2,
        labelcolor=INK,
    )
    legend.get_title().set_color(INK)
    heads = {
        success: _success(success, entries, styles),
        time: _time(time, entries, styles),
        gradient: _gradient(gradient, profiles, styles),
        signal: _signal(signal, entries, forecasts, styles),
    }
    _heads(heads)
    lengths = sorted(sweep.lengths)
    for axes in (success, time, signal):
        _length_axis(axes, lengths)
    lags = [profile.logs.shape[1] - 1 for profile in profiles if profile is not None]
    gradient.set_xlim(0.0, (1.0 + MARGIN) * max([*lags, *([] if needs_log_axis(lengths) else lengths)]))
    _update_axes(time, signal, sweep.settings[0].updates)
    return figure


def _positions(entries: Sequence[Summary]) -> list[dict[int, float]]:
    """Return the x positions of each curve's markers, by length."""
    lengths = [setting.length for setting in entries[0].settings]
    positions = marker_positions(lengths, len(entries), log=needs_log_axis(lengths))
    return [dict(zip(lengths, row, strict=True)) for row in positions.tolist()]


def _heads(heads: dict[Axes, tuple[str, str]]) -> None:
    """Write a title above each panel, and a note on its markers below the title."""
    texts = {axes: wrapped(note, LETTERS) for axes, (_, note) in heads.items()}
    room = 1.3 * NOTES * (1 + max(text.count("\n") for text in texts.values()))
    for axes, (title, _) in heads.items():
        clean(axes)
        axes.set_title(title, loc="left", fontsize=11, color=INK, pad=10.0 + room)
        where: Any = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "top"}
        text = axes.annotate(texts[axes], (0.0, 1.0), (0.0, 5.0 + room), fontsize=NOTES, color=SOFT, **where)
        # The padding of the title makes room for it.
        text.set_in_layout(False)


def _length_axis(axes: Axes, lengths: Sequence[int]) -> None:
    """Label the lengths on a linear axis from 0, or on a logarithmic one if they would overlap."""
    from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

    log = needs_log_axis(lengths)
    if log:
        axes.set_xscale("log")
        margin = (lengths[-1] / lengths[0]) ** MARGIN
        axes.set_xlim(lengths[0] / margin, lengths[-1] * margin)
    elif len(lengths) == 1:
        axes.set_xlim(lengths[0] - SINGLE, lengths[0] + SINGLE)
    else:
        axes.set_xlim(0.0, (1.0 + MARGIN) * lengths[-1])
    axes.xaxis.set_major_locator(FixedLocator(ticks(lengths, log=log)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("length T (logarithmic)" if log else "length T", color=INK)


def _update_axes(time: Axes, signal: Axes, budget: int) -> None:
    """Give both panels of updates the same axis, with a line at the budget."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    values = [
        float(y)
        for axes in (time, signal)
        for line in axes.get_lines()
        for y in np.atleast_1d(np.asarray(line.get_ydata(), dtype=np.float64))
        if np.isfinite(y)
    ]
    for axes in (time, signal):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        # Room for the arrows.
        high = 3.0 * max([*values, budget])
        low = min(0.7 * min([*values, budget]), high / 30.0)
        axes.set_ylim(low, high)
        # Below two decades powers of ten are too few labels.
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 100.0 * low else (1.0,)))
        axes.axhline(budget, color=GREY, linewidth=0.8, linestyle=DASHES, zorder=1)
        where: Any = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
        axes.annotate("budget", (1.0, budget), (2.0, 0.0), fontsize=NOTES, color=SOFT, va="center", **where)
        axes.set_ylabel("updates", color=INK)


def _success(axes: Axes, entries: Sequence[Summary], styles: Sequence[Style]) -> tuple[str, str]:
    """Draw success rates with their intervals; return title and note."""
    for entry, style, positions in zip(entries, styles, _positions(entries), strict=True):
        x = np.array([positions[rate.length] for rate in entry.curve.rates])
        y = np.array([rate.rate for rate in entry.curve.rates])
        low, high = (np.array([rate.interval[side] for rate in entry.curve.rates]) for side in (0, 1))
        axes.vlines(x, low, high, color=style["color"], linewidth=1.1, zorder=2)
        caps: Any = {"color": style["color"], "marker": "_", "markersize": 5, "linestyle": "", "zorder": 2}
        axes.plot(x, low, **caps)
        axes.plot(x, high, **caps)
        axes.plot(x, y, **_line(style))
    axes.axhline(0.5, color=GREY, linewidth=0.8, linestyle=DASHES, zorder=1)
    axes.set_ylim(-0.04, 1.04)
    axes.set_ylabel("probability", color=INK)
    runs = _span([rate.trials for entry in entries for rate in entry.curve.rates])
    return "probability of success", f"{runs} runs at each length; bars: 95 % (Clopper and Pearson)"


def _line(style: Style, width: float = 1.6) -> dict[str, Any]:
    return {**style, "markersize": 5, "linewidth": width, "zorder": 3}


def _lower_bound(axes: Axes, x: float, y: float, style: Style) -> None:
    """Draw a hollow marker with an arrow upwards: a lower bound."""
    kind: Any = {"color": style["color"], "linestyle": ""}
    axes.plot(x, y, marker=MORE_THAN, markersize=30, markerfacecolor="none", zorder=3, **kind)
    axes.plot(x, y, marker=style["marker"], markersize=5, markerfacecolor="white", zorder=4, **kind)


def _time(axes: Axes, entries: Sequence[Summary], styles: Sequence[Style]) -> tuple[str, str]:
    """Draw median updates until success; an arrow where budgets were used up, a cross where runs diverged."""
    diverged = False
    for entry, style, positions in zip(entries, styles, _positions(entries), strict=True):
        line = []
        for rate, learning, unsolved in zip(entry.curve.rates, entry.times, entry.unsolved, strict=True):
            x = positions[rate.length]
            line.append((x, np.nan if learning.median is None else learning.median))
            if learning.median is not None:
                # An open upper end has no cap.
                high = entry.settings[0].updates if learning.high is None else learning.high
                low = learning.median if learning.low is None else learning.low
                axes.vlines(x, low, high, color=style["color"], linewidth=1.1, zorder=2)
                closed_ends = [end for end in (learning.low, learning.high) if end is not None]
                axes.plot(
                    [x] * len(closed_ends),
                    closed_ends,
                    color=style["color"],
                    marker="_",
                    markersize=5,
                    linestyle="",
                )
            elif unsolved.budget_used is not None:
                _lower_bound(axes, x, unsolved.budget_used, style)
            elif unsolved.diverged_after is not None:
                diverged = True
                axes.plot(
                    x,
                    max(1.0, unsolved.diverged_after),
                    color=style["color"],
                    marker="x",
                    markersize=6,
                    zorder=3,
                )
        axes.plot(*np.array(line).reshape(-1, 2).T, **_line(style))
    note = "median, 95 % (Kaplan and Meier; open without a cap); arrow: more than this"
    return "updates until success", note + ("; ×: diverged (median)" if diverged else "")


def _gradient(axes: Axes, profiles: Sequence[Profile | None], styles: Sequence[Style]) -> tuple[str, str]:
    """Draw the median over initial models, and the band of the middle 80 %."""
    computed = [profile for profile in profiles if profile is not None]
    finite = [profile.logs[np.isfinite(profile.logs)] for profile in computed]
    bottom = min((float(values.min()) for values in finite), default=0.0)
    zero = False
    for i, (profile, style) in enumerate(zip(profiles, styles, strict=True)):
        if profile is None:
            continue
        # Without interpolation: the logarithm of an exact zero is -inf.
        low, middle, high = np.quantile(profile.logs, [0.1, 0.5, 0.9], axis=0, method="nearest")
        lags = np.arange(len(middle))
        nonzero = np.isfinite(middle)
        zero = zero or not nonzero.all()
        # Curves that coincide have their markers at different lags.
        marks = np.linspace(1.0 + (i / len(styles)) * len(lags) / 6.0, len(lags) - 1.0, 6).astype(int)
        marked = [int(k) for k in np.unique(marks) if nonzero[k]]
        axes.plot(lags, np.where(nonzero, middle, np.nan), markevery=marked, **_line(style))
        shade = 0.15 if len(computed) <= FEW else 0.06
        bands = (np.maximum(side, bottom) for side in (low, high))
        axes.fill_between(lags, *bands, color=style["color"], alpha=shade, linewidth=0, zorder=2)
    counts = _span([len(profile.logs) for profile in computed])
    lengths = _span([profile.length for profile in computed])
    note = f"sequences of length {lengths}; median of {counts} models; band: the middle 80 %"
    if zero:
        note += "; a curve ends where half are exactly zero"
    if len(computed) < len(profiles):
        note += f"; {len(profiles) - len(computed)} of {len(profiles)} left out: too long to compute"
    axes.set_ylabel(r"$\log_{10}\,\|\partial s(T)/\partial s(T-k)\|_2$", color=INK)
    axes.set_xlabel("lag k", color=INK)
    if not computed:
        axes.set_yticks([])
    return "gradient by lag, before training", note if computed else "left out: too long to compute"


def _signal(
    axes: Axes, entries: Sequence[Summary], forecasts: dict[Setting, Forecast], styles: Sequence[Style]
) -> tuple[str, str]:
    """Draw updates until the signal is significant; an arrow at the lower bound where it never is."""
    for entry, style, positions in zip(entries, styles, _positions(entries), strict=True):
        points = [(positions[s.length], forecasts[s]) for s in entry.settings if s in forecasts]
        y = [forecast.updates if np.isfinite(forecast.updates) else np.nan for _, forecast in points]
        axes.plot([x for x, _ in points], y, **_line(style, 1.0))
        for x, forecast in points:
            if not np.isfinite(forecast.updates) and np.isfinite(forecast.least):
                _lower_bound(axes, x, forecast.least, style)
    plans = [forecast.plan for forecast in forecasts.values()]
    note = (
        f"median of {_span([plan.models for plan in plans])} models, at most "
        f"{_span([plan.batches for plan in plans])} batches each; arrow: not seen yet, more than this"
    )
    total = sum(len(entry.settings) for entry in entries)
    if len(plans) < total:
        note += f"; {total - len(plans)} of {total} left out: too long to compute"
    title = "updates until the gradient's signal shows, before training"
    return title, note if plans else "left out: too long to compute"


def _span(numbers: Sequence[int]) -> str:
    """Return one number, or the range of several."""
    limits = dict.fromkeys((min(numbers, default=0), max(numbers, default=0)))
    return " to ".join(str(n) for n in limits)
