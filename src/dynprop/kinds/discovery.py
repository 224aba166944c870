"""Kinds of installed packages, found by their entry points; one that cannot be used costs only itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from importlib import metadata

from dynprop.kinds.record import Kind, Option
from dynprop.wording import error_text

__all__ = ["ENTRY_POINTS", "RESERVED", "installed_kinds"]

ENTRY_POINTS = "dynprop.kinds"

# Parameters and flags of every check, which no option of a kind may have.
RESERVED = frozenset(
    {
        *("target", "kind", "examples", "iid", "seed", "timeout", "only", "strict"),
        *("json", "json_file", "html", "html_file", "junit", "coverage", "jobs", "help"),
    }
)
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def installed_kinds(own: Mapping[str, Kind]) -> tuple[dict[str, Kind], dict[str, str]]:
    """Return the usable records of installed packages, and why the others cannot be used, both by name.

    Args:
        own: the records of dynprop, whose names, adapters and options come first.
    """
    usable: dict[str, Kind] = {}
    unusable: dict[str, str] = {}
    places: dict[str, list[str]] = {}
    entries = metadata.entry_points(group=ENTRY_POINTS)
    for entry in entries:
        places.setdefault(entry.name, []).append(entry.value)
    for entry in sorted(entries, key=lambda entry: entry.name):
        if len(set(places[entry.name])) > 1:
            unusable[entry.name] = f"several packages offer it: {', '.join(sorted(places[entry.name]))}"
            continue
        try:
            kind = entry.load()
        except (Exception, SystemExit) as error:  # whatever somebody else's package raises
            unusable[entry.name] = f"loading {entry.value} raised {error_text(error)}"
            continue
        objection = _objection(kind, entry.name, {**own, **usable})
        if objection:
            unusable[entry.name] = f"{entry.value} {objection}"
        else:
            usable[entry.name] = kind
    return usable, unusable


def _objection(kind: object, name: str, known: Mapping[str, Kind]) -> str:
    """Return why an object cannot be the record of a kind, or nothing."""
    if not isinstance(kind, Kind):
        return f"is of type {type(kind).__name__}, expected a dynprop.kinds.Kind"
    if kind.name != name:
        return f"is named {kind.name!r}, expected the name of its entry point, {name!r}"
    if name in known:
        return f"has the name of another kind, {name!r}"
    if not NAME.fullmatch(name):
        return f"has the name {name!r}, expected lower-case words and dashes"
    return _objection_to_adapter(kind, known.values()) or _objection_to_options(kind, known.values())


def _objection_to_adapter(kind: Kind, known: Iterable[Kind]) -> str:
    """Return why the adapter of a kind cannot be used, or nothing."""
    if not all(part.isidentifier() for part in re.split(r"[.:]", kind.adapter)) or ":" not in kind.adapter:
        return f"has the adapter {kind.adapter!r}, expected module:Class"
    for other in known:
        if other.adapter_name == kind.adapter_name:
            return f"has an adapter {kind.adapter_name}, as kind {other.name} has"
    return ""


def _objection_to_options(kind: Kind, known: Iterable[Kind]) -> str:
    """Return why the options of a kind cannot stand beside those of the others, or nothing."""
    others: dict[str, tuple[Option, Kind]] = {}
    for other in known:
        for option in other.options:
            others.setdefault(option.name, (option, other))
    for option in kind.options:
        if not option.name.isidentifier() or option.name in RESERVED:
            return f"has an option {option.name!r}, expected a Python name that no check has already"
        if option.name in others:
            first, owner = others[option.name]
            if (option.type, option.repeatable) != (first.type, first.repeatable):
                return f"has an option {option.name!r} of another type than kind {owner.name}"
    return ""
