"""The child's end of the pipe to its parent, which a target may close, use for itself, or copy by a fork."""

from __future__ import annotations

import os
from collections.abc import Callable
from multiprocessing.connection import Connection
from pickle import dumps

from dynprop.check.process.messages import Message

__all__ = ["CHANNEL_LOST", "Channel"]

# Exit status of a child that cannot report any more.
CHANNEL_LOST = 87


class Channel:
    """Sends messages to the parent.

    A copy of the process that the target has made by a fork ends here: it is no business of the parent. The
    process itself ends if the pipe is no longer its own, since it could only write into a file of the target.
    """

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        # Kept, since a target may replace the functions of os.
        self._process, self._end = os.getpid, os._exit
        self._identity = _identity_of(os.fstat, pipe.fileno())
        self._stat: Callable[[int], os.stat_result] = os.fstat
        self._owner = self._process()

    def send(self, message: Message) -> None:
        """Send a message, or end this process."""
        if self._process() != self._owner:
            self._end(0)
        try:
            if _identity_of(self._stat, self._pipe.fileno()) != self._identity:
                self._end(CHANNEL_LOST)
            self._pipe.send_bytes(dumps(message))
        except OSError:
            self._end(CHANNEL_LOST)


def _identity_of(stat: Callable[[int], os.stat_result], descriptor: int) -> tuple[int, int]:
    found = stat(descriptor)
    return (found.st_dev, found.st_ino)
