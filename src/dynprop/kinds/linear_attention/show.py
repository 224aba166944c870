"""The line of a report that describes what a kernel promises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dynprop.contracts.domain import described
from dynprop.kinds.linear_attention.convention import CHOICES

__all__ = ["promise"]

SHOWN = (*CHOICES, "normalises", "multiple_of", "max_log_decay", "chunk_size", "sizes", "overwrites", "names")


def promise(domain: Mapping[str, Any], options: Mapping[str, Any]) -> str:
    """Return the line of a report that describes the domain of a kernel."""
    declared = [f"{name} {_text(value)}" for name, value in options.items() if name in SHOWN]
    return described(domain, declared)


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={parameter}" for name, parameter in value.items())
    return ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
