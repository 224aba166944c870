"""The kinds of implementation that laws can judge: one folder each, one record each.

Records come from this package and from the entry-point group ``dynprop.kinds`` of installed packages
(docs/kinds.md shows how to write one). Nothing outside a kind's folder knows its name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module, metadata
from types import MappingProxyType
from typing import TYPE_CHECKING

from dynprop.errors import ArgumentError
from dynprop.kinds.record import Kind, Option, Setup

if TYPE_CHECKING:  # `dynprop --help` reads the records without numpy
    from dynprop.laws.catalogue import Catalogue, Control, Fault
    from dynprop.laws.law import Law

__all__ = [
    "ENTRY_POINTS",
    "Kind",
    "Option",
    "Setup",
    "all_controls",
    "all_faults",
    "all_kinds",
    "all_laws",
    "kind_named",
    "law_by_id",
    "laws_for",
]

ENTRY_POINTS = "dynprop.kinds"

# Folders of this package with a record ``KIND``, in the order in which kinds are listed.
OWN = (
    "scan",
    "associative_scan",
    "layer",
    "power.unroll",
    "power.closed_form",
    "product",
    "initializer",
    "agreement",
    "task",
)


@cache
def _found() -> tuple[Mapping[str, Kind], Mapping[str, str]]:
    """Return the records by name, and why records of installed packages cannot be used, by name."""
    own = [import_module(f"{__name__}.{folder}").KIND for folder in OWN]
    records: dict[str, Kind] = {kind.name: kind for kind in own}
    unusable: dict[str, str] = {}
    for entry in metadata.entry_points(group=ENTRY_POINTS):
        try:
            kind = entry.load()
        except Exception as error:  # whatever the package of somebody else raises
            unusable[entry.name] = f"{entry.value} raised {type(error).__name__}: {error}"
            continue
        if not isinstance(kind, Kind) or kind.name != entry.name:
            unusable[entry.name] = f"{entry.value} is not a dynprop.kinds.Kind of this name"
        elif kind.name in records:
            unusable[f"{kind.name} of {entry.value}"] = "the name is taken"
        else:
            records[kind.name] = kind
    return MappingProxyType(records), MappingProxyType(unusable)


def all_kinds() -> Mapping[str, Kind]:
    """Return every kind by name, those of dynprop first; the mapping cannot be changed."""
    return _found()[0]


def kind_named(name: str) -> Kind:
    """Return the record of a kind.

    Raises:
        ArgumentError: there is no such kind, or the package that offers it cannot be used.
    """
    records, unusable = _found()
    if name in records:
        return records[name]
    if name in unusable:
        raise ArgumentError("kind", repr(name), f"a kind that can be loaded: {unusable[name]}")
    raise ArgumentError("kind", repr(name), f"one of {', '.join(records)}")


def laws_for(kind: str) -> tuple[Law, ...]:
    """Return the laws of one kind, in the order of its modules and of their definition there.

    Raises:
        ArgumentError: an unknown kind.
    """
    from dynprop.laws.law import registered

    modules = kind_named(kind).laws
    for module in modules:
        import_module(module)

    def place(law: Law) -> int:
        home = law.test.__module__
        return modules.index(home) if home in modules else len(modules)

    return tuple(sorted((law for law in registered() if law.kind == kind), key=place))


def all_laws() -> tuple[Law, ...]:
    """Return every law, kind by kind."""
    return tuple(found for kind in all_kinds() for found in laws_for(kind))


def law_by_id(identifier: str) -> Law:
    """Return the law with this id.

    Raises:
        ArgumentError: there is none.
    """
    kind = identifier.partition("/")[0]
    for found in laws_for(kind) if kind in all_kinds() else ():
        if found.id == identifier:
            return found
    raise ArgumentError("law", repr(identifier), "an id that `dynprop laws` lists")


def all_faults() -> tuple[Fault, ...]:
    """Return every planted fault, kind by kind; this imports torch."""
    return tuple(fault for catalogue in _catalogues("faults") for fault in catalogue.faults)


def all_controls() -> tuple[Control, ...]:
    """Return every control, kind by kind; this imports torch."""
    return tuple(control for catalogue in _catalogues("controls") for control in catalogue.controls)


def _catalogues(entries: str) -> Iterator[Catalogue]:
    """Yield the catalogues of every kind, from the modules that its record names under ``entries``."""
    for kind in all_kinds().values():
        for module in getattr(kind, entries):
            for catalogue in import_module(module).CATALOGUES:
                if catalogue.kind == kind.name:
                    yield catalogue
