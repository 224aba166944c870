r"""The ledger of a sweep: which runs are finished and how they came out, in one file that survives a kill.

Written by the coordinator alone, one transaction per group of runs, before the group is acknowledged (WAL,
synchronous=FULL: 0.1 ms a row). A run is there once: its setting's hash and its seed are the primary key.

Every row carries a checksum, and whoever opens the file reads them all: what a disk has changed is found
out, and what is whole goes into a new file (`dynprop.training.store.salvage`). Beside the file stands how
many runs were recorded (`dynprop.training.store.books`): where it holds fewer, the difference is lost, and
said to be.

A ledger must lie on a disk of this machine: WAL does not work over a network file system.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from dynprop.errors import LedgerError
from dynprop.training.store.books import Books, Counts, read_stated, state
from dynprop.training.store.disk import SPOILED, DamageError, explained, is_damage
from dynprop.training.store.salvage import Whole, copied, finish, left_in_log, log_of, rebuild
from dynprop.training.store.schema import (
    COLUMNS,
    PAGE,
    SCHEMA,
    Row,
    checksum,
    content_of,
    insert,
    old_settings,
    prepare,
    row_of,
    setting_of,
)
from dynprop.training.trials.setting import Setting
from dynprop.training.trials.trial import Trial

__all__ = ["NAME", "SCHEMA", "Ledger"]

NAME = "ledger.sqlite"
# A format as far beyond this one is no newer version but a changed byte.
FAR = 1000
# The file's two numbers of how it is journalled: by a rollback journal while it is made, by a log after that.
JOURNALS = (b"\1\1", b"\2\2")
HEAD = 100
MAGIC = b"SQLite format 3\0"


def _beginning(path: Path) -> bytes:
    """Return the head of a file; b"" where it is empty or not there."""
    if not path.exists():
        return b""
    with path.open("rb") as file:
        return file.read(HEAD)


@contextmanager
def _explaining(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error, *SPOILED) as error:
        raise explained(error, path) from error


class Ledger:
    """The runs of one folder. Use it as a context, or close it.

    Args:
        path: the file; made if it is not there.
        known: settings of the sweep. They restore what is damaged of the file's own, and lost runs are
            counted among theirs; without any, among all.
        private: a folder in which to work on a copy; nothing beside `path` is changed then.

    Attributes:
        recovered: what had to be done to a damaged file when it was opened, and what is lost, or "".

    Raises:
        LedgerError: the file was written by a newer version, is damaged beyond reading, or the disk is full.
    """

    def __init__(self, path: Path, known: Iterable[Setting] = (), *, private: Path | None = None) -> None:
        self.path = path
        self._known = {setting.key: setting for setting in known}
        self._private = private is not None
        self._settings: dict[str, Setting | None] = {}
        self._books = Books()
        notes: list[str] = []
        with ExitStack() as undo, _explaining(path):
            # Before the file, which only grows.
            stated = self._stated(notes)
            self._file = path if private is None else copied(path, private)
            if aside := finish(self._file):
                notes.append(f"{path} was damaged and has been recovered; the damaged file is {aside}")
            notes += self._open(left_in_log(self._file), stated)
            undo.callback(self._db.close)
            notes += self._lacking(stated)
            if not notes and not self._private and stated != self._own():
                self.settle()
            undo.pop_all()
        self.recovered = "; ".join(notes)

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; what was recorded is on the disk already."""
        self._db.close()

    # Opening

    def _open(self, left: Whole, stated: int | None) -> list[str]:
        """Open the file, recover it if it is damaged, and add what is left in a log; return what to say."""
        try:
            self._db = self._opened()
        except (sqlite3.Error, *SPOILED) as error:
            if not is_damage(error):
                raise
            reason = " ".join(str(error).split()).removeprefix("*** in database main *** ")
            return [self._recover(left, stated, reason)]
        if stated is not None and stated <= self._own():
            # What is left was never told to be there.
            return []
        new = [row for (key, seed), row in left.rows.items() if not self._books.holds(key, seed)]
        settings, rows = self._named(left.settings, new)
        if not rows:
            return []
        with self._transaction():
            insert(self._db, settings, rows)
        self._load(self._db)
        return [f"{len(rows)} runs were recovered from {log_of(self.path)}, which was cut off or damaged"]

    def _opened(self) -> sqlite3.Connection:
        head = _beginning(self._file)
        if len(head) < HEAD and _beginning(log_of(self._file)):
            # SQLite would begin anew and throw the log away.
            raise DamageError("its beginning is missing")
        if head and not head.startswith(MAGIC):
            raise DamageError("it is no database")
        if head and head[18:20] not in JOURNALS:
            # With another number SQLite would read, and never write.
            raise DamageError(f"there is no journal of kind {head[18:20].hex()}")
        db = sqlite3.connect(self._file, timeout=30.0, isolation_level=None)
        try:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version >= SCHEMA + FAR:
                raise DamageError(f"there is no format {version}")
            if version > SCHEMA:
                raise LedgerError(
                    f"{self.path} was written by a newer dynprop (format {version}; this one reads "
                    f"{SCHEMA}): use that version, or another folder"
                )
            db.execute(f"PRAGMA page_size={PAGE}")
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=FULL")
            # Compares the index with the table, too.
            (state,) = db.execute("PRAGMA integrity_check(1)").fetchone()
            if state != "ok":
                raise DamageError(state)
            if version < SCHEMA:
                found = old_settings(db, self._known)
                self._require_epoch(found)
                prepare(db, found)
            self._load(db)
        except BaseException:
            db.close()
            raise
        return db

    def _load(self, db: sqlite3.Connection) -> None:
        """Read every row, in the table and not in an index, and keep which runs there are."""
        self._settings.clear()
        for key, text, stated in db.execute("SELECT key, content, checksum FROM settings NOT INDEXED"):
            if checksum((key, text)) != stated:
                raise DamageError("a setting is not as it was written")
            self._settings[key] = setting_of(text)
        self._books = Books()
        total = changed = 0
        for row in db.execute(f"SELECT {', '.join(COLUMNS)}, checksum FROM runs NOT INDEXED"):
            total += 1
            if checksum(row[:-1]) != row[-1]:
                changed += 1
            elif not self._books.enter(row):
                raise DamageError("a run is there twice")
        if changed:
            raise DamageError(f"{changed} of {total} runs are not as they were written")
        if self.counts().keys() - self._settings.keys():
            raise DamageError("a setting is missing")

    def _recover(self, left: Whole, stated: int | None, reason: str) -> str:
        """Set the damaged file aside for a new one with every run that is still whole; say so."""
        left.read(self._file)
        settings, rows = self._named(left.settings, left.rows.values())
        if not rows and stated != 0:
            raise LedgerError(
                f"{self.path} is damaged beyond reading ({reason}): put back a copy of it, or move it away "
                "to train its runs again"
            )
        self._require_epoch(settings)
        rebuild(self._file, settings, rows)
        aside = finish(self._file)
        self._db = self._opened()
        if self._private:
            return f"{self.path} is damaged ({reason}): {len(rows)} runs in it are whole, --resume keeps them"
        return (
            f"{self.path} was damaged ({reason}): {len(rows)} whole runs were recovered; the damaged file is "
            f"{aside}"
        )

    def _require_epoch(self, texts: Mapping[str, str]) -> None:
        """Leave a file of another version as it is: that one could not read it any more."""
        if not self._private:
            self._settings = {key: setting_of(text) for key, text in texts.items()}
            self.require_same_epoch()

    def _named(self, texts: Mapping[str, str], rows: Iterable[Row]) -> tuple[dict[str, str], list[Row]]:
        """Return the runs whose setting is known, here or to the sweep, and the texts of those settings."""
        own = {key: content_of(setting) for key, setting in self._known.items()}
        there = {key: content_of(setting) for key, setting in self._settings.items() if setting is not None}
        known = {**texts, **there, **own}
        chosen = [row for row in rows if row[0] in known]
        return {key: known[key] for key in sorted({row[0] for row in chosen})}, chosen

    # The number of runs

    def _stated(self, notes: list[str]) -> int | None:
        """Return how many runs are said to be there, if anything says it."""
        try:
            return read_stated(self.path)
        except DamageError as error:
            notes.append(
                f"the number of runs recorded in {self.path} is damaged ({error}): whether some are lost "
                "cannot be told"
            )
            return None

    def _own(self) -> int:
        """Return how many runs of the sweep are there."""
        return sum(total for key, (total, _) in self.counts().items() if self._is_own(key))

    def _is_own(self, key: str) -> bool:
        setting = self._settings[key]
        return not self._known or (setting is not None and setting.key in self._known)

    def _lacking(self, stated: int | None) -> list[str]:
        """Say what should be there and is not."""
        total, own = self._books.total, self._own()
        found = []
        if total and not own:
            found.append(
                f"{self.path} holds {total} runs of other settings and none of this sweep: see whose it is"
            )
        if stated is not None and stated > own:
            what = "; --resume trains them again" if self._private else " and will be trained again"
            found.append(f"{stated - own} runs that were recorded in {self.path} are lost{what}")
        return found

    def settle(self) -> None:
        """State how many runs there are, after those that are lost have been named."""
        state(self.path, self._own())

    # Writing

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def record(self, trials: Iterable[Trial]) -> None:
        """Write runs to the disk, all or none.

        A run that is there already is left as it is, unless it timed out or lost its worker: then the new
        outcome takes its place.

        Raises:
            LedgerError: the disk is full or cannot be written; nothing of this call is there then, unless
                only the number of runs could not be written.
        """
        found = list(trials)
        settings = {trial.setting.key: trial.setting for trial in found}
        rows = [row_of(trial) for trial in found]
        with _explaining(self.path), self._transaction():
            insert(self._db, {key: content_of(setting) for key, setting in settings.items()}, rows)
        self._settings |= settings
        for row in rows:
            self._books.enter(row)
        self.settle()

    # Reading

    def done(self, *, lost: bool = True) -> dict[str, set[int]]:
        """Return the seeds that are finished, by the key of their setting.

        Args:
            lost: whether runs that timed out or lost their worker are among them.
        """
        return self._books.done(lost=lost)

    def counts(self, *, lost: bool = True) -> Counts:
        """Return how many runs each setting has, and how many of them succeeded.

        Args:
            lost: as for `done`.
        """
        return self._books.counts(lost=lost)

    def require_same_epoch(self) -> None:
        """Refuse to add to runs of a version that trained the same settings otherwise.

        Raises:
            LedgerError: the key of a setting is not the one that this version gives it.
        """
        if any(setting is None or setting.key != key for key, setting in self._settings.items()):
            raise LedgerError(
                f"{self.path} holds runs of another dynprop, which trained the same settings otherwise: "
                "go on with the version that sweep.json names, or begin another folder; --show shows this one"
            )

    def trials(self) -> list[Trial]:
        """Return every run, by setting and seed; none of a setting that this version does not know.

        Raises:
            LedgerError: the file can no longer be read.
        """
        query = f"SELECT {', '.join(COLUMNS)} FROM runs NOT INDEXED ORDER BY setting, seed"
        with _explaining(self.path):
            rows = self._db.execute(query).fetchall()
        return [
            Trial(setting, **dict(zip(COLUMNS[1:], row[1:], strict=True)))
            for row in rows
            if (setting := self._settings[row[0]]) is not None
        ]
