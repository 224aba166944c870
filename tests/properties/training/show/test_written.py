"""Pages of a sweep that cannot be written: the table is printed, a line says which file and what to do."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest

from dynprop.cli import main
from dynprop.training.show import plots
from dynprop.training.sweeps.sweep import Folder, Sweep
from dynprop.training.trials.trial import Trial

PAGES = ("curve.png", "curve.svg", "report.html")


@pytest.fixture
def folder(tmp_path: Path, quick_pages: None) -> Path:
    path = tmp_path / "latch"
    sweep = Sweep("latch", (3, 6), inits=("small", "orthogonal"), seeds=2, options=(("hidden", 4),))
    with Folder(path, sweep) as opened:
        opened.ledger.record([Trial(s, seed, "success", 50) for s in sweep.settings for seed in (0, 1)])
    return path


def cannot(monkeypatch: pytest.MonkeyPatch, name: str, code: int) -> None:
    """Let writing files of some name fail as a full disk does: without naming the file."""
    write = Path.write_bytes

    def failing(path: Path, data: bytes) -> int:
        if path.name.startswith(name):
            write(path, data[:100])
            raise OSError(code, os.strerror(code))
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", failing)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_on_a_full_disk_the_table_is_printed_and_the_file_named(
    code: int, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["train", "--show", str(folder)]) == 0
    before = (folder / "curve.svg").read_bytes()
    capsys.readouterr()
    cannot(monkeypatch, "curve.svg", code)
    assert main(["train", "--show", str(folder)]) == 2
    out, err = capsys.readouterr()
    assert "latch: orthogonal" in out
    *_, line = err.splitlines()
    assert line == f"dynprop: {folder / 'curve.svg'}: {os.strerror(code)}: make room on the disk"
    # The old picture is still there, and no half of a new one.
    assert (folder / "curve.svg").read_bytes() == before
    assert not list(folder.glob("*.new"))


def test_in_a_folder_that_cannot_be_written_the_table_is_printed(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(dir: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(dir / "tmp123"))

    monkeypatch.setattr("tempfile.TemporaryFile", refused)
    # What takes long is not begun.
    monkeypatch.setattr(plots, "plot_sweep", None)
    table = tmp_path / "runs.csv"
    assert main(["train", "--show", str(folder), "--csv", str(table)]) == 2
    out, err = capsys.readouterr()
    assert "latch: orthogonal" in out
    assert f"written: {table}" in out
    (line,) = err.splitlines()
    names = ", ".join(str(folder / name) for name in PAGES)
    assert line.startswith(f"dynprop: {names}: Permission denied: show a copy of the folder")
    assert "tmp123" not in line


def test_a_table_that_cannot_be_written_keeps_no_page_back(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "none" / "runs.csv"
    (folder / "report.html").unlink(missing_ok=True)
    assert main(["train", "--show", str(folder), "--csv", str(table)]) == 2
    out, err = capsys.readouterr()
    assert f"written: {folder / 'curve.png'}" in out
    assert (folder / "report.html").read_text().endswith("</html>")
    *_, line = err.splitlines()
    assert line == f"dynprop: {table}: No such file or directory: name a file that can be written"


def test_a_folder_in_the_place_of_a_page_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = folder / "report.html"
    page.unlink(missing_ok=True)
    page.mkdir()
    try:
        assert main(["train", "--show", str(folder)]) == 2
    finally:
        page.rmdir()
    *_, line = capsys.readouterr().err.splitlines()
    assert line.startswith(f"dynprop: {page}: ")
    assert not list(folder.glob("*.new"))


def test_without_matplotlib_the_table_is_printed(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["train", "--show", str(folder)]) == 2
    out, err = capsys.readouterr()
    assert "latch: orthogonal" in out
    missing = "the page of a sweep needs Matplotlib, which is not installed: pip install 'dynprop[plots]'"
    assert err == f"dynprop: {missing}\n"
