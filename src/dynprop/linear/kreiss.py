r"""The Kreiss constant: how high the powers of a matrix must rise, read off its resolvent.

.. math:: K(W) = \sup_{|z| > 1} (|z| - 1)\,\|(zI - W)^{-1}\|, \qquad K \le \sup_t \|W^t\| \le e\,n\,K

(Kreiss 1962; the factor e n is Spijker's, 1991.) It is at least 1, the limit at infinity; infinite if
ρ > 1, or if ρ = 1 with a defective eigenvalue on the circle; and at most sup ‖Wᵗ‖, so 1 for a matrix
of norm at most 1.

Method. On a grid of radii, spaced evenly in log(|z| - 1), and of angles, even and at the arguments of the
eigenvalues, the resolvent norm comes from a few power iterations on the inverse. The best local
maxima are refined with the gradient: if u, v are the singular vectors of the smallest singular value
σ of zI - W, then dσ = Re(u^H dz v). The value at the best point is then enclosed in
ball arithmetic, as (|z| - 1) ‖(zI - W)⁻¹u‖, so that the result never exceeds K; it falls short of K
only if the grid misses the highest peak.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.errors import PrecisionError
from dynprop.linear.balls import ball_matrix, entries, float_below, working_precision
from dynprop.linear.eigenvalues import MAX_BITS, Stability
from dynprop.linear.matrices import Matrix, square_matrix
from dynprop.linear.spectrum import ComplexArray
from dynprop.linear.stability import is_stable
from dynprop.linear.structure import MAX_WORK, powers_stay_bounded

__all__ = ["kreiss_constant"]

_RADII = 25
_ANGLES = 48
_REFINED = 8
_POWER_STEPS = 6
# σ of zI - W below this share of its norm is rounding.
_FLOOR = 1e-15
_BITS = 192
# Numbers in one stack of inverses.
_STACK = 1 << 21


def kreiss_constant(W: Matrix, *, max_work: float = MAX_WORK, max_bits: int = MAX_BITS) -> float:
    """Compute the Kreiss constant K(W), sup over |z| > 1 of (|z| - 1) ‖(zI - W)⁻¹‖.

    It speaks of the stored floats: a float64 rotation whose spectral radius exceeds one by 1e-17 has an
    infinite constant, since its powers grow without bound.

    Args:
        W: square matrix, shape (n, n), real or complex floats.
        max_work: limit of the exact decision whether ρ exceeds one; see `is_stable`.
        max_bits: the same, on the working precision.

    Returns:
        A lower bound on K, at least 1, that K exceeds by less than 1e-6 of itself unless the grid misses
        the highest peak (none was missed over the families of the tests, against a grid 40 times as
        fine); infinity where K is infinite. An empty matrix has 1.0.

    Raises:
        ArgumentError: W is not square, not floating or not finite.
        PrecisionError: ρ is too close to one to say within the limits whether K is finite.

    Source: Trefethen and Embree (2005), Spectra and Pseudospectra, sections 14 and 18; Kreiss (1962).
    """
    matrix = square_matrix(W)
    if np.abs(matrix).max(initial=0.0) <= 0.5 / max(len(matrix), 1):
        # ‖W‖ ≤ n max|W| < 1: no power exceeds one.
        return 1.0
    if is_stable(matrix, max_work=max_work, max_bits=max_bits) is not Stability.YES:
        bounded = powers_stay_bounded(matrix, max_work)
        if bounded is None:
            raise PrecisionError(
                "the spectral radius is too close to one to say whether the Kreiss constant is finite: raise"
                " max_work or max_bits"
            )
        if not bounded:
            return math.inf
    return max(1.0, _supremum(matrix.astype(np.complex128), np.iscomplexobj(matrix)))


def _supremum(W: ComplexArray, both_halves: bool) -> float:
    values = np.linalg.eigvals(W)
    size = float(np.linalg.norm(W, 2))
    # Beyond 1 + ‖W‖ the value is below (|z| - 1)/(|z| - ‖W‖), which falls to 1 from there.
    outer = math.log(max(size, 2.0) + 1.0)
    gap = max(1.0 - float(np.abs(values).max()), 1e-8)
    distances = np.exp(np.linspace(math.log(gap) - 1.0, outer, _RADII))
    arguments = np.angle(values)
    angles = np.concatenate([np.linspace(-np.pi, np.pi, _ANGLES, endpoint=False), arguments])
    if not both_halves:
        # The resolvent norm of a real matrix is symmetric about the real axis.
        angles = np.abs(angles)
    angles = np.unique(np.round(angles, 9))
    grid = _grid(W, distances, angles)
    climbed = [_refined(W, float(distances[i]), float(angles[j])) for i, j in _peaks(grid)]
    return _certified(W, max(climbed, key=lambda point: point.value))


def _grid(W: ComplexArray, distances: FloatArray, angles: FloatArray) -> FloatArray:
    """Return lower estimates of (|z| - 1) ‖(zI - W)⁻¹‖ on the grid, shape (radii, angles)."""
    n = len(W)
    z = ((1.0 + distances)[:, None] * np.exp(1j * angles)).ravel()
    found = np.empty(len(z))
    rows = max(1, _STACK // (n * n))
    start = np.random.default_rng(0).standard_normal((n, 2)) @ np.array([1.0, 1j])
    for first in range(0, len(z), rows):
        part = z[first : first + rows]
        inverse = np.linalg.inv(part[:, None, None] * np.eye(n) - W)
        adjoint = inverse.conj().swapaxes(1, 2)
        x = np.broadcast_to(start[:, None] / np.linalg.norm(start), (len(part), n, 1))
        for _ in range(_POWER_STEPS):
            x = adjoint @ (inverse @ x)
            norm = np.linalg.norm(x, axis=1, keepdims=True)
            x = x / norm
        found[first : first + rows] = np.sqrt(norm[:, 0, 0])
    return distances[:, None] * found.reshape(len(distances), len(angles))


def _peaks(grid: FloatArray) -> list[tuple[int, int]]:
    """Return the highest local maxima, angles taken as cyclic, best first."""
    padded = np.pad(grid, ((1, 1), (0, 0)), constant_values=-np.inf)
    around = [padded[1 + i : 1 + i + len(grid)] for i in (-1, 0, 1)]
    top = np.max([np.roll(rows, k, axis=1) for rows in around for k in (-1, 0, 1)], axis=0)
    places = np.argwhere(grid >= top)
    order = np.argsort([-grid[i, j] for i, j in places], kind="stable")[:_REFINED]
    return [(int(places[k][0]), int(places[k][1])) for k in order]


@dataclass(frozen=True)
class _Point:
    """A place outside the unit circle, what the resolvent is worth there, and where that comes from.

    Attributes:
        value: (|z| - 1) ‖(zI - W)⁻¹‖, in floats.
        z: the place.
        vector: the left singular vector u of the smallest singular value: ‖(zI - W)⁻¹u‖ is the norm.
    """

    value: float
    z: complex
    vector: ComplexArray


def _refined(W: ComplexArray, distance: float, angle: float) -> _Point:
    """Climb from one point of the grid."""
    from scipy.optimize import minimize

    eye = np.eye(len(W))
    best = _Point(0.0, 2.0 + 0.0j, eye[0].astype(np.complex128))

    def descent(point: FloatArray) -> tuple[float, FloatArray]:
        nonlocal best
        # A step of the line search may go anywhere; what lies far out is close to 1 and not sought.
        log_distance = float(np.clip(point[0], -40.0, 40.0))
        d, turn = math.exp(log_distance), complex(math.cos(point[1]), math.sin(point[1]))
        z = (1.0 + d) * turn
        left, sizes, right = np.linalg.svd(z * eye - W)
        sigma = float(sizes[-1])
        if sigma <= _FLOOR * float(sizes[0]):
            return 0.0, np.zeros(2)
        if d / sigma > best.value:
            best = _Point(d / sigma, z, left[:, -1])
        slope = left[:, -1].conj() @ right[-1].conj()
        outward, around = (slope * turn).real * d, (slope * 1j * z).real
        return math.log(sigma) - log_distance, np.array([outward / sigma - 1.0, around / sigma])

    start = np.array([math.log(distance), angle])
    minimize(descent, start, jac=True, method="BFGS", options={"gtol": 1e-7})
    return best


def _certified(W: ComplexArray, point: _Point) -> float:
    """Return a float that (|z| - 1) ‖(zI - W)⁻¹u‖ / ‖u‖ does not fall below, for certain."""
    from flint import acb, acb_mat, arb

    with working_precision(_BITS):
        n, z = len(W), acb(point.z)
        shifted = acb_mat(n, n, [z * int(i == j) for i in range(n) for j in range(n)]) - ball_matrix(W)
        u = ball_matrix(point.vector)
        sizes = [sum((abs(x) ** 2 for x in entries(v)), arb(0)) for v in (shifted.solve(u), u)]
        return float_below((abs(z) - 1) * (sizes[0] / sizes[1]).sqrt())
