"""The adapters of all kinds by the name of their class, those of installed packages included."""

from __future__ import annotations

from dynprop.kinds import all_kinds
from dynprop.kinds.record import Adapter


def __getattr__(name: str) -> Adapter:
    adapters = {kind.adapter_name: kind for kind in all_kinds().values()}
    if name not in adapters:
        raise AttributeError(f"no kind has an adapter {name!r}; there are {', '.join(adapters)}")
    return adapters[name].adapter_class()


def __dir__() -> list[str]:
    return [kind.adapter_name for kind in all_kinds().values()]
