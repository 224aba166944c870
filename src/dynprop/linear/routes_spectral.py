r"""Spectral routes to :math:`A^t h`, A = Wᵀ: symmetric, eigen and Schur, each with an a-posteriori bound.

A decomposition computed in float64 is an exact one of a nearby matrix; how near is measured, not assumed.
With the computed S, M (diagonal Λ or triangular) and residual R = AS - SM, and an approximate inverse X,
:math:`F = I - XS`, :math:`\|F\| < 1`,

.. math:: S^{-1} A S = M + E, \quad E = S^{-1} R = (I - F)^{-1} X R, \quad
          A^t h - S M^t z = S\,[(M + E)^t - M^t]\,z, \quad z = S^{-1} h .

R is computed to twice the working precision (`scaled.accurate_product`), so that XR is known entry by entry.

**Diagonal M.** The first-order term of the bracket has entries
:math:`E_{ij} (λ_i^t - λ_j^t)/(λ_i - λ_j)`: on the diagonal :math:`t\,E_{ii} λ_i^{t-1}`, the drift of an
eigenvalue; off it at most :math:`|E_{ij}| \min(t/ρ,\ 2/|λ_i - λ_j|)\,ρ^t`, which a gap stops from growing.
The rest is at most :math:`\tfrac12 t^2 e^2 (ρ + e)^{t-2}` in the 2-norm, with :math:`e = \|E\|` (binomial
expansion).

**Triangular M.** In the norm :math:`\max_i |x_i| / d_i` with weights d > 0 let
:math:`μ = \max_i (|M| d)_i / d_i` (Collatz and Wielandt) and :math:`e = \max_i (|E| d)_i / d_i`; the
bracket is at most :math:`t\,e\,(μ + e)^{t-1}`. The smallest d ≥ 1 with :math:`|M| d \le (1 + 1/t) ρ d` makes
μᵗ at most eρᵗ; its spread is the price of what departs from normality. A Schur form alone would pay
for every eigenvalue of largest modulus as if it belonged to one Jordan block. So the form is split
first: a triangular similarity removes the entries between eigenvalues that are far enough apart
(Bavely and Stewart 1979, SIAM J. Numer. Anal. 16, without reordering); what it cannot remove cheaply
stays in M.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.errors import PrecisionError
from dynprop.linear.matrices import Matrix
from dynprop.linear.routes import Approximation, Problem, squaring
from dynprop.linear.scaled import (
    FLOOR,
    SLACK,
    Product,
    accurate_product,
    accurate_scaling,
    frobenius,
    gamma,
    normalised,
    roundings,
    scaled_powers,
    shifted,
)

__all__ = ["eigen", "is_hermitian", "schur", "symmetric"]

# A modulus is computed with a relative error below this.
_MODULUS = 1.0 + 2.0**-50
# Largest entry of the similarity that splits a Schur form: beyond it an entry stays in the form.
_LARGEST_SPLIT = 1e4


def is_hermitian(W: Matrix) -> bool:
    """Whether a matrix equals its conjugate transpose, bit by bit."""
    return bool(np.array_equal(W, W.conj().T))


def symmetric(problem: Problem) -> Approximation:
    """Take A = QΛQᴴ by `numpy.linalg.eigh`; A must be exactly symmetric or Hermitian."""
    values, Q = _decomposed(np.linalg.eigh, problem.matrix)
    return _diagonal(problem, values, _similarity(problem, Q, Q.conj().T, values))


def eigen(problem: Problem) -> Approximation:
    """Take A = VΛV⁻¹ by `numpy.linalg.eig`; raises PrecisionError where V is not surely invertible."""
    values, V = _decomposed(np.linalg.eig, problem.matrix)
    return _diagonal(problem, values, _similarity(problem, V, _decomposed(np.linalg.inv, V), values))


def schur(problem: Problem) -> Approximation:
    """Take A = ZTZᴴ by `scipy.linalg.schur`, complex; split T, and square what cannot be split."""
    from scipy.linalg import schur as decomposition

    T, Z = _decomposed(decomposition, problem.matrix, output="complex", check_finite=False)
    M, U = _split_form(np.triu(T))
    S = Z @ U
    # Columns of length 1: the size of the entries of E then means the same everywhere.
    lengths = np.exp2(np.rint(np.log2(np.linalg.norm(S, axis=0))))
    S, M = S / lengths, (M / lengths) * lengths[:, None]
    found = _similarity(problem, S, _decomposed(np.linalg.inv, S), M)
    size = np.abs(M)
    weights, radius = _weights(size, max(problem.times))
    spread = frobenius(weights)
    gap = SLACK * float(((found.gap @ weights + found.blur * spread) / weights).max())
    initial = SLACK * float(((np.abs(found.start) + found.error) / weights).max())
    off = SLACK * float((found.error / weights).max())
    M, exponent = normalised(M)
    start, shift = normalised(found.start)
    powers = squaring(Problem(M, start, FLOOR, problem.times, problem.seconds))
    mantissa, drift = scaled_powers(np.array([radius + gap]), problem.times)
    reach = float((np.abs(S) @ weights).max()) * SLACK
    row = float(np.abs(S).sum(axis=1).max()) * SLACK
    rounding = gamma(roundings(len(S), S)) * SLACK
    errors, exponents = np.empty(len(problem.times)), []
    for i, t in enumerate(problem.times):
        exponents.append(powers.exponents[i] + shift + exponent * t)
        grown = (1.0 + gamma(t)) * float(mantissa[i, 0]) * reach * (off + initial * t * gap / (radius + gap))
        moved = float(shifted(np.array(grown), int(drift[i, 0]) - exponents[i]))
        inside = float(powers.errors[i]) * row
        inside += rounding * float((np.abs(S) @ np.abs(powers.values[i])).max())
        errors[i] = (moved + inside) * SLACK + len(S) * FLOOR
    return _of_kind(problem, Approximation(powers.values @ S.T, exponents, errors))


def _decomposed(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    try:
        return function(*arguments, **options)
    except np.linalg.LinAlgError as failure:
        raise PrecisionError(f"LAPACK cannot decompose W ({failure}): defective or nearly so") from failure


def _of_kind(problem: Problem, found: Approximation) -> Approximation:
    """Return the real parts where the answer is real: that brings no value further from it."""
    if np.iscomplexobj(problem.matrix) or np.iscomplexobj(problem.start):
        return found
    return Approximation(np.ascontiguousarray(found.values.real), found.exponents, found.errors)


@dataclass(frozen=True)
class _Similarity:
    """S⁻¹AS = M + E and z = S⁻¹h: |E| is at most ``gap`` plus a matrix of Frobenius norm ``blur``."""

    S: Matrix
    gap: FloatArray
    blur: float
    start: Matrix
    error: FloatArray


def _similarity(problem: Problem, S: Matrix, X: Matrix, M: Matrix) -> _Similarity:
    A, h, n = problem.matrix, problem.start, len(problem.start)
    terms = gamma(roundings(n, S, X) + 1) * SLACK
    far = frobenius(np.eye(n) - X @ S) + terms * frobenius(X) * frobenius(S) + n * FLOOR
    if not far < 0.5:
        raise PrecisionError("the eigenvectors are numerically dependent: W is defective or nearly so")
    residual, slack = _residual(A, S, M)
    inverse = SLACK / (1.0 - far)
    image = X @ residual
    blur = terms * frobenius(residual) + slack + n**2 * problem.lost
    blur = inverse * (far * frobenius(image) + frobenius(X) * blur)
    # After one step of refinement z errs from S⁻¹h by S⁻¹ times what S z leaves of h.
    z = X @ h
    z = z + X @ (h - S @ z)
    left = gamma(roundings(n, S, z) + 2) * (np.abs(h) + np.abs(S) @ np.abs(z)) + problem.lost + n * FLOOR
    error = np.abs(X) @ (np.abs(h - S @ z) + left)
    error = (error + far * inverse * frobenius(error)) * SLACK
    return _Similarity(S, np.abs(image) * SLACK, blur, z, error)


def _diagonal(problem: Problem, values: Matrix, found: _Similarity) -> Approximation:
    """Return S Λᵗ z for every t, with all that it errs by."""
    times, S, n = problem.times, found.S, len(found.S)
    radius = float(np.abs(values).max()) * _MODULUS + found.blur
    gap = frobenius(found.gap) + found.blur
    weight = np.abs(found.start) + found.error
    apart = np.abs(values[:, None] - values[None, :])
    with np.errstate(divide="ignore", over="ignore"):
        slowest = np.minimum(max(times) / radius, 2.0 * _MODULUS**2 / apart)
    np.fill_diagonal(slowest, 0.0)
    mixed = (found.gap * slowest) @ weight
    own = found.gap.diagonal() * weight
    length = frobenius(weight)

    powers, exponents = scaled_powers(values, times)
    used = weight > 0.0
    top = (np.frexp(weight[used])[1] + exponents[:, used]).max(axis=1)
    powers = np.where(used, shifted(powers, exponents - top[:, None]), 0.0)
    sizes = np.abs(powers)
    modal = powers * found.start
    mantissa, drift = scaled_powers(np.array([radius + gap]), times)
    product = gamma(roundings(n, S, modal))
    spread = np.empty(sizes.shape)
    for i, t in enumerate(times):
        rounded = gamma(roundings(t, powers) + 4)
        largest = np.array(float(mantissa[i, 0]) * (1.0 + gamma(t)) * SLACK)
        largest = shifted(largest, int(drift[i, 0]) - int(top[i]))
        # ρᵗ in these units; λᵢ to the power t-1 is at most that of ρ, over ρ.
        tail = (t * found.blur + 0.5 * (t * gap) ** 2 / radius) * length / radius
        with np.errstate(divide="ignore", invalid="ignore"):
            moved = np.where(own > 0.0, np.minimum(sizes[i] / np.abs(values), largest / radius), 0.0)
        spread[i] = (rounded + product) * sizes[i] * np.abs(found.start) + (1.0 + rounded) * (
            sizes[i] * found.error + t * moved * own
        )
        spread[i] += largest * (mixed + tail)
    errors = (spread @ np.abs(S).T).max(axis=1) * SLACK + n * FLOOR
    return _of_kind(problem, Approximation(modal @ S.T, [int(e) for e in top], errors))


def _split_form(T: Matrix) -> tuple[Matrix, Matrix]:
    """Return (M, U), U unit triangular, with T U ≈ U M and M free of what joins distant eigenvalues."""
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
        raise PrecisionError("every eigenvalue is computed as zero: float64 cannot tell what remains")
    d = np.ones(n)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for i in range(n - 2, -1, -1):
            above = (1.0 + 1.0 / longest) * radius - size[i, i]
            d[i] = max(1.0, float(size[i, i + 1 :] @ d[i + 1 :]) / above)
    if not d.max() < 2.0**500:
        raise PrecisionError("W is too far from normal for a bound in float64")
    return d, float(((size @ d) / d).max()) * SLACK


def _residual(A: Matrix, S: Matrix, M: Matrix) -> tuple[Matrix, float]:
    """Return A S - S M and a bound of its error in the Frobenius norm; a vector M stands for a diagonal."""
    image, back = _product(A, S), _scaling(S, M) if M.ndim == 1 else _product(S, M)
    residual = (image.exact - back.exact) + (image.rest - back.rest)
    rounded = gamma(3) * (frobenius(residual) + frobenius(image.rest) + frobenius(back.rest))
    return residual, SLACK * (image.error + back.error + rounded)


def _parts(x: Matrix) -> FloatArray:
    return np.array([x.real, x.imag if np.iscomplexobj(x) else np.zeros(x.shape)])


def _scaling(S: Matrix, values: Matrix) -> Product:
    found = accurate_scaling(_parts(S), _parts(values)[:, np.newaxis])
    if np.iscomplexobj(S):
        return found
    return Product(found.exact.real, found.rest.real, found.error)


def _product(left: Matrix, right: Matrix) -> Product:
    """Multiply real or complex matrices by `accurate_product`."""
    if not (np.iscomplexobj(left) or np.iscomplexobj(right)):
        return accurate_product(left, right)
    if np.iscomplexobj(left):
        rows = len(left)
        blocks = np.block([[left.real, -left.imag], [left.imag, left.real]])
        found = accurate_product(blocks, np.vstack([right.real, right.imag]))
        exact, rest = (x[:rows] + 1j * x[rows:] for x in (found.exact, found.rest))
        return Product(exact, rest, found.error)
    columns = right.shape[1]
    found = accurate_product(left, np.hstack([right.real, right.imag]))
    exact, rest = (x[:, :columns] + 1j * x[:, columns:] for x in (found.exact, found.rest))
    return Product(exact, rest, found.error)
