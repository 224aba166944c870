"""Training of a sweep, in this process or by workers of dask.distributed.

Runs are trained in groups of one setting. The coordinator records a group before it reports the group as
done, so that every reported run is on the disk. dask trains the groups of a dead worker again; a group that
has killed several workers is recorded as "worker lost".
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from dynprop.errors import ArgumentError, TargetError
from dynprop.training.analysis.success import SuccessRate
from dynprop.training.store.index import add_to_counts
from dynprop.training.sweeps.events import GroupStarted, Listener, Recorded, TrainingProgress, ignore
from dynprop.training.sweeps.sweep import Folder
from dynprop.training.sweeps.workers import failures, local_client, memory_of, remote_client, require_workers
from dynprop.training.trials.ensemble import bytes_per_model
from dynprop.training.trials.setting import Setting
from dynprop.training.trials.training import BUDGET, group_size, train
from dynprop.training.trials.trial import Trial

__all__ = ["CONNECT_SECONDS", "Group", "connected", "require_room", "run_sweep", "trained_rows"]

# Most models of one setting that are trained together: a kill loses at most so many.
GROUP = 50
# Group size with until_clear: seeds between two tests of whether the answer is clear.
CLEAR_GROUP = 20
# Time for a scheduler to answer, and then to have a worker.
CONNECT_SECONDS = 10.0
# Longest time without any worker later: workers of a batch system come and go.
ALONE_SECONDS = 120.0
# Time between two counts of the workers.
POLL_SECONDS = 5.0


@dataclass(frozen=True)
class Group:
    """Runs of one setting that are trained together."""

    setting: Setting
    seeds: tuple[int, ...]


def trained_rows(
    setting: dict[str, Any], seeds: Sequence[int], budget: int, timeout: float | None, key: str | None = None
) -> list[dict[str, Any]]:
    """Train a group and return its outcomes as plain values: the task of a worker.

    Raises:
        TargetError: the setting has another key on this worker, whose version trains it otherwise.
    """
    restored = Setting.from_json(setting)
    if key is not None and restored.key != key:
        raise TargetError("a worker has another dynprop, which trains otherwise: install the same everywhere")
    trials = train(restored, list(seeds), budget=budget, timeout=timeout, threads=1)
    return [trial.to_row() for trial in trials]


def require_room(settings: Iterable[Setting], room: int | None = None) -> None:
    """Refuse a setting if a single model does not fit into memory.

    Args:
        settings: to be trained.
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
    """Connect to a dask scheduler; the client is an argument of `run_sweep`.

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
    listen: Listener = ignore,
) -> int:
    """Train and record the missing runs of a sweep.

    Args:
        folder: open for writing.
        workers: processes on this machine; 1 trains in this process.
        scheduler: address of a dask scheduler, such as tcp://host:8786, whose workers train instead.
        client: a client of dask.distributed whose workers train instead; it stays open.
        timeout: seconds that one group may train before the rest of it is recorded as timed out.
        budget: bytes for one ensemble.
        until_clear: stop adding seeds to a setting once its confidence sequence excludes one half.
        retry: train runs again that timed out or lost their worker; each keeps its outcome until then.
        listen: called with a GroupStarted when training of a group begins in this process, with its
            TrainingProgress, and with Recorded once trials are on the disk.

    Returns:
        How many runs were added or trained again.

    Raises:
        ArgumentError: an impossible number of workers, or a model that does not fit into memory.
        TargetError: the scheduler does not answer or has no worker, dask is not installed, or the workers
            failed; recorded runs stay.
        LedgerError: the ledger cannot be written.

    Examples:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from dynprop.training import Sweep, run_sweep
        >>> from dynprop.training.sweeps.sweep import Folder
        >>> sweep = Sweep("latch", (3,), seeds=2, options=(("hidden", 4), ("updates", 20)))
        >>> with TemporaryDirectory() as path, Folder(Path(path) / "latch", sweep) as folder:
        ...     run_sweep(folder)
        2
    """
    require_workers(workers)
    groups = _Groups(folder, CLEAR_GROUP if until_clear else GROUP, budget, until_clear, retry)
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
            listen(Recorded(tuple(trials)))
    return added


class _Groups:
    """Groups still to be trained: the first seeds of every setting, then the next ones."""

    def __init__(self, folder: Folder, size: int, budget: int, until_clear: bool, retry: bool) -> None:
        self._counts = folder.ledger.counts(lost=not retry)
        self._until_clear = until_clear
        self._missing = [
            (setting, seeds, min(size, group_size(setting, budget)))
            for setting, seeds in folder.missing(retry=retry)
        ]

    def __iter__(self) -> Iterator[Group]:
        turn, remaining = 0, self._missing
        while remaining:
            for setting, seeds, width in remaining:
                total, successes = self._counts.get(setting.key, (0, 0))
                if not (self._until_clear and SuccessRate(setting.length, total, successes).clear):
                    yield Group(setting, tuple(seeds[turn * width : (turn + 1) * width]))
            turn += 1
            remaining = [
                (setting, seeds, width) for setting, seeds, width in remaining if len(seeds) > turn * width
            ]

    def note(self, trials: Sequence[Trial]) -> None:
        """Count recorded trials."""
        add_to_counts(self._counts, trials)


def _in_process(
    groups: _Groups, budget: int, timeout: float | None, listen: Listener
) -> Iterator[list[Trial]]:
    for group in groups:
        listen(GroupStarted(group.setting, group.seeds))
        yield train(
            group.setting,
            list(group.seeds),
            budget=budget,
            timeout=timeout,
            listen=lambda updates, training, succeeded: listen(
                TrainingProgress(updates, training, succeeded)
            ),
        )


def _by_workers(
    client: Any, groups: _Groups, budget: int, timeout: float | None, advice: str
) -> Iterator[list[Trial]]:
    """Keep two groups per worker submitted; yield results in order of arrival."""
    pending: dict[Any, Group] = {}
    waiting = iter(groups)
    last_worker_time = time.monotonic()
    with failures("the scheduler or its workers failed", advice):
        while True:
            workers = len(client.nthreads())
            last_worker_time = time.monotonic() if workers else last_worker_time
            if time.monotonic() - last_worker_time > ALONE_SECONDS:
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
    """Return the finished futures; none after POLL_SECONDS without one."""
    from distributed import wait

    with client.as_current(), suppress(TimeoutError):
        return list(wait(list(pending), timeout=POLL_SECONDS, return_when="FIRST_COMPLETED").done)
    return []


def _outcome(future: Any, group: Group) -> list[Trial]:
    """Return the trials of a finished group, "worker lost" if it killed its workers."""
    from distributed import KilledWorker

    try:
        return [Trial(group.setting, **row) for row in future.result()]
    except KilledWorker as error:
        note = f"{type(error).__name__}: the workers that trained it died"
        return [Trial(group.setting, seed, "worker lost", 0, note=note) for seed in group.seeds]
