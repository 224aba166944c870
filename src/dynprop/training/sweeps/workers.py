"""Worker processes of dask.distributed, on this machine or of a scheduler elsewhere.

Workers of this machine are killed at the end of their context, also after Ctrl-C: groups that they still
train are not recorded, so nothing is lost.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import resource_tracker
from typing import Any

from dynprop.errors import DynpropError, TargetError
from dynprop.training.sweeps.interrupts import delayed_interrupts
from dynprop.training.whole import require_whole

__all__ = ["failures", "local_client", "memory_of", "remote_client", "require_workers"]

# Longest start of a process of this machine: it imports torch, perhaps from a cold disk.
START_SECONDS = 60.0
# Longest orderly end.
END_SECONDS = 2.0


def require_workers(workers: int) -> None:
    """Refuse an impossible number of processes.

    Raises:
        ArgumentError: it is less than 1.
    """
    require_whole("workers", workers)


@contextmanager
def failures(where: str, advice: str) -> Iterator[None]:
    """Turn an error of dask into one line.

    Args:
        where: description of the part that failed.
        advice: for the user.

    Raises:
        TargetError: in place of any error that is no DynpropError.
    """
    try:
        yield
    except DynpropError:
        raise
    except (Exception, asyncio.CancelledError) as error:
        reason = (str(error).strip() or "no reason given").splitlines()[0].rstrip(":")
        raise TargetError(f"{where} ({type(error).__name__}: {reason}): {advice}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Disable the loggers of dask: errors are raised instead."""
    loggers = [
        logging.getLogger(n) for n in list(logging.root.manager.loggerDict) if n.startswith("distributed")
    ]
    enabled = [logger for logger in loggers if not logger.disabled]
    for logger in enabled:
        logger.disabled = True
    try:
        yield
    finally:
        for logger in enabled:
            logger.disabled = False


def _imported() -> Any:
    """Import dask.distributed, which takes a second, without interruption."""
    try:
        with delayed_interrupts():
            import distributed
    except ModuleNotFoundError as error:
        raise TargetError("several workers need dask: pip install 'dynprop[sweeps]'") from error
    return distributed


@contextmanager
def local_client(workers: int) -> Iterator[Any]:
    """Start worker processes on this machine for the context; return their client.

    Raises:
        TargetError: they do not start.
    """
    distributed = _imported()
    advice = "check that this machine has the memory for them, or train with --workers 1"
    # Starting it later, from another thread, would unblock SIGINT there.
    with delayed_interrupts():
        resource_tracker.ensure_running()
    with _quiet(), ExitStack() as stack:
        with delayed_interrupts(), failures("no cluster could be started on this machine", advice):
            cluster = distributed.LocalCluster(
                n_workers=0,
                threads_per_worker=1,
                processes=True,
                dashboard_address=":0",
                silence_logs=logging.CRITICAL,
            )
            # Otherwise dask closes it again when the interpreter exits.
            cluster.shutdown_on_close = False
            stack.callback(_end, cluster)
            cluster.scale(workers)
            address = cluster.scheduler_address
            client = distributed.Client(address, timeout=START_SECONDS, set_as_default=False)
            stack.callback(_close, client)
        with failures(f"the {workers} workers of this machine did not start", advice):
            client.wait_for_workers(workers, timeout=START_SECONDS)
        yield client


@contextmanager
def remote_client(address: str, seconds: float) -> Iterator[Any]:
    """Connect to a scheduler that has a worker.

    Args:
        address: such as tcp://host:8786.
        seconds: for the scheduler to answer, and then to have a worker.

    Raises:
        TargetError: it does not answer, or no worker joins it.
    """
    distributed = _imported()
    with _quiet(), ExitStack() as stack:
        begin = time.monotonic()
        try:
            client = distributed.Client(address, timeout=seconds, set_as_default=False)
        except (Exception, asyncio.CancelledError) as error:
            waited = time.monotonic() - begin
            raise TargetError(
                f"no dask scheduler answered at {address} within {waited:.0f} s "
                f"({type(error).__name__}): start one with `dask scheduler`, or leave --scheduler out"
            ) from error
        stack.callback(_close, client)
        try:
            client.wait_for_workers(1, timeout=seconds)
        except (Exception, asyncio.CancelledError) as error:
            raise TargetError(
                f"no worker has joined the dask scheduler at {address} within {seconds:.0f} s: start one "
                f"with `dask worker {address}`, or leave --scheduler out"
            ) from error
        yield client


def memory_of(client: Any) -> int | None:
    """Return the memory limit of the largest worker in bytes; None if there is no limit."""
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    return max((int(worker.get("memory_limit") or 0) for worker in workers), default=0) or None


def _close(client: Any) -> None:
    with delayed_interrupts(), suppress(Exception, asyncio.CancelledError):
        client.close(timeout=END_SECONDS)


def _end(cluster: Any) -> None:
    """Kill the processes of a cluster."""
    with delayed_interrupts(), suppress(Exception, asyncio.CancelledError):
        # `_created` includes workers that are still starting.
        nannies = list(getattr(cluster, "_created", cluster.workers.values()))
        for nanny in nannies:
            nanny.auto_restart = False
        pids = {nanny.pid for nanny in nannies}
        for process in multiprocessing.active_children():
            if process.pid in pids:
                process.kill()
        cluster.close(timeout=END_SECONDS)
