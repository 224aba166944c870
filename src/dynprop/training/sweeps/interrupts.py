"""Ctrl-C that comes while it cannot be served: half of an import, a cluster that is starting or ending."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["held"]


@contextmanager
def held(*, forget: bool = False) -> Iterator[None]:
    """Let Ctrl-C wait until the end of the context, and then raise KeyboardInterrupt.

    Threads that are begun inside, and processes that these begin, never see it: they end when the main
    thread says so.

    Args:
        forget: raise nothing, for the last words of a process.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "pthread_sigmask"):
        yield
        return
    waiting: list[Any] = []
    before = signal.signal(signal.SIGINT, lambda *_: waiting.append(True))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        # In this order: what waits in the kernel is then counted, too.
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)
        if waiting and not forget:
            signal.raise_signal(signal.SIGINT)
