"""A ledger loses no run silently: valid rows are kept, lost runs are reported and trained again."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dynprop.errors import LedgerError
from dynprop.training.store.index import RUN_COUNT, read_run_count, write_run_count
from dynprop.training.store.ledger import NAME, Ledger
from dynprop.training.sweeps.events import Recorded, SweepEvent
from dynprop.training.sweeps.sweep import Folder, finished, trials_of
from dynprop.training.trials.trial import Trial
from tests.properties.training.sweeping import SWEEP, altered, filled, run, table

PAGE = 4096


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
            {**recorded[0].to_row(), "loss": 1.0, "error_rate": 0.0, "max_grad_norm": None}
        ]


# Damage


def is_whole(path: Path, truth: list[Trial]) -> str:
    """Open a folder; say whether what is there is true, and what is not there is missing and named."""
    try:
        with Folder(path) as opened:
            found, missing = trials_of(opened.sweep, opened.ledger.trials()), opened.missing()
            said = opened.ledger.recovered
    except LedgerError as error:
        return f"refused: {error}"
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
def test_a_flipped_bit_outside_the_runs_loses_at_most_what_is_trained_again(
    finished_folder: Path, undisturbed: list[Trial], table_of: str
) -> None:
    db = sqlite3.connect(finished_folder / NAME)
    (root,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table_of,)).fetchone()
    db.close()
    data, rng = (finished_folder / NAME).read_bytes(), random.Random(1)
    used = [at for at in range((root - 1) * PAGE, root * PAGE) if data[at]]
    for at in rng.sample(used, 60):
        work = Path(shutil.copytree(finished_folder, finished_folder.with_name("work")))
        changed = bytearray(data)
        changed[at] ^= 1 << rng.randrange(8)
        (work / NAME).write_bytes(changed)
        with Folder(work) as opened:
            assert (trials_of(opened.sweep, opened.ledger.trials()), opened.missing()) == (undisturbed, [])
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
    at = data.index(key, (root - 1) * PAGE)
    (finished_folder / NAME).write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    with Folder(finished_folder) as opened:
        assert "missing from index" in opened.ledger.recovered


def test_a_damaged_schema_is_reported_and_its_runs_are_trained_again(
    finished_folder: Path, undisturbed: list[Trial]
) -> None:
    data = (finished_folder / NAME).read_bytes()
    for name in (b"status TEXT", b"CREATE TABLE runs", b"UNIQUE (setting"):
        work = Path(shutil.copytree(finished_folder, finished_folder.with_name("work")))
        changed = name[:3] + bytes([name[3] ^ 128]) + name[4:]
        (work / NAME).write_bytes(data.replace(name, changed))
        assert is_whole(work, undisturbed) == ""
        run(work)
        assert table(work) == undisturbed
        shutil.rmtree(work)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            "UPDATE runs SET status = 'success', updates = 1 WHERE seed = 3",
            "4 of 24 runs are not as they were",
        ),
        ("UPDATE runs SET note = CAST(x'ff' AS TEXT) WHERE seed = 3", "4 of 24 runs are not as they were"),
        (
            "UPDATE settings SET content = replace(content, '\"hidden\": 4', '\"hidden\": 5')",
            "a setting is not",
        ),
        ("UPDATE settings SET content = replace(content, 'float32', 'float22')", "a setting is not"),
        ("UPDATE settings SET content = '{'", "a setting is not"),
        ("DELETE FROM settings", "a setting is missing"),
        ("DROP TABLE settings", "its tables are not those of a ledger"),
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
        assert trials_of(opened.sweep, opened.ledger.trials()) == left
        if reason:
            assert f"{len(left)} runs could be read and are kept" in opened.ledger.recovered
        opened.ledger.settle()
    run(finished_folder)
    assert table(finished_folder) == undisturbed


@pytest.mark.parametrize("pages", [3, 1])
def test_runs_before_and_behind_damaged_pages_are_kept(tmp_path: Path, pages: int) -> None:
    path = tmp_path / NAME
    trials = filled(path)
    data = bytearray(path.read_bytes())
    assert len(data) > 60 * 4096
    for page in random.Random(0).sample(range(10, len(data) // 4096), pages):
        data[page * 4096 : (page + 1) * 4096] = bytes(4096)
    path.write_bytes(data)
    with Ledger(path) as ledger:
        assert "runs could be read and are kept" in ledger.recovered
        found = ledger.trials()
        # A page holds some forty rows.
        assert len(trials) - 64 <= len(found) < len(trials) or pages > 1
        assert found
        assert set(found) <= set(trials)
        assert f"{3000 - len(found)} runs that were recorded" in ledger.recovered
        ledger.settle()
    assert (tmp_path / "ledger.damaged-1").read_bytes() == data
    with Ledger(path) as again:
        assert again.recovered == ""
        assert again.trials() == found


@pytest.mark.parametrize("keep", [0.2, 0.6, 0.95])
def test_lost_runs_of_a_truncated_ledger_are_counted(tmp_path: Path, keep: float) -> None:
    path = tmp_path / NAME
    trials = filled(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data))])
    with Ledger(path) as ledger:
        found = ledger.trials()
        assert f"{len(trials) - len(found)} runs that were recorded in {path} are lost" in ledger.recovered
    assert set(found) <= set(trials)
    assert 0.2 * keep * len(trials) < len(found) < len(trials)


@pytest.mark.parametrize("content", [b"not a ledger" * 1000, b"hello", random.Random(0).randbytes(9000)])
def test_a_ledger_that_cannot_be_read_is_kept_and_its_runs_are_trained_again(
    finished_folder: Path, undisturbed: list[Trial], content: bytes
) -> None:
    path = finished_folder / NAME
    path.write_bytes(content)
    said: list[str] = []
    _, shown = finished(finished_folder, said.append)
    assert shown == []
    assert f"{path} is damaged (its header is not that of a ledger): 0 runs in it can be read" in said[0]
    assert f"24 runs that were recorded in {path} are lost and --resume trains them again" in said[0]
    assert path.read_bytes() == content
    assert is_whole(finished_folder, undisturbed) == ""
    assert (finished_folder / "ledger.damaged-1").read_bytes() == content
    assert run(finished_folder) == 24
    assert table(finished_folder) == undisturbed


def test_the_database_of_somebody_else_is_refused(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / NAME)
    db.execute("CREATE TABLE songs (title TEXT)")
    db.close()
    with pytest.raises(LedgerError, match="holds other tables: move this database to another folder"):
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


def test_a_log_without_its_ledger_is_kept_and_its_runs_are_trained_again(
    killed: Path, undisturbed: list[Trial]
) -> None:
    (killed / NAME).unlink()
    log = (killed / f"{NAME}-wal").read_bytes()
    with Folder(killed) as opened:
        assert "its beginning is missing" in opened.ledger.recovered
        assert "24 runs that were recorded" in opened.ledger.recovered
    assert (killed / "ledger.damaged-1-wal").read_bytes() == log
    run(killed)
    assert table(killed) == undisturbed


def test_runs_behind_a_damaged_place_of_the_log_are_counted_and_trained_again(
    killed: Path, undisturbed: list[Trial]
) -> None:
    log = killed / f"{NAME}-wal"
    data = bytearray(log.read_bytes())
    # SQLite ignores all frames from the first one with a wrong checksum.
    data[len(data) // 2] ^= 1
    log.write_bytes(data)
    assert is_whole(killed, undisturbed) == ""
    run(killed)
    assert table(killed) == undisturbed


def test_the_log_of_another_ledger_shows_no_wrong_run(
    finished_folder: Path, undisturbed: list[Trial], tmp_path: Path
) -> None:
    with Ledger(tmp_path / NAME) as other:
        other.record(Trial(replace(SWEEP.settings[0], length=9), seed, "success", 1) for seed in range(5))
        shutil.copyfile(tmp_path / f"{NAME}-wal", finished_folder / f"{NAME}-wal")
    said: list[str] = []
    _, shown = finished(finished_folder, said.append)
    assert set(shown) <= set(undisturbed)
    assert f"{24 - len(shown)} runs that were recorded" in said[0]
    assert is_whole(finished_folder, undisturbed) == ""
    run(finished_folder)
    assert table(finished_folder) == undisturbed


def test_the_ledger_of_another_sweep_is_named(finished_folder: Path) -> None:
    (finished_folder / NAME).unlink()
    filled(finished_folder.with_name(NAME), 5)
    shutil.copyfile(finished_folder.with_name(NAME), finished_folder / NAME)
    with Folder(finished_folder) as opened:
        said = opened.ledger.recovered
    assert "holds 5 runs of other settings and none of this sweep" in said
    assert "24 runs that were recorded" in said


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ('{"runs": 99}', "is damaged (its content does not match its checksum): how many runs are lost is"),
        ("", "is damaged"),
        (None, "is missing: how many runs are lost is unknown"),
    ],
)
def test_a_run_count_that_is_damaged_or_missing_is_reported(
    finished_folder: Path, undisturbed: list[Trial], text: str | None, note: str
) -> None:
    path = finished_folder / RUN_COUNT
    path.unlink()
    if text is not None:
        path.write_text(text)
    for _ in range(2):
        said: list[str] = []
        finished(finished_folder, said.append)
        assert f"{path} {note}" in said[0]
    with Folder(finished_folder) as opened:
        assert f"{path} {note}" in opened.ledger.recovered
        opened.ledger.settle()
        assert trials_of(opened.sweep, opened.ledger.trials()) == undisturbed


def test_the_run_count_of_another_folder_loses_nothing(
    finished_folder: Path, undisturbed: list[Trial]
) -> None:
    write_run_count(finished_folder / NAME, 30)
    with Folder(finished_folder) as opened:
        assert "6 runs that were recorded" in opened.ledger.recovered
        opened.ledger.settle()
    assert table(finished_folder) == undisturbed


def test_a_ledger_that_is_lost_with_its_run_count_is_reported(finished_folder: Path) -> None:
    (finished_folder / RUN_COUNT).unlink()
    (finished_folder / NAME).write_bytes(b"hello")
    with Folder(finished_folder) as opened:
        assert "0 runs could be read and are kept" in opened.ledger.recovered
        assert "is missing: how many runs are lost is unknown" in opened.ledger.recovered
        assert sum(len(seeds) for _, seeds in opened.missing()) == 24


def test_runs_that_were_recorded_and_not_counted_are_there(
    finished_folder: Path, undisturbed: list[Trial]
) -> None:
    with Folder(finished_folder):
        write_run_count(finished_folder / NAME, 3)
    (finished_folder / f"{RUN_COUNT}.new").write_text("half of a")
    assert table(finished_folder) == undisturbed
    with Folder(finished_folder):
        pass
    assert read_run_count(finished_folder / NAME) == 24


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

    def look(event: SweepEvent) -> None:
        if isinstance(event, Recorded):
            shown.append(len(table(tmp_path)))

    run(tmp_path, listen=look)
    assert shown == [6, 12, 18, 24]
