r"""Pictures of a sweep, as matplotlib figures that no global state knows of.

`plot_sweep` has two rows of two panels: above what training did, below what was known before.

=======================================  ===========================================================
probability of success against length    updates until success against length
gradient ∂s(T)/∂s(T-k) against the lag   updates until the signal of the gradient can be told from
                                         its fluctuation, against length
=======================================  ===========================================================

Where the gradient has fallen by some orders of magnitude and the signal is later than the budget, the
probability has fallen too. Marks of several curves at one length lie beside one another. An arrow says that a
number is larger than where it begins: of updates, since half of the runs were unsolved when their budget was
used up; of the signal, since it was not seen in as many batches. Runs that were lost draw no arrow: of them
nothing is known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dynprop.linear.figures import GREY, INK, clean
from dynprop.training.analysis.forecast import Forecast, Profile, foretold, profiled
from dynprop.training.show.looks import (
    ALONE,
    LEAST,
    MARGIN,
    Look,
    columns,
    common,
    crowded,
    look_of,
    places,
    ticks,
    wrapped,
)
from dynprop.training.show.outcomes import Shown
from dynprop.training.sweeps.sweep import Sweep
from dynprop.training.trials.setting import Setting

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_sweep"]

WIDTH, HEIGHT = 11.0, 8.2
# Points for the names of the curves and for what is said below a title.
NAMES, NOTES = 9.5, 8.5
# Letters of such a note that fit above a panel.
LETTERS = 76
SOFT = "#5b6770"
DASHES: Any = (0, (4, 3))
# Curves up to which bands do not hide one another.
FEW = 4


def _unheard(doing: str) -> None:
    return None


def plot_sweep(
    sweep: Sweep,
    entries: Sequence[Shown],
    models: int = 20,
    listen: Callable[[str], None] = _unheard,
) -> Figure:
    """Draw success and time to learn against length, and what was known before training.

    Args:
        sweep: what was asked for.
        entries: its configurations, counted.
        models: how many initial models the gradient by lag is taken of at the most; the band holds the middle
            80 % of them. Fewer where they would take too long, as the picture then says.
        listen: is told what is being computed.

    Returns:
        A new figure; ``figure.savefig(path)`` writes it.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from matplotlib.lines import Line2D

    profiles = profiled([entry.settings for entry in entries], models, listen=listen)
    forecasts = foretold([setting for entry in entries for setting in entry.settings], listen=listen)
    looks = [look_of(i) for i in range(len(entries))]
    names = [entry.curve.name for entry in entries]
    count = columns(names, 72.0 * WIDTH, NAMES)
    rows = -(-len(names) // count)
    size = (WIDTH, HEIGHT + 0.21 * rows)
    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1, hspace=0.03, wspace=0.03)
    figure = Figure(figsize=size, layout=layout, facecolor="white")
    (success, time), (gradient, signal) = figure.subplots(2, 2)
    handles = [
        Line2D([], [], color=o.colour, marker=o.mark, linestyle=o.line, markersize=5, linewidth=1.8)
        for o in looks
    ]
    title = wrapped(f"{sweep.task}: {common(sweep.settings)}", 110)
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
        success: _success(success, entries, looks),
        time: _time(time, entries, looks),
        gradient: _gradient(gradient, profiles, looks),
        signal: _signal(signal, entries, forecasts, looks),
    }
    _heads(heads)
    lengths = sorted(sweep.lengths)
    for axes in (success, time, signal):
        _length_axis(axes, lengths)
    lags = [profile.logs.shape[1] - 1 for profile in profiles if profile is not None]
    gradient.set_xlim(0.0, (1.0 + MARGIN) * max([*lags, *([] if crowded(lengths) else lengths)]))
    _update_axes(time, signal, sweep.settings[0].updates)
    return figure


def _places(entries: Sequence[Shown]) -> list[dict[int, float]]:
    """Return where each curve has its marks, by length."""
    lengths = [setting.length for setting in entries[0].settings]
    found = places(lengths, len(entries), log=crowded(lengths))
    return [dict(zip(lengths, row, strict=True)) for row in found.tolist()]


