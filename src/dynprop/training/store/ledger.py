r"""The ledger of a sweep: finished runs and their outcomes, in one SQLite file that survives a kill.

Only the coordinator writes, one transaction per group of runs, before the group is reported as done (WAL,
synchronous=FULL: 0.1 ms a row). The hash of its setting and its seed are the primary key of a run.

A run is a pure function of its key. So a damaged ledger needs no rescue: rows that a plain SELECT returns
with a valid checksum are copied to a new file, the number of the others is reported, from the run count
beside the ledger (`dynprop.training.store.index`), and `--resume` trains them again.

A ledger must lie on a disk of this machine: WAL does not work over a network file system.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from dynprop.errors import LedgerError
from dynprop.training.store.disk import UNREADABLE, DamageError, explained
from dynprop.training.store.files import finish_replacement, snapshot, write_replacement
from dynprop.training.store.index import RUN_COUNT, Counts, RunIndex, read_run_count, write_run_count
from dynprop.training.store.reader import LedgerReader
from dynprop.training.store.schema import (
    COLUMNS,
    SCHEMA,
    Row,
    content_of,
    create,
    insert,
    row_of,
    setting_of,
    trial_of,
)
from dynprop.training.trials.setting import Setting
from dynprop.training.trials.trial import LOST, Trial

__all__ = ["NAME", "SCHEMA", "Ledger", "read_ledger"]

NAME = "ledger.sqlite"


@contextmanager
def _explaining(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error, *UNREADABLE) as error:
        raise explained(error, path) from error


def _stored_count(path: Path, notes: list[str]) -> int | None:
    """Return the run count beside a ledger; None, with a note, if it is damaged."""
    try:
        return read_run_count(path)
    except DamageError as error:
        notes.append(f"{path.with_name(RUN_COUNT)} is damaged ({error}): how many runs are lost is unknown")
        return None


class _Contents:
    """Content of a ledger file, from one pass over its rows.

    Args:
        reader: of the file; its `damage` is complete afterwards.
        known: settings of the sweep, by key.

    Attributes:
        index: of the runs.
        settings: by key; None for one that this version cannot read.
    """

    def __init__(self, reader: LedgerReader, known: Collection[str]) -> None:
        self._reader = reader
        self._known = known
        self.index = RunIndex()
        self.settings = {key: setting_of(text) for key, text in reader.texts.items()}
        for row in reader.runs():
            if not self.index.add(row):
                reader.note("a run is there twice")

    def own_total(self) -> int:
        """Return the number of runs of the sweep, or of all runs if no sweep is known."""
        return sum(total for key, (total, _) in self.index.counts().items() if self._is_own(key))

    def _is_own(self, key: str) -> bool:
        setting = self.settings[key]
        return not self._known or (setting is not None and setting.key in self._known)

    def missing(self, path: Path, count: int | None, outlook: str) -> list[str]:
        """Report recorded runs that are missing from the file.

        Args:
            path: of the ledger.
            count: the run count stored beside it, None if there is none.
            outlook: end of the message about the missing runs.
        """
        total, own_runs = self.index.total, self.own_total()
        notes = []
        if total and not own_runs:
            notes.append(f"{path} holds {total} runs of other settings and none of this sweep")
        if count is not None and count > own_runs:
            notes.append(f"{count - own_runs} runs that were recorded in {path} are lost {outlook}")
        if not path.with_name(RUN_COUNT).exists() and (
            self._reader.damage or (total and self._reader.version == SCHEMA)
        ):
            notes.append(f"{path.with_name(RUN_COUNT)} is missing: how many runs are lost is unknown")
        return notes


def read_ledger(path: Path, known: Iterable[Setting] = ()) -> tuple[list[Trial], str]:
    """Return the runs of a ledger, and a note on damage and lost runs (or ""), without changing a file.

    Another process may write to the ledger meanwhile.

    Args:
        path: of the file.
        known: settings of the sweep, as for `Ledger`.

    Raises:
        LedgerError: the file was written by a newer version or another program, or cannot be read.
    """
    by_key = {setting.key: setting for setting in known}
    notes: list[str] = []
    with _explaining(path), TemporaryDirectory() as folder:
        # Before the ledger is read: the ledger only grows.
        count = _stored_count(path, notes)
        copy = snapshot(path, Path(folder))
        with closing(LedgerReader(copy, by_key, origin=path)) as reader:
            contents = _Contents(reader, by_key.keys())
            rows: dict[tuple[str, int], Row] = {}
            for row in reader.runs():
                if row[:2] not in rows or rows[row[:2]][2] in LOST:
                    rows[row[:2]] = row
            if reader.damage:
                notes.append(
                    f"{path} is damaged ({reader.damage}): {len(rows)} runs in it can be read, --resume "
                    "keeps them"
                )
            notes += contents.missing(path, count, "and --resume trains them again")
    trials = [
        trial_of(setting, row) for key, row in sorted(rows.items()) if (setting := contents.settings[key[0]])
    ]
    return trials, "; ".join(notes)


class Ledger:
    """The runs of one folder, open for writing. Use it as a context, or close it.

    Args:
        path: of the file; created if it is missing.
        known: settings of the sweep. They replace damaged texts of the file, and lost runs are counted among
            theirs; without any, among all.

    Attributes:
        recovered: note on repairs made when the file was opened, and on lost runs; "" if there were none.

    Raises:
        LedgerError: the file was written by a newer version or another program, it is damaged and was
            written by a version that trains otherwise, or the disk is full.
    """

    def __init__(self, path: Path, known: Iterable[Setting] = ()) -> None:
        self.path = path
        by_key = {setting.key: setting for setting in known}
        notes: list[str] = []
        with ExitStack() as undo, _explaining(path):
            # Before the ledger is read: the ledger only grows.
            count = _stored_count(path, notes)
            if aside := finish_replacement(path):
                notes.append(f"{path} was damaged and has been replaced; the damaged file is {aside}")
            with closing(LedgerReader(path, by_key)) as reader:
                self._contents = _Contents(reader, by_key.keys())
                if reader.damage or reader.version < SCHEMA:
                    self.require_same_epoch()
                if reader.damage:
                    # finish_replacement expects a file to rename.
                    path.touch()
                    texts = {key: reader.texts[key] for key in self._contents.index.counts()}
                    write_replacement(path, texts, reader.runs())
            if reader.damage:
                notes.append(
                    f"{path} was damaged ({reader.damage}): {self._contents.index.total} runs could be read "
                    f"and are kept; the damaged file is {finish_replacement(path)}"
                )
            notes += self._contents.missing(path, count, "and will be trained again")
            self._db = sqlite3.connect(path, timeout=30.0, isolation_level=None)
            undo.callback(self._db.close)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            if not reader.damage and reader.version < SCHEMA:
                with self._transaction():
                    self._db.execute("DROP TABLE IF EXISTS settings")
                    create(self._db)
                    if reader.stored:
                        insert(self._db, reader.stored, ())
            if not notes and count != self._contents.own_total():
                self.settle()
            undo.pop_all()
        self.recovered: str = "; ".join(notes)

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; recorded runs are on the disk already."""
        self._db.close()

    def settle(self) -> None:
        """Write the run count, after lost runs have been reported."""
        write_run_count(self.path, self._contents.own_total())

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

        A recorded run is left as it is, unless it timed out or lost its worker: then the new outcome replaces
        it.

        Raises:
            LedgerError: the disk is full or cannot be written; no run of this call is recorded then, unless
                only the run count could not be written.
        """
        new_trials = list(trials)
        settings = {trial.setting.key: trial.setting for trial in new_trials}
        rows = [row_of(trial) for trial in new_trials]
        with _explaining(self.path), self._transaction():
            insert(self._db, {key: content_of(setting) for key, setting in settings.items()}, rows)
        self._contents.settings |= settings
        for row in rows:
            self._contents.index.add(row)
        self.settle()

    def done(self, *, lost: bool = True) -> dict[str, set[int]]:
        """Return the finished seeds, by the key of their setting.

        Args:
            lost: whether to include runs that timed out or lost their worker.
        """
        return self._contents.index.done(lost=lost)

    def counts(self, *, lost: bool = True) -> Counts:
        """Return runs and successes of each setting.

        Args:
            lost: as for `done`.
        """
        return self._contents.index.counts(lost=lost)

    def require_same_epoch(self) -> None:
        """Refuse to add to runs of a version that trained the same settings otherwise.

        Raises:
            LedgerError: a setting has another key than this version gives it.
        """
        if any(setting is None or setting.key != key for key, setting in self._contents.settings.items()):
            raise LedgerError(
                f"{self.path} holds runs of another dynprop, which trained the same settings otherwise: "
                "go on with the version that sweep.json names, or begin another folder; --show shows this one"
            )

    def trials(self) -> list[Trial]:
        """Return every run, by setting and seed; none of a setting that this version cannot read.

        Raises:
            LedgerError: the file can no longer be read.
        """
        query = f"SELECT {', '.join(COLUMNS)} FROM runs NOT INDEXED ORDER BY setting, seed"
        with _explaining(self.path):
            rows = self._db.execute(query).fetchall()
        return [
            trial_of(setting, row) for row in rows if (setting := self._contents.settings[row[0]]) is not None
        ]
