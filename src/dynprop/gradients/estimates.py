r"""Estimates of the squared mean of random vectors, without bias, with their errors.

From independent samples x(1)..x(K), :math:`\|E x\|^2` is estimated by the mean of x(i)·x(j), i ≠ j, and its
error by the jackknife (Efron and Stein 1981), which does not underestimate it. An estimate below three
errors is not significant; then there is only an upper limit, the largest m = ‖E x‖² whose own error,
variance 2 tr Σ²/K² + 4 μᵀΣμ/K at the most 2 tr Σ²/K² + 4m √(tr Σ²)/K, explains it. (The jackknife's error
falls with the estimate: as an upper limit it fails one time in ten.)
"""

from __future__ import annotations

import math

import numpy as np

from dynprop.arrays import FloatArray

__all__ = ["ERRORS", "largest_squared_mean", "squared_mean"]

# An estimate is significant if it exceeds this number of standard errors.
ERRORS = 3.0
# Standard errors of the upper limit: with the bound on the variance it missed at most 1 of 100 samples of
# Gaussian gradients, of 1 to 10 dimensions, weak and strong (tests).
OWN_ERRORS = 2.0


def squared_mean(values: FloatArray) -> tuple[float, float]:
    """Return an unbiased estimate of ‖E x‖² from rows of independent x, and its standard error.

    Args:
        values: (samples, dimensions), three samples or more.
    """
    count = len(values)
    total, squares = values.sum(axis=0), (values * values).sum(axis=1)
    estimate = float((total @ total - squares.sum()) / (count * (count - 1)))
    # Estimates that leave one row out.
    pairs = total @ total - 2.0 * (values @ total) + squares - (squares.sum() - squares)
    without = pairs / ((count - 1) * (count - 2))
    return estimate, float(math.sqrt((count - 1) * without.var()))


def largest_squared_mean(values: FloatArray, estimate: float) -> float:
    """Return the largest m = ‖E x‖² with m - estimate ≤ 2 √(2 tr Σ²/K² + 4m √(tr Σ²)/K).

    Args:
        values: as for `squared_mean`.
        estimate: what it returns.
    """
    count = len(values)
    centred = values - values.mean(axis=0)
    # Of two products with the same norm, the smaller one.
    product = centred.T @ centred if values.shape[1] <= count else centred @ centred.T
    spread = float(np.linalg.norm(product)) / (count - 1)
    linear = 0.5 * OWN_ERRORS**2 * 4.0 * spread / count
    constant = OWN_ERRORS**2 * 2.0 * (spread / count) ** 2
    return estimate + linear + math.sqrt(max(0.0, linear * (linear + 2.0 * estimate) + constant))
