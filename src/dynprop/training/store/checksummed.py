"""Small JSON files with a checksum, replaced as a whole or not at all."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from dynprop.errors import LedgerError
from dynprop.training.store.disk import DamageError, explained, sync_folder

__all__ = ["UNFINISHED", "read_checksummed", "write_checksummed"]

CHECKSUM = "checksum"
# Suffix of a file that is still being written.
UNFINISHED = ".new"


def _checksum(record: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(record, sort_keys=True).encode())


def write_checksummed(path: Path, record: dict[str, Any]) -> None:
    """Replace a file by a record and its checksum.

    Raises:
        LedgerError: the file cannot be written; its old content is unchanged.
    """
    new = path.with_name(path.name + UNFINISHED)
    try:
        with new.open("w", encoding="utf-8") as file:
            file.write(json.dumps({**record, CHECKSUM: _checksum(record)}, indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise explained(error, path) from error


def read_checksummed(path: Path, legacy: Collection[str] = ()) -> dict[str, Any]:
    """Return the record of a file, without its checksum.

    Args:
        path: of the file.
        legacy: all keys of a file written before checksums were added; such a file needs no checksum.

    Raises:
        DamageError: the content is not what was written.
        LedgerError: the file cannot be read.
    """
    try:
        record = json.loads(path.read_bytes().decode())
    except OSError as error:
        raise LedgerError(f"{path}: {error.strerror}: make it a file that can be read") from error
    except (ValueError, RecursionError) as error:
        raise DamageError(str(error)) from error
    if not isinstance(record, dict):
        raise DamageError("it is no JSON object")
    if CHECKSUM not in record and set(record) == set(legacy):
        return record
    if record.pop(CHECKSUM, None) != _checksum(record):
        raise DamageError("its content does not match its checksum")
    return record
