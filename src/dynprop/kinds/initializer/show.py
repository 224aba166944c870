"""The parts of a report for an initialiser: its promises, and a case as code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dynprop.kinds.record import Setup

__all__ = ["promise", "setup"]


def promise(domain: Mapping[str, Any], options: Mapping[str, Any]) -> str:
    """Return the line of a report with the promises of a target."""
    promises = dict(options.get("promise", {}))
    parts = [f"law {options['law']}"] if "law" in options else []
    parts += [f"{name} {expression}" for name, expression in promises.items()]
    return f"promise: {' · '.join(parts) or 'none'}"


def setup(case: Mapping[str, Any], framework: str) -> Setup:
    """Return the line that holds a shape and a seeded generator."""
    seed, fans = case["seed"], (case["fan_in"], case["fan_out"])
    torch = framework == "torch"
    generator = f"torch.Generator().manual_seed({seed})" if torch else f"np.random.default_rng({seed})"
    return Setup(framework, "float64", (f"shape, rng = {fans[::-1] if torch else fans}, {generator}",))
