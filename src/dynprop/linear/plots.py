"""Figures of the powers of one matrix, made without the global state of pyplot.

`plot_spectrum`: the eigenvalues against the unit circle, with contours of the pseudospectra: the
points z with σ_min(zI - W) = ε, where a perturbation of norm ε can move an eigenvalue (Trefethen and
Embree 2005, section 2). For normal W they are circles around the eigenvalues, otherwise far wider.

`plot_growth`: log ‖Wᵗ‖ with its classical bounds.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.linear.figures import BLUE, GREEN, GREY, INK, RED, blank, legend_below
from dynprop.linear.growth.growth import Growth, growth
from dynprop.linear.spectra.spectrum import ComplexArray, Spectrum, spectrum
from dynprop.linear.validation import Matrix, square_matrix

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_growth", "plot_spectrum"]

# Operations of the singular value decompositions of one figure: a few seconds at most.
_BUDGET = 1.5e9
_MOST_LEVELS = 7
# Half of the width of a label, relative to that of a narrow figure.
_LABEL = 0.16
_LN10 = math.log(10.0)


def plot_spectrum(W: Matrix) -> Figure:
    """Draw the eigenvalues of W against the unit circle, with contours of its pseudospectra.

    Args:
        W: square matrix, shape (n, n), real or complex floats.

    Returns:
        A new figure; ``figure.savefig(path)`` writes it. The contours of σ_min(zI - W) are labelled with ε.

    Raises:
        ArgumentError: W is not square, not floating or not finite.
        ModuleNotFoundError: matplotlib is not installed.

    Example:
        >>> import numpy as np
        >>> figure = plot_spectrum(np.array([[0.5, 1.0], [0.0, -0.5]]))
        >>> figure.axes[0].get_title(loc="left")
        'ρ = 0.5   κ(V) = 2.41   departure 1'
    """
    matrix = square_matrix(W)
    found = spectrum(matrix)
    figure, axes = blank(6.2, 6.4)
    # Axis limits must stay finite numbers, also for a huge radius.
    limit = 1.25 * min(max(1.0, found.radius), 1e150)
    _unit_circle(axes)
    if len(matrix) and found.radius < 1e150:
        _pseudospectra(axes, matrix, limit)
    values = found.eigenvalues
    dots = axes.plot(values.real, values.imag, "o", color=RED, markersize=7.5, label="eigenvalues", zorder=4)
    dots[0].set(markeredgecolor="white", markeredgewidth=0.7)
    if axes.collections:
        # A contour set has no legend entry of its own: this empty line stands for it.
        label = r"$\sigma_{\min}(zI - W) = \varepsilon$"
        axes.plot([], [], color=GREY, linewidth=0.9, label=label)
    axes.set_xlim(-limit, limit)
    axes.set_ylim(-limit, limit)
    axes.set_aspect("equal")
    axes.set_xlabel("Re z")
    axes.set_ylabel("Im z")
    axes.set_title(_spectrum_title(found), loc="left", fontsize=11, color=INK, wrap=True)
    legend_below(figure, axes)
    return figure


def plot_growth(W: Matrix, horizon: int) -> Figure:
    """Draw log₁₀ ‖Wᵗ‖₂ for t = 0..horizon with ρᵗ, κρᵗ, Henrici's bound and the band of Kreiss.

    Args:
        W: square matrix, shape (n, n), real or complex floats.
        horizon: the last step, an integer ≥ 0.

    Returns:
        A new figure. The title is the verdict of `growth`; the peak and the first step from which decay is
        guaranteed are marked. The band from K to e n K contains sup ‖Wᵗ‖. The legend lists what is visible.

    Raises:
        ArgumentError: as in `growth`.
        PrecisionError: as in `growth` and its bounds.
        ModuleNotFoundError: matplotlib is not installed.

    Example:
        >>> import numpy as np
        >>> figure = plot_growth(np.array([[0.5, 2.0], [0.0, 0.5]]), 12)
        >>> figure.axes[0].get_title(loc="left")
        'spectral radius below one, yet not contractive'
    """
    found = growth(W, horizon)
    figure, axes = blank(8.6, 5.0)
    steps = np.arange(found.horizon + 1)
    logs = found.log_norms / _LN10
    low, high = _range(found)
    axes.axhline(0.0, color=INK, linewidth=0.8, zorder=1)
    shown = np.where(np.isfinite(logs), logs, np.nan)
    style = "-" if found.horizon > 60 else "o-"
    # A label that starts with an underscore is not listed: the norms of an empty matrix are all zero.
    label = r"$\|W^t\|_2$" if np.isfinite(shown).any() else "_no norm"
    axes.plot(steps, shown, style, color=BLUE, linewidth=2.2, markersize=3.5, label=label, zorder=4)
    _draw_bounds(axes, found, steps, (low, high))
    _mark_steps(axes, found, logs, high - low)
    axes.set_xlim(-0.02 * max(found.horizon, 1), 1.02 * max(found.horizon, 1))
    axes.set_ylim(low, high)
    axes.set_xlabel("step t")
    axes.set_ylabel(r"$\log_{10}\|W^t\|_2$")
    axes.set_title(str(found.verdict), loc="left", fontsize=11, color=INK, wrap=True)
    legend_below(figure, axes)
    return figure


def _unit_circle(axes: Axes) -> None:
    turn = np.linspace(0.0, 2.0 * np.pi, 361)
    dashes = (0, (5, 3))
    axes.plot(
        np.cos(turn), np.sin(turn), color=INK, linewidth=1.2, linestyle=dashes, label="unit circle", zorder=3
    )


def _spectrum_title(found: Spectrum) -> str:
    condition = "∞" if math.isinf(found.condition) else f"{found.condition:.3g}"
    parts = [f"ρ = {found.radius:.4g}", f"κ(V) = {condition}", f"departure {found.departure:.3g}"]
    if found.defective:
        parts.append("defective")
    elif found.near_defective:
        parts.append("near-defective")
    return "   ".join(parts)


def _pseudospectra(axes: Axes, W: Matrix, limit: float) -> None:
    """Draw labelled contours of log₁₀ σ_min(zI - W) on the square |Re z|, |Im z| ≤ limit."""
    n = len(W)
    side = int(np.clip(math.sqrt(_BUDGET / n**3), 24, 161)) | 1
    x = np.linspace(-limit, limit, side)
    rows = x if np.iscomplexobj(W) else x[side // 2 :]
    sizes = np.empty((len(rows), side))
    for i, height in enumerate(rows):
        shifted = (x + 1j * height)[:, None, None] * np.eye(n) - W
        sizes[i] = np.linalg.svd(shifted, compute_uv=False)[:, -1]
    if len(rows) < side:
        # Singular values of a real matrix are the same at conjugate points.
        sizes = np.concatenate([sizes[:0:-1], sizes])
    with np.errstate(divide="ignore"):
        logs = np.maximum(np.log10(sizes), -15.0)
    levels = _levels(float(np.quantile(logs, 0.02)), float(logs.max()))
    lines = axes.contour(x, x, logs, levels=levels, colors=GREY, linewidths=0.9, linestyles="solid", zorder=2)
    places = _label_places(lines.allsegs, np.linalg.eigvals(W).astype(np.complex128), limit)
    if places:
        axes.clabel(lines, fmt=_power_of_ten, fontsize=8, colors=INK, inline_spacing=3, manual=places)


def _label_places(
    segments: list[list[FloatArray]], values: ComplexArray, limit: float
) -> list[tuple[float, float]]:
    """Choose at most one position per level for its label, far from everything drawn and from the frame.

    A level whose lines all run along the frame gets no label, since the frame would cut it.
    """
    taken, places = values, []
    for lines in segments:
        # Short lines are hidden by a label.
        long = [line for line in lines if len(line) >= 8] or lines
        if not long:
            continue
        z = np.concatenate([line[:, 0] + 1j * line[:, 1] for line in long])
        edge = limit - np.maximum(np.abs(z.real), np.abs(z.imag))
        z, edge = z[edge > _LABEL * limit], edge[edge > _LABEL * limit]
        if not len(z):
            continue
        free = np.minimum(np.abs(z[:, None] - taken).min(axis=1, initial=limit), np.abs(np.abs(z) - 1.0))
        best = z[int(np.argmax(np.minimum(free, edge)))]
        taken = np.append(taken, best)
        places.append((float(best.real), float(best.imag)))
    return places


def _levels(low: float, high: float) -> list[float]:
    """Return at most seven levels between two exponents, spaced by 1/2 or by a whole number."""
    step = 0.5 if high - low < 2.5 else float(math.ceil((high - low) / _MOST_LEVELS))
    first = math.ceil(low / step + 1e-9)
    levels = [step * k for k in range(first, first + _MOST_LEVELS + 1) if step * k < high]
    return levels or [(low + high) / 2.0]


def _power_of_ten(level: float) -> str:
    return f"$10^{{{level:g}}}$"


def _range(found: Growth) -> tuple[float, float]:
    """Return axis limits that contain the norms, and the Kreiss band if it is near them."""
    logs = found.log_norms[np.isfinite(found.log_norms)] / _LN10
    low, high = float(logs.min(initial=0.0)), float(logs.max(initial=0.0))
    if math.isfinite(found.bounds.log_kreiss):
        high = max(high, min(found.bounds.log_kreiss / _LN10, high + 0.6 * max(high - low, 1.0)))
    margin = 0.08 * max(high - low, 1.0)
    return low - margin, high + margin


def _draw_bounds(axes: Axes, found: Growth, steps: Any, limits: tuple[float, float]) -> None:
    bounds = found.bounds
    if math.isfinite(bounds.kreiss) and math.isfinite(bounds.log_kreiss):
        edges = np.log10(bounds.kreiss), bounds.log_kreiss / _LN10
        label = f"Kreiss: sup from K = {bounds.kreiss:.3g}\nto e n K = {math.exp(bounds.log_kreiss):.3g}"
        axes.axhspan(*edges, color=GREEN, alpha=0.12, linewidth=0, label=label, zorder=0)
    lines: list[tuple[FloatArray, str, Any, str]] = [
        (bounds.log_radius, r"lower bound $\rho^t$", (0, (1, 1.5)), INK),
        (bounds.log_condition, r"upper bound $\kappa\,\rho^t$", (0, (6, 2)), RED),
        (bounds.log_henrici, "upper bound, Henrici", (0, (4, 2, 1, 2)), "#b8860b"),
    ]
    for logs, label, dashes, color in lines:
        shown = np.where(np.isfinite(logs), logs / _LN10, np.nan)
        # A bound beyond the axes is not drawn, so that the legend lists what is visible.
        if ((shown >= limits[0]) & (shown <= limits[1])).any():
            axes.plot(steps, shown, linestyle=dashes, color=color, linewidth=1.3, label=label, zorder=3)


def _mark_steps(axes: Axes, found: Growth, logs: FloatArray, height: float) -> None:
    """Mark an interior peak and the step from which decay is guaranteed."""
    peak, decay, middle = found.peak_step, found.decay_step, found.horizon / 2.0
    if found.log_peak > found.log_norms[0] and peak < found.horizon:
        text = f"peak {found.peak:.3g} at {peak}"
        _mark(axes, (peak, float(logs[peak])), text, 0.05 * height, "left" if peak < middle else "right")
    if decay is not None and decay > 1:
        axes.axvline(decay, color=GREY, linewidth=1.0, linestyle=(0, (2, 2)), zorder=1)
        axes.annotate(
            f"decay guaranteed from {decay}",
            (decay, 0.02),
            xycoords=("data", "axes fraction"),
            xytext=(4 if decay < middle else -4, 0),
            textcoords="offset points",
            fontsize=9,
            color=INK,
            ha="left" if decay < middle else "right",
        )
    zero = np.flatnonzero(np.isneginf(found.log_norms))
    if len(zero) and zero[0] > 0:
        axes.plot([], [], " ", label=f"exactly zero from {zero[0]}")


def _mark(axes: Axes, place: tuple[float, float], text: str, above: float, side: str) -> None:
    axes.plot(*place, "o", color=BLUE, markersize=7, markeredgecolor="white", zorder=5)
    box = {"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 1.5}
    axes.annotate(text, (place[0], place[1] + above), fontsize=9, color=INK, ha=side, zorder=6, bbox=box)
