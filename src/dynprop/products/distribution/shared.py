r"""The distribution of w^n: one random weight shared by all steps, as in a recurrent net (claim C5).

:math:`\mathrm{Var}(w^n) = \mathrm E w^{2n} - (\mathrm E w^n)^2`, for a Gaussian of mean 0 exactly
:math:`[(2n-1)!! - 1_{n\,even}((n-1)!!)^2]\,v^n`, at least twice the :math:`v^n` of fresh weights for n >= 2.
:math:`\log|w^n|` has standard deviation n times that of :math:`\log|w|`, where fresh weights have
:math:`\sqrt n` times.
"""

from __future__ import annotations

import decimal
import math
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

import numpy as np

from dynprop.products.distribution.atoms import AtomicDistribution
from dynprop.products.distribution.base import RandomProduct
from dynprop.products.distribution.cdf import Distribution, from_atoms, from_weight
from dynprop.products.weights.decimal_sums import cancelling_sum, decimal_context, power
from dynprop.products.weights.moments import Family, ScipyDistribution, WeightMoments, weight_moments
from dynprop.products.weights.quadrature import power_moments
from dynprop.products.weights.scalar import require_depth

__all__ = ["SharedProductLaw", "shared_product_law"]


def shared_product_law(weight_law: ScipyDistribution, depth: int) -> SharedProductLaw:
    """Return the distribution of w^n, the product along n steps that share one random weight.

    Args:
        weight_law: a distribution of scipy.stats with finite variance, continuous or discrete: frozen, an
            rv_histogram, or of the newer interface (stats.Normal, make_distribution, Mixture).
        depth: the power n, >= 0.

    Raises:
        ArgumentError: not a distribution with parameters of finite mean and variance (Cauchy), or a depth
            that is not an integer >= 0.

    Source: Goodfellow, Bengio and Courville (2016), Deep Learning, section 10.7.

    Example:
        >>> from scipy import stats
        >>> from dynprop.products import shared_product_law
        >>> shared_product_law(stats.norm(0, 1), 3).variance
        15.0
    """
    return SharedProductLaw(weight_moments(weight_law), require_depth("depth", depth, 0))


@dataclass(frozen=True, eq=False, repr=False)
class SharedProductLaw(RandomProduct):
    """Distribution of w^n, one random weight shared by all `depth` steps.

    The variance, E w^(2n) - (E w^n)^2, is exact up to one rounding for discrete laws and for Gaussian,
    Laplace, exponential and uniform ones of mean 0 or starting at 0; by quadrature to 1e-9 for others. The
    cdf is the weight's own at the roots of x, exact for discrete weights; `cdf_error` assumes that the
    weight's cdf is accurate to 1e-13.
    """

    @property
    def _variance(self) -> Decimal:
        return self._central_moments[0]

    @property
    def log_variance(self) -> float:
        """Var log abs(w^n) = n^2 Var log abs(w), n times that of fresh weights; inf where w can be 0."""
        return self.depth**2 * self.weight.log_variance if self.depth else 0.0

    @property
    def zero_mass(self) -> float:
        """P(w^n = 0)."""
        return self.weight.zero_mass if self.depth else 0.0

    @cached_property
    def _central_moments(self) -> tuple[Decimal, Decimal]:
        """Second and fourth central moment of w^n."""
        weight, n = self.weight, self.depth
        if n == 0 or weight.decimal_variance == 0:
            return Decimal(0), Decimal(0)
        if not _has_exact_moments(weight):
            law, exponent = weight.law.reduced()
            second, fourth = power_moments(law, n)
            with decimal.localcontext(decimal_context(40)):
                unit = Decimal(2) ** (2 * n * exponent)
                return second * unit, fourth * unit * unit
        if weight.atoms is not None and _constant_power(weight.atoms, n):
            return Decimal(0), Decimal(0)

        def second_moment() -> tuple[Decimal, ...]:
            return _raw(weight, 2 * n), -(_raw(weight, n) ** 2)

        def fourth_moment() -> tuple[Decimal, ...]:
            mean = _raw(weight, n)
            return (
                _raw(weight, 4 * n),
                -4 * _raw(weight, 3 * n) * mean,
                6 * _raw(weight, 2 * n) * mean**2,
                -3 * mean**4,
            )

        return cancelling_sum(second_moment), cancelling_sum(fourth_moment)

    @cached_property
    def _kurtosis(self) -> Decimal:
        second, fourth = self._central_moments
        return decimal_context(60).divide(fourth, second * second) if second else Decimal("nan")

    @cached_property
    def _distribution(self) -> Distribution:
        weight, n = self.weight, self.depth
        if n == 0:
            return from_atoms(AtomicDistribution.of({1: 1.0}))
        if weight.atoms is not None and weight.masses is not None:
            return from_atoms(AtomicDistribution.of_powers(weight.atoms, weight.masses, n))
        single = from_weight(weight.law)

        def cdf(x: float) -> float:
            root = math.copysign(abs(x) ** (1.0 / n), x)
            if n % 2:
                return single.cdf(root)
            return 0.0 if x < 0.0 else single.cdf(root) - single.cdf(-root)

        return Distribution(cdf, lambda y: single.log_size_cdf(y / n), single.error)


def _has_exact_moments(weight: WeightMoments) -> bool:
    family = weight.family
    return weight.atoms is not None or (
        family is not None and (family.symmetric or family.name in ("exponential", "uniform"))
    )


def _constant_power(atoms: Any, n: int) -> bool:
    """Return whether w^n is constant, such as an even power of a random sign."""
    return len(set(np.abs(atoms))) == 1 and (n % 2 == 0 or len(atoms) == 1)


def _raw(weight: WeightMoments, order: int) -> Decimal:
    """Return E w^order in the current context."""
    if weight.atoms is not None and weight.masses is not None:
        pairs = [
            (Decimal(float(p)), Decimal(float(a))) for p, a in zip(weight.masses, weight.atoms, strict=True)
        ]
        return sum((p * power(a, order) for p, a in pairs), Decimal(0)) / sum(
            (p for p, _ in pairs), Decimal(0)
        )
    family = weight.family
    assert family is not None
    if family.symmetric and order % 2:
        return Decimal(0)
    return _unit_moment(family, order) * _scale_power(weight, family, order)


def _scale_power(weight: WeightMoments, family: Family, order: int) -> Decimal:
    if family.name == "gaussian":
        # The variance is the parameter; its root would be rounded.
        return power(weight.decimal_variance, order // 2)
    return power(Decimal(family.scale), order)


def _unit_moment(family: Family, order: int) -> Decimal:
    if family.name == "gaussian":
        return Decimal(math.prod(range(1, order, 2)))
    return Decimal(math.factorial(order)) if family.name == "exponential" else 1 / Decimal(order + 1)
