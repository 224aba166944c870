"""Delay of Ctrl-C during operations that it must not interrupt: an import, the start or end of a cluster."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["delayed_interrupts"]


@contextmanager
def delayed_interrupts(*, forget: bool = False) -> Iterator[None]:
    """Delay Ctrl-C until the end of the context, and then raise KeyboardInterrupt.

    Threads started inside, and processes started by them, never receive it: the main thread ends them.

    Args:
        forget: raise nothing; for the last messages of a process.
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
        # In this order: a signal pending in the kernel is then delivered to the handler, too.
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)
        if waiting and not forget:
            signal.raise_signal(signal.SIGINT)
