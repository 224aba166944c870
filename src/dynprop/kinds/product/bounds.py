r"""Rounding-error bounds of running products that hold for every order of evaluation.

A product of t + 1 numbers takes t multiplications in whatever order, so it has relative error at most
:math:`\gamma_t` (Higham 2002, lemma 3.1), however small it is. A product of t + 1 matrices takes t products
of matrices with inner products of n terms,

.. math:: |\hat P_t - P_t| \le \gamma_{nt}\,|W_t|\cdots|W_1| + U_t,

in any parenthesisation. :math:`U_t = 2tn^3\,\mathrm{tiny}\,M_t^2` is for underflow: each of at most
:math:`tn^3` elementary products loses at most ``tiny``, which factors on either side enlarge, each at most
the largest entry :math:`M_t \ge 1` of a contiguous product of absolute values.

A scalar product is out of range where a nonzero contiguous product of the weights up to t leaves
[tiny 2^8, largest 2^-8]: a tree may form it as an intermediate result.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dynprop.arrays import BoolArray, FloatArray
from dynprop.contracts.domain import Domain
from dynprop.contracts.formats import FORMATS, Format
from dynprop.kinds.product.cases import ProductCase
from dynprop.laws.rounding import gamma, log_error, log_sum

__all__ = ["LOGARITHMIC", "ProductBound", "bound_of", "extents", "largest_products"]

LOGARITHMIC = "a log-space evaluation"


@dataclass(frozen=True)
class ProductBound:
    """Componentwise error bounds of a sound evaluation, in the shape of the weights.

    Attributes:
        bound: largest residual.
        scale: the product of absolute values.
        in_range: where no intermediate leaves the range of the format.
        logarithmic: largest residual of an evaluation through logarithms; infinite for matrices.
    """

    bound: FloatArray
    scale: FloatArray
    in_range: BoolArray
    logarithmic: FloatArray

    def part(self, where: slice) -> ProductBound:
        """Return the bound restricted to a range of steps."""
        return ProductBound(*(value[where] for value in self.__dict__.values()))

    def times(self, factor: FloatArray | float) -> ProductBound:
        """Return the bound multiplied by a factor."""
        with np.errstate(all="ignore"):
            return ProductBound(
                self.bound * factor, self.scale * factor, self.in_range, self.logarithmic * factor
            )

    def relaxed(self) -> dict[str, FloatArray]:
        """Return the bounds of evaluations with fewer digits, by name."""
        return {LOGARITHMIC: self.logarithmic}


def bound_of(case: ProductCase, domain: Domain) -> ProductBound:
    """Return the bound on every product of a case; the module docstring derives it."""
    format_ = FORMATS[case.dtype]
    with np.errstate(all="ignore"):
        return (
            _matrix_bound(case.weights, format_)
            if case.matrix
            else _scalar_bound(case.weights, format_, domain)
        )


def _scalar_bound(weights: FloatArray, format_: Format, domain: Domain) -> ProductBound:
    steps = np.arange(float(len(weights))).reshape(-1, *[1] * (weights.ndim - 1))
    size: FloatArray = np.asarray(np.cumprod(np.abs(weights), axis=0), dtype=np.float64)
    high, low = extents(np.log2(np.abs(weights)))
    in_range = (high <= np.log2(format_.safe)) & (low >= np.log2(format_.tiny) + 8.0)
    # Products of float64 that are in range do not overflow here either; their rounding is second order.
    bound = gamma(steps, format_.unit) * size * (1.0 + 2.0**-40)
    logs = log_sum(weights[None])[0]
    logarithmic = bound + np.nan_to_num(
        size * log_error(format_, steps + 1.0, logs), nan=np.inf, posinf=np.inf
    )
    chosen = logarithmic if domain.arithmetic == "log" else bound
    return ProductBound(np.where(size == 0.0, 0.0, chosen), size, in_range, logarithmic)


def extents(logs: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return log2 of the largest and the smallest nonzero contiguous product within the first t weights."""
    high, low = np.zeros_like(logs), np.zeros_like(logs)
    ends = (np.zeros(logs.shape[1:]), np.zeros(logs.shape[1:]))
    peak, valley = ends
    for t, log in enumerate(logs):
        # A zero ends every nonzero product; the next one begins after it.
        above = np.where(np.isneginf(log), 0.0, np.maximum(ends[0], 0.0) + log)
        below = np.where(np.isneginf(log), 0.0, np.minimum(ends[1], 0.0) + log)
        ends = (above, below)
        peak, valley = np.maximum(peak, above), np.minimum(valley, below)
        high[t], low[t] = peak, valley
    return high, low


def _matrix_bound(weights: FloatArray, format_: Format) -> ProductBound:
    steps, n = len(weights), weights.shape[1]
    size, largest = largest_products(weights)
    counts = np.arange(float(steps))[:, None, None]
    underflow = 2.0 * counts * n**3 * format_.tiny * largest[:, None, None] ** 2
    bound = gamma(n * counts, format_.unit) * size * (1.0 + 2.0**-30) + underflow
    in_range = np.broadcast_to(largest[:, None, None] <= format_.safe, size.shape)
    # The result is exact where every term is zero.
    bound = np.where(size == 0.0, 0.0, np.nan_to_num(bound, nan=np.inf, posinf=np.inf))
    return ProductBound(bound, size, in_range, np.full_like(bound, np.inf))


def largest_products(weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return |W_t| ... |W_1|, and the largest entry, at least 1, of a contiguous product of |W| up to t."""
    steps, n = len(weights), weights.shape[1]
    size, largest = np.empty_like(weights), np.ones(steps)
    ending = np.zeros((0, n, n))
    peak = 1.0
    for t, factor in enumerate(np.abs(weights)):
        ending = np.concatenate([factor @ ending, factor[None]])
        size[t] = ending[0]
        peak = max(peak, float(np.nan_to_num(ending, nan=np.inf, posinf=np.inf).max(initial=0.0)))
        largest[t] = peak
    return size, largest
