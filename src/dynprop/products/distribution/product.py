r"""Distribution of a product of n independent weights, a fresh one at every step (claim C4).

With mean m and variance v of a weight: :math:`\mathrm{Var} = (v + m^2)^n - m^{2n}`, which is exactly
:math:`v^n` for m = 0, and :math:`\log|\prod w|` has mean and variance n times those of :math:`\log|w|`. The
kurtosis of a product of mean 0 is :math:`\kappa^n` (Pearson's), 3^n for Gaussian weights: at depth 20 a
sample variance is useless.

Trap: :math:`(v+m^2)^n - m^{2n}` cancels and overflows; moments are combined in decimal arithmetic.
"""

from __future__ import annotations

import decimal
import math
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

from dynprop.products.distribution.atoms import AtomicDistribution, enumerate_products
from dynprop.products.distribution.base import RandomProduct
from dynprop.products.distribution.cdf import (
    Distribution,
    from_atoms,
    from_family,
    from_grid,
    from_weight,
)
from dynprop.products.distribution.grid import convolve
from dynprop.products.weights.decimal_sums import cancelling_sum, decimal_context, power, to_float
from dynprop.products.weights.moments import ScipyDistribution, weight_moments
from dynprop.products.weights.scalar import require_depth

__all__ = ["ProductLaw", "product_law"]


def product_law(weight_law: ScipyDistribution, depth: int) -> ProductLaw:
    """Return the distribution of a product of independent weights, one for each step.

    Args:
        weight_law: a distribution of scipy.stats with finite variance, continuous or discrete: frozen, an
            rv_histogram, or of the newer interface (stats.Normal, make_distribution, Mixture).
        depth: number of weights, >= 0; the product of none is the constant 1.

    Raises:
        ArgumentError: not a distribution with parameters of finite mean and variance (Cauchy), or a depth
            that is not an integer >= 0.

    Source: Goodfellow, Bengio and Courville (2016), Deep Learning, section 10.7.

    Example:
        >>> from scipy import stats
        >>> from dynprop.products import product_law
        >>> product = product_law(stats.norm(0, 2), 3)
        >>> product.variance, product.kurtosis
        (64.0, 27.0)
        >>> product.cdf(0.0)
        0.5
    """
    return ProductLaw(weight_moments(weight_law), require_depth("depth", depth, 0))


@dataclass(frozen=True, eq=False, repr=False)
class ProductLaw(RandomProduct):
    """Distribution of a product of `depth` independent weights.

    The variance is (v + m^2)^n - m^(2n), the kurtosis kappa^n for mean 0. Basis of `cdf_error`: discrete
    weights, exact comparison of exact products, 1e-12 for their probabilities; Gaussian, exponential and
    uniform weights, the rounding of the Mellin inversion (module `inverse`), 1e-13 at depth 10; otherwise a
    proved enclosure by convolution (module `grid`), given the weight's own cdf.
    """

    @property
    def mean(self) -> float:
        """The mean, m^n."""
        with decimal.localcontext(decimal_context(60)):
            return to_float(power(self.weight.decimal_mean, self.depth))

    @property
    def log_variance(self) -> float:
        """Var log abs(product); inf where a weight can be 0."""
        return self.depth * self.weight.log_variance if self.depth else 0.0

    @property
    def zero_mass(self) -> float:
        """P(product = 0) = 1 - (1 - P(w = 0))^n."""
        dead = self.weight.zero_mass
        if dead < 1.0:
            return -math.expm1(self.depth * math.log1p(-dead))
        return 1.0 if self.depth else 0.0

    @cached_property
    def _variance(self) -> Decimal:
        v, m, n = self.weight.decimal_variance, self.weight.decimal_mean, self.depth
        if n == 0 or v == 0:
            return Decimal(0)
        return cancelling_sum(lambda: (power(v + m * m, n), -power(m * m, n)))

    @cached_property
    def _kurtosis(self) -> Decimal:
        if self._variance == 0:
            return Decimal("nan")
        skew, kurtosis = self.weight.shape()
        if math.isinf(kurtosis):
            return Decimal("inf")
        v, m, n = self.weight.decimal_variance, self.weight.decimal_mean, self.depth

        def fourth_central_moment() -> tuple[Decimal, ...]:
            third, fourth = Decimal(skew) * v * v.sqrt(), Decimal(kurtosis) * v * v
            m2, m3 = v + m * m, third + 3 * v * m + m**3
            m4 = fourth + 4 * m * third + 6 * m * m * v + m**4
            p = power(m, n)
            return power(m4, n), -4 * power(m3, n) * p, 6 * power(m2, n) * p * p, -3 * p**4

        fourth = cancelling_sum(fourth_central_moment)
        return decimal_context(60).divide(fourth, decimal_context(60).power(self._variance, 2))

    @cached_property
    def _distribution(self) -> Distribution:
        weight, depth = self.weight, self.depth
        if depth == 0:
            return from_atoms(AtomicDistribution.of({1: 1.0}))
        if weight.atoms is not None and weight.masses is not None:
            exact = enumerate_products(weight.atoms, weight.masses, depth)
            return from_atoms(exact) if exact is not None else from_grid(convolve(weight, depth))
        if depth == 1:
            return from_weight(weight.law)
        if weight.family is not None:
            return from_family(weight.family, depth)
        return from_grid(convolve(weight, depth))
