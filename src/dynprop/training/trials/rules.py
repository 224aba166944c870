"""Names of initialisation and optimiser rules: "word" or "word=number"."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dynprop.errors import ArgumentError

__all__ = ["RuleNumber", "parse_rule"]


@dataclass(frozen=True)
class RuleNumber:
    """The finite number of a rule.

    Attributes:
        default: its value if none is given; None if the rule computes it.
        low, high: its smallest and largest value.
    """

    default: float | None
    low: float = -math.inf
    high: float = math.inf

    def __str__(self) -> str:
        """Describe the expected number."""
        if self.low == -math.inf:
            return "a finite number"
        limits = "of at least " if self.high == math.inf else "from "
        return f"a finite number {limits}{self.low:g}" + (
            "" if self.high == math.inf else f" to {self.high:g}"
        )


def parse_rule(name: str, text: Any, known: Mapping[str, RuleNumber | None]) -> tuple[str, float | None]:
    """Split "word" or "word=number" into word and number; without a number return its default.

    Args:
        name: of the argument, for errors.
        text: the rule as given.
        known: the words, each with its number, or None for a word without one.

    Raises:
        ArgumentError: the word is unknown, or the number is impossible or not expected.
    """
    word, sign, digits = str(text).partition("=")
    if word not in known:
        words = (rule if number is None else f"{rule}[=NUMBER]" for rule, number in known.items())
        raise ArgumentError(name, repr(text), f"one of {', '.join(words)}")
    expected = known[word]
    if not sign:
        return word, None if expected is None else expected.default
    if expected is None:
        raise ArgumentError(name, repr(text), f"{word} alone, which takes no number")
    try:
        value = float(digits)
    except ValueError as error:
        raise ArgumentError(name, repr(text), f"{expected} after {word}=") from error
    if not (math.isfinite(value) and expected.low <= value <= expected.high):
        raise ArgumentError(name, repr(text), f"{expected} after {word}=")
    return word, value
