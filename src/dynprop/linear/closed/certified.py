r"""Certified powers: :math:`W^t` and :math:`(W^t)^T h` in ball arithmetic, for any t up to 2⁶³ - 1.

Floats are dyadic rationals, so the balls start with radius zero; every operation encloses (Johansson
2017, IEEE Trans. Comput. 66, Arb), at any exponent. The precision is doubled until the radius is
small enough relative to the largest entry, not to each entry: an entry that is exactly zero has no relative
accuracy. Nor has a state that is exactly zero; exact arithmetic recognises it:
:math:`A^t h = 0` for t ≥ n if and only if :math:`A^n h = 0` (Fitting's lemma).

**The stored matrix is certified.** A float64 "orthogonal" matrix is not orthogonal, as its power
shows: the rotation stored as ``[[0.6, -0.8], [0.8, 0.6]]`` has determinant 1 + 4.4e-17, and at t = 10¹⁸
its exact power stretches every vector by 4.4e9. The rotation by the rational numbers 3/5 and 4/5 preserves
lengths, but it is another matrix.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dynprop.errors import PrecisionError
from dynprop.linear.arithmetic.balls import Enclosure, ball_matrix, enclose, rational_matrix
from dynprop.linear.closed.precisions import Plan, plan_of_power, plan_of_states
from dynprop.linear.validation import Matrix, bit_limit, positive, square_matrix, step_count
from dynprop.precision import working_precision
from dynprop.results import Result

if TYPE_CHECKING:
    from dynprop.linear.arithmetic.balls import BallMatrix

__all__ = ["MAX_BITS", "MAX_SECONDS", "CertifiedPower", "certified_power", "certified_states"]

MAX_BITS = 2**14
MAX_SECONDS = 60.0

# Primes below 2**62: a state that is not zero modulo one of them is not zero.
_PRIMES = (4611686018427387847, 4611686018427387817)


@dataclass(frozen=True, eq=False, repr=False)
class CertifiedPower(Result):
    """An enclosure of Wᵗ for the stored matrix W; compared by contents and unhashable.

    Attributes:
        value: the power without its exponent, shape (n, n), max|value| in [0.5, 1) unless it is zero.
        exponent: the power is ``value * 2.0**exponent``, a Python integer of any size.
        relative_bound: max|error| of value / max|value|, rounding to float64 included; 0.0 if exact.
        bits: accuracy of the enclosure: no radius exceeds 2**-bits times the largest entry.
        enclosure: the power as python-flint's arb_mat or acb_mat, to all its bits.
    """

    value: Matrix
    exponent: int
    relative_bound: float
    bits: int
    enclosure: BallMatrix


def certified_power(
    W: Any, t: Any, bits: int = 64, *, max_bits: int = MAX_BITS, max_seconds: float = MAX_SECONDS
) -> CertifiedPower:
    """Enclose Wᵗ (not its transpose) for any t from 0 to 2⁶³ - 1; the time grows with log t.

    Args:
        W: square matrix, shape (n, n), real or complex.
        t: the power, an integer of Python or numpy.
        bits: wanted accuracy of the enclosure, relative to its largest entry.
        max_bits: largest working precision.
        max_seconds: time limit.

    Raises:
        ArgumentError: an argument has the wrong shape, type or value.
        PrecisionError: a limit is reached before the accuracy.

    Example:
        >>> import numpy as np
        >>> power = certified_power(np.array([[1.0, 1.0], [0.0, 1.0]]), 1000)
        >>> power.value * 2.0**power.exponent
        array([[   1., 1000.],
               [   0.,    1.]])
        >>> power.relative_bound
        0.0

    Source: Johansson (2017), Arb, IEEE Transactions on Computers 66, section 2.
    """
    matrix, count = square_matrix(W), step_count(t, "t")
    accuracy = bit_limit(bits, "bits")
    budget = _Budget(
        bit_limit(max_bits, least=64),
        positive(max_seconds, "max_seconds"),
        work=f"the power of a matrix of size {len(matrix)}",
    )
    plan, planned = plan_of_power(matrix, count) if count else Plan(()), accuracy
    while True:
        power = _power(matrix, count, budget.precisions(plan, planned), budget)
        with working_precision(max(planned, 64)):
            if _accurate(power, accuracy):
                found, wide = enclose(power), _widened(power)
                return CertifiedPower(found.value, found.exponent, found.relative_bound, accuracy, wide)
        # The precisions of twice the bits: where they are needed, both requests give the same enclosure.
        planned *= 2


def _widened(matrix: BallMatrix) -> BallMatrix:
    """Double every radius: then an enclosure to more bits lies inside, wherever its centre is."""
    from flint import acb, acb_mat, arb, arb_mat

    rows, columns = matrix.nrows(), matrix.ncols()
    wide: list[Any] = []
    for x in (matrix[i, j] for i in range(rows) for j in range(columns)):
        parts = [arb(part.mid(), 2 * part.rad()) for part in (x.real, x.imag)]
        wide.append(acb(*parts) if isinstance(matrix, acb_mat) else parts[0])
    return (acb_mat if isinstance(matrix, acb_mat) else arb_mat)(rows, columns, wide)


@dataclass
class _Budget:
    """The limits of one certified computation; raises PrecisionError where one is reached."""

    bits: int
    seconds: float
    work: str

    def __post_init__(self) -> None:
        self.end = time.monotonic() + self.seconds

    def precisions(self, plan: Plan, accuracy: int) -> list[int]:
        """Return the working precisions to try next, at most the limit."""
        wanted = plan.precisions(accuracy)
        if max(wanted, default=0) >= 2 * self.bits:
            raise PrecisionError(
                f"{self.work} needs more than {self.bits} bits (max_bits), because its digits cancel: raise "
                "max_bits, or remove the component of the state that dominates the rest"
            )
        return [min(precision, self.bits) for precision in wanted]

    def check(self) -> None:
        """Raise once the time limit has passed."""
        if time.monotonic() > self.end:
            raise PrecisionError(
                f"{self.work} takes more than {self.seconds} seconds (max_seconds): raise max_seconds, or "
                "take a smaller t or matrix"
            )


def _power(W: Matrix, t: int, precisions: Sequence[int], budget: _Budget) -> BallMatrix:
    matrix, steps = ball_matrix(W), iter(precisions)
    if t == 0:
        return matrix**0
    power = matrix
    for digit in bin(t)[3:]:
        with working_precision(next(steps)):
            power = power * power
        if digit == "1":
            with working_precision(next(steps)):
                power = power * matrix
        budget.check()
    return power


def _accurate(matrix: BallMatrix, bits: int) -> bool:
    """Whether no radius exceeds 2**-bits of the largest entry; False where nothing is certain."""
    from flint import arb

    if matrix.nrows() == 0 or matrix.ncols() == 0:
        return True
    rows, columns = matrix.nrows(), matrix.ncols()
    balls: list[Any] = [matrix[i, j] for i in range(rows) for j in range(columns)]
    if not all(x.is_finite() for x in balls):
        return False
    largest = max(x.abs_lower() for x in balls)
    radius = max(max(x.real.rad(), x.imag.rad()) for x in balls)
    return bool(2 * radius <= largest * arb((1, -bits)))


def certified_states(
    A: Matrix, columns: Matrix, times: Sequence[int], bits: int, max_bits: int, max_seconds: float
) -> list[list[Enclosure]]:
    """Enclose Aᵗ h for every t and every column h, from one sequence of squarings.

    Args:
        A: the matrix, shape (n, n).
        columns: the states, shape (n, m).
        times: positive integers.
        bits: accuracy of each state, relative to its largest entry.
        max_bits: largest working precision.
        max_seconds: time limit.

    Returns:
        For every t a list of the m states.

    Raises:
        PrecisionError: a limit is reached before the accuracy.
    """
    budget = _Budget(max_bits, max_seconds, work=f"the state of a recurrence of size {len(A)}")
    found: dict[tuple[int, int], Enclosure] = {}
    pairs = [(t, j) for t in times for j in range(columns.shape[1])]
    left, zeros_known, planned = pairs, False, bits
    plan = plan_of_states(A, columns, times)
    while left:
        asked, which = sorted({t for t, _ in left}), sorted({j for _, j in left})
        states = _states(A, columns[:, which], asked, budget.precisions(plan, planned), budget)
        with working_precision(max(planned, 64)):
            for t, state in zip(asked, states, strict=True):
                for place, j in enumerate(which):
                    column = _column(state, place)
                    if (t, j) not in found and _accurate(column, bits):
                        found[t, j] = enclose(column)
        left = [pair for pair in left if pair not in found]
        if left and not zeros_known:
            zeros_known = True
            zero = Enclosure(np.zeros((len(A), 1), dtype=np.result_type(A, columns)), 0, 0.0)
            gone = {j: _steps_to_zero(A, columns[:, j]) for j in {j for _, j in left}}
            found.update({(t, j): zero for t, j in left if t >= gone[j]})
            left = [pair for pair in left if pair not in found]
        planned *= 2
    return [[found[t, j] for j in range(columns.shape[1])] for t in times]


def _column(matrix: BallMatrix, j: int) -> BallMatrix:
    rows = matrix.nrows()
    # python-flint's matrices are built from lists of their own entries, which its annotations do not relate.
    build: Any = type(matrix)
    column: BallMatrix = build(rows, 1, [matrix[i, j] for i in range(rows)])
    return column


def _states(
    A: Matrix, columns: Matrix, times: Sequence[int], precisions: Sequence[int], budget: _Budget
) -> list[BallMatrix]:
    """Return Aᵗ times the columns for every t, by the squarings A, A², A⁴, ... in the digits of t."""
    is_complex = np.iscomplexobj(A) or np.iscomplexobj(columns)
    dtype = np.complex128 if is_complex else np.float64
    power = ball_matrix(A.astype(dtype))
    states = [ball_matrix(columns.astype(dtype))] * len(times)
    for bit in range(max(times).bit_length()):
        with working_precision(precisions[bit]):
            if bit:
                power = power * power
            for i, t in enumerate(times):
                if t >> bit & 1:
                    states[i] = power * states[i]
        budget.check()
    return states


def _steps_to_zero(A: Matrix, h: Matrix) -> float:
    """Return the least t with Aᵗ h exactly zero, at most n; infinity if there is none."""
    from flint import fmpz_mat, nmod_mat

    dtype = np.result_type(A, h)
    integers, vector = (rational_matrix(x.astype(dtype)).numer_denom()[0] for x in (A, h))
    for prime in _PRIMES:
        reduced, image = nmod_mat(integers, prime), nmod_mat(vector, prime)
        for _ in range(len(A)):
            image = reduced * image
        if image != 0 * image:
            return math.inf
    zero = fmpz_mat(vector.nrows(), 1)
    for t in range(len(A) + 1):
        if vector == zero:
            return t
        vector = integers * vector
    return math.inf
