"""Reports of tasks: a case as code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dynprop.kinds.record import Setup

__all__ = ["setup"]


def setup(case: Mapping[str, Any], framework: str) -> Setup:
    """Return the line that draws the batch of a case."""
    draw = "examine" if case.get("judging") else "sample"
    generator = f"np.random.default_rng({case['seed']})"
    line = f"batch = f.{draw}({case['length']}, {case['count']}, {generator})"
    return Setup("numpy", "float64", (line,))
