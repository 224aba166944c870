"""In-memory index of recorded runs, and the run count stored next to the ledger file.

The run count is written after the runs that it counts, so it never exceeds what was recorded: a ledger with
fewer runs has lost the difference.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dynprop.training.store.checksummed import read_checksummed, write_checksummed
from dynprop.training.store.disk import DamageError
from dynprop.training.store.schema import Row
from dynprop.training.trials.trial import LOST, Trial

__all__ = ["RUN_COUNT", "Counts", "RunIndex", "add_to_counts", "read_run_count", "write_run_count"]

# Runs and successes of each setting, by its key.
Counts = dict[str, tuple[int, int]]

RUN_COUNT = "recorded.json"


def read_run_count(ledger: Path) -> int | None:
    """Return the run count stored next to a ledger; None if there is no such file.

    Raises:
        DamageError: the file is damaged.
        LedgerError: the file cannot be read.
    """
    path = ledger.with_name(RUN_COUNT)
    if not path.exists():
        return None
    runs = read_checksummed(path).get("runs")
    if not isinstance(runs, int):
        raise DamageError("it holds no run count")
    return runs


def write_run_count(ledger: Path, runs: int) -> None:
    """Store the run count of a ledger.

    Raises:
        LedgerError: the file cannot be written; the old count is unchanged.
    """
    write_checksummed(ledger.with_name(RUN_COUNT), {"runs": runs})


class RunIndex:
    """The keys and statuses of recorded runs, without their other outcomes.

    Attributes:
        total: number of runs.
    """

    def __init__(self) -> None:
        self.total: int = 0
        self._done: dict[str, set[int]] = {}
        self._lost: dict[str, set[int]] = {}
        self._successes: dict[str, int] = {}

    def add(self, row: Row) -> bool:
        """Add a run with the rule of `schema.insert`; return whether its key is new."""
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

    def done(self, *, lost: bool = True) -> dict[str, set[int]]:
        """Return the recorded seeds by key of their setting, with or without those of lost runs."""
        return {key: seeds - (set() if lost else self._lost[key]) for key, seeds in self._done.items()}

    def counts(self, *, lost: bool = True) -> Counts:
        """Return runs and successes of each setting, with or without lost runs."""
        return {
            key: (len(seeds) - (0 if lost else len(self._lost[key])), self._successes.get(key, 0))
            for key, seeds in self._done.items()
        }


def add_to_counts(counts: Counts, trials: Iterable[Trial]) -> None:
    """Add trials to the counts that `RunIndex.counts` returned."""
    for trial in trials:
        total, successes = counts.get(trial.setting.key, (0, 0))
        counts[trial.setting.key] = (total + 1, successes + trial.succeeded)
