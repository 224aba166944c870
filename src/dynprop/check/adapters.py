"""The adapters of all kinds by the name of their class, those of installed packages included."""

from __future__ import annotations

from typing import Any

from dynprop.kinds import all_kinds


def __getattr__(name: str) -> Any:
    for kind in all_kinds().values():
        if kind.adapter_name == name:
            return kind.adapter_class()
    raise AttributeError(f"no kind has an adapter {name}")
