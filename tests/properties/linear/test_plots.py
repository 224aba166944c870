"""Pictures: figures of their own, with what they claim to show, for every kind of matrix."""

from __future__ import annotations

import subprocess
import sys
from io import BytesIO
from typing import Any

import numpy as np
import pytest

from dynprop.errors import ArgumentError
from dynprop.linear.plots import plot_growth, plot_spectrum
from tests.properties.linear.matrix_cases import BAD_COUNTS, BAD_MATRICES, jordan

pytest.importorskip("matplotlib")

GRCAR = (np.triu(np.tril(np.ones((10, 10)), 3)) - np.eye(10, k=-1)) / 3.0
CASES: dict[str, Any] = {
    "normal": np.diag([0.9, -0.5, 0.1]),
    "Grcar": GRCAR,
    "Jordan": jordan([(0.8, 4)]),
    "nilpotent": np.eye(4, k=1) * 2.0,
    "complex": np.array([[0.5j, 1.0], [0.0, 0.9]]),
    "identity": np.eye(2),
    "growing": np.diag([2.0, 1.0]),
    "near the circle": np.array([[1.0 - 1e-9, 1.0], [0.0, 0.5]]),
    "one by one": np.array([[0.5]]),
    "zero": np.zeros((2, 2)),
    "empty": np.zeros((0, 0)),
    "huge": np.diag([1e300, 1.0]),
    "tiny": np.diag([1e-300, 1e-310]),
}


def png(figure: Any) -> bytes:
    stream = BytesIO()
    figure.savefig(stream, format="png", dpi=40)
    return stream.getvalue()


def inked(image: bytes) -> float:
    """Return the share of pixels that are not white."""
    from matplotlib.image import imread

    return float((imread(BytesIO(image))[..., :3].min(axis=2) < 0.95).mean())


@pytest.mark.parametrize("name", CASES)
def test_every_kind_of_matrix_has_both_pictures(name: str) -> None:
    for figure in (plot_spectrum(CASES[name]), plot_growth(CASES[name], 12)):
        assert 0.005 < inked(png(figure)) < 0.9


def test_every_eigenvalue_is_drawn_and_the_unit_circle_too() -> None:
    axes = plot_spectrum(GRCAR).axes[0]
    circle, dots = axes.get_lines()[:2]
    np.testing.assert_allclose(np.hypot(*np.array(circle.get_data(), dtype=float)), 1.0)
    drawn = np.sort_complex(np.array(dots.get_xdata()) + 1j * np.array(dots.get_ydata()))
    np.testing.assert_allclose(drawn, np.sort_complex(np.linalg.eigvals(GRCAR)), atol=1e-12)


