"""Distributions of one weight from scipy.stats, behind one interface, with location and scale apart.

Moments of norm(0, 1e-200) underflow in float64. Those of scale 1 do not, and the scale enters afterwards as a
decimal or a logarithm.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar

import numpy as np

from dynprop.arrays import FloatArray, describe
from dynprop.errors import ArgumentError
from dynprop.products.weights.decimal_sums import decimal_context
from dynprop.results import same

__all__ = ["Frozen", "Modern", "Weight", "read_weight"]

# Sizes from 2^-64 to 2^64 need no reduction.
_NEAR_ONE = 64
_EXPECTED = "one distribution of scipy.stats with its parameters, such as scipy.stats.norm(0, 1)"


class Weight(ABC):
    """The distribution of one weight. Any: the methods pass arrays to scipy, which is untyped here."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the family, as in scipy.stats."""

    @property
    @abstractmethod
    def discrete(self) -> bool:
        """Whether it has atoms."""

    @abstractmethod
    def support(self) -> tuple[float, float]:
        """Ends of the support."""

    @abstractmethod
    def cdf(self, x: Any) -> Any:
        """P(w <= x)."""

    @abstractmethod
    def sf(self, x: Any) -> Any:
        """P(w > x)."""

    @abstractmethod
    def ppf(self, q: Any) -> Any:
        """Quantiles."""

    @abstractmethod
    def isf(self, q: Any) -> Any:
        """Quantiles from above."""

    @abstractmethod
    def pdf(self, x: Any) -> Any:
        """Density."""

    @abstractmethod
    def logpdf(self, x: Any) -> Any:
        """Logarithm of the density."""

    @abstractmethod
    def pmf(self, x: Any) -> Any:
        """Probability of an atom."""

    @abstractmethod
    def shape(self) -> tuple[float, float]:
        """Skewness and excess kurtosis, nan where unknown."""

    @abstractmethod
    def rvs(self, size: int, random_state: np.random.Generator) -> FloatArray:
        """Draw independent weights."""

    def quantiles(self, probabilities: list[float]) -> list[float]:
        """Return the finite quantiles that scipy finds; its root search fails for some families."""
        found = []
        for probability in probabilities:
            try:
                value = float(self.ppf(probability))
            except (ArithmeticError, RuntimeError, ValueError):
                continue
            if math.isfinite(value):
                found.append(value)
        return found

    @abstractmethod
    def moments(self) -> tuple[Decimal, Decimal]:
        """Mean and variance; nan or infinite where they are."""

    @abstractmethod
    def reduced(self) -> tuple[Weight, int]:
        """Return the distribution of w / 2^e, of a size near 1, and e."""


