"""Reports of layers: their promise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dynprop.contracts.domain import described

__all__ = ["promise"]


def promise(domain: Mapping[str, Any], options: Mapping[str, Any]) -> str:
    """Return the line with a target's domain."""
    return described(domain, (f"inputs {domain['inputs']}",))
