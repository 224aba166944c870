"""A record beside its source: names that are missing or superfluous, and code that changed since the run.

A record without an entry of its source is incomplete, which is an error; `Source.compare` states which laws
it must have. A record whose code has changed is of an older state, which its page shows with the laws that
came since.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dynprop.evidence.code import Rooms

__all__ = [
    "Code",
    "Names",
    "Source",
    "changes",
    "differences",
    "digest_lines",
    "entry_differences",
    "laws_text",
    "some_row_differences",
    "state_text",
]

# Entry of a record -> laws that judge it; no laws where entries are not judged by laws.
Names = Mapping[str, frozenset[str]]
# Group of entries -> digests of its code by room; None where a run recorded none. A group is a kind, or
# "kind: names" for rows of the kind that were recorded apart from the others.
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
        compare: lines that say which required names differ, for what is expected and what is recorded.
    """

    command: str
    expected: Callable[[], Names]
    recorded: Callable[[Mapping[str, Any]], Names]
    today: Callable[[], Code]
    described: Callable[[Mapping[str, Any]], Code]
    compare: Callable[[Names, Names], list[str]]

    def problems(self, data: Mapping[str, Any]) -> list[str]:
        """Return one line for each required name that a record lacks or has too many."""
        return self.compare(self.expected(), self.recorded(data))


def differences(expected: Names, recorded: Names) -> list[str]:
    """Return one line for each name that a record lacks, and for each that its source lacks.

    Every law is required on every entry.
    """
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


def some_row_differences(expected: Names, recorded: Names) -> list[str]:
    """Return the differences where a law counts as recorded that stands in at least one row."""
    known: frozenset[str] = frozenset().union(*recorded.values())
    required = {name: (laws - known) | (laws & recorded.get(name, laws)) for name, laws in expected.items()}
    return differences(required, recorded)


def entry_differences(expected: Names, recorded: Names) -> list[str]:
    """Return the differences of the names of entries alone."""
    return differences(dict.fromkeys(expected, frozenset()), dict.fromkeys(recorded, frozenset()))


def laws_text(expected: Names, recorded: Names) -> str:
    """Return one paragraph with the laws that entries of a record lack or have too many, or nothing."""
    both = [name for name in recorded if name in expected]
    text = ""
    for title, longer, shorter in (
        ("Laws that came after the run", expected, recorded),
        ("Laws of the run that are gone", recorded, expected),
    ):
        counts = Counter(law for name in both for law in sorted(longer[name] - shorter[name]))
        laws = ", ".join(f"`{law}` (on {n} {'entry' if n == 1 else 'entries'})" for law, n in counts.items())
        text += f"**{title}:** {laws}.\n\n" if laws else ""
    return text


def _today_of(group: str, today: Code) -> Rooms:
    """Return today's digests of a group: of its kind, where its rows were recorded apart."""
    return today.get(group.partition(": ")[0]) or {}


def changes(described: Code, today: Code) -> dict[str, list[str] | None]:
    """Return the rooms that changed since the run, by group; None where the run recorded no digests."""
    changed: dict[str, list[str] | None] = {}
    for group, rooms in described.items():
        current = _today_of(group, today)
        if rooms is None:
            changed[group] = None
        elif different := [room for room in {**rooms, **current} if rooms.get(room) != current.get(room)]:
            changed[group] = different
    return changed


def digest_lines(described: Code, today: Code) -> Iterator[str]:
    """Yield, for each group and room, the digest that the record describes beside today's."""
    for group in {**described, **today}:
        then, now = described.get(group) or {}, _today_of(group, today)
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
