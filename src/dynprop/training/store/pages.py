"""Rows of a SQLite file that are read without SQLite, page by page, from what is left of it.

Whoever reads them checks them: rows here carry a checksum. So nothing of a page is believed but its cells:
neither its kind, nor its count, nor that anything points to it, nor that it was committed. Pages of the
write-ahead log are read in the same way. The format is that of sqlite.org/fileformat2.html, sections 1.6 and
2.1. Rows that do not fit into one page are left out: a ledger has none.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["records", "stored_pages"]

# The head of a page of a table's rows, of a log and of its frames. (The first page has another; no row of
# ours lies there.)
PAGE_HEAD, LOG_HEAD, FRAME_HEAD = 8, 32, 24
# A page's row may take all of the page but so much.
RESERVED = 35
INTEGERS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
CONSTANTS: dict[int, int | None] = {0: None, 8: 0, 9: 1}


def stored_pages(path: Path, size: int, *, log: bool = False) -> Iterator[bytes]:
    """Yield the pages of a database or of its log; none where the file is not there.

    Args:
        path: of the file.
        size: of a page, in bytes.
        log: whether the file is a write-ahead log.
    """
    if not path.is_file():
        return
    with path.open("rb") as file:
        file.seek(LOG_HEAD if log else 0)
        while (file.read(FRAME_HEAD) if log else True) and (page := file.read(size)):
            yield page.ljust(size, b"\0")


def records(page: bytes) -> Iterator[tuple[Any, ...]]:
    """Yield what may be the rows of a page; what cannot be read is left out."""
    # Pointers to cells grow from the head on, cells from the end: they never meet.
    at, lowest = PAGE_HEAD, len(page)
    while at + 2 <= lowest:
        pointer = int.from_bytes(page[at : at + 2])
        at += 2
        if not at <= pointer < len(page):
            continue
        try:
            found = _record(page, pointer)
        except (IndexError, ValueError, struct.error):
            continue
        lowest = min(lowest, pointer)
        yield found


def _record(page: bytes, at: int) -> tuple[Any, ...]:
    """Return the values of the row at a place; anything may be raised where there is none."""
    size, at = _number(page, at)
    _, at = _number(page, at)
    end = at + size
    if size > len(page) - RESERVED or end > len(page):
        raise ValueError("a row that does not fit into its page")
    head, place = _number(page, at)
    body = at + head
    kinds = []
    while place < body:
        kind, place = _number(page, place)
        kinds.append(kind)
    values = []
    for kind in kinds:
        value, body = _value(page, body, kind)
        values.append(value)
    if body != end or not kinds:
        raise ValueError("a row of another length")
    return tuple(values)


def _number(page: bytes, at: int) -> tuple[int, int]:
    """Return a number of variable length and the place behind it."""
    found = 0
    for place in range(at, at + 8):
        byte = page[place]
        found = found << 7 | byte & 0x7F
        if byte < 0x80:
            return found, place + 1
    return found << 8 | page[at + 8], at + 9


def _value(page: bytes, at: int, kind: int) -> tuple[Any, int]:
    """Return the value of a kind and the place behind it."""
    if kind in CONSTANTS:
        return CONSTANTS[kind], at
    if kind in INTEGERS:
        end = at + INTEGERS[kind]
        return int.from_bytes(page[at:end], signed=True), end
    if kind == 7:
        return struct.unpack(">d", page[at : at + 8])[0], at + 8
    if kind < 12:
        raise ValueError("a kind that is not in use")
    end = at + (kind - 12) // 2
    content = page[at:end]
    return (content.decode() if kind % 2 else content), end
