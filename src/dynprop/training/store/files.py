"""Files of a ledger on the disk: a snapshot of them for readers, and the replacement of a damaged ledger.

A replacement is written and flushed as `ledger.building`, then renamed to `ledger.recovered`. From then on it
is the ledger: whoever opens the folder next renames the damaged file to `ledger.damaged-N` and the
replacement to `ledger.sqlite`. A kill or a full disk at any instant loses nothing.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Iterable, Mapping
from contextlib import closing, suppress
from pathlib import Path

from dynprop.errors import LedgerError
from dynprop.training.store.disk import sync_folder
from dynprop.training.store.schema import Row, create, insert

__all__ = ["finish_replacement", "snapshot", "wal_of", "write_replacement"]

# Suffixes of the files that SQLite keeps beside a database.
WAL = "-wal"
COMPANIONS = (WAL, "-journal")
SHARED_MEMORY = "-shm"
# Attempts at a snapshot of a ledger that is being written.
ATTEMPTS = 100


def wal_of(path: Path) -> Path:
    """Return the path of a ledger's write-ahead log."""
    return path.with_name(path.name + WAL)


def write_replacement(path: Path, settings: Mapping[str, str], rows: Iterable[Row]) -> None:
    """Write the file that is to replace a damaged ledger; `finish_replacement` renames it.

    Raises:
        sqlite3.Error, OSError: the file could not be written; nothing has changed.
    """
    building = path.with_suffix(".building")
    building.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(building, isolation_level=None)) as db:
            # Nobody reads the file before it is renamed, so it needs no journal.
            db.execute("PRAGMA journal_mode=OFF")
            db.execute("BEGIN")
            create(db)
            insert(db, settings, rows)
            db.execute("COMMIT")
        handle = os.open(building, os.O_RDWR)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        building.replace(path.with_suffix(".recovered"))
        sync_folder(path.parent)
    finally:
        building.unlink(missing_ok=True)


def finish_replacement(path: Path) -> str:
    """Rename a replacement, if any, to the ledger; return the new name of the damaged file, or ""."""
    new = path.with_suffix(".recovered")
    if not new.exists():
        return ""
    number = next(i for i in range(1, 10**6) if not path.with_suffix(f".damaged-{i}").exists())
    # A replacement that was interrupted has renamed the damaged file already.
    aside = path.with_suffix(f".damaged-{number if path.exists() else max(1, number - 1)}")
    for suffix in (*COMPANIONS, ""):
        old = path.with_name(path.name + suffix)
        if old.exists():
            old.rename(aside.with_name(aside.name + suffix))
    path.with_name(path.name + SHARED_MEMORY).unlink(missing_ok=True)
    new.rename(path)
    sync_folder(path.parent)
    return aside.name


def snapshot(path: Path, folder: Path) -> Path:
    """Copy the files of a ledger, as they are at one instant, to another folder; return the copy's path.

    Raises:
        LedgerError: the ledger changed during every attempt.
    """
    names = [path.name + suffix for suffix in ("", *COMPANIONS)] + [path.with_suffix(".recovered").name]
    for _ in range(ATTEMPTS):
        before = _stamps(path.parent, names)
        for name in names:
            (folder / name).unlink(missing_ok=True)
            # A file that is removed meanwhile changes the stamps.
            with suppress(FileNotFoundError):
                shutil.copyfile(path.with_name(name), folder / name)
        if _stamps(path.parent, names) == before:
            finish_replacement(folder / path.name)
            return folder / path.name
        time.sleep(0.02)
    raise LedgerError(f"{path} is written to all the time: show it when dynprop train has finished")


def _stamps(folder: Path, names: Iterable[str]) -> list[tuple[str, int, int]]:
    """Return name, time of the last change and size of the files that exist."""
    stamps = []
    for name in names:
        with suppress(FileNotFoundError):
            stat = (folder / name).stat()
            stamps.append((name, stat.st_mtime_ns, stat.st_size))
    return stamps
