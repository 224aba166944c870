"""Where marks and relevant symbols lie: the joint law of their positions, by going through the recipe.

Each function lists every set of positions that can be seen, as indices from 0 in rising order, with its exact
probability. The recipes stand in the papers:

* Hochreiter and Schmidhuber 1997, section 5.4: "we first randomly select and mark one of the first ten pairs
  ... Then we randomly select and mark one of the first T/2 - 1 still unmarked pairs". The marker of the first
  pair is -1 in any case, so that its mark is not seen. Positions of section 5.6 count from one: with T = 100,
  table 10 has 50, 40 and 24 steps between the last relevant input and the end of the shortest sequence.
* Arjovsky, Shah and Bengio 2016: one mark in each half. Bai, Kolter and Koltun 2018: two different ones.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import cache
from itertools import combinations, product

__all__ = ["Places", "anywhere", "halves", "hidden", "in_ranges", "of_hundred", "pairs", "per_step"]

Places = Mapping[tuple[int, ...], Fraction]
Ranges = Callable[[int], list[tuple[int, int]]]


@cache
def pairs(length: int) -> Places:
    """One of the first ten pairs, then one of the first T/2 - 1 that are still unmarked."""
    found: dict[tuple[int, ...], Fraction] = defaultdict(Fraction)
    for first in range(10):
        unmarked = [t for t in range(length) if t != first][: length // 2 - 1]
        for second in unmarked:
            found[tuple(sorted({first, second} - {0}))] += Fraction(1, 10 * len(unmarked))
    return dict(found)


@cache
def hidden(length: int) -> Fraction:
    """Return the probability that one of the two is the first pair."""
    return sum((p for seen, p in pairs(length).items() if len(seen) == 1), Fraction(0))


@cache
def halves(length: int) -> Places:
    """One in each half, the first one the shorter where they differ."""
    half = length // 2
    chance = Fraction(1, half * (length - half))
    return {(a, b): chance for a in range(half) for b in range(half, length)}


@cache
def anywhere(length: int) -> Places:
    """Two different ones."""
    chance = Fraction(2, length * (length - 1))
    return dict.fromkeys(combinations(range(length), 2), chance)


def in_ranges(ranges: Ranges) -> Callable[[int], Places]:
    """One in each range, both ends included, independently."""

    @cache
    def places(length: int) -> Places:
        listed = [range(low, high + 1) for low, high in ranges(length)]
        total = 1
        for each in listed:
            total *= len(each)
        return {at: Fraction(1, total) for at in product(*listed)}

    return places


def of_hundred(*positions: tuple[int, int]) -> Ranges:
    """Positions that are given for T = 100 and count from one, as indices at any T, rounded down."""
    return lambda length: [(low * length // 100 - 1, high * length // 100 - 1) for low, high in positions]


def per_step(places: Places, steps: int) -> list[Fraction]:
    """Return the probability that each step is marked."""
    found = [Fraction(0)] * steps
    for at, chance in places.items():
        for t in at:
            found[t] += chance
    return found
