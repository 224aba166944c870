"""The parts of a report for a product: its domain, and a case as code."""

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
    return described(domain, ("matrices" if options.get("matrix") else f"weights {domain['gates']}",))


def setup(case: Mapping[str, Any], framework: str) -> Setup | None:
    """Return the line that holds the weights; None for a large case."""
    if np.prod(case["shape"]) > MOST_NUMBERS:
        return None
    dtype = case["dtype"]
    weights = array_code(framework, case["weights"], case["shape"], dtype)
    return Setup(framework, dtype, (f"weights = {weights}",))
