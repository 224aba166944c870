"""Random inputs of known distribution: noise, values, distractors, symbols.

A RandomInput decodes the numbers of one kind from a batch (time, count, feature): their steps and their
distribution, which is continuous or uniform on a number of symbols. Numbers of one kind are independent of
one another, within a sequence and between sequences.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dynprop.arrays import BoolArray, FloatArray, IntArray
from dynprop.kinds.task.subject import Sequences

__all__ = ["Normal", "RandomInput", "Uniform", "bits", "distractors", "jitter", "noise", "recalled", "values"]

QUARTERS = 4


@dataclass(frozen=True)
class Uniform:
    """A uniform number from low to high."""

    low: float
    high: float

    @property
    def mean(self) -> float:
        """Its mean."""
        return 0.5 * (self.low + self.high)

    @property
    def sub_gaussian(self) -> float:
        """Its sub-Gaussian parameter, which is its standard deviation (``kinds.task.bounds``)."""
        return (self.high - self.low) / math.sqrt(12.0)

    def cdf(self, x: FloatArray) -> FloatArray:
        """Return its distribution function."""
        return np.clip((x - self.low) / (self.high - self.low), 0.0, 1.0)


@dataclass(frozen=True)
class Normal:
    """A Gaussian number of mean 0."""

    deviation: float
    mean: float = 0.0

    @property
    def sub_gaussian(self) -> float:
        """Its sub-Gaussian parameter."""
        return self.deviation

    def cdf(self, x: FloatArray) -> FloatArray:
        """Return its distribution function."""
        from scipy.special import ndtr

        return np.asarray(ndtr(x / self.deviation))


def _everywhere(inputs: FloatArray) -> BoolArray:
    return np.ones(inputs.shape[:2], dtype=np.bool_)


def _nowhere(inputs: FloatArray) -> BoolArray:
    return np.zeros(inputs.shape[:2], dtype=np.bool_)


@dataclass(frozen=True)
class RandomInput:
    """Random inputs of one kind.

    Attributes:
        name: their name in messages.
        distribution: of each number; for symbols, their number.
        read: inputs -> the numbers, or the index of each symbol, (time, count).
        present_at: inputs -> steps with such a number, by marks and classes alone; steps after the end are
            ignored.
        irrelevant_at: inputs -> steps of these that are independent of the target.
        jointly_irrelevant: whether all irrelevant numbers of a sequence together are independent of the
            target, besides each of them alone.
    """

    name: str
    distribution: Uniform | Normal | int
    read: Callable[[FloatArray], FloatArray]
    present_at: Callable[[FloatArray], BoolArray] = _everywhere
    irrelevant_at: Callable[[FloatArray], BoolArray] = _everywhere
    jointly_irrelevant: bool = True

    @property
    def always_relevant(self) -> bool:
        """Whether the target depends on all inputs of this kind."""
        return self.irrelevant_at is _nowhere

    @property
    def categories(self) -> int:
        """The number of symbols, or of equally likely quantile intervals of a continuous distribution."""
        return self.distribution if isinstance(self.distribution, int) else QUARTERS

    def present(self, batch: Sequences) -> BoolArray:
        """Return the steps with such a number, (time, count)."""
        inside = np.arange(len(batch.inputs))[:, None] <= batch.ends
        return np.asarray(inside & self.present_at(batch.inputs))

    def irrelevant(self, batch: Sequences) -> BoolArray:
        """Return the steps with such a number that is independent of the target, (time, count)."""
        return np.asarray(self.present(batch) & self.irrelevant_at(batch.inputs))

    def category(self, batch: Sequences) -> IntArray:
        """Return the symbol, or the quantile interval of the number, at each step; -1 for none."""
        values = self.read(batch.inputs)
        if not isinstance(self.distribution, int):
            values = np.minimum(
                np.floor(QUARTERS * np.nan_to_num(self.distribution.cdf(values))), QUARTERS - 1.0
            )
        return np.where(self.present(batch), values, -1.0).astype(np.int64)


def _first_feature(inputs: FloatArray) -> FloatArray:
    return np.asarray(inputs[:, :, 0])


def _from_step(first: int) -> Callable[[FloatArray], BoolArray]:
    return lambda inputs: _everywhere(inputs) & (np.arange(len(inputs)) >= first)[:, None]


def noise(deviation: float, first: int) -> tuple[RandomInput, ...]:
    """Return Gaussian noise from a step on."""
    return (RandomInput("noise", Normal(deviation), _first_feature, _from_step(first)),)


def values(low: float) -> tuple[RandomInput, ...]:
    """Return values from low to 1, relevant where marked."""
    return (
        RandomInput("values", Uniform(low, 1.0), _first_feature, irrelevant_at=lambda x: x[:, :, 1] != 1.0),
    )


def jitter(width: float) -> RandomInput:
    """Return the uniform noise on inputs of 1 or -1; it is symmetric, so the sign can be taken out."""
    return RandomInput("noise", Uniform(-width, width), lambda x: np.abs(x[:, :, 0]) - 1.0)


def bits() -> RandomInput:
    """Return signs; their parity is independent of any proper subset of them."""
    return RandomInput("signs", 2, lambda x: (x[:, :, 0] > 0.0).astype(np.float64), jointly_irrelevant=False)


def distractors(low: int, high: int) -> tuple[RandomInput, ...]:
    """Return symbols from low to high - 1 at the steps without a relevant symbol."""
    return (
        RandomInput(
            "distractors",
            high - low,
            lambda x: x[:, :, low:high].argmax(axis=-1).astype(np.float64),
            lambda x: np.asarray((x[:, :, low:high] == 1.0).any(axis=-1)),
        ),
    )


def recalled(count: int, symbols: int) -> tuple[RandomInput, ...]:
    """Return the first symbols, all of them relevant."""
    return (
        RandomInput(
            "symbols",
            symbols,
            lambda x: x[:, :, :symbols].argmax(axis=-1).astype(np.float64),
            lambda x: _everywhere(x) & (np.arange(len(x)) < count)[:, None],
            _nowhere,
        ),
    )
