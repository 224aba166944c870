r"""Certified eigenvalues: enclosures with exact multiplicities, and the exact decision of ρ < 1.

The characteristic polynomial of :math:`2^s W` has integer coefficients, so its roots can be isolated and
their multiplicities counted exactly; no eigenvector is involved, and defective matrices are no harder than
others. The float64 eigenvalues of a defective matrix are inaccurate: for a Jordan block of size 16 with
eigenvalue 3, hidden by a similarity, the error is 2e-2.

For complex W the polynomial of the real form is :math:`F = P \bar P`. A root λ of F of multiplicity
m has multiplicity a in P and m - a in :math:`\bar P`. A derivative :math:`P^{(k)}` that is certainly not
zero at λ proves a ≤ k; where the bounds at λ and :math:`\bar\lambda` add up to m, they are exact.

On the unit circle: the roots of the reversed polynomial are :math:`1/\lambda`. If both polynomials have
a common root then some λ and 1/λ are eigenvalues, so ρ ≥ 1. If not, no eigenvalue lies on the circle,
and enough precision decides.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from dynprop.arrays import describe
from dynprop.errors import ArgumentError, PrecisionError
from dynprop.linear.arithmetic.balls import ball_matrix, certainly_lt, float_above
from dynprop.linear.spectra.structure import (
    MAX_WORK,
    IntegerForm,
    integer_form,
    on_true_scale,
    reverse,
    root_balls,
)
from dynprop.linear.validation import Matrix, bit_limit, nonnegative, square_matrix
from dynprop.precision import working_precision
from dynprop.results import Result

if TYPE_CHECKING:
    from flint import acb, acb_poly, arb, fmpz_poly

__all__ = [
    "MAX_BITS",
    "CertifiedEigenvalue",
    "Stability",
    "certified_eigenvalues",
    "precision",
    "squared_norm",
    "stability_by_roots",
]

# Default limit on the working precision.
MAX_BITS = 1 << 14


class Stability(StrEnum):
    """The result of `is_stable`: yes, no or undecided. Its truth value raises TypeError."""

    YES = "yes"
    NO = "no"
    UNDECIDED = "undecided"

    def __bool__(self) -> bool:
        """Raise TypeError: "undecided" is neither true nor false."""
        raise TypeError('stability is "yes", "no" or "undecided": compare with one of them')


@dataclass(frozen=True, eq=False, repr=False)
class CertifiedEigenvalue(Result):
    """One eigenvalue of the stored matrix, enclosed; compared by contents, the ball included.

    Attributes:
        value: a float64 complex number near it.
        error: the eigenvalue lies within this distance of the value.
        multiplicity: its exact algebraic multiplicity.
        ball: python-flint's enclosure, to the requested bits.
    """

    value: complex
    error: float
    multiplicity: int
    ball: acb = field(repr=False)

    def __hash__(self) -> int:  # type: ignore[override]  # hashable, since it contains no array
        """Hash the numbers."""
        return hash((self.value, self.error, self.multiplicity))


def squared_norm(balls: Iterable[arb | acb]) -> arb:
    """Return the sum of the squared moduli; unlike ``abs(x) ** 2`` valid for balls that contain zero."""
    from flint import acb, arb

    total = arb(0)
    for x in balls:
        total += x.real * x.real + x.imag * x.imag if isinstance(x, acb) else x * x
    return total


def precision(bits: int, name: str = "bits") -> int:
    """Return a validated number of bits.

    Raises:
        ArgumentError: not an integer from 2 to 2**20.
    """
    if isinstance(bits, bool) or not isinstance(bits, int | np.integer) or not 2 <= bits <= 1 << 20:
        raise ArgumentError(name, describe(bits), "an integer number of bits from 2 to 1048576")
    return int(bits)


def certified_eigenvalues(
    W: Matrix, bits: int = 64, *, max_work: float = MAX_WORK, max_bits: int = MAX_BITS
) -> tuple[CertifiedEigenvalue, ...]:
    """Enclose the distinct eigenvalues of the stored matrix, with exact multiplicities.

    The result refers to the stored numbers: an orthogonal matrix rounded to float64 has eigenvalues near the
    unit circle, rarely on it.

    Args:
        W: square matrix, shape (n, n), real or complex floats; defective ones included.
        bits: relative precision of each enclosure; more bits are used where eigenvalues lie closer.
        max_work: limit on n⁴·bits, the cost of the exact characteristic polynomial.
        max_bits: limit on the working precision.

    Returns:
        One `CertifiedEigenvalue` for each distinct eigenvalue, whose ball holds no other, by decreasing
        modulus; conjugates and other ties by decreasing real, then imaginary part. Multiplicities add
        up to n.

    Raises:
        ArgumentError: W is not square, not floating or not finite; bits out of range.
        PrecisionError: the limits do not suffice.

    Example:
        >>> import numpy as np
        >>> for found in certified_eigenvalues(np.array([[2.0, 1.0], [0.0, 2.0]])):
        ...     print(found.value, found.error, found.multiplicity)
        (2+0j) 0.0 2

    Source: Wilkinson (1965), The Algebraic Eigenvalue Problem, on the sensitivity of float64 eigenvalues; the
    roots are isolated by FLINT.
    """
    matrix, wanted = square_matrix(W), precision(bits)
    max_work, max_bits = nonnegative(max_work, "max_work"), bit_limit(max_bits)
    form = integer_form(matrix)
    form.require_affordable(max_work)
    working = wanted
    while working <= max_bits:
        found = _roots_at(matrix, form, working)
        if found is not None and _disjoint(found):
            with working_precision(working):
                return tuple(_ordered(found))
        working *= 2
    raise PrecisionError(f"eigenvalues are not separated at {max_bits} bits: raise max_bits")


def _roots_at(W: Matrix, form: IntegerForm, bits: int) -> list[CertifiedEigenvalue] | None:
    """Return the eigenvalues from roots at this precision, None if multiplicities are undecided."""
    from flint import acb_mat, acb_poly, arb

    with working_precision(bits):
        scale = arb((1, -form.shift))
        characteristic = form.characteristic()
        roots = [(_exact_if_whole(ball, characteristic), count) for ball, count in root_balls(characteristic)]
        if not isinstance(ball_matrix(W), acb_mat):
            return [_export(ball * scale, count) for ball, count in roots]
        with working_precision(2 * bits + 64):
            polynomial = acb_poly((ball_matrix(W) * arb((1, form.shift))).charpoly())
            highest = [_vanishing(polynomial, ball, count) for ball, count in roots]
        found = []
        for i, (ball, count) in enumerate(roots):
            if ball.imag == 0:
                own = count // 2
            else:
                partner = _conjugate_of(ball, roots)
                if partner is None or highest[i] + highest[partner] != count:
                    return None
                own = highest[i]
            if own:
                found.append(_export(ball * scale, own))
        return found


def _exact_if_whole(ball: acb, polynomial: fmpz_poly) -> acb:
    """Replace the enclosure of a root a + bi with integers a and b by the number itself.

    FLINT returns such a root exactly at some precisions and as a ball at others.
    """
    from flint import acb, fmpz_poly

    a, b = ball.real.unique_fmpz(), ball.imag.unique_fmpz()
    if a is None or b is None or ball.is_exact():
        return ball
    factor = fmpz_poly([-a, 1]) if b == 0 else fmpz_poly([a * a + b * b, -2 * a, 1])
    return acb(a, b) if (polynomial % factor).is_zero() else ball


def _disjoint(found: list[CertifiedEigenvalue]) -> bool:
    return not any(a.ball.overlaps(b.ball) for i, a in enumerate(found) for b in found[:i])


def _vanishing(polynomial: acb_poly, root: acb, most: int) -> int:
    """Return the first k at which the k-th derivative is certainly not zero, at most ``most``."""
    for k in range(most):
        if not polynomial(root).contains(0):
            return k
        polynomial = polynomial.derivative()
    return most


def _conjugate_of(ball: acb, roots: list[tuple[acb, int]]) -> int | None:
    matches = [i for i, (other, _) in enumerate(roots) if other.overlaps(ball.conjugate())]
    return matches[0] if len(matches) == 1 else None


def _export(ball: acb, multiplicity: int) -> CertifiedEigenvalue:
    """Widen a ball by a thousandth of its radius, so that it contains that of twice the bits, and round."""
    from flint import acb, arb

    def widened(part: arb) -> arb:
        return part if part.is_exact() else arb(part.mid(), part.rad() * arb((1025, -10)))

    wide = acb(widened(arb(ball.real)), widened(arb(ball.imag)))
    value = complex(float(wide.real.mid()), float(wide.imag.mid()))
    return CertifiedEigenvalue(value, float_above((wide - acb(value)).abs_upper()), multiplicity, wide)


def _ordered(found: list[CertifiedEigenvalue]) -> list[CertifiedEigenvalue]:
    """Sort by decreasing modulus; overlapping moduli by decreasing real, then imaginary part."""
    from flint import arb

    rest = sorted(found, key=lambda e: arb(abs(e.ball).mid()), reverse=True)
    ordered: list[CertifiedEigenvalue] = []
    while rest:
        size = abs(rest[0].ball)
        ties = [e for e in rest if abs(e.ball).overlaps(size)]
        rest = [e for e in rest if not abs(e.ball).overlaps(size)]

        def place(e: CertifiedEigenvalue, size: arb = size) -> tuple[float, arb]:
            # The real parts of a conjugate pair are enclosed separately, so they differ in the last bits.
            return -round(float((e.ball.real / size).mid()), 12) if size > 0 else 0.0, -e.ball.imag.mid()

        ordered += sorted(ties, key=place)
    return ordered


def stability_by_roots(W: Matrix, max_work: float, max_bits: int) -> Stability:
    """Decide ρ < 1 from the characteristic polynomial; undecided beyond the limits. W is valid."""
    from flint import arb

    form = integer_form(W)
    if form.work > max_work:
        return Stability.UNDECIDED
    polynomial = form.characteristic()
    true = on_true_scale(polynomial, form.shift)
    if true.gcd(reverse(true)).degree() > 0:
        return Stability.NO
    bits = 64
    while bits <= max_bits:
        with working_precision(bits):
            scale = arb((1, -form.shift))
            moduli = [abs(ball * scale) for ball, _ in root_balls(polynomial)]
            if any(certainly_lt(arb(1), modulus) for modulus in moduli):
                return Stability.NO
            if all(certainly_lt(modulus, 1) for modulus in moduli):
                return Stability.YES
        bits *= 2
    return Stability.UNDECIDED
