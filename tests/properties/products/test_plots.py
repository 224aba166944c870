"""Pictures: what is drawn is what was computed, no text overlaps, and no global state is touched."""

from __future__ import annotations

import itertools
import sys
from typing import Any

import numpy as np
import pytest
from scipy import stats

from dynprop.errors import ArgumentError
from dynprop.products import critical_gain, edge_of_chaos, norm_walks, product_law

pytest.importorskip("matplotlib")

from dynprop.products import plot_phase, plot_product, plot_walk


def draw(figure: Any) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    return canvas.get_renderer()


def overlapping_texts(figure: Any) -> list[tuple[str, str]]:
    """Pairs of visible texts of one axes, or of the figure, whose boxes overlap."""
    renderer = draw(figure)
    texts = [
        text
        for axes in figure.axes
        for text in (*axes.texts, axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label)
        if text.get_text()
    ]
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in texts]
    return [(a, b) for (a, one), (b, two) in itertools.combinations(boxes, 2) if one.overlaps(two)]


@pytest.mark.parametrize(
    ("law", "depth"), [(stats.norm(0, 1), 20), (stats.norm(0, 1), 1), (stats.gamma(2.0), 6)]
)
def test_the_product_picture_shows_the_law_that_was_simulated(law: Any, depth: int) -> None:
    figure: Any = plot_product(law, depth, samples=4000)
    axes = figure.axes[0]
    fresh, shared = (line for line in axes.lines if len(line.get_xdata()) > 10)
    for line, patch in ((fresh, axes.patches[0]), (shared, axes.patches[1])):
        heights = patch.get_data().values
        expected = np.asarray(line.get_ydata())
        counts = 4000 * expected * np.diff(patch.get_data().edges)
        assert np.max(np.abs(heights - expected) * np.sqrt(counts.max()) / expected.max()) < 8
    assert np.trapezoid(fresh.get_ydata(), fresh.get_xdata()) == pytest.approx(1.0, abs=0.02)
    typical = next(line for line in axes.lines if "typical" in str(line.get_label()))
    assert typical.get_xdata()[0] == pytest.approx(product_law(law, depth).log_mean / np.log(10))
    assert overlapping_texts(figure) == []


def test_the_phase_picture_draws_the_edge() -> None:
    figure: Any = plot_phase("tanh", 4.0, 0.4)
    line = max(figure.axes[0].lines, key=lambda line: len(line.get_xdata()))
    for x, y in list(zip(line.get_xdata(), line.get_ydata(), strict=True))[::20]:
        assert x == pytest.approx(edge_of_chaos("tanh", float(y)).weight_variance)
    assert {text.get_text().split("\n")[0] for text in figure.axes[0].texts} == {"order", "chaos"}
    assert overlapping_texts(figure) == []


@pytest.mark.parametrize("activation", ["linear", "relu", "tanh"])
def test_the_walk_picture_draws_the_measured_walks_forward_and_backward(activation: str) -> None:
    figure: Any = plot_walk(20, 30, activation, nets=7, seed=3)
    gain = critical_gain(20, activation)
    for column, kind in enumerate(("fresh", "shared")):
        walks = norm_walks(20, 30, activation, gain, kind, 7, 3)  # type: ignore[arg-type]  # a literal
        for row, expected in enumerate((walks.forward, walks.backward)):
            lines = [line for line in figure.axes[2 * row + column].lines if len(line.get_xdata()) == 31]
            drawn = np.array([line.get_ydata() for line in lines])
            np.testing.assert_allclose(drawn, np.where(np.isfinite(expected), expected, np.nan))
    assert overlapping_texts(figure) == []


def test_pictures_leave_pyplot_alone() -> None:
    plot_walk(5, 4, nets=2)
    assert "matplotlib.pyplot" not in sys.modules


@pytest.mark.parametrize(
    "law", [stats.bernoulli(0.5), stats.rv_discrete(values=([-1, 1], [0.5, 0.5])), stats.cauchy()]
)
def test_laws_without_a_picture_are_refused(law: Any) -> None:
    with pytest.raises(ArgumentError, match="weight_law"):
        plot_product(law, 3)
