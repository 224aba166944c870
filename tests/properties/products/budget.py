"""Statistical tests of products: one budget of false alarms, and bounds that hold at every sample size.

The suite allows itself one false alarm in a million runs with fresh seeds. Products use at most 200
statements of ALPHA each. Every bound here is a theorem, not a normal approximation:

* Dvoretzky-Kiefer-Wolfowitz with Massart's constant: P(sup |F_M - F| > d) <= 2 exp(-2 M d^2). A sample from
any law at distance
  above 2 d is missed with probability at most ALPHA.
* Chernoff for sums of log chi^2 variables, whose moment generating function is a ratio of Gammas.
"""

from __future__ import annotations

import math

from scipy.optimize import minimize_scalar
from scipy.special import gammaln

ALPHA = 2e-9


def dkw_distance(samples: int, alpha: float = ALPHA) -> float:
    """Largest distance of an empirical distribution function that a right law explains."""
    return math.sqrt(math.log(2.0 / alpha) / (2.0 * samples))


def min_num_samples_dkw(discrepancy: float, alpha: float = ALPHA) -> int:
    """Samples at which a law at this distance is told apart, both errors at most alpha."""
    return math.ceil(2.0 * math.log(2.0 / alpha) / discrepancy**2)


def log_chi_square_tail(degrees: float, terms: int, total: float) -> float:
    """Chernoff bound on P(a sum of independent log chi^2 is at least as far out on its side as `total`)."""
    unit = total / terms

    def exponent(s: float) -> float:
        return s * math.log(2.0) + float(gammaln(degrees / 2.0 + s) - gammaln(degrees / 2.0)) - s * unit

    low = minimize_scalar(exponent, bounds=(-degrees / 2.0 + 1e-9, 0.0), method="bounded").fun
    high = minimize_scalar(exponent, bounds=(0.0, 50.0 + 10.0 * degrees), method="bounded").fun
    return math.exp(min(0.0, terms * min(low, high)))
