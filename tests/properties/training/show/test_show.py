"""What a sweep shows: live, as a table, as a curve, as a page; and the command that does it."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from dynprop.cli import main
from dynprop.evidence.record.experiments import EXPERIMENTS
from dynprop.evidence.record.experiments import main as experiments
from dynprop.training.analysis.success import LearningTime, SuccessRate, Threshold
from dynprop.training.show.pages import write_pages
from dynprop.training.show.plots import plot_sweep
from dynprop.training.show.summary import Unsolved, summarise
from dynprop.training.show.table import HEAD, _cells, print_sweep, remarks
from dynprop.training.sweeps import engine
from dynprop.training.sweeps.events import GroupStarted, Recorded, TrainingProgress
from dynprop.training.sweeps.live import LiveView
from dynprop.training.sweeps.sweep import Folder, Sweep, finished
from dynprop.training.tasks import task_named
from dynprop.training.trials.setting import Setting
from dynprop.training.trials.trial import Trial

TRAIN = ["train", "--task", "latch", "--init", "small,orthogonal", "--lengths", "3,12", "--hidden", "4"]
TRAIN += ["--updates", "100"]

pytestmark = pytest.mark.usefixtures("quick_pages")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("show") / "latch"
    assert main([*TRAIN, "--seeds", "4", "--out", str(path)]) == 0
    return path


def test_a_sweep_is_trained_and_printed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--show", str(folder), "--csv", str(folder / "runs.csv")]) == 0
    out = capsys.readouterr().out
    assert "latch: small" in out
    assert "latch: orthogonal" in out
    assert "loss 0.6931 is the level of guessing one of two classes" in out
    assert "4/4" in out
    assert len((folder / "runs.csv").read_text().splitlines()) == 17
    picture = ET.parse(folder / "curve.svg").getroot()
    assert picture.tag.endswith("svg")
    assert (folder / "curve.png").read_bytes().startswith(b"\x89PNG")
    page = (folder / "report.html").read_text()
    assert page.startswith("<!doctype html>")
    assert page.count("<svg") == 1
    assert page.count("<h2>") == 2
    assert "Trained with: tanh, sgd, 4 units, rate 0.1, clip 1, batch 16, at most 100 updates" in page
    # Self-contained: nothing is loaded from elsewhere.
    assert "src=" not in page
    assert "<script" not in page


def test_the_same_command_resumes_and_a_larger_number_extends(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[int] = []
    train: Any = vars(engine)["train"]

    def counted(setting: object, seeds: list[int], **rest: object) -> list[Trial]:
        trained.extend(seeds)
        found: list[Trial] = train(setting, seeds, **rest)
        return found

    monkeypatch.setattr(engine, "train", counted)
    assert main([*TRAIN, "--seeds", "4", "--out", str(folder)]) == 0
    assert trained == []
    assert main(["train", "--resume", str(folder), "--seeds", "5"]) == 0
    assert trained == [4] * 4
    assert "5/5" in capsys.readouterr().out


def test_ctrl_c_leaves_a_resumable_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    train: Any = vars(engine)["train"]

    def interrupted(*args: object, **rest: object) -> list[Trial]:
        if calls:
            raise KeyboardInterrupt
        calls.append(1)
        found: list[Trial] = train(*args, **rest)
        return found

    calls: list[int] = []
    monkeypatch.setattr(engine, "train", interrupted)
    path = tmp_path / "a"
    assert main([*TRAIN, "--seeds", "2", "--out", str(path)]) == 130
    err = capsys.readouterr().err
    assert f"interrupted; 2 runs are recorded, go on with dynprop train --resume {path}" in err
    monkeypatch.setattr(engine, "train", train)
    assert main(["train", "--resume", str(path)]) == 0


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["train"], ["folder: got none", "--out, --resume and --show"]),
        (["train", "--out", "a", "--resume", "b"], ["--out and --resume"]),
        (["train", "--out", "{new}"], ["--task", "--lengths"]),
        (["train", "--task", "lach", "--lengths", "4", "--out", "{new}"], ["'lach'", "latch"]),
        (["train", "--task", "latch", "--lengths", "1,4", "--out", "{new}"], ["length: got 1", "at least 2"]),
        (["train", "--task", "latch", "--lengths", "four", "--out", "{new}"], ["lengths: got 'four'"]),
        ([*TRAIN, "--seeds", "0", "--out", "{new}"], ["seeds: got 0"]),
        ([*TRAIN, "--workers", "0", "--out", "{new}"], ["workers: got 0"]),
        ([*TRAIN, "--timeout", "0", "--out", "{new}"], ["timeout: got 0"]),
        ([*TRAIN, "--rate", "-1", "--out", "{new}"], ["rate: got -1"]),
        ([*TRAIN[:-2], "--out", "{old}"], ["another sweep (updates 100 there, 1500 here)"]),
        (["train", "--resume", "{old}", "--init", "small"], ["--init", "only --seeds"]),
        (["train", "--resume", "{new}"], ["sweep.json"]),
        (["train", "--show", "{new}"], ["sweep.json"]),
    ],
)
def test_a_wrong_call_is_one_line_and_status_2(
    arguments: list[str], parts: list[str], folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"{new}": str(tmp_path / "new"), "{old}": str(folder)}
    assert main([places.get(a, a) for a in arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert [part for part in parts if part not in line] == []


def test_a_sweep_without_runs_has_nothing_to_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Folder(tmp_path / "a", Sweep("latch", (4,))):
        pass
    assert main(["train", "--show", str(tmp_path / "a")]) == 2
    assert "a sweep with runs" in capsys.readouterr().err


def test_what_is_missing_is_said(folder: Path) -> None:
    sweep, trials = finished(folder)
    lines = remarks(sweep, trials[:-3])
    names = [entry.curve.name for entry in summarise(sweep, trials)]
    assert any("3 of" in line and "not done yet" in line for line in lines)
    assert names == ["small", "orthogonal"]


# Live


def test_the_live_view_counts_what_is_recorded(tmp_path: Path) -> None:
    stream = io.StringIO()
    with Folder(tmp_path / "a", Sweep("latch", (4, 8), inits=("small", "default"), seeds=3)) as open_folder:
        view = LiveView(open_folder, file=stream, every=0.0)
        setting = open_folder.sweep.settings[1]
        view(GroupStarted(setting, (0, 1)))
        view(TrainingProgress(50, 2, 0))
        assert "0/12 runs, 0 successes · small, length 8 · update 50, 2 training, 0 solved" in view.line()
        view(Recorded((Trial(setting, 0, "success", 50), Trial(setting, 1, "failure", 1500))))
        assert view.line().startswith("2/12 runs, 1 successes")
        out = io.StringIO()
        Console(file=out, width=80).print(view.table())
    assert "1/2 of 3" in out.getvalue()
    assert stream.getvalue().startswith("dynprop: 0 s · 0/12 runs")


def test_on_a_terminal_the_view_is_redrawn(tmp_path: Path) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    with Folder(tmp_path / "a", Sweep("latch", (4,), seeds=2)) as open_folder:
        with LiveView(open_folder, file=stream).display() as view:
            view(Recorded((Trial(open_folder.sweep.settings[0], 0, "success", 50),)))
        assert "1/1 of 2" in stream.getvalue()


def test_a_curve_has_what_was_counted(folder: Path) -> None:
    sweep, trials = finished(folder)
    entries = summarise(sweep, trials)
    figure = plot_sweep(sweep, entries, models=3)
    success, time, gradient, _ = figure.axes
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["small", "orthogonal"]
    assert len(gradient.get_lines()) == 2
    small, orthogonal = (float(np.asarray(line.get_ydata())[-1]) for line in gradient.get_lines())
    assert small < orthogonal - 2.0
    counted = [[rate.rate for rate in entry.curve.rates] for entry in entries]
    lines = [np.asarray(line.get_ydata()).tolist() for line in success.get_lines()]
    assert all(rates in lines for rates in counted)
    # Both configurations learn length 3, or both have an arrow at the budget where half never do.
    drawn = [np.asarray(line.get_ydata(), dtype=np.float64) for line in time.get_lines()]
    medians = [found.median for entry in entries for found in entry.times]
    budget = sweep.settings[0].updates
    for median in medians:
        assert any((budget if median is None else median) in values for values in drawn)


# Tables


@pytest.mark.parametrize(
    ("median", "low", "high", "used", "broke", "text"),
    [
        (150.0, 100.0, 250.0, None, None, "150 (100-250)"),
        (150.0, 150.0, None, 700, None, "150 (150 or more)"),
        (150.0, None, 250.0, None, None, "150 (up to 250)"),
        (150.0, None, None, None, None, "150"),
        (None, None, None, 700, 50.0, "over 700"),
        (None, None, None, None, 50.0, "diverged"),
        # Nothing is known where no run came to an end.
        (None, None, None, None, None, ""),
    ],
)
def test_an_open_end_is_said_in_words(
    median: float | None,
    low: float | None,
    high: float | None,
    used: int | None,
    broke: float | None,
    text: str,
) -> None:
    spent = LearningTime(9, 5, median, low, high, (), ())
    row = _cells(SuccessRate(4, 9, 5), spent, Unsolved(used, broke, (("exploded", 3), ("lost", 1))))
    assert row[HEAD.index("updates to learn")] == text
    assert row[HEAD.index("failures")] == "3 exploded, 1 lost"
    assert len(row) == len(HEAD)


def test_every_failure_is_in_the_table() -> None:
    setting = Setting("latch", 4)
    ways: list[dict[str, Any]] = [
        {"status": "failure", "max_grad_norm": 1e3},
        {"status": "diverged"},
        {"status": "failure", "max_grad_norm": 1.0, "gradient_ratio": 1e-5},
        {"status": "failure", "max_grad_norm": 1.0, "gradient_ratio": 0.5},
        {"status": "timed out"},
        {"status": "worker lost"},
    ]
    trials = [Trial(setting, seed, updates=10 * (seed + 1), **way) for seed, way in enumerate(ways)]
    (entry,) = summarise(Sweep("latch", (4,)), trials)
    (unsolved,) = entry.unsolved
    assert unsolved.causes == (("exploded", 2), ("vanished", 1), ("otherwise", 1), ("lost", 2))
    assert (unsolved.budget_used, unsolved.diverged_after) == (40, 20)


def test_lost_runs_are_counted_and_the_way_to_train_them_again_is_named() -> None:
    sweep = Sweep("latch", (4,), seeds=5)
    (setting,) = sweep.settings
    trials = [Trial(setting, 0, "success", 50), Trial(setting, 1, "failure", 1500, 0.6931)]
    assert not any("lost" in line for line in remarks(sweep, trials))
    trials += [Trial(setting, 2, "timed out", 700, 0.6931), Trial(setting, 3, "worker lost", 0)]
    trials += [Trial(setting, 4, "worker lost", 0)]
    lines = remarks(sweep, trials)
    assert lines[:2] == [
        # Of what was lost nobody knows what it learnt.
        "1 of 1 failures learnt nothing: loss 0.6931 is the level of guessing one of two classes",
        "3 of 5 runs were lost (1 timed out, 2 with their worker) and count as failures; "
        "train them again: dynprop train --resume DIR --retry",
    ]
    assert "--resume runs/latch --retry" in remarks(sweep, trials, Path("runs/latch"))[1]


def test_what_is_missing_comes_with_the_command_that_trains_it() -> None:
    sweep = Sweep("latch", (4,), seeds=5)
    lines = remarks(sweep, [Trial(sweep.settings[0], 0, "success", 50)], Path("here"))
    assert lines[0] == "4 of 5 runs are not done yet: dynprop train --resume here"


def test_many_levels_of_chance_are_said_as_a_span() -> None:
    sweep = Sweep("copy", (10, 20, 30, 40), seeds=1)
    task = task_named("copy")
    trials = [Trial(s, 0, "failure", 1500, task.chance_loss(s.length)) for s in sweep.settings]
    low, high = (f"{task.chance_loss(length):.4g}" for length in (40, 10))
    assert f"loss {low} to {high} is the level of" in remarks(sweep, trials)[0]


def test_table_and_page_show_the_threshold(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Threshold, "__str__", lambda self: "what is said of <half>")
    sweep, trials = finished(folder)
    print_sweep(sweep, trials)
    assert capsys.readouterr().out.count("threshold: what is said of <half>\n") == 2
    *_, page = write_pages(tmp_path, sweep, trials)
    assert page.read_text().count("Threshold: what is said of &lt;half&gt;.") == 2


# Experiments


def test_an_experiment_is_recorded_beside_the_others(tmp_path: Path) -> None:
    path = tmp_path / "training.json"
    path.write_text('{"experiments": {"E1": {"curves": []}}}')
    assert experiments(["E4", "--share", "0.1", "--record", str(path)]) == 0
    text = path.read_text()
    assert '"E1"' in text
    assert '"mean_field"' in text
    assert set(EXPERIMENTS) == {"E1", "E2", "E3", "E4", "E5", "C0", "LSTM", "ADAM"}
