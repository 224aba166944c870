"""A sweep loses nothing and does nothing twice: kills, damage, full disks, other sweeps, other workers."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dynprop.errors import ArgumentError, LedgerError, TargetError
from dynprop.training import engine
from dynprop.training.engine import run_sweep, trained_rows
from dynprop.training.ledger import NAME, SCHEMA, Ledger
from dynprop.training.setting import Setting
from dynprop.training.sweep import Folder, Sweep, export_csv, finished, read_sweep
from dynprop.training.trial import Trial

QUICK = (("batch", 16), ("every", 10), ("hidden", 4), ("updates", 20))
SWEEP = Sweep("latch", (3, 6), inits=("small", "orthogonal"), seeds=6, options=QUICK)


def run(path: Path, sweep: Sweep | None = SWEEP, seeds: int | None = None, **options: Any) -> int:
    with Folder(path, sweep, seeds) as folder:
        return run_sweep(folder, **options)


def table(path: Path) -> list[Trial]:
    _, trials = finished(path)
    return trials


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[Trial]:
    path = tmp_path_factory.mktemp("sweep") / "whole"
    assert run(path) == 24
    return table(path)


# Resuming


def test_a_sweep_has_every_run_once(undisturbed: list[Trial]) -> None:
    assert len({trial.key for trial in undisturbed}) == len(undisturbed) == 24
    assert {trial.seed for trial in undisturbed} == set(range(6))
    assert {trial.setting.key for trial in undisturbed} == {s.key for s in SWEEP.settings}


def test_what_is_there_is_not_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path / "a")
    monkeypatch.setattr(engine, "train", lambda *args, **kwargs: pytest.fail("trained again"))
    assert run(tmp_path / "a") == 0
    assert run(tmp_path / "a", None) == 0


def test_more_seeds_are_added_to_those_that_are_there(tmp_path: Path, undisturbed: list[Trial]) -> None:
    path = tmp_path / "a"
    assert run(path, replace(SWEEP, seeds=2)) == 8
    assert run(path, None, 5) == 12
    assert run(path, None, 3) == 0
    assert read_sweep(path).seeds == 5
    assert run(path) == 4
    assert table(path) == undisturbed


def test_groups_of_any_size_give_the_same_table(
    tmp_path: Path, undisturbed: list[Trial], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "GROUP", 4)
    assert run(tmp_path / "a", budget=1) == 24
    assert table(tmp_path / "a") == undisturbed


def test_seeds_are_added_until_the_answer_is_clear(tmp_path: Path) -> None:
    sweep = replace(SWEEP, lengths=(3,), inits=("small",), seeds=200)
    assert run(tmp_path / "a", sweep, until_clear=True) == 20
    _, trials = finished(tmp_path / "a")
    assert len(trials) == 20
    # Never clear of one half: all of them.
    assert run(tmp_path / "b", replace(sweep, seeds=5), until_clear=True) == 5


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


def test_a_group_that_takes_too_long_is_recorded_as_such(tmp_path: Path) -> None:
    assert run(tmp_path / "a", timeout=0.0) == 24
    assert {trial.status for trial in table(tmp_path / "a")} == {"timed out"}


def test_an_interrupt_leaves_what_is_recorded(
    tmp_path: Path, undisturbed: list[Trial], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(event: str, value: Any) -> None:
        if event == "recorded":
            raise KeyboardInterrupt

    monkeypatch.setattr(engine, "GROUP", 2)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "a", listen=stop)
    assert len(table(tmp_path / "a")) == 2
    assert run(tmp_path / "a", None) == 22
    assert table(tmp_path / "a") == undisturbed


# Other sweeps, other versions, wrong calls


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (replace(SWEEP, lengths=(3, 7)), "lengths 3,6 there, 3,7 here"),
        (replace(SWEEP, task="parity"), "task latch there, parity here"),
        (replace(SWEEP, inits=("small",)), "inits small,orthogonal there, small here"),
        (replace(SWEEP, options=QUICK[:-1]), "updates 20 there, 1500 here"),
        (replace(SWEEP, options=(*QUICK, ("rate", 0.5))), "rate 0.1 there, 0.5 here"),
    ],
)
def test_the_folder_of_another_sweep_is_refused_with_the_difference(
    tmp_path: Path, other: Sweep, named: str
) -> None:
    with Folder(tmp_path / "a", SWEEP):
        pass
    with pytest.raises(ArgumentError) as caught:
        Folder(tmp_path / "a", other)
    assert f"which holds another sweep ({named})" in str(caught.value)


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(ArgumentError, match="which holds other files"):
        Folder(tmp_path, SWEEP)
    with pytest.raises(ArgumentError, match=r"it has no sweep\.json"):
        Folder(tmp_path / "nowhere")


def test_two_coordinators_do_not_share_a_folder(tmp_path: Path) -> None:
    with (
        Folder(tmp_path / "a", SWEEP),
        pytest.raises(LedgerError, match="another dynprop train is at work here"),
    ):
        Folder(tmp_path / "a", SWEEP)
    with Folder(tmp_path / "a", SWEEP):
        pass


def test_a_ledger_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    run(tmp_path / "a", replace(SWEEP, seeds=1))
    db = sqlite3.connect(tmp_path / "a" / NAME)
    db.execute(f"PRAGMA user_version={SCHEMA + 1}")
    db.close()
    with pytest.raises(LedgerError, match=r"newer dynprop \(format 2; this one reads 1\)"):
        Folder(tmp_path / "a")


def test_runs_of_a_version_that_trained_otherwise_are_shown_and_not_added_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr("dynprop.training.setting.EPOCH", 0)
        run(tmp_path)
        found = [trial.to_row() for trial in table(tmp_path)]
    with pytest.raises(LedgerError, match="trained the same settings otherwise: go on with the version"):
        Folder(tmp_path)
    assert len(found) == 24
    assert sorted(map(repr, found)) == sorted(repr(trial.to_row()) for trial in table(tmp_path))


def test_a_description_of_a_newer_version_or_a_damaged_one_is_refused(tmp_path: Path) -> None:
    run(tmp_path / "a", replace(SWEEP, seeds=1))
    path = tmp_path / "a" / "sweep.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "format": 2}))
    with pytest.raises(LedgerError, match="newer dynprop"):
        read_sweep(tmp_path / "a")
    path.write_text(path.read_text()[:-9])
    with pytest.raises(LedgerError, match="is damaged"):
        read_sweep(tmp_path / "a")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": 0}, "seeds: got 0, expected a whole number of at least 1"),
        ({"lengths": ()}, "lengths: got"),
        ({"lengths": (3, 3)}, "all different"),
        ({"lengths": (1,)}, "length: got 1, expected at least 2"),
        ({"inits": ("smal",)}, "init: got 'smal'"),
        ({"options": (("rate", -1.0),)}, "rate: got -1.0"),
    ],
)
def test_a_sweep_that_is_impossible_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        replace(SWEEP, **change)
    assert message in str(caught.value)


def test_a_sweep_comes_back_from_json() -> None:
    assert Sweep.from_json(json.loads(json.dumps(SWEEP.to_json()))) == SWEEP
    assert SWEEP.difference(replace(SWEEP, seeds=9)) == ""


def test_every_run_is_a_line_of_the_csv(tmp_path: Path, undisturbed: list[Trial]) -> None:
    export_csv(undisturbed, tmp_path / "runs.csv")
    with (tmp_path / "runs.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 24
    for row, trial in zip(rows, undisturbed, strict=True):
        assert (row["init"], int(row["length"])) == (trial.setting.init, trial.setting.length)
        assert (row["status"], row["cause"]) == (trial.status, trial.cause)
        assert float(row["loss"]) == trial.loss


# A damaged ledger, a full disk


def filled(path: Path, count: int = 3000) -> list[Trial]:
    setting = Setting("latch", 9)
    trials = [Trial(setting, seed, "failure", 1500, 0.69, 0.5, 1.25, 1e-9) for seed in range(count)]
    with Ledger(path) as ledger:
        ledger.record(trials)
    return trials


def test_rows_that_a_disk_has_changed_are_found_and_dropped(tmp_path: Path) -> None:
    path = tmp_path / NAME
    trials = filled(path, 50)
    db = sqlite3.connect(path)
    db.execute("UPDATE runs SET status = 'success' WHERE seed = 7")
    db.commit()
    db.close()
    with Ledger(path) as ledger:
        assert "1 rows" in ledger.recovered
        assert ledger.trials() == [trial for trial in trials if trial.seed != 7]


def test_whole_runs_are_recovered_from_a_damaged_ledger(tmp_path: Path) -> None:
    path = tmp_path / NAME
    trials = filled(path)
    data = bytearray(path.read_bytes())
    assert len(data) > 60 * 4096
    pages = random.Random(0).sample(range(10, len(data) // 4096), 3)
    for page in pages:
        data[page * 4096 : (page + 1) * 4096] = bytes(4096)
    path.write_bytes(data)
    with Ledger(path) as ledger:
        assert "whole runs were recovered" in ledger.recovered
        found = ledger.trials()
        # A page holds some forty rows; nothing that is there is wrong.
        assert len(trials) - 3 * 64 <= len(found) < len(trials)
        assert set(found) <= set(trials)
    assert (tmp_path / "ledger.damaged-1").exists()
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


def test_a_ledger_that_cannot_be_read_at_all_is_named(tmp_path: Path) -> None:
    path = tmp_path / NAME
    path.write_bytes(b"not a ledger" * 1000)
    with pytest.raises(
        LedgerError, match=r"is damaged beyond reading .*put back a copy of it, or move it away"
    ):
        Ledger(path)
    assert path.read_bytes().startswith(b"not a ledger")


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


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="choose a folder that can be written"):
        Folder(tmp_path / "file" / "sweep", SWEEP)


# kill -9

KILLS = int(os.environ.get("DYNPROP_KILLS", "2"))
# Enough runs that there is something left to kill.
SLOW = replace(SWEEP, seeds=20 + 8 * KILLS, options=(*QUICK[:-1], ("updates", 30)))
CODE = """
import sys
from pathlib import Path
from dynprop.training import engine
from dynprop.training.sweep import Folder
engine.GROUP = 3
def tell(event, value):
    if event == "recorded":
        print(*(t.key for t in value), flush=True)
