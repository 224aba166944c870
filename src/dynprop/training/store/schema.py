"""What the file of a ledger holds: two tables, and a checksum in every row of them.

`checksum` is CRC-32 of the row's values as Python writes them: a bit that a disk has turned is found out, in
the table of runs as in that of settings.
"""

from __future__ import annotations

import json
import math
import sqlite3
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from dynprop.errors import ArgumentError
from dynprop.training.store.disk import DamageError
from dynprop.training.trials.setting import Setting
from dynprop.training.trials.trial import LOST, Trial

__all__ = [
    "COLUMNS",
    "PAGE",
    "SCHEMA",
    "Row",
    "checksum",
    "content_of",
    "create",
    "insert",
    "old_settings",
    "prepare",
    "row_of",
    "setting_of",
]

# Values of one run: the key of its setting, and how it came out.
Row = tuple[Any, ...]

SCHEMA = 2
# Stated, so that pages can be found in a file whose beginning is lost.
PAGE = 4096
COLUMNS = ("setting", "seed", "status", "updates", "loss", "wrong", "peak", "reach", "note")
REALS = slice(4, 8)
# Format 1 had no checksum in settings.
TABLES = (
    """CREATE TABLE IF NOT EXISTS settings (
    key TEXT PRIMARY KEY, content TEXT NOT NULL, checksum INTEGER NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS runs (
    setting TEXT NOT NULL, seed INTEGER NOT NULL, status TEXT NOT NULL, updates INTEGER NOT NULL,
    loss REAL, wrong REAL, peak REAL, reach REAL, note TEXT NOT NULL, checksum INTEGER NOT NULL,
    UNIQUE (setting, seed))""",
)
_MARKS = ", ".join("?" * (len(COLUMNS) + 1))
_NEW = ", ".join(f"{name} = excluded.{name}" for name in (*COLUMNS[2:], "checksum"))
_LOST = ", ".join(f"'{status}'" for status in LOST)
INSERT = (
    f"INSERT INTO runs VALUES ({_MARKS}) ON CONFLICT (setting, seed) DO UPDATE SET {_NEW} "
    f"WHERE runs.status IN ({_LOST})"
)


def checksum(values: Row) -> int:
    """Return the checksum of a row's values."""
    return zlib.crc32(repr(values).encode())


def row_of(trial: Trial) -> Row:
    """Return a run as the file keeps it: no number is none, and 1 is 1.0."""
    return whole_reals((trial.setting.key, *(trial.to_row()[name] for name in COLUMNS[1:])))


def whole_reals(row: Row) -> Row:
    """Return a row with the real numbers that SQLite gives back: a whole one is kept as an integer."""
    reals = [None if x is None or math.isnan(x) else float(x) for x in row[REALS]]
    return (*row[: REALS.start], *reals, *row[REALS.stop :])


def content_of(setting: Setting) -> str:
    """Return the text of a setting."""
    return json.dumps(setting.to_json(), sort_keys=True)


def setting_of(text: str) -> Setting | None:
    """Return the setting of a text; None where this version knows none such."""
    try:
        return Setting.from_json(json.loads(text))
    except (ArgumentError, ValueError, TypeError, AttributeError, RecursionError):
        return None


def create(db: sqlite3.Connection) -> None:
    """Make the tables that are not there, inside the transaction that is open."""
    for statement in TABLES:
        db.execute(statement)
    db.execute(f"PRAGMA user_version={SCHEMA}")


def old_settings(db: sqlite3.Connection, known: Mapping[str, Setting]) -> dict[str, str]:
    """Return the settings of a file of format 1, by key; none of a new file.

    Args:
        db: the file, open.
        known: settings as they should be there.

    Raises:
        DamageError: the file holds something else.
    """
    there = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if there - {"runs", "settings"}:
        raise DamageError("it holds other tables")
    found = {}
    if "settings" in there:
        found = dict(db.execute("SELECT key, content FROM settings NOT INDEXED").fetchall())
    for key, text in found.items():
        setting = setting_of(text)
        if setting is None or setting != known.get(key, setting):
            raise DamageError("a setting is not as it was written")
    return found


def prepare(db: sqlite3.Connection, found: Mapping[str, str]) -> None:
    """Make the tables of a new file, or bring those of format 1 to this one with the settings there."""
    db.execute("BEGIN IMMEDIATE")
    db.execute("DROP TABLE IF EXISTS settings")
    create(db)
    insert(db, found, ())
    db.execute("COMMIT")


def insert(db: sqlite3.Connection, settings: Mapping[str, str], rows: Iterable[Row]) -> None:
    """Write settings, by key, and runs; one that is there is left as it is, unless it was lost."""
    named = [(key, text, checksum((key, text))) for key, text in settings.items()]
    db.executemany("INSERT OR IGNORE INTO settings VALUES (?, ?, ?)", named)
    db.executemany(INSERT, [(*row, checksum(row)) for row in rows])
