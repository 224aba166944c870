r"""What a computed decomposition is one of: how near, measured entry by entry.

With columns S, a form M and the residual R = AS - SM, :math:`S^{-1} A S = M + E`, :math:`E = S^{-1} R`.
R is computed to three times the working precision (`scaled_products`), so that XR, with X an approximate
inverse, is E up to :math:`F = I - XS`: :math:`E = (I - F)^{-1} X R`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynprop.arrays import BoolArray, FloatArray, IntArray
from dynprop.errors import PrecisionError
from dynprop.linear.arithmetic.products import Product, less_scaled, product, subtracted
from dynprop.linear.arithmetic.scaled import FLOOR, SLACK, frobenius, gamma, normalised, roundings, shifted
from dynprop.linear.closed.routes import Problem
from dynprop.linear.validation import Matrix

__all__ = ["Basis", "Similarity", "similarity"]


@dataclass(frozen=True)
class Basis:
    """Columns with an approximate inverse, from which the eigenvectors follow.

    The eigenvectors of a real matrix come in conjugate pairs v, v̄. Their real and imaginary parts span the
    same space, and everything about them is real: (v, v̄) = (Re v, Im v) B, B = [[1, 1], [i, -i]]. As B is
    unitary up to √2, going over to modal coordinates changes no condition number.

    Attributes:
        columns: shape (n, n).
        inverse: about the inverse of the columns.
        pairs: index of the first column of each conjugate pair; empty where the columns are eigenvectors.
    """

    columns: Matrix
    inverse: Matrix
    pairs: IntArray

    @property
    def kept(self) -> Any:
        """Index of the modes without the second of each pair; everything where there are no pairs."""
        everything = np.arange(len(self.columns))
        return np.delete(everything, self.pairs + 1) if len(self.pairs) else slice(None)

    def modal(self, x: Matrix) -> Matrix:
        """Return B⁻¹x: row v is half of row Re v minus i times row Im v, row v̄ the other way round."""
        if len(self.pairs) == 0:
            return x
        result = x.astype(np.complex128)
        real, imag = 0.5 * x[self.pairs], 0.5j * x[self.pairs + 1]
        result[self.pairs], result[self.pairs + 1] = real - imag, real + imag
        return result

    def modal_sizes(self, error: FloatArray) -> FloatArray:
        """Return a bound of |B⁻¹x| from one of |x|, the rounding of `modal` included."""
        result = error.copy()
        both = 0.5 * SLACK * (error[self.pairs] + error[self.pairs + 1])
        result[self.pairs] = result[self.pairs + 1] = both
        return result


@dataclass(frozen=True)
class Similarity:
    """S⁻¹AS = M + E and z = S⁻¹h; of each conjugate pair of columns only the first is held.

    Attributes:
        S: the columns, shape (n, m).
        gap: the columns of E, all n rows, up to a matrix of Frobenius norm ``blur``.
        blur: bound of what the gap misses, over all n columns.
        start: z, shape (n,), with ``error`` entry by entry.
        error: bound of the error of z.
        pairs: the first mode of each conjugate pair.
        kept: index of the m modes among the n.
    """

    S: Matrix
    gap: Matrix
    blur: float
    start: Matrix
    error: FloatArray
    pairs: IntArray
    kept: Any

    @property
    def paired(self) -> BoolArray:
        """Which of the m columns stand for two."""
        return np.isin(np.arange(len(self.S))[self.kept], self.pairs)

    @property
    def crossed(self) -> Matrix:
        """Rows of the m kept modes, columns of the conjugates: E of a real matrix is conjugate there."""
        columns: Matrix = self.gap[:, self.paired][self._conjugate[self.kept]]
        return np.conj(columns)

    def unfolded(self, values: Matrix) -> tuple[Similarity, Matrix]:
        """Return the same with every column, and the eigenvalues of all modes."""
        if not len(self.pairs):
            return self, values
        n, paired, other = len(self.S), self.paired, self._conjugate
        S, gap = (np.empty((n, n), dtype=np.complex128) for _ in range(2))
        everything = np.empty(n, dtype=np.complex128)
        S[:, self.kept], gap[:, self.kept], everything[self.kept] = self.S, self.gap, values
        S[:, self.pairs + 1], everything[self.pairs + 1] = self.S[:, paired].conj(), values[paired].conj()
        gap[:, self.pairs + 1] = self.gap[other][:, paired].conj()
        none = np.arange(0)
        return Similarity(S, gap, self.blur, self.start, self.error, none, slice(None)), everything

    @property
    def _conjugate(self) -> IntArray:
        """Index of the conjugate of every mode."""
        other = np.arange(len(self.S))
        other[self.pairs], other[self.pairs + 1] = self.pairs + 1, self.pairs
        return other


def similarity(problem: Problem, S: Matrix, M: Matrix, basis: Basis) -> Similarity:
    """Measure a decomposition: kept columns S, diagonal (a vector) or triangular M, and their basis.

    Raises:
        PrecisionError: the columns are not surely independent.
    """
    A, h, n = problem.matrix, problem.start, len(problem.start)
    R, X = basis.columns, basis.inverse
    terms = gamma(roundings(n, R, X) + 1) * SLACK
    norm = frobenius(X)
    unit = X @ R
    unit.ravel()[:: n + 1] -= 1.0
    far = frobenius(unit) + terms * norm * frobenius(R) + n * FLOOR
    if not far < 0.5:
        raise PrecisionError("the eigenvectors are numerically dependent: W is defective or nearly so")
    inverse = SLACK / (1.0 - far)
    if M.ndim == 1:
        residual, slack = less_scaled(product(A, S), S, M)
    else:
        residual, slack = subtracted(product(A, S), product(S, M))
    gap = _real_times(X, residual)
    missed = terms * frobenius(residual) + slack + n**2 * problem.lost
    blur = inverse * ((far + gamma(2)) * frobenius(gap) + norm * missed)
    if len(basis.pairs):
        # Of columns that come twice one was looked at.
        blur *= math.sqrt(2.0) * SLACK
    # z is refined by X times what it leaves of h; what it then errs by is that of this correction.
    z = X @ h
    left, missed = _remainder(R, z, h)
    step = X @ left
    error = terms * (np.abs(X) @ np.abs(left)) + norm * (missed + n * problem.lost) + gamma(2) * np.abs(z)
    error = (error + far * inverse * (frobenius(step) + frobenius(error))) * SLACK + n * FLOOR
    start, error = basis.modal(z + step), basis.modal_sizes(error)
    return Similarity(S, basis.modal(gap), blur, start, error, basis.pairs, basis.kept)


def _real_times(left: Matrix, right: Matrix) -> Matrix:
    if np.iscomplexobj(right) and not np.iscomplexobj(left):
        both: Matrix = left @ np.ascontiguousarray(right).view(np.float64)
        return both.view(np.complex128)
    return left @ right


def _remainder(S: Matrix, z: Matrix, h: Matrix) -> tuple[Matrix, float]:
    """Return h - S z and a bound of its error in the 2-norm."""
    scaled, exponent = normalised(z[:, np.newaxis])
    part = product(S, scaled, slices=2)
    part = Product(shifted(part.exact, exponent), shifted(part.rest, exponent), part.error * 2.0**exponent)
    whole = np.zeros_like(part.exact)
    whole += h[:, np.newaxis]
    left, error = subtracted(Product(whole, np.zeros_like(part.rest), 0.0), part)
    return left[:, 0], error
