"""Read a ledger file that may be damaged: every row with a valid checksum, and the first sign of damage."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from dynprop.errors import LedgerError
from dynprop.training.store.disk import UNREADABLE, DamageError, is_damage
from dynprop.training.store.files import wal_of
from dynprop.training.store.schema import SCHEMA, TABLES, Row, checksum, content_of, setting_of, with_floats
from dynprop.training.trials.setting import Setting

__all__ = ["LedgerReader"]

# No future format is this far beyond SCHEMA: a larger number is damage.
FAR = 1000
HEADER = 100
MAGIC = b"SQLite format 3\0"
# Bytes 18 and 19 of the header: rollback journal or write-ahead log. Others make a file read-only.
JOURNAL_VERSIONS = (b"\1\1", b"\2\2")


class LedgerReader:
    """Rows of a ledger file; close it after use.

    Args:
        path: of the file; SQLite creates an empty one if it is missing.
        known: settings of the sweep by key; they replace damaged settings of the file.
        origin: path in messages, if the file is a copy.

    Attributes:
        damage: the first sign of damage, "" if there is none. Complete once `runs` has been read.
        version: of the format; 0 for a new file.
        stored: texts of the settings of the file, by key.
        texts: those and the texts of `known`.

    Raises:
        LedgerError: the file was written by a newer version, or is another program's database.
    """

    def __init__(self, path: Path, known: Mapping[str, Setting], origin: Path | None = None) -> None:
        self._path = path
        self._origin = origin or path
        self.damage: str = ""
        self.version: int = 0
        self._db: sqlite3.Connection | None = None
        self.stored: dict[str, str] = {}
        try:
            with self._noting_damage():
                self._open()
                with self._noting_damage():
                    self._check_structure()
                self._read_settings(known)
        except BaseException:
            self.close()
            raise
        self.texts: dict[str, str] = self.stored | {
            key: content_of(setting) for key, setting in known.items()
        }

    def close(self) -> None:
        """Close the file."""
        if self._db is not None:
            self._db.close()

    @contextmanager
    def _noting_damage(self) -> Iterator[None]:
        """Turn an error about the content of the file into `damage`; others pass."""
        try:
            yield
        except (sqlite3.Error, *UNREADABLE) as error:
            if not is_damage(error):
                raise
            self.note(" ".join(str(error).split()).removeprefix("*** in database main *** "))

    def note(self, damage: str) -> None:
        """Note a sign of damage; only the first is kept."""
        self.damage = self.damage or damage

    def _open(self) -> None:
        header = b""
        if self._path.exists():
            with self._path.open("rb") as file:
                header = file.read(HEADER)
        log = wal_of(self._path)
        if not header and log.exists() and log.stat().st_size:
            # SQLite would start a new database and delete the log.
            raise DamageError("its beginning is missing")
        if header and not (header.startswith(MAGIC) and header[18:20] in JOURNAL_VERSIONS):
            raise DamageError("its header is not that of a ledger")
        self._db = sqlite3.connect(self._path, timeout=30.0, isolation_level=None)
        # Text that is not UTF-8 stays readable; its checksum is wrong.
        self._db.text_factory = lambda data: data.decode(errors="surrogateescape")
        # With this setting SQLite reads the intact part of a truncated file.
        self._db.execute("PRAGMA writable_schema=ON")
        (self.version,) = self._db.execute("PRAGMA user_version").fetchone()

    def _check_structure(self) -> None:
        assert self._db is not None
        tables = dict(self._db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall())
        if self.version >= SCHEMA + FAR:
            raise DamageError(f"there is no format {self.version}")
        if self.version > SCHEMA:
            raise LedgerError(
                f"{self._origin} was written by a newer dynprop (format {self.version}; this one reads "
                f"{SCHEMA}): use that version, or another folder"
            )
        if self.version < SCHEMA and tables.keys() - TABLES.keys():
            raise LedgerError(f"{self._origin} holds other tables: move this database to another folder")
        if self.version == SCHEMA and tables != TABLES:
            raise DamageError("its tables are not those of a ledger")
        # Compares indexes with their tables, too.
        (state,) = self._db.execute("PRAGMA integrity_check(1)").fetchone()
        if state != "ok":
            raise DamageError(state)

    def _read_settings(self, known: Mapping[str, Setting]) -> None:
        """Read the settings of the file that are valid."""
        assert self._db is not None
        if self._is_new():
            return
        for key, text, *stored in self._db.execute("SELECT * FROM settings NOT INDEXED"):
            if self.version < SCHEMA:
                setting = setting_of(text)
                valid = setting is not None and setting == known.get(key, setting)
            else:
                valid = stored == [checksum((key, text))]
            if valid:
                self.stored[key] = text
            else:
                self.note("a setting is not as it was written")

    def _is_new(self) -> bool:
        assert self._db is not None
        return self.version == 0 and not self._db.execute("SELECT * FROM sqlite_master").fetchall()

    def runs(self) -> Iterator[Row]:
        """Yield the rows with a valid checksum and a known setting.

        If reading stops at a damaged page, the other rows are read from the end.
        """
        if self._db is None:
            return
        total = changed = 0
        for order in ("ASC", "DESC"):
            complete = False
            with self._noting_damage():
                if self._is_new():
                    return
                for row in self._db.execute(f"SELECT * FROM runs NOT INDEXED ORDER BY rowid {order}"):
                    total += 1
                    valid = _valid(row)
                    changed += valid is None
                    if valid is None:
                        continue
                    if valid[0] not in self.stored:
                        self.note("a setting is missing")
                    if valid[0] in self.texts:
                        yield valid
                complete = True
            if complete:
                break
        if changed:
            self.note(f"{changed} of {total} runs are not as they were written")


def _valid(row: Row) -> Row | None:
    """Return the values of a stored row without its checksum; None if the checksum is wrong."""
    try:
        values = with_floats(row[:-1])
    except (TypeError, ValueError, OverflowError):
        return None
    return values if checksum(values) == row[-1] else None
