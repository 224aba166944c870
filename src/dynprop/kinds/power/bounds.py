r"""Rounding-error bounds of matrix powers that hold for every parenthesisation of the product.

Any tree of matrix products that evaluates :math:`(W^T)^t h` has t nodes, and each rounds every term at most n
times (n + 2 for complex data: three for a product, Higham 2002, lemma 3.5), so that

.. math:: |\hat h_t - h_t| \le \gamma_{n\max(t,1)}\,|W^T|^t|h| + U, \qquad
    \|\hat h_t - h_t\|_2 \le \gamma_{n^2 t}\,\|W\|_2^t\|h\|_2 + U.

The first is componentwise (section 3.5); the second follows by induction from
:math:`\|fl(AB)-AB\|_2\le\gamma_n\|A\|_F\|B\|_F\le n\gamma_n\|A\|_2\|B\|_2`, and decides what the first
cannot: powers of orthogonal matrices, whose absolute values grow. U is for underflow: a flushed term
loses at most ``tiny``, which the products around it can enlarge. They, and every partial sum on the way, are
at most :math:`|W|^k` and :math:`|W^T|^k|h|` for k up to t, and at most :math:`\max(1,\|W\|_2)^t` and that
times :math:`\|h\|`: the smaller decides what is in range.

Neither bound holds for Schur and eigenvector routes. Theirs is

.. math:: B = \max\Bigl(8nu\|h\|\bigl(\textstyle\sum_{i<t}\|W^i\|\|W\|\|W^{t-1-i}\|+\|W^t\|\bigr),\;
    8n\max(t,1)u\,\kappa^2\max(\|W\|\rho^{t-1},\rho^t)\|h\|\Bigr),

whose 8 is empirical (10 families, 150 cases each, worst 0.41 of it; every family here, worst 0.52).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dynprop.arrays import BoolArray, FloatArray, IntArray, NumericArray
from dynprop.contracts.formats import FORMATS
from dynprop.kinds.power.exact import MOST_BITS, bits_for, power_state
from dynprop.laws.exact import BITS
from dynprop.laws.rounding import gamma

__all__ = [
    "PowerBound",
    "absolute_powers",
    "bound_of_state",
    "bound_of_states",
    "condition",
    "digits_kept",
    "eigen_bound",
    "is_well_conditioned",
    "length",
    "rounding_count",
]

# Largest number of steps for which the norms of all powers are computed.
MOST_NORMS = 4096
CAP = 1e-6
# Empirical factor of the bound of Schur and eigenvector routes.
SPECTRAL = 8.0
# A closed form whose W is so well-conditioned, and whose answer has so many digits, must not refuse.
WELL_CONDITIONED = 1e3
MANY_DIGITS = 1e-10


@dataclass(frozen=True)
class PowerBound:
    """Error bounds of every product-form evaluation.

    Attributes:
        entry: componentwise bound, shape (..., n).
        norm: bound on the 2-norm of the error, shape (..., 1).
        scale: sum of the absolute values of the terms, shape (..., n).
        underflow: the part of the bounds that is due to underflow, shape (..., 1).
        in_range: whether no intermediate comes near overflow, shape (..., 1).
    """

    entry: FloatArray
    norm: FloatArray
    scale: FloatArray
    underflow: FloatArray
    in_range: BoolArray

    def tightest(self, magnitude: FloatArray) -> FloatArray:
        """Return the componentwise bound where it is below the magnitude, else the better of both."""
        return np.where(self.entry < magnitude, self.entry, np.minimum(self.entry, self.norm))


def rounding_count(n: int, *, complex_: bool) -> int:
    """Return the number of roundings of each term in an inner product of length n."""
    return n + 2 if complex_ else n


def length(values: NumericArray) -> float:
    """Return the 2-norm of a vector without squaring numbers that are near overflow or underflow."""
    with np.errstate(all="ignore"):
        largest = float(np.abs(values).max(initial=0.0))
        if largest == 0.0 or not np.isfinite(largest):
            return largest
        # A power of two rounds nothing; subnormal numbers do not matter beside the underflow term.
        scale = 2.0 ** np.clip(np.floor(np.log2(largest)), -1000.0, 1000.0)
        return float(np.linalg.norm(values.ravel() / scale) * scale)


def _nan_to_inf(values: FloatArray) -> FloatArray:
    return np.asarray(np.where(np.isnan(values), np.inf, values), dtype=np.float64)


def absolute_powers(
    w: NumericArray, h: NumericArray, t: IntArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return |W^T|^t |h|, and upper bounds of the largest entries of |W^T|^k 1 and |W^T|^k |h|, k <= t.

    Args:
        w: shape (count, n, n).
        h: shape (count, n).
        t: shape (count,).

    By binary powers: with R_m the entrywise maximum over k < m, R_2m <= max(R_m, A^m R_m), since A >= 0.
    """
    a = np.abs(w).swapaxes(-1, -2)
    count, n = h.shape
    ones = np.ones((count, n, 1))
    power = np.broadcast_to(np.eye(n), a.shape).copy()
    state = np.abs(h)[..., None]
    start = state
    reach, top = np.zeros((count, n, 1)), np.zeros((count, n, 1))
    with np.errstate(all="ignore"):
        for bit in reversed(range(int(t.max(initial=0)).bit_length())):
            reach = np.maximum(reach, _nan_to_inf(power @ reach))
            top = np.maximum(top, _nan_to_inf(power @ top))
            state, power = _nan_to_inf(power @ state), _nan_to_inf(power @ power)
            odd = ((t >> bit) & 1).astype(bool)[:, None, None]
            reach = np.where(odd, np.maximum(reach, _nan_to_inf(power @ ones)), reach)
            top = np.where(odd, np.maximum(top, state), top)
            state = np.where(odd, _nan_to_inf(a @ state), state)
            power = np.where(odd, _nan_to_inf(power @ a), power)
        reach = np.maximum(reach, _nan_to_inf(power @ ones))
        top = np.maximum(np.maximum(top, state), start)
    return state[..., 0], reach.max(axis=(1, 2)), top.max(axis=(1, 2))


