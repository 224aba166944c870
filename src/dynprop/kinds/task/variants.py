"""The published variants: structure, targets, distributions and success criteria of their sequences.

Written from the papers and their released code, sharing no code with any generator. Where a paper states no
numbers for a criterion, the numbers are this project's (docs/reference.md, "Tasks").
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from dynprop.kinds.task import decoders, mark_positions
from dynprop.kinds.task.mark_positions import Positions
from dynprop.kinds.task.random_inputs import RandomInput, bits, distractors, jitter, noise, recalled, values

__all__ = ["VARIANTS", "Numbers", "Success", "Variant"]


@dataclass(frozen=True)
class Success:
    """A success criterion.

    Attributes:
        count: number of fresh sequences that are judged.
        wrong: what makes an answer wrong: the wrong "side", the wrong "class", an output with an error
            "beyond" the limit, a "probability" with an error beyond it. "loss" compares the mean loss
            with the chance level times the limit instead.
        limit: the limit of "beyond", "probability" and "loss".
        allowed: number of answers that may be wrong.
    """

    count: int
    wrong: Literal["side", "class", "beyond", "probability", "loss"]
    limit: float = 0.0
    allowed: int = 0


@dataclass(frozen=True)
class Numbers:
    """The distribution of real-valued targets.

    Attributes:
        low, high: the smallest and largest target.
        mean: length -> their exact mean.
    """

    low: float
    high: float
    mean: Callable[[int], float]


def _no_marks(length: int) -> Positions:
    return {}


def _same_length(length: int) -> tuple[int, int]:
    return length, length


def _up_to_a_tenth_longer(length: int) -> tuple[int, int]:
    return length, length + length // 10


@dataclass(frozen=True)
class Variant:
    """A named variant of a task.

    Attributes:
        features: numbers per step.
        check: (row up to its end, length) -> an error in its structure, or None.
        target: (row, length) -> the target: number, side, class or list of classes.
        chance: length -> the loss at chance level.
        success: the success criterion.
        random_inputs: the inputs that are random.
        classes: number of classes, equally likely; 0 for real-valued targets.
        numbers: the distribution of real-valued targets.
        marks: features that mark a step with a 1; two features encode the class, one bit a mark.
        positions: length -> the probability of each set of marked positions.
        steps: length -> smallest and largest number of steps, equally likely with all between.
    """

    features: int
    check: decoders.Check
    target: decoders.Target
    chance: Callable[[int], float]
    success: Success
    random_inputs: tuple[RandomInput, ...]
    classes: int = 0
    numbers: Numbers | None = None
    marks: tuple[int, ...] = ()
    positions: Callable[[int], Positions] = _no_marks
    steps: Callable[[int], tuple[int, int]] = _same_length


def _binary_chance(length: int) -> float:
    return math.log(2.0)


def _unit(deviation: float) -> Variant:
    return Variant(
        7,
        decoders.unit_check,
        decoders.unit_target,
        lambda length: 0.64,
        Success(200, "side", allowed=2),
        noise(deviation, 3),
        classes=2,
    )


def _sum_chance(length: int) -> float:
    # The variance of (X1 + X2)/4: Var X = 1/3, and one of them is 0 where its mark is hidden.
    return float((2 - mark_positions.hidden_probability(length)) / 3 / 16)


def _product_mean(length: int) -> Fraction:
    hidden = mark_positions.hidden_probability(length)
    return (1 - hidden) / 4 + hidden / 2


def _product_chance(length: int) -> float:
    hidden = mark_positions.hidden_probability(length)
    square = (1 - hidden) / 9 + hidden / 3
    return float(square - _product_mean(length) ** 2)


def _adding(halves: bool) -> Variant:
    return Variant(
        2,
        decoders.mark_check(halves),
        decoders.mark_sum(scaled=False),
        lambda length: 1.0 / 6.0,
        Success(400, "loss", limit=0.1),
        values(0.0),
        numbers=Numbers(0.0, 2.0, lambda length: 1.0),
        marks=(1,),
        positions=mark_positions.one_in_each_half if halves else mark_positions.two_anywhere,
    )


def _order(
    count: int, symbols: tuple[int, int], ranges: mark_positions.Ranges, success: Success, edges: bool
) -> Variant:
    return Variant(
        8 if edges else 6,
        decoders.order_check(ranges, symbols, edges),
        decoders.order_target(symbols),
        lambda length: math.log(2**count),
        success,
        distractors(2, 6),
        classes=2**count,
        marks=symbols,
        positions=mark_positions.one_in_each_range(ranges),
        steps=_up_to_a_tenth_longer if edges else _same_length,
    )


VARIANTS: dict[str, Variant] = {
    "latch": Variant(
        1,
        decoders.latch_check,
        lambda row, length: row[0][0],
        _binary_chance,
        Success(400, "side", allowed=20),
        noise(0.2, 1),
        classes=2,
    ),
    "latch-unit": _unit(math.sqrt(0.2)),
    "latch-unit-quiet": _unit(0.2),
    "two-sequence": Variant(
        1,
        decoders.two_sequence_check,
        lambda row, length: 1.0 if row[0][0] > 0 else 0.0,
        lambda length: 0.25,
        Success(256, "beyond", limit=0.2),
        noise(math.sqrt(0.2), 3),
        classes=2,
        steps=_up_to_a_tenth_longer,
    ),
    "parity": Variant(
        1,
        decoders.parity_check,
        decoders.parity_target,
        _binary_chance,
        Success(256, "side"),
        (jitter(0.2), bits()),
        classes=2,
    ),
    "adding-hochreiter": Variant(
        2,
        decoders.pair_check(-1.0),
        decoders.mark_sum(scaled=True),
        _sum_chance,
        Success(2000, "beyond", limit=0.04),
        values(-1.0),
        numbers=Numbers(0.0, 1.0, lambda length: 0.5),
        marks=(1,),
        positions=mark_positions.hochreiter_pairs,
        steps=_up_to_a_tenth_longer,
    ),
    "adding-urnn": _adding(halves=True),
    "adding-tcn": _adding(halves=False),
    "multiplication": Variant(
        2,
        decoders.pair_check(0.0),
        decoders.mark_product,
        _product_chance,
        # "less than 13" of 2,000.
        Success(2000, "beyond", limit=0.04, allowed=12),
        values(0.0),
        numbers=Numbers(0.0, 1.0, lambda length: float(_product_mean(length))),
        marks=(1,),
        positions=mark_positions.hochreiter_pairs,
        steps=_up_to_a_tenth_longer,
    ),
    "temporal-order-6a": _order(
        2,
        (6, 7),
        mark_positions.scaled_from_hundred((10, 20), (50, 60)),
        Success(2000, "probability", limit=0.3),
        edges=True,
    ),
    "temporal-order-6b": _order(
        3,
        (6, 7),
        mark_positions.scaled_from_hundred((10, 20), (33, 43), (66, 76)),
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
        decoders.copy_check,
        decoders.copy_target,
        lambda length: 10.0 * math.log(8.0) / (length + 20),
        Success(100, "loss", limit=0.05),
        recalled(10, 8),
        steps=lambda length: (length + 20, length + 20),
    ),
}
