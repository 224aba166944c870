"""The parts of a report for a scan: its domain, and a case as code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dynprop.contracts.domain import described
from dynprop.kinds.record import Setup
from dynprop.laws.code import MOST_NUMBERS, array_code

__all__ = ["promise", "setup"]


def promise(domain: Mapping[str, Any], options: Mapping[str, Any]) -> str:
    """Return the line of a report that describes the domain of a target."""
    return described(domain, (f"gates {domain['gates']}", f"inputs {domain['inputs']}"))


def setup(case: Mapping[str, Any], framework: str) -> Setup | None:
    """Return the lines that hold gates, inputs and the initial state; None for a large case."""
    shape, dtype = case["shape"], case["dtype"]
    if np.prod(shape) > MOST_NUMBERS:
        return None
    lines = (
        f"gates = {array_code(framework, case['gates'], shape, dtype)}",
        f"inputs = {array_code(framework, case['inputs'], shape, dtype)}",
        f"initial = {array_code(framework, case['initial'], (shape[0], shape[2]), dtype)}",
    )
    return Setup(framework, dtype, lines)
