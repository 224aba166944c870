r"""Backward error of a computed decomposition A ≈ S M S⁻¹, entry by entry.

With columns S, a form M and the residual R = AS - SM, :math:`S^{-1} A S = M + E`, :math:`E = S^{-1} R`.
R is computed to three times the working precision (`arithmetic.products`), so that XR, with X an approximate
inverse, is E up to :math:`F = I - XS`: :math:`E = (I - F)^{-1} X R`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynprop.arrays import BoolArray, FloatArray, IntArray
from dynprop.errors import PrecisionError
from dynprop.linear.arithmetic.products import Product, diagonal_residual, less_scaled, product, subtracted
from dynprop.linear.arithmetic.scaled import FLOOR, SLACK, frobenius, gamma, normalised, roundings, shifted
from dynprop.linear.validation import Matrix

__all__ = ["Basis", "Decomposition", "Similarity", "decomposition"]


# From this many steps on the error of E, which counts t times, deserves a residual of higher precision.
_LONG = 2**14


@dataclass(frozen=True)
class Basis:
    """A basis of eigenvectors, real where possible, with an approximate inverse.

    The eigenvectors of a real matrix come in conjugate pairs v, v̄. Their real and imaginary parts span the
    same space and are real: (v, v̄) = (Re v, Im v) B, B = [[1, 1], [i, -i]]. As B is unitary up to a factor
    √2, the change to modal coordinates changes no condition number.

    Attributes:
        columns: shape (n, n).
        inverse: approximate inverse of the columns.
        pairs: index of the first column of each conjugate pair; empty where the columns are eigenvectors.
    """

    columns: Matrix
    inverse: Matrix
    pairs: IntArray

    @property
    def kept(self) -> Any:
        """Index of the modes, of each pair the first only; a full slice where there are no pairs."""
        everything = np.arange(len(self.columns))
        return np.delete(everything, self.pairs + 1) if len(self.pairs) else slice(None)

    def modal(self, x: Matrix) -> Matrix:
        """Return B⁻¹x: row v is (row Re v - i row Im v) / 2, row v̄ the same with + i."""
        if len(self.pairs) == 0:
            return x
        result = x.astype(np.complex128)
        real, imag = 0.5 * x[self.pairs], 0.5j * x[self.pairs + 1]
        result[self.pairs], result[self.pairs + 1] = real - imag, real + imag
        return result

    def modal_sizes(self, error: FloatArray) -> FloatArray:
        """Return a bound of |B⁻¹x| from a bound of |x|, including the rounding of `modal`."""
        result = error.copy()
        both = 0.5 * SLACK * (error[self.pairs] + error[self.pairs + 1])
        result[self.pairs] = result[self.pairs + 1] = both
        return result


@dataclass(frozen=True)
class Similarity:
    """S⁻¹AS = M + E and z = S⁻¹h; only the first column of each conjugate pair is stored.

    Attributes:
        S: the columns, shape (n, m).
        E: approximation of E, shape (n, m).
        E_error: bound of the Frobenius norm of its error, over all n columns.
        start: approximation of z, shape (n,).
        error: bound of the error of z, entry by entry.
        pairs: the first mode of each conjugate pair.
        kept: index of the m modes among the n.
    """

    S: Matrix
    E: Matrix
    E_error: float
    start: Matrix
    error: FloatArray
    pairs: IntArray
    kept: Any

    @property
    def paired(self) -> BoolArray:
        """Mask of the columns among the m that represent a conjugate pair."""
        return np.isin(np.arange(len(self.S))[self.kept], self.pairs)

    @property
    def crossed(self) -> Matrix:
        """The block of E with the rows of the m kept modes and the columns of the conjugate ones."""
        columns: Matrix = self.E[:, self.paired][self._conjugate[self.kept]]
        return np.conj(columns)

    def unfolded(self, values: Matrix) -> tuple[Similarity, Matrix]:
        """Return the similarity with all n columns stored, and the eigenvalues of all modes."""
        if not len(self.pairs):
            return self, values
        n, paired, other = len(self.S), self.paired, self._conjugate
        S, E = (np.empty((n, n), dtype=np.complex128) for _ in range(2))
        everything = np.empty(n, dtype=np.complex128)
        S[:, self.kept], E[:, self.kept], everything[self.kept] = self.S, self.E, values
        S[:, self.pairs + 1], everything[self.pairs + 1] = self.S[:, paired].conj(), values[paired].conj()
        E[:, self.pairs + 1] = self.E[other][:, paired].conj()
        none = np.arange(0)
        return Similarity(S, E, self.E_error, self.start, self.error, none, slice(None)), everything

    @property
    def _conjugate(self) -> IntArray:
        """Index of the conjugate of every mode."""
        other = np.arange(len(self.S))
        other[self.pairs], other[self.pairs + 1] = self.pairs + 1, self.pairs
        return other


@dataclass(frozen=True)
class Decomposition:
    """S⁻¹AS = M + E of one matrix, whatever the state.

    Attributes:
        S: the stored columns, shape (n, m).
        M: the form, a vector of m eigenvalues or a triangular matrix.
        basis: the columns that span the same space, with their approximate inverse X.
        E: approximation of E, shape (n, m), within ``E_error``.
        E_error: bound of the Frobenius norm of the error of E, over all n columns.
        far: bound of ‖I - X S‖, below 1/2.
    """

    S: Matrix
    M: Matrix
    basis: Basis
    E: Matrix
    E_error: float
    far: float

    def of_state(self, h: Matrix, lost: float) -> Similarity:
        """Add the coordinates z = S⁻¹h of a state, whose entries err by at most ``lost``."""
        n = len(h)
        R, X = self.basis.columns, self.basis.inverse
        terms, norm = _terms(self.basis), frobenius(X)
        # One step of iterative refinement: z + X(h - Sz). Its error is that of the correction.
        z = X @ h
        left, missed = _remainder(R, z, h)
        step = X @ left
        error = terms * (np.abs(X) @ np.abs(left)) + norm * (missed + n * lost) + gamma(2) * np.abs(z)
        propagated = self.far * SLACK / (1.0 - self.far) * (frobenius(step) + frobenius(error))
        error = (error + propagated) * SLACK + n * FLOOR
        start, error = self.basis.modal(z + step), self.basis.modal_sizes(error)
        return Similarity(self.S, self.E, self.E_error, start, error, self.basis.pairs, self.basis.kept)


def decomposition(A: Matrix, S: Matrix, M: Matrix, basis: Basis, lost: float, longest: int) -> Decomposition:
    """Bound the backward error of a decomposition.

    Args:
        A: the matrix, shape (n, n).
        S: the stored columns.
        M: the form, diagonal (a vector) or triangular.
        basis: the columns with their approximate inverse.
        lost: bound of the error of an entry of A.
        longest: the largest power for which the decomposition is used.

    Raises:
        PrecisionError: the columns are not provably independent.
    """
    n = len(A)
    R, X = basis.columns, basis.inverse
    terms, norm = _terms(basis), frobenius(X)
    unit = X @ R
    unit.ravel()[:: n + 1] -= 1.0
    far = frobenius(unit) + terms * norm * frobenius(R) + n * FLOOR
    if not far < 0.5:
        raise PrecisionError("the eigenvectors are numerically dependent: W is defective or nearly so")
    if M.ndim == 1:
        if longest >= _LONG:
            residual, slack = diagonal_residual(A, S, M)
        else:
            residual, slack = less_scaled(product(A, S), S, M)
    else:
        residual, slack = subtracted(product(A, S), product(S, M))
    E = _real_times(X, residual)
    missed = terms * frobenius(residual) + slack + n**2 * lost
    E_error = SLACK / (1.0 - far) * ((far + gamma(2)) * frobenius(E) + norm * missed)
    if len(basis.pairs):
        # The conjugate columns, which are not stored, count as much.
        E_error *= math.sqrt(2.0) * SLACK
    return Decomposition(S, M, basis, basis.modal(E), E_error, far)


def _terms(basis: Basis) -> float:
    """Return γ of the products of length n with the columns or their inverse."""
    return gamma(roundings(len(basis.columns), basis.columns, basis.inverse) + 1) * SLACK


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
