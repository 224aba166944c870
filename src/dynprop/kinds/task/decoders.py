"""Decoders of single sequences: structure checks, and targets computed from the inputs.

Plain loops, written from the papers and their released code, sharing no code with any generator. A row is a
sequence up to its end, as lists of numbers; steps are indices from 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

__all__ = [
    "Check",
    "Row",
    "Target",
    "copy_check",
    "copy_target",
    "latch_check",
    "mark_check",
    "mark_product",
    "mark_sum",
    "marked",
    "order_check",
    "order_target",
    "pair_check",
    "parity_check",
    "parity_target",
    "symbol",
    "two_sequence_check",
    "unit_check",
    "unit_target",
]

Row = Sequence[Sequence[float]]
Check = Callable[[Row, int], str | None]
Target = Callable[[Row, int], Any]


# Latching


def latch_check(row: Row, length: int) -> str | None:
    """Check that the first input, which is the class, is 1 or -1."""
    return None if abs(row[0][0]) == 1.0 else f"first input {row[0][0]:g} is neither 1 nor -1"


def two_sequence_check(row: Row, length: int) -> str | None:
    """Check that the first three inputs, which are the class, are all 1 or all -1."""
    start = {row[t][0] for t in range(3)}
    return None if start in ({1.0}, {-1.0}) else f"the first three inputs are {sorted(start)}"


def unit_check(row: Row, length: int) -> str | None:
    """Check for three inputs of one class, one a step, followed by noise."""
    shift = 0 if row[0][1] == 1.0 else 3
    for t, step in enumerate(row):
        expected = [0.0] * 6
        if t < 3:
            expected[shift + t] = 1.0
        if list(step[1:]) != expected:
            return f"learned inputs at step {t} are {list(step[1:])}"
        if t < 3 and step[0] != 0.0:
            return f"noise {step[0]:g} at step {t}, where the class stands"
    return None


def unit_target(row: Row, length: int) -> float:
    """Return 0.8 with the sign of the class."""
    return 0.8 if row[0][1] == 1.0 else -0.8


def parity_check(row: Row, length: int) -> str | None:
    """Check that every input is 1 or -1, up to 0.2."""
    for t, step in enumerate(row):
        if not 0.8 <= abs(step[0]) <= 1.2:
            return f"input {step[0]:g} at step {t} is not 1 or -1 up to 0.2"
    return None


def parity_target(row: Row, length: int) -> float:
    """Return 1 if the number of ones is odd, else -1."""
    return 1.0 if sum(step[0] > 0 for step in row) % 2 else -1.0


# Marked values


def marked(row: Row) -> list[int]:
    """Return the steps with a mark."""
    return [t for t, step in enumerate(row) if step[1] == 1.0]


def pair_check(low: float) -> Check:
    """Return a check: values from low to 1; marker -1 at both ends, 1 at one or two other pairs."""

    def check(row: Row, length: int) -> str | None:
        for t, (value, mark) in enumerate(row):
            edge = t in (0, len(row) - 1)
            if mark not in ((-1.0,) if edge else (0.0, 1.0)):
                return f"mark {mark:g} at step {t}"
            if not low <= value <= 1.0:
                return f"value {value:g} at step {t}"
        return _check_count(row, (1, 2))

    return check


def mark_check(halves: bool) -> Check:
    """Return a check: values from 0 to 1 and two marks, one in each half or anywhere."""

    def check(row: Row, length: int) -> str | None:
        for t, (value, mark) in enumerate(row):
            if mark not in (0.0, 1.0) or not 0.0 <= value <= 1.0:
                return f"value {value:g} with mark {mark:g} at step {t}"
        positions = marked(row)
        if halves and [t < length // 2 for t in positions] != [True, False]:
            return f"marks at {positions}"
        return _check_count(row, (2,))

    return check


def _check_count(row: Row, allowed: tuple[int, ...]) -> str | None:
    count = len(marked(row))
    return None if count in allowed else f"{count} marks"


def mark_sum(scaled: bool) -> Target:
    """Return a decoder of the sum of the marked values; scaled: a quarter of it plus 0.5."""

    def target(row: Row, length: int) -> float:
        total = math.fsum(row[t][0] for t in marked(row))
        return 0.5 + total / 4.0 if scaled else total

    return target


def mark_product(row: Row, length: int) -> float:
    """Return the product of the marked values."""
    return math.prod(row[t][0] for t in marked(row))


# Symbols


def symbol(step: Sequence[float]) -> int:
    """Return the symbol of a one-hot step, or -1."""
    ones = [i for i, value in enumerate(step) if value == 1.0]
    return ones[0] if len(ones) == 1 and sum(step) == 1.0 else -1


def _relevant(row: Row, symbols: tuple[int, int]) -> list[int]:
    return [t for t, step in enumerate(row) if symbol(step) in symbols]


def order_check(
    ranges: Callable[[int], list[tuple[int, int]]], symbols: tuple[int, int], edges: bool
) -> Check:
    """Return a check: a relevant symbol in each range, distractors elsewhere; edges: start and trigger."""
    distractors = range(2, 6)

    def check(row: Row, length: int) -> str | None:
        for t, step in enumerate(row):
            observed = symbol(step)
            edge = edges and t in (0, len(row) - 1)
            allowed: tuple[int, ...] = (0 if t == 0 else 1,) if edge else (*distractors, *symbols)
            if observed not in allowed:
                return f"symbol {observed} at step {t}"
        marks, expected = _relevant(row, symbols), ranges(length)
        inside = [low <= t <= high for t, (low, high) in zip(marks, expected, strict=False)]
        if len(marks) == len(expected) and all(inside):
            return None
        return f"relevant symbols at {marks}, not one in each of {expected}"

    return check


def order_target(symbols: tuple[int, int]) -> Target:
    """Return a decoder of the class whose bits are the relevant symbols in their order."""

    def target(row: Row, length: int) -> int:
        index = 0
        for t in _relevant(row, symbols):
            index = 2 * index + (symbol(row[t]) == symbols[1])
        return index

    return target


def copy_check(row: Row, length: int) -> str | None:
    """Check for ten symbols of eight, blanks, and the marker before the last ten blanks."""
    for t, step in enumerate(row):
        observed = symbol(step)
        expected = range(8) if t < 10 else (9,) if t == length + 9 else (8,)
        if observed not in expected:
            return f"symbol {observed} at step {t}"
    return None


def copy_target(row: Row, length: int) -> list[int]:
    """Return blanks with the ten symbols at the end."""
    return [8] * (length + 10) + [symbol(row[t]) for t in range(10)]
