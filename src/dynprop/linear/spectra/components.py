r"""Enclosed components of a state in the eigenspaces of Wᵀ; zero components are recognised exactly.

With :math:`s(x) = \prod_\mu (x - \mu)` over the distinct eigenvalues, which annihilates a diagonalisable
W, and :math:`q_\lambda(x) = s(x)/(x - \lambda)`,

.. math:: P_\lambda h = q_\lambda(W^T)\, h / s'(\lambda) = \sum_j q_{\lambda j} (W^T)^j h / s'(\lambda):

one product of the matrix of coefficients with the Krylov vectors. This basis is so ill-conditioned that
float64 would lose all digits; in ball arithmetic it costs some bits.

The number of nonzero components is the rank of the Krylov vectors, an exact integer. Once that many
components are certainly nonzero, the others are exactly zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dynprop.errors import PrecisionError
from dynprop.linear.arithmetic.balls import ball_matrix
from dynprop.linear.spectra.eigenvalues import CertifiedEigenvalue, certified_eigenvalues, squared_norm
from dynprop.linear.spectra.structure import integer_form, is_defective
from dynprop.linear.validation import Matrix
from dynprop.precision import working_precision

if TYPE_CHECKING:
    from flint import acb, arb

__all__ = ["Components", "components"]


@dataclass(frozen=True)
class Components:
    """The components at one working precision; valid inside the loop that yields them.

    Attributes:
        bits: the working precision, in force while the loop runs.
        eigenvalues: the distinct ones, by decreasing modulus.
        vectors: P_λ h, one list of n balls for each; exact zeros where the component is zero.
        sizes: ‖P_λ h‖, certainly positive or exactly zero.
    """

    bits: int
    eigenvalues: tuple[CertifiedEigenvalue, ...]
    vectors: list[list[acb]]
    sizes: list[arb]


def components(W: Matrix, h: Matrix, bits: int, max_work: float, max_bits: int) -> Iterator[Components]:
    """Yield the components of a state, with twice the bits each time, until the caller stops.

    Raises:
        PrecisionError: W is defective, or max_work or max_bits do not suffice.
    """
    if is_defective(W, max_work):
        raise PrecisionError(
            "W is defective: it has too few eigenvectors for modes; use growth or closed_form instead"
        )
    rank = None
    # Cancellation among Krylov vectors costs bits in proportion to n: this start suffices in most cases.
    working = bits + 8 * len(W)
    while working <= max_bits:
        values = certified_eigenvalues(W, working, max_work=max_work, max_bits=max_bits)
        with working_precision(working):
            found = _enclosed(values, W, h)
            if found is not None:
                zero = [i for i, size in enumerate(found.sizes) if not size > 0]
                if zero and rank is None:
                    rank = _krylov_rank(W, h, len(values))
                if not zero or len(values) - len(zero) == rank:
                    yield _with_zeros(found, zero)
        working *= 2
    raise PrecisionError(
        f"the modes of W are not separated at max_bits={max_bits}: its eigenvectors are nearly dependent;"
        " raise max_bits"
    )


def _enclosed(values: tuple[CertifiedEigenvalue, ...], W: Matrix, h: Matrix) -> Components | None:
    from flint import acb, acb_mat, acb_poly, arb, ctx

    d, n = len(values), len(W)
    roots = [value.ball for value in values]
    coefficients = acb_poly.from_roots(roots).coeffs()
    quotients: list[acb] = []
    for root in roots:
        row, slope = [acb(1)], acb(0)
        for c in coefficients[-2:0:-1]:
            row.append(row[-1] * root + c)
        for c in row:
            slope = slope * root + c
        if slope.contains(0):
            return None
        quotients += [c / slope for c in row[::-1]]
    step, vector = acb_mat(ball_matrix(np.ascontiguousarray(W.T))), acb_mat(ball_matrix(h))
    krylov = []
    for _ in range(d):
        krylov += vector.entries()
        vector = step * vector
    product = acb_mat(d, d, quotients) * acb_mat(d, n, krylov)
    vectors = [[product[i, j] for j in range(n)] for i in range(d)]
    sizes = [squared_norm(row) for row in vectors]
    # The square root of a ball that contains negative numbers is NaN; such a size is undecided.
    return Components(ctx.prec, values, vectors, [s.sqrt() if s > 0 else arb(0) for s in sizes])


def _with_zeros(found: Components, zero: list[int]) -> Components:
    from flint import acb

    vectors = [[acb(0)] * len(row) if i in zero else row for i, row in enumerate(found.vectors)]
    return Components(found.bits, found.eigenvalues, vectors, found.sizes)


def _krylov_rank(W: Matrix, h: Matrix, count: int) -> int:
    """Return the rank of h, Wᵀh, ..., exactly."""
    from flint import fmpz_mat

    is_complex = np.iscomplexobj(W) or np.iscomplexobj(h)
    kind = np.complex128 if is_complex else np.float64
    n = len(W)
    step = integer_form(np.ascontiguousarray(W.T.astype(kind))).matrix
    parts = np.concatenate([h.real, h.imag]) if is_complex else h
    vector = integer_form(np.ascontiguousarray(parts)).matrix
    columns = []
    for _ in range(count):
        columns.append([int(x) for x in vector.entries()])
        vector = step * vector
    if not is_complex:
        return int(fmpz_mat(columns).rank())
    # The real form of a complex matrix has twice its rank.
    turned = [[-x for x in column[n:]] + column[:n] for column in columns]
    return int(fmpz_mat(columns + turned).rank()) // 2
