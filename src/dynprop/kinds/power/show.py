"""The case of an unroll or a closed form as code, for reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dynprop.kinds.record import Setup
from dynprop.laws.code import MOST_NUMBERS, matrix_code

__all__ = ["setup"]


def setup(case: Mapping[str, Any], framework: str) -> Setup | None:
    """Return the lines that hold W, h0 and t; None for a large case."""
    if np.size(case["h"]) > MOST_NUMBERS:
        return None
    dtype = case["dtype"]
    lines = (
        f"W = {matrix_code(framework, case['W'], dtype)}",
        f"h0 = {matrix_code(framework, case['h'], dtype)}",
        f"t = {case['t']}",
    )
    return Setup(framework, dtype, lines)
