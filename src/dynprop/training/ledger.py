r"""The ledger of a sweep: which runs are finished and how they came out, in one file that survives a kill.

Written by the coordinator alone, one transaction per group of runs, before the group is acknowledged (WAL,
synchronous=FULL: 0.1 ms a row). A run is there once: its setting's hash and its seed are the primary key.
Every row carries a checksum of its content, so that a row that a disk has changed is found out and trained
again.

A ledger must lie on a disk of this machine: WAL does not work over a network file system.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dynprop.errors import LedgerError
from dynprop.training.setting import Setting
from dynprop.training.trial import Trial

__all__ = ["NAME", "SCHEMA", "Counts", "Ledger", "count"]

# How many runs each setting has, by its key, and how many of them succeeded.
Counts = dict[str, tuple[int, int]]

NAME = "ledger.sqlite"
SCHEMA = 1
COLUMNS = ("setting", "seed", "status", "updates", "loss", "wrong", "peak", "reach", "note")
TABLES = """
CREATE TABLE IF NOT EXISTS settings (key TEXT PRIMARY KEY, content TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS runs (
    setting TEXT NOT NULL, seed INTEGER NOT NULL, status TEXT NOT NULL, updates INTEGER NOT NULL,
    loss REAL, wrong REAL, peak REAL, reach REAL, note TEXT NOT NULL, checksum INTEGER NOT NULL,
    UNIQUE (setting, seed));
"""
# Rows that are read at a time when a damaged file is searched.
SPAN = 256


def _checksum(values: tuple[Any, ...]) -> int:
    return zlib.crc32(repr(values).encode())


class Ledger:
    """The runs of one folder. Use it as a context, or close it.

    Args:
        path: the file; made if it is not there.

    Attributes:
        recovered: what had to be done to a damaged file when it was opened, or "".

    Raises:
        LedgerError: the file was written by a newer version, or is damaged beyond reading.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.recovered = ""
        try:
            self._db = self._opened()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError) and not _is_damage(error):
                raise _explained(error, path) from error
            self._recover(error)

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; what was recorded is on the disk already."""
        self._db.close()

    def _opened(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=30.0, isolation_level=None)
        try:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version > SCHEMA:
                raise LedgerError(
                    f"{self.path} was written by a newer dynprop (format {version}; this one reads "
                    f"{SCHEMA}): use that version, or another folder"
                )
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=FULL")
            (state,) = db.execute("PRAGMA quick_check(1)").fetchone()
            if state != "ok":
                raise sqlite3.DatabaseError(state)
            if version < SCHEMA:
                db.executescript(TABLES)
                db.execute(f"PRAGMA user_version={SCHEMA}")
            self._drop_changed(db)
        except BaseException:
            db.close()
            raise
        return db

    def _drop_changed(self, db: sqlite3.Connection) -> None:
        """Take out rows whose checksum does not fit, so that they are trained again."""
        rows = db.execute(f"SELECT rowid, checksum, {', '.join(COLUMNS)} FROM runs")
        changed = [row[0] for row in rows if _checksum(row[2:]) != row[1]]
        if changed:
            db.executemany("DELETE FROM runs WHERE rowid = ?", [(rowid,) for rowid in changed])
            self.recovered = f"{len(changed)} rows of {self.path} were damaged and will be trained again"

    def _recover(self, error: sqlite3.DatabaseError) -> None:
        """Keep the damaged file aside and begin a new one with every row that is still whole."""
        settings, rows = _salvaged(self.path)
        if not settings:
            raise LedgerError(
                f"{self.path} is damaged beyond reading ({error}): put back a copy of it, or move it away to "
                "begin the sweep anew"
            ) from error
        aside = next(
            name for i in range(1, 1000) if not (name := self.path.with_suffix(f".damaged-{i}")).exists()
        )
        self.path.rename(aside)
        for ending in ("-wal", "-shm"):
            self.path.with_name(self.path.name + ending).unlink(missing_ok=True)
        self._db = self._opened()
        with self._transaction():
            self._db.executemany("INSERT OR IGNORE INTO settings VALUES (?, ?)", settings)
            self._insert(rows)
        self.recovered = (
            f"{self.path} was damaged ({error}): {len(rows)} whole runs were recovered, the others will be "
            f"trained again; the damaged file is {aside.name}"
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise _explained(error, self.path) from error
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _insert(self, rows: Iterable[tuple[Any, ...]]) -> None:
        marks = ", ".join("?" * (len(COLUMNS) + 1))
        values = [(*row, _checksum(row)) for row in rows]
        self._db.executemany(f"INSERT OR IGNORE INTO runs VALUES ({marks})", values)

    def record(self, trials: Iterable[Trial]) -> None:
        """Write runs to the disk, all or none; a run that is there already is left as it is.

        Raises:
            LedgerError: the disk is full or cannot be written; nothing of this call is there then.
        """
        found = list(trials)
        settings = {trial.setting.key: trial.setting for trial in found}
        with self._transaction():
            content = [(key, json.dumps(s.to_json(), sort_keys=True)) for key, s in settings.items()]
            self._db.executemany("INSERT OR IGNORE INTO settings VALUES (?, ?)", content)
            self._insert((t.setting.key, *(t.to_row()[name] for name in COLUMNS[1:])) for t in found)

    def done(self) -> dict[str, set[int]]:
        """Return the seeds that are finished, by the key of their setting."""
        found: dict[str, set[int]] = {}
        for key, seed in self._db.execute("SELECT setting, seed FROM runs"):
            found.setdefault(key, set()).add(seed)
        return found

    def counts(self) -> Counts:
        """Return how many runs each setting has, and how many of them succeeded."""
        query = "SELECT setting, count(*), sum(status = 'success') FROM runs GROUP BY setting"
        return {key: (total, successes) for key, total, successes in self._db.execute(query)}

    def _settings(self) -> dict[str, Setting]:
        content = self._db.execute("SELECT key, content FROM settings")
        return {key: Setting.from_json(json.loads(text)) for key, text in content}

    def require_same_epoch(self) -> None:
        """Refuse to add to runs of a version that trained the same settings otherwise.

        Raises:
            LedgerError: the key of a setting is not the one that this version gives it.
        """
        if any(setting.key != key for key, setting in self._settings().items()):
            raise LedgerError(
                f"{self.path} holds runs of another dynprop, which trained the same settings otherwise: "
                "go on with the version that sweep.json names, or begin another folder; --show shows this one"
            )

    def trials(self) -> list[Trial]:
        """Return every run, by setting and seed."""
        settings = self._settings()
        query = f"SELECT {', '.join(COLUMNS)} FROM runs ORDER BY setting, seed"
        return [
            Trial(settings[row[0]], **dict(zip(COLUMNS[1:], row[1:], strict=True)))
            for row in self._db.execute(query)
        ]


def count(counts: Counts, trials: Iterable[Trial]) -> None:
    """Add runs to what `Ledger.counts` returned."""
    for trial in trials:
        total, successes = counts.get(trial.setting.key, (0, 0))
        counts[trial.setting.key] = (total + 1, successes + trial.succeeded)


def _is_damage(error: sqlite3.Error) -> bool:
    text = str(error)
    return any(word in text for word in ("malformed", "not a database", "no such table", "corrupt"))


def _explained(error: sqlite3.Error, path: Path) -> LedgerError:
    """Return an error that says what to do."""
    text = str(error)
    if "full" in text:
        advice = "make room on the disk"
    elif "locked" in text or "busy" in text:
        advice = "another process writes to it; wait for it, or end it"
    elif "readonly" in text or "unable to open" in text:
        advice = "make it a folder of a local disk that can be written"
    else:
        advice = "see whether the disk is sound"
    return LedgerError(
        f"{path}: {text}: {advice}; what was recorded before is safe, go on with "
        f"dynprop train --resume {path.parent}"
    )


def _salvaged(path: Path) -> tuple[list[tuple[str, str]], list[tuple[Any, ...]]]:
    """Return settings and whole rows of a damaged file, as far as they can be read."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        copy = Path(folder) / path.name
        shutil.copyfile(path, copy)
        wal = path.with_name(path.name + "-wal")
        if wal.exists():
            shutil.copyfile(wal, copy.with_name(wal.name))
        # SQLite reads nothing of a file that is shorter than its first page says.
        with copy.open("r+b") as file:
            header = file.read(100)
            size = int.from_bytes(header[16:18]) * int.from_bytes(header[28:32])
            if copy.stat().st_size < size < 2**40:
                file.truncate(size)
        return _read_whole(copy)


