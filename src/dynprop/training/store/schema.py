"""Tables of a ledger file: settings and runs, each row with a checksum.

`checksum` is the CRC-32 of the `repr` of a row's values, so that a bit flipped on the disk is detected.
Columns keep the names of the first format; `STORED_NAMES` maps the attributes of `Trial` to them.
"""

from __future__ import annotations

import json
import math
import sqlite3
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from dynprop.errors import ArgumentError
from dynprop.training.trials.setting import Setting
from dynprop.training.trials.trial import LOST, Trial

__all__ = [
    "COLUMNS",
    "SCHEMA",
    "STORED_NAMES",
    "TABLES",
    "Row",
    "checksum",
    "content_of",
    "create",
    "insert",
    "row_of",
    "setting_of",
    "trial_of",
    "with_floats",
]

# A run as stored: the key of its setting, then its columns. SQLite returns int, float, str or None.
Row = tuple[Any, ...]

SCHEMA = 2
# Attributes of Trial whose column, in the ledger and in CSV files, has another name.
STORED_NAMES = {"error_rate": "wrong", "max_grad_norm": "peak", "gradient_ratio": "reach"}
ATTRIBUTES = tuple(field.name for field in fields(Trial) if field.name != "setting")
COLUMNS = ("setting", *(STORED_NAMES.get(name, name) for name in ATTRIBUTES))
FLOATS = slice(4, 8)
# The statements as SQLite stores them. Format 1 had no checksum in settings.
TABLES = {
    "settings": """CREATE TABLE settings (
    key TEXT PRIMARY KEY, content TEXT NOT NULL, checksum INTEGER NOT NULL)""",
    "runs": """CREATE TABLE runs (
    setting TEXT NOT NULL, seed INTEGER NOT NULL, status TEXT NOT NULL, updates INTEGER NOT NULL,
    loss REAL, wrong REAL, peak REAL, reach REAL, note TEXT NOT NULL, checksum INTEGER NOT NULL,
    UNIQUE (setting, seed))""",
}
_PLACEHOLDERS = ", ".join("?" * (len(COLUMNS) + 1))
_ASSIGNMENTS = ", ".join(f"{name} = excluded.{name}" for name in (*COLUMNS[2:], "checksum"))
_LOST = ", ".join(f"'{status}'" for status in LOST)
INSERT = (
    f"INSERT INTO runs VALUES ({_PLACEHOLDERS}) ON CONFLICT (setting, seed) DO UPDATE SET {_ASSIGNMENTS} "
    f"WHERE runs.status IN ({_LOST})"
)


def checksum(values: Row) -> int:
    """Return the checksum of a row's values."""
    return zlib.crc32(repr(values).encode())


def row_of(trial: Trial) -> Row:
    """Convert a trial to its database row: NaN becomes NULL, integers become floats."""
    return with_floats((trial.setting.key, *trial.to_row().values()))


def trial_of(setting: Setting, row: Row) -> Trial:
    """Convert a database row back to a trial of a setting."""
    return Trial(setting, **dict(zip(ATTRIBUTES, row[1:], strict=True)))


def with_floats(row: Row) -> Row:
    """Return a row whose real columns are floats, or None for NULL and NaN."""
    floats = [None if x is None or math.isnan(x) else float(x) for x in row[FLOATS]]
    return (*row[: FLOATS.start], *floats, *row[FLOATS.stop :])


def content_of(setting: Setting) -> str:
    """Return a setting as stored text."""
    return json.dumps(setting.to_json(), sort_keys=True)


def setting_of(text: str) -> Setting | None:
    """Return the setting of a stored text; None if this version cannot read it."""
    try:
        return Setting.from_json(json.loads(text))
    except (ArgumentError, ValueError, TypeError, AttributeError, RecursionError):
        return None


def create(db: sqlite3.Connection) -> None:
    """Create the missing tables, inside the open transaction."""
    for statement in TABLES.values():
        db.execute(statement.replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS"))
    db.execute(f"PRAGMA user_version={SCHEMA}")


def insert(db: sqlite3.Connection, settings: Mapping[str, str], rows: Iterable[Row]) -> None:
    """Write settings, by key, and runs. A recorded run is replaced only if it was lost."""
    checked = [(key, text, checksum((key, text))) for key, text in settings.items()]
    db.executemany("INSERT OR IGNORE INTO settings VALUES (?, ?, ?)", checked)
    db.executemany(INSERT, ((*row, checksum(row)) for row in rows))
