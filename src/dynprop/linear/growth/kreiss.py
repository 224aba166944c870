r"""The Kreiss constant: a lower bound on the supremum of ‖Wᵗ‖, from the resolvent.

.. math:: K(W) = \sup_{|z| > 1} (|z| - 1)\,\|(zI - W)^{-1}\|, \qquad K \le \sup_t \|W^t\| \le e\,n\,K

(Kreiss 1962; the factor e n is Spijker's, 1991.) It is at least 1, the limit at infinity. It is infinite if
ρ > 1, or if ρ = 1 with a defective eigenvalue on the circle. It is at most sup ‖Wᵗ‖, so 1 for a matrix of
norm at most 1.

Method. On a grid of radii, spaced evenly in log(|z| - 1), and of angles, even and at the arguments of the
outermost eigenvalues, a few power iterations on the inverse give the resolvent norm. The best local
maxima are refined with the gradient: if u, v are the singular vectors of the smallest singular value
σ of zI - W, then dσ = Re(u^H dz v). Where zI - W is singular to working precision, both steps use ball
arithmetic. The value at the best point is then enclosed in ball arithmetic, as (|z| - 1) ‖(zI - W)⁻¹u‖, so
that the result never exceeds K; it is below K only if the grid misses the highest peak.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.errors import PrecisionError
from dynprop.linear.arithmetic.balls import ball_matrix, enclose, entries, float_below
from dynprop.linear.arithmetic.scaled import UNIT
from dynprop.linear.growth.stability import is_stable
from dynprop.linear.spectra.eigenvalues import MAX_BITS, Stability, squared_norm
from dynprop.linear.spectra.spectrum import ComplexArray
from dynprop.linear.spectra.structure import MAX_WORK, powers_stay_bounded
from dynprop.linear.validation import Matrix, bit_limit, nonnegative, square_matrix
from dynprop.precision import working_precision

if TYPE_CHECKING:
    from flint import acb_mat

__all__ = ["NEAREST", "kreiss_constant"]

_RADII = 25
_ANGLES = 48
_OUTERMOST = 24
_REFINED = 8
_POWER_STEPS = 6
# Smallest |z| - 1 of the search, and the relative accuracy of a refined peak.
NEAREST = 1e-6
_ACCURACY = 1e-6
# Resolvent norms beyond it overflow when they are used.
_LARGEST = 1e290
# σ of zI - W below this share of its norm is rounding.
_FLOOR = 1e-15
_BITS = 192
# Limit on n³·points·bits of a search in ball arithmetic, some twenty seconds.
_MAX_PRODUCTS = 5e10
# Numbers in one stack of inverses.
_STACK = 1 << 21


def kreiss_constant(W: Matrix, *, max_work: float = MAX_WORK, max_bits: int = MAX_BITS) -> float:
    """Compute the Kreiss constant K(W), sup over |z| > 1 of (|z| - 1) ‖(zI - W)⁻¹‖.

    It speaks of the stored floats: a float64 rotation whose spectral radius exceeds one by 1e-17 has an
    infinite constant, since its powers grow without bound.

    Args:
        W: square matrix, shape (n, n), real or complex floats.
        max_work: work limit of the exact decision whether ρ exceeds one; see `is_stable`.
        max_bits: limit on the working precision of that decision.

    Returns:
        The supremum over |z| ≥ 1 + 1e-6, at least 1: a lower bound on K that is K itself unless an
        eigenvalue lies within some 1e-6 of the unit circle. It is certain as a lower bound and 1e-6
        accurate unless the grid misses the highest peak; none was missed over the families of the
        tests (n ≤ 5), against a grid of 160 by 360. Infinity where K is infinite or beyond 1e290. The value
        of an empty matrix is 1.0.

    Raises:
        ArgumentError: W is not square, not floating or not finite.
        PrecisionError: ρ is so close to one that the limits do not suffice to decide whether K is finite, or
            the resolvent of a large matrix is singular to working precision.

    Example:
        >>> import numpy as np
        >>> round(kreiss_constant(np.array([[0.5, 4.0], [0.0, 0.5]])), 3)
        2.125

    Source: Trefethen and Embree (2005), Spectra and Pseudospectra, sections 14 and 18; Kreiss (1962).
    """
    matrix = square_matrix(W)
    max_work, max_bits = nonnegative(max_work, "max_work"), bit_limit(max_bits)
    if np.abs(matrix).max(initial=0.0) <= 0.5 / max(len(matrix), 1):
        # ‖W‖ ≤ n max|W| < 1: no power exceeds one.
        return 1.0
    if is_stable(matrix, max_work=max_work, max_bits=max_bits) is not Stability.YES:
        bounded = powers_stay_bounded(matrix, max_work)
        if bounded is None:
            raise PrecisionError(
                "the spectral radius is too close to one to decide whether the Kreiss constant is finite:"
                " raise max_work or max_bits"
            )
        if not bounded:
            return math.inf
    return max(1.0, _supremum(matrix.astype(np.complex128), np.iscomplexobj(matrix)))


@dataclass(frozen=True)
class _Resolvent:
    """‖(zI - W)⁻¹‖ and the unit vectors u, v that attain it: (zI - W)⁻¹u = norm · v."""

    norm: float
    u: ComplexArray
    v: ComplexArray


def _supremum(W: ComplexArray, both_halves: bool) -> float:
    n = len(W)
    values = np.linalg.eigvals(W)
    size = float(np.linalg.norm(W, 2))
    # Beyond 1 + ‖W‖ the value is below (|z| - 1)/(|z| - ‖W‖), which falls to 1 from there.
    outer = math.log(max(size, 2.0) + 1.0)
    gap = max(1.0 - float(np.abs(values).max()), NEAREST)
    distances = np.exp(np.linspace(max(math.log(gap) - 1.0, math.log(NEAREST)), outer, _RADII))
    arguments = np.angle(values[np.argsort(-np.abs(values))[:_OUTERMOST]])
    angles = np.concatenate([np.linspace(-np.pi, np.pi, _ANGLES, endpoint=False), arguments])
    if not both_halves:
        # The resolvent norm of a real matrix is symmetric about the real axis.
        angles = np.abs(angles)
    angles = np.unique(np.round(angles, 9))
    points = ((1.0 + distances)[:, None] * np.exp(1j * angles)).astype(np.complex128)
    norms, resolvent = _grid(W, points.ravel()), _in_floats
    # Where zI - W is singular to working precision, its float64 inverse is noise.
    if not norms.max() <= _ACCURACY / (8.0 * n * UNIT * (1.0 + distances[-1] + size)):
        _require_affordable(n, norms.size)
        norms, resolvent = np.array([_in_balls(W, z).norm for z in points.ravel()]), _in_balls
    if norms.max() > _LARGEST:
        return math.inf
    grid = distances[:, None] * norms.reshape(points.shape)
    climbed = [_refined(W, float(distances[i]), float(angles[j]), resolvent) for i, j in _peaks(grid)]
    return _certified(W, max(climbed, key=lambda point: point.value))


def _require_affordable(n: int, points: int) -> None:
    if float(n) ** 3 * points * _BITS > _MAX_PRODUCTS:
        raise PrecisionError(
            f"the resolvent of this {n} × {n} matrix is noise in float64 outside the unit circle, and too"
            " large to search in ball arithmetic; certified_growth bounds its powers one by one"
        )


def _grid(W: ComplexArray, z: ComplexArray) -> FloatArray:
    """Return lower estimates of ‖(zI - W)⁻¹‖, infinite if float64 is not precise enough."""
    n = len(W)
    found = np.empty(len(z))
    rows = max(1, _STACK // (n * n))
    start = np.random.default_rng(0).standard_normal((n, 2)) @ np.array([1.0, 1j])
    for first in range(0, len(z), rows):
        part = z[first : first + rows]
        try:
            inverse = np.linalg.inv(part[:, None, None] * np.eye(n) - W)
        except np.linalg.LinAlgError:
            return np.full(len(z), math.inf)
        # Beyond 1e75 the squares of the iteration overflow.
        if not np.abs(inverse).max() < 1e75:
            return np.full(len(z), math.inf)
        adjoint = inverse.conj().swapaxes(1, 2)
        x = np.broadcast_to(start[:, None] / np.linalg.norm(start), (len(part), n, 1))
        for _ in range(_POWER_STEPS):
            x = adjoint @ (inverse @ x)
            norm = np.linalg.norm(x, axis=1, keepdims=True)
            x = x / norm
        found[first : first + rows] = np.sqrt(norm[:, 0, 0])
    return found


def _in_floats(W: ComplexArray, z: complex) -> _Resolvent:
    left, sizes, right = np.linalg.svd(z * np.eye(len(W)) - W)
    norm = 1.0 / max(float(sizes[-1]), _FLOOR * float(sizes[0]))
    return _Resolvent(norm, left[:, -1], right[-1].conj())


def _in_balls(W: ComplexArray, z: complex) -> _Resolvent:
    with working_precision(_BITS):
        ball = enclose(_shifted(W, z).inv())
    if not ball.relative_bound < _ACCURACY:
        raise PrecisionError(f"the resolvent is not known at {_BITS} bits: its norm exceeds 2**{_BITS // 2}")
    left, sizes, right = np.linalg.svd(ball.value)
    norm = math.ldexp(float(sizes[0]), min(ball.exponent, 1000))
    return _Resolvent(norm, right[0].conj(), left[:, 0])


def _shifted(W: ComplexArray, z: complex) -> acb_mat:
    from flint import acb, acb_mat

    n, diagonal = len(W), acb(z)
    unit = acb_mat(n, n, [diagonal * int(i == j) for i in range(n) for j in range(n)])
    return unit - acb_mat(ball_matrix(W))


def _peaks(grid: FloatArray) -> list[tuple[int, int]]:
    """Return the highest local maxima, best first; angles are cyclic."""
    padded = np.pad(grid, ((1, 1), (0, 0)), constant_values=-np.inf)
    around = [padded[1 + i : 1 + i + len(grid)] for i in (-1, 0, 1)]
    top = np.max([np.roll(rows, k, axis=1) for rows in around for k in (-1, 0, 1)], axis=0)
    places = np.argwhere(grid >= top)
    order = np.argsort([-grid[i, j] for i, j in places], kind="stable")[:_REFINED]
    return [(int(places[k][0]), int(places[k][1])) for k in order]


@dataclass(frozen=True)
class _Point:
    """A point z outside the unit circle, (|z| - 1) ‖(zI - W)⁻¹‖, and the vector u that attains it."""

    value: float
    z: complex
    u: ComplexArray


def _refined(
    W: ComplexArray, distance: float, angle: float, resolvent: Callable[[ComplexArray, complex], _Resolvent]
) -> _Point:
    """Maximise from one point of the grid."""
    from scipy.optimize import minimize

    best = _Point(0.0, 2.0 + 0.0j, np.ones(len(W), dtype=np.complex128))

    def descent(point: FloatArray) -> tuple[float, FloatArray]:
        nonlocal best
        # The line search may step anywhere; far out the value is close to 1 and of no interest.
        log_distance = float(np.clip(point[0], math.log(NEAREST), 40.0))
        d, turn = math.exp(log_distance), complex(math.cos(point[1]), math.sin(point[1]))
        z = (1.0 + d) * turn
        at = resolvent(W, z)
        if d * at.norm > best.value:
            best = _Point(d * at.norm, z, at.u)
        slope = at.norm * (at.u.conj() @ at.v)
        outward, around = (slope * turn).real * d, (slope * 1j * z).real
        return -math.log(at.norm) - log_distance, np.array([outward - 1.0, around])

    start = np.array([math.log(distance), angle])
    minimize(descent, start, jac=True, method="BFGS", options={"gtol": 1e-7})
    return best


def _certified(W: ComplexArray, point: _Point) -> float:
    """Return a proved lower bound of (|z| - 1) ‖(zI - W)⁻¹u‖ / ‖u‖."""
    from flint import acb

    with working_precision(_BITS):
        u = ball_matrix(point.u)
        sizes = [squared_norm(entries(v)) for v in (_shifted(W, point.z).solve(u), u)]
        return float_below((abs(acb(point.z)) - 1) * (sizes[0] / sizes[1]).sqrt())
