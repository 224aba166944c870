"""The published variants, read back from single sequences with plain loops.

Written from the papers and from their released code alone, and sharing nothing with any generator: what a
sequence says is worked out from the sequence. Positions count from 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

__all__ = ["VARIANTS", "Noise", "Row", "Variant"]

Row = Sequence[Sequence[float]]


@dataclass(frozen=True)
class Noise:
    """A number in a sequence that says nothing about the target.

    Attributes:
        feature: which feature it is.
        centre: its mean.
        spread: its sub-Gaussian parameter: half the width of its range, or the deviation of a Gaussian.
        present: (row, step) -> whether this step holds such a number; depends on what it stands beside only.
        since: the first step that may hold one.
    """

    feature: int
    centre: float
    spread: float
    present: Callable[[Row, int], bool]
    since: int = 0


@dataclass(frozen=True)
class Variant:
    """What every sequence of a named variant satisfies.

    Attributes:
        frame: (row up to its end, length) -> what is out of place, or None.
        target: (row, length) -> the number, side, class or list of classes that is asked for.
        marks: row -> positions of the marks that can be seen.
        probability: length -> exact probability that a mark is seen at each step.
        classes: how many classes there are, equally likely; 0 for numbers.
        chance: length -> the chance loss.
        noise: numbers that say nothing about the target.
        longest_extra: length -> how many steps beyond its length a sequence may have.
    """

    frame: Callable[[Row, int], str | None]
    target: Callable[[Row, int], Any]
    marks: Callable[[Row], list[int]]
    probability: Callable[[int], list[Fraction]] | None
    classes: int
    chance: Callable[[int], float]
    noise: tuple[Noise, ...]
    extra: Callable[[int], int] = lambda length: 0


def _no_marks(row: Row) -> list[int]:
    return []


def _everywhere(row: Row, t: int) -> bool:
    return True


def _tenth(length: int) -> int:
    return length // 10


# Latching


def _latch_frame(row: Row, length: int) -> str | None:
    return None if abs(row[0][0]) == 1.0 else f"first input {row[0][0]:g} is neither 1 nor -1"


def _two_sequence_frame(row: Row, length: int) -> str | None:
    start = {row[t][0] for t in range(3)}
    return None if start in ({1.0}, {-1.0}) else f"the first three inputs are {sorted(start)}"


def _unit_frame(row: Row, length: int) -> str | None:
    shift = 0 if row[0][1] == 1.0 else 3
    for t, step in enumerate(row):
        wanted = [0.0] * 6
        if t < 3:
            wanted[shift + t] = 1.0
        if list(step[1:]) != wanted:
            return f"learned inputs at step {t} are {list(step[1:])}"
        if t < 3 and step[0] != 0.0:
            return f"noise {step[0]:g} at step {t}, where the class is said"
    return None


def _parity_frame(row: Row, length: int) -> str | None:
    for t, step in enumerate(row):
        if not 0.8 <= abs(step[0]) <= 1.2:
            return f"input {step[0]:g} at step {t} is not 1 or -1 up to 0.2"
    return None


def _odd(row: Row, length: int) -> float:
    return 1.0 if sum(step[0] > 0 for step in row) % 2 else -1.0


# Marked values


def _seen(row: Row) -> list[int]:
    return [t for t, step in enumerate(row) if step[1] == 1.0]


def _pair_frame(low: float) -> Callable[[Row, int], str | None]:
    def frame(row: Row, length: int) -> str | None:
        for t, (value, mark) in enumerate(row):
            edge = t in (0, len(row) - 1)
            if mark not in ((-1.0,) if edge else (0.0, 1.0)):
                return f"mark {mark:g} at step {t}"
            if not low <= value <= 1.0:
                return f"value {value:g} at step {t}"
        return _counted(row, (1, 2))

    return frame


def _mark_frame(row: Row, length: int) -> str | None:
    for t, (value, mark) in enumerate(row):
        if mark not in (0.0, 1.0) or not 0.0 <= value <= 1.0:
            return f"value {value:g} with mark {mark:g} at step {t}"
    return _counted(row, (2,))


def _half_frame(row: Row, length: int) -> str | None:
    sides = [t < length // 2 for t in _seen(row)]
    return _mark_frame(row, length) or (None if sides == [True, False] else f"marks at {_seen(row)}")


def _counted(row: Row, allowed: tuple[int, ...]) -> str | None:
    count = len(_seen(row))
    return None if count in allowed else f"{count} marks"


def _pair_probability(length: int) -> list[Fraction]:
    """First mark among ten pairs; second among the others before T/2 - 1; none is seen at the first pair."""
    places = length // 2 - 1
    found = [Fraction(0)] * length
    for t in range(1, places):
        near = Fraction(1, 10) if t < 10 else Fraction(0)
        found[t] = near + (1 - near) * Fraction(1, places - 1)
    return found


def _hidden(length: int) -> Fraction:
    return Fraction(1, 10) + Fraction(9, 10) / (length // 2 - 2)


def _pair_sum(row: Row, length: int) -> float:
    return 0.5 + math.fsum(row[t][0] for t in _seen(row)) / 4.0


def _pair_product(row: Row, length: int) -> float:
    return math.prod(row[t][0] for t in _seen(row))


def _sum(row: Row, length: int) -> float:
    return math.fsum(row[t][0] for t in _seen(row))


def _product_chance(length: int) -> float:
    p = _hidden(length)
    second, first = (1 - p) / 9 + p / 3, (1 - p) / 4 + p / 2
    return float(second - first**2)


def _halves(length: int) -> list[Fraction]:
    half = length // 2
    return [Fraction(1, half)] * half + [Fraction(1, length - half)] * (length - half)


def _unmarked(row: Row, t: int) -> bool:
    return row[t][1] == 0.0


# Symbols


def _symbol(step: Sequence[float]) -> int:
    """Return which symbol a one-hot step holds, or -1."""
    ones = [i for i, value in enumerate(step) if value == 1.0]
    return ones[0] if len(ones) == 1 and sum(step) == 1.0 else -1


def _said(symbols: tuple[int, int]) -> Callable[[Row], list[int]]:
    return lambda row: [t for t, step in enumerate(row) if _symbol(step) in symbols]


def _order_frame(
    bounds: Callable[[int], list[tuple[int, int]]], symbols: tuple[int, int], edges: bool
) -> Callable[[Row, int], str | None]:
    distractors = range(2, 6)

    def frame(row: Row, length: int) -> str | None:
        for t, step in enumerate(row):
            found = _symbol(step)
            edge = edges and t in (0, len(row) - 1)
            allowed: tuple[int, ...] = (0 if t == 0 else 1,) if edge else (*distractors, *symbols)
            if found not in allowed:
                return f"symbol {found} at step {t}"
        marks, ranges = _said(symbols)(row), bounds(length)
        inside = [low <= t <= high for t, (low, high) in zip(marks, ranges, strict=False)]
        if len(marks) == len(ranges) and all(inside):
            return None
        return f"relevant symbols at {marks}, not one in each of {ranges}"

    return frame


def _order_target(symbols: tuple[int, int]) -> Callable[[Row, int], int]:
    def target(row: Row, length: int) -> int:
        found = 0
        for t in _said(symbols)(row):
            found = 2 * found + (_symbol(row[t]) == symbols[1])
        return found

    return target


def _ranges(bounds: Callable[[int], list[tuple[int, int]]]) -> Callable[[int], list[Fraction]]:
    """Uniform over ranges of positions, both ends included."""

    def probability(length: int) -> list[Fraction]:
        found = [Fraction(0)] * length
        for low, high in bounds(length):
            for t in range(low, high + 1):
                found[t] += Fraction(1, high - low + 1)
        return found

    return probability


def _order(
    count: int, symbols: tuple[int, int], bounds: Callable[[int], list[tuple[int, int]]], edges: bool
) -> Variant:
    def distractor(row: Row, t: int) -> bool:
        return 2 <= _symbol(row[t]) <= 5

    return Variant(
        _order_frame(bounds, symbols, edges),
        _order_target(symbols),
        _said(symbols),
        _ranges(bounds),
        2**count,
        lambda length: math.log(2**count),
        tuple(Noise(f, 0.25, 0.5, distractor) for f in range(2, 6)),
        _tenth if edges else lambda length: 0,
    )


def _percent(*pairs: tuple[int, int]) -> Callable[[int], list[tuple[int, int]]]:
    return lambda length: [(low * length // 100, high * length // 100) for low, high in pairs]


def _copy_frame(row: Row, length: int) -> str | None:
    for t, step in enumerate(row):
        found = _symbol(step)
        wanted = range(8) if t < 10 else (9,) if t == length + 9 else (8,)
        if found not in wanted:
            return f"symbol {found} at step {t}"
    return None


def _copy_target(row: Row, length: int) -> list[int]:
    return [8] * (length + 10) + [_symbol(row[t]) for t in range(10)]


def _gaussian(sd: float, since: int) -> tuple[Noise, ...]:
    return (Noise(0, 0.0, sd, _everywhere, since),)


def _half(length: int) -> float:
    return math.log(2.0)


_PAIRS = (Noise(0, 0.0, 1.0, _unmarked),)
_POSITIVE = (Noise(0, 0.5, 0.5, _unmarked),)
_FIRST = Variant(_latch_frame, lambda row, length: row[0][0], _no_marks, None, 2, _half, _gaussian(0.2, 1))


def _unit(sd: float) -> Variant:
    return Variant(
        _unit_frame,
        lambda row, length: 0.8 if row[0][1] == 1.0 else -0.8,
        _no_marks,
        None,
        2,
        lambda length: 0.64,
        _gaussian(sd, 3),
    )


def _adding(frame: Callable[[Row, int], str | None], probability: Callable[[int], list[Fraction]]) -> Variant:
    return Variant(frame, _sum, _seen, probability, 0, lambda length: 1.0 / 6.0, _POSITIVE)


VARIANTS: dict[str, Variant] = {
    "latch": _FIRST,
    "latch-unit": _unit(math.sqrt(0.2)),
    "latch-unit-quiet": _unit(0.2),
    "two-sequence": Variant(
        _two_sequence_frame,
        lambda row, length: 1.0 if row[0][0] > 0 else 0.0,
        _no_marks,
        None,
        2,
        lambda length: 0.25,
        _gaussian(math.sqrt(0.2), 3),
        _tenth,
    ),
    "parity": Variant(_parity_frame, _odd, _no_marks, None, 2, _half, (Noise(0, 0.0, 1.2, _everywhere),)),
    "adding-hochreiter": Variant(
        _pair_frame(-1.0),
        _pair_sum,
        _seen,
        _pair_probability,
        0,
        lambda length: float((2 - _hidden(length)) / 48),
        _PAIRS,
        _tenth,
    ),
    "adding-urnn": _adding(_half_frame, _halves),
    "adding-tcn": _adding(_mark_frame, lambda length: [Fraction(2, length)] * length),
    "multiplication": Variant(
        _pair_frame(0.0), _pair_product, _seen, _pair_probability, 0, _product_chance, _POSITIVE, _tenth
    ),
    "temporal-order-6a": _order(2, (6, 7), _percent((10, 20), (50, 60)), True),
    "temporal-order-6b": _order(3, (6, 7), _percent((10, 20), (33, 43), (66, 76)), True),
    "temporal-order-pascanu": _order(
        2,
        (0, 1),
        lambda n: [(n // 10, 2 * n // 10 - 1), (5 * n // 10, 6 * n // 10 - 1)],
        False,
    ),
    "copy": Variant(
        _copy_frame,
        _copy_target,
        _no_marks,
        None,
        0,
        lambda length: 10.0 * math.log(8.0) / (length + 20),
        (),
        lambda length: 20,
    ),
}
