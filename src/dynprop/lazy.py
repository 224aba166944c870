"""Names of a package that are loaded when they are used (PEP 562), so that importing it stays cheap."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from importlib import import_module
from typing import Any

__all__ = ["loaded_when_used"]


def loaded_when_used(
    package: str, homes: Mapping[str, str], names: Iterable[str], modules: Collection[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the ``__getattr__`` and ``__dir__`` of a package.

    Args:
        package: its ``__name__``.
        homes: the module that each name comes from.
        names: its ``__all__``.
        modules: its modules that are there without an import statement of their own.
    """

    def getattr_(name: str) -> Any:
        if name in modules:
            return import_module(f"{package}.{name}")
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(homes[name]), name)

    return getattr_, lambda: sorted(names)
