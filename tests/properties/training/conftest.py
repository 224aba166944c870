"""A sweep that nothing disturbs, trained once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dynprop.training.analysis import forecast
from dynprop.training.show import pages
from dynprop.training.trials.trial import Trial
from tests.properties.training.sweeping import run, table


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a finished sweep, to be copied."""
    path = tmp_path_factory.mktemp("sweep") / "whole"
    assert run(path) == 24
    return path


@pytest.fixture(scope="session")
def undisturbed(whole: Path) -> list[Trial]:
    """Return the runs of a sweep that nothing disturbed."""
    return table(whole)


@pytest.fixture
def quick_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure little before training, and write small pictures."""
    monkeypatch.setattr(forecast, "FULL", forecast.POOR)
    monkeypatch.setattr(forecast, "GOOD", forecast.POOR)
    monkeypatch.setattr(pages, "DPI", 20)


@pytest.fixture
def finished_folder(tmp_path: Path, whole: Path) -> Path:
    """Return a copy of the folder of a finished sweep, to be harmed."""
    return Path(shutil.copytree(whole, tmp_path / "a"))
