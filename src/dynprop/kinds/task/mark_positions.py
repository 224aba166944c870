"""Joint distribution of the positions of marks and relevant symbols, by enumeration.

Each function returns every possible set of visible positions, as indices from 0 in rising order, with its
exact probability. The papers state how positions are drawn:

* Hochreiter and Schmidhuber 1997, section 5.4: "we first randomly select and mark one of the first ten pairs
  ... Then we randomly select and mark one of the first T/2 - 1 still unmarked pairs". The marker of the first
  pair is always -1, which hides its mark. Positions of section 5.6 count from one: with T = 100,
  table 10 has 50, 40 and 24 steps between the last relevant input and the end of the shortest sequence.
* Arjovsky, Shah and Bengio 2016: one mark in each half. Bai, Kolter and Koltun 2018: two different ones.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import cache
from itertools import combinations, product

__all__ = [
    "Positions",
    "hidden_probability",
    "hochreiter_pairs",
    "one_in_each_half",
    "one_in_each_range",
    "probability_per_step",
    "scaled_from_hundred",
    "two_anywhere",
]

# The probability of each set of positions.
Positions = Mapping[tuple[int, ...], Fraction]
Ranges = Callable[[int], list[tuple[int, int]]]


@cache
def hochreiter_pairs(length: int) -> Positions:
    """Return positions of one of the first ten pairs and one of the first T/2 - 1 others."""
    probabilities: dict[tuple[int, ...], Fraction] = defaultdict(Fraction)
    for first in range(10):
        unmarked = [t for t in range(length) if t != first][: length // 2 - 1]
        for second in unmarked:
            probabilities[tuple(sorted({first, second} - {0}))] += Fraction(1, 10 * len(unmarked))
    return dict(probabilities)


@cache
def hidden_probability(length: int) -> Fraction:
    """Return the probability that the first pair, whose mark is hidden, is one of the two."""
    return sum((p for positions, p in hochreiter_pairs(length).items() if len(positions) == 1), Fraction(0))


@cache
def one_in_each_half(length: int) -> Positions:
    """Return positions of one mark in each half; of an odd length the first half is the shorter."""
    half = length // 2
    chance = Fraction(1, half * (length - half))
    return {(a, b): chance for a in range(half) for b in range(half, length)}


@cache
def two_anywhere(length: int) -> Positions:
    """Return positions of two different marks, all pairs equally likely."""
    chance = Fraction(2, length * (length - 1))
    return dict.fromkeys(combinations(range(length), 2), chance)


def one_in_each_range(ranges: Ranges) -> Callable[[int], Positions]:
    """Return the positions of one mark in each range, drawn independently; both ends are included."""

    @cache
    def positions(length: int) -> Positions:
        listed = [range(low, high + 1) for low, high in ranges(length)]
        total = 1
        for each in listed:
            total *= len(each)
        return {at: Fraction(1, total) for at in product(*listed)}

    return positions


def scaled_from_hundred(*ranges: tuple[int, int]) -> Ranges:
    """Scale ranges that a paper states for T = 100, counted from one, to indices at any T, rounded down."""
    return lambda length: [(low * length // 100 - 1, high * length // 100 - 1) for low, high in ranges]


def probability_per_step(positions: Positions, steps: int) -> list[Fraction]:
    """Return the probability that each step is marked."""
    probabilities = [Fraction(0)] * steps
    for at, chance in positions.items():
        for t in at:
            probabilities[t] += chance
    return probabilities
