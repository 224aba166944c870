"""Pictures of a diagnosis as numbers on a canvas, for inline SVG; a template draws them.

The canvas is 400 units wide, so that its letters are readable on a page of 420 pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dynprop.arrays import FloatArray, NumericArray

__all__ = ["Picture", "Series", "circle_picture", "line_picture"]

WIDTH, HEIGHT = 400.0, 250.0
LEFT, RIGHT, TOP, BOTTOM = 52.0, 12.0, 12.0, 40.0
# Decades below which a curve leaves the picture.
DEEPEST = 20.0
MOST_POINTS = 200


@dataclass(frozen=True)
class Series:
    """A curve, a band or points.

    Attributes:
        name: in the legend; empty for none.
        style: a class of the style sheet.
        points: "x,y x,y ..." of a polyline or polygon; empty for dots.
        dots: (x, y) of dots.
    """

    name: str
    style: str
    points: str = ""
    dots: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Picture:
    """A canvas with axes.

    Attributes:
        title: what is shown.
        across, up: labels of the axes.
        series: drawn in this order.
        ticks_across, ticks_up: (place, label).
        circle: (x, y, radius) of the unit circle, or None.
        width, height, left, right, top, bottom: of the canvas and the frame.
    """

    title: str
    across: str
    up: str
    series: tuple[Series, ...]
    ticks_across: tuple[tuple[float, str], ...]
    ticks_up: tuple[tuple[float, str], ...]
    circle: tuple[float, float, float] | None = None
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT
    right: float = WIDTH - RIGHT
    top: float = TOP
    bottom: float = HEIGHT - BOTTOM


def _ticks(low: float, high: float, most: int) -> list[float]:
    """Return round numbers from low to high."""
    span = max(high - low, 1e-12)
    step = 10.0 ** math.floor(math.log10(span / most))
    step *= next(f for f in (1.0, 2.0, 5.0, 10.0) if span / (f * step) <= most)
    first = math.ceil(low / step - 1e-9)
    return [step * i for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _number(value: float) -> str:
    return f"{value:g}".replace("-", "\N{MINUS SIGN}")


def line_picture(
    title: str,
    across: str,
    up: str,
    curves: Sequence[tuple[str, str, FloatArray]],
    bands: Sequence[tuple[str, FloatArray, FloatArray]] = (),
    *,
    decades: bool = True,
) -> Picture | None:
    """Lay out curves over 0, 1, 2, ...; None where there is nothing to draw.

    Args:
        title, across, up: texts.
        curves: name, style and values, natural logarithms of which decades are drawn.
        bands: style, lower and upper ends.
        decades: whether values are natural logarithms that are shown as powers of ten.
    """
    scale = math.log(10.0) if decades else 1.0
    values = [np.asarray(v, dtype=float) / scale for _, _, v in curves]
    kept = [v[np.isfinite(v)] for v in values]
    if not any(len(v) > 1 for v in kept):
        return None
    every = np.concatenate(kept)
    low, high = float(every.min()), float(every.max())
    if decades:
        low = max(low, high - DEEPEST)
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    low, high = low - 0.03 * (high - low), high + 0.03 * (high - low)
    longest = max(len(v) for v in values) - 1 or 1

    def place(lag: float, value: float) -> tuple[float, float]:
        x = LEFT + (WIDTH - LEFT - RIGHT) * lag / longest
        share = (min(max(value, low), high) - low) / (high - low)
        return x, HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share

    def text(lags: Sequence[int], numbers: FloatArray) -> str:
        return " ".join("{:.1f},{:.1f}".format(*place(lag, float(numbers[lag]))) for lag in lags)

    series = []
    for style, lower, upper in bands:
        ends = [np.asarray(v, dtype=float) / scale for v in (lower, upper)]
        lags = _drawn(ends[0] + ends[1], low)
        if len(lags) > 1:
            points = f"{text(lags, ends[1])} {text(lags[::-1], ends[0])}"
            series.append(Series("", f"band {style}", points))
    for (name, style, _), numbers in zip(curves, values, strict=True):
        lags = _drawn(numbers, low)
        if lags:
            series.append(Series(name, style, text(lags, numbers)))
    return Picture(
        title,
        across,
        up,
        tuple(series),
        tuple((place(t, 0.0)[0], _number(t)) for t in _ticks(0.0, longest, 5)),
        tuple(
            (place(0, t)[1], f"1e{t:+.0f}" if decades else _number(t))
            for t in _ticks(low, high, 5)
            if not decades or float(t).is_integer()
        ),
    )


def _drawn(numbers: FloatArray, low: float) -> list[int]:
    """Return the lags that are drawn: finite, thinned, and no further than the lower edge."""
    found = np.flatnonzero(np.isfinite(numbers))
    below = np.flatnonzero(numbers[found] < low)
    if len(below) and (numbers[found][below[0] :] < low).all():
        found = found[: below[0] + 1]
    return [int(i) for i in found[:: max(1, len(found) // MOST_POINTS)]]


def circle_picture(title: str, clouds: Sequence[tuple[str, str, NumericArray]]) -> Picture | None:
    """Lay out eigenvalues around the unit circle; None where there are none."""
    values = np.concatenate([np.asarray(v, dtype=complex) for _, _, v in clouds]) if clouds else np.zeros(0)
    if not len(values):
        return None
    edge = 1.1 * max(1.0, float(np.abs(values.real).max()), float(np.abs(values.imag).max()))
    size = HEIGHT - TOP - BOTTOM
    middle = LEFT + (WIDTH - LEFT - RIGHT) / 2.0
    unit = size / (2.0 * edge)

    def place(z: complex) -> tuple[float, float]:
        return round(middle + unit * z.real, 1), round(TOP + size / 2.0 - unit * z.imag, 1)

    series = tuple(Series(name, style, "", tuple(map(place, map(complex, v)))) for name, style, v in clouds)
    ticks = _ticks(-edge, edge, 5)
    return Picture(
        title,
        "real part",
        "imaginary part",
        series,
        tuple((place(complex(t, 0))[0], _number(t)) for t in ticks),
        tuple((place(complex(0, t))[1], _number(t)) for t in ticks),
        (*place(0j), round(unit, 1)),
    )
