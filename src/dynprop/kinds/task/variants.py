"""The published variants: what their sequences, their numbers and their criteria must be.

Written from the papers and from their released code alone, and sharing nothing with any generator. Criteria
that a paper does not state in numbers are those that this project states (docs/reference.md, "Tasks").
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from dynprop.kinds.task import places as lie
from dynprop.kinds.task import readings as read
from dynprop.kinds.task.fillers import Filler, bits, distractors, jitter, noise, recalled, values
from dynprop.kinds.task.places import Places

__all__ = ["VARIANTS", "Numbers", "Success", "Variant"]


@dataclass(frozen=True)
class Success:
    """When a learner has succeeded.

    Attributes:
        count: how many fresh sequences are judged.
        wrong: what makes an answer wrong: the wrong "side", the wrong "class", an output that errs "beyond"
            the limit, a "probability" that errs by it; or the mean "loss" is compared with that share of the
            level of chance.
        limit: see there.
        allowed: how many answers may be wrong.
    """

    count: int
    wrong: Literal["side", "class", "beyond", "probability", "loss"]
    limit: float = 0.0
    allowed: int = 0


@dataclass(frozen=True)
class Numbers:
    """Targets that are numbers.

    Attributes:
        low: the least.
        high: the largest.
        mean: length -> their exact mean.
    """

    low: float
    high: float
    mean: Callable[[int], float]


def _no_marks(length: int) -> Places:
    return {}


def _as_long(length: int) -> tuple[int, int]:
    return length, length


def _a_tenth_longer(length: int) -> tuple[int, int]:
    return length, length + length // 10


@dataclass(frozen=True)
class Variant:
    """What every sequence of a named variant satisfies.

    Attributes:
        features: numbers per step.
        frame: (row up to its end, length) -> what is out of place, or None.
        target: (row, length) -> the number, side, class or list of classes that is asked for.
        chance: length -> the chance loss.
        success: when a learner has succeeded.
        fillers: random inputs.
        classes: how many classes there are, equally likely; 0 for numbers.
        numbers: what the targets are if they are numbers.
        marks: features of which one is 1 where a mark can be seen; more than one say the class, bit by bit.
        places: length -> probability of every set of positions at which marks can be seen.
        steps: length -> least and largest number of steps, and all between are equally likely.
    """

    features: int
    frame: read.Frame
    target: read.Target
    chance: Callable[[int], float]
    success: Success
    fillers: tuple[Filler, ...]
    classes: int = 0
    numbers: Numbers | None = None
    marks: tuple[int, ...] = ()
    places: Callable[[int], Places] = _no_marks
    steps: Callable[[int], tuple[int, int]] = _as_long


def _even(length: int) -> float:
    return math.log(2.0)


def _unit(deviation: float) -> Variant:
    return Variant(
        7,
        read.unit_frame,
        read.unit_target,
        lambda length: 0.64,
        Success(200, "side", allowed=2),
        noise(deviation, 3),
        classes=2,
    )


def _sum_chance(length: int) -> float:
    # The variance of (X1 + X2)/4: Var X = 1/3, and one of them is 0 with the probability of a hidden mark.
    return float((2 - lie.hidden(length)) / 3 / 16)


def _product_mean(length: int) -> Fraction:
    return (1 - lie.hidden(length)) / 4 + lie.hidden(length) / 2


def _product_chance(length: int) -> float:
    square = (1 - lie.hidden(length)) / 9 + lie.hidden(length) / 3
    return float(square - _product_mean(length) ** 2)


def _adding(halves: bool) -> Variant:
    return Variant(
        2,
        read.mark_frame(halves),
        read.mark_sum(scaled=False),
        lambda length: 1.0 / 6.0,
        Success(400, "loss", limit=0.1),
        values(0.0),
        numbers=Numbers(0.0, 2.0, lambda length: 1.0),
        marks=(1,),
        places=lie.halves if halves else lie.anywhere,
    )


def _order(
    count: int, symbols: tuple[int, int], ranges: lie.Ranges, success: Success, edges: bool
) -> Variant:
    return Variant(
        8 if edges else 6,
        read.order_frame(ranges, symbols, edges),
        read.order_target(symbols),
        lambda length: math.log(2**count),
        success,
        distractors(2, 6),
        classes=2**count,
        marks=symbols,
        places=lie.in_ranges(ranges),
        steps=_a_tenth_longer if edges else _as_long,
    )


VARIANTS: dict[str, Variant] = {
    "latch": Variant(
        1,
        read.latch_frame,
        lambda row, length: row[0][0],
        _even,
        Success(400, "side", allowed=20),
        noise(0.2, 1),
        classes=2,
    ),
    "latch-unit": _unit(math.sqrt(0.2)),
    "latch-unit-quiet": _unit(0.2),
    "two-sequence": Variant(
        1,
        read.two_sequence_frame,
        lambda row, length: 1.0 if row[0][0] > 0 else 0.0,
        lambda length: 0.25,
        Success(256, "beyond", limit=0.2),
        noise(math.sqrt(0.2), 3),
        classes=2,
        steps=_a_tenth_longer,
    ),
    "parity": Variant(
        1,
        read.parity_frame,
        read.parity_target,
        _even,
        Success(256, "side"),
        (jitter(0.2), bits()),
        classes=2,
    ),
    "adding-hochreiter": Variant(
        2,
        read.pair_frame(-1.0),
        read.mark_sum(scaled=True),
        _sum_chance,
        Success(2000, "beyond", limit=0.04),
        values(-1.0),
        numbers=Numbers(0.0, 1.0, lambda length: 0.5),
        marks=(1,),
        places=lie.pairs,
        steps=_a_tenth_longer,
    ),
    "adding-urnn": _adding(halves=True),
    "adding-tcn": _adding(halves=False),
    "multiplication": Variant(
        2,
        read.pair_frame(0.0),
        read.mark_product,
        _product_chance,
        # "less than 13" of 2,000.
        Success(2000, "beyond", limit=0.04, allowed=12),
        values(0.0),
        numbers=Numbers(0.0, 1.0, lambda length: float(_product_mean(length))),
        marks=(1,),
        places=lie.pairs,
        steps=_a_tenth_longer,
    ),
    "temporal-order-6a": _order(
        2,
        (6, 7),
        lie.of_hundred((10, 20), (50, 60)),
        Success(2000, "probability", limit=0.3),
        edges=True,
    ),
    "temporal-order-6b": _order(
        3,
        (6, 7),
        lie.of_hundred((10, 20), (33, 43), (66, 76)),
        Success(2000, "probability", limit=0.3),
        edges=True,
    ),
    "temporal-order-pascanu": _order(
        2,
        (0, 1),
        lambda n: [(n // 10, 2 * n // 10 - 1), (5 * n // 10, 6 * n // 10 - 1)],
        Success(10_000, "class", allowed=100),
        edges=False,
    ),
    "copy": Variant(
        10,
        read.copy_frame,
        read.copy_target,
        lambda length: 10.0 * math.log(8.0) / (length + 20),
        Success(100, "loss", limit=0.05),
        recalled(10, 8),
        steps=lambda length: (length + 20, length + 20),
    ),
}
