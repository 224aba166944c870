"""The child process of a check, up to the import of numpy.

Libraries read the number of threads at import. This module therefore imports none of them: a spawned process
imports it for :func:`work`, which sets the number before any library is imported.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from contextlib import suppress
from multiprocessing.connection import Connection

from dynprop.check.process.job import Job

__all__ = ["work"]


def work(pipe: Connection, job: Job, output: Connection | None = None) -> None:
    """Load the target and work through the items of a job, reporting every step.

    Args:
        pipe: where the steps are reported.
        job: the work.
        output: where stdout and stderr go; None for the parent's stderr.
    """
    _settle(output)
    from dynprop.check.process.items import run_job

    run_job(pipe, job)


def _settle(output: Connection | None) -> None:
    """Send the target's output away, leave Ctrl-C to the parent, and end when the parent ends.

    Libraries get one thread, unless the environment sets another number: the cases are small, and threads
    that wait for each other on a busy machine make them ten times slower. The child leads a process group, so
    that the parent can end what the target has started.
    """
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    with suppress(OSError):
        os.dup2(2 if output is None else output.fileno(), 1)
        os.dup2(1, 2)
    if output is not None:
        output.close()
    _leave_helpers()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "setpgid"):
        with suppress(OSError):
            os.setpgid(0, 0)
    parent = multiprocessing.parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _leave_helpers() -> None:
    """Close the pipes to the helper processes of multiprocessing, into which a target might write.

    They have no public name. A target that needs such a process gets its own.
    """
    for module, helper, name in (
        ("multiprocessing.resource_tracker", "_resource_tracker", "_fd"),
        ("multiprocessing.forkserver", "_forkserver", "_forkserver_alive_fd"),
    ):
        owner = getattr(sys.modules.get(module), helper, None)
        descriptor = getattr(owner, name, None)
        if isinstance(descriptor, int):
            setattr(owner, name, None)
            with suppress(OSError):
                os.close(descriptor)
