"""A record beside its source: names that are missing or superfluous, and code that changed since the run.

A record without an entry or law of its source is incomplete, which is an error. A record whose code has
changed is of an older state, which its page shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dynprop.evidence.code import Rooms

__all__ = ["Code", "Names", "Source", "changes", "differences", "digest_lines", "state_text"]

# Entry of a record -> laws that judge it; no laws where entries are not judged by laws.
Names = Mapping[str, frozenset[str]]
# Group of entries, such as a kind -> digests of its code by room; None where a run recorded none.
Code = Mapping[str, Rooms | None]


@dataclass(frozen=True)
class Source:
    """The reference that a record is compared with.

    Attributes:
        command: the command that makes the record.
        expected: the names that exist today.
        recorded: the names in a record.
        today: digests of today's code, by group.
        described: digests that the runs in a record wrote, by group.
    """

    command: str
    expected: Callable[[], Names]
    recorded: Callable[[Mapping[str, Any]], Names]
    today: Callable[[], Code]
    described: Callable[[Mapping[str, Any]], Code]


def differences(expected: Names, recorded: Names) -> list[str]:
    """Return one line for each name that a record lacks, and for each that its source lacks."""
    lines = [f"missing: {name}" for name in expected if name not in recorded]
    lines += [f"superfluous: {name}" for name in recorded if name not in expected]
    for word, required, available in (("missing", expected, recorded), ("superfluous", recorded, expected)):
        entries: dict[str, list[str]] = {}
        for name in required:
            for law in sorted(required[name] - available.get(name, required[name])):
                entries.setdefault(law, []).append(name)
        lines += [
            f"{word}: law {law} on {names[0]}" + (f" and {len(names) - 1} more" if len(names) > 1 else "")
            for law, names in entries.items()
        ]
    return lines


def changes(described: Code, today: Code) -> dict[str, list[str] | None]:
    """Return the rooms that changed since the run, by group; None where the run recorded no digests."""
    changed: dict[str, list[str] | None] = {}
    for group, rooms in described.items():
        current = today.get(group) or {}
        if rooms is None:
            changed[group] = None
        elif different := [room for room in {**rooms, **current} if rooms.get(room) != current.get(room)]:
            changed[group] = different
    return changed


def digest_lines(described: Code, today: Code) -> Iterator[str]:
    """Yield, for each group and room, the digest that the record describes beside today's."""
    for group in {**described, **today}:
        then, now = described.get(group) or {}, today.get(group) or {}
        for room in {**then, **now}:
            pair = then.get(room, "none"), now.get(room, "none")
            mark = "" if pair[0] == pair[1] else "  changed"
            yield f"{group:28} {room:24} {pair[0]:12} {pair[1]:12}{mark}"


def state_text(described: Code, today: Code) -> str:
    """Return one paragraph: whether a record describes today's code, and otherwise the changed rooms."""
    by_group = changes(described, today)
    if all(rooms is None for rooms in described.values()):
        return "**Of an older state of the code:** the run recorded no digests of it.\n\n"
    if not by_group:
        return "The code that ran is today's.\n\n"
    groups: dict[tuple[str, ...], list[str]] = {}
    for group, rooms in by_group.items():
        groups.setdefault(tuple(rooms or ()), []).append(group)
    sentences = []
    for changed, names in groups.items():
        where = "everywhere" if len(names) == len(described) else "for " + ", ".join(f"`{n}`" for n in names)
        what = ", ".join(f"`{room}`" for room in changed)
        sentences.append(f"{where} {what} changed since" if what else f"{where} the run recorded no digests")
    return f"**Of an older state of the code:** {'; '.join(sentences)}.\n\n"
