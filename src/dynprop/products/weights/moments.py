"""Moments of one weight that determine those of products: mean, variance, log abs(w), mass at 0."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.errors import ArgumentError, PrecisionError
from dynprop.products.weights.decimal_sums import decimal_context, to_float
from dynprop.products.weights.distributions import Frozen, Weight, read_weight
from dynprop.products.weights.quadrature import TOLERANCE, log_moments
from dynprop.results import Result

__all__ = ["Family", "ScipyDistribution", "WeightMoments", "weight_moments"]

# Mass left out of a discrete distribution with infinitely many atoms, and the largest number of atoms.
_TAIL = 1e-17
_MAX_ATOMS = 1_000_000
# Moments of so many atoms are summed in decimals.
_DECIMAL_ATOMS = 5_000
_LOG_2 = math.log(2.0)


class ScipyDistribution(Protocol):
    """What frozen distributions of scipy.stats and those of its newer interface have in common."""

    def mean(self) -> Any:
        """Return the mean."""

    def support(self) -> Any:
        """Return the ends of the support."""

    def cdf(self, x: Any, /) -> Any:
        """Return P(w <= x)."""


@dataclass(frozen=True)
class Family:
    """A distribution whose abs(w) is a scale times a half-normal, exponential or uniform (0, 1) variable."""

    name: Literal["gaussian", "exponential", "uniform"]
    scale: float
    symmetric: bool


@dataclass(frozen=True, eq=False, repr=False)
class WeightMoments(Result):
    """A validated distribution of a weight with finite mean and variance.

    Attributes:
        law: the distribution.
        decimal_mean: E w.
        decimal_variance: Var w, finite, perhaps 0.
        family: the closed form of abs(w), where there is one.
        atoms: values of a discrete distribution, or None; `masses` has the probabilities.
    """

    law: Weight
    decimal_mean: Decimal
    decimal_variance: Decimal
    family: Family | None
    atoms: FloatArray | None
    masses: FloatArray | None

    @property
    def mean(self) -> float:
        """E w."""
        return to_float(self.decimal_mean)

    @property
    def variance(self) -> float:
        """Var w; inf or 0 outside the range of float64."""
        return to_float(self.decimal_variance)

    @property
    def zero_mass(self) -> float:
        """P(w = 0)."""
        if self.atoms is None or self.masses is None:
            return 0.0
        return float(self.masses[self.atoms == 0.0].sum())

    @property
    def log_mean(self) -> float:
        """E log abs(w), -inf where P(w = 0) > 0."""
        return -math.inf if self.zero_mass > 0.0 else self.alive_log_moments[0]

    @property
    def log_variance(self) -> float:
        """Var log abs(w), inf where P(w = 0) > 0."""
        return math.inf if self.zero_mass > 0.0 else self.alive_log_moments[1]

    @cached_property
    def alive_log_moments(self) -> tuple[float, float]:
        """Mean and variance of log abs(w) given w is not 0: the closed form, the sum or the quadrature."""
        if self.family is not None:
            mean, variance = {
                "gaussian": (-(np.euler_gamma + _LOG_2) / 2.0, math.pi**2 / 8.0),
                "exponential": (-np.euler_gamma, math.pi**2 / 6.0),
                "uniform": (-1.0, 1.0),
            }[self.family.name]
            return mean + math.log(self.family.scale), variance
        if self.atoms is not None and self.masses is not None:
            alive = self.atoms != 0.0
            logs, masses = np.log(np.abs(self.atoms[alive])), self.masses[alive] / self.masses[alive].sum()
            mean = float(masses @ logs)
            return mean, float(masses @ (logs - mean) ** 2)
        reduced, exponent = self.law.reduced()
        mean, variance = log_moments(reduced)
        return mean + exponent * _LOG_2, variance

    def shape(self) -> tuple[float, float]:
        """Skewness (0 where it is not needed or unknown) and Pearson kurtosis of one weight.

        Raises:
            PrecisionError: scipy.stats does not know the fourth moment.
        """
        if self.atoms is not None and self.masses is not None:
            # A power of two brings the atoms near 1: powers of tiny ones would underflow.
            exponent = math.frexp(float(np.abs(self.atoms).max()))[1]
            atoms = np.ldexp(self.atoms, -exponent)
            centred = atoms - float(self.masses @ atoms)
            second, third, fourth = (float(self.masses @ centred**k) for k in (2, 3, 4))
            return third / second**1.5, fourth / second**2
        skew, excess = self.law.shape()
        if math.isnan(excess):
            raise PrecisionError(f"the fourth moment of {self.law} is not known to scipy.stats")
        return (0.0 if math.isnan(skew) else skew), excess + 3.0


def weight_moments(law: object) -> WeightMoments:
    """Validate the distribution of a weight and compute its mean, variance, closed form and atoms.

    Raises:
        ArgumentError: not a distribution of scipy.stats of one variable with parameters, parameters out of
            range, or mean or variance that is not finite (Cauchy, Student's t with at most 2 degrees).
    """
    weight = read_weight(law)
    listed = isinstance(weight, Frozen) and hasattr(weight.dist, "xk")
    # scipy's variance of listed atoms overflows; theirs is summed in decimals.
    mean, variance = (Decimal(0), Decimal(0)) if listed else weight.moments()
    if not (mean.is_finite() and variance.is_finite()):
        got = f"{weight} with mean {float(mean)} and variance {float(variance)}"
        raise ArgumentError("weight_law", got, "valid parameters, finite mean and finite variance")
    if not weight.discrete:
        return WeightMoments(weight, mean, variance, _family(weight), None, None)
    atoms, masses = _atoms(weight)
    mean, variance = _atomic_moments(atoms, masses)
    return WeightMoments(weight, mean, variance, None, atoms, masses)


def _family(law: Weight) -> Family | None:
    if not isinstance(law, Frozen):
        return None
    name, loc, scale = law.name, law.loc, law.scale
    if name in ("norm", "halfnorm") and loc == 0.0:
        return Family("gaussian", scale, symmetric=name == "norm")
    if name in ("laplace", "expon") and loc == 0.0:
        return Family("exponential", scale, symmetric=name == "laplace")
    if name == "uniform" and loc in (0.0, -0.5 * scale):
        return Family("uniform", scale if loc == 0.0 else 0.5 * scale, symmetric=loc != 0.0)
    return None


def _atomic_moments(atoms: FloatArray, masses: FloatArray) -> tuple[Decimal, Decimal]:
    """Mean and variance of finitely many atoms."""
    if len(atoms) > _DECIMAL_ATOMS:
        mean = float(masses @ atoms)
        return Decimal(mean), Decimal(float(masses @ (atoms - mean) ** 2))
    context = decimal_context(60)
    pairs = [(Decimal(float(p)), Decimal(float(a))) for p, a in zip(masses, atoms, strict=True)]

    def average(power: int, centre: Decimal) -> Decimal:
        total, mass = Decimal(0), Decimal(0)
        for p, a in pairs:
            total = context.add(total, context.multiply(p, context.power(context.subtract(a, centre), power)))
            mass = context.add(mass, p)
        return context.divide(total, mass)

    mean_value = average(1, Decimal(0))
    return mean_value, average(2, mean_value)


def _atoms(law: Weight) -> tuple[FloatArray, FloatArray]:
    low, high = law.support()
    listed = getattr(law.dist, "xk", None) if isinstance(law, Frozen) else None
    if listed is not None:
        values = np.asarray(listed, dtype=np.float64)
        atoms = values + (low - values.min())
    else:
        # Atoms are integers plus the location.
        shift = law.loc if isinstance(law, Frozen) else 0.0
        low = low if math.isfinite(low) else shift + _truncation(lambda x: law.cdf(shift + x), -1.0)
        high = high if math.isfinite(high) else shift + _truncation(lambda x: law.sf(shift + x), 1.0)
        if high - low > _MAX_ATOMS:
            got = f"{law} with {high - low:.3g} atoms"
            raise ArgumentError("weight_law", got, f"at most {_MAX_ATOMS} atoms")
        atoms = low + np.arange(round(high - low) + 1)
    masses = np.asarray(law.pmf(atoms), dtype=np.float64)
    if not abs(masses.sum() - 1.0) <= TOLERANCE:
        raise PrecisionError(f"the atoms of {law} carry mass {masses.sum()} instead of 1")
    kept = masses > 0.0
    return atoms[kept], masses[kept] / masses.sum()


def _truncation(tail: Any, side: float) -> float:
    """Return a whole number beyond which a discrete distribution has mass below _TAIL."""
    size = 16.0
    while tail(side * size) > _TAIL and size <= _MAX_ATOMS:
        size *= 2.0
    return side * size