def test_contours_are_those_of_the_smallest_singular_value_and_are_labelled() -> None:
    axes = plot_spectrum(GRCAR).axes[0]
    contours: Any = next(c for c in axes.collections if hasattr(c, "levels"))
    for level, lines in zip(contours.levels, contours.allsegs, strict=True):
        for line in lines:
            z = complex(*line[len(line) // 2])
            smallest = np.linalg.svd(z * np.eye(10) - GRCAR, compute_uv=False)[-1]
            # Lines are interpolated between the points of a grid.
            assert abs(np.log10(smallest) - level) < 0.1
    labels = [text.get_text() for text in axes.texts]
    assert len(labels) == len(set(labels)) >= 3


def test_the_curve_is_the_growth_and_its_bounds_are_named() -> None:
    from dynprop.linear.growth.growth import growth

    axes = plot_growth(GRCAR, 40).axes[0]
    (curve,) = [line for line in axes.get_lines() if line.get_label() == r"$\|W^t\|_2$"]
    np.testing.assert_allclose(np.array(curve.get_ydata()), growth(GRCAR, 40).log_norms / np.log(10.0))
    labels = axes.get_legend_handles_labels()[1]
    for word in ("Kreiss", r"$\rho^t$", r"$\kappa\,\rho^t$", "Henrici"):
        assert any(word in label for label in labels)


def legend_of(figure: Any) -> list[str]:
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


@pytest.mark.parametrize("name", CASES)
def test_the_legend_of_a_growth_lists_what_is_visible(name: str) -> None:
    figure = plot_growth(CASES[name], 12)
    axes = figure.axes[0]
    low, high = axes.get_ylim()
    listed = legend_of(figure)
    for line in axes.get_lines():
        label = str(line.get_label())
        heights = np.array(line.get_ydata(), dtype=float)
        if not label.startswith("_") and len(heights):
            assert ((heights >= low) & (heights <= high)).any()
            assert label in listed
    assert not any("outside" in label or "none" in label for label in listed)


def test_a_bound_that_does_not_exist_or_lies_beyond_the_axes_is_not_listed() -> None:
    assert not any("kappa" in label for label in legend_of(plot_growth(jordan([(0.8, 4)]), 12)))
    transient = np.eye(16, k=1) + 0.2 * np.eye(16, k=-1)
    assert not any("kappa" in label for label in legend_of(plot_growth(transient, 12)))
    assert any("kappa" in label for label in legend_of(plot_growth(GRCAR, 12)))


def test_the_legend_of_a_spectrum_names_circle_eigenvalues_and_contours() -> None:
    assert [label[:7] for label in legend_of(plot_spectrum(GRCAR))] == ["unit ci", "eigenva", r"$\sigma"]
    assert len(legend_of(plot_spectrum(CASES["huge"]))) == 2
    dots = plot_spectrum(GRCAR).axes[0].get_lines()[1]
    assert dots.get_markersize() >= 7


@pytest.mark.parametrize("sizes", [((3.2, 3.4), (4.4, 3.0)), ((9.0, 5.0), (9.0, 4.0))])
@pytest.mark.parametrize("name", ["Grcar", "Jordan"])
def test_no_label_and_no_title_is_cut(name: str, sizes: Any) -> None:
    figures = plot_spectrum(CASES[name]), plot_growth(CASES[name], 12)
    for figure, size in zip(figures, sizes, strict=True):
        figure.set_size_inches(*size)
        png(figure)
        axes = figure.axes[0]
        frame, page = axes.get_window_extent(), figure.bbox
        for text in axes.texts:
            box = text.get_window_extent()
            assert frame.x0 - 1 <= box.x0
            assert box.x1 <= frame.x1 + 1
        for box in (axes.title.get_window_extent(), figure.legends[0].get_window_extent()):
            assert page.x0 - 1 <= box.x0
            assert box.x1 <= page.x1 + 1


def test_the_title_says_what_is_proven() -> None:
    transient = np.eye(16, k=1) + 0.2 * np.eye(16, k=-1)
    assert "yet not contractive" in plot_growth(transient, 80).axes[0].get_title(loc="left")
    assert "defective" in plot_spectrum(jordan([(0.8, 4)])).axes[0].get_title(loc="left")
    assert "defective" not in plot_spectrum(GRCAR).axes[0].get_title(loc="left")


def test_no_global_state_is_touched() -> None:
    code = (
        "import sys, numpy as np\n"
        "from dynprop.linear.plots import plot_growth, plot_spectrum\n"
        "assert 'matplotlib' not in sys.modules\n"
        "plot_spectrum(np.eye(2)), plot_growth(np.eye(2), 3)\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


@pytest.mark.parametrize("name", BAD_MATRICES)
def test_a_bad_matrix_is_refused(name: str) -> None:
    for call in (plot_spectrum, lambda W: plot_growth(W, 3)):
        with pytest.raises(ArgumentError, match="W: got"):
            call(BAD_MATRICES[name])


@pytest.mark.parametrize("name", BAD_COUNTS)
def test_a_bad_horizon_is_refused(name: str) -> None:
    with pytest.raises(ArgumentError, match="horizon: got"):
        plot_growth(np.eye(2), BAD_COUNTS[name])
