"""The kinds of implementation that laws can judge: one folder each, one record each.

Records come from this package and from the entry-point group ``dynprop.kinds`` of installed packages
(docs/kinds.md shows how to write one). No module outside a kind's folder names the kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import import_module
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING

from dynprop.errors import ArgumentError
from dynprop.kinds.discovery import ENTRY_POINTS, installed_kinds, one_line
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
    "unusable_kinds",
]

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
def _own() -> Mapping[str, Kind]:
    """Return the records of dynprop by name."""
    records = [import_module(f"{__name__}.{folder}").KIND for folder in OWN]
    return MappingProxyType({kind.name: kind for kind in records})


@cache
def _known() -> tuple[Mapping[str, Kind], Mapping[str, str]]:
    """Return all records by name, and why records of installed packages cannot be used, by name."""
    usable, unusable = installed_kinds(_own())
    return MappingProxyType({**_own(), **usable}), MappingProxyType(unusable)


def all_kinds() -> Mapping[str, Kind]:
    """Return every kind by name, those of dynprop first; the mapping cannot be changed."""
    return _known()[0]


def unusable_kinds() -> Mapping[str, str]:
    """Return the kinds of installed packages that cannot be used: the reason by name."""
    return _known()[1]


def kind_named(name: str) -> Kind:
    """Return the record of a kind.

    Raises:
        ArgumentError: there is no such kind, or the package that offers it cannot be used.
    """
    records, unusable = _known()
    if name in records:
        return records[name]
    if name in unusable:
        raise ArgumentError("kind", repr(name), f"a kind that can be used: {unusable[name]}")
    raise ArgumentError("kind", repr(name), f"one of {', '.join(records)}")


def _imported(kind: Kind, modules: Iterable[str]) -> Iterator[ModuleType]:
    """Import modules of a kind; ArgumentError if one of an installed package raises."""
    for module in modules:
        try:
            yield import_module(module)
        except (Exception, SystemExit) as error:
            if kind.name in _own():
                raise
            reason = f"a kind that can be used: importing {module} raised {one_line(error)}"
            raise ArgumentError("kind", repr(kind.name), reason) from error


def laws_for(kind: str) -> tuple[Law, ...]:
    """Return the laws of one kind, in the order of its modules and of their definition there.

    Raises:
        ArgumentError: an unknown kind, or one of an installed package whose laws cannot be imported.
    """
    from dynprop.laws.law import registered

    record = kind_named(kind)
    list(_imported(record, record.laws))

    def place(law: Law) -> int:
        home = law.test.__module__
        return record.laws.index(home) if home in record.laws else len(record.laws)

    return tuple(sorted((law for law in registered() if law.kind == kind), key=place))


def _usable(kind: Kind, modules: Iterable[str]) -> bool:
    """Whether the modules of a kind can be imported; those of dynprop raise where they cannot."""
    try:
        list(_imported(kind, modules))
    except ArgumentError:
        return False
    return True


def all_laws() -> tuple[Law, ...]:
    """Return every law, kind by kind, without the kinds of installed packages that cannot be imported."""
    usable = [kind.name for kind in all_kinds().values() if _usable(kind, kind.laws)]
    return tuple(law for kind in usable for law in laws_for(kind))


def law_by_id(identifier: str) -> Law:
    """Return the law with this id.

    Raises:
        ArgumentError: there is none.
    """
    kind = identifier.partition("/")[0]
    for law in laws_for(kind) if kind in all_kinds() else ():
        if law.id == identifier:
            return law
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
        modules: tuple[str, ...] = getattr(kind, entries)
        if _usable(kind, modules):
            for module in _imported(kind, modules):
                yield from (c for c in module.CATALOGUES if c.kind == kind.name)
