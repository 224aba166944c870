"""How rules are named in a setting: a word, or a word and its number."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dynprop.errors import ArgumentError

__all__ = ["Number", "spelled"]


@dataclass(frozen=True)
class Number:
    """The finite number that a rule takes.

    Attributes:
        default: its value where none is given; None where whoever applies the rule knows.
        low, high: the ends of where it must lie.
    """

    default: float | None
    low: float = -math.inf
    high: float = math.inf

    def __str__(self) -> str:
        """Say in words what is expected."""
        if self.low == -math.inf:
            return "a finite number"
        ends = "of at least " if self.high == math.inf else "from "
        return f"a finite number {ends}{self.low:g}" + ("" if self.high == math.inf else f" to {self.high:g}")


def spelled(name: str, text: Any, known: Mapping[str, Number | None]) -> tuple[str, float | None]:
    """Split "word" or "word=number" and return both parts, the number's default where there is none.

    Args:
        name: of the argument, for errors.
        text: what was given.
        known: the words, each with the number that it takes, or None.

    Raises:
        ArgumentError: another word, a number where none belongs, or not the number that does.
    """
    word, sign, digits = str(text).partition("=")
    if word not in known:
        words = (each if number is None else f"{each}[=NUMBER]" for each, number in known.items())
        raise ArgumentError(name, repr(text), f"one of {', '.join(words)}")
    takes = known[word]
    if not sign:
        return word, None if takes is None else takes.default
    if takes is None:
        raise ArgumentError(name, repr(text), f"{word} alone, which takes no number")
    try:
        value = float(digits)
    except ValueError as error:
        raise ArgumentError(name, repr(text), f"{takes} after {word}=") from error
    if not (math.isfinite(value) and takes.low <= value <= takes.high):
        raise ArgumentError(name, repr(text), f"{takes} after {word}=")
    return word, value
