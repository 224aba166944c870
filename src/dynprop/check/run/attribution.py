"""Which code raised: the target's, or the law's."""

from __future__ import annotations

import os
import sys
from traceback import walk_tb
from types import ModuleType

from dynprop.check.run.subjects import LoadedSubject
from dynprop.kinds.record import JudgedSubject
from dynprop.laws.law import Law

__all__ = ["places_of", "raised_by_target", "raised_in"]

INSTALLED = ("site-packages", "dist-packages")


def places_of(module: ModuleType) -> tuple[str, ...]:
    """Return the folders or the file of a target's code: its package, or its file and the files beside it."""
    top = sys.modules.get(module.__name__.partition(".")[0], module)
    folders = [str(folder) for folder in getattr(top, "__path__", ())]
    file = getattr(module, "__file__", None)
    return tuple(folders) or ((file.rpartition(os.sep)[0],) if isinstance(file, str) else ())


def raised_by_target(error: BaseException, law: Law, subject: JudgedSubject) -> bool:
    """Whether an exception comes from the target's own code, outside the calls that laws make of it."""
    if not isinstance(subject, LoadedSubject):
        return False
    own = getattr(sys.modules.get(law.test.__module__), "__file__", None)
    return raised_in(error, subject.places, own)


def raised_in(error: BaseException, places: tuple[str, ...], but_not: str | None = None) -> bool:
    """Whether the frames that raised, below the last one of dynprop, include code at one of these places."""
    home = sys.modules["dynprop"].__path__[0]
    files = [frame.f_code.co_filename for frame, _ in walk_tb(error.__traceback__)]
    last = max((i for i, file in enumerate(files) if file.startswith(home + os.sep)), default=-1)
    return any(_is_at(file, place) for file in files[last + 1 :] if file != but_not for place in places)


def _is_at(file: str, place: str) -> bool:
    """Whether a file lies in a folder, without the packages that are installed inside that folder."""
    if not file.startswith(place + os.sep):
        return False
    return not any(f"{os.sep}{name}{os.sep}" in file[len(place) :] for name in INSTALLED)
