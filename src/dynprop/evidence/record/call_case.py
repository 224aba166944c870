"""One random call of a public function: its arguments, what judges its result, and its limit of time."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import mpmath  # type: ignore[import-untyped]  # it has no annotations
import numpy as np

__all__ = ["SECONDS", "UNDECIDED", "Call", "OverTimeError", "Stratum", "limited", "mpmath", "worst"]

Rng = np.random.Generator
# Seconds of processor time that a call may take.
SECONDS = 5.0
# What a judge returns where its reference decides nothing.
UNDECIDED = float("nan")


class OverTimeError(BaseException):
    """A call passed the limit of time. Not an Exception, so that no handler of a caller's errors takes it."""


@dataclass(frozen=True)
class Call:
    """One call.

    Attributes:
        text: the function's arguments, from which a reader can repeat the call.
        run: makes the call. Its result is whatever the function returns.
        judge: the error of the result over its bound, by independent arithmetic; above 1 it is outside,
            NaN where the reference decides nothing.
    """

    text: str
    run: Callable[[], Any]
    judge: Callable[[Any], float]


@dataclass(frozen=True)
class Stratum:
    """A function with a family of arguments.

    Attributes:
        function: its name below dynprop, such as "linear.unroll".
        family: name of the family.
        bound: the bound that the error is compared with, in words.
        draw: draws one call.
    """

    function: str
    family: str
    bound: str
    draw: Callable[[Rng], Call]

    @property
    def name(self) -> str:
        """The name in records."""
        return f"{self.function}/{self.family}"


@contextmanager
def limited(seconds: float = SECONDS) -> Iterator[Callable[[], float]]:
    """Interrupt a block after some seconds of processor time; yields a clock of what it has taken.

    Compiled code is not interrupted before it returns; its time counts all the same.

    Raises:
        OverTimeError: the block took longer.
    """

    def stop(number: int, frame: object) -> None:
        raise OverTimeError

    before = signal.signal(signal.SIGPROF, stop)
    started = time.process_time()

    def clock() -> float:
        return time.process_time() - started

    try:
        signal.setitimer(signal.ITIMER_PROF, seconds)
        yield clock
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.signal(signal.SIGPROF, before)


def worst(*ratios: float) -> float:
    """Return the largest ratio; NaN where one is NaN and none exceeds 1."""
    known = [ratio for ratio in ratios if ratio == ratio]
    largest = max(known, default=UNDECIDED)
    return largest if len(known) == len(ratios) or largest > 1.0 else UNDECIDED
