"""Small JSON files of a folder, written whole or not at all, with a checksum of what they say."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from dynprop.errors import LedgerError
from dynprop.training.store.disk import DamageError, explained, sync_folder

__all__ = ["UNFINISHED", "read_sealed", "write_sealed"]

SEAL = "checksum"
# What the name of a file ends with that is not whole yet.
UNFINISHED = ".new"


def _checksum(record: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(record, sort_keys=True).encode())


def write_sealed(path: Path, record: dict[str, Any]) -> None:
    """Write a record and its checksum in the place of what is there.

    Raises:
        LedgerError: the file cannot be written; what was there is as it was.
    """
    new = path.with_name(path.name + UNFINISHED)
    try:
        with new.open("w", encoding="utf-8") as file:
            file.write(json.dumps({**record, SEAL: _checksum(record)}, indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise explained(error, path) from error


def read_sealed(path: Path, unsealed: Collection[str] = ()) -> dict[str, Any]:
    """Return the record that was written.

    Args:
        path: of the file.
        unsealed: names in a file of before there were checksums; with none, none is accepted.

    Raises:
        DamageError: it is not what was written.
        LedgerError: the file cannot be read.
    """
    try:
        record = json.loads(path.read_bytes().decode())
    except OSError as error:
        raise LedgerError(f"{path}: {error.strerror}: make it a file that can be read") from error
    except (ValueError, RecursionError) as error:
        raise DamageError(str(error)) from error
    if not isinstance(record, dict):
        raise DamageError("it holds no names")
    if SEAL not in record and set(record) == set(unsealed):
        return record
    if record.pop(SEAL, None) != _checksum(record):
        raise DamageError("its content does not fit its checksum")
    return record
