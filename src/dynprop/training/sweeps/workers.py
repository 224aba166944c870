"""Processes of dask.distributed that train: on this machine, or those of a scheduler elsewhere.

Whoever asked for them ends them, also after Ctrl-C and without waiting for what they do: nothing of it is
recorded, so that nothing is lost. No pool and no queue of our own.
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

from dynprop.errors import ArgumentError, DynpropError, TargetError
from dynprop.training.sweeps.interrupts import held

__all__ = ["failures", "local_client", "memory_of", "remote_client", "require_workers"]

# Seconds in which a process of this machine must have begun: it imports torch, perhaps from a cold disk.
START_SECONDS = 60.0
# Seconds that an orderly end may take.
END_SECONDS = 2.0


def require_workers(workers: int) -> None:
    """Refuse an impossible number of processes.

    Raises:
        ArgumentError: it is less than 1.
    """
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise ArgumentError("workers", repr(workers), "a whole number of at least 1")


@contextmanager
def failures(where: str, advice: str) -> Iterator[None]:
    """Say in one line what dask could not do.

    Args:
        where: what failed.
        advice: what to do.

    Raises:
        TargetError: anything was raised that is not an error of ours.
    """
    try:
        yield
    except DynpropError:
        raise
    except (Exception, asyncio.CancelledError) as error:
        said = (str(error).strip() or "no reason given").splitlines()[0].rstrip(":")
        raise TargetError(f"{where} ({type(error).__name__}: {said}): {advice}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep dask's log to itself: what went wrong is said in words."""
    loggers = [
        logging.getLogger(n) for n in list(logging.root.manager.loggerDict) if n.startswith("distributed")
    ]
    speaking = [logger for logger in loggers if not logger.disabled]
    for logger in speaking:
        logger.disabled = True
    try:
        yield
    finally:
        for logger in speaking:
            logger.disabled = False


def _imported() -> Any:
    """Return dask.distributed; it takes a second, and half of it is of no use."""
    try:
        with held():
            import distributed
    except ModuleNotFoundError as error:
        raise TargetError("several workers need dask: pip install 'dynprop[sweeps]'") from error
    return distributed


@contextmanager
def local_client(workers: int) -> Iterator[Any]:
    """Give a client of so many processes of this machine, which end with the context.

    Raises:
        TargetError: they do not start.
    """
    distributed = _imported()
    advice = "see whether this machine has the memory for them, or train with --workers 1"
    # Its start lets Ctrl-C through again to the thread that needs it first.
    with held():
        resource_tracker.ensure_running()
    with _quiet(), ExitStack() as stack:
        with held(), failures("no cluster could be started on this machine", advice):
            cluster = distributed.LocalCluster(
                n_workers=0,
                threads_per_worker=1,
                processes=True,
                dashboard_address=":0",
                silence_logs=logging.CRITICAL,
            )
            # Dask would try again when the interpreter ends.
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
    """Give a client of a scheduler that has a worker.

    Args:
        address: such as tcp://host:8786.
        seconds: in which the scheduler must answer, and then have a worker.

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
    """Return the bytes that the largest of a client's workers may take; None where nothing limits it."""
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    return max((int(worker.get("memory_limit") or 0) for worker in workers), default=0) or None


def _close(client: Any) -> None:
    with held(), suppress(Exception, asyncio.CancelledError):
        client.close(timeout=END_SECONDS)


def _end(cluster: Any) -> None:
    """End the processes of a cluster now, whatever they do."""
    with held(), suppress(Exception, asyncio.CancelledError):
        # Those that are still starting, too, where dask says which they are.
        nannies = list(getattr(cluster, "_created", cluster.workers.values()))
        for nanny in nannies:
            nanny.auto_restart = False
        pids = {nanny.pid for nanny in nannies}
        for process in multiprocessing.active_children():
            if process.pid in pids:
                process.kill()
        cluster.close(timeout=END_SECONDS)