def _heads(heads: dict[Axes, tuple[str, str]]) -> None:
    """Write a title above each panel, and below it in small what its marks mean."""
    texts = {axes: wrapped(note, LETTERS) for axes, (_, note) in heads.items()}
    room = 1.3 * NOTES * (1 + max(text.count("\n") for text in texts.values()))
    for axes, (title, _) in heads.items():
        clean(axes)
        axes.set_title(title, loc="left", fontsize=11, color=INK, pad=10.0 + room)
        where: Any = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "top"}
        text = axes.annotate(texts[axes], (0.0, 1.0), (0.0, 5.0 + room), fontsize=NOTES, color=SOFT, **where)
        # The title has made room for it.
        text.set_in_layout(False)


def _length_axis(axes: Axes, lengths: Sequence[int]) -> None:
    """Name the lengths on an axis from 0 on, or on a logarithmic one where that would crowd them."""
    from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

    log = crowded(lengths)
    if log:
        axes.set_xscale("log")
        margin = (lengths[-1] / lengths[0]) ** MARGIN
        axes.set_xlim(lengths[0] / margin, lengths[-1] * margin)
    elif len(lengths) == 1:
        axes.set_xlim(lengths[0] - ALONE, lengths[0] + ALONE)
    else:
        axes.set_xlim(0.0, (1.0 + MARGIN) * lengths[-1])
    axes.xaxis.set_major_locator(FixedLocator(ticks(lengths, log=log)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("length T (logarithmic)" if log else "length T", color=INK)


def _update_axes(time: Axes, signal: Axes, budget: int) -> None:
    """Give both panels of updates one axis, with the budget in it."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    seen = [
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
        high = 3.0 * max([*seen, budget])
        low = min(0.7 * min([*seen, budget]), high / 30.0)
        axes.set_ylim(low, high)
        # Where there is less than two decades, more numbers than powers of ten.
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 100.0 * low else (1.0,)))
        axes.axhline(budget, color=GREY, linewidth=0.8, linestyle=DASHES, zorder=1)
        where: Any = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
        axes.annotate("budget", (1.0, budget), (2.0, 0.0), fontsize=NOTES, color=SOFT, va="center", **where)
        axes.set_ylabel("updates", color=INK)


def _success(axes: Axes, entries: Sequence[Shown], looks: Sequence[Look]) -> tuple[str, str]:
    """Draw the shares with their intervals; return what to write above."""
    for entry, look, at in zip(entries, looks, _places(entries), strict=True):
        x = np.array([at[rate.length] for rate in entry.curve.rates])
        y = np.array([rate.rate for rate in entry.curve.rates])
        low, high = (np.array([rate.interval[side] for rate in entry.curve.rates]) for side in (0, 1))
        axes.vlines(x, low, high, color=look.colour, linewidth=1.1, zorder=2)
        ends: Any = {"color": look.colour, "marker": "_", "markersize": 5, "linestyle": "", "zorder": 2}
        axes.plot(x, low, **ends)
        axes.plot(x, high, **ends)
        axes.plot(x, y, **_line(look))
    axes.axhline(0.5, color=GREY, linewidth=0.8, linestyle=DASHES, zorder=1)
    axes.set_ylim(-0.04, 1.04)
    axes.set_ylabel("probability", color=INK)
    runs = _span([rate.trials for entry in entries for rate in entry.curve.rates])
    return "probability of success", f"{runs} runs at each length; bars: 95 % (Clopper and Pearson)"


def _line(look: Look, width: float = 1.6) -> dict[str, Any]:
    return {
        "color": look.colour,
        "marker": look.mark,
        "markersize": 5,
        "linewidth": width,
        "linestyle": look.line,
        "zorder": 3,
    }


def _more(axes: Axes, x: float, y: float, look: Look) -> None:
    """Draw a hollow mark, and an arrow that rises from it."""
    kind: Any = {"color": look.colour, "linestyle": ""}
    axes.plot(x, y, marker=LEAST, markersize=30, markerfacecolor="none", zorder=3, **kind)
    axes.plot(x, y, marker=look.mark, markersize=5, markerfacecolor="white", zorder=4, **kind)


def _time(axes: Axes, entries: Sequence[Shown], looks: Sequence[Look]) -> tuple[str, str]:
    """Draw median updates until success; an arrow where a budget was used up, a cross where numbers broke."""
    broken = False
    for entry, look, at in zip(entries, looks, _places(entries), strict=True):
        line = []
        for rate, found, spent in zip(entry.curve.rates, entry.times, entry.efforts, strict=True):
            x = at[rate.length]
            line.append((x, np.nan if found.median is None else found.median))
            if found.median is not None:
                # Where the upper end is open the bar has no cap.
                high = entry.settings[0].updates if found.high is None else found.high
                low = found.median if found.low is None else found.low
                axes.vlines(x, low, high, color=look.colour, linewidth=1.1, zorder=2)
                ends = [end for end in (found.low, found.high) if end is not None]
                axes.plot([x] * len(ends), ends, color=look.colour, marker="_", markersize=5, linestyle="")
            elif spent.used is not None:
                _more(axes, x, spent.used, look)
            elif spent.broke is not None:
                broken = True
                axes.plot(x, max(1.0, spent.broke), color=look.colour, marker="x", markersize=6, zorder=3)
        axes.plot(*np.array(line).reshape(-1, 2).T, **_line(look))
    note = "median, 95 % (Kaplan and Meier; open without a cap); arrow: more than this"
    return "updates until success", note + ("; ×: diverged (median)" if broken else "")


def _gradient(axes: Axes, profiles: Sequence[Profile | None], looks: Sequence[Look]) -> tuple[str, str]:
    """Draw the median over initial models, and the band that holds the middle 80 %."""
    known = [profile for profile in profiles if profile is not None]
    finite = [profile.logs[np.isfinite(profile.logs)] for profile in known]
    bottom = min((float(values.min()) for values in finite), default=0.0)
    zero = False
    for i, (profile, look) in enumerate(zip(profiles, looks, strict=True)):
        if profile is None:
            continue
        # Without interpolation: a zero has no logarithm, and half of it is none either.
        low, middle, high = np.quantile(profile.logs, [0.1, 0.5, 0.9], axis=0, method="nearest")
        lags = np.arange(len(middle))
        seen = np.isfinite(middle)
        zero = zero or not seen.all()
        # Curves that lie on one another have their marks at other lags.
        some = np.linspace(1.0 + (i / len(looks)) * len(lags) / 6.0, len(lags) - 1.0, 6).astype(int)
        marked = [int(k) for k in np.unique(some) if seen[k]]
        axes.plot(lags, np.where(seen, middle, np.nan), markevery=marked, **_line(look))
        shade = 0.15 if len(known) <= FEW else 0.06
        bands = (np.maximum(side, bottom) for side in (low, high))
        axes.fill_between(lags, *bands, color=look.colour, alpha=shade, linewidth=0, zorder=2)
    counts = _span([len(profile.logs) for profile in known])
    lengths = _span([profile.length for profile in known])
    note = f"sequences of length {lengths}; median of {counts} models; band: the middle 80 %"
    if zero:
        note += "; a curve ends where half are exactly zero"
    if len(known) < len(profiles):
        note += f"; {len(profiles) - len(known)} of {len(profiles)} left out: too long to compute"
    axes.set_ylabel(r"$\log_{10}\,\|\partial s(T)/\partial s(T-k)\|_2$", color=INK)
    axes.set_xlabel("lag k", color=INK)
    if not known:
        axes.set_yticks([])
    return "gradient by lag, before training", note if known else "left out: too long to compute"


def _signal(
    axes: Axes, entries: Sequence[Shown], forecasts: dict[Setting, Forecast], looks: Sequence[Look]
) -> tuple[str, str]:
    """Draw after how many updates the signal shows; arrows at the fewest where it is not seen."""
    for entry, look, at in zip(entries, looks, _places(entries), strict=True):
        known = [(at[s.length], forecasts[s]) for s in entry.settings if s in forecasts]
        y = [found.updates if np.isfinite(found.updates) else np.nan for _, found in known]
        axes.plot([x for x, _ in known], y, **_line(look, 1.0))
        for x, found in known:
            if not np.isfinite(found.updates) and np.isfinite(found.least):
                _more(axes, x, found.least, look)
    plans = [found.plan for found in forecasts.values()]
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
    """Say one number, or from which to which they are."""
    ends = dict.fromkeys((min(numbers, default=0), max(numbers, default=0)))
    return " to ".join(str(n) for n in ends)
