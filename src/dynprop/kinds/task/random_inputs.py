"""Random inputs of a known law: noise, values, distractors, symbols, wherever they stand in a sequence.

A filler reads the numbers of one kind out of a batch (time, count, feature), says where they stand, and of
which law they are: a continuous one, or so many symbols, all as likely. Numbers of one kind are independent
of one another, within a sequence and between sequences.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dynprop.arrays import BoolArray, FloatArray, IntArray
from dynprop.kinds.task.subject import Sequences

__all__ = ["Filler", "Normal", "Uniform", "bits", "distractors", "jitter", "noise", "recalled", "values"]

QUARTERS = 4


@dataclass(frozen=True)
class Uniform:
    """A uniform number from low to high."""

    low: float
    high: float

    @property
    def centre(self) -> float:
        """Its mean."""
        return 0.5 * (self.low + self.high)

    @property
    def spread(self) -> float:
        """Its sub-Gaussian parameter, which is its deviation (``laws.task.bounds``)."""
        return (self.high - self.low) / math.sqrt(12.0)

    def level(self, x: FloatArray) -> FloatArray:
        """Return its distribution function."""
        return np.clip((x - self.low) / (self.high - self.low), 0.0, 1.0)


@dataclass(frozen=True)
class Normal:
    """A Gaussian number of mean 0."""

    deviation: float
    centre: float = 0.0

    @property
    def spread(self) -> float:
        """Its sub-Gaussian parameter."""
        return self.deviation

    def level(self, x: FloatArray) -> FloatArray:
        """Return its distribution function."""
        from scipy.special import ndtr

        return np.asarray(ndtr(x / self.deviation))


def _everywhere(inputs: FloatArray) -> BoolArray:
    return np.ones(inputs.shape[:2], dtype=np.bool_)


def _nowhere(inputs: FloatArray) -> BoolArray:
    return np.zeros(inputs.shape[:2], dtype=np.bool_)


@dataclass(frozen=True)
class Filler:
    """Random inputs of one kind.

    Attributes:
        name: what they are.
        law: of each number, or how many symbols there are.
        read: inputs -> the numbers, or which symbol, from 0, (time, count).
        stands: inputs -> where such a number stands; steps after the end do not count. It depends on marks
            and classes alone.
        silent: inputs -> where, besides, it says nothing about the target.
        together: whether all silent numbers of a sequence together are independent of the target, and not
            only each of them.
    """

    name: str
    law: Uniform | Normal | int
    read: Callable[[FloatArray], FloatArray]
    stands: Callable[[FloatArray], BoolArray] = _everywhere
    silent: Callable[[FloatArray], BoolArray] = _everywhere
    together: bool = True

    @property
    def asked(self) -> bool:
        """Whether the target depends on all of them."""
        return self.silent is _nowhere

    @property
    def kinds(self) -> int:
        """The number of symbols, or of parts of equal probability that a continuous law is cut into."""
        return self.law if isinstance(self.law, int) else QUARTERS

    def there(self, found: Sequences) -> BoolArray:
        """Return where such a number stands, (time, count)."""
        inside = np.arange(len(found.inputs))[:, None] <= found.ends
        return np.asarray(inside & self.stands(found.inputs))

    def quiet(self, found: Sequences) -> BoolArray:
        """Return where one stands that says nothing about the target, (time, count)."""
        return np.asarray(self.there(found) & self.silent(found.inputs))

    def parts(self, found: Sequences) -> IntArray:
        """Return the symbol, or the part of its law that a number falls into, (time, count); -1 for none."""
        read = self.read(found.inputs)
        if not isinstance(self.law, int):
            read = np.minimum(np.floor(QUARTERS * np.nan_to_num(self.law.level(read))), QUARTERS - 1.0)
        return np.where(self.there(found), read, -1.0).astype(np.int64)


def _first_feature(inputs: FloatArray) -> FloatArray:
    return np.asarray(inputs[:, :, 0])


def _since(first: int) -> Callable[[FloatArray], BoolArray]:
    return lambda inputs: _everywhere(inputs) & (np.arange(len(inputs)) >= first)[:, None]


def noise(deviation: float, first: int) -> tuple[Filler, ...]:
    """Gaussian noise from a step on."""
    return (Filler("noise", Normal(deviation), _first_feature, _since(first)),)


def values(low: float) -> tuple[Filler, ...]:
    """Values from low to 1, of which the marked ones count."""
    return (Filler("values", Uniform(low, 1.0), _first_feature, silent=lambda x: x[:, :, 1] != 1.0),)


def jitter(width: float) -> Filler:
    """What is added to 1 or -1; taken on the side of the sign, it has the same law."""
    return Filler("noise", Uniform(-width, width), lambda x: np.abs(x[:, :, 0]) - 1.0)


def bits() -> Filler:
    """The signs. Any but all of them say nothing about their parity."""
    return Filler("signs", 2, lambda x: (x[:, :, 0] > 0.0).astype(np.float64), together=False)


def distractors(low: int, high: int) -> tuple[Filler, ...]:
    """Symbols from low to high - 1 that stand where nothing else does."""
    return (
        Filler(
            "distractors",
            high - low,
            lambda x: x[:, :, low:high].argmax(axis=-1).astype(np.float64),
            lambda x: np.asarray((x[:, :, low:high] == 1.0).any(axis=-1)),
        ),
    )


def recalled(count: int, symbols: int) -> tuple[Filler, ...]:
    """The first symbols, all of which are asked for."""
    return (
        Filler(
            "symbols",
            symbols,
            lambda x: x[:, :, :symbols].argmax(axis=-1).astype(np.float64),
            lambda x: _everywhere(x) & (np.arange(len(x)) < count)[:, None],
            _nowhere,
        ),
    )
