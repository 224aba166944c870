"""Where the runs of a sweep are trained: in this process, or by workers of dask.distributed.

Runs are handed out in groups of one setting. The coordinator records a group before it tells anybody that the
group is done, so that what was told is on the disk. A worker that dies has its groups trained again by dask;
a group that has killed several workers becomes rows "worker lost".
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from dynprop.errors import ArgumentError, TargetError
from dynprop.training.analysis.success import SuccessRate
from dynprop.training.store.index import add_to_counts
from dynprop.training.sweeps.sweep import Folder
from dynprop.training.sweeps.workers import failures, local_client, memory_of, remote_client, require_workers
from dynprop.training.trials.ensemble import bytes_per_model
from dynprop.training.trials.setting import Setting
from dynprop.training.trials.training import BUDGET, group_size, train
from dynprop.training.trials.trial import Trial

__all__ = ["CONNECT_SECONDS", "Group", "connected", "require_room", "run_sweep", "trained_rows"]

# Models of one setting that are trained together, at the most: what a kill can lose.
GROUP = 50
# Seeds between two looks at whether the answer is clear.
LOOK = 20
# In which a scheduler must answer, and then have a worker.
CONNECT_SECONDS = 10.0
# For which it may be without one later: workers of a batch system come and go.
ALONE_SECONDS = 120.0
# Between two looks at whether there are workers.
LOOK_SECONDS = 5.0


@dataclass(frozen=True)
class Group:
    """Runs of one setting that are trained together."""

    setting: Setting
    seeds: tuple[int, ...]


Listener = Callable[[str, Any], None]


def _unheard(event: str, value: Any) -> None:
    return None


def trained_rows(
    setting: dict[str, Any], seeds: Sequence[int], budget: int, timeout: float | None, key: str | None = None
) -> list[dict[str, Any]]:
    """Train a group and return its outcomes as plain values; this is what a worker is asked to do.

    Raises:
        TargetError: the setting has another key here: this version trains it otherwise.
    """
    chosen = Setting.from_json(setting)
    if key is not None and chosen.key != key:
        raise TargetError("a worker has another dynprop, which trains otherwise: install the same everywhere")
    found = train(chosen, list(seeds), budget=budget, timeout=timeout, threads=1)
    return [trial.to_row() for trial in found]


def require_room(settings: Iterable[Setting], room: int | None = None) -> None:
    """Refuse a setting of which a single model does not fit into memory.

    Args:
        settings: what is to be trained.
        room: bytes; None for the memory of this machine.

    Raises:
        ArgumentError: one is too large.
    """
    if room is None:
        with suppress(AttributeError, OSError, ValueError):
            room = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for setting in settings:
        needed = bytes_per_model(setting)
        if room and needed > room:
            raise ArgumentError(
                "length",
                f"{setting.length}, at which one model of {setting.hidden} units takes "
                f"{needed / 2**30:,.0f} GiB in batches of {setting.batch}",
                f"what fits into the {room / 2**30:,.0f} GiB of memory where it is trained",
            )


@contextmanager
def connected(scheduler: str) -> Iterator[Any]:
    """Give a client of a dask scheduler, to hand to `run_sweep`.

    Args:
        scheduler: its address, such as tcp://host:8786.

    Raises:
        TargetError: it does not answer within CONNECT_SECONDS, has no worker after as many, or dask is not
            installed.
    """
    with remote_client(scheduler, CONNECT_SECONDS) as client:
        yield client


def run_sweep(
    folder: Folder,
    *,
    workers: int = 1,
    scheduler: str | None = None,
    client: Any = None,
    timeout: float | None = None,
    budget: int = BUDGET,
    until_clear: bool = False,
    retry: bool = False,
    listen: Listener = _unheard,
) -> int:
    """Train what is missing from a sweep and record it.

    Args:
        folder: open for writing.
        workers: processes on this machine; 1 trains in this process.
        scheduler: address of a dask scheduler, such as tcp://host:8786, whose workers train instead.
        client: a client of dask.distributed whose workers train instead; it is left open.
        timeout: seconds that one group may train before the rest of it is recorded as timed out.
        budget: bytes that an ensemble may take.
        until_clear: give a setting no more seeds once its confidence sequence leaves one half on one side.
        retry: train runs again that timed out or lost their worker; they stay until the new outcome is there.
        listen: called as (event, value): "group" when one begins in this process, "progress" with updates
            made, models still training and successes of it, "recorded" with the trials that are on the disk.

    Returns:
        How many runs were added or trained again.

    Raises:
        ArgumentError: an impossible number of workers, or a model that does not fit into memory.
        TargetError: the scheduler does not answer or has no worker, dask is not installed, or what trains
            has failed; what was recorded stays.
        LedgerError: the ledger cannot be written.
    """
    require_workers(workers)
    groups = _Groups(folder, LOOK if until_clear else GROUP, budget, until_clear, retry)
    added = 0
    with ExitStack() as stack:
        if client is None and scheduler is not None:
            client = stack.enter_context(connected(scheduler))
        elif client is None and workers > 1:
            client = stack.enter_context(local_client(workers))
        require_room(folder.sweep.settings, None if client is None else memory_of(client))
        if client is None:
            done = _in_process(groups, budget, timeout, listen)
        else:
            advice = f"what was recorded is safe; go on with dynprop train --resume {folder.path}"
            done = _by_workers(client, groups, budget, timeout, advice)
        for trials in done:
            folder.ledger.record(trials)
            groups.note(trials)
            added += len(trials)
            listen("recorded", trials)
    return added


class _Groups:
    """The groups that are still to be trained: every setting's first seeds, then their next ones."""

    def __init__(self, folder: Folder, size: int, budget: int, until_clear: bool, retry: bool) -> None:
        self._counts = folder.ledger.counts(lost=not retry)
        self._until_clear = until_clear
        self._missing = [
            (setting, seeds, min(size, group_size(setting, budget)))
            for setting, seeds in folder.missing(retry=retry)
        ]

    def __iter__(self) -> Iterator[Group]:
        turn, left = 0, self._missing
        while left:
            for setting, seeds, width in left:
                total, successes = self._counts.get(setting.key, (0, 0))
                if not (self._until_clear and SuccessRate(setting.length, total, successes).clear):
                    yield Group(setting, tuple(seeds[turn * width : (turn + 1) * width]))
            turn += 1
            left = [(setting, seeds, width) for setting, seeds, width in left if len(seeds) > turn * width]

    def note(self, trials: Sequence[Trial]) -> None:
        """Count what has been recorded."""
        add_to_counts(self._counts, trials)


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


