r"""The classical bounds on ‖Wᵗ‖, as logarithms, beside which `growth` stands.

.. math:: \rho^t \le \|W^t\| \le \kappa(V)\,\rho^t, \qquad
    \|W^t\| \le \sum_{k<n} \binom{t}{k} \rho^{t-k} \nu^k, \qquad K \le \sup_t \|W^t\| \le e\,n\,K

with Henrici's departure ν and the Kreiss constant K. The second needs independent eigenvectors, the
third holds for any matrix (expand the Schur form, Λ + N with Nⁿ = 0), the last for the supremum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.linear.kreiss import kreiss_constant
from dynprop.linear.matrices import Matrix
from dynprop.linear.spectrum import spectrum
from dynprop.linear.stability import Interval, certified_radius

__all__ = ["GrowthBounds", "growth_bounds"]


@dataclass(frozen=True)
class GrowthBounds:
    """Bounds on log ‖Wᵗ‖₂ for t = 0..horizon, each an array of shape (horizon + 1,).

    The radius is an enclosure, so that ρᵗ is right for defective matrices as well; κ and ν are
    float64 numbers with LAPACK's errors.

    Attributes:
        radius: an enclosure of ρ.
        log_radius: lower bound t log ρ, from the lower end.
        log_condition: upper bound log κ(V) + t log ρ; infinite for a defective matrix.
        log_henrici: Henrici's upper bound.
        kreiss: the Kreiss constant, a lower bound on sup ‖Wᵗ‖.
        log_kreiss: log(e n K), an upper bound on log sup ‖Wᵗ‖.
    """

    radius: Interval
    log_radius: FloatArray = field(repr=False)
    log_condition: FloatArray = field(repr=False)
    log_henrici: FloatArray = field(repr=False)
    kreiss: float
    log_kreiss: float


def growth_bounds(W: Matrix, horizon: int) -> GrowthBounds:
    """Compute the bounds for a valid matrix and horizon.

    Raises:
        PrecisionError: ρ is not enclosed, or too close to one to say whether K is finite.
    """
    found = spectrum(W)
    radius = certified_radius(W)
    kreiss = kreiss_constant(W)
    n, steps = len(W), np.arange(horizon + 1.0)
    return GrowthBounds(
        radius=radius,
        log_radius=_multiples(_log(radius.lower), steps),
        log_condition=math.log(found.condition) + _multiples(_log(radius.upper), steps)
        if math.isfinite(found.condition)
        else np.full(horizon + 1, math.inf),
        log_henrici=_henrici(_log(radius.upper), _log(found.departure), n, steps),
        kreiss=kreiss,
        log_kreiss=1.0 + math.log(n) + math.log(kreiss) if n else -math.inf,
    )


def _log(x: float) -> float:
    return math.log(x) if x > 0 else -math.inf


def _multiples(log: float, counts: FloatArray) -> FloatArray:
    """Return counts · log with 0 · ∞ = 0, the logarithm of an empty product."""
    with np.errstate(invalid="ignore"):
        return np.where(counts == 0, 0.0, counts * log)


def _henrici(log_radius: float, log_departure: float, n: int, steps: FloatArray) -> FloatArray:
    from scipy.special import gammaln

    total = np.full(len(steps), -math.inf)
    for k in range(n):
        reached = steps[k:]
        if not len(reached):
            break
        ways = gammaln(reached + 1) - gammaln(k + 1) - gammaln(reached - k + 1)
        power = k * log_departure if k else 0.0
        total[k:] = np.logaddexp(total[k:], ways + _multiples(log_radius, reached - k) + power)
    return total
