r"""Orthonormalisation every k steps, with a proved error bound, and k as large as the bound allows.

The frame V need not be exactly orthonormal. Let V be any matrix, :math:`C = A_k \cdots A_1 V`, X
any nonsingular upper triangular matrix and :math:`V' = C X`. The volume of the leading p columns obeys
:math:`\log\mathrm{vol}_p C = \log\mathrm{vol}_p V' - \sum_{i \le p}\log|x_{ii}|` exactly, so the sums
telescope whatever X is; only the last block needs an exact factorisation. X is the inverse of the Cholesky
factor of C'C, and its own rounding is harmless.

The relevant rounding errors are those of C and V'. With :math:`\gamma_n = nu/(1-nu)`, 2-norms and Frobenius
norms,

.. math:: e_m = \|A_m\|\,e_{m-1} + \gamma_n \|A_m\|_F \|\hat C_{m-1}\|_F, \qquad e_0 = 0

bounds the error of :math:`\hat C_m`, and :math:`V'` is off by at most :math:`\gamma_n\|\hat
C_k\|_F\|X\|_F`. Both together amount to a factor I + G on the left of the block, on the span of the leading
p columns with

.. math:: \|G\| \le \epsilon_p = (e_k + \gamma_n\|\hat C_k\|_F)\,\|X_p\|_F\,/\,\sigma_{\min}(V').

The distance of column p to the span of those before it changes under I + G by a factor in
:math:`[1-\epsilon_p, 1+\epsilon_p]`, so the p-th logarithm by at most :math:`-\log(1-\epsilon_p)`.
:math:`\sigma_{\min}(V') \ge 0.95` where :math:`8\kappa\sqrt{(2n+1)nu} \le 1` (Yamamoto, Nakatsukasa,
Yanagisawa and Fukaya 2015, ETNA 44:306), and is checked elsewhere; blocks that fail are split, and single
steps factorised by Householder (Higham 2002, theorem 19.4, with c = 4 for his small constant).

A block is accepted while the sum of all bounds so far stays below 1e-8 times the number of steps, so
well-conditioned stretches leave room for others.

:math:`\|A\|^2`, the largest eigenvalue of A'A, is at most its mean eigenvalue plus :math:`\sqrt{n-1}` times
their standard deviation (Wolkowicz and Styan 1980, Linear Algebra Appl. 29:471): two traces, found in
single precision.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray, describe, dtype_name, library_of, require_finite
from dynprop.errors import ArgumentError
from dynprop.products.matrices.batches import BatchSums, BlockLength

__all__ = ["BlockRunner"]

_U = 2.0**-53
_LOG_2 = math.log(2.0)
# A matrix and its Frobenius norm.
_Step = tuple[FloatArray, float]
# Error allowed per step: the stated 1e-8 less the error of the last factorisation.
_BUDGET = 0.99e-8
# 1 over the least singular value of a frame by Cholesky, 0.95, and rounding of the bound itself.
_FRAME = 1.06
_SINGLE = 2.0**-24


class BlockRunner:
    """Multiply matrices in blocks, one matrix at a time, and orthonormalise at each block's end."""

    def __init__(self) -> None:
        """Start before the first matrix, which sets the size."""
        self.steps: int = 0
        self.factorisations: int = 0
        self.sums: FloatArray = np.zeros(0)
        self.bounds: FloatArray = np.zeros(0)
        self.batches: BatchSums = BatchSums()
        self._frame: FloatArray = np.zeros((0, 0))
        self._block: list[_Step] = []
        self._lengths = BlockLength()
        # Steps done, and the sum of bounds except those of single Householder steps, which cannot be split.
        self._done = 0
        self._spent = 0.0

    def add(self, matrix: FloatArray) -> None:
        """Add the next matrix; a full block is multiplied and orthonormalised."""
        frobenius = self._check(matrix)
        self.steps += 1
        if self._lengths.best > 1:
            # Copied, since an iterator may reuse its buffer.
            matrix = np.array(matrix, dtype=np.float64)
        self._block.append((matrix, frobenius))
        if len(self._block) >= self._lengths.best:
            block, self._block = self._block, []
            self._run(block)

    def finish(self) -> None:
        """Process the last block, and add the logarithms of the last frame, by Householder QR."""
        if self._block:
            self._run(self._block)
            self._block = []
        if self.steps:
            diagonal = np.abs(np.diagonal(np.linalg.qr(self._frame).R))
            # The frame is orthonormal to 1e-1 at worst, so its inverse is bounded.
            self._add(np.log(diagonal), 0.0)
            # The mean is a quotient, rounded once more.
            self.bounds += _U * np.where(np.isfinite(self.sums), np.abs(self.sums), 0.0)
            self.bounds += 1.1 * _householder_error(len(diagonal))

    def _check(self, matrix: FloatArray) -> float:
        """Validate the next matrix and return its Frobenius norm, inf where it overflows."""
        usual = self.steps > 0 and type(matrix) is np.ndarray and matrix.dtype == np.float64
        if not usual or matrix.shape != self._frame.shape:
            self._check_kind(matrix)
        square = float(np.vdot(matrix, matrix))
        if not math.isfinite(square):
            require_finite(f"matrices[{self.steps}]", matrix)
        return math.sqrt(square)

    def _check_kind(self, matrix: FloatArray) -> None:
        name = f"matrices[{self.steps}]"
        if np.ma.isMaskedArray(matrix):
            raise ArgumentError(name, "a masked array", "a numpy array without a mask")
        if library_of(matrix) != "numpy" or dtype_name(matrix) not in ("float64", "float32", "float16"):
            raise ArgumentError(name, describe(matrix), "a real floating numpy array of shape (n, n)")
        shape = matrix.shape
        if len(shape) != 2 or shape[0] != shape[1] or shape[0] == 0:
            raise ArgumentError(name, describe(matrix), "a square matrix of at least one row")
        if self.steps == 0:
            self.sums, self.bounds = np.zeros(shape[0]), np.zeros(shape[0])
            self._frame = np.eye(shape[0])
        elif shape != self._frame.shape:
            raise ArgumentError(name, describe(matrix), f"shape {self._frame.shape}, that of the first")

    def _run(self, block: list[_Step]) -> None:
        """Multiply a block and orthonormalise; where the bound is too large, split it in halves."""
        length, n = len(block), len(self.sums)
        product, exponent, error = self._multiply(block)
        size = math.sqrt(float(np.vdot(product, product)))
        self.factorisations += 1
        found = _cholesky_frame(product, size)
        bound = math.inf
        if found is not None:
            frame, logs, inverse_norm = found
            relative = _FRAME * (error + _gamma(n) * size) * inverse_norm
            bound = -math.log1p(-max(relative, _U)) if relative < 0.5 else math.inf
        if length > 1:
            allowed = _BUDGET * (self._done + length) - self._spent
            accepted = bound <= allowed
            self._lengths.learn(length, max(1.0, _BUDGET * length / bound) if accepted else 0.0)
            if not accepted:
                self._run(block[: length // 2])
                self._run(block[length // 2 :])
                return
        else:
            self._lengths.learn(1, max(1.0, _BUDGET / bound))
        if found is None:
            frame, logs, inverse_norms = _householder_frame(product)
            with np.errstate(invalid="ignore"):
                relatives = (error + _householder_error(n) * size) * inverse_norms
            decided = relatives < 0.5
            self.bounds += np.where(decided, -np.log1p(-np.where(decided, relatives, 0.0)), np.inf)
        else:
            self.bounds += bound
            self._spent += bound
        self._frame = frame
        if exponent:
            logs += exponent * _LOG_2
        self._add(logs, abs(exponent) * _LOG_2)
        self._done += length
        self.batches.add(logs, length)

    def _add(self, logs: FloatArray, shift: float) -> None:
        """Add logarithms to the sums, and to the bounds their rounding: of log, of the shift, of the sum."""
        self.sums += logs
        known = np.isfinite(self.sums)
        size = 3.0 * np.abs(logs[known]) + 4.0 * shift + np.abs(self.sums[known])
        self.bounds[known] += 1.1 * _U * size

    def _multiply(self, block: list[_Step]) -> tuple[FloatArray, int, float]:
        """Return the product with the frame as C 2^exponent, and the bound on the error of C."""
        product, gamma = self._frame, _gamma(len(self.sums))
        error, exponent = 0.0, 0
        size = math.sqrt(float(np.vdot(product, product)))
        for place, (matrix, frobenius) in enumerate(block):
            if not 1e-3 < frobenius < 1e3:
                matrix, shift = _rescale(matrix)
                exponent += shift
                frobenius = float(np.linalg.norm(matrix))
            if place:
                size = math.sqrt(float(np.vdot(product, product)))
                error *= _norm_bound(matrix, frobenius)
            product = matrix @ product
            error += gamma * frobenius * size
        return product, exponent, error


def _gamma(n: int) -> float:
    return n * _U / (1.0 - n * _U)


def _householder_error(n: int) -> float:
    return 4.0 * n * math.sqrt(n) * _U


def _rescale(matrix: FloatArray) -> tuple[FloatArray, int]:
    """Divide a matrix by a power of two that brings its largest entry to [1/2, 1)."""
    shift = int(np.frexp(np.abs(matrix).max())[1])
    return np.ldexp(np.asarray(matrix, dtype=np.float64), -shift), shift


def _norm_bound(matrix: FloatArray, frobenius: float) -> float:
    """Bound the 2-norm by trace and Frobenius norm of A'A, in single precision with a margin for rounding."""
    n = matrix.shape[0]
    if n <= 2 or frobenius == 0.0:
        return frobenius
    single = matrix.astype(np.float32)
    gram = single.T @ single
    # The trace is 1 after division by frobenius^2. Entries are rounded once and each product n times, by
    # 2^-24 of a norm of at most 1; underflow in float32 is smaller than that.
    size = math.sqrt(float(np.vdot(gram, gram)) * (1.0 + n * n * _SINGLE)) / frobenius**2 + (n + 4) * _SINGLE
    spread = math.sqrt(max(0.0, (n - 1) * (size * size - 1.0 / n) / n))
    return float(frobenius * math.sqrt(min(1.0, 1.0 / n + spread)))


@cache
def _routines() -> tuple[Any, Any, Any, Any]:
    """Return scipy's dsyrk, dtrmm, dpotrf and dtrtri: imported on first use."""
    from scipy.linalg.blas import dsyrk, dtrmm
    from scipy.linalg.lapack import dpotrf, dtrtri

    return dsyrk, dtrmm, dpotrf, dtrtri


def _cholesky_frame(product: FloatArray, size: float) -> tuple[FloatArray, FloatArray, float] | None:
    """Return the new frame, the logarithms, and the norm of X; None where C is too ill-conditioned."""
    dsyrk, dtrmm, dpotrf, dtrtri = _routines()
    n = len(product)
    # The transpose of an array in C order is in Fortran order: no copies. Lower parts stay zero.
    factor, failed = dpotrf(dsyrk(1.0, product.T), lower=0, clean=0, overwrite_a=1)
    if failed:
        return None
    inverse, failed = dtrtri(factor, lower=0, overwrite_c=1)
    norm = math.sqrt(float(np.vdot(inverse.T, inverse.T)))
    if failed or not math.isfinite(norm):
        return None
    frame: FloatArray = dtrmm(1.0, inverse, product.T, trans_a=1).T
    if not 8.0 * size * norm * math.sqrt((2 * n + 1) * n * _U) <= 1.0:
        departure = frame.T @ frame
        departure.flat[:: n + 1] -= 1.0
        if not float(np.linalg.norm(departure)) + 2.0 * n * _gamma(n) <= 0.09:
            return None
    return frame, -np.log(inverse.diagonal()), norm


def _householder_frame(product: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return Q, log of the diagonal of R, and norms of inverses of its leading parts, inf where singular."""
    dtrtri = _routines()[3]
    frame, factor = np.linalg.qr(product)
    diagonal = np.abs(factor.diagonal())
    norms = np.full(len(diagonal), np.inf)
    regular = int(np.argmin(diagonal > 0.0)) if not diagonal.all() else len(diagonal)
    if regular:
        with np.errstate(over="ignore"):
            inverse = dtrtri(factor[:regular, :regular], lower=0)[0]
            norms[:regular] = np.sqrt(np.cumsum(np.einsum("ij,ij->j", inverse, inverse)))
    with np.errstate(divide="ignore"):
        return frame, np.log(diagonal), norms
