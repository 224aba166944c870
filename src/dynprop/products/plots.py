"""Figures of products of random weights, made without pyplot's global state.

`plot_product`: the distribution of log abs(product), fresh and shared weights, with simulated histograms.
`plot_phase`: order, chaos and the edge between them. `plot_walk`: the log norm of signal and gradient, layer
by layer, with fresh and with shared weights at the same gain (claim C5).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.errors import ArgumentError, PrecisionError
from dynprop.extras import needs
from dynprop.linear.figures import BLUE, GREY, INK, RED, blank, clean
from dynprop.products.distribution.product import ProductLaw, product_law
from dynprop.products.distribution.shared import SharedProductLaw, shared_product_law
from dynprop.products.edge import edge_of_chaos
from dynprop.products.gains.gains import critical_gain
from dynprop.products.gains.walks import norm_walks
from dynprop.products.matrices.layers import layer_norm_law
from dynprop.products.meanfield import mean_field
from dynprop.products.weights.activations import ActivationLike, resolve_activation
from dynprop.products.weights.moments import ScipyDistribution
from dynprop.products.weights.scalar import require_depth, require_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_phase", "plot_product", "plot_walk"]

_LN10 = math.log(10.0)
_GRID = (61, 41)


def plot_product(weight_law: ScipyDistribution, depth: int, samples: int = 20_000, seed: int = 0) -> Figure:
    """Draw the distribution of log10 abs(product), fresh and shared weights, with simulated histograms.

    Two lines mark the typical size and the root mean square. For deep products the root mean square lies
    where there is almost no probability.

    Args:
        weight_law: a distribution of scipy.stats without mass at 0.
        depth: number of weights, >= 1.
        samples: number of simulated products.
        seed: seed of the simulation.

    Raises:
        ArgumentError: as `product_law`, or a law with mass at 0, or one of constant size.
        ModuleNotFoundError: matplotlib is not installed.

    Example:
        >>> from scipy import stats
        >>> from dynprop.products import plot_product
        >>> figure = plot_product(stats.norm(0, 1), depth=5, samples=1000)
        >>> figure.axes[0].get_title(loc="left")
        'product of 5 weights'
    """
    steps, count = require_depth("depth", depth, 1), require_depth("samples", samples, 1)
    rng = np.random.default_rng(require_depth("seed", seed, 0))
    fresh, shared = product_law(weight_law, steps), shared_product_law(weight_law, steps)
    if fresh.zero_mass > 0.0 or fresh.log_variance == 0.0:
        got = "a law with mass at 0" if fresh.zero_mass > 0.0 else "a law of constant size"
        raise ArgumentError("weight_law", got, "log abs(w) that varies and is finite")
    weight: Any = fresh.weight.law
    with np.errstate(divide="ignore"):
        once = np.log(np.abs(weight.rvs(size=count, random_state=rng)))
        total = once.copy()
        for _ in range(steps - 1):
            total += np.log(np.abs(weight.rvs(size=count, random_state=rng)))
    figure, axes = blank(8.6, 4.8)
    half_width = 4.0 * math.sqrt(fresh.log_variance)
    _draw_law(axes, fresh, total, half_width, BLUE, "fresh weights")
    _draw_law(axes, shared, steps * once, half_width, RED, "one shared weight")
    square = float(np.logaddexp(fresh.log_of_variance, 2.0 * _log_abs(fresh.mean)))
    root = round(0.5 * square / _LN10, 2) + 0.0
    typical = fresh.log_mean / _LN10
    axes.axvline(typical, color=INK, linewidth=1.2, label=f"typical size, $10^{{{typical:.2f}}}$")
    label = f"root mean square (fresh), $10^{{{root:.2f}}}$"
    axes.axvline(root, color=INK, linewidth=1.2, linestyle=(0, (5, 3)), label=label)
    low, high = (
        (fresh.log_mean - half_width) / _LN10,
        max(fresh.log_mean + half_width, 1.1 * root * _LN10) / _LN10,
    )
    axes.set_xlim(low - 0.05 * (high - low), high + 0.05 * (high - low))
    axes.set_ylim(bottom=0.0)
    axes.set_xlabel(r"$\log_{10}|\,$product$\,|$")
    axes.set_ylabel("density")
    axes.set_title(f"product of {steps} weights", loc="left", fontsize=11, color=INK)
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, fontsize=9)
    return figure


def plot_phase(
    activation: ActivationLike = "tanh",
    largest_weight_variance: float = 4.0,
    largest_bias_variance: float = 0.4,
) -> Figure:
    """Draw the exponent of gradients, ln(chi) / 2 per layer, over both variances, with the edge of chaos.

    Args:
        activation: as in `mean_field`.
        largest_weight_variance: end of the horizontal axis, > 0.
        largest_bias_variance: end of the vertical axis, > 0.

    Raises:
        ArgumentError: as `mean_field`.
        PrecisionError: as `mean_field`.
        ModuleNotFoundError: matplotlib is not installed.

    Example:
        >>> from dynprop.products import plot_phase
        >>> figure = plot_phase("erf")
        >>> figure.axes[0].get_title(loc="left")
        'erf: edge of chaos'
    """
    phi = resolve_activation(activation)
    widest = require_number("largest_weight_variance", largest_weight_variance, 1e-6)
    tallest = require_number("largest_bias_variance", largest_bias_variance, 1e-6)
    columns, rows = np.linspace(widest / _GRID[0], widest, _GRID[0]), np.linspace(0.0, tallest, _GRID[1])
    exponents = np.array([[mean_field(phi, w, b).exponent for w in columns] for b in rows])
    figure, axes = blank(7.8, 5.0)
    most = 0.1 * max(1, min(5, math.ceil(10.0 * float(np.quantile(np.abs(exponents), 0.8)))))
    levels = np.linspace(-most, most, 21)
    image = axes.contourf(columns, rows, exponents, levels=levels, cmap="RdBu_r", extend="both")
    bar = figure.colorbar(image, ax=axes, pad=0.02, ticks=np.linspace(-most, most, 5))
    bar.set_label("log norm of the gradient per layer, ½ ln χ", color=INK, fontsize=9)
    bar.ax.tick_params(colors=INK, labelsize=8)
    # The edge of tanh leaves the axis with slope 0, so the points are denser there.
    heights = tallest * np.linspace(0.0, 1.0, 81) ** 2
    edge = _edge_line(phi, heights)
    axes.plot(edge, heights, color=INK, linewidth=2.2)
    axes.set_xlim(float(columns[0]), widest)
    axes.set_ylim(0.0, tallest)
    middle = float(np.interp(0.62 * tallest, heights, edge))
    box = {"boxstyle": "round,pad=0.35", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
    for place, text in (
        (0.5 * middle, "order\ngradients vanish"),
        (0.5 * (middle + widest), "chaos\ngradients explode"),
    ):
        if 0.08 * widest < place < 0.92 * widest:
            axes.text(place, 0.62 * tallest, text, ha="center", va="center", fontsize=10, color=INK, bbox=box)
    axes.set_xlabel(r"weight variance $\sigma_w^2$ (times 1/fan-in)")
    axes.set_ylabel(r"bias variance $\sigma_b^2$")
    axes.set_title(f"{phi.name}: edge of chaos", loc="left", fontsize=11, color=INK)
    return figure


def plot_walk(
    width: int = 50,
    depth: int = 100,
    activation: ActivationLike = "linear",
    gain: float | None = None,
    nets: int = 40,
    seed: int = 0,
) -> Figure:
    """Draw the log norm of signal and gradient through random nets, fresh weights beside shared ones.

    Four panels on one vertical scale: forward above, backward below; a deep net with new weights at every
    layer to the left, a recurrent net with the same weights at every step to the right, at the same gain.
    The band is the mean plus and minus one standard deviation for fresh weights (exact for linear nets, and
    forward for ReLU), drawn in the panels of shared weights too.

    Args:
        width: units of every layer, >= 1.
        depth: layers or steps, >= 1.
        activation: as in `mean_field`.
        gain: None for `critical_gain(width, activation)`.
        nets: number of nets of each kind, >= 1.
        seed: seed of all random numbers.

    Raises:
        ArgumentError: as `norm_walks`.
        PrecisionError: without a gain, as `critical_gain`.
        ModuleNotFoundError: matplotlib is not installed.

    Example:
        >>> from dynprop.products import plot_walk
        >>> figure = plot_walk(width=10, depth=5, activation="tanh", nets=3)
        >>> figure.get_suptitle()
        'tanh, width 10, gain 1.0000'
    """
    with needs("a figure"):
        from matplotlib.figure import Figure

    phi = resolve_activation(activation)
    n, layers = require_depth("width", width, 1), require_depth("depth", depth, 1)
    g = critical_gain(n, activation) if gain is None else require_number("gain", gain, 0.0)
    walks = [norm_walks(n, layers, phi, g, kind, nets, seed) for kind in ("fresh", "shared")]
    figure = Figure(figsize=(9.6, 6.6), layout="constrained", facecolor="white")
    panels = figure.subplots(2, 2, sharex=True, sharey=True)
    steps = np.arange(layers + 1)
    rows = (
        ("forward", "forward: log norm of the signal"),
        ("backward", "backward: log norm of the gradient"),
    )
    for row, (direction, ylabel) in enumerate(rows):
        for column, (walk, colour) in enumerate(zip(walks, (BLUE, RED), strict=True)):
            axes, values = panels[row, column], getattr(walk, direction)
            clean(axes)
            if phi.name == "linear" or (phi.name == "relu" and direction == "forward"):
                _draw_band(axes, n, layers, g, phi.name, direction)
            axes.plot(
                steps,
                np.where(np.isfinite(values), values, np.nan).T,
                color=colour,
                linewidth=0.7,
                alpha=0.45,
            )
            axes.axhline(0.0, color=INK, linewidth=0.8)
            _note_spread(axes, values[:, -1] if direction == "forward" else values[:, 0])
            if column == 0:
                axes.set_ylabel(ylabel, color=INK, fontsize=9)
    # The vertical axis leaves room for the notes above the lines.
    low, high = panels[0, 0].get_ylim()
    panels[0, 0].set_ylim(low, high + 0.16 * (high - low))
    panels[0, 0].set_title("fresh weights at every layer", loc="left", fontsize=10, color=INK)
    panels[0, 1].set_title("one weight matrix at every step", loc="left", fontsize=10, color=INK)
    for axes, text in zip(panels[1], ("layer", "time step"), strict=True):
        axes.set_xlabel(text)
    figure.suptitle(f"{phi.name}, width {n}, gain {g:.4f}", x=0.01, ha="left", fontsize=11, color=INK)
    return figure


def _log_abs(value: float) -> float:
    return math.log(abs(value)) if value else -math.inf


def _draw_law(
    axes: Axes,
    law: ProductLaw | SharedProductLaw,
    logs: FloatArray,
    half_width: float,
    colour: str,
    label: str,
) -> None:
    """Draw the histogram of simulated logarithms and the density, by differences of the cdf."""
    edges = np.linspace(law.log_mean - 1.6 * half_width, law.log_mean + 1.6 * half_width, 121)
    counts, _ = np.histogram(logs, bins=edges)
    heights = counts / len(logs) / np.diff(edges)
    axes.stairs(heights * _LN10, edges / _LN10, fill=True, color=colour, alpha=0.25)
    density = np.diff(law.log_size_cdf(edges)) / np.diff(edges)
    middles = 0.5 * (edges[:-1] + edges[1:])
    axes.plot(middles / _LN10, density * _LN10, color=colour, linewidth=2.0, label=label)


def _edge_line(phi: Any, rows: FloatArray) -> FloatArray:
    edge = np.full(len(rows), np.nan)
    for i, bias in enumerate(rows):
        try:
            edge[i] = edge_of_chaos(phi, float(bias)).weight_variance
        except PrecisionError:
            continue
    return edge


def _draw_band(axes: Axes, n: int, layers: int, gain: float, kind: str, direction: str) -> None:
    law = layer_norm_law([n, n], gain, kind)
    steps = np.arange(layers + 1)
    passed = steps if direction == "forward" else steps[::-1]
    mean, spread = passed * law.log_mean, np.sqrt(passed * law.log_variance)
    axes.fill_between(steps, mean - spread, mean + spread, color=GREY, alpha=0.35, linewidth=0.0)


def _note_spread(axes: Axes, last: FloatArray) -> None:
    alive = last[np.isfinite(last)]
    if len(alive) < 2:
        return
    text = f"at the end: mean {alive.mean():+.2f}, sd {alive.std(ddof=1):.2f}"
    box = {"boxstyle": "round,pad=0.3", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
    axes.text(0.02, 0.97, text, transform=axes.transAxes, va="top", fontsize=9, color=INK, bbox=box)