@dataclass(frozen=True, eq=False)
class Frozen(Weight):
    """A frozen distribution of scipy.stats: shape parameters, location and scale.

    Attributes:
        dist: the family, an rv_continuous or rv_discrete.
        shapes: shape parameters.
        loc: location.
        scale: scale, 1 for discrete ones.
    """

    dist: Any
    shapes: tuple[Any, ...]
    loc: float
    scale: float

    @property
    def name(self) -> str:
        """Name of the family."""
        return str(self.dist.name)

    @property
    def discrete(self) -> bool:
        """Whether it has atoms."""
        return not hasattr(self.dist, "pdf")

    @property
    def _place(self) -> dict[str, float]:
        return {"loc": self.loc} if self.discrete else {"loc": self.loc, "scale": self.scale}

    def support(self) -> tuple[float, float]:
        """Ends of the support."""
        low, high = self.dist.support(*self.shapes, **self._place)
        return float(low), float(high)

    def cdf(self, x: Any) -> Any:
        """P(w <= x)."""
        return self.dist.cdf(x, *self.shapes, **self._place)

    def sf(self, x: Any) -> Any:
        """P(w > x)."""
        return self.dist.sf(x, *self.shapes, **self._place)

    def ppf(self, q: Any) -> Any:
        """Quantiles."""
        return self.dist.ppf(q, *self.shapes, **self._place)

    def isf(self, q: Any) -> Any:
        """Quantiles from above."""
        return self.dist.isf(q, *self.shapes, **self._place)

    def pdf(self, x: Any) -> Any:
        """Density."""
        return self.dist.pdf(x, *self.shapes, **self._place)

    def logpdf(self, x: Any) -> Any:
        """Logarithm of the density."""
        return self.dist.logpdf(x, *self.shapes, **self._place)

    def pmf(self, x: Any) -> Any:
        """Probability of an atom."""
        return self.dist.pmf(x, *self.shapes, **self._place)

    def shape(self) -> tuple[float, float]:
        """Skewness and excess kurtosis."""
        skew, excess = self.dist.stats(*self.shapes, moments="sk")
        return float(skew), float(excess)

    def rvs(self, size: int, random_state: np.random.Generator) -> FloatArray:
        """Draw independent weights."""
        return np.asarray(self.dist.rvs(*self.shapes, **self._place, size=size, random_state=random_state))

    def moments(self) -> tuple[Decimal, Decimal]:
        """Mean and variance, those of scale 1 times the scale as decimals."""
        with np.errstate(all="ignore"):
            mean, variance = (Decimal(float(f(*self.shapes))) for f in (self.dist.mean, self.dist.var))
        context, scale = decimal_context(60), Decimal(self.scale)
        moved = context.add(context.multiply(scale, mean), Decimal(self.loc))
        return moved, context.multiply(context.multiply(scale, scale), variance)

    def reduced(self) -> tuple[Weight, int]:
        """Divide location and scale by a power of two that brings the larger one near 1, where it is far."""
        exponent = math.frexp(max(abs(self.loc), self.scale))[1]
        if self.discrete or abs(exponent) <= _NEAR_ONE:
            return self, 0
        loc, scale = math.ldexp(self.loc, -exponent), math.ldexp(self.scale, -exponent)
        return Frozen(self.dist, self.shapes, loc, scale), exponent

    def __eq__(self, other: object) -> bool:
        """Whether family and parameters are equal."""
        if not isinstance(other, Frozen):
            return NotImplemented
        mine, theirs = (
            (type(w.dist), w.name, w.shapes, w.loc, w.scale, _data(w.dist)) for w in (self, other)
        )
        return same(mine, theirs)

    __hash__: ClassVar[None] = None  # type: ignore[assignment]  # parameters may be arrays

    def __str__(self) -> str:
        place = {"loc": self.loc, "scale": self.scale}
        parts = [f"{shape:g}" for shape in self.shapes]
        parts += [f"{key}={value:g}" for key, value in place.items() if value != (key == "scale")]
        return f"{self.name}({', '.join(parts)})"


def _data(dist: Any) -> tuple[Any, ...]:
    """Arrays that define a family: values of rv_discrete, the histogram of rv_histogram."""
    return tuple(getattr(dist, key, None) for key in ("xk", "pk", "_hpdf", "_hbins"))


