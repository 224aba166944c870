r"""The spectrum of a matrix and its conditioning.

.. math:: W V = V \Lambda, \qquad \kappa(V) = \|V\|\|V^{-1}\|, \qquad
    \nu = \Bigl(\|W\|_F^2 - \sum_i |\lambda_i|^2\Bigr)^{1/2}

κ(V), for eigenvectors of unit length, bounds the change of any eigenvalue under a perturbation of W (Bauer
and Fike 1960) and the ratio ‖Wᵗ‖/ρᵗ. Henrici's departure ν, the strictly upper part of the Schur
form, is zero for normal W only. The condition of one eigenvalue is :math:`1/|y_i^H x_i|` with left and
right eigenvectors of unit length (Wilkinson 1965, chapter 2).

Trap. Floating-point eigenvectors do not reveal a defective matrix: for a 3 × 3 Jordan block the computed κ(V)
is 6e31, for one hidden by a similarity smaller. So "defective" is decided exactly, on the stored numbers,
see `dynprop.linear.spectra.structure`; the other numbers are float64 results.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dynprop.arrays import FloatArray
from dynprop.errors import PrecisionError
from dynprop.linear.arithmetic.scaled import normalised
from dynprop.linear.spectra.structure import MAX_WORK, is_defective
from dynprop.linear.validation import Matrix, nonnegative, square_matrix
from dynprop.results import Result

__all__ = ["NEAR_DEFECTIVE", "ComplexArray", "Spectrum", "spectral_order", "spectrum"]

ComplexArray: TypeAlias = NDArray[np.complex128]

# κ(V) beyond which a computation with V loses half its digits.
NEAR_DEFECTIVE = 1e7

# Residual of eigenpairs, relative to n ‖W‖_F, above which balancing is the cause and not rounding.
_BALANCED = 50.0 * 2.0**-53

# Moduli that agree to this share of the radius are ties in the order; those of conjugates always agree.
_TIE = 1e-12


@dataclass(frozen=True, eq=False, repr=False)
class Spectrum(Result):
    """Eigenvalues of one matrix and the measures of its non-normality, as `spectrum` returns them.

    Spectra are compared by contents and unhashable.

    Attributes:
        eigenvalues: by decreasing modulus, with multiplicity, shape (n,), complex128. Moduli that agree
            to 1e-12 of the radius are ties: larger real part first, then the positive imaginary part.
        radius: the spectral radius ρ; 0.0 for an empty matrix.
        condition: κ₂(V) for eigenvectors of unit length; infinite for a defective matrix.
        departure: Henrici's departure from normality, Frobenius norm of the strictly upper Schur form.
        conditions: condition number of each eigenvalue, shape (n,), 1 at best.
        residual: ‖WV - VΛ‖₂ of the computed eigenpairs.
        defective: whether the stored matrix has fewer than n independent eigenvectors, decided exactly. None
            where the exact test would exceed max_work; `undecided` then contains its cost.
        near_defective: κ(V) exceeds 1e7 or the matrix is defective: V is unreliable.
        undecided: the reason if `defective` is None, else empty.
    """

    eigenvalues: ComplexArray
    radius: float
    condition: float
    departure: float
    conditions: FloatArray = field(repr=False)
    residual: float
    defective: bool | None
    near_defective: bool
    undecided: str = ""


def spectrum(W: Matrix, *, max_work: float = MAX_WORK) -> Spectrum:
    """Compute eigenvalues by decreasing modulus, and the conditioning of eigenvalues and eigenvectors.

    Args:
        W: square matrix, shape (n, n), real or complex floats of any scale.
        max_work: limit on n⁴·bits for the exact test of "defective"; matrices with distinct eigenvalues
            do not need the test.

    Returns:
        A `Spectrum`. The numbers are float64 results with LAPACK's backward error: an eigenvalue is one of
        W + E, ‖E‖₂ ≤ p(n) u ‖W‖_F, u = 2⁻⁵³. p is a modest multiple of n (LAPACK Users' Guide, section 4.8);
        16 n is assumed, and the worst of 330,000 eigenvalues of random matrices, n = 2 to 5, needs 7.9 n.
        Use `certified_eigenvalues` for enclosures. Entries beyond the range of floats are infinite.

    Raises:
        ArgumentError: W is not square, not floating or not finite.

    Example:
        >>> import numpy as np
        >>> found = spectrum(np.array([[0.5, 1.0], [0.0, 0.5]]))
        >>> found.radius, found.defective, found.departure
        (0.5, True, 1.0)

    Source: Trefethen and Embree (2005), Spectra and Pseudospectra, sections 2, 14, 48 and 52; Henrici
    (1962) for the departure.
    """
    matrix = square_matrix(W)
    defective, undecided = _verdict(matrix, nonnegative(max_work, "max_work"))
    if not len(matrix):
        empty = np.empty(0)
        return Spectrum(empty.astype(np.complex128), 0.0, 1.0, 0.0, empty, 0.0, defective, False)
    unit, exponent = normalised(matrix)
    values, right, conditions, departure = _eigenpairs(unit)
    order = spectral_order(values)
    values, right, conditions = values[order], right[:, order], conditions[order]
    condition = math.inf if defective else _condition(right)
    residual = float(np.linalg.norm(unit @ right - right * values, 2))
    with np.errstate(over="ignore", under="ignore"):
        scale_back = [np.ldexp(x, exponent) for x in (values.real, values.imag)]
        # The modulus of the first eigenvalue may be smaller by 1e-12 in a tie, so take the maximum.
        radius = np.ldexp(np.abs(values).max(), exponent)
        sizes = np.ldexp([departure, residual], exponent)
    return Spectrum(
        eigenvalues=np.asarray(scale_back[0] + 1j * scale_back[1], dtype=np.complex128),
        radius=float(radius),
        condition=condition,
        departure=float(sizes[0]),
        conditions=conditions,
        residual=float(sizes[1]),
        defective=defective,
        near_defective=bool(defective) or condition > NEAR_DEFECTIVE,
        undecided=undecided,
    )


def spectral_order(values: ComplexArray) -> NDArray[np.intp]:
    """Return the order by decreasing modulus; ties by decreasing real, then imaginary part."""
    if not len(values):
        return np.empty(0, dtype=np.intp)
    modulus = np.abs(values)
    down = np.argsort(-modulus, kind="stable")
    # Compare with the first of the group, so that the grouping does not depend on the other members.
    group = np.zeros(len(values), dtype=np.intp)
    first = modulus[down[0]]
    for place, i in enumerate(down):
        if first - modulus[i] > _TIE * modulus[down[0]]:
            first = modulus[i]
            group[i] = place
        else:
            group[i] = group[down[place - 1]] if place else 0
    rounded = np.round(values.real / max(modulus.max(), 5e-324) / _TIE)
    return np.lexsort((-values.imag, -rounded, group))


def _verdict(W: Matrix, max_work: float) -> tuple[bool | None, str]:
    try:
        return is_defective(W, max_work), ""
    except PrecisionError as refusal:
        return None, str(refusal)


def _eigenpairs(W: Matrix) -> tuple[ComplexArray, ComplexArray, FloatArray, float]:
    """Return eigenvalues, unit eigenvectors, their condition numbers and the departure; max|W| is 1."""
    from scipy.linalg import eig, schur

    n = len(W)
    if np.array_equal(W, W.conj().T):
        values, vectors = np.linalg.eigh(W)
        return values.astype(np.complex128), vectors.astype(np.complex128), np.ones(n), 0.0
    triangle, basis = schur(W.astype(np.complex128), output="complex")
    departure = float(np.linalg.norm(np.triu(triangle, 1)))
    rounding = n * 2.0**-52 * float(np.linalg.norm(W))
    if departure <= rounding:
        # Normal within rounding: Schur vectors are eigenvectors, orthonormal also where values repeat.
        values = np.diag(triangle).copy()
        return values if np.iscomplexobj(W) else _paired(values, rounding), basis, np.ones(n), departure
    solved: tuple[Any, ...] = eig(W, left=True, right=True)
    values, left, right = solved
    if np.linalg.norm(W @ right - right * values) > _BALANCED * n * np.linalg.norm(W):
        # LAPACK balances, which costs digits where entries are tiny by rounding. A rotated matrix needs no
        # balancing.
        turn = np.linalg.qr(np.random.default_rng(0).standard_normal((n, n)))[0]
        solved = eig(turn.T @ W @ turn, left=True, right=True)
        values, left, right = solved[0], turn @ solved[1], turn @ solved[2]
    overlap = np.abs(np.einsum("ij,ij->j", left.conj(), right))
    with np.errstate(divide="ignore", over="ignore"):
        conditions = np.maximum(1.0 / overlap, 1.0)
    return values.astype(np.complex128), right.astype(np.complex128), conditions, departure


def _paired(values: ComplexArray, rounding: float) -> ComplexArray:
    """Make the rounded eigenvalues of a real matrix exactly real or conjugate."""
    values.imag[np.abs(values.imag) <= rounding] = 0.0
    upper, lower = np.flatnonzero(values.imag > 0), list(np.flatnonzero(values.imag < 0))
    if len(upper) == len(lower):
        for i in upper:
            j = min(lower, key=lambda k: float(abs(values[k] - values[i].conjugate())))
            lower.remove(j)
            values[i] = (values[i] + values[j].conjugate()) / 2.0
            values[j] = values[i].conjugate()
    return values


def _condition(vectors: ComplexArray) -> float:
    sizes = np.linalg.svd(vectors, compute_uv=False)
    with np.errstate(divide="ignore", over="ignore"):
        return float(sizes[0] / sizes[-1])
