r"""Error-free transformations and compensated sums.

:math:`a + b = s + e` and :math:`a b = p + e` hold exactly, with s and p the rounded results (Knuth; Dekker
1971, Numer. Math. 18), for products unless something underflows. Summing k terms and, separately, their
errors gives a result with an error of at most :math:`u|s| + \gamma_{k-1}^2 \sum|x_i|` (Ogita, Rump and Oishi
2005, SIAM J. Sci. Comput. 26, proposition 4.5): as accurate as twice the working precision, rounded once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.linear.arithmetic.scaled import SLACK, UNIT, frobenius, gamma

__all__ = ["compensated_sum", "two_product", "two_sum"]


def two_sum(a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the rounded sum and its error."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def two_product(a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the rounded product and its error, exact where nothing underflows."""
    product = a * b
    a_high, b_high = (134217729.0 * x - (134217729.0 * x - x) for x in (a, b))
    a_low, b_low = a - a_high, b - b_high
    return product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


def compensated_sum(terms: Sequence[FloatArray]) -> tuple[FloatArray, float]:
    """Return the sum of matrices of one shape and a bound of its error in the Frobenius norm."""
    total, errors = terms[0], np.zeros(terms[0].shape)
    for term in terms[1:]:
        total, error = two_sum(total, term)
        errors += error
    total = total + errors
    sizes = sum(frobenius(term) for term in terms)
    return total, SLACK * (2.0 * UNIT * frobenius(total) + gamma(len(terms) - 1) ** 2 * sizes)
