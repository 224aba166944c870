r"""The distribution of log abs(product) by inverting the Mellin transform E abs(w)^s on a vertical line.

With :math:`M(s) = \mathrm E|w|^s` and :math:`Y = |w_1 \cdots w_n|`,

.. math:: P(Y > a) = \frac{1}{2\pi i}\int_{c-i\infty}^{c+i\infty} M(s)^n a^{-s}\,\frac{ds}{s}, \qquad c > 0,

and for :math:`-1 < c < 0` the same integral is :math:`-P(Y < a)`. For Gaussian weights this is the Meijer G
function :math:`G^{n,1}_{1,n+1}` of Springer and Thompson (1970), SIAM J. Appl. Math. 18:721, and of
`meijerg` in mpmath; here the trapezoidal rule sums it on the line through the saddle point. The
integrand does not oscillate at its peak there, so small tails keep their relative accuracy.

The rule's error is known in closed form (Poisson summation): with step h, and period :math:`\omega = 2\pi/h`,
the sum is :math:`\sum_k e^{c\omega k} P(Y > a e^{\omega k})`. Terms k < 0 are at most
:math:`e^{-c\omega|k|}`, those with k > 0 at most :math:`e^{c\omega k} M(c')^n (a e^{\omega k})^{-c'}` for
any :math:`c' > c` (Markov). The period is widened until both are below 1e-17 of the tail. The
remaining errors are rounding, n logarithms of Gamma at 2^-52 each, and the truncation at :math:`e^{-45}` of
the peak.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.products.weights.moments import Family

__all__ = ["absolute_tails", "tail_error"]

_HALF_LOG_PI = 0.5 * math.log(math.pi)
# The sum stops where the integrand is e^-45 of its peak. Aliases are below e^-40 of the tail.
_CUT = 45.0
_ALIAS = 40.0


def tail_error(depth: int) -> float:
    """Return the relative accuracy of a tail: rounding of the n-th power of M, in the exponent.

    2^-52 per logarithm of Gamma, whose size on the relevant part of the line is at most 32 (observed error
    against Meijer G at 40 digits: below a tenth of this).
    """
    return 32.0 * (depth + 8) * 2.0**-52


def absolute_tails(family: Family, depth: int, y: float) -> tuple[float, float]:
    """Return P(log abs(product) <= y) and P(log abs(product) > y), the smaller one to relative accuracy."""
    centred = y - depth * math.log(family.scale)
    if family.name == "uniform":
        from scipy.special import gammainc, gammaincc

        # -log of a uniform variable is exponential, so the sum of n of them is a Gamma(n) variable.
        if centred >= 0.0:
            return 1.0, 0.0
        return float(gammaincc(depth, -centred)), float(gammainc(depth, -centred))
    upper = _slope(family.name, 0.0) * depth <= centred
    tail = _tail(family.name, depth, centred, 1.0 if upper else -1.0)
    return (1.0 - tail, tail) if upper else (tail, 1.0 - tail)


def _log_transform(name: str, s: Any) -> Any:
    """Return log M(s) at scale 1, for Re s > -1."""
    from scipy.special import loggamma

    if name == "gaussian":
        return 0.5 * math.log(2.0) * s + loggamma((1.0 + s) / 2.0) - _HALF_LOG_PI
    return loggamma(1.0 + s)


def _slope(name: str, s: float) -> float:
    from scipy.special import digamma

    if name == "gaussian":
        return 0.5 * (math.log(2.0) + float(digamma((1.0 + s) / 2.0)))
    return float(digamma(1.0 + s))


def _saddle(name: str, depth: int, y: float, side: float) -> float:
    """Find c with n (log M)'(c) - y = 1/c on the given side of 0; the left side ends at -1."""
    from scipy.optimize import brentq

    def tilt(c: float) -> float:
        return depth * _slope(name, c) - y - 1.0 / c

    if side < 0.0:
        inner = -1e-3
        while tilt(inner) < 0.0:
            inner /= 8.0
        outer = -1.0 + 1e-12
        return outer if tilt(outer) > 0.0 else float(brentq(tilt, outer, inner, xtol=1e-12, rtol=1e-6))
    inner = 1e-3
    while tilt(inner) > 0.0:
        inner /= 8.0
    outer = 1.0
    while tilt(outer) < 0.0:
        outer *= 4.0
    return float(brentq(tilt, inner, outer, xtol=1e-12, rtol=1e-6))


def _tail(name: str, depth: int, y: float, side: float) -> float:
    """Return the upper (side 1) or lower (side -1) tail of log abs(product) at y, scale 1."""
    if side > 0.0 and y > depth * 340.0:
        return 0.0
    c = _saddle(name, depth, y, side)
    peak = depth * float(_log_transform(name, c)) - c * y - math.log(abs(c))
    if peak < -800.0:
        return 0.0
    period = _period(name, depth, y, c, peak)
    step = 2.0 * math.pi / period
    total, start = 0.0, 0
    while True:
        t = step * np.arange(start, start + 256)
        s = c + 1j * t
        exponents = depth * _log_transform(name, s) - s * y - np.log(side * s) - peak
        terms: FloatArray = np.exp(exponents).real
        if start == 0:
            terms[0] *= 0.5
        total += float(terms.sum())
        # The modulus decreases along the line, since Gamma and 1/s both do.
        if exponents[-1].real < -_CUT:
            break
        start += 256
    return min(1.0, max(0.0, math.exp(peak) * total * step / math.pi))


def _period(name: str, depth: int, y: float, c: float, peak: float) -> float:
    """Widen the period until the nearest aliases on both sides are below e^-40 of the tail."""
    # The tail is about e^peak divided by the width of the peak; the margin of 6 covers that factor.
    wanted = peak - _ALIAS - 6.0
    period = max(-wanted / abs(c), 1.0)
    farther = c + max(abs(c), 1.0) if c > 0.0 else max(0.5 * (c - 1.0), -1.0 + 1e-9)
    far = depth * float(_log_transform(name, farther)) - farther * y
    # c w + far - c' w <= wanted, where c' lies beyond c.
    return max(period, (far - wanted) / abs(farther - c))
