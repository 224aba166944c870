"""Cases of an initialiser: a shape, a state of the generator, and how often it is called."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from dynprop.contracts.domain import Domain
from dynprop.kinds.initializer.subject import InitializerSubject
from dynprop.laws.cases import ArrayCase
from dynprop.laws.draw import Source

__all__ = [
    "POOL",
    "SHAPES",
    "InitializerCase",
    "any_shape",
    "every_shape",
    "pooled",
    "rectangle",
    "repeated_shapes",
    "small",
    "square",
]

# Number of weights in a statistical test: at the rates of ``laws.statistics`` it detects a variance that is
# off by 7 % (Gaussian), and distribution functions that differ by 0.024.
POOL = 2**16
SIDES = (4, 1, 8, 2, 16)
SQUARES = (8, 9, 12, 16, 17, 24, 33, 48, 65)
# Square, tall and wide ones of every size, one side at least 512 in some.
SHAPES = (
    *((n, n) for n in (1, 2, 3, 5, 8, 16, 17, 33, 64, 128, 512)),
    *((512, 1), (1, 512), (512, 3), (5, 512), (129, 65), (64, 257)),
)
# A narrow shape is called at most this often, and then has fewer weights than the pool.
MOST_CALLS = 1024


@dataclass(frozen=True)
class InitializerCase(ArrayCase):
    """One input of an initialiser.

    Attributes:
        fan_in, fan_out: the shape.
        seed: of the generator.
        calls: how often the function is called with it, one call after the other.
        dtype: format of the numbers in a law; the initialiser chooses that of its weights.
    """

    fan_in: int
    fan_out: int
    seed: int
    calls: int = 1
    dtype: str = "float64"

    def refusable(self) -> bool:
        """No shape of positive sizes may be refused."""
        return False

    def describe(self) -> str:
        """Describe the case on one line."""
        calls = f", {self.calls} calls" if self.calls > 1 else ""
        return f"fan_in {self.fan_in}, fan_out {self.fan_out}, generator seeded with {self.seed}{calls}"

    def smaller(self) -> Iterator[InitializerCase]:
        """Yield a simpler seed; shapes and numbers of weights stay, since laws depend on them."""
        if self.seed:
            yield replace(self, seed=0)


def _seed(source: Source) -> int:
    return source.integer(0, 2**31)


def small(source: Source, domain: Domain, subject: InitializerSubject) -> InitializerCase:
    """Draw a small shape, most of them rectangular."""
    return InitializerCase(source.integer(1, 9), source.integer(1, 9), _seed(source), source.integer(1, 3))


def rectangle(source: Source, domain: Domain, subject: InitializerSubject) -> InitializerCase:
    """Draw a shape at least four times as long as wide, or the other way round."""
    short = source.choice(SIDES)
    # Narrow shapes are long, so that few calls give enough weights.
    long = source.choice([side for side in (16, 32, 64) if side >= max(4 * short, 64 // short)])
    fans = source.choice(((short, long), (long, short)))
    return pooled(*fans, _seed(source))


def any_shape(source: Source, domain: Domain, subject: InitializerSubject) -> InitializerCase:
    """Draw a long shape as ``rectangle`` does, a square one, or one nearly square."""
    form = source.choice(("long", "long", "square", "nearly square"))
    if form == "long":
        return rectangle(source, domain, subject)
    n = source.choice(SQUARES)
    other = n if form == "square" else n + source.integer(1, 3)
    fans = source.choice(((n, other), (other, n)))
    return pooled(*fans, _seed(source))


def every_shape(domain: Domain, subject: InitializerSubject) -> Iterator[InitializerCase]:
    """Yield every designed shape with as many weights as a test needs, or as 1,024 calls give."""
    for i, (fan_in, fan_out) in enumerate(SHAPES):
        yield pooled(fan_in, fan_out, 73 + i)


def repeated_shapes(domain: Domain, subject: InitializerSubject) -> Iterator[InitializerCase]:
    """Yield every designed shape, called twice."""
    for i, (fan_in, fan_out) in enumerate(SHAPES):
        yield InitializerCase(fan_in, fan_out, 79 + i, 2)


def square(source: Source, domain: Domain, subject: InitializerSubject) -> InitializerCase:
    """Draw a square shape."""
    n = source.integer(1, 12)
    return InitializerCase(n, n, _seed(source))


def pooled(fan_in: int, fan_out: int, seed: int) -> InitializerCase:
    """Return a case with enough calls for a statistical test, at most 1,024."""
    return InitializerCase(fan_in, fan_out, seed, min(MOST_CALLS, math.ceil(POOL / (fan_in * fan_out))))