def assembled(
    scale: FloatArray,
    reach: FloatArray,
    top: FloatArray,
    sigma: FloatArray,
    start: FloatArray,
    times: FloatArray,
    dtype: str,
    *,
    complex_: bool,
) -> PowerBound:
    """Compute the bounds from absolute powers.

    Args:
        scale: |W^T|^t |h|, shape (..., n).
        reach: largest entry of |W^T|^k 1 over k <= t, shape (...).
        top: largest entry of |W^T|^k |h| over k <= t, shape (...).
        sigma: ||W||_2, infinite where it is not used, shape (...).
        start: ||h||_2, shape (...).
        times: t, shape (...).
        dtype: the format of the subject.
        complex_: whether operations are complex.
    """
    format_, n = FORMATS[dtype], scale.shape[-1]
    roundings, levels = rounding_count(n, complex_=complex_), np.maximum(times, 1.0)
    with np.errstate(all="ignore"):
        reach, top = np.maximum(reach, 1.0), np.maximum(top, 1.0)
        # Relative room for the rounding of sigma and of this power.
        norm = _nan_to_inf(sigma**times * start * (1.0 + 1e-14 * (times + 1.0)))
        growth = _nan_to_inf(np.maximum(sigma, 1.0) ** times * (1.0 + 1e-14 * (times + 1.0)))
        # From the left, so that two large factors do not overflow before the tiny one counts.
        flushed = 8.0 * n**3 * (levels + 1.0) * format_.tiny
        underflow = np.fmin(flushed * reach * top, flushed * growth * np.maximum(growth * start, 1.0))
        # The scale is itself a product in float64, of terms that are all positive.
        slack = 1.0 + 2.0 * gamma(n * levels, 2.0**-53)
        entry = (gamma(roundings * levels, format_.unit) * slack)[..., None] * scale + underflow[..., None]
        normwise = gamma(n * roundings * levels, format_.unit) * norm * slack + np.sqrt(n) * underflow
        in_range = (reach <= format_.safe) & (top <= format_.safe)
        in_range |= growth * np.maximum(start, 1.0) <= format_.safe
    return PowerBound(
        _nan_to_inf(entry),
        _nan_to_inf(normwise)[..., None],
        scale,
        _nan_to_inf(underflow)[..., None],
        in_range[..., None],
    )


def _sigma(w: NumericArray, t: int) -> float:
    """Return ||W||_2, infinite where the exact reference would need too many bits to be worth it."""
    if bits_for(w, t) >= BITS + MOST_BITS:
        return np.inf
    return float(np.linalg.norm(w, 2))


def bound_of_state(w: NumericArray, h: NumericArray, t: int, dtype: str) -> PowerBound:
    """Return the bound on h @ W^t, arrays of shape (n,)."""
    powers = absolute_powers(w[None], h[None], np.array([t]))
    sigma, start, times = (np.array([v]) for v in (_sigma(w, t), length(h), float(t)))
    bound = assembled(*powers, sigma, start, times, dtype, complex_=np.iscomplexobj(w))
    return PowerBound(*(value[0] for value in bound.__dict__.values()))


