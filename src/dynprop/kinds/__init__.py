"""The kinds of implementation that laws can judge: one folder each, one record each.

Records come from this package and from the entry-point group ``dynprop.kinds`` of installed packages
(docs/kinds.md shows how to write one). No module outside a kind's folder names the kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING

from dynprop.errors import ArgumentError
from dynprop.kinds.discovery import ENTRY_POINTS, installed_kinds
from dynprop.kinds.record import Kind, Option, Setup, unusable
from dynprop.wording import error_text

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
    "linear_attention",
)


@cache
def _own() -> Mapping[str, Kind]:
    """Return the records of dynprop by name."""
    records = [import_module(f"{__name__}.{folder}").KIND for folder in OWN]
    return MappingProxyType({kind.name: kind for kind in records})


@cache
def _known() -> tuple[Mapping[str, Kind], Mapping[str, str]]:
    """Return all records by name, and why records of installed packages cannot be used, by name."""
    usable, reasons = installed_kinds(_own())
    return MappingProxyType({**_own(), **usable}), MappingProxyType(reasons)


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
    records, reasons = _known()
    if name in records:
        return records[name]
    if name in reasons:
        raise unusable(name, reasons[name])
    close = get_close_matches(name, records, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise ArgumentError("kind", repr(name), f"one of {', '.join(records)}{hint}")


def _imported(kind: Kind, modules: Iterable[str]) -> Iterator[ModuleType]:
    """Import modules of a kind; ArgumentError if one of an installed package raises."""
    for module in modules:
        try:
            yield import_module(module)
        except (Exception, SystemExit) as error:
            if kind.name in _own():
                raise
            raise unusable(kind.name, f"importing {module} raised {error_text(error)}") from error


def laws_for(kind: str) -> tuple[Law, ...]:
    """Return the laws of one kind, in the order of its modules and of their definition there.

    Raises:
        ArgumentError: an unknown kind, one of an installed package whose laws cannot be imported, or one
            whose modules register a law under the name of another kind.
    """
    from dynprop.laws.law import registered

    record = kind_named(kind)
    list(_imported(record, record.laws))
    for found in registered():
        home = found.test.__module__
        if home in record.laws and not _lists(found.kind, "laws", home):
            raise unusable(
                kind, f"law {found.id!r} of module {home} has an id that does not begin with {kind + '/'!r}"
            )

    def place(law: Law) -> int:
        home = law.test.__module__
        return record.laws.index(home) if home in record.laws else len(record.laws)

    return tuple(sorted((law for law in registered() if law.kind == kind), key=place))


def _lists(kind: str, entries: str, module: str) -> bool:
    """Whether the record of a kind names a module under ``entries``; a module may serve several kinds."""
    return kind in all_kinds() and module in getattr(all_kinds()[kind], entries)


def all_laws() -> tuple[Law, ...]:
    """Return every law, kind by kind, without the kinds of installed packages that cannot be used."""
    found: list[Law] = []
    for kind in all_kinds():
        try:
            found += laws_for(kind)
        except ArgumentError:
            if kind in _own():
                raise
    return tuple(found)


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


def all_faults(kinds: Sequence[str] = ()) -> tuple[Fault, ...]:
    """Return the planted faults of some kinds, or of every kind that can be used; this imports torch.

    Raises:
        ArgumentError: one of ``kinds`` is unknown or cannot be used.
    """
    return tuple(fault for catalogue in _catalogues("faults", kinds) for fault in catalogue.faults)


def all_controls(kinds: Sequence[str] = ()) -> tuple[Control, ...]:
    """Return the controls of some kinds, or of every kind that can be used; this imports torch.

    Raises:
        ArgumentError: one of ``kinds`` is unknown or cannot be used.
    """
    return tuple(control for catalogue in _catalogues("controls", kinds) for control in catalogue.controls)


def _catalogues(entries: str, kinds: Sequence[str]) -> Iterator[Catalogue]:
    """Yield the catalogues from the modules that the records of the kinds name under ``entries``."""
    for name in all_kinds():
        if not kinds or name in kinds:
            try:
                yield from _catalogues_of(kind_named(name), entries)
            except ArgumentError:
                if name in kinds or name in _own():
                    raise


def _catalogues_of(kind: Kind, entries: str) -> list[Catalogue]:
    """Return the catalogues of one kind; ArgumentError if a module cannot be used."""
    names: tuple[str, ...] = getattr(kind, entries)
    found: list[Catalogue] = []
    for module in _imported(kind, names):
        if not hasattr(module, "CATALOGUES"):
            raise unusable(kind.name, f"module {module.__name__} has no CATALOGUES")
        for catalogue in module.CATALOGUES:
            if catalogue.kind == kind.name:
                found.append(catalogue)
            elif not _lists(catalogue.kind, entries, module.__name__):
                got = f"module {module.__name__} has a Catalogue of kind {catalogue.kind!r}"
                raise unusable(kind.name, f"{got}, expected {kind.name!r}")
    return found
