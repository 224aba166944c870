"""A small sweep and its ledger, and what tests do with them."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from dynprop.training.store.ledger import NAME, Ledger
from dynprop.training.sweeps.engine import run_sweep
from dynprop.training.sweeps.sweep import Folder, Sweep, finished
from dynprop.training.trials.setting import Setting
from dynprop.training.trials.trial import Trial

QUICK = (("batch", 16), ("every", 10), ("hidden", 4), ("updates", 20))
SWEEP = Sweep("latch", (3, 6), inits=("small", "orthogonal"), seeds=6, options=QUICK)


def run(path: Path, sweep: Sweep | None = SWEEP, seeds: int | None = None, **options: Any) -> int:
    """Train what is missing from a folder; return how many runs that were."""
    with Folder(path, sweep, seeds) as folder:
        return run_sweep(folder, **options)


def table(path: Path) -> list[Trial]:
    """Return the runs of a folder of which nothing is damaged."""
    said: list[str] = []
    _, trials = finished(path, said.append)
    assert said == []
    return trials


def filled(path: Path, count: int = 3000) -> list[Trial]:
    """Record so many runs in a ledger of its own; return them."""
    setting = Setting("latch", 9)
    trials = [Trial(setting, seed, "failure", 1500, 0.69, 0.5, 1.25, 1e-9) for seed in range(count)]
    with Ledger(path) as ledger:
        ledger.record(trials)
    return trials


def altered(folder: Path, statement: str = "UPDATE runs SET updates = 7 WHERE seed = 3") -> None:
    """Change the ledger of a folder behind its back; four of its 24 runs, if nothing else is said."""
    db = sqlite3.connect(folder / NAME)
    db.execute(statement)
    db.commit()
    db.close()