def bound_of_states(w: NumericArray, h: NumericArray, steps: int, dtype: str) -> PowerBound:
    """Return the bound on every state of an unroll, arrays of shape (steps + 1, n)."""
    a = np.abs(w)
    row = np.stack([np.ones(len(h)), np.abs(h)])
    rows = np.empty((steps + 1, 2, len(h)))
    with np.errstate(all="ignore"):
        for k in range(steps + 1):
            rows[k] = row
            row = row @ a
        rows = _nan_to_inf(rows)
        largest = np.maximum.accumulate(rows.max(axis=2), axis=0)
    times = np.arange(steps + 1.0)
    return assembled(
        rows[:, 1],
        largest[:, 0],
        largest[:, 1],
        np.full(steps + 1, _sigma(w, steps)),
        np.full(steps + 1, length(h)),
        times,
        dtype,
        complex_=np.iscomplexobj(w),
    )


def condition(w: NumericArray) -> float:
    """Return the condition of the eigenvectors that LAPACK finds, infinite where they are dependent."""
    if np.array_equal(w, w.conj().T):
        return 1.0
    try:
        with np.errstate(all="ignore"):
            number = float(np.linalg.cond(np.linalg.eig(w)[1]))
    except np.linalg.LinAlgError:
        return np.inf
    return number if np.isfinite(number) else np.inf


def eigen_bound(w: NumericArray, h: NumericArray, t: int, dtype: str) -> float:
    """Return B, the normwise bound of Schur and eigenvector routes; infinite where it is not known."""
    if t > MOST_NORMS:
        return np.inf
    n, unit = len(h), FORMATS[dtype].unit
    roundings = rounding_count(n, complex_=np.iscomplexobj(w))
    powers = np.empty((t + 1, n, n), dtype=w.dtype)
    powers[0] = np.eye(n)
    with np.errstate(all="ignore"):
        for i in range(t):
            powers[i + 1] = powers[i] @ w
        if not np.isfinite(powers).all():
            return np.inf
        norms = np.linalg.norm(powers, 2, axis=(1, 2))
        size, start = norms[min(t, 1)] if t else np.linalg.norm(w, 2), length(h)
        schur = SPECTRAL * roundings * unit * start * (size * (norms[:t] @ norms[:t][::-1]) + norms[t])
        radius = np.abs(np.linalg.eigvals(w)).max()
        growth = max(size * radius ** (t - 1.0), radius ** float(t)) if t else size / radius
        eigen = (
            SPECTRAL
            * roundings
            * max(t, 1)
            * unit
            * np.float64(condition(w)) ** 2
            * max(growth, float(t == 0))
            * start
        )
        # Infinite times zero, for a defective W with radius 0, is not known either.
        bound = float(np.maximum(schur, eigen))
    return bound if np.isfinite(bound) else np.inf


def digits_kept(dtype: str) -> float:
    """Return the largest relative error of an acceptable closed-form result.

    1e-6 in float64, and the same share of the digits of any other format.
    """
    return float(CAP ** (np.log2(FORMATS[dtype].unit) / -53.0))


def is_well_conditioned(w: NumericArray, h: NumericArray, t: int, dtype: str) -> bool:
    """Whether a closed form must not refuse a case: kappa < 1e3 and B < 1e-10 ||h_t||.

    Numbers far from 1, beyond the fourth root of the range, may be refused too: squares of them, as a
    norm or a test of normality takes, come near the edge of the format.
    """
    format_ = FORMATS[dtype]
    with np.errstate(all="ignore"):
        size = length(power_state(w, h, t).high)
        sizes = np.abs(np.concatenate([w.ravel(), h, [size]]))
        sizes = sizes[sizes > 0.0]
        if not (
            sizes.max(initial=1.0) < format_.largest**0.25 and sizes.min(initial=1.0) > format_.tiny**0.25
        ):
            return False
        if not bound_of_state(w, h, t, dtype).in_range.all():
            return False
        kappa = condition(w)
        error = eigen_bound(w, h, t, dtype) if t <= MOST_NORMS else _late_eigen_bound(w, h, t, dtype, kappa)
        accurate = error < MANY_DIGITS * size
    return bool(accurate and kappa < WELL_CONDITIONED)


def _late_eigen_bound(w: NumericArray, h: NumericArray, t: int, dtype: str, kappa: float) -> float:
    """Return an upper bound of B at any t, by ||W^i|| <= kappa rho^i."""
    roundings, radius = (
        rounding_count(len(h), complex_=np.iscomplexobj(w)),
        np.abs(np.linalg.eigvals(w)).max(),
    )
    growth = max(float(np.linalg.norm(w, 2)) * radius ** (t - 1.0), radius ** float(t))
    bound = SPECTRAL * roundings * (t + 1.0) * FORMATS[dtype].unit * kappa**2 * growth * length(h)
    return float(bound) if np.isfinite(bound) else np.inf
