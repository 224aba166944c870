"""The process from which children are forked: what it imports first."""

from __future__ import annotations

from collections.abc import Iterable

from dynprop.kinds import kind_named

__all__ = ["preloaded"]

COMMON = ("numpy", "hypothesis", "dynprop.check.process.items")
# It has an effect on the process that imports it, so that no module here imports it.
LAST = "dynprop.check.process.frozen"


def preloaded(kinds: Iterable[str], libraries: Iterable[str] = ()) -> list[str]:
    """Return the modules to import before children are forked, in order.

    Args:
        kinds: the kinds of the targets.
        libraries: further libraries that targets need.
    """
    records = [kind_named(kind) for kind in dict.fromkeys(kinds)]
    homes = [module for record in records for module in (record.adapter.partition(":")[0], *record.laws)]
    return [*COMMON, *libraries, *homes, LAST]
