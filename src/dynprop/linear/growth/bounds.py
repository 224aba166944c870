r"""Classical bounds on ‖Wᵗ‖, as logarithms.

.. math:: \rho^t \le \|W^t\| \le \kappa(V)\,\rho^t, \qquad
    \|W^t\| \le \sum_{k<n} \binom{t}{k} \rho^{t-k} \nu^k, \qquad K \le \sup_t \|W^t\| \le e\,n\,K

with Henrici's departure ν and the Kreiss constant K. The second bound needs independent eigenvectors; the
third holds for any matrix (expand the Schur form, Λ + N with Nⁿ = 0); the last bounds the supremum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.linear.arithmetic.balls import ball_matrix, enclose
from dynprop.linear.arithmetic.scaled import UNIT, normalised
from dynprop.linear.growth.kreiss import NEAREST, kreiss_constant
from dynprop.linear.growth.norms import spectral_norm
from dynprop.linear.growth.stability import Interval, certified_radius
from dynprop.linear.spectra.spectrum import spectrum
from dynprop.linear.validation import Matrix
from dynprop.precision import working_precision
from dynprop.results import Result

__all__ = ["GrowthBounds", "growth_bounds"]

# Accepted relative error of κ(V).
_CLEAR = 1e-8


@dataclass(frozen=True, eq=False, repr=False)
class GrowthBounds(Result):
    """Bounds on log ‖Wᵗ‖₂ for t = 0..horizon, each an array of shape (horizon + 1,).

    The radius is an enclosure, so that ρᵗ is a bound for defective matrices too. κ and ν are float64
    numbers; a large κ comes from enclosed eigenvectors, unless eigenvalues are repeated. They are
    compared by contents and unhashable.

    Attributes:
        radius: an enclosure of ρ.
        log_radius: lower bound t log ρ, from the lower end.
        log_condition: upper bound log κ(V) + t log ρ; infinite for a defective matrix.
        log_henrici: Henrici's upper bound.
        kreiss: the Kreiss constant, a lower bound on sup ‖Wᵗ‖.
        log_kreiss: log(e n K), an upper bound on log sup ‖Wᵗ‖; infinite where ρ is too near one for K.
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
        PrecisionError: ρ is not enclosed, or so close to one that K may be infinite.
    """
    radius, kreiss, condition = certified_radius(W), kreiss_constant(W), _condition(W)
    n, steps = len(W), np.arange(horizon + 1.0)
    # This near to the circle `kreiss_constant` is only a lower bound of K.
    known = kreiss if radius.upper < 1.0 - NEAREST or kreiss == 1.0 else math.inf
    return GrowthBounds(
        radius=radius,
        log_radius=_multiples(_log(radius.lower), steps),
        log_condition=_log(condition) + _multiples(_log(radius.upper), steps)
        if math.isfinite(condition)
        else np.full(horizon + 1, math.inf),
        log_henrici=_henrici(_log(radius.upper), _log(spectrum(W).departure), n, steps),
        kreiss=kreiss,
        log_kreiss=1.0 + math.log(n) + math.log(known) if n else -math.inf,
    )


def _condition(W: Matrix) -> float:
    """Return κ(V): in float64 where κ² n u is small, else from enclosed eigenvectors if all are simple."""
    from flint import acb_mat

    found = spectrum(W).condition
    if not math.isfinite(found) or found**2 * len(W) * UNIT < _CLEAR:
        return found
    bits = 256
    while bits <= 1024:
        with working_precision(bits):
            try:
                pairs: Any = acb_mat(ball_matrix(normalised(W)[0])).eig(left=True, right=True)
            except ValueError:
                bits *= 2
                continue
            vectors, inverse = enclose(pairs[2]), enclose(pairs[1])
        if max(vectors.relative_bound, inverse.relative_bound) < _CLEAR:
            lengths = np.linalg.norm(vectors.value, axis=0)
            sizes = spectral_norm(vectors.value / lengths), spectral_norm(lengths[:, None] * inverse.value)
            return math.ldexp(sizes[0] * sizes[1], vectors.exponent + inverse.exponent)
        bits *= 2
    return found


def _log(x: float) -> float:
    return math.log(x) if x > 0 else -math.inf


def _multiples(log: float, counts: FloatArray) -> FloatArray:
    """Return counts · log with 0 · ∞ = 0 (an empty product is 1)."""
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
