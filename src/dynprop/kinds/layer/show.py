"""What a report shows of a layer: its promise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dynprop.contracts.domain import described

__all__ = ["promise"]


def promise(domain: Mapping[str, Any], options: Mapping[str, Any]) -> str:
    """Return the line that says what a target promises."""
    return described(domain, (f"inputs {domain['inputs']}",))
