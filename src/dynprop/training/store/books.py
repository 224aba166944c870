"""Which runs there are and how many: in memory, row by row, and as a folder states it beside its ledger.

The stated number is written after the runs that it counts: it is never larger than what was recorded. A
ledger with fewer runs has lost the others.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dynprop.training.store.disk import DamageError
from dynprop.training.store.schema import Row
from dynprop.training.store.sealed import read_sealed, write_sealed
from dynprop.training.trials.trial import LOST, Trial

__all__ = ["RECORDED", "Books", "Counts", "count", "read_stated", "state"]

# How many runs each setting has, by its key, and how many of them succeeded.
Counts = dict[str, tuple[int, int]]

RECORDED = "recorded.json"


def read_stated(ledger: Path) -> int | None:
    """Return how many runs a ledger is said to hold; None where nothing says it.

    Raises:
        DamageError: what says it is damaged.
        LedgerError: it cannot be read.
    """
    path = ledger.with_name(RECORDED)
    if not path.exists():
        return None
    runs = read_sealed(path).get("runs")
    if not isinstance(runs, int):
        raise DamageError("it states no number")
    return runs


def state(ledger: Path, runs: int) -> None:
    """State how many runs a ledger holds.

    Raises:
        LedgerError: it cannot be written; what was stated before still is.
    """
    write_sealed(ledger.with_name(RECORDED), {"runs": runs})


class Books:
    """The runs that are recorded, without their outcomes.

    Attributes:
        total: how many rows were entered for the first time.
    """

    def __init__(self) -> None:
        self.total = 0
        self._done: dict[str, set[int]] = {}
        self._lost: dict[str, set[int]] = {}
        self._successes: dict[str, int] = {}

    def enter(self, row: Row) -> bool:
        """Enter a run, as `schema.insert` writes it; return whether it was not there."""
        key, seed, status = row[:3]
        done = self._done.get(key)
        if done is None:
            done = self._done[key] = set()
            self._lost[key] = set()
        new = seed not in done
        if not new and seed not in self._lost[key]:
            return False
        done.add(seed)
        self.total += new
        if status in LOST:
            self._lost[key].add(seed)
        elif not new:
            self._lost[key].discard(seed)
        if status == "success":
            self._successes[key] = self._successes.get(key, 0) + 1
        return new

    def holds(self, key: str, seed: int) -> bool:
        """Say whether a run is there."""
        return seed in self._done.get(key, ())

    def done(self, *, lost: bool = True) -> dict[str, set[int]]:
        """Return the seeds that are there by the key of their setting; with or without those of lost runs."""
        return {key: seeds - (set() if lost else self._lost[key]) for key, seeds in self._done.items()}

    def counts(self, *, lost: bool = True) -> Counts:
        """Return how many runs each setting has, and how many of them succeeded."""
        return {
            key: (len(seeds) - (0 if lost else len(self._lost[key])), self._successes.get(key, 0))
            for key, seeds in self._done.items()
        }


def count(counts: Counts, trials: Iterable[Trial]) -> None:
    """Add runs to what `Books.counts` returned."""
    for trial in trials:
        total, successes = counts.get(trial.setting.key, (0, 0))
        counts[trial.setting.key] = (total + 1, successes + trial.succeeded)
