"""What the command line writes: streams that may be closed, full or narrow, and files that are asked for."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from dynprop.errors import ArgumentError
from dynprop.wording import printable

__all__ = [
    "complain",
    "flush_all",
    "reader_may_leave",
    "require_writable",
    "settle",
    "stdout_failure",
    "write",
]


def settle() -> None:
    """Open what is closed, and let every stream take every character.

    A closed standard stream is replaced by the null device: a file opened later would get its number.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  (until the end)
        reconfigure = getattr(getattr(sys, name), "reconfigure", None)
        if reconfigure is not None:
            with suppress(OSError, ValueError):
                reconfigure(errors="backslashreplace")


def complain(message: str, status: int = 2) -> int:
    """Print one line on stderr, if it takes any, and return the exit status."""
    with suppress(OSError, ValueError):
        print("dynprop:", " ".join(printable(message).split()), file=sys.stderr, flush=True)
    return status


def stdout_failure() -> OSError | None:
    """Return why stdout takes nothing more, or None; what it holds is then given up."""
    try:
        sys.stdout.flush()
    except OSError as error:
        _give_up(sys.stdout)
        return error
    return None


def flush_all(status: int) -> int:
    """Flush both streams at the end, and return the exit status: 2 if stdout could not be written."""
    error = stdout_failure()
    if error is not None and not isinstance(error, BrokenPipeError):
        status = complain(f"stdout: {error.strerror}", 2)
    try:
        sys.stderr.flush()
    except OSError:
        _give_up(sys.stderr)
    return status


@contextmanager
def reader_may_leave() -> Iterator[None]:
    """Print inside the context; a reader that goes away (dynprop check | head) ends the printing only."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        _give_up(sys.stdout)


def _give_up(stream: TextIO) -> None:
    """Send a stream to the null device, so that what it holds does not fail again at exit."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
        stream.flush()


def require_writable(option: str, name: str | None) -> None:
    """Raise ArgumentError, before any work is done, if a file cannot be written."""
    if name is None or (name == "-" and option == "--json"):
        return
    path = Path(name)
    if path.is_dir():
        raise ArgumentError(option, name, "a file, not a folder")
    if not path.parent.is_dir():
        raise ArgumentError(option, name, f"a file in a folder that exists; {path.parent} does not")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise ArgumentError(option, name, "a file that can be written")


def write(name: str | None, text: Callable[[], str]) -> None:
    """Write a text to a file, or to stdout for "-"; nothing for None.

    Raises:
        ArgumentError: the file cannot be written.
    """
    if name == "-":
        print(text())
    elif name is not None:
        try:
            Path(name).write_text(text() + "\n", encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise ArgumentError(
                "output", f"{name} ({error.strerror})", "a file that can be written"
            ) from error
