"""A sweep does nothing twice: resuming, extending, retrying; other sweeps and versions; kills."""

from __future__ import annotations

import csv
import json
import os
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dynprop.errors import ArgumentError, LedgerError
from dynprop.training.store.checksummed import write_checksummed
from dynprop.training.store.ledger import NAME, SCHEMA
from dynprop.training.sweeps import engine
from dynprop.training.sweeps.events import Recorded, SweepEvent
from dynprop.training.sweeps.live import LiveView
from dynprop.training.sweeps.sweep import MOST_RUNS, Folder, Sweep, export_csv, finished, planned, read_sweep
from dynprop.training.trials.trial import Trial
from tests.properties.training.sweeping import QUICK, SWEEP, run, table

# Resuming


def test_a_sweep_has_every_run_once(undisturbed: list[Trial]) -> None:
    assert len({trial.key for trial in undisturbed}) == len(undisturbed) == 24
    assert {trial.seed for trial in undisturbed} == set(range(6))
    assert {trial.setting.key for trial in undisturbed} == {s.key for s in SWEEP.settings}


def test_what_is_there_is_not_trained_again(finished_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "train", lambda *args, **kwargs: pytest.fail("trained again"))
    assert run(finished_folder) == 0
    assert run(finished_folder, None) == 0


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


def test_a_group_that_takes_too_long_is_recorded_as_such(tmp_path: Path) -> None:
    assert run(tmp_path / "a", timeout=0.0) == 24
    assert {trial.status for trial in table(tmp_path / "a")} == {"timed out"}


def test_lost_runs_are_trained_again_where_that_is_asked_for(
    tmp_path: Path, undisturbed: list[Trial]
) -> None:
    path = tmp_path / "a"
    run(path, timeout=0.0)
    assert run(path) == 0
    with Folder(path) as folder:
        assert LiveView(folder, retry=True).line().startswith("0/24 runs, 0 successes")
    assert run(path, retry=True) == 24
    assert table(path) == undisturbed
    assert run(path, retry=True) == 0


def test_a_lost_run_stays_until_its_new_outcome_is_there(
    tmp_path: Path, undisturbed: list[Trial], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(event: SweepEvent) -> None:
        if isinstance(event, Recorded):
            raise KeyboardInterrupt

    path = tmp_path / "a"
    monkeypatch.setattr(engine, "GROUP", 2)
    run(path, timeout=0.0)
    with pytest.raises(KeyboardInterrupt):
        run(path, retry=True, listen=stop)
    trials = table(path)
    assert [trial.key for trial in trials] == [trial.key for trial in undisturbed]
    assert sum(trial.status == "timed out" for trial in trials) == 22
    assert {trial for trial in trials if trial.status != "timed out"} < set(undisturbed)
    assert run(path, retry=True) == 22
    assert table(path) == undisturbed


def test_an_interrupt_leaves_what_is_recorded(
    tmp_path: Path, undisturbed: list[Trial], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(event: SweepEvent) -> None:
        if isinstance(event, Recorded):
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


def test_a_ledger_of_a_newer_version_is_refused(finished_folder: Path) -> None:
    db = sqlite3.connect(finished_folder / NAME)
    db.execute(f"PRAGMA user_version={SCHEMA + 1}")
    db.close()
    with pytest.raises(LedgerError, match=r"newer dynprop \(format 3; this one reads 2\)"):
        Folder(finished_folder)


def test_runs_of_a_version_that_trained_otherwise_are_shown_and_not_added_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr("dynprop.training.trials.setting.EPOCH", 0)
        run(tmp_path)
        rows = [trial.to_row() for trial in table(tmp_path)]
    with pytest.raises(LedgerError, match="trained the same settings otherwise: go on with the version"):
        Folder(tmp_path)
    assert len(rows) == 24
    assert sorted(map(repr, rows)) == sorted(repr(trial.to_row()) for trial in table(tmp_path))


def test_a_description_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    with Folder(tmp_path, SWEEP):
        pass
    record = json.loads((tmp_path / "sweep.json").read_text())
    del record["checksum"]
    write_checksummed(tmp_path / "sweep.json", {**record, "format": 2})
    with pytest.raises(LedgerError, match=r"newer dynprop \(format 2\)"):
        read_sweep(tmp_path)


def test_a_description_that_was_changed_is_named(tmp_path: Path) -> None:
    with Folder(tmp_path, SWEEP):
        pass
    path = tmp_path / "sweep.json"
    data = path.read_bytes()
    outcomes = set()
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        try:
            outcomes.add(read_sweep(tmp_path).to_json() == SWEEP.to_json())
        except LedgerError as error:
            outcomes.add("is damaged or was changed" in str(error))
    assert outcomes == {True}
    for text in ("", "[]", "[" * 100_000, "7", '{"format": 1}', '{"format": 1, "sweep": [], "versions": {}}'):
        path.write_text(text)
        with pytest.raises(LedgerError, match="is damaged or was changed"):
            read_sweep(tmp_path)


def test_a_description_of_before_there_were_checksums_is_read(tmp_path: Path) -> None:
    record = {"format": 1, "sweep": SWEEP.to_json(), "versions": {}}
    (tmp_path / "sweep.json").write_text(json.dumps(record))
    assert read_sweep(tmp_path) == SWEEP
    with Folder(tmp_path, seeds=7):
        pass
    assert "checksum" in json.loads((tmp_path / "sweep.json").read_text())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": 0}, "seeds: got 0, expected a whole number of at least 1"),
        ({"lengths": ()}, "lengths: got"),
        ({"lengths": (3, 3)}, "all different"),
        ({"lengths": (1,)}, "length: got 1, expected at least 2"),
        ({"inits": ("smal",)}, "init: got 'smal'"),
        ({"options": (("rate", -1.0),)}, "rate: got -1.0"),
        (
            {"seeds": 2_500_001},
            "seeds: got 2500001 for each of 4 configurations and lengths, expected at most",
        ),
        ({"seeds": 10**30}, "at most 2500000: no more than 10,000,000 runs"),
    ],
)
def test_a_sweep_that_is_impossible_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        replace(SWEEP, **change)
    assert message in str(caught.value)