def _read_whole(path: Path) -> tuple[list[tuple[str, str]], list[tuple[Any, ...]]]:
    """Return settings and rows with the right checksum, searching around pages that cannot be read."""
    db = sqlite3.connect(path)
    columns = ", ".join(COLUMNS)

    def read(query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]] | None:
        try:
            return db.execute(query, values).fetchall()
        except (sqlite3.DatabaseError, OverflowError):
            return None

    def rows(low: int, high: int) -> Iterator[tuple[Any, ...]]:
        query = f"SELECT {columns}, checksum FROM runs NOT INDEXED WHERE rowid BETWEEN ? AND ?"
        found = read(query, (low, high))
        if found is not None:
            yield from (row[:-1] for row in found if _checksum(row[:-1]) == row[-1])
        elif low < high:
            middle = (low + high) // 2
            yield from rows(low, middle)
            yield from rows(middle + 1, high)

    try:
        settings = read("SELECT key, content FROM settings NOT INDEXED") or []
        last = read("SELECT max(rowid) FROM runs NOT INDEXED")
        # Where even that cannot be read, as many as the pages of the file can hold.
        most = int(last[0][0] or 0) if last else max(1, path.stat().st_size // 48)
        found = [row for low in range(1, most + 1, SPAN) for row in rows(low, min(low + SPAN - 1, most))]
    finally:
        db.close()
    return [(str(key), str(text)) for key, text in settings], found
