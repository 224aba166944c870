"""What a target does to its interpreter, kept apart from what judges it.

A target may replace ``numpy.abs``, delete ``json.dumps``, turn warnings into errors or empty ``sys.path``.
Whatever it replaces in the libraries that judging uses stays in place while its own code runs, and is put
back when it returns: it is judged by the libraries as they were before it was imported.
"""

from __future__ import annotations

import builtins
import json
import math
import os
import pickle
import sys
import time
import warnings

# The built-in functions that put things back, kept from those that a target leaves behind.
from builtins import BaseException, dict, isinstance, list, tuple, vars  # noqa: UP029  (kept)
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from dynprop.subjects.calls import Surroundings

__all__ = ["TargetSurroundings", "watched_modules"]

ABSENT = object()
# Names that change by themselves, or that the interpreter does not read from there.
MOVING = frozenset(
    {"last_exc", "last_type", "last_value", "last_traceback", "modules", "path", "argv"}
    | {"filters", "showwarning", "_showwarnmsg_impl", "_filters_version"}
)


def watched_modules() -> tuple[ModuleType, ...]:
    """Return the modules whose names judging uses, those of torch only if it is loaded."""
    names = ("torch", "torch.linalg", "torch.autograd")
    loaded = [sys.modules[name] for name in names if name in sys.modules]
    return (builtins, math, json, pickle, os, sys, time, warnings, np, np.linalg, np.random, *loaded)


@dataclass(frozen=True)
class _Settings:
    """Settings of the interpreter that a target may change.

    Attributes:
        limit: the limit of recursion.
        filters: the filters of warnings.
    """

    limit: int
    filters: tuple[Any, ...]

    @classmethod
    def now(cls) -> _Settings:
        """Return the settings as they are."""
        return cls(sys.getrecursionlimit(), tuple(warnings.filters))

    def set(self) -> None:
        """Set them; a limit below the depth of this call stays as it is."""
        with suppress(RecursionError):
            sys.setrecursionlimit(self.limit)
        filters: Any = warnings.filters
        filters[:] = self.filters


class TargetSurroundings(Surroundings):
    """The interpreter of a child process: every exception is the target's, and so is what it replaces.

    Args:
        modules: the modules whose names are put back after each call.
    """

    attributable = (BaseException,)

    def __init__(self, modules: Sequence[ModuleType]) -> None:
        # Values are whatever the modules hold.
        self._own: dict[ModuleType, dict[str, Any]] = {m: dict(vars(m)) for m in modules}
        self._values = {module: tuple(names.values()) for module, names in self._own.items()}
        self._theirs: dict[ModuleType, dict[str, Any]] = {}
        # What the target has set, or None, and what stood there when its last call began.
        self._their_settings: _Settings | None = None
        self._settings = _Settings.now()
        self._path = list(sys.path)
        self._modules = dict(sys.modules)
        self._depth = 0
        # Kept, since a target may replace the functions of os.
        self._process, self._end = os.getpid, os._exit
        self._owner = self._process()

    @property
    def replaced(self) -> tuple[str, ...]:
        """The names that the target has replaced or deleted so far, such as "numpy.abs"."""
        return tuple(f"{m.__name__}.{name}" for m, names in self._theirs.items() for name in names)

    def enter(self) -> None:
        """Give the target what it had replaced."""
        self._depth += 1
        if self._depth > 1:
            return
        for module, names in self._theirs.items():
            _put(vars(module), names)
        self._settings = _Settings.now()
        if self._their_settings is not None:
            self._their_settings.set()

    def leave(self) -> None:
        """Put everything back as it was before the target was imported; end a copy of this process."""
        if self._process() != self._owner:
            # A copy that the target has made by a fork: it would run the law again, and be copied again.
            self._end(0)
        self._depth -= 1
        if self._depth > 0:
            return
        for module, own in self._own.items():
            if not _same(vars(module), self._values[module]):
                self._restore(module, own)
        settings = _Settings.now()
        if settings != (self._their_settings or self._settings):
            self._their_settings = settings
        if settings != self._settings:
            self._settings.set()
        self._restore_imports()

    def _restore(self, module: ModuleType, own: dict[str, Any]) -> None:
        """Put the names of a module back, and keep what stood there for the target's next call."""
        names = vars(module)
        changed = {
            name: names.get(name, ABSENT)
            for name, value in own.items()
            if names.get(name, ABSENT) is not value and name not in MOVING
        }
        # Names that a target or the module itself adds harm nobody; from now on they belong to it.
        own.update({name: value for name, value in names.items() if name not in own})
        _put(names, {name: own[name] for name in changed})
        own.update({name: names[name] for name in MOVING if name in names})
        self._own[module] = {name: own[name] for name in names}
        self._values[module] = tuple(self._own[module].values())
        if changed or module in self._theirs:
            self._theirs[module] = changed

    def _restore_imports(self) -> None:
        """Keep what has been imported importable: folders on the path, and modules under their names."""
        if not isinstance(sys.path, list):
            sys.path = list(self._path)
        missing = [folder for folder in self._path if folder not in sys.path]
        sys.path.extend(missing)
        for name in ("numpy", "json", "pickle", "hypothesis", "dynprop", "torch"):
            if name in self._modules and sys.modules.get(name) is not self._modules[name]:
                sys.modules.update(self._modules)
                break


def _put(names: dict[str, Any], values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if value is ABSENT:
            names.pop(name, None)
        else:
            names[name] = value


def _same(names: Mapping[str, Any], own: tuple[Any, ...]) -> bool:
    """Whether a namespace holds the same objects in the same order.

    The comparison of tuples looks at identities first, 10 ns an object; only what has been replaced is asked
    whether it is equal, and may raise anything.
    """
    try:
        return tuple(names.values()) == own
    except BaseException:
        return False
