"""What a law of one weight says about products of it: moments, moments of log abs(w), mass at 0."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np

from dynprop.arrays import FloatArray, describe
from dynprop.errors import ArgumentError, PrecisionError
from dynprop.products.weights.quadrature import TOLERANCE, describe_distribution, log_moments

__all__ = ["Family", "FrozenDistribution", "WeightMoments", "weight_moments"]

# Mass left out of a discrete law with infinitely many atoms, and how many are kept at most.
_TAIL = 1e-17
_MAX_ATOMS = 1_000_000


class FrozenDistribution(Protocol):
    """The part of a frozen scipy.stats distribution that is used here."""

    def mean(self) -> Any:
        """Return the mean."""

    def var(self) -> Any:
        """Return the variance."""

    def support(self) -> Any:
        """Return the ends of the support."""

    def cdf(self, x: Any, /) -> Any:
        """Return P(w <= x)."""

    def ppf(self, q: Any, /) -> Any:
        """Return quantiles."""


@dataclass(frozen=True)
class Family:
    """A law whose abs(w) is a scale times a half-normal, exponential or uniform (0, 1) variable."""

    name: Literal["gaussian", "exponential", "uniform"]
    scale: float
    symmetric: bool


@dataclass(frozen=True)
class WeightMoments:
    """A validated weight law with its finite mean and variance; the rest is found when asked for.

    Attributes:
        law: the frozen distribution.
        mean: E w.
        variance: Var w, finite, perhaps 0.
        family: the closed form of abs(w), where there is one.
        atoms: values of a discrete law, or None; the probabilities stand in `masses`.
    """

    law: Any
    mean: float
    variance: float
    family: Family | None
    atoms: FloatArray | None
    masses: FloatArray | None

    @property
    def zero_mass(self) -> float:
        """P(w = 0)."""
        if self.atoms is None or self.masses is None:
            return 0.0
        return float(self.masses[self.atoms == 0.0].sum())

    @property
    def log_mean(self) -> float:
        """E log abs(w), -inf where the law has mass at 0."""
        return -math.inf if self.zero_mass > 0.0 else self.alive_log_moments[0]

    @property
    def log_variance(self) -> float:
        """Var log abs(w), inf where the law has mass at 0."""
        return math.inf if self.zero_mass > 0.0 else self.alive_log_moments[1]

    @cached_property
    def alive_log_moments(self) -> tuple[float, float]:
        """Mean and variance of log abs(w) given w is not 0; the closed form, the sum or the quadrature."""
        if self.family is not None:
            mean, variance = {
                "gaussian": (-(np.euler_gamma + math.log(2.0)) / 2.0, math.pi**2 / 8.0),
                "exponential": (-np.euler_gamma, math.pi**2 / 6.0),
                "uniform": (-1.0, 1.0),
            }[self.family.name]
            return mean + math.log(self.family.scale), variance
        if self.atoms is not None and self.masses is not None:
            alive = self.atoms != 0.0
            logs, masses = np.log(np.abs(self.atoms[alive])), self.masses[alive] / self.masses[alive].sum()
            mean = float(masses @ logs)
            return mean, float(masses @ (logs - mean) ** 2)
        return log_moments(self.law)

    def shape(self) -> tuple[float, float]:
        """Skewness (0 where it is not needed or unknown) and Pearson kurtosis of one weight.

        Raises:
            PrecisionError: scipy.stats does not know the fourth moment.
        """
        if self.atoms is not None and self.masses is not None:
            centred = self.atoms - self.mean
            third, fourth = (float(self.masses @ centred**k) for k in (3, 4))
            return third / self.variance**1.5, fourth / self.variance**2
        skew, excess = (float(value) for value in self.law.stats("sk"))
        if math.isnan(excess):
            raise PrecisionError(
                f"the fourth moment of {describe_distribution(self.law)} is not known to scipy.stats"
            )
        return (0.0 if math.isnan(skew) else skew), excess + 3.0


def weight_moments(law: Any) -> WeightMoments:
    """Validate a weight law and read its mean, variance, closed form and atoms.

    Raises:
        ArgumentError: not a frozen scipy.stats distribution of one variable, parameters out of their
            range, or mean or variance that is not finite (Cauchy, Student's t with at most 2 degrees).
    """
    from scipy import stats
    from scipy.stats.distributions import rv_frozen

    if isinstance(law, stats.rv_discrete) and hasattr(law, "xk"):
        law = law()
    if not isinstance(law, rv_frozen):
        hint = "a frozen scipy.stats distribution, such as scipy.stats.norm(0, 1)"
        raise ArgumentError("weight_law", describe(law), hint)
    with np.errstate(all="ignore"):
        mean, variance = np.asarray(law.mean()), np.asarray(law.var())
    if mean.size != 1 or variance.size != 1:
        raise ArgumentError("weight_law", f"{describe_distribution(law)}, an array of laws", "one law")
    if not (np.isfinite(mean).all() and np.isfinite(variance).all()):
        got = f"{describe_distribution(law)} with mean {float(mean)} and variance {float(variance)}"
        raise ArgumentError("weight_law", got, "valid parameters, finite mean and finite variance")
    if not hasattr(law, "pdf"):
        atoms, masses = _atoms(law)
        return WeightMoments(law, float(masses @ atoms), float(variance), None, atoms, masses)
    return WeightMoments(law, float(mean), float(variance), _family(law), None, None)


def _family(law: Any) -> Family | None:
    name, mean, spread = law.dist.name, float(law.mean()), float(law.std())
    low, high = (float(end) for end in law.support())
    if name == "norm" and mean == 0.0:
        return Family("gaussian", spread, symmetric=True)
    if name == "halfnorm" and low == 0.0:
        return Family("gaussian", float(law.std()) / math.sqrt(1.0 - 2.0 / math.pi), symmetric=False)
    if name == "laplace" and mean == 0.0:
        return Family("exponential", spread / math.sqrt(2.0), symmetric=True)
    if name == "expon" and low == 0.0:
        return Family("exponential", spread, symmetric=False)
    if name == "uniform" and low in (0.0, -high):
        return Family("uniform", high, symmetric=low != 0.0)
    return None


def _atoms(law: Any) -> tuple[FloatArray, FloatArray]:
    low, high = (float(end) for end in law.support())
    if hasattr(law.dist, "xk"):
        values = np.asarray(law.dist.xk, dtype=np.float64)
        atoms = values + (low - values.min())
    else:
        low = low if math.isfinite(low) else _reach(law.cdf, -1.0)
        high = high if math.isfinite(high) else _reach(law.sf, 1.0)
        if high - low > _MAX_ATOMS:
            got = f"{describe_distribution(law)} with {high - low:.3g} atoms"
            raise ArgumentError("weight_law", got, f"at most {_MAX_ATOMS} atoms")
        atoms = np.arange(low, high + 1.0)
    masses = np.asarray(law.pmf(atoms), dtype=np.float64)
    if abs(masses.sum() - 1.0) > TOLERANCE:
        raise PrecisionError(
            f"the atoms of {describe_distribution(law)} carry mass {masses.sum()} instead of 1"
        )
    kept = masses > 0.0
    return atoms[kept], masses[kept] / masses.sum()


def _reach(tail: Any, side: float) -> float:
    """Return a whole number beyond which a discrete law keeps less than _TAIL."""
    reach = 16.0
    while tail(side * reach) > _TAIL and reach <= _MAX_ATOMS:
        reach *= 2.0
    return side * reach
