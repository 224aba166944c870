"""Colours of the package's figures, and an empty figure without pyplot's global state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dynprop.extras import needs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["BLUE", "GREEN", "GREY", "INK", "RED", "blank", "clean", "legend_below"]

INK, BLUE, RED, GREEN, GREY = "#22303c", "#1f5fa8", "#c2452d", "#3b7f5b", "#8c98a4"


def blank(width: float, height: float) -> tuple[Figure, Axes]:
    """Return a new figure, size in inches, and its single axes.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    with needs("a figure"):
        from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    clean(axes)
    return figure, axes


def clean(axes: Axes) -> None:
    """Hide the top and right spines and draw a faint grid."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(GREY)
    axes.tick_params(colors=INK, labelsize=9)
    axes.grid(visible=True, color="#eef1f4", linewidth=0.8)
    axes.set_axisbelow(True)


def legend_below(figure: Figure, axes: Axes) -> None:
    """List the labelled artists below the axes, in two columns, where no width is lost."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=2, frameon=False, fontsize=9)
