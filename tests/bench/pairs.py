"""A function timed against its reference in turns, in one process: the median of the paired ratios.

A busy moment of a shared machine falls on both, so that the ratio of neighbours is far steadier than either
time. Pairs are added until the confidence interval of the median lies on one side of the limit, or time is
up. The interval assumes nothing of the noise: order statistics, whose ranks are binomial quantiles (David and
Nagaraja 2003, Order Statistics, section 7.1).
"""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = ["Ratio", "fastest", "gathered", "median_interval", "pair_of"]

# Both sides of the interval together are wrong once in a thousand medians.
MISS = 1e-3
# A timing below this is lost in the clock and in what a call costs.
SHORTEST = 2e-3

Call = Callable[[], object]


@dataclass(frozen=True)
class Ratio:
    """The time of a function over that of its reference.

    Attributes:
        median: median of the paired ratios.
        low, high: its confidence interval, without bounds where there are too few pairs.
        pairs: how many pairs there were.
    """

    median: float
    low: float
    high: float
    pairs: int

    def exceeds(self, limit: float) -> bool:
        """Say whether the ratio is above a limit: certainly, or, where that stays open, by its median."""
        if self.low > limit or self.high <= limit:
            return self.low > limit
        return self.median > limit

    def surely_exceeds(self, limit: float) -> bool:
        """Say whether the ratio is certainly above a limit."""
        return self.low > limit

    def __str__(self) -> str:
        """Return the median and its interval."""
        return f"{self.median:.3g} [{self.low:.3g}, {self.high:.3g}] of {self.pairs} pairs"


def median_interval(values: Sequence[float], miss: float = MISS) -> tuple[float, float]:
    """Return the order statistics between which the median lies, except with probability ``miss``."""
    ordered, count = sorted(values), len(values)
    below, rank = 0.0, -1
    # The k-th smallest exceeds the median if fewer than k values fall below it.
    while below + math.comb(count, rank + 1) * 0.5**count <= miss / 2.0:
        rank += 1
        below += math.comb(count, rank) * 0.5**count
    if rank < 0:
        return -math.inf, math.inf
    return ordered[rank], ordered[count - 1 - rank]


def gathered(sample: Callable[[], float], limit: float, seconds: float, most: int = 400) -> Ratio:
    """Collect ratios until the interval of their median leaves the limit on one side, or time is up.

    Args:
        sample: returns one ratio.
        limit: what the ratio is compared with.
        seconds: time to spend, after the first three pairs.
        most: largest number of pairs.
    """
    values: list[float] = []
    deadline = time.perf_counter() + seconds
    while len(values) < 3 or (len(values) < most and time.perf_counter() < deadline):
        values.append(sample())
        low, high = median_interval(values)
        if low > limit or high < limit:
            break
    return Ratio(statistics.median(values), *median_interval(values), len(values))


def pair_of(subject: Call, reference: Call) -> Callable[[], float]:
    """Return what times the two in turns, the first of one pair the second of the next."""
    repeats = [_repeats(subject), _repeats(reference)]
    turn = 0

    def sample() -> float:
        nonlocal turn
        turn += 1
        calls = [subject, reference]
        found = [0.0, 0.0]
        for i in (0, 1) if turn % 2 else (1, 0):
            found[i] = _seconds(calls[i], repeats[i])
        return found[0] / found[1]

    return sample


def fastest(*calls: Call) -> Call:
    """Return the fastest of several references, by the better of two timings each."""
    for call in calls:
        call()
    return min(calls, key=lambda call: min(_seconds(call, 1), _seconds(call, 1)))


def _repeats(call: Call) -> int:
    call()
    once = _seconds(call, 1)
    return max(1, math.ceil(SHORTEST / max(once, 1e-7)))


def _seconds(call: Call, repeats: int) -> float:
    """Return the seconds of one call, without the garbage collector."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        begin = time.perf_counter()
        for _ in range(repeats):
            call()
        return (time.perf_counter() - begin) / repeats
    finally:
        if enabled:
            gc.enable()
