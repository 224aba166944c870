"""Workers of dask train the same table, and their end, or Ctrl-C, is one clear line."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dynprop.errors import ArgumentError, TargetError
from dynprop.training.store.index import read_run_count
from dynprop.training.store.ledger import NAME
from dynprop.training.sweeps import engine
from dynprop.training.sweeps.engine import trained_rows
from dynprop.training.sweeps.events import Recorded, SweepEvent
from dynprop.training.sweeps.interrupts import delayed_interrupts
from dynprop.training.trials.trial import Trial
from tests.properties.training.sweeping import SWEEP, run, table


def threads_of(count: int) -> Any:
    """Return a scheduler with so many workers that are threads of this process."""
    from distributed import LocalCluster

    return LocalCluster(
        n_workers=count, threads_per_worker=1, processes=False, dashboard_address=":0", silence_logs=50
    )


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

    def kill_one(event: SweepEvent) -> None:
        if isinstance(event, Recorded) and not killed:
            pids = [worker.pid for worker in cluster.workers.values()]
            killed.append(pids[0])
            os.kill(pids[0], signal.SIGKILL)

    assert run(tmp_path / "a", scheduler=cluster.scheduler_address, listen=kill_one) == 24
    assert killed
    assert table(tmp_path / "a") == undisturbed


def test_workers_of_this_machine_train_the_same_table_and_end_with_it(
    tmp_path: Path, undisturbed: list[Trial]
) -> None:
    before = set(multiprocessing.active_children())
    begin = time.monotonic()
    ended = []

    def listen(event: SweepEvent) -> None:
        ended.append(time.monotonic())

    assert run(tmp_path / "a", workers=2, listen=listen) == 24
    assert table(tmp_path / "a") == undisturbed
    assert set(multiprocessing.active_children()) <= before
    # Nobody waits for those who idle.
    assert time.monotonic() - ended[-1] < max(3.0, ended[-1] - begin)


def test_a_client_that_is_handed_in_is_left_open(
    tmp_path: Path, undisturbed: list[Trial], cluster: Any
) -> None:
    from distributed import Client

    with Client(cluster.scheduler_address, set_as_default=False) as client:
        assert run(tmp_path / "a", client=client) == 24
        assert client.status == "running"
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
    rows = trained_rows(json.loads(json.dumps(setting.to_json())), [1, 2], 2**30, None, setting.key)
    assert json.loads(json.dumps(rows)) == rows
    assert [Trial(setting, **row) for row in rows] == [
        t for t in undisturbed if t.setting == setting and t.seed in (1, 2)
    ]


def test_a_worker_that_trains_otherwise_trains_nothing() -> None:
    with pytest.raises(TargetError, match="a worker has another dynprop, which trains otherwise"):
        trained_rows(SWEEP.settings[0].to_json(), [1], 2**30, None, "another key")


# What goes wrong


@pytest.mark.parametrize("number", [0, -1, True, 1.5])
def test_an_impossible_number_of_workers_is_refused(tmp_path: Path, number: Any) -> None:
    with pytest.raises(ArgumentError, match=r"workers: got .* expected a whole number of at least 1"):
        run(tmp_path / "a", workers=number)


def test_a_scheduler_that_does_not_answer_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "CONNECT_SECONDS", 0.5)
    with pytest.raises(TargetError, match=r"no dask scheduler answered at tcp://127.0.0.1:9 within \d+ s"):
        run(tmp_path / "a", scheduler="tcp://127.0.0.1:9")


def test_a_scheduler_without_workers_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "CONNECT_SECONDS", 0.5)
    with (
        threads_of(0) as alone,
        pytest.raises(
            TargetError, match=r"no worker has joined the dask scheduler at .* within \d+ s: start one"
        ),
    ):
        run(tmp_path / "a", scheduler=alone.scheduler_address)


def test_a_scheduler_that_all_workers_leave_is_named(
    tmp_path: Path, undisturbed: list[Trial], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "GROUP", 2)
    monkeypatch.setattr(engine, "ALONE_SECONDS", 0.5)
    monkeypatch.setattr(engine, "POLL_SECONDS", 0.2)
    with threads_of(1) as small:

        def dismiss(event: SweepEvent) -> None:
            if isinstance(event, Recorded):
                small.scale(0)

        with pytest.raises(TargetError, match=r"all workers have left the scheduler.* --resume"):
            run(tmp_path / "a", scheduler=small.scheduler_address, listen=dismiss)
    assert 0 < len(table(tmp_path / "a")) < 24
    run(tmp_path / "a")
    assert table(tmp_path / "a") == undisturbed


def test_a_scheduler_that_dies_is_named_and_what_was_recorded_stays(
    tmp_path: Path,
    undisturbed: list[Trial],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(engine, "GROUP", 2)
    monkeypatch.setattr(engine, "CONNECT_SECONDS", 1.0)
    with threads_of(1) as dying:

        def kill(event: SweepEvent) -> None:
            if isinstance(event, Recorded):
                dying.close()

        with pytest.raises(TargetError, match=r"the scheduler or its workers failed .*safe; go on with"):
            run(tmp_path / "a", scheduler=dying.scheduler_address, listen=kill)
    assert "Failed to reconnect" not in capfd.readouterr().err
    assert 0 < len(table(tmp_path / "a")) < 24
    run(tmp_path / "a")
    assert table(tmp_path / "a") == undisturbed


def test_what_a_worker_cannot_do_is_one_line(cluster: Any, tmp_path: Path) -> None:
    soon: Any = "soon"
    with pytest.raises(
        TargetError, match=r"workers failed \(TypeError: .*\): what was recorded is safe; go on"
    ):
        run(tmp_path / "a", scheduler=cluster.scheduler_address, timeout=soon)


# Ctrl-C


def interrupted(done: list[bool], **options: bool) -> None:
    with delayed_interrupts(**options):
        signal.raise_signal(signal.SIGINT)
        done.append(True)


def test_an_interrupt_waits_for_the_end_of_what_must_not_be_cut() -> None:
    done: list[bool] = []
    with pytest.raises(KeyboardInterrupt):
        interrupted(done)
    interrupted(done, forget=True)
    assert done == [True, True]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["call", "start", "training"])
def test_an_interrupt_at_any_time_is_one_line_and_leaves_no_process(tmp_path: Path, phase: str) -> None:
    path = tmp_path / "a"
    # Groups that are recorded soon, and many of them.
    small = "--hidden 2 --batch 4 --updates 100 --seeds 4000"
    words = f"train --task latch --init small --lengths 20,30 {small} --workers 2 --out {path}".split()
    code = "import sys; from dynprop.cli import main; print('ready', flush=True); sys.exit(main())"
    with subprocess.Popen(
        [sys.executable, "-c", code, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Threads of libraries would only compete.
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        # While the command line is read; while workers start; once a group of theirs is recorded.
        if phase == "call":
            time.sleep(0.2)
        else:
            least = 0 if phase == "start" else 1
            while (count := read_run_count(path / NAME)) is None or count < least:
                assert process.poll() is None
                time.sleep(0.02)
        # As a terminal does, to everybody.
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
    lines = [line for line in err.splitlines() if "runs," not in line]
    assert process.returncode == 130
    # While the command line is being read, there is nothing to say.
    assert len(lines) == 1 or (lines == [] and phase == "call")
    assert all(line.startswith("dynprop: interrupted") for line in lines)
    assert all(("dynprop train --resume" in line) == (path / "sweep.json").exists() for line in lines)
    deadline = time.monotonic() + 10.0
    while _session(process.pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _session(number: int) -> list[int]:
    """Return the processes of a session that are not yet dead."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == number and fields[0] != "Z":
            found.append(int(entry.name))
    return found
