"""Errors of disks and of SQLite: classification as damage of a file, and advice for the user."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import suppress
from pathlib import Path

from dynprop.errors import LedgerError

__all__ = ["UNREADABLE", "DamageError", "explained", "is_damage", "sync_folder"]

# A disk with fewer free bytes counts as full, whatever an error message says.
LEAST_FREE = 2**20
# Result codes of SQLite (sqlite.org/rescode.html) about the machine, not the file: PERM, BUSY, LOCKED, NOMEM,
# READONLY, IOERR, FULL, CANTOPEN, PROTOCOL, AUTH.
MACHINE_CODES = (3, 5, 6, 7, 8, 10, 13, 14, 15, 23)
# Extended codes of IOERR about the file: SHORT_READ, DATA, CORRUPTFS.
FILE_CODES = (522, 8202, 8458)
# Words for a full disk in messages of SQLite and of operating systems.
FULL = ("full", "No space left", "quota")


class DamageError(Exception):
    """The content of a file differs from what was written; the message gives the difference."""


# Python raises UnicodeDecodeError where SQLite's own message quotes a damaged name.
UNREADABLE = (DamageError, UnicodeDecodeError)


def is_damage(error: Exception) -> bool:
    """Return whether an error is about the content of a file, not about the machine."""
    if not isinstance(error, sqlite3.Error):
        return isinstance(error, UNREADABLE)
    # Errors that Python's sqlite3 raises itself have no code.
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code in FILE_CODES or code & 0xFF not in MACHINE_CODES


def explained(error: Exception, path: Path) -> LedgerError:
    """Return a LedgerError with advice for the user.

    Args:
        error: the exception.
        path: of the file.
    """
    text = (isinstance(error, OSError) and error.strerror) or str(error)
    if "locked" in text or "busy" in text:
        advice = "another process writes to it; wait for it, or end it"
    elif any(word in text for word in FULL) or _is_full(path.parent):
        advice = "make room on the disk"
    elif isinstance(error, OSError) or "readonly" in text or "unable to open" in text:
        advice = "choose a folder of a local disk that can be written"
    else:
        advice = "check the disk for errors"
    return LedgerError(
        f"{path}: {text}: {advice}; what was recorded before is safe, go on with "
        f"dynprop train --resume {path.parent}"
    )


def _is_full(folder: Path) -> bool:
    """Return whether the disk is full: the message may only mention a failed read or open."""
    with suppress(OSError):
        return shutil.disk_usage(folder).free < LEAST_FREE
    return False


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder to the disk, where the operating system supports it."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