with Folder(Path(sys.argv[1])) as folder:
    engine.run_sweep(folder, listen=tell)
"""


def test_a_coordinator_that_is_killed_loses_nothing_that_it_told(tmp_path: Path) -> None:
    path, rng = tmp_path / "a", random.Random(os.environ.get("DYNPROP_KILL_SEED", "0"))
    with Folder(path, SLOW):
        pass
    told: list[str] = []
    for kill in range(KILLS + 1):
        with subprocess.Popen([sys.executable, "-c", CODE, str(path)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            if kill < KILLS:
                # A line, so that it is at work, and then any instant of the next groups.
                told += process.stdout.readline().decode().split()
                time.sleep(rng.uniform(0.0, 0.05))
                process.send_signal(signal.SIGKILL)
            # The last line may be cut off: what was not told as a whole was not told.
            lines = process.stdout.read().decode().split("\n")[:-1]
        told += " ".join(lines).split()
        assert process.returncode == (-signal.SIGKILL if kill < KILLS else 0)
        assert set(told) <= {trial.key for trial in table(path)}
    assert len(told) == len(set(told))
    whole = tmp_path / "b"
    run(whole, SLOW)
    assert table(path) == table(whole)


# Workers


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0", silence_logs=50
    ) as found:
        yield found


def test_workers_train_the_same_table_and_survive_the_death_of_one(
    tmp_path: Path, undisturbed: list[Trial], cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "GROUP", 2)
    killed: list[int] = []

    def kill_one(event: str, value: Any) -> None:
        if event == "recorded" and not killed:
            pids = [worker.pid for worker in cluster.workers.values()]
            killed.append(pids[0])
            os.kill(pids[0], signal.SIGKILL)

    assert run(tmp_path / "a", scheduler=cluster.scheduler_address, listen=kill_one) == 24
    assert killed
    assert table(tmp_path / "a") == undisturbed


def test_a_group_that_kills_its_workers_is_recorded_as_lost() -> None:
    from distributed import KilledWorker

    class Lost:
        def result(self) -> Any:
            raise KilledWorker("group", None, 3)

    group = engine.Group(SWEEP.settings[0], (4, 5))
    found = engine._outcome(Lost(), group)
    assert [(t.seed, t.status, t.cause) for t in found] == [(4, "worker lost", ""), (5, "worker lost", "")]
    assert "KilledWorker" in found[0].note


def test_what_a_worker_returns_is_plain_data(undisturbed: list[Trial]) -> None:
    setting = SWEEP.settings[0]
    rows = trained_rows(json.loads(json.dumps(setting.to_json())), [1, 2], 2**30, None)
    assert json.loads(json.dumps(rows)) == rows
    assert [Trial(setting, **row) for row in rows] == [
        t for t in undisturbed if t.setting == setting and t.seed in (1, 2)
    ]


def test_a_scheduler_that_does_not_answer_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "CONNECT_SECONDS", 0.5)
    with pytest.raises(TargetError, match=r"no dask scheduler answered at tcp://127.0.0.1:9 within \d+ s"):
        run(tmp_path / "a", scheduler="tcp://127.0.0.1:9")
