"""A ledger loses nothing in silence: what is whole of its files is kept, and what is gone is named."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dynprop.errors import LedgerError
from dynprop.training.store import schema
from dynprop.training.store.books import RECORDED, read_stated, state
from dynprop.training.store.ledger import NAME, Ledger
from dynprop.training.store.pages import records, stored_pages
from dynprop.training.sweeps.sweep import Folder, belonging, finished
from dynprop.training.trials.trial import Trial
from tests.properties.training.sweeping import SWEEP, altered, filled, run, table


@pytest.fixture
def killed(tmp_path: Path, undisturbed: list[Trial]) -> Path:
    """A folder whose coordinator was killed: all runs are in the log, none in the file."""
    with Folder(tmp_path / "open", SWEEP) as opened:
        for setting in SWEEP.settings:
            opened.ledger.record(t for t in undisturbed if t.setting == setting)
        copy = Path(shutil.copytree(tmp_path / "open", tmp_path / "b"))
    assert (copy / NAME).stat().st_size == 4096
    return copy


# What is recorded


def test_failures_of_every_kind_are_rows(tmp_path: Path) -> None:
    setting = SWEEP.settings[0]
    rows = [
        Trial(setting, seed, status, 5, None, None, None, None, note)
        for seed, (status, note) in enumerate(
            [("diverged", ""), ("timed out", ""), ("worker lost", "KilledWorker: x"), ("success", "")]
        )
    ]
    with Ledger(tmp_path / NAME) as ledger:
        ledger.record(rows)
        ledger.record(rows)
        assert ledger.trials() == rows
        assert ledger.counts() == {setting.key: (4, 1)}
        assert ledger.counts(lost=False) == {setting.key: (2, 1)}
        assert ledger.done(lost=False) == {setting.key: {0, 3}}


def test_a_new_outcome_replaces_a_lost_one_and_no_other(tmp_path: Path) -> None:
    setting = SWEEP.settings[0]
    statuses = ("success", "failure", "diverged", "timed out", "worker lost")
    with Ledger(tmp_path / NAME) as ledger:
        ledger.record(Trial(setting, seed, status, 5) for seed, status in enumerate(statuses))
        ledger.record(Trial(setting, seed, "success", 7) for seed in range(6))
        for reader in (ledger, Ledger(tmp_path / NAME)):
            assert [t.status for t in reader.trials()] == [*statuses[:3], *["success"] * 3]
            assert [t.updates for t in reader.trials()] == [5, 5, 5, 7, 7, 7]
            assert reader.counts() == reader.counts(lost=False) == {setting.key: (6, 4)}
            reader.close()


def test_numbers_come_back_as_they_were_recorded(tmp_path: Path) -> None:
    recorded = [Trial(SWEEP.settings[0], 0, "failure", 5, 1, 0, float("nan"), float("inf"))]
    with Ledger(tmp_path / NAME) as ledger:
        ledger.record(recorded)
    with Ledger(tmp_path / NAME) as ledger:
        assert ledger.recovered == ""
        assert [t.to_row() for t in ledger.trials()] == [
            {**recorded[0].to_row(), "loss": 1.0, "wrong": 0.0, "peak": None}
        ]


def test_pages_hold_the_rows_that_sqlite_gives(tmp_path: Path) -> None:
    trials = filled(tmp_path / NAME, 300)
    found = {
        values[:-1]
        for page in stored_pages(tmp_path / NAME, schema.PAGE)
        for values in records(page)
        if len(values) == len(schema.COLUMNS) + 1
    }
    assert {schema.row_of(trial) for trial in trials} == {schema.whole_reals(row) for row in found}


# Damage


def is_whole(path: Path, truth: list[Trial]) -> str:
    """Open a folder; say whether what is there is true, and what is not there is missing and named."""
    try:
        with Folder(path) as opened:
            found, missing = belonging(opened.sweep, opened.ledger), opened.missing()
            said = opened.ledger.recovered
    except LedgerError as error:
        return "" if "damaged beyond reading" in str(error) else f"refused: {error}"
    lost = {(t.setting.key, t.seed) for t in truth} - {(t.setting.key, t.seed) for t in found}
    if not set(found) <= set(truth) or len(set(found)) != len(found):
        return "other runs than those that were recorded"
    if lost != {(setting.key, seed) for setting, seeds in missing for seed in seeds}:
        return "runs that are neither there nor missing"
    return (
        f"lost in silence: {len(lost)}" if lost and f"{len(lost)} runs that were recorded" not in said else ""
    )


def flipped(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


def cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def zeroed(data: bytes, rng: random.Random) -> bytes:
    at = 512 * rng.randrange(len(data) // 512)
    return data[:at] + bytes(512) + data[at + 512 :]


@pytest.mark.parametrize(("damage", "times"), [(flipped, 80), (cut, 15), (zeroed, 25)])
@pytest.mark.parametrize("name", [NAME, f"{NAME}-wal"])
def test_nothing_is_lost_in_silence_wherever_a_disk_is_damaged(
    finished_folder: Path,
    killed: Path,
    undisturbed: list[Trial],
    name: str,
    damage: Callable[[bytes, random.Random], bytes],
    times: int,
) -> None:
    source, rng = (finished_folder if name == NAME else killed), random.Random(5)
    data = (source / name).read_bytes()
    for turn in range(times):
        work = Path(shutil.copytree(source, source.with_name(f"{turn}")))
        (work / name).write_bytes(damage(data, rng))
        assert is_whole(work, undisturbed) == ""
        shutil.rmtree(work)


@pytest.mark.parametrize("table_of", ["sqlite_autoindex_runs_1", "settings", "sqlite_autoindex_settings_1"])
def test_values_are_never_taken_from_where_nobody_has_checked_them(
    finished_folder: Path, undisturbed: list[Trial], table_of: str
) -> None:
    db = sqlite3.connect(finished_folder / NAME)
    (root,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table_of,)).fetchone()
    db.close()
    data, rng = (finished_folder / NAME).read_bytes(), random.Random(1)
    used = [at for at in range((root - 1) * schema.PAGE, root * schema.PAGE) if data[at]]
    for at in rng.sample(used, 60):
        work = Path(shutil.copytree(finished_folder, finished_folder.with_name("work")))
        changed = bytearray(data)
        changed[at] ^= 1 << rng.randrange(8)
        (work / NAME).write_bytes(changed)
        with Folder(work) as opened:
            assert (belonging(opened.sweep, opened.ledger), opened.missing()) == (undisturbed, [])
        shutil.rmtree(work)


def test_an_index_that_does_not_fit_its_table_is_found(finished_folder: Path) -> None:
    data = (finished_folder / NAME).read_bytes()
    # A key stands in the index of settings, in that of runs, and in the tables.
    key = SWEEP.settings[0].key.encode()
    db = sqlite3.connect(finished_folder / NAME)
    (root,) = db.execute(
        "SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_runs_1'"
    ).fetchone()
    db.close()
    at = data.index(key, (root - 1) * schema.PAGE)
    (finished_folder / NAME).write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    with Folder(finished_folder) as opened:
        assert "missing from index" in opened.ledger.recovered


def test_names_that_are_no_text_are_damage(finished_folder: Path, undisturbed: list[Trial]) -> None:
    data = (finished_folder / NAME).read_bytes()
    for name in (b"status TEXT", b"CREATE TABLE runs", b"UNIQUE (setting"):
        changed = name[:3] + bytes([name[3] ^ 128]) + name[4:]
        (finished_folder / NAME).write_bytes(data.replace(name, changed))
        with Folder(finished_folder) as opened:
            assert "24 whole runs were recovered" in opened.ledger.recovered
            assert belonging(opened.sweep, opened.ledger) == undisturbed


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            "UPDATE runs SET status = 'success', updates = 1 WHERE seed = 3",
            "4 of 24 runs are not as they were",
        ),
        ("UPDATE runs SET note = CAST(x'ff' AS TEXT) WHERE seed = 3", "Could not decode to UTF-8"),
        (
            "UPDATE settings SET content = replace(content, '\"hidden\": 4', '\"hidden\": 5')",
            "a setting is not",
        ),
        ("UPDATE settings SET content = replace(content, 'float32', 'float22')", "a setting is not"),
        ("UPDATE settings SET content = '{'", "a setting is not"),
        ("DELETE FROM settings", "a setting is missing"),
        ("DROP TABLE settings", "no such table"),
        ("PRAGMA user_version = 20000000", "there is no format 20000000"),
        ("PRAGMA user_version = 0", ""),
    ],
)
def test_damage_to_some_rows_leaves_the_others(
    finished_folder: Path, undisturbed: list[Trial], change: str, reason: str
) -> None:
    altered(finished_folder, change)
    with Folder(finished_folder) as opened:
        assert reason in opened.ledger.recovered
        left = [t for t in undisturbed if t.seed != 3 or "UPDATE runs" not in change]
        assert belonging(opened.sweep, opened.ledger) == left
        if reason:
            assert f"{len(left)} whole runs were recovered; the damaged file is" in opened.ledger.recovered
        opened.ledger.settle()
    run(finished_folder)
    assert table(finished_folder) == undisturbed


def test_whole_runs_are_recovered_from_a_damaged_ledger(tmp_path: Path) -> None:
    path = tmp_path / NAME
    trials = filled(path)
    data = bytearray(path.read_bytes())
    assert len(data) > 60 * 4096
    for page in random.Random(0).sample(range(10, len(data) // 4096), 3):
        data[page * 4096 : (page + 1) * 4096] = bytes(4096)
    path.write_bytes(data)
    with Ledger(path) as ledger:
        assert "whole runs were recovered" in ledger.recovered
        found = ledger.trials()
        # A page holds some forty rows; nothing that is there is wrong.
        assert len(trials) - 3 * 64 <= len(found) < len(trials)
        assert set(found) <= set(trials)
        assert f"{3000 - len(found)} runs that were recorded" in ledger.recovered
        ledger.settle()
    assert (tmp_path / "ledger.damaged-1").read_bytes() == data
    with Ledger(path) as again:
        assert again.recovered == ""
        assert again.trials() == found


@pytest.mark.parametrize("keep", [0.2, 0.6, 0.95])
def test_a_ledger_that_was_cut_off_keeps_what_is_left(tmp_path: Path, keep: float) -> None:
    path = tmp_path / NAME
    trials = filled(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data))])
    with Ledger(path) as ledger:
        found = ledger.trials()
    assert set(found) <= set(trials)
    assert 0.2 * keep * len(trials) < len(found) <= len(trials)


@pytest.mark.parametrize("content", [b"not a ledger" * 1000, b"hello", random.Random(0).randbytes(9000)])
def test_a_ledger_that_cannot_be_read_at_all_is_named(finished_folder: Path, content: bytes) -> None:
    (finished_folder / NAME).write_bytes(content)
    for read in (Folder, finished):
        with pytest.raises(
            LedgerError, match=r"is damaged beyond reading .*put back a copy of it, or move it away"
        ):
            read(finished_folder)
    assert (finished_folder / NAME).read_bytes() == content


def test_the_database_of_somebody_else_is_refused(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / NAME)
    db.execute("CREATE TABLE songs (title TEXT)")
    db.close()
    with pytest.raises(LedgerError, match="it holds other tables"):
        Ledger(tmp_path / NAME)


# Runs that are gone


def damaged_log(folder: Path) -> None:
    log = folder / f"{NAME}-wal"
    log.write_bytes(log.read_bytes()[:20_000])


@pytest.mark.parametrize(
    ("harm", "lost"),
    [
        (lambda folder: (folder / NAME).unlink(), 24),
        (lambda folder: (folder / NAME).write_bytes(b""), 24),
        (damaged_log, 24),
    ],
)
def test_runs_that_are_gone_are_counted_and_trained_again(
    finished_folder: Path, killed: Path, undisturbed: list[Trial], harm: Callable[[Path], Any], lost: int
) -> None:
    path = killed if harm is damaged_log else finished_folder
    harm(path)
    for _ in range(2):
        # Until somebody has been told.
        with Folder(path) as opened:
            assert (
                f"{lost} runs that were recorded in {path / NAME} are lost and will"
                in opened.ledger.recovered
            )
    with Folder(path) as opened:
        opened.ledger.settle()
    with Folder(path) as opened:
        assert opened.ledger.recovered == ""
    assert run(path) == lost
    assert table(path) == undisturbed


def test_a_file_that_lost_its_beginning_gets_its_runs_from_the_log(
    killed: Path, undisturbed: list[Trial]
) -> None:
    (killed / NAME).unlink()
    with Folder(killed) as opened:
        assert "its beginning is missing" in opened.ledger.recovered
        assert belonging(opened.sweep, opened.ledger) == undisturbed


def test_runs_behind_a_damaged_place_of_the_log_are_kept(killed: Path, undisturbed: list[Trial]) -> None:
    log = killed / f"{NAME}-wal"
    data = bytearray(log.read_bytes())
    # In a frame of the first commit: SQLite takes nothing that comes after it.
    data[5_000] ^= 1
    log.write_bytes(data)
    with Folder(killed) as opened:
        assert f"24 runs were recovered from {log}, which was cut off or damaged" in opened.ledger.recovered
        assert belonging(opened.sweep, opened.ledger) == undisturbed
    assert table(killed) == undisturbed


def test_the_ledger_of_another_sweep_is_named(finished_folder: Path) -> None:
    (finished_folder / NAME).unlink()
    filled(finished_folder.with_name(NAME), 5)
    shutil.copyfile(finished_folder.with_name(NAME), finished_folder / NAME)
    with Folder(finished_folder) as opened:
        said = opened.ledger.recovered
    assert "holds 5 runs of other settings and none of this sweep" in said
    assert "24 runs that were recorded" in said


def test_a_damaged_number_of_runs_is_named(finished_folder: Path, undisturbed: list[Trial]) -> None:
    (finished_folder / RECORDED).write_text('{"runs": 99}')
    with Folder(finished_folder) as opened:
        assert "whether some are lost cannot be told" in opened.ledger.recovered
        assert belonging(opened.sweep, opened.ledger) == undisturbed


def test_runs_that_were_recorded_and_not_counted_are_there(
    finished_folder: Path, undisturbed: list[Trial]
) -> None:
    with Folder(finished_folder):
        state(finished_folder / NAME, 3)
    (finished_folder / f"{RECORDED}.new").write_text("half of a")
    assert table(finished_folder) == undisturbed
    with Folder(finished_folder):
        pass
    assert read_stated(finished_folder / NAME) == 24


# Showing


def test_showing_changes_nothing_and_says_what_is_damaged(
    finished_folder: Path, undisturbed: list[Trial], capsys: pytest.CaptureFixture[str]
) -> None:
    altered(finished_folder)
    before = {path.name: path.read_bytes() for path in finished_folder.iterdir()}
    for _ in range(2):
        _, trials = finished(finished_folder)
        assert trials == [trial for trial in undisturbed if trial.seed != 3]
        (line,) = capsys.readouterr().err.splitlines()
        assert "ledger.sqlite is damaged (4 of 24 runs are not as they were written): 20 runs in it" in line
        assert "4 runs that were recorded" in line
        assert "--resume" in line
    assert before == {path.name: path.read_bytes() for path in finished_folder.iterdir()}


def test_a_sweep_is_shown_while_it_is_trained(tmp_path: Path) -> None:
    shown = []

    def look(event: str, value: Any) -> None:
        if event == "recorded":
            shown.append(len(table(tmp_path)))

    run(tmp_path, listen=look)
    assert shown == [6, 12, 18, 24]
