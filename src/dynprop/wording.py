"""Text of objects that others wrote: exceptions, values and output whose own methods may raise or never end.

Whatever an object does when it is turned into text, the result is one printable line of bounded length.
"""

from __future__ import annotations

import os
import re
from traceback import walk_tb

__all__ = ["error_text", "printable", "shorten", "trace_text", "type_name", "value_text"]

# Characters of an exception's line, of a value, and of what is read of a text at each of its ends.
LINE = 300
VALUE = 60
READ = 10_000
# Frames of a trace, from the one that raised.
FRAMES = 8
ELLIPSIS = " ... "
# Control characters but tab and newline, which would move the cursor or colour the terminal.
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


def printable(text: str) -> str:
    r"""Return a text that every stream and file can hold: lone surrogates and controls as escapes.

    Example:
        >>> printable("red \x1b[31m, half \ud800")
        'red \\x1b[31m, half \\ud800'
    """
    whole = str.encode(text, "utf-8", "backslashreplace").decode("utf-8")
    return CONTROL.sub(_escaped, whole)


def _escaped(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def shorten(text: str, most: int) -> str:
    """Return a text of at most ``most`` characters: a long one is cut in the middle, between words.

    Example:
        >>> shorten("one two three four five six", 18)
        'one two ... six'
    """
    if len(text) <= most:
        return text
    room = max(2, most - len(ELLIPSIS))
    ahead, behind = text[: room - room // 2], text[len(text) - room // 2 :]
    # A word of more than half of the room is cut all the same.
    first, last = ahead.rfind(" "), behind.find(" ")
    ahead = ahead[:first] if first > len(ahead) // 2 else ahead
    behind = behind[last + 1 :] if 0 <= last < len(behind) // 2 else behind
    return f"{ahead.rstrip()}{ELLIPSIS}{behind.lstrip()}"


def type_name(value: object) -> str:
    """Return the name of a value's type, which no metaclass changes."""
    name: str = type.__dict__["__name__"].__get__(type(value))
    return shorten(printable(name), VALUE)


def error_text(error: BaseException) -> str:
    r"""Return type, first and last line of an exception, on one line.

    Example:
        >>> error_text(RuntimeError("the shapes differ:\n  a 3\n  b 4\ntranspose one of them"))
        'RuntimeError: the shapes differ: ... transpose one of them'
    """
    try:
        text = str(error)
    except BaseException as inner:  # the exception is somebody else's: its text may raise anything
        return f"{type_name(error)} (its text cannot be read: {type_name(inner)})"
    lines = [line for part in _ends(text) for line in _lines(part)]
    if not lines:
        return type_name(error)
    if len(lines) == 1:
        return f"{type_name(error)}: {shorten(lines[0], LINE)}"
    between = ELLIPSIS if len(lines) > 2 else " "
    return f"{type_name(error)}: {shorten(lines[0], LINE // 2)}{between}{shorten(lines[-1], LINE)}"


def _ends(text: str) -> tuple[str, ...]:
    """Return a text, or both ends of a very long one."""
    if str.__len__(text) <= 2 * READ:
        return (text,)
    return (str.__getitem__(text, slice(READ)), str.__getitem__(text, slice(-READ, None)))


def _lines(text: str) -> list[str]:
    """Return the lines that are not empty, printable and with single spaces."""
    return [" ".join(printable(line).split()) for line in str.splitlines(text) if str.strip(line)]


def value_text(value: object, most: int = VALUE) -> str:
    """Return the repr of a value on one line, or what its repr raises.

    Example:
        >>> value_text([1, 2])
        '[1, 2]'
    """
    try:
        text = repr(value)
    except BaseException as inner:  # the value is somebody else's: its repr may raise anything
        return f"(its repr raises {type_name(inner)})"
    return shorten(" ".join(line for part in _ends(text) for line in _lines(part)), most)


def trace_text(error: BaseException) -> str:
    """Return an exception on one line, with the files and lines that led to it, the one that raised first."""
    frames = [f"{os.path.basename(f.f_code.co_filename)}:{line}" for f, line in walk_tb(error.__traceback__)]
    return f"{error_text(error)} ({' < '.join(frames[: -FRAMES - 1 : -1])})"
