"""What `dynprop train` refuses, says and does: no option is swallowed, no folder made too early."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from dynprop.cli import main
from dynprop.training.store.ledger import NAME
from dynprop.training.sweeps import engine
from dynprop.training.sweeps.sweep import Sweep, read_sweep
from tests.properties.training.sweeping import altered, table

NEW = ["train", "--task", "latch", "--init", "small", "--lengths", "3,6", "--hidden", "4", "--updates", "20"]
OUT = [*NEW, "--out", "{new}"]
RESUME, SHOW = ["train", "--resume", "{old}"], ["train", "--show", "{old}"]


def placed(arguments: list[str], tmp_path: Path, whole: Path) -> list[str]:
    places = {"{new}": str(tmp_path / "new"), "{old}": str(whole)}
    return [places.get(argument, argument) for argument in arguments]


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ([*RESUME, "--cell", "gru"], ["resume: got --cell", "only --seeds, --retry and how to train"]),
        ([*RESUME, "--optimiser", "adam"], ["got --optimiser"]),
        ([*RESUME, "--csv", "runs.csv"], ["got --csv"]),
        ([*RESUME, "--every", "10", "--rate", "0.1"], ["got --every, --rate"]),
        ([*OUT, "--csv", "runs.csv"], ["out: got --csv, expected --csv beside --show"]),
        ([*OUT, "--retry"], ["got --retry", "--retry beside --resume"]),
        ([*SHOW, "--seeds", "3"], ["show: got --seeds, expected only --csv"]),
        ([*SHOW, "--workers", "1"], ["got --workers"]),
        ([*SHOW, "--until-clear", "--retry"], ["got --retry, --until-clear"]),
        ([*SHOW, "--cell", "tanh", "--timeout", "3"], ["got --cell, --timeout"]),
        ([*OUT, "--scheduler", "tcp://127.0.0.1:9", "--workers", "2"], ["workers: got 2 beside --scheduler"]),
        (["train", "--out", "{new}"], ["no --task and no --lengths"]),
        (["train", "--task", "latch", "--out", "{new}"], ["train: got no --lengths, expected both"]),
        (["train", "--lengths", "4", "--out", "{new}"], ["train: got no --task, expected both"]),
        (
            [*OUT, "--init", "small,orthogonal,small=0.1"],
            ["init: got small and small=0.1, which are the same"],
        ),
        ([*OUT, "--optimiser", "momentum,momentum=0.9"], ["momentum and momentum=0.9, which are the same"]),
        (
            [*OUT, "--seeds", "5000001"],
            ["seeds: got 5000001", "no more than 10,000,000 runs"],
        ),
        ([*OUT, "--seeds", "9" * 40], ["seeds: got 9", "at most 5000000"]),
        ([*OUT, "--lengths", "3," + "9" * 30], ["length: got 9", "GiB of memory where it is trained"]),
        ([*OUT, "--batch", "9" * 12], ["in batches of 9", "GiB of memory where it is trained"]),
        ([*OUT, "--every", "0"], ["every: got 0"]),
        ([*OUT, "--workers", "0"], ["workers: got 0"]),
        ([*OUT, "--timeout", "nan"], ["timeout: got nan"]),
        ([*OUT, "--scheduler", "nowhere"], ["no dask scheduler answered at nowhere"]),
    ],
)
def test_a_wrong_call_is_one_line_and_makes_no_folder(
    arguments: list[str],
    parts: list[str],
    whole: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine, "CONNECT_SECONDS", 0.3)
    before = sorted(path.name for path in whole.iterdir())
    assert main(placed(arguments, tmp_path, whole)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert [part for part in parts if part not in line] == []
    assert not (tmp_path / "new").exists()
    assert sorted(path.name for path in whole.iterdir()) == before


def test_the_scheduler_is_tried_before_a_folder_is_made_or_changed(
    tmp_path: Path, whole: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "CONNECT_SECONDS", 0.3)
    folder = Path(shutil.copytree(whole, tmp_path / "a"))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    arguments = ["train", "--resume", str(folder), "--seeds", "9", "--scheduler", "tcp://127.0.0.1:9"]
    assert main(arguments) == 2
    assert "no dask scheduler answered" in capsys.readouterr().err
    assert before == {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_smaller_number_of_seeds_is_said_to_be_kept(
    finished_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--resume", str(finished_folder), "--seeds", "2"]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"dynprop: {finished_folder} keeps its 6 seeds: 2 is less"
    assert main(["train", "--resume", str(finished_folder), "--seeds", "6"]) == 0
    assert capsys.readouterr().err == ""


def test_updates_between_judgements_are_an_option(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    assert main([*NEW, "--seeds", "1", "--every", "4", "--out", str(folder)]) == 0
    expected = Sweep(
        "latch", (3, 6), inits=("small",), seeds=1, options=(("every", 4), ("hidden", 4), ("updates", 20))
    )
    assert read_sweep(folder) == expected
    assert {trial.setting.every for trial in table(folder)} == {4}


def test_lost_runs_are_trained_again_by_one_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = str(tmp_path / "a")
    assert main([*NEW, "--seeds", "2", "--timeout", "1e-9", "--out", folder]) == 0
    assert {trial.status for trial in table(tmp_path / "a")} == {"timed out"}
    assert main(["train", "--resume", folder]) == 0
    assert {trial.status for trial in table(tmp_path / "a")} == {"timed out"}
    assert main(["train", "--resume", folder, "--retry"]) == 0
    assert {trial.status for trial in table(tmp_path / "a")} <= {"success", "failure"}


def test_what_is_lost_is_said_once_and_trained_again(
    finished_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = table(finished_folder)
    altered(finished_folder)
    resume = ["train", "--resume", str(finished_folder)]
    assert main(resume) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        f"dynprop: {finished_folder / NAME} was damaged (4 of 24 runs are not as they were"
    )
    assert line.endswith(
        "4 runs that were recorded in " + f"{finished_folder / NAME} are lost and will be trained again"
    )
    assert main(resume) == 0
    assert capsys.readouterr().err == ""
    assert table(finished_folder) == expected


@pytest.mark.parametrize("when", ["engine", "record", "table"])
def test_an_interrupt_anywhere_is_one_line(
    when: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*args: Any, **rest: Any) -> None:
        raise KeyboardInterrupt

    places = {
        "engine": "dynprop.training.sweeps.engine.require_room",
        "record": "dynprop.training.store.ledger.insert",
        "table": "dynprop.training.show.table.print_sweep",
    }
    monkeypatch.setattr(places[when], interrupt)
    folder = tmp_path / "a"
    assert main([*NEW, "--seeds", "1", "--out", str(folder)]) == 130
    (line,) = capsys.readouterr().err.splitlines()
    runs = {"record": 0, "table": 2}.get(when)
    assert line == (
        "dynprop: interrupted before anything was recorded"
        if runs is None
        else f"dynprop: interrupted; {runs} runs are recorded, go on with dynprop train --resume {folder}"
    )
    monkeypatch.undo()
    assert main([*NEW, "--seeds", "1", "--out", str(folder)]) == 0
    assert len(table(folder)) == 2
