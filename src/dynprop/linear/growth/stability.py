r"""Certified growth and stability: enclosures of ‖Wᵗ‖ and ρ, and the decision whether powers tend to zero.

No isolated eigenvalue is needed. The norm of an enclosed power P: with any nearly
orthonormal Q, such as the floating-point singular vectors, and :math:`A = (PQ)^H PQ`, :math:`B = Q^H Q`,

.. math:: A_{11}/B_{11} \le \|P\|^2 \le \max_i \sum_j |A_{ij}| \,/\, (1 - \max_i \sum_j |(B - I)_{ij}|).

Beyond 44 bits λ = ‖P‖² comes from :math:`\lambda^m \le \operatorname{tr}(P^H P)^m \le n \lambda^m`.

The spectral radius, with c = ‖W‖_F and X = Wᵐ, from Gelfand's and Henrici's inequalities: W/c has a
spectral radius and a departure from normality of at most one, so
:math:`\|X\| \le c^{n-1} \rho^{m-n+1} \sum_{k<n} \binom{m}{k}` and

.. math:: \bigl(\|X\| / c^{n-1} {\textstyle\sum_{k<n}\binom{m}{k}}\bigr)^{1/(m-n+1)} \le \rho \le \|X\|^{1/m}.

With m = 2⁶⁰, sixty products away, both sides agree to 2⁻⁵⁰, for defective matrices as well.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dynprop.errors import PrecisionError
from dynprop.linear.arithmetic.balls import (
    abs_upper,
    ball_matrix,
    certainly_lt,
    enclose,
    entries,
    float_above,
    float_below,
    log_ball,
)
from dynprop.linear.spectra.eigenvalues import (
    MAX_BITS,
    Stability,
    precision,
    squared_norm,
    stability_by_roots,
)
from dynprop.linear.spectra.structure import MAX_WORK, nilpotency_index
from dynprop.linear.validation import Matrix, bit_limit, nonnegative, square_matrix, step_count
from dynprop.precision import working_precision

if TYPE_CHECKING:
    from flint import acb, arb

    from dynprop.linear.arithmetic.balls import BallMatrix

__all__ = ["CertifiedGrowth", "Interval", "certified_growth", "certified_radius", "is_stable"]

# Accuracy in bits of float64 singular vectors.
_FLOAT_BITS = 44
# Limit on n³·products·bits of an enclosure, some ten seconds.
MAX_PRODUCTS = 5e10


class Interval(NamedTuple):
    """A proved enclosure of a number by two floats; an end may be infinite, or zero for a tiny number."""

    lower: float
    upper: float

    def __contains__(self, value: object) -> bool:
        """Whether a float lies between the ends, both included."""
        return isinstance(value, int | float) and self.lower <= value <= self.upper


@dataclass(frozen=True)
class CertifiedGrowth:
    """Enclosures for one matrix and one t, as `certified_growth` returns them.

    Attributes:
        log_norm: natural logarithm of ‖Wᵗ‖₂; both ends minus infinity where the power is exactly zero.
        norm: ‖Wᵗ‖₂ itself.
        radius: the spectral radius ρ.
    """

    log_norm: Interval
    norm: Interval
    radius: Interval


def certified_growth(
    W: Matrix, t: int, bits: int = 40, *, max_bits: int = MAX_BITS, max_work: float = MAX_PRODUCTS
) -> CertifiedGrowth:
    """Enclose ‖Wᵗ‖₂ and ρ, for any t and any square matrix, defective ones included.

    The result refers to the stored numbers: the powers of a float64 "orthogonal" matrix grow or decay
    visibly at t = 10¹⁸.

    Args:
        W: square matrix, shape (n, n), real or complex floats.
        t: number of steps, from 0 to 2⁶³ - 1.
        bits: relative precision of both enclosures; those of the logarithm are as wide as a float.
        max_bits: limit on the working precision, which grows with log t.
        max_work: limit on n³·products·bits.

    Returns:
        A `CertifiedGrowth`. The enclosures are rigorous and contain those of twice the bits.

    Raises:
        ArgumentError: W is not square, not floating or not finite; t or bits out of range.
        PrecisionError: the limits do not suffice for this precision.

    Example:
        >>> import numpy as np
        >>> found = certified_growth(np.array([[0.5, 1.0], [0.0, 0.5]]), 10)
        >>> 0.02 in found.norm
        False
        >>> round(found.norm.lower, 6), round(found.radius.upper, 6)
        (0.01958, 0.5)

    Source: Horn and Johnson (2013), Matrix Analysis, section 5.6 (Gelfand); Henrici (1962); Trefethen
    and Embree (2005), section 14.
    """
    matrix, steps, wanted = square_matrix(W), step_count(t, "t"), precision(bits)
    max_work, max_bits = nonnegative(max_work, "max_work"), bit_limit(max_bits)
    index = nilpotency_index(matrix)
    if index is not None and steps >= index:
        return CertifiedGrowth(Interval(-math.inf, -math.inf), Interval(0.0, 0.0), Interval(0.0, 0.0))
    log_norm, norm = _norm_of_power(matrix, steps, wanted, max_bits, max_work)
    radius = certified_radius(matrix, wanted, max_bits=max_bits, max_work=max_work)
    return CertifiedGrowth(log_norm, norm, radius)


def is_stable(W: Matrix, *, max_work: float = MAX_WORK, max_bits: int = MAX_BITS) -> Stability:
    """Decide rigorously whether the spectral radius of the stored numbers is below one.

    "yes" means ρ < 1, so that all powers tend to zero; "no" means ρ ≥ 1, also where ρ = 1 exactly
    and the powers stay bounded (the identity, a permutation). The result refers to the stored numbers: a
    rotation in float64 has ρ slightly below, at or above one.

    Args:
        W: square matrix, shape (n, n), real or complex floats.
        max_work: limit on n⁴·bits for the exact characteristic polynomial, which only a radius within
            1e-13 of one needs.
        max_bits: limit on the working precision.

    Returns:
        `Stability.YES`, `Stability.NO` or, where the limits do not suffice, `Stability.UNDECIDED`;
        equal to the strings "yes", "no" and "undecided".

    Raises:
        ArgumentError: W is not square, not floating or not finite.

    Example:
        >>> import numpy as np
        >>> print(is_stable(np.array([[0.5, 100.0], [0.0, 0.5]])), is_stable(np.eye(2)))
        yes no
    """
    matrix = square_matrix(W)
    max_work, max_bits = nonnegative(max_work, "max_work"), bit_limit(max_bits)
    if nilpotency_index(matrix) is not None:
        return Stability.YES
    with working_precision(256):
        for low, high in _radius_brackets(matrix, 52, MAX_PRODUCTS / 256.0):
            if certainly_lt(high, 0):
                return Stability.YES
            if certainly_lt(-low, 0):
                return Stability.NO
    return stability_by_roots(matrix, max_work, max_bits)


def _norm_of_power(W: Matrix, t: int, bits: int, max_bits: int, max_work: float) -> tuple[Interval, Interval]:
    exact = bits > _FLOAT_BITS
    products = 2.0 * t.bit_length() + (bits if exact else 0.0) + 4.0
    working = bits + 64
    while working <= max_bits and products * len(W) ** 3 * working <= max_work:
        with working_precision(working):
            power = ball_matrix(W) ** t
            squares = _by_traces(power, bits) if exact else _by_singular_vectors(power)
            if squares is not None:
                low, high = squares
                if certainly_lt(high / low - 1, 2.0 ** (1 - bits)):
                    low, high = low * (1 - _margin(bits)), high * (1 + _margin(bits))
                    logs = Interval(float_below(log_ball(low) / 2), float_above(log_ball(high) / 2))
                    return logs, Interval(float_below(low.sqrt()), float_above(high.sqrt()))
        working *= 2
    raise PrecisionError(
        f"‖W**t‖ is not enclosed to {bits} bits with max_bits={max_bits} and max_work={max_work:.1e}:"
        " raise them or take fewer bits"
    )


def _margin(bits: int) -> arb:
    """Return four widths of an enclosure with twice the bits; widening by it makes enclosures nested."""
    from flint import arb

    return arb((1, 3 - 2 * bits))


def _by_singular_vectors(power: BallMatrix) -> tuple[arb, arb] | None:
    """Return bounds on the squared 2-norm of every matrix in a ball matrix, None if too wide."""
    from flint import acb_mat, arb

    n = power.nrows()
    rounded = enclose(power)
    if not math.isfinite(rounded.relative_bound) or not rounded.value.any():
        return None
    q = ball_matrix(np.ascontiguousarray(np.linalg.svd(rounded.value)[2].conj().T))
    adjoint = q.conjugate().transpose() if isinstance(q, acb_mat) else q.transpose()
    image, overlap = adjoint * _gram(power) * q, adjoint * q
    spread = max(
        sum((abs_upper(overlap[i, j] - int(i == j)) for j in range(n)), arb(0)).upper() for i in range(n)
    )
    if not certainly_lt(spread, 0.5):
        return None
    high = max(sum((abs_upper(image[i, j]) for j in range(n)), arb(0)).upper() for i in range(n))
    low = (_real(image[0, 0]) / _real(overlap[0, 0])).lower()
    return (low, (high / (1 - spread)).upper()) if low > 0 else None


def _by_traces(power: BallMatrix, bits: int) -> tuple[arb, arb] | None:
    """Return bounds on λ = ‖P‖² to any number of bits: λ^m ≤ tr (PᴴP)^m ≤ n λ^m, with m > 2**bits."""
    from flint import arb

    gram, doublings = _gram(power), bits + power.nrows().bit_length()
    for _ in range(doublings):
        gram = gram * gram
    trace, root = _real(gram.trace()), arb((1, -doublings))
    if not trace > 0:
        return None
    low, high = (trace / power.nrows()).log() * root, trace.log() * root
    return low.exp().lower(), high.exp().upper()


def _gram(power: BallMatrix) -> BallMatrix:
    from flint import acb_mat

    return (power.conjugate() if isinstance(power, acb_mat) else power).transpose() * power


def _real(x: arb | acb) -> arb:
    from flint import acb

    return x.real if isinstance(x, acb) else x


def certified_radius(
    W: Matrix, bits: int = 40, *, max_bits: int = MAX_BITS, max_work: float = MAX_PRODUCTS
) -> Interval:
    """Enclose the spectral radius of the stored numbers to a relative precision of this many bits.

    Arguments are those of `certified_growth`; no eigenvalue needs to be isolated.

    Raises:
        ArgumentError: W is not square, not floating or not finite; bits out of range.
        PrecisionError: the limits do not suffice.

    Example:
        >>> import numpy as np
        >>> radius = certified_radius(np.array([[0.0, 1.0], [1.0, 1.0]]))
        >>> round(radius.lower, 9), round(radius.upper, 9)
        (1.618033989, 1.618033989)
    """
    W, bits = square_matrix(W), precision(bits)
    max_work, max_bits = nonnegative(max_work, "max_work"), bit_limit(max_bits)
    if nilpotency_index(W) is not None:
        return Interval(0.0, 0.0)
    working = bits + 128
    while working <= max_bits:
        with working_precision(working):
            for low, high in _radius_brackets(W, bits, max_work / working):
                if certainly_lt(high - low, 2.0 ** (-bits)):
                    low, high = low - _margin(bits), high + _margin(bits)
                    return Interval(float_below(low.exp()), float_above(high.exp()))
        working *= 2
    raise PrecisionError(
        f"the spectral radius is not enclosed to {bits} bits with max_bits={max_bits} and"
        f" max_work={max_work:.1e}: raise them or take fewer bits"
    )


def _radius_brackets(W: Matrix, bits: int, max_products: float) -> Iterator[tuple[arb, arb]]:
    """Yield successively tighter bounds on log ρ, at the current precision; the matrix is not nilpotent."""
    from flint import arb

    n = len(W)
    power = ball_matrix(W)
    log_size = _log_frobenius(power)
    if log_size is None:
        return
    low, high = arb.neg_inf(), arb.pos_inf()
    for k in range(bits + 2 * n.bit_length() + 16):
        m = 1 << k
        if (k + 1.0) * n**3 > max_products:
            return
        power = power * power if k else power
        size = _log_frobenius(power)
        if size is None:
            return
        high = min(high, (size / m).upper())
        if m >= n:
            binomials = sum((arb(m).bin(j) for j in range(n)), arb(0))
            drop = arb(n).log() / 2 + (n - 1) * log_size + binomials.log()
            low = max(low, ((size - drop) / (m - n + 1)).lower())
        yield low, high


def _log_frobenius(power: BallMatrix) -> arb | None:
    total = squared_norm(entries(power))
    return log_ball(total) / 2 if total > 0 else None
