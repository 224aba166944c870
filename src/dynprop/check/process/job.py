"""The work of a child process, sent by its parent; this module imports no library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Item", "Job"]


@dataclass(frozen=True)
class Item:
    """One item of a job: a law over its cases, or one saved case of it.

    Attributes:
        law: the law's id.
        case: the JSON form of a saved case; None runs the law.
    """

    law: str
    case: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Job:
    """The work of a child process.

    Attributes:
        target: the target string.
        kind: its kind; empty for the one that the target states.
        options: the options of the target, as for ``load_subject``; values are those of the kind's options.
        items: index and item, in order; empty for all laws that ``only`` names, of a kind not yet known.
        only: ids or slugs of laws; None for every law of the kind.
        examples, iid, seed: how much to run, as for ``dynprop.check.check``.
        preflight: whether to call the target once before the first item.
    """

    target: str
    kind: str
    options: Mapping[str, Any]
    items: tuple[tuple[int, Item], ...]
    examples: int | None = None
    iid: int = 0
    seed: int = 0
    preflight: bool = True
    only: tuple[str, ...] | None = None

    def items_of(self, kind: str) -> tuple[tuple[int, Item], ...]:
        """Return the items, for a target of this kind.

        Raises:
            ArgumentError: ``only`` has a name that no law of the kind has.
        """
        if self.items:
            return self.items
        from dynprop.check.run.session import chosen_laws

        return tuple(enumerate(Item(law.id) for law in chosen_laws(kind, self.only)))
