"""What a target prints: shown on stderr up to a limit, so that it buries nothing.

The child's stdout and stderr are one pipe. A thread of the parent empties it for as long as the child lives.
"""

from __future__ import annotations

import codecs
import os
import sys
import threading
from contextlib import suppress
from multiprocessing.connection import Connection

from dynprop.wording import printable

__all__ = ["MOST", "TargetOutput"]

# Characters of all children of one check together.
MOST = 16_384
CHUNK = 65_536
# Seconds for what a child has printed just before its end.
LAST_WORDS = 1.0


class TargetOutput:
    """Passes on what the children of a check print, up to a limit; call ``close`` at the end.

    Args:
        most: characters that are passed on.
    """

    def __init__(self, most: int = MOST) -> None:
        self._left = most
        self._dropped = 0
        self._shown = False
        self._lock = threading.Lock()

    def follow(self, pipe: Connection) -> threading.Thread:
        """Start to empty the pipe of a child."""
        thread = threading.Thread(target=self._empty, args=(pipe,), daemon=True)
        thread.start()
        return thread

    @staticmethod
    def wait(thread: threading.Thread) -> None:
        """Wait for the last output of a child that has ended; what it has left behind may hold on."""
        thread.join(LAST_WORDS)

    def close(self) -> None:
        """Say how much was not shown."""
        with self._lock:
            if self._dropped:
                _write(f"dynprop: the target printed {self._dropped:,} bytes more, which are not shown\n")
                self._dropped = 0

    def _empty(self, pipe: Connection) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        # Whoever ends the child closes the pipe.
        with suppress(OSError, ValueError):
            while chunk := os.read(pipe.fileno(), CHUNK):
                with self._lock:
                    self._show(chunk, decoder)

    def _show(self, chunk: bytes, decoder: codecs.IncrementalDecoder) -> None:
        if not self._left:
            self._dropped += len(chunk)
            return
        text = printable(decoder.decode(chunk).replace("\r\n", "\n").replace("\r", "\n"))
        shown = text[: self._left]
        self._left -= len(shown)
        if len(shown) < len(text):
            # Escapes are longer than the bytes that they stand for: at most the whole chunk is counted.
            self._dropped += min(len(chunk), len(text) - len(shown))
            shown += "\n"
        _write(shown)


def _write(text: str) -> None:
    """Write to stderr, which may be closed, full, or of another encoding."""
    stream = sys.stderr
    with suppress(OSError, ValueError, AttributeError):
        encoding = getattr(stream, "encoding", None) or "utf-8"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
