"""How the curves of a figure are told apart, and where their marks lie."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.linear.figures import INK
from dynprop.training.trials.setting import Setting

__all__ = [
    "ALONE",
    "LEAST",
    "MARGIN",
    "Look",
    "columns",
    "common",
    "crowded",
    "look_of",
    "places",
    "ticks",
    "wrapped",
]

# Okabe and Ito (2008), "Color Universal Design": told apart with any kind of colour vision. Without their
# yellow, which a white page swallows.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", INK)
MARKS = "osD^vP"
LINES: tuple[Any, ...] = ("-", (0, (5, 1.6)), (0, (6, 1.6, 1.2, 1.6)), (0, (1.4, 1.2)))
# An arrow upwards from where a number is: the number is more than that.
LEAST = ((0.0, 0.0), (0.0, 1.0), (-0.17, 0.7), (0.0, 1.0), (0.17, 0.7), (0.0, 1.0), (0.0, 0.0))
# Marks of neighbouring lengths never come nearer than 0.6 of the distance between the lengths.
NEAR = 0.2
# Distance between the marks of two curves at one length, as a share of the axis, where there is room.
APART = 0.012
# How far an axis goes on after the longest length, as a share of it.
MARGIN = 0.08
# How much of an axis is shown on either side of a length that has no other beside it.
ALONE = 1.0


@dataclass(frozen=True)
class Look:
    """Colour, mark and line of one curve; `line` is a line style of matplotlib."""

    colour: str
    mark: str
    line: Any


def look_of(i: int) -> Look:
    """Return how curve i looks: 84 looks, of which no two agree; 28 pairs of colour and line.

    Colours repeat after 7 and marks after 6, so that two curves of one colour have different marks; lines
    change whenever colours begin anew.
    """
    return Look(COLOURS[i % len(COLOURS)], MARKS[i % len(MARKS)], LINES[i // len(COLOURS) % len(LINES)])


def crowded(lengths: Sequence[int]) -> bool:
    """Say whether an axis from 0 on would draw some lengths over one another, and a logarithmic one not."""
    if len(lengths) < 2:
        return False
    ordered = np.sort(np.asarray(lengths, dtype=np.float64))
    plain = float(np.diff(ordered).min() / ordered[-1])
    logs = np.log(ordered)
    return plain < 0.045 and float(np.diff(logs).min() / (logs[-1] - logs[0])) > plain


def places(lengths: Sequence[int], count: int, *, log: bool = False) -> FloatArray:
    """Return where the marks of curves lie, (curves, lengths): beside one another, and at their lengths.

    Args:
        lengths: all different, increasing.
        count: of curves.
        log: whether the axis is logarithmic; marks then are apart by a factor.

    Returns:
        Positions on the axis; none is farther from its length than `NEAR` of the distance to the next length.
    """
    at = np.asarray(lengths, dtype=np.float64)
    at = np.log(at) if log else at
    if len(lengths) == 1:
        # Its axis is `ALONE` wide on either side.
        reach = np.minimum(0.8 * ALONE, 5.0 * APART * ALONE * (count - 1))
    else:
        # A plain axis begins at 0.
        width = float(at[-1] - at[0] if log else at[-1])
        gaps = np.diff(at)
        room = np.minimum(np.append(np.inf, gaps), np.append(gaps, np.inf))
        reach = np.minimum(NEAR * room, min(APART * (count - 1) / 2, 0.6 * MARGIN) * width)
    side = np.linspace(-1.0, 1.0, count) if count > 1 else np.zeros(1)
    found: FloatArray = at + side[:, None] * reach
    return np.exp(found) if log else found


def ticks(lengths: Sequence[int], *, log: bool = False) -> list[int]:
    """Return the lengths that an axis names: the longest, and what does not run into another.

    Args:
        lengths: all different, increasing.
        log: whether the axis is logarithmic.
    """
    at = np.log(lengths) if log else np.asarray(lengths, dtype=np.float64)
    width = float(at[-1] - at[0] if log else at[-1])
    kept = [len(lengths) - 1]
    for i in range(len(lengths) - 2, -1, -1):
        if at[kept[-1]] - at[i] >= 0.05 * width:
            kept.append(i)
    return sorted(lengths[i] for i in kept)


def common(settings: Sequence[Setting]) -> str:
    """Say what all settings of a sweep share, lengths and names of configurations aside."""
    first = settings[0]
    parts = [
        str(getattr(first, name))
        for name in ("cell", "optimiser")
        if len({getattr(setting, name) for setting in settings}) == 1
    ]
    parts += [
        f"{first.hidden} unit{'s' * (first.hidden > 1)}",
        f"rate {first.rate:g}",
        "no clipping" if first.clip is None else f"clip {first.clip:g}",
        f"batch {first.batch}",
        f"at most {first.updates} updates, judged every {first.every}",
    ]
    return ", ".join(parts)


def columns(names: Sequence[str], points: float, size: float) -> int:
    """Return in how many columns a legend fits into a width.

    Args:
        names: its entries.
        points: the width.
        size: of the font, in points.
    """
    # A handle and what is around it, and letters of 0.62 of the font's size on average.
    each = 50.0 + 0.62 * size * max(map(len, names))
    return max(1, min(len(names), 6, int(points / each)))


def wrapped(text: str, width: int) -> str:
    """Break a text into lines of at most so many letters."""
    return "\n".join(textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False))
