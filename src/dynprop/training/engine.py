"""Where the runs of a sweep are trained: in this process, or by workers of dask.distributed.

Runs are handed out in groups of one setting. The coordinator records a group before it tells anybody that the
group is done, so that what was told is on the disk. A worker that dies has its groups trained again by dask;
a group that has killed several workers becomes rows "worker lost". No pool and no queue of our own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from dynprop.errors import TargetError
from dynprop.training.ledger import count
from dynprop.training.setting import Setting
from dynprop.training.success import SuccessRate
from dynprop.training.sweep import Folder
from dynprop.training.training import BUDGET, group_size, train
from dynprop.training.trial import Trial

__all__ = ["CONNECT_SECONDS", "Group", "run_sweep", "trained_rows"]

# Models of one setting that are trained together, at the most: what a kill can lose.
GROUP = 50
# Seeds between two looks at whether the answer is clear.
LOOK = 20
CONNECT_SECONDS = 10.0


@dataclass(frozen=True)
class Group:
    """Runs of one setting that are trained together."""

    setting: Setting
    seeds: tuple[int, ...]


Listener = Callable[[str, Any], None]


def _unheard(event: str, value: Any) -> None:
    return None


def trained_rows(
    setting: dict[str, Any], seeds: Sequence[int], budget: int, timeout: float | None
) -> list[dict[str, Any]]:
    """Train a group and return its outcomes as plain values; this is what a worker is asked to do."""
    chosen = Setting.from_json(setting)
    found = train(chosen, list(seeds), budget=budget, timeout=timeout, threads=1)
    return [trial.to_row() for trial in found]


def run_sweep(
    folder: Folder,
    *,
    workers: int = 1,
    scheduler: str | None = None,
    timeout: float | None = None,
    budget: int = BUDGET,
    until_clear: bool = False,
    listen: Listener = _unheard,
) -> int:
    """Train what is missing from a sweep and record it.

    Args:
        folder: open for writing.
        workers: processes on this machine; 1 trains in this process.
        scheduler: address of a dask scheduler, such as tcp://host:8786, whose workers train instead.
        timeout: seconds that one group may train before the rest of it is recorded as timed out.
        budget: bytes that an ensemble may take.
        until_clear: give a setting no more seeds once its confidence sequence leaves one half on one side.
        listen: called as (event, value): "group" when one begins in this process, "progress" with updates
            made, models still training and successes of it, "recorded" with the trials that are on the disk.

    Returns:
        How many runs were added.

    Raises:
        TargetError: the scheduler does not answer within CONNECT_SECONDS, or dask is not installed.
        LedgerError: the ledger cannot be written.
    """
    groups = _Groups(folder, LOOK if until_clear else GROUP, budget, until_clear)
    added = 0
    with ExitStack() as stack:
        if scheduler is None and workers == 1:
            done = _in_process(groups, budget, timeout, listen)
        else:
            client = stack.enter_context(_client(workers, scheduler))
            done = _by_workers(client, groups, budget, timeout)
        for trials in done:
            folder.ledger.record(trials)
            groups.note(trials)
            added += len(trials)
            listen("recorded", trials)
    return added


class _Groups:
    """The groups that are still to be trained: every setting's first seeds, then their next ones."""

    def __init__(self, folder: Folder, size: int, budget: int, until_clear: bool) -> None:
        self._counts = folder.ledger.counts()
        self._until_clear = until_clear
        self._queue: list[Group] = []
        rounds: dict[int, list[Group]] = {}
        for setting, seeds in folder.missing():
            width = min(size, group_size(setting, budget))
            for turn, first in enumerate(range(0, len(seeds), width)):
                rounds.setdefault(turn, []).append(Group(setting, tuple(seeds[first : first + width])))
        self._queue = [group for turn in sorted(rounds) for group in rounds[turn]]

    def __iter__(self) -> Iterator[Group]:
        for group in self._queue:
            total, successes = self._counts.get(group.setting.key, (0, 0))
            if not (self._until_clear and SuccessRate(group.setting.length, total, successes).clear):
                yield group

    def note(self, trials: Sequence[Trial]) -> None:
        """Count what has been recorded."""
        count(self._counts, trials)


def _in_process(
    groups: _Groups, budget: int, timeout: float | None, listen: Listener
) -> Iterator[list[Trial]]:
    for group in groups:
        listen("group", group)
        yield train(
            group.setting,
            list(group.seeds),
            budget=budget,
            timeout=timeout,
            listen=lambda made, going, solved: listen("progress", (made, going, solved)),
        )


def _by_workers(client: Any, groups: _Groups, budget: int, timeout: float | None) -> Iterator[list[Trial]]:
    """Keep every worker busy with two groups, and hand on what they return in the order of arrival."""
    from distributed import as_completed

    pending: dict[Any, Group] = {}
    waiting = iter(groups)
    finished = as_completed(loop=client.loop)

    def more() -> None:
        wanted = 2 * max(1, len(client.scheduler_info(n_workers=-1)["workers"]))
        while len(pending) < wanted and (group := next(waiting, None)) is not None:
            future = client.submit(
                trained_rows, group.setting.to_json(), group.seeds, budget, timeout, pure=False
            )
            pending[future] = group
            finished.add(future)

    more()
    while pending:
        future = next(finished)
        group = pending.pop(future)
        yield _outcome(future, group)
        more()


def _outcome(future: Any, group: Group) -> list[Trial]:
    """Return the trials of a finished group; where it killed its workers, rows that say so."""
    from distributed import KilledWorker

    try:
        return [Trial(group.setting, **row) for row in future.result()]
    except KilledWorker as error:
        note = f"{type(error).__name__}: the workers that trained it died"
        return [Trial(group.setting, seed, "worker lost", 0, note=note) for seed in group.seeds]


@contextmanager
def _client(workers: int, scheduler: str | None) -> Iterator[Any]:
    """Give a client of the scheduler, or of a cluster of processes on this machine."""
    try:
        from distributed import Client, LocalCluster
    except ModuleNotFoundError as error:
        raise TargetError("several workers need dask: pip install 'dynprop[sweeps]'") from error
    with ExitStack() as stack:
        address: Any = scheduler
        if scheduler is None:
            cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                dashboard_address=":0",
                silence_logs=50,
            )
            address = stack.enter_context(cluster)
        begin = time.monotonic()
        try:
            client = stack.enter_context(Client(address, timeout=CONNECT_SECONDS, set_as_default=False))
        except (OSError, ValueError) as error:
            waited = time.monotonic() - begin
            raise TargetError(
                f"no dask scheduler answered at {scheduler} within {waited:.0f} s "
                f"({type(error).__name__}): start one with `dask scheduler`, or leave --scheduler out"
            ) from error
        yield client