def test_a_folder_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    assert planned(tmp_path / "new", SWEEP) == SWEEP
    assert planned(tmp_path / "new", SWEEP, 9).seeds == 9
    for seeds in (0, MOST_RUNS):
        with pytest.raises(ArgumentError, match="seeds: got"):
            Folder(tmp_path / "new", SWEEP, seeds)
    assert not (tmp_path / "new").exists()


def test_a_folder_that_was_begun_and_not_described_is_taken(tmp_path: Path) -> None:
    for name in ("lock", "sweep.json.new"):
        (tmp_path / name).write_text("")
    with Folder(tmp_path, SWEEP) as folder:
        assert len(folder.missing()) == 4


def test_a_model_that_does_not_fit_into_memory_is_refused_before_it_is_trained(tmp_path: Path) -> None:
    sweep = replace(SWEEP, lengths=(3, 10**12))
    with pytest.raises(ArgumentError, match=r"length: got 1000000000000, .* GiB .* of memory where it is"):
        run(tmp_path / "a", sweep)
    assert table(tmp_path / "a") == []


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
        for name, value in {"wrong": trial.error_rate, "peak": trial.max_grad_norm}.items():
            assert float(row[name]) == value
        assert row["reach"] == ("" if trial.gradient_ratio is None else str(trial.gradient_ratio))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="choose a folder that can be written"):
        Folder(tmp_path / "file" / "sweep", SWEEP)


# kill -9

KILLS = int(os.environ.get("DYNPROP_KILLS", "2"))
# Enough runs that there is something left to kill.
SLOW = replace(SWEEP, seeds=8 + 6 * KILLS, options=(*QUICK[:-1], ("updates", 30)))
# One process imports torch, and forks a coordinator for each kill and one that ends by itself.
CODE = """
import json, os, random, signal, sys, time
from pathlib import Path
from dynprop.training.sweeps import engine
from dynprop.training.sweeps.events import Recorded
from dynprop.training.sweeps.sweep import Folder, finished
engine.GROUP = 3
path, kills, rng = Path(sys.argv[1]), int(sys.argv[2]), random.Random(sys.argv[3])
def tell(event):
    if isinstance(event, Recorded):
        os.write(writing, (" ".join(t.key for t in event.trials) + "\\n").encode())
for kill in range(kills + 1):
    reading, writing = os.pipe()
    if not (child := os.fork()):
        with Folder(path) as folder:
            engine.run_sweep(folder, listen=tell)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as lines:
        told = lines.readline()
        if kill < kills:
            # A line, so that it is at work, and then any instant of the next groups.
            time.sleep(rng.uniform(0.0, 0.05))
            os.kill(child, signal.SIGKILL)
        # The last line may be cut off: then it was not told.
        told = (told + lines.read()).split("\\n")[:-1]
    _, status = os.waitpid(child, 0)
    damage = []
    _, trials = finished(path, damage.append)
    told, recorded = " ".join(told).split(), [t.key for t in trials]
    print(json.dumps([os.waitstatus_to_exitcode(status), told, recorded, damage]), flush=True)
"""


def test_a_coordinator_that_is_killed_loses_nothing_that_it_told(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with Folder(path, SLOW):
        pass
    seed = os.environ.get("DYNPROP_KILL_SEED", "0")
    command = [sys.executable, "-c", CODE, str(path), str(KILLS), seed]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    rounds = [json.loads(line) for line in done.stdout.splitlines()]
    assert [status for status, *_ in rounds] == [-signal.SIGKILL] * KILLS + [0]
    told: list[str] = []
    for _, lines, recorded, damage in rounds:
        told += lines
        assert set(told) <= set(recorded)
        assert damage == []
    assert len(told) == len(set(told))
    whole = tmp_path / "b"
    run(whole, SLOW)
    assert table(path) == table(whole)
