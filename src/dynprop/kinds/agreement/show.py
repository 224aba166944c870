"""Reports of agreements: a case as code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dynprop.kinds.power import show
from dynprop.kinds.record import Setup

__all__ = ["setup"]


def setup(case: Mapping[str, Any], framework: str) -> Setup | None:
    """Return lines that define depth, width and seed, or W, h0 and t; None for a large case.

    Scripts of this kind use numpy, which every function of a namespace takes.
    """
    if "depth" not in case:
        return show.setup(case, "numpy")
    names = ("depth", "width", "seed")
    line = f"{', '.join(names)} = {', '.join(str(case[name]) for name in names)}"
    return Setup("", "", (line,))
