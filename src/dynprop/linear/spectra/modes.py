r"""Modes of a state: its components in the eigenspaces, and the growth rate of each.

The recurrence :math:`h_t = W^T h_{t-1}` acts on every component separately. With distinct eigenvalues
λ of a diagonalisable W and the spectral projections :math:`P_\lambda` of Wᵀ,

.. math:: h_t = \sum_\lambda \lambda^t\, P_\lambda h_0, \qquad
    \tan\theta_t = \Bigl(\sum_{\lambda \ne \lambda_1} |\lambda|^{2t} \|P_\lambda h_0\|^2\Bigr)^{1/2}
    \Big/ |\lambda_1|^t \|P_{\lambda_1} h_0\|.

In eigenvectors of unit length these norms are the moduli of the coordinates; for normal W, θ is the
angle between the state and the dominant eigenspace. The part outside the dominant mode is discarded
at the rate :math:`|\lambda_2/\lambda_1|^t` if the dominant modulus is unique and
:math:`P_{\lambda_1} h_0 \ne 0`, but only relative to the dominant part: with |λ₂| > 1 it grows. With
λ₂ = -λ₁ or a complex dominant pair the ratio does not decrease. If :math:`P_{\lambda_1} h_0 = 0` exactly it
is infinite at every t.

Method. Everything is enclosed in ball arithmetic: eigenvalues from the exact characteristic
polynomial, :math:`P_\lambda h = \prod_{\mu \ne \lambda} (W^T - \mu)/(\lambda - \mu)\, h` over the other
distinct eigenvalues, with more bits until every result has the wanted digits. Exact arithmetic decides
whether a component is exactly zero.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, overload

import numpy as np

from dynprop.arrays import BoolArray, FloatArray, IntArray
from dynprop.errors import ArgumentError
from dynprop.linear.arithmetic.balls import certainly_lt
from dynprop.linear.spectra.components import Components, components
from dynprop.linear.spectra.eigenvalues import MAX_BITS
from dynprop.linear.spectra.spectrum import ComplexArray
from dynprop.linear.spectra.structure import MAX_WORK
from dynprop.linear.validation import (
    Matrix,
    bit_limit,
    nonnegative,
    square_matrix,
    state_vector,
    step_counts,
)
from dynprop.precision import working_precision
from dynprop.results import Result

if TYPE_CHECKING:
    from flint import arb

__all__ = ["Modes", "discard_ratio", "log_discard_ratio", "modes"]

# Accuracy in bits of every result before it is rounded to float64.
_BITS = 60


@dataclass(frozen=True, eq=False, repr=False)
class Modes(Result):
    """The components of one state, as `modes` returns them; d distinct eigenvalues.

    Modes are compared by contents and unhashable.

    Attributes:
        eigenvalues: by decreasing modulus, ties by real then imaginary part, shape (d,), complex128.
        multiplicities: dimension of each eigenspace, shape (d,), exact.
        components: P_λ h₀, which add up to h₀, shape (d, n), complex128. The component of hₜ is λᵗ P_λ h₀.
        amplitudes: ‖P_λ h₀‖₂, the modulus of the coordinate along a unit eigenvector, shape (d,); 0.0
            only where the component is zero exactly.
        coefficients: the coordinate itself, amplitude times the phase of the component's largest entry.
        rates: log|λ|, the growth per step of the logarithm of the component, shape (d,); minus infinity
            for λ = 0.
        survives: mask of the components that are not discarded: nonzero, with the largest modulus among
            the nonzero ones; moduli that agree to 128 bits are ties.
    """

    eigenvalues: ComplexArray
    multiplicities: IntArray
    components: ComplexArray = field(repr=False)
    amplitudes: FloatArray
    coefficients: ComplexArray = field(repr=False)
    rates: FloatArray
    survives: BoolArray


def modes(W: Matrix, h0: Matrix, *, max_work: float = MAX_WORK, max_bits: int = MAX_BITS) -> Modes:
    """Split a state into its components in the eigenspaces of Wᵀ, with their growth rates.

    The result refers to the stored numbers.

    Args:
        W: square matrix, shape (n, n), real or complex floats, diagonalisable.
        h0: the state, shape (n,).
        max_work: limit on n⁴·bits of the exact characteristic polynomial.
        max_bits: limit on the working precision.

    Returns:
        A `Modes`; every number is rounded from an enclosure of 60 bits, relative to the length of its
        component.

    Raises:
        ArgumentError: wrong shape or dtype, NaN or infinity.
        PrecisionError: W is defective, or the limits do not suffice.

    Example:
        >>> import numpy as np
        >>> found = modes(np.array([[2.0, 0.0], [1.0, 0.5]]), np.array([1.0, 0.0]))
        >>> found.eigenvalues.real, found.amplitudes, found.survives
        (array([2. , 0.5]), array([1., 0.]), array([ True, False]))

    Source: Goodfellow, Bengio and Courville (2016), section 10.7, equations 10.37 to 10.39.
    """
    matrix, state = _arguments(W, h0)
    max_work, max_bits = nonnegative(max_work, "max_work"), bit_limit(max_bits)
    n = len(matrix)
    if not n:
        none = np.empty(0)
        empty = none.astype(np.complex128)
        return Modes(
            empty, none.astype(np.int64), empty.reshape(0, 0), none, empty, none, none.astype(np.bool_)
        )
    for found in components(matrix, state, 128, max_work, max_bits):
        with working_precision(found.bits):
            if all(size.rel_accuracy_bits() >= _BITS or size == 0 for size in found.sizes):
                return _rounded(found)
    raise AssertionError  # `components` yields until it raises PrecisionError


@overload
def discard_ratio(W: Matrix, h0: Matrix, t: int, *, max_work: float = ..., max_bits: int = ...) -> float: ...
@overload
def discard_ratio(
    W: Matrix, h0: Matrix, t: Sequence[int] | IntArray, *, max_work: float = ..., max_bits: int = ...
) -> FloatArray: ...
def discard_ratio(
    W: Matrix,
    h0: Matrix,
    t: int | Sequence[int] | IntArray,
    *,
    max_work: float = MAX_WORK,
    max_bits: int = MAX_BITS,
) -> float | FloatArray:
    """Compute the tangent of the angle between h_t and the dominant mode.

    tan θ = ‖components outside‖ / ‖component inside‖ in unit eigenvectors of Wᵀ. The dominant mode belongs to
    the first eigenvalue by decreasing modulus; of ties to the one with the larger real, then imaginary
    part. So with λ₂ = -λ₁ or a complex dominant pair the ratio tends to a positive constant: neither mode is
    discarded. The result refers to the stored numbers.

    Args:
        W: square matrix, shape (n, n), real or complex floats, diagonalisable.
        h0: the initial state, shape (n,), not zero.
        t: number of steps, from 0 to 2⁶³ - 1, or an array or sequence of them.
        max_work: limit on n⁴·bits of the exact characteristic polynomial.
        max_bits: limit on the working precision.

    Returns:
        The ratio, a float for one t and an array for several; infinity if the component of h0 in the dominant
        mode is exactly zero, 0.0 if all others are. A ratio beyond the range of floats becomes 0.0 or
        infinity; `log_discard_ratio` represents it. An empty matrix gives 0.0. The ratio is the exponential
        of that logarithm, rounded once: its relative error is at most (|log ratio| + 3) 2⁻⁵³.

    Raises:
        ArgumentError: wrong shape or dtype, NaN or infinity, h0 = 0, t out of range.
        PrecisionError: W is defective, or the limits do not suffice.

    Example:
        >>> import numpy as np
        >>> discard_ratio(np.diag([2.0, 1.0]), np.array([1.0, 3.0]), [0, 1, 5])
        array([3.     , 1.5    , 0.09375])

    Source: Goodfellow, Bengio and Courville (2016), section 10.7: "any component of h(0) not aligned
    with the largest eigenvector will eventually be discarded".
    """
    logs = log_discard_ratio(W, h0, t, max_work=max_work, max_bits=max_bits)
    with np.errstate(over="ignore", under="ignore"):
        ratios = np.exp(logs)
    return ratios if isinstance(logs, np.ndarray) else float(ratios)


@overload
def log_discard_ratio(
    W: Matrix, h0: Matrix, t: int, *, max_work: float = ..., max_bits: int = ...
) -> float: ...
@overload
def log_discard_ratio(
    W: Matrix, h0: Matrix, t: Sequence[int] | IntArray, *, max_work: float = ..., max_bits: int = ...
) -> FloatArray: ...
def log_discard_ratio(
    W: Matrix,
    h0: Matrix,
    t: int | Sequence[int] | IntArray,
    *,
    max_work: float = MAX_WORK,
    max_bits: int = MAX_BITS,
) -> float | FloatArray:
    """Return the natural logarithm of `discard_ratio`, which neither overflows nor underflows.

    Arguments, errors and source are those of `discard_ratio`.

    Example:
        >>> import numpy as np
        >>> round(log_discard_ratio(np.diag([2.0, 1.0]), np.array([1.0, 1.0]), 10**6), 3)
        -693147.181
    """
    matrix, state = _arguments(W, h0)
    max_work, max_bits = nonnegative(max_work, "max_work"), bit_limit(max_bits)
    counts, single = step_counts(t)
    if not len(matrix):
        logs = np.full(len(counts), -math.inf)
        return float(logs[0]) if single else logs
    if not state.any():
        raise ArgumentError("h0", "zeros", "a state that is not zero, so that it has a direction")
    digits = 128 + max(counts, default=0).bit_length()
    for found in components(matrix, state, digits, max_work, max_bits):
        with working_precision(found.bits):
            balls = [_log_ratio(found, count) for count in counts]
            if all(ball is not None for ball in balls):
                logs = np.array([float(ball) for ball in balls if ball is not None])
                return float(logs[0]) if single else logs
    raise AssertionError  # `components` yields until it raises PrecisionError


def _arguments(W: Matrix, h0: Matrix) -> tuple[Matrix, Matrix]:
    matrix = square_matrix(W)
    return matrix, state_vector(h0, len(matrix))


def _log_ratio(found: Components, t: int) -> arb | None:
    """Enclose the logarithm of the ratio after t steps, None if the enclosure is too wide."""
    from flint import arb

    first, *others = zip(found.eigenvalues, found.sizes, strict=True)
    if first[1] == 0:
        return arb.pos_inf()
    dominant = abs(first[0].ball)
    total = arb(0)
    for value, size in others:
        share = arb(1) if t == 0 else (abs(value.ball) / dominant) ** t
        total += (share * size / first[1]) ** 2
    if total == 0:
        return arb.neg_inf()
    # An error of 2**-60 in the logarithm is a relative error of 2**-60 in the ratio.
    log = total.log() / 2 if total > 0 else arb.nan()
    return log if log.is_finite() and certainly_lt(log.rad(), 2.0**-_BITS) else None


def _rounded(found: Components) -> Modes:
    from flint import arb

    moduli = [abs(value.ball) for value in found.eigenvalues]
    alive = [i for i, size in enumerate(found.sizes) if size > 0]
    largest = moduli[alive[0]] if alive else arb(0)
    vectors = np.array([[complex(x.mid()) for x in row] for row in found.vectors])
    sizes = np.array([float(size) for size in found.sizes])
    return Modes(
        eigenvalues=np.array([value.value for value in found.eigenvalues]),
        multiplicities=np.array([value.multiplicity for value in found.eigenvalues], dtype=np.int64),
        components=vectors,
        amplitudes=sizes,
        coefficients=sizes * _phases(vectors),
        rates=np.array([float(modulus.log()) if modulus > 0 else -math.inf for modulus in moduli]),
        survives=np.array([i in alive and moduli[i].overlaps(largest) for i in range(len(moduli))]),
    )


def _phases(vectors: ComplexArray) -> ComplexArray:
    """Return the phase of the largest entry of each row, the first of nearly equal ones; 1 for zeros."""
    phases = np.ones(len(vectors), dtype=np.complex128)
    for i, row in enumerate(vectors):
        sizes = np.abs(row)
        if sizes.max() > 0:
            largest = row[int(np.argmax(sizes >= (1.0 - 1e-6) * sizes.max()))]
            phases[i] = largest / abs(largest)
    return phases
