"""One interface for the distribution function of a product, whatever method computes it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynprop.arrays import describe
from dynprop.errors import ArgumentError
from dynprop.products.distribution.atoms import AtomicDistribution
from dynprop.products.distribution.grid import GridDistribution
from dynprop.products.distribution.inverse import absolute_tails, tail_error
from dynprop.products.weights.moments import Family

__all__ = ["Distribution", "elementwise", "from_atoms", "from_family", "from_grid", "from_weight"]

# Enumerated products: the relative error of the weights' probabilities is multiplied by n, which is at most
# 3000, times 2^-52. scipy's own cdf is taken at the same accuracy.
_LISTED = 1e-12


@dataclass(frozen=True)
class Distribution:
    """P(product <= x), P(log abs(product) <= y), and a bound on the absolute error of the first."""

    cdf: Callable[[float], float]
    log_size_cdf: Callable[[float], float]
    error: Callable[[float], float]


def elementwise(function: Callable[[float], float], name: str, values: Any) -> Any:
    """Apply a function of one float to a number or to each entry of an array; NaN is refused."""
    if np.ma.isMaskedArray(values):
        raise ArgumentError(name, "a masked array", "an array without a mask")
    array = np.asarray(values)
    if array.dtype.kind not in "fiu" or np.isnan(array).any():
        raise ArgumentError(name, describe(values), "real numbers without NaN")
    if array.ndim == 0:
        return function(float(array))
    return np.array([function(float(value)) for value in array.flat]).reshape(array.shape)


def from_atoms(law: AtomicDistribution) -> Distribution:
    """Wrap the exact distribution of discrete weights."""
    return Distribution(law.cdf, law.log_size_cdf, lambda x: _LISTED)


def from_weight(law: Any) -> Distribution:
    """Wrap the distribution of a single continuous weight."""

    def log_size_cdf(y: float) -> float:
        size = math.exp(min(y, 709.0))
        return float(law.cdf(size) - law.cdf(-size))

    return Distribution(lambda x: float(law.cdf(x)), log_size_cdf, lambda x: _LISTED)


def from_family(family: Family, depth: int) -> Distribution:
    """Wrap the Mellin inversion for a weight whose abs(w) is half-normal, exponential or uniform."""

    def tails(y: float) -> tuple[float, float]:
        if math.isinf(y):
            return (0.0, 1.0) if y < 0.0 else (1.0, 0.0)
        return absolute_tails(family, depth, y)

    def cdf(x: float) -> float:
        within, beyond = tails(math.log(abs(x))) if x != 0.0 else (0.0, 1.0)
        if not family.symmetric:
            return within if x > 0.0 else 0.0
        return 0.5 * beyond if x < 0.0 else 0.5 + 0.5 * within

    # The tail has this relative error. The probability has it as an absolute error, plus one rounding.
    error = tail_error(depth) + 2.0**-52
    return Distribution(cdf, lambda y: tails(y)[0], lambda x: error)


def from_grid(law: GridDistribution) -> Distribution:
    """Wrap a convolution on a grid; the error is the half width of its enclosure."""

    def error(x: float) -> float:
        ends = [law.cdf(x, side * law.max_log_error) for side in (-1.0, 1.0)]
        middle = law.cdf(x)
        return max(abs(end - middle) for end in ends) + law.cell_mass(x) + law.slack

    return Distribution(law.cdf, law.log_size_cdf, error)
