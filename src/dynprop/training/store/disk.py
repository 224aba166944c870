"""What a disk says, in words: which errors mean damage, and what to do about the others."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import suppress
from pathlib import Path

from dynprop.errors import LedgerError

__all__ = ["SPOILED", "DamageError", "explained", "is_damage", "sync_folder"]

# Bytes below which a disk is called full, whatever else an error says.
LITTLE = 2**20
# Result codes of SQLite (sqlite.org/rescode.html) that speak of the machine and not of the file: PERM, BUSY,
# LOCKED, NOMEM, READONLY, IOERR, FULL, CANTOPEN, PROTOCOL, AUTH.
OF_THE_MACHINE = (3, 5, 6, 7, 8, 10, 13, 14, 15, 23)
# Kinds of IOERR that do speak of the file: SHORT_READ, DATA, CORRUPTFS.
OF_THE_FILE = (522, 8202, 8458)
# Of a disk, a file system and a user.
FULL = ("full", "No space left", "quota")


class DamageError(Exception):
    """A file is not as it was written; the message says in which way."""


# Names in a damaged file may be no text, so that Python cannot even say what SQLite says of them.
SPOILED = (DamageError, UnicodeDecodeError)


def is_damage(error: Exception) -> bool:
    """Say whether an error speaks of what is in a file, and not of the machine around it."""
    if not isinstance(error, sqlite3.Error):
        return isinstance(error, SPOILED)
    # Text that cannot be decoded is found by Python, without a code.
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code in OF_THE_FILE or code & 0xFF not in OF_THE_MACHINE


def explained(error: Exception, path: Path) -> LedgerError:
    """Return an error that says what to do.

    Args:
        error: what was raised.
        path: the file that was to be read or written.
    """
    text = (isinstance(error, OSError) and error.strerror) or str(error)
    if "locked" in text or "busy" in text:
        advice = "another process writes to it; wait for it, or end it"
    elif any(word in text for word in FULL) or _is_full(path.parent):
        advice = "make room on the disk"
    elif isinstance(error, OSError) or "readonly" in text or "unable to open" in text:
        advice = "choose a folder of a local disk that can be written"
    else:
        advice = "see whether the disk is sound"
    return LedgerError(
        f"{path}: {text}: {advice}; what was recorded before is safe, go on with "
        f"dynprop train --resume {path.parent}"
    )


def _is_full(folder: Path) -> bool:
    """A full disk may also say that it cannot be read or opened."""
    with suppress(OSError):
        return shutil.disk_usage(folder).free < LITTLE
    return False


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a loss of power, where the machine can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
