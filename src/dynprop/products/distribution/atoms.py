r"""The exact distribution of a product of discrete weights: every product with its probability.

n weights with k values have :math:`\binom{n+k-1}{k-1}` products, one for each vector of counts. A float is a
rational number, so each product is an exact rational: equal products merge and comparisons are exact.
"""

from __future__ import annotations

import decimal
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.products.weights.decimal_sums import decimal_context, power

__all__ = ["AtomicDistribution", "enumerate_products"]

# Limits on the number of products, and on that number times the depth. Above them a grid is used.
_MAX_PRODUCTS = 3000
_MAX_BITS = 3_000_000


@dataclass(frozen=True)
class AtomicDistribution:
    """Distribution on finitely many rationals: values in ascending order, with the probability of each."""

    values: tuple[Fraction, ...]
    masses: FloatArray

    @classmethod
    def of(cls, found: Mapping[Fraction | int, float]) -> AtomicDistribution:
        """Build the distribution from a map of values to probabilities, normalised to a sum of 1."""
        values = sorted(found)
        masses = np.array([found[value] for value in values])
        return cls(tuple(Fraction(value) for value in values), masses / math.fsum(masses))

    @classmethod
    def of_powers(cls, atoms: FloatArray, masses: FloatArray, exponent: int) -> AtomicDistribution:
        """Build the distribution of w^exponent from that of w."""
        found: dict[Fraction | int, float] = {}
        for atom, mass in zip(atoms, masses, strict=True):
            value = Fraction(float(atom)) ** exponent
            found[value] = found.get(value, 0.0) + float(mass)
        return cls.of(found)

    def cdf(self, x: float) -> float:
        """P(product <= x), compared exactly."""
        return self._mass(value <= x for value in self.values)

    def log_size_cdf(self, y: float) -> float:
        """P(log abs(product) <= y). An atom counts if y is within rounding of its logarithm."""
        slack = 4.0 * 2.0**-52 * (1.0 + abs(y))
        return self._mass(value == 0 or _log(abs(value)) <= y + slack for value in self.values)

    def _mass(self, chosen: Iterator[bool]) -> float:
        return min(1.0, math.fsum(m for m, keep in zip(self.masses, chosen, strict=True) if keep))


def enumerate_products(atoms: FloatArray, masses: FloatArray, depth: int) -> AtomicDistribution | None:
    """Enumerate the products of `depth` independent weights; None if there are too many."""
    kinds = len(atoms)
    count = math.comb(depth + kinds - 1, kinds - 1)
    if count > _MAX_PRODUCTS or count * depth > _MAX_BITS:
        return None
    exact = [Fraction(float(atom)) for atom in atoms]
    chances = [Decimal(float(mass)) for mass in masses]
    found: dict[Fraction | int, Decimal] = {}
    # 40 digits, since the logarithm of a multinomial coefficient in float64 loses three digits at depth 1000.
    with decimal.localcontext(decimal_context(40)):
        for counts in _compositions(depth, kinds):
            value = math.prod((a**c for a, c in zip(exact, counts, strict=True)), start=Fraction(1))
            chance = Decimal(_multinomial(counts))
            for mass, count in zip(chances, counts, strict=True):
                chance *= power(mass, count)
            found[value] = found.get(value, Decimal(0)) + chance
    return AtomicDistribution.of({value: float(chance) for value, chance in found.items()})


def _multinomial(counts: tuple[int, ...]) -> int:
    """Number of sequences with these counts."""
    ways, total = 1, 0
    for count in counts:
        total += count
        ways *= math.comb(total, count)
    return ways


def _compositions(total: int, parts: int) -> Iterator[tuple[int, ...]]:
    if parts == 1:
        yield (total,)
        return
    for first in range(total + 1):
        for rest in _compositions(total - first, parts - 1):
            yield (first, *rest)


def _log(value: Fraction) -> float:
    """Natural logarithm of a positive rational of any size."""
    shift = value.numerator.bit_length() - value.denominator.bit_length()
    return math.log(value / Fraction(2) ** shift) + shift * math.log(2.0)