@dataclass(frozen=True, eq=False)
class Modern(Weight):
    """A distribution of scipy's newer interface: stats.Normal, make_distribution, Mixture, truncate."""

    law: Any  # scipy's classes of this interface have no public common base

    @property
    def name(self) -> str:
        """Name of the class."""
        return type(self.law).__name__

    @property
    def discrete(self) -> bool:
        """Whether it has atoms: then the density is not finite at them."""
        components = getattr(self.law, "components", [self.law])
        return any("Discrete" in base.__name__ for law in components for base in type(law).__mro__)

    def support(self) -> tuple[float, float]:
        """Ends of the support."""
        low, high = self.law.support()
        return float(low), float(high)

    def cdf(self, x: Any) -> Any:
        """P(w <= x)."""
        return self.law.cdf(np.asarray(x, dtype=np.float64))

    def sf(self, x: Any) -> Any:
        """P(w > x)."""
        return self.law.ccdf(np.asarray(x, dtype=np.float64))

    def ppf(self, q: Any) -> Any:
        """Quantiles."""
        return self.law.icdf(np.asarray(q, dtype=np.float64))

    def isf(self, q: Any) -> Any:
        """Quantiles from above."""
        return self.law.iccdf(np.asarray(q, dtype=np.float64))

    def pdf(self, x: Any) -> Any:
        """Density."""
        return self.law.pdf(np.asarray(x, dtype=np.float64))

    def logpdf(self, x: Any) -> Any:
        """Logarithm of the density."""
        return self.law.logpdf(np.asarray(x, dtype=np.float64))

    def pmf(self, x: Any) -> Any:
        """Probability of an atom."""
        return self.law.pmf(np.asarray(x, dtype=np.float64))

    def shape(self) -> tuple[float, float]:
        """Skewness and excess kurtosis."""
        third, fourth = (float(self.law.moment(k, kind="standardized")) for k in (3, 4))
        return third, fourth - 3.0

    def rvs(self, size: int, random_state: np.random.Generator) -> FloatArray:
        """Draw independent weights."""
        return np.asarray(self.law.sample(size, rng=random_state))

    def moments(self) -> tuple[Decimal, Decimal]:
        """Mean and variance.

        Raises:
            ArgumentError: the variance is below the range of float64.
        """
        mean, variance = float(self.law.mean()), float(self.law.variance())
        if abs(variance) < 1e-290 and self.law.support()[0] < self.law.support()[1]:
            got = f"{self} of variance {variance:g}, below the range of float64"
            raise ArgumentError("weight_law", got, "a larger scale, or a frozen distribution such as norm")
        return Decimal(mean), Decimal(variance)

    def reduced(self) -> tuple[Weight, int]:
        """Return the distribution as it is."""
        return self, 0

    def __eq__(self, other: object) -> bool:
        """Whether type and printed parameters are equal."""
        if not isinstance(other, Modern):
            return NotImplemented
        return self.law is other.law or (type(self.law), repr(self.law)) == (type(other.law), repr(other.law))

    __hash__: ClassVar[None] = None  # type: ignore[assignment]  # parameters may be arrays

    def __str__(self) -> str:
        return str(self.law)


def read_weight(law: object) -> Weight:
    """Return a distribution of scipy.stats behind the interface of this module.

    Raises:
        ArgumentError: no distribution with parameters, or an array of them.
    """
    from scipy import stats
    from scipy.stats.distributions import rv_frozen

    given: Any = law
    if isinstance(law, stats.rv_histogram) or (isinstance(law, stats.rv_discrete) and hasattr(law, "xk")):
        given = given()
    if isinstance(given, stats.Normal):
        given = stats.norm(_parameter(given, "mu", 0.0), _parameter(given, "sigma", 1.0))
    if isinstance(given, rv_frozen):
        return _frozen(given)
    if isinstance(law, stats.rv_continuous | stats.rv_discrete):
        name = f"scipy.stats.{law.name} without parameters"
        raise ArgumentError("weight_law", name, f"its parameters in parentheses, as in {law.name}(...)")
    modern = (
        type(law).__module__.startswith("scipy.stats") and hasattr(law, "icdf") and hasattr(law, "logpdf")
    )
    if not modern or isinstance(law, type):
        raise ArgumentError("weight_law", describe(law), _EXPECTED)
    if np.size(given.mean()) != 1:
        raise ArgumentError("weight_law", f"{law}, an array of distributions", _EXPECTED)
    return Modern(law)


def _parameter(law: Any, name: str, default: float) -> Any:
    return getattr(law, name, default)


def _frozen(law: Any) -> Frozen:
    dist = law.dist
    with np.errstate(all="ignore"):
        mean = np.asarray(law.mean())
    if mean.size != 1:
        raise ArgumentError("weight_law", f"{dist.name}, an array of distributions", _EXPECTED)
    shapes, loc, scale = dist._parse_args(*law.args, **law.kwds)
    numbers = [float(np.asarray(value).reshape(())[()]) for value in (*shapes, loc, scale)]
    found = Frozen(dist, tuple(numbers[:-2]), numbers[-2], numbers[-1])
    valid = bool(np.all(dist._argcheck(*found.shapes))) and found.scale > 0.0
    if not valid or not all(map(math.isfinite, numbers[-2:])):
        raise ArgumentError("weight_law", str(found), "parameters in the range that scipy.stats allows")
    return found