def _by_workers(
    client: Any, groups: _Groups, budget: int, timeout: float | None, advice: str
) -> Iterator[list[Trial]]:
    """Keep every worker busy with two groups, and hand on what they return in the order of arrival."""
    pending: dict[Any, Group] = {}
    waiting = iter(groups)
    seen = time.monotonic()
    with failures("the scheduler or its workers failed", advice):
        while True:
            workers = len(client.nthreads())
            seen = time.monotonic() if workers else seen
            if time.monotonic() - seen > ALONE_SECONDS:
                raise TargetError(
                    f"all workers have left the scheduler, and none has joined it for {ALONE_SECONDS:.0f} s: "
                    f"start some; {advice}"
                )
            while len(pending) < 2 * max(1, workers) and (group := next(waiting, None)) is not None:
                values = (group.setting.to_json(), group.seeds, budget, timeout, group.setting.key)
                pending[client.submit(trained_rows, *values, pure=False)] = group
            if not pending:
                return
            for future in _finished(client, pending):
                yield _outcome(future, pending.pop(future))


def _finished(client: Any, pending: Iterable[Any]) -> list[Any]:
    """Return the futures that are through, after a while perhaps none."""
    from distributed import wait

    with client.as_current(), suppress(TimeoutError):
        return list(wait(list(pending), timeout=LOOK_SECONDS, return_when="FIRST_COMPLETED").done)
    return []


def _outcome(future: Any, group: Group) -> list[Trial]:
    """Return the trials of a finished group; where it killed its workers, rows that say so."""
    from distributed import KilledWorker

    try:
        return [Trial(group.setting, **row) for row in future.result()]
    except KilledWorker as error:
        note = f"{type(error).__name__}: the workers that trained it died"
        return [Trial(group.setting, seed, "worker lost", 0, note=note) for seed in group.seeds]
