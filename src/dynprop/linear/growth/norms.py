"""Norms of all powers of a matrix up to a horizon, with error bounds; see `dynprop.linear.growth`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dynprop.arrays import BoolArray, FloatArray, IntArray
from dynprop.errors import PrecisionError
from dynprop.linear.arithmetic.balls import Enclosure, ball_matrix, enclose, rounded
from dynprop.linear.arithmetic.scaled import SLACK, UNIT, gamma, normalised, roundings
from dynprop.linear.spectra.structure import nilpotency_index
from dynprop.linear.validation import Matrix
from dynprop.precision import working_precision

if TYPE_CHECKING:
    from dynprop.linear.arithmetic.balls import BallMatrix

__all__ = ["norms_of_powers", "spectral_norm"]

_LN2 = math.log(2.0)
# Bytes for the powers of the first block.
_BLOCK_BYTES = 1 << 26
# Rows of the triangular factor below this share of the largest are dropped; the bound includes their size.
_NEGLIGIBLE = 2.0**-58
# The backward error of LAPACK is p(n)·u with p "a modestly growing function of n" (Users' Guide,
# section 4.1). 8n exceeds the observed errors: at worst 2.0nu, for the largest singular value of 2,000
# matrices, n in 1..64.
_LAPACK = 8.0
# Limit on the multiplications of balls of the exact route, some 50 ns each.
_MAX_PRODUCTS = 4e9


def norms_of_powers(
    W: Matrix, horizon: int, tolerance: float, max_bits: int
) -> tuple[FloatArray, FloatArray]:
    """Return log ‖Wᵗ‖₂ for t = 0..horizon and a bound on the error of each; arguments are valid."""
    if not W.any():
        norms = np.full(horizon + 1, -math.inf)
        norms[0] = 0.0 if len(W) else -math.inf
        return norms, np.zeros(horizon + 1)
    norms, errors = _Powers(W, horizon).run()
    norms[0] = errors[0] = 0.0
    pending = np.flatnonzero(~_good(norms, errors, tolerance))
    if len(pending):
        _recompute(W, pending, norms, errors, tolerance, max_bits)
    return norms, errors


def spectral_norm(X: Matrix) -> float:
    """Return the 2-norm of one matrix, with a relative error of at most `_LAPACK` n u."""
    return float(np.linalg.svd(X, compute_uv=False)[0])


def _unit(W: Matrix) -> float:
    """Return γ of the products of length n, rounded up."""
    # The + 2 covers underflow, which is below 2**-1000 of the largest entry of a scaled matrix.
    return SLACK * gamma(roundings(len(W) + 2, W))


def _log(x: FloatArray) -> FloatArray:
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(x))


def _log_sum(terms: FloatArray) -> float:
    top = float(np.max(terms, initial=-math.inf))
    return top + math.log(float(np.exp(terms - top).sum())) if math.isfinite(top) else top


def _log_size(X: Matrix, exponent: int) -> float:
    size = float(_frobenius(X[None])[0])
    return math.log(size) + exponent * _LN2 if size else -math.inf


def _frobenius(stack: Matrix) -> FloatArray:
    flat = stack.reshape(len(stack), -1)
    return np.asarray(np.sqrt(np.einsum("ij,ij->i", flat, flat.conj()).real))


class _Powers:
    """The float64 route: powers below B, then one compressed factor per block of B steps.

    With ``bits`` the powers below B and those of W**B come from ball arithmetic, rounded once, so that only
    the error of one product remains. Then blocks that end before the step ``first`` are left out.
    """

    def __init__(self, W: Matrix, horizon: int, bits: int | None = None, first: int = 0) -> None:
        n = len(W)
        self.horizon = horizon
        self.unit = _unit(W)
        self.W, self.exponent = normalised(W)
        room = max(1, _BLOCK_BYTES // (W.itemsize * n * n))
        self.block = max(1, min(math.isqrt(horizon) + 1, room))
        self.blocks = horizon // self.block
        self.powers = np.empty((self.block + 1, n, n), dtype=W.dtype)
        # All logarithms below leave out t times that of the scale of W.
        self.exponents: IntArray = np.zeros(self.block + 1, dtype=np.int64)
        self.log_norms: FloatArray = np.full(horizon + 1, -math.inf)
        self.log_errors: FloatArray = np.full(horizon + 1, -math.inf)
        self.needed = range(max(first // self.block, 1), self.blocks + 1)
        self.rounded = None if bits is None else _rounded_powers(self.W, self.block, self.needed, bits)

    def run(self) -> tuple[FloatArray, FloatArray]:
        """Return the logarithms of the norms and bounds on their errors."""
        self._first_block()
        self._later_blocks()
        relative = np.full(self.horizon + 1, math.inf)
        known = ~np.isneginf(self.log_norms)
        relative[known] = np.exp(np.minimum(self.log_errors[known] - self.log_norms[known], 700.0))
        with np.errstate(divide="ignore", invalid="ignore"):
            errors = np.where(relative < 1.0, -np.log1p(-relative), math.inf)
        shift = (self.exponent * _LN2) * np.arange(self.horizon + 1.0)
        norms = self.log_norms + shift
        # Roundings of the logarithm, of its exponent, and of their sum.
        size = np.where(known, np.abs(self.log_norms), 0.0) + np.abs(shift)
        return norms, errors + 8 * UNIT * (1.0 + size)

    def _first_block(self) -> None:
        """Find the powers up to W**B with their errors, and their norms."""
        count = self.block + 1
        self.powers[0] = np.eye(self.powers.shape[1])
        for r in range(1, count):
            if self.rounded is not None:
                ball = self.rounded.low[r]
                self.powers[r], self.exponents[r] = ball.value, ball.exponent
                continue
            self.powers[r], shift = normalised(self.powers[r - 1] @ self.W)
            self.exponents[r] = self.exponents[r - 1] + shift
        logs = self.exponents * _LN2
        sizes = _log(_frobenius(self.powers)) + logs
        norms, own = self._gram_norms(self.powers, 0)
        norms += logs
        own_errors = norms + _log(own)
        made = math.log(self.unit) + sizes[:-1] + sizes[1]
        errors = np.full(count, -math.inf)
        upper = np.zeros(count)
        for r in range(1, count):
            if self.rounded is not None:
                errors[r] = sizes[r] + self.rounded.log_error
            elif r > 1:
                # W**1 is exact: the first product that rounds is the second.
                errors[r] = _log_sum(made[1:r] + upper[r - 2 :: -1][: r - 1])
            upper[r] = np.logaddexp(norms[r], np.logaddexp(errors[r], own_errors[r]))
        self.sizes, self.errors, self.upper = sizes, errors, upper
        end = min(self.block, self.horizon + 1)
        self.log_norms[:end] = norms[:end]
        self.log_errors[:end] = np.logaddexp(errors[:end], own_errors[:end])

    def _later_blocks(self) -> None:
        """Compute every block from its compressed factor C_j: the norms of C_j W**r for r below B."""
        made = np.full(self.blocks + 1, -math.inf)
        upper_first = np.zeros(self.blocks + 1)
        factor, exponent = self.powers[0], 0
        for j in range(1, self.blocks + 1) if self.rounded is None else self.needed:
            if self.rounded is not None:
                ball = self.rounded.high[j]
                product, exponent = ball.value, ball.exponent
                log_size = _log_size(product, exponent)
                made[:] = -math.inf
                made[j] = log_size + self.rounded.log_error
            else:
                log_size = _log_size(factor, exponent)
                product = factor @ self.powers[self.block]
                exponent += int(self.exponents[self.block])
                made[j] = log_size + np.logaddexp(
                    math.log(self.unit) + self.sizes[self.block], self.errors[self.block]
                )
            factor, lost = _compressed(product)
            if lost:
                made[j] = np.logaddexp(made[j], math.log(lost) + exponent * _LN2)
            factor, shift = normalised(factor)
            exponent += shift
            if not factor.any() and self.rounded is None:
                return
            inherited = _log_sum(made[1 : j + 1] + upper_first[j - 1 :: -1][:j])
            upper_first[j] = self._block(j, factor, exponent, inherited)

    def _block(self, j: int, factor: Matrix, exponent: int, inherited: float) -> float:
        """Fill in the norms of block j and return an upper bound for its first one."""
        start = j * self.block
        count = min(self.block, self.horizon + 1 - start)
        stack = factor @ self.powers[:count]
        norms, own = self._gram_norms(stack, start)
        norms += self.exponents[:count] * _LN2 + exponent * _LN2
        size = _log_size(factor, exponent)
        errors = np.logaddexp(
            np.logaddexp(inherited + self.upper[:count], size + self.errors[:count]),
            np.logaddexp(math.log(self.unit) + size + self.sizes[:count], norms + _log(own)),
        )
        self.log_norms[start : start + count] = norms
        self.log_errors[start : start + count] = errors
        return float(np.logaddexp(norms[0], errors[0]))

    def _gram_norms(self, stack: Matrix, first: int) -> tuple[FloatArray, FloatArray]:
        """Return the logarithms of the norms of a stack, powers from the first on, and their relative errors.

        The Gram matrix errs by γ‖M‖_F², which is γ times its trace, its eigenvalue by LAPACK's backward
        error; a square root halves relative errors.
        """
        gram = stack @ stack.conj().swapaxes(-1, -2)
        diagonal = np.einsum("tii->ti", gram).real
        # Largest diagonal entry and largest row sum enclose the largest eigenvalue. Where they agree to
        # 4 n t u, as for powers of orthogonal matrices, no eigenvalue is computed: the power itself is not
        # known more accurately.
        low, high = diagonal.max(axis=1), np.abs(gram).sum(axis=2).max(axis=1)
        top, half = (low + high) / 2.0, (high - low) / 2.0
        own = np.full(len(stack), _LAPACK * stack.shape[1] * UNIT)
        hard = half > 4.0 * stack.shape[2] * UNIT * np.arange(first, first + len(stack)) * low
        if hard.any():
            solved = np.linalg.eigvalsh(gram if hard.all() else gram[hard])[:, -1]
            top[hard], half[hard] = np.maximum(solved, 0.0), 0.0
        known = top > 0.0
        own[known] += (half[known] + self.unit * diagonal.sum(axis=1)[known]) / top[known]
        return 0.5 * _log(top), own


def _compressed(X: Matrix) -> tuple[Matrix, float]:
    """Return C with few rows and a bound e: X = U C + E with orthonormal columns U and ‖E‖ ≤ e."""
    from scipy.linalg import qr

    if len(X) == 1:
        return X, 0.0
    factor, order = qr(X, mode="r", pivoting=True, check_finite=False)
    factor = factor[: len(X)]
    sizes = np.sqrt(np.cumsum((np.abs(factor) ** 2).sum(axis=1)[::-1])[::-1])
    keep = max(1, int(np.count_nonzero(sizes > _NEGLIGIBLE * sizes[0])))
    lost = float(sizes[keep]) if keep < len(sizes) else 0.0
    compressed = np.empty_like(factor[:keep])
    compressed[:, order] = factor[:keep]
    return compressed, 1.01 * lost + _LAPACK * len(X) * UNIT * float(sizes[0])


def _recompute(
    W: Matrix, pending: IntArray, norms: FloatArray, errors: FloatArray, tolerance: float, max_bits: int
) -> None:
    """Compute the pending norms again from powers in ball arithmetic, in place."""
    index = nilpotency_index(W)
    if index is not None:
        norms[index:], errors[index:] = -math.inf, 0.0
        pending = pending[pending < index]
    bits = 128
    while len(pending):
        last = int(pending[-1])
        _require_affordable(2.0 * math.sqrt(last), len(W), bits, max_bits, last)
        again, bounds = _Powers(W, last, bits, int(pending[0])).run()
        better = pending[bounds[pending] < errors[pending]]
        norms[better], errors[better] = again[better], bounds[better]
        pending = pending[~_good(norms, errors, tolerance)[pending]]
        if len(pending):
            _require_affordable(2.0 * math.sqrt(last) + len(pending), len(W), bits, max_bits, last)
            pending = _ball_norms(W, pending, bits, norms, errors, tolerance)
        bits *= 2


def _good(norms: FloatArray, errors: FloatArray, tolerance: float) -> BoolArray:
    # The rounding of a large logarithm to float64 may exceed the tolerance: more bits would not help.
    sizes = np.where(np.isneginf(norms), 0.0, np.abs(norms))
    return np.asarray(errors <= tolerance + 16 * UNIT * sizes)


def _require_affordable(products: float, n: int, bits: int, max_bits: int, step: int) -> None:
    # Rounding an entry to floats costs as much as thirty products.
    if bits > max_bits or products * (n**3 + 30.0 * n**2) * (bits / 128) ** 1.6 > _MAX_PRODUCTS:
        raise PrecisionError(
            f"log ‖W**t‖ up to step {step} is lost to cancellation in float64 and needs more than"
            f" {min(bits, max_bits)} bits or too many products: raise max_bits or tolerance, or reduce"
            " the horizon"
        )


@dataclass(frozen=True)
class _Rounded:
    """Powers of W rounded from balls: ``low[r]`` is W**r, ``high[j]`` is W**(jB)."""

    low: dict[int, Enclosure]
    high: dict[int, Enclosure]

    @property
    def log_error(self) -> float:
        """Logarithm of the largest error of any, relative to its Frobenius norm."""
        # ‖E‖ ≤ n·max|E| and ‖X‖_F ≥ max|X|.
        worst = max(ball.relative_bound for ball in (*self.low.values(), *self.high.values()))
        return math.log(worst * len(self.low[1].value)) if worst else -math.inf


def _rounded_powers(W: Matrix, block: int, needed: range, bits: int) -> _Rounded:
    with working_precision(bits):
        low = _powers_by_halving(ball_matrix(W), block)
        high = _powers_by_halving(low[block], needed.stop - 1)
        return _Rounded(
            {r: rounded(low[r]) for r in range(1, block + 1)}, {j: rounded(high[j]) for j in needed}
        )


def _ball_norms(
    W: Matrix, pending: IntArray, bits: int, norms: FloatArray, errors: FloatArray, tolerance: float
) -> IntArray:
    """Enclose the pending powers at this precision and return the steps that it leaves undecided."""
    n, left = len(W), []
    block = math.isqrt(int(pending[-1])) + 1
    with working_precision(bits):
        low = _powers_by_halving(ball_matrix(W), block)
        high = _powers_by_halving(low[block], int(pending[-1]) // block)
        for t in pending.tolist():
            j, r = divmod(t, block)
            power = low[r] if not j else high[j] * low[r] if r else high[j]
            ball = enclose(power)
            relative = n * ball.relative_bound + _LAPACK * n * UNIT
            if relative > tolerance or not ball.value.any():
                left.append(t)
                continue
            norms[t] = math.log(spectral_norm(ball.value)) + ball.exponent * _LN2
            errors[t] = -math.log1p(-relative) + 8 * UNIT * (1.0 + 2.0 * abs(ball.exponent * _LN2))
    return np.array(left, dtype=np.int64)


def _powers_by_halving(step: BallMatrix, last: int) -> list[BallMatrix]:
    """Return the powers 1..last of a ball matrix, each at its index; index 0 repeats the matrix.

    Every product widens the balls by a factor, so each power is the product of two of half its size: this
    loses bits in proportion to log t, a running product in proportion to t.
    """
    powers = [step, step]
    for t in range(2, last + 1):
        powers.append(powers[t // 2] * powers[t - t // 2])
    return powers
