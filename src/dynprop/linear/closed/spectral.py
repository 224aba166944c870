r"""Spectral routes to :math:`A^t h`, A = Wᵀ: symmetric, eigen and Schur, each with an a-posteriori bound.

A decomposition computed in float64 is an exact one of a nearby matrix; the distance is measured, not assumed.
With the computed S, M (diagonal Λ or triangular) and residual R = AS - SM, and an approximate inverse X,
:math:`F = I - XS`, :math:`\|F\| < 1`,

.. math:: S^{-1} A S = M + E, \quad E = S^{-1} R = (I - F)^{-1} X R, \quad
          A^t h - S M^t z = S\,[(M + E)^t - M^t]\,z, \quad z = S^{-1} h .

R is computed to three times the working precision (`arithmetic.products`), which gives XR entry by entry.

**Diagonal M.** The first-order term of the bracket has entries
:math:`E_{ij} (λ_i^t - λ_j^t)/(λ_i - λ_j)`. The diagonal :math:`t\,E_{ii} λ_i^{t-1}` is the drift of an
eigenvalue; it is known and moved into M, as a second float beside the first. An off-diagonal entry between
distant eigenvalues is bounded in t, known, and added to the result. Between eigenvalues that are too near
it is at most :math:`|E_{ij}|\,t\,ρ^{t-1}`. The rest is at most :math:`\tfrac12 t^2 e^2 (ρ + e)^{t-2}` in the
2-norm, with :math:`e = \|E\|` (binomial expansion).

**Triangular M.** In the norm :math:`\max_i |x_i| / d_i` with weights d > 0 let
:math:`μ = \max_i (|M| d)_i / d_i` (Collatz and Wielandt) and :math:`e = \max_i (|E| d)_i / d_i`; the
bracket is at most :math:`t\,e\,(μ + e)^{t-1}`. The smallest d ≥ 1 with :math:`|M| d \le (1 + 1/t) ρ d` makes
μᵗ at most eρᵗ; its spread grows with the departure from normality. For a Schur form alone the spread is as
large as if all eigenvalues of largest modulus belonged to one Jordan block. So the form is split
first: a triangular similarity removes the entries between eigenvalues that are far enough apart
(Bavely and Stewart 1979, SIAM J. Numer. Anal. 16, without reordering); entries that would need a large
similarity stay in M.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynprop.arrays import BoolArray, FloatArray, IntArray
from dynprop.errors import PrecisionError
from dynprop.linear.arithmetic.powers import power_roundings, scaled_powers
from dynprop.linear.arithmetic.scaled import FLOOR, SLACK, frobenius, gamma, normalised, roundings, shifted
from dynprop.linear.closed.routes import Approximation, Problem, squaring
from dynprop.linear.closed.similarity import Basis, Decomposition, decomposition
from dynprop.linear.validation import Matrix

__all__ = ["eigen", "is_hermitian", "schur", "symmetric"]

# A modulus is computed with a relative error below this.
_MODULUS = 1.0 + 2.0**-50
# A power is at most this factor times its value from `scaled_powers`.
_UP = 1.0 + 2.0**-40
# Largest entry of the similarity that splits a Schur form; entries that need more stay in the form.
_LARGEST_SPLIT = 1e4


def is_hermitian(W: Matrix) -> bool:
    """Whether a matrix equals its conjugate transpose exactly."""
    return bool(np.array_equal(W, W.conj().T))


def symmetric(problem: Problem) -> Approximation:
    """Compute A = QΛQᴴ by `numpy.linalg.eigh`; A must be exactly symmetric or Hermitian."""
    return _diagonal(problem, problem.form("symmetric", _symmetric_form))


def _symmetric_form(problem: Problem) -> Decomposition:
    values, Q = _decomposed(np.linalg.eigh, problem.matrix)
    adjoint = Q.conj().T if np.iscomplexobj(Q) else Q.T
    return _measured(problem, Q, values, Basis(Q, adjoint, np.arange(0)))


def eigen(problem: Problem) -> Approximation:
    """Compute A = VΛV⁻¹ by `numpy.linalg.eig`; raises PrecisionError if V is not provably invertible."""
    return _diagonal(problem, problem.form("eigen", _eigen_form))


def _eigen_form(problem: Problem) -> Decomposition:
    values, V = _decomposed(np.linalg.eig, problem.matrix)
    pairs, columns = np.arange(0), V
    if np.iscomplexobj(V) and not np.iscomplexobj(problem.matrix):
        # LAPACK returns the eigenvectors of a conjugate pair side by side, exactly conjugate.
        pairs, columns = np.flatnonzero(values.imag > 0.0), V.real.copy()
        columns[:, pairs + 1] = V.imag[:, pairs]
    basis = Basis(columns, _decomposed(np.linalg.inv, columns), pairs)
    return _measured(problem, V[:, basis.kept], values[basis.kept], basis)


def schur(problem: Problem) -> Approximation:
    """Compute A = ZTZᴴ by `scipy.linalg.schur`, complex; split T, and apply squaring to the split form."""
    form = problem.form("schur", _schur_form)
    S, M, found = form.S, form.M, form.of_state(problem.start, problem.lost)
    size = np.abs(M)
    weights, radius = _weights(size, max(problem.times))
    spread = frobenius(weights)
    size_of_E = SLACK * float(((np.abs(found.E) @ weights + found.E_error * spread) / weights).max())
    initial = SLACK * float(((np.abs(found.start) + found.error) / weights).max())
    off = SLACK * float((found.error / weights).max())
    M, exponent = normalised(M)
    start, shift = normalised(found.start)
    powers = squaring(Problem(M, start, FLOOR, problem.times, problem.seconds))
    mantissa, drift = scaled_powers(np.array([radius + size_of_E]), problem.times)
    weighted_norm = float((np.abs(S) @ weights).max()) * SLACK
    row = float(np.abs(S).sum(axis=1).max()) * SLACK
    rounding = gamma(roundings(len(S), S)) * SLACK
    errors, exponents = np.empty(len(problem.times)), []
    for i, t in enumerate(problem.times):
        exponents.append(powers.exponents[i] + shift + exponent * t)
        grown = (
            float(mantissa[i, 0])
            * weighted_norm
            * (off + initial * t * size_of_E / (radius + size_of_E))
            * _UP
        )
        moved = float(shifted(np.array(grown), int(drift[i, 0]) - exponents[i]))
        inside = float(powers.errors[i]) * row
        inside += rounding * float((np.abs(S) @ np.abs(powers.values[i])).max())
        errors[i] = (moved + inside) * SLACK + len(S) * FLOOR
    return Approximation(_combined(problem, S, powers.values), exponents, errors)


def _schur_form(problem: Problem) -> Decomposition:
    from scipy.linalg import schur as schur_form

    T, Z = _decomposed(schur_form, problem.matrix, output="complex", check_finite=False)
    M, U = _split_form(np.triu(T))
    S = Z @ U
    # Scale the columns to length about 1, so that the entries of E are comparable.
    lengths = np.exp2(np.rint(np.log2(np.linalg.norm(S, axis=0))))
    S, M = S / lengths, (M / lengths) * lengths[:, None]
    return _measured(problem, S, M, Basis(S, _decomposed(np.linalg.inv, S), np.arange(0)))


def _measured(problem: Problem, S: Matrix, M: Matrix, basis: Basis) -> Decomposition:
    return decomposition(problem.matrix, S, M, basis, problem.lost, max(problem.times))


def _decomposed(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    try:
        return function(*arguments, **options)
    except np.linalg.LinAlgError as failure:
        raise PrecisionError(f"LAPACK cannot decompose W ({failure}): defective or nearly so") from failure


def _is_complex(problem: Problem) -> bool:
    return np.iscomplexobj(problem.matrix) or np.iscomplexobj(problem.start)


@dataclass(frozen=True)
class _Modes:
    """The part of a diagonal form that does not depend on t; m modes, n coordinates.

    In a real problem one mode of each conjugate pair is stored, with its column doubled.
    """

    columns: Matrix
    start: Matrix
    mixed_start: Matrix
    error: FloatArray
    direct: Matrix
    crossed: Matrix
    mixed: FloatArray
    paired: BoolArray
    left_over: FloatArray
    radius: float
    rest: float
    E_error: float
    length: float


def _diagonal(problem: Problem, form: Decomposition) -> Approximation:
    """Return S Mᵗ z for every t, M = Λ + diag(E), with its error bound."""
    found, values = form.of_state(problem.start, problem.lost), form.M
    if _is_complex(problem):
        found, values = found.unfolded(values)
    kept, paired, diagonal = found.kept, found.paired, np.arange(len(values))
    # The diagonal of E moves into M.
    E = found.E.copy()
    own = np.arange(len(E))[kept], diagonal
    tails = E[own]
    E[own] = 0.0
    radius = (float(np.abs(values).max()) + float(np.abs(tails).max())) * _MODULUS
    start, weight = found.start[kept], np.abs(found.start) + found.error
    longest, twins = max(problem.times) / radius, (values[paired].conj(), tails[paired].conj())
    direct, left_over = _mixing(E[kept], (values, tails), (values, tails), weight[kept], longest)
    crossed, more = _mixing(found.crossed, (values, tails), twins, weight[kept][paired], longest)
    mixed = np.abs(direct)
    mixed[:, paired] += np.abs(crossed)
    # A change of the coordinates of length x changes an entry of the state by at most x times a row of S.
    rows = np.sqrt(_row_squares(found.S) + _row_squares(found.S[:, paired]))
    modes = _Modes(
        columns=found.S * np.where(paired, 2.0, 1.0) if paired.any() else found.S,
        start=start,
        mixed_start=start + direct @ start + crossed @ start[paired].conj(),
        error=found.error[kept],
        direct=direct,
        crossed=crossed,
        mixed=mixed,
        paired=paired,
        left_over=left_over + more,
        radius=radius,
        rest=math.hypot(frobenius(E), frobenius(E[:, paired])) * SLACK + found.E_error,
        E_error=found.E_error,
        length=frobenius(weight) * float(rows.max()) * SLACK,
    )
    everything = np.append(values, radius + modes.rest)
    powers, exponents = scaled_powers(everything, problem.times, np.append(tails, 0.0))
    # 128 times at once: their arrays stay in cache.
    cuts = [slice(start, start + 128) for start in range(0, len(problem.times), 128)]
    pieces = [_evaluated(problem, modes, problem.times[cut], powers[cut], exponents[cut]) for cut in cuts]
    return Approximation(
        np.concatenate([piece.values for piece in pieces]),
        [exponent for piece in pieces for exponent in piece.exponents],
        np.concatenate([piece.errors for piece in pieces]),
    )


def _evaluated(
    problem: Problem, modes: _Modes, times: Sequence[int], powers: Matrix, exponents: IntArray
) -> Approximation:
    """Combine modes and powers of their eigenvalues; the last power is that of ρ + ‖E‖."""
    n, weight = len(modes.columns), np.abs(modes.start) + modes.error
    largest, drift = np.abs(powers[:, -1]) * (_UP * SLACK), exponents[:, -1]
    powers, exponents = powers[:, :-1], exponents[:, :-1]
    used = weight > 0.0
    top = (np.frexp(weight[used])[1] + exponents[:, used]).max(axis=1)
    # An upper bound of ρᵗ, in the units of the row.
    largest = shifted(largest, drift - top)
    powers = np.where(used, shifted(powers, exponents - top[:, None]), 0.0)
    modal = powers * modes.start
    moved = powers * modes.mixed_start - modal @ modes.direct.T
    if modes.paired.any():
        moved -= modal[:, modes.paired].conj() @ modes.crossed.T
    rounded = np.array([gamma(power_roundings(t) + 8) for t in times])[:, None]
    terms, known = gamma(roundings(n, modes.columns, modal)), np.abs(modes.start)
    # Errors of the coordinates: before the mixing, by the mixing, and of the products with it and with S.
    sizes, scale = np.abs(powers), 4.0 * terms * known
    spread = sizes * (rounded * known + (1.0 + rounded) * modes.error)
    spread += (spread + sizes * scale) @ modes.mixed.T
    spread += sizes * (modes.mixed @ (scale + (1.0 + 4.0 * terms) * modes.error))
    spread += terms * np.abs(moved) + largest[:, None] * modes.left_over
    errors = (spread @ np.abs(modes.columns).T).max(axis=1)
    count = np.array(times, dtype=np.float64)
    tail = (count * modes.E_error + 0.5 * (count * modes.rest) ** 2 / modes.radius) / modes.radius
    errors = (errors + largest * tail * modes.length) * SLACK + n * FLOOR
    return Approximation(_combined(problem, modes.columns, moved), top.tolist(), errors)


def _combined(problem: Problem, S: Matrix, coordinates: Matrix) -> Matrix:
    """Return S d for every row d; only the real part, at half the cost, where the result is real."""
    if _is_complex(problem) or not np.iscomplexobj(coordinates):
        return coordinates @ S.T
    both = np.empty((2 * S.shape[1], S.shape[0]))
    both[0::2], both[1::2] = S.real.T, -S.imag.T
    return np.ascontiguousarray(coordinates).view(np.float64) @ both


def _mixing(
    E: Matrix,
    rows: tuple[Matrix, Matrix],
    columns: tuple[Matrix, Matrix],
    weight: FloatArray,
    longest: float,
) -> tuple[Matrix, FloatArray]:
    """Return K, which removes E between distant eigenvalues, and a bound of the remaining first order.

    Rows and columns are eigenvalues λ with their second floats. With K_ij = E_ij / (λ_i - λ_j) the
    first-order term is Λᵗ K - K Λᵗ. Where rounding hides the distance of two eigenvalues, or t times it is
    small, the term is bounded by t/ρ instead.
    """
    distance = rows[0][:, np.newaxis] - columns[0]
    size = np.abs(distance)
    near = size <= max(2.0 / longest, 512.0 * float(np.abs(rows[1]).max()))
    distance = distance + (rows[1][:, np.newaxis] - columns[1])
    distance[near] = np.inf
    size[near] = 2.0**-45 / longest
    np.divide(2.0**-45, size, out=size)
    size *= np.abs(E)
    return E / distance, size @ weight


def _row_squares(x: Matrix) -> FloatArray:
    parts = (x.real, x.imag) if np.iscomplexobj(x) else (x,)
    return np.asarray(sum(np.einsum("ij,ij->i", part, part) for part in parts))


def _split_form(T: Matrix) -> tuple[Matrix, Matrix]:
    """Return (M, U), U unit triangular, with T U ≈ U M; M has no entries between distant eigenvalues."""
    n = len(T)
    values, U = T.diagonal(), np.eye(n, dtype=T.dtype)
    M = np.diag(values).astype(T.dtype)
    for j in range(1, n):
        for i in range(j - 1, -1, -1):
            left = T[i, i + 1 : j + 1] @ U[i + 1 : j + 1, j] - U[i, i + 1 : j] @ M[i + 1 : j, j]
            apart = values[j] - values[i]
            if abs(left) <= _LARGEST_SPLIT * abs(apart):
                U[i, j] = left / apart if left != 0.0 else 0.0
            else:
                M[i, j] = left
    return M, U


def _weights(size: FloatArray, longest: int) -> tuple[FloatArray, float]:
    """Return positive weights d of a triangular |M|, and μ with |M| d <= μ d."""
    n, radius = len(size), float(size.diagonal().max()) * _MODULUS
    if radius == 0.0:
        raise PrecisionError("every computed eigenvalue is zero: float64 cannot bound the powers")
    d = np.ones(n)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for i in range(n - 2, -1, -1):
            above = (1.0 + 1.0 / longest) * radius - size[i, i]
            d[i] = max(1.0, float(size[i, i + 1 :] @ d[i + 1 :]) / above)
    if not d.max() < 2.0**500:
        raise PrecisionError("W is too far from normal for a bound in float64")
    return d, float(((size @ d) / d).max()) * SLACK
