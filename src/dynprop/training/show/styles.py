"""Line styles of the curves of a figure: colours, markers and dashes, as one cycler."""

from __future__ import annotations

from itertools import islice
from typing import Any

from dynprop.linear.figures import INK

__all__ = ["MORE_THAN", "curve_styles"]

# Okabe and Ito (2008), "Color Universal Design": distinct with any kind of colour vision. Without their
# yellow, which is too faint on white.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", INK)
MARKERS = tuple("osD^vP")
DASHES = ("-", (0, (5, 1.6)), (0, (6, 1.6, 1.2, 1.6)), (0, (1.4, 1.2)))
# Marker of a lower bound: an arrow upwards from the number.
MORE_THAN = ((0.0, 0.0), (0.0, 1.0), (-0.17, 0.7), (0.0, 1.0), (0.17, 0.7), (0.0, 1.0), (0.0, 0.0))


def curve_styles(count: int) -> list[dict[str, Any]]:
    """Return color, marker and linestyle of each curve, as keyword arguments of `Axes.plot`.

    84 styles are distinct, and the first 28 without their markers: colours repeat after 7, markers after 6,
    and dashes change whenever colours begin anew.
    """
    from cycler import cycler

    dashes = [dash for dash in DASHES for _ in COLOURS]
    cycle = cycler(color=COLOURS * 12) + cycler(marker=MARKERS * 14) + cycler(linestyle=dashes * 3)
    return list(islice(cycle(), count))
