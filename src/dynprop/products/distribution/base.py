"""Base class of the distributions of products: moments as floats and logarithms, and the cdf."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from dynprop.products.distribution.cdf import Distribution, elementwise
from dynprop.products.weights.decimal_sums import log_of, to_float
from dynprop.products.weights.moments import WeightMoments
from dynprop.results import Result

__all__ = ["RandomProduct"]


@dataclass(frozen=True, eq=False, repr=False)
class RandomProduct(Result, ABC):
    """Distribution of a product of `depth` random factors. Each property is computed on first access.

    Attributes:
        weight: moments of one weight.
        depth: number of factors.
    """

    weight: WeightMoments
    depth: int

    @property
    @abstractmethod
    def _variance(self) -> Decimal:
        """The variance; exact where an exact formula exists."""

    @property
    @abstractmethod
    def _kurtosis(self) -> Decimal:
        """Pearson's kurtosis."""

    @property
    @abstractmethod
    def _distribution(self) -> Distribution:
        """The distribution function."""

    @property
    @abstractmethod
    def log_variance(self) -> float:
        """Var log abs(product); inf where a weight can be 0."""

    @property
    @abstractmethod
    def zero_mass(self) -> float:
        """P(product = 0)."""

    @property
    def variance(self) -> float:
        """The variance, rounded once; inf above the range of float64, 0 below it.

        Raises:
            PrecisionError: moments of that order are not finite, or a quadrature does not reach 1e-9.
        """
        return to_float(self._variance)

    @property
    def log_of_variance(self) -> float:
        """Natural logarithm of the variance, finite where the variance as a float is inf or 0."""
        return log_of(self._variance)

    @property
    def kurtosis(self) -> float:
        """Pearson's kurtosis; inf above the range of float64, nan for a constant.

        Raises:
            PrecisionError: the fourth moment of the product is not known.
        """
        return to_float(self._kurtosis)

    @property
    def log_of_kurtosis(self) -> float:
        """Natural logarithm of the kurtosis, finite where the kurtosis as a float is inf."""
        return log_of(self._kurtosis)

    @property
    def log_mean(self) -> float:
        """E log abs(product) = n E log abs(w), natural logarithm; -inf where a weight can be 0."""
        return self.depth * self.weight.log_mean if self.depth else 0.0

    def __repr__(self) -> str:
        """Return the name with the distribution of the weight and the depth."""
        return f"{type(self).__name__}({self.weight.law}, depth={self.depth})"

    @property
    def typical_size(self) -> float:
        """exp(E log abs(product)), the geometric mean of the size; 0 where a weight can be 0."""
        return math.exp(self.log_mean) if self.log_mean < 709.0 else math.inf

    def cdf(self, x: Any) -> Any:
        """Return P(product <= x), a float or an array of the shape of x; `cdf_error` bounds its error."""
        return elementwise(self._distribution.cdf, "x", x)

    def log_size_cdf(self, y: Any) -> Any:
        """Return P(log abs(product) <= y), also for sizes outside the range of float64."""
        return elementwise(self._distribution.log_size_cdf, "y", y)

    def cdf_error(self, x: Any) -> Any:
        """Return a bound on the absolute error of `cdf(x)`; the class docstring gives its basis."""
        return elementwise(self._distribution.error, "x", x)
