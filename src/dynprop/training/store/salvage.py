"""What is whole of a damaged ledger, and how a new file takes its place.

The new file is written under another name and to the disk, and only then called `ledger.recovered`; from that
instant on it is the ledger, and whoever opens the folder next finishes what is left to do: the damaged file
is set aside, and the new one gets its name. Killed at any instant, or out of room, nothing is lost.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from dynprop.errors import LedgerError
from dynprop.training.store.disk import sync_folder
from dynprop.training.store.pages import records, stored_pages
from dynprop.training.store.schema import (
    COLUMNS,
    PAGE,
    Row,
    checksum,
    create,
    insert,
    setting_of,
    whole_reals,
)
from dynprop.training.trials.trial import LOST

__all__ = ["Whole", "copied", "finish", "left_in_log", "log_of", "rebuild"]

LOG = "-wal"
# Files of SQLite that belong to a database.
COMPANIONS = (LOG, "-journal")
# How often a ledger is copied that is being written meanwhile.
COPIES = 100


@dataclass
class Whole:
    """What could be read and has the right checksum.

    Attributes:
        settings: text by key.
        rows: by setting and seed; of two that differ, one that was not lost.
    """

    settings: dict[str, str] = field(default_factory=dict)
    rows: dict[tuple[str, int], Row] = field(default_factory=dict)

    def read(self, path: Path, *, log: bool = False) -> None:
        """Add what is whole in a file, or in a write-ahead log."""
        for page in stored_pages(path, PAGE, log=log):
            for values in records(page):
                self._add(values)

    def _add(self, values: Row) -> None:
        if len(values) == len(COLUMNS) + 1:
            try:
                row = whole_reals(values[:-1])
            except (TypeError, ValueError, OverflowError):
                return
            if checksum(row) == values[-1]:
                known = self.rows.get(row[:2])
                if known is None or known[2] in LOST:
                    self.rows[row[:2]] = row
        elif len(values) == 3 and checksum(values[:2]) == values[2]:
            self.settings[values[0]] = values[1]
        # Before there were checksums; what lies in an index is no text of a setting.
        elif len(values) == 2 and all(isinstance(v, str) for v in values) and setting_of(values[1]):
            self.settings.setdefault(*values)


def log_of(path: Path) -> Path:
    """Return the name of a ledger's write-ahead log."""
    return path.with_name(path.name + LOG)


def left_in_log(path: Path) -> Whole:
    """Return what is whole in the log that a killed process left; nothing where there is none."""
    found = Whole()
    found.read(log_of(path), log=True)
    return found


def rebuild(path: Path, settings: Mapping[str, str], rows: Iterable[Row]) -> None:
    """Write the file that is to take the place of a damaged one; `finish` puts it there.

    Raises:
        sqlite3.Error, OSError: it could not be written, and nothing has changed.
    """
    building = path.with_suffix(".building")
    building.unlink(missing_ok=True)
    try:
        # No journal: until it has its name, nobody reads it.
        db = sqlite3.connect(building, isolation_level=None)
        try:
            db.execute(f"PRAGMA page_size={PAGE}")
            db.execute("PRAGMA journal_mode=OFF")
            db.execute("BEGIN")
            create(db)
            insert(db, settings, rows)
            db.execute("COMMIT")
        finally:
            db.close()
        handle = os.open(building, os.O_RDWR)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        building.replace(path.with_suffix(".recovered"))
        sync_folder(path.parent)
    finally:
        building.unlink(missing_ok=True)


def finish(path: Path) -> str:
    """Put a rebuilt ledger in its place, if there is one; return the name of the damaged file, or ""."""
    new = path.with_suffix(".recovered")
    if not new.exists():
        return ""
    number = next(i for i in range(1, 10**6) if not path.with_suffix(f".damaged-{i}").exists())
    # Where the last try got no further, its file is there already.
    aside = path.with_suffix(f".damaged-{number if path.exists() else max(1, number - 1)}")
    for ending in (*COMPANIONS, ""):
        old = path.with_name(path.name + ending)
        if old.exists():
            old.rename(aside.with_name(aside.name + ending))
    path.with_name(path.name + "-shm").unlink(missing_ok=True)
    new.rename(path)
    sync_folder(path.parent)
    return aside.name


def copied(path: Path, folder: Path) -> Path:
    """Copy a ledger, as it is at one instant, into another folder, and return the copy's path.

    Raises:
        LedgerError: it was written to all the time.
    """
    names = [path.name + ending for ending in ("", *COMPANIONS)] + [path.with_suffix(".recovered").name]
    for _ in range(COPIES):
        before = _stamps(path.parent, names)
        for name in names:
            (folder / name).unlink(missing_ok=True)
            # What has gone meanwhile is a change, too.
            with suppress(FileNotFoundError):
                shutil.copyfile(path.with_name(name), folder / name)
        if _stamps(path.parent, names) == before:
            return folder / path.name
        time.sleep(0.02)
    raise LedgerError(f"{path} is written to all the time: show it when dynprop train is through")


def _stamps(folder: Path, names: Iterable[str]) -> list[tuple[str, int, int]]:
    """Return which files there are, when they were changed, and their sizes."""
    found = []
    for name in names:
        with suppress(FileNotFoundError):
            state = (folder / name).stat()
            found.append((name, state.st_mtime_ns, state.st_size))
    return found
