"""Sources of choices: the same case generators serve Hypothesis and an i.i.d. driver.

A generator draws the *structure* of a case (sizes, classes, dtype) choice by choice and its numbers from one
numpy Generator. A case is therefore described by few values, cheap to generate, and reproducible.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

import numpy as np

__all__ = ["RandomSource", "Source", "length", "split_points"]

T = TypeVar("T")


class Source(Protocol):
    """The choices of a case generator."""

    def integer(self, low: int, high: int) -> int:
        """Draw a whole number from low to high, both included; simplest at low."""
        ...

    def choice(self, options: Sequence[T]) -> T:
        """Draw one of the options; simplest the first."""
        ...

    def generator(self) -> np.random.Generator:
        """Return a numpy Generator whose seed is drawn."""
        ...


class RandomSource:
    """Independent, identically distributed choices from one numpy Generator."""

    def __init__(self, seed: int | np.random.SeedSequence) -> None:
        """Seed the source."""
        self._rng = np.random.default_rng(seed)

    def integer(self, low: int, high: int) -> int:
        """Draw a whole number from low to high, both included."""
        return int(self._rng.integers(low, high + 1))

    def choice(self, options: Sequence[T]) -> T:
        """Draw one of the options with equal probability."""
        return options[int(self._rng.integers(len(options)))]

    def generator(self) -> np.random.Generator:
        """Return a Generator with a fresh seed."""
        return np.random.default_rng(int(self._rng.integers(2**32)))


FEW_LENGTHS = (2, 3, 5, 8, 17, 33)


def length(source: Source, longest: int, *, shortest: int = 0, usual: int = 12, few: bool = False) -> int:
    """Draw a number of steps: mostly small, sometimes a power of two and its neighbours.

    Args:
        source: of the choices.
        longest: upper limit.
        shortest: lower limit, unless ``longest`` is smaller.
        usual: most lengths are at most this.
        few: draw from a few lengths only, for libraries that compile every new shape.
    """
    if few:
        lengths = [n for n in (0, 1, *FEW_LENGTHS) if min(shortest, longest) <= n <= min(longest, 3 * usual)]
        return source.choice(lengths or [min(shortest, longest)])
    exponent = max(4, min(8, longest.bit_length() - 1))
    size = source.choice(("small", "small", "near a power of two", "odd"))
    if size == "small":
        steps = source.integer(shortest, usual)
    elif size == "odd":
        steps = 2 * source.integer(1, 2 * usual) + 1
    else:
        steps = 2 ** source.integer(2, exponent) + source.integer(-1, 1)
    return max(min(shortest, longest), min(longest, steps))


def split_points(steps: int, few: bool = False) -> list[int]:
    """Return the split points: all of them up to 24 steps, else the ends, powers of two and their neighbours.

    ``few`` is for libraries that compile every new shape.
    """
    if few:
        return sorted({1, steps // 2, steps - 1} - {0})
    if steps <= 24:
        return list(range(1, steps))
    near = {2**k + d for k in range(1, steps.bit_length()) for d in (-1, 0, 1)}
    return sorted(p for p in near | {1, 2, 3, steps - 2, steps - 1, steps // 3} if 0 < p < steps)
