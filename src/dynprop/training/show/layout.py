"""Positions of markers, ticks and texts in a figure of success against length."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.training.trials.setting import Setting

__all__ = [
    "MARGIN",
    "SINGLE",
    "legend_columns",
    "marker_positions",
    "needs_log_axis",
    "shared_options",
    "ticks",
    "wrapped",
]

# Largest shift of a marker, as a share of the distance to the next length: markers of neighbouring lengths
# stay 0.6 of that distance apart.
MAX_SHIFT = 0.2
# Distance between the markers of two curves at one length, as a share of the axis, if there is room.
SPACING = 0.012
# Share of the longest length that an axis shows beyond it.
MARGIN = 0.08
# Half the width of the axis of a single length.
SINGLE = 1.0


def needs_log_axis(lengths: Sequence[int]) -> bool:
    """Return whether markers would overlap on a linear axis, and less on a logarithmic one."""
    if len(lengths) < 2:
        return False
    ordered = np.sort(np.asarray(lengths, dtype=np.float64))
    linear = float(np.diff(ordered).min() / ordered[-1])
    logs = np.log(ordered)
    return linear < 0.045 and float(np.diff(logs).min() / (logs[-1] - logs[0])) > linear


def marker_positions(lengths: Sequence[int], count: int, *, log: bool = False) -> FloatArray:
    """Return x positions of markers, (curves, lengths): curves side by side, each length in the middle.

    Args:
        lengths: all different, increasing.
        count: of curves.
        log: whether the axis is logarithmic; markers then differ by a factor.

    Returns:
        Positions on the axis; none is shifted by more than `MAX_SHIFT` of the distance to the next length.
    """
    at = np.asarray(lengths, dtype=np.float64)
    at = np.log(at) if log else at
    if len(lengths) == 1:
        shift = np.minimum(0.8 * SINGLE, 5.0 * SPACING * SINGLE * (count - 1))
    else:
        # A linear axis begins at 0.
        width = float(at[-1] - at[0] if log else at[-1])
        gaps = np.diff(at)
        room = np.minimum(np.append(np.inf, gaps), np.append(gaps, np.inf))
        shift = np.minimum(MAX_SHIFT * room, min(SPACING * (count - 1) / 2, 0.6 * MARGIN) * width)
    side = np.linspace(-1.0, 1.0, count) if count > 1 else np.zeros(1)
    positions: FloatArray = at + side[:, None] * shift
    return np.exp(positions) if log else positions


def ticks(lengths: Sequence[int], *, log: bool = False) -> list[int]:
    """Return the lengths with a tick label: the longest, then each that leaves room for the next label.

    Args:
        lengths: all different, increasing.
        log: whether the axis is logarithmic.
    """
    positions = np.log(lengths) if log else np.asarray(lengths, dtype=np.float64)
    width = float(positions[-1] - positions[0] if log else positions[-1])
    labelled = [len(lengths) - 1]
    for i in range(len(lengths) - 2, -1, -1):
        if positions[labelled[-1]] - positions[i] >= 0.05 * width:
            labelled.append(i)
    return sorted(lengths[i] for i in labelled)


def shared_options(settings: Sequence[Setting]) -> str:
    """Describe the options that all settings of a sweep share, without lengths and configurations."""
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


def legend_columns(names: Sequence[str], points: float, size: float) -> int:
    """Return the number of columns of a legend that fit into a width.

    Args:
        names: its entries.
        points: the width.
        size: of the font, in points.
    """
    # 50 points for the handle and its padding; letters are 0.62 of the font size wide on average.
    each = 50.0 + 0.62 * size * max(map(len, names))
    return max(1, min(len(names), 6, int(points / each)))


def wrapped(text: str, width: int) -> str:
    """Break a text into lines of at most `width` letters."""
    return "\n".join(textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False))
