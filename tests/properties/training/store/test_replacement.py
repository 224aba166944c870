"""Replacing a damaged ledger: killed at any instant, on a full disk, from an older format."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dynprop.errors import DynpropError, LedgerError
from dynprop.training.store import files, schema
from dynprop.training.store.disk import explained
from dynprop.training.store.index import RUN_COUNT
from dynprop.training.store.ledger import NAME, Ledger
from dynprop.training.sweeps.sweep import Folder, finished, trials_of
from dynprop.training.trials.setting import Setting
from dynprop.training.trials.trial import Trial
from tests.properties.training.sweeping import altered, filled, table

KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from dynprop.training.store.ledger import NAME, Ledger
source, work = map(Path, sys.argv[1:])
step = status = 1
while status:
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(source, work)
    if not (child := os.fork()):
        left = step
        def hook(event, _):
            global left
            if event in ("open", "os.rename", "os.remove", "sqlite3.connect"):
                left -= 1
                if not left:
                    os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(hook)
        Ledger(work / NAME).close()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    with Ledger(work / NAME) as ledger:
        print(len(ledger.trials()), *sorted(p.name for p in work.iterdir() if "damaged" in p.name))
    step += 1
"""


def test_recovery_that_is_killed_at_any_instant_loses_nothing(finished_folder: Path) -> None:
    altered(finished_folder)
    command = [sys.executable, "-c", KILLED, str(finished_folder), str(finished_folder.with_name("work"))]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    lines = done.stdout.splitlines()
    assert len(lines) > 12
    # A kill may leave the log of whoever read the damaged file.
    assert {tuple(line.split()[:2]) for line in lines} == {("20", "ledger.damaged-1")}


def test_a_disk_that_is_full_while_a_ledger_is_recovered_loses_nothing(
    finished_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    altered(finished_folder)
    before = (finished_folder / NAME).read_bytes()

    def full(db: sqlite3.Connection, settings: Any, rows: Any) -> None:
        db.execute("PRAGMA max_page_count=5")
        schema.insert(db, {**settings, **{str(i): "x" * 4000 for i in range(9)}}, rows)

    with monkeypatch.context() as small:
        small.setattr(files, "insert", full)
        with pytest.raises(
            LedgerError, match="full: make room on the disk; what was recorded before is safe"
        ):
            Folder(finished_folder)
    assert (finished_folder / NAME).read_bytes() == before
    assert not list(finished_folder.glob("ledger.[!s]*"))
    with Folder(finished_folder) as opened:
        assert "20 runs could be read and are kept" in opened.ledger.recovered


def test_a_full_disk_is_a_clear_error_and_resumable(tmp_path: Path) -> None:
    path = tmp_path / NAME
    kept = filled(path, 200)
    setting = Setting("parity", 9)
    more = [Trial(setting, seed, "failure", 1, note="x" * 200) for seed in range(2000)]
    with Ledger(path) as ledger:
        (pages,) = ledger._db.execute("PRAGMA page_count").fetchone()
        ledger._db.execute(f"PRAGMA max_page_count={pages + 1}")
        with pytest.raises(LedgerError, match="make room on the disk; what was recorded before is safe"):
            ledger.record(more)
        assert ledger.trials() == kept
    with Ledger(path) as ledger:
        ledger.record(more)
        assert len(ledger.trials()) == 2200


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (OSError(28, "No space left on device"), "make room on the disk"),
        (sqlite3.OperationalError("database is locked"), "another process writes to it"),
        (
            sqlite3.OperationalError("attempt to write a readonly database"),
            "a local disk that can be written",
        ),
        (sqlite3.OperationalError("disk I/O error"), "check the disk for errors"),
    ],
)
def test_what_a_disk_says_comes_with_what_to_do(error: Any, advice: str, tmp_path: Path) -> None:
    assert advice in str(explained(error, tmp_path / NAME))


# Format 1


OLD = """
PRAGMA journal_mode=WAL;
CREATE TABLE settings (key TEXT PRIMARY KEY, content TEXT NOT NULL);
CREATE TABLE runs (
    setting TEXT NOT NULL, seed INTEGER NOT NULL, status TEXT NOT NULL, updates INTEGER NOT NULL,
    loss REAL, wrong REAL, peak REAL, reach REAL, note TEXT NOT NULL, checksum INTEGER NOT NULL,
    UNIQUE (setting, seed));
PRAGMA user_version=1;
"""


def written_in_format_1(folder: Path, trials: list[Trial]) -> None:
    """Put a ledger of format 1 in the place of that of a folder."""
    (folder / NAME).unlink()
    (folder / RUN_COUNT).unlink()
    db = sqlite3.connect(folder / NAME)
    db.executescript(OLD)
    settings = {trial.setting.key: schema.content_of(trial.setting) for trial in trials}
    db.executemany("INSERT INTO settings VALUES (?, ?)", settings.items())
    rows = [schema.row_of(trial) for trial in trials]
    marks = ", ".join("?" * 10)
    db.executemany(f"INSERT INTO runs VALUES ({marks})", [(*row, schema.checksum(row)) for row in rows])
    db.commit()
    db.close()


@pytest.mark.parametrize("change", ["", "UPDATE settings SET content = replace(content, ': 4', ': 5')"])
def test_a_ledger_of_format_1_is_brought_to_this_one(
    finished_folder: Path, undisturbed: list[Trial], change: str
) -> None:
    written_in_format_1(finished_folder, undisturbed)
    altered(finished_folder, change)
    assert finished(finished_folder, lambda said: None)[1] == undisturbed
    with Folder(finished_folder) as opened:
        assert bool(change) == ("a setting is not as it was written" in opened.ledger.recovered)
        assert trials_of(opened.sweep, opened.ledger.trials()) == undisturbed
        opened.ledger.settle()
    assert table(finished_folder) == undisturbed


@pytest.mark.parametrize("change", ["", "UPDATE runs SET updates = 7 WHERE seed = 3"])
def test_the_ledger_of_another_version_is_left_as_that_version_reads_it(
    finished_folder: Path, undisturbed: list[Trial], monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    with monkeypatch.context() as before:
        before.setattr("dynprop.training.trials.setting.EPOCH", 0)
        # Settings keep the key that they once had.
        old = [replace(trial, setting=replace(trial.setting)) for trial in undisturbed]
        written_in_format_1(finished_folder, old)
    altered(finished_folder, change)
    data = (finished_folder / NAME).read_bytes()
    with pytest.raises(LedgerError, match="trained the same settings otherwise"):
        Folder(finished_folder)
    assert (finished_folder / NAME).read_bytes() == data
    shown = finished(finished_folder, lambda said: None)[1]
    assert sorted(map(repr, shown)) == sorted(repr(t) for t in undisturbed if t.seed != 3 or not change)


def test_every_error_of_a_ledger_is_one_of_ours(finished_folder: Path) -> None:
    (finished_folder / NAME).unlink()
    (finished_folder / NAME).mkdir()
    for read in (Folder, finished):
        with pytest.raises(DynpropError, match="Is a directory"):
            read(finished_folder)
