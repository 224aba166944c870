r"""Ball arithmetic: exact conversion of floats to python-flint and rigorous conversion back.

A ball :math:`m \pm r` contains a real number for certain. Every float is a dyadic rational, so the
conversion to balls is exact. The conversion back gives float64 numbers with a common integer exponent, so
that nothing overflows or underflows, and a bound that includes the rounding.

Traps. python-flint's precision is global to the process, not to a thread: everything here runs under
one lock. A comparison of balls means "certainly": for ``x = arb(1, 0.1)`` both ``x < 1`` and
``x >= 1`` are False. Never negate one: `certainly_le` and the like are False where nothing is certain,
so that callers refuse rather than guess.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from dynprop.errors import PrecisionError
from dynprop.linear.validation import Matrix

if TYPE_CHECKING:
    from flint import acb, acb_mat, arb, arb_mat, fmpq_mat

    Ball: TypeAlias = arb | acb
    BallMatrix: TypeAlias = arb_mat | acb_mat

__all__ = [
    "Enclosure",
    "abs_upper",
    "ball_matrix",
    "certainly_ge",
    "certainly_le",
    "certainly_lt",
    "enclose",
    "entries",
    "float_above",
    "float_below",
    "log_ball",
    "rational_matrix",
    "rounded",
]


def ball_matrix(values: Matrix) -> BallMatrix:
    """Convert a matrix, or a vector as one column, to an exact ball matrix; complex ones to acb_mat."""
    from flint import acb_mat, arb_mat

    table = values[:, np.newaxis] if values.ndim == 1 else values
    flat: list[Any] = table.ravel().tolist()
    build = acb_mat if np.iscomplexobj(table) else arb_mat
    return build(table.shape[0], table.shape[1], flat)


def rational_matrix(values: Matrix) -> fmpq_mat:
    """Convert a matrix, or a vector as one column, to exact rationals.

    A complex matrix A + iB of n columns becomes the real form [[A, -B], [B, A]], similar to
    (A + iB) ⊕ (A - iB): it is defective, nilpotent or singular exactly where A + iB is. A complex
    vector becomes its real parts followed by its imaginary ones.
    """
    from flint import fmpq, fmpq_mat

    table = np.asarray(values)
    if np.iscomplexobj(table):
        real, imag = table.real, table.imag
        table = np.concatenate([real, imag]) if table.ndim == 1 else np.block([[real, -imag], [imag, real]])
    table = table[:, np.newaxis] if table.ndim == 1 else table
    exact = [fmpq(*float(x).as_integer_ratio()) for x in table.ravel()]
    return fmpq_mat(table.shape[0], table.shape[1], exact)


def entries(matrix: BallMatrix) -> list[Any]:
    """Return the entries of a ball matrix, row by row."""
    found: list[Any] = matrix.entries()
    return found


def certainly_le(left: arb, right: arb | float) -> bool:
    """Whether left <= right for every point of the balls; False where it is not certain."""
    return bool(left <= right)


def certainly_lt(left: arb, right: arb | float) -> bool:
    """Whether left < right for every point of the balls; False where it is not certain."""
    return bool(left < right)


def certainly_ge(left: arb, right: arb | float) -> bool:
    """Whether left >= right for every point of the balls; False where it is not certain."""
    return bool(left >= right)


def abs_upper(x: Ball) -> arb:
    """Return an exact upper bound of the absolute value of every point of a real or complex ball."""
    return x.abs_upper()


def float_above(x: arb) -> float:
    """Return a float64 upper bound of a ball; infinity where there is none."""
    return _directed(x, 1)


def float_below(x: arb) -> float:
    """Return a float64 lower bound of a ball; minus infinity where there is none."""
    return _directed(x, -1)


def _directed(x: arb, sign: int) -> float:
    if not x.is_finite():
        return sign * math.inf
    end = x.upper() if sign > 0 else x.lower()
    nearest = float(end)
    if (end <= nearest) if sign > 0 else (end >= nearest):
        return nearest
    return math.nextafter(nearest, sign * math.inf)


def log_ball(x: arb) -> arb:
    """Return the natural logarithm of a certainly positive ball.

    Raises:
        PrecisionError: the ball is not certainly positive at this precision.
    """
    if not x > 0:
        raise PrecisionError(f"log({x.str(5)}) is not defined for certain: compute with more bits")
    return x.log()


@dataclass(frozen=True)
class Enclosure:
    """A ball matrix as float64 numbers: the exact matrix is ``value * 2.0**exponent`` within the bound.

    Attributes:
        value: float64 or complex128, max|value| in [0.5, 1) unless all are zero.
        exponent: power of two, of any size.
        relative_bound: max|error| / max|value|; 0.0 where nothing was rounded; infinite where the balls
            leave the size unknown.
    """

    value: Matrix
    exponent: int
    relative_bound: float


def enclose(matrix: BallMatrix) -> Enclosure:
    """Round a ball matrix to float64 with a common exponent and bound the total error.

    It uses the current precision: call it inside `working_precision`.
    """
    from flint import acb, acb_mat, arb

    is_complex = isinstance(matrix, acb_mat)
    shape = (matrix.nrows(), matrix.ncols())
    zero: Matrix = np.zeros(shape, dtype=np.complex128 if is_complex else np.float64)
    balls = entries(matrix)
    if not all(x.is_finite() for x in balls):
        return Enclosure(zero, 0, math.inf)
    convert: Callable[[Any], complex] = complex if is_complex else float
    exponent = _top_exponent(balls, np.array([convert(x) for x in balls], dtype=zero.dtype))
    if exponent is None:
        exact = all(x.is_exact() for x in balls)
        return Enclosure(zero, 0, 0.0 if exact else math.inf)
    # A modulus can exceed the larger part by a factor sqrt(2), and rounding can reach 1: then shift again.
    for shift in (exponent, exponent + 1):
        scaled = matrix * arb((1, -shift))
        flat = [convert(x) for x in entries(scaled)]
        largest = max(flat, key=abs)
        if abs(largest) < 1.0:
            break
    value = np.array(flat, dtype=zero.dtype).reshape(shape)
    error = max(x.abs_upper() for x in entries(scaled - ball_matrix(value)))
    bound = float_above(error / acb(largest).abs_lower())
    return Enclosure(value, shift, bound)


def rounded(matrix: BallMatrix) -> Enclosure:
    """Round as `enclose` does, at a fourth of the cost and with a wider bound, for a matrix of many entries.

    The bound adds the radii of a row, which is at most n times the largest, to half a unit of the largest
    entry; so it is not 0 where nothing is rounded.
    """
    from flint import acb_mat

    is_complex = isinstance(matrix, acb_mat)
    convert: Callable[[Any], complex] = complex if is_complex else float
    flat = np.array([convert(x) for x in entries(matrix)])
    largest = float(np.abs(flat).max(initial=0.0))
    if not 2.0**-900 < largest < 2.0**900:
        return enclose(matrix)
    shape = (matrix.nrows(), matrix.ncols())
    # Balls around 0 with the radii of a row, summed.
    radii = (matrix - matrix.mid()) * type(matrix)(shape[1], 1, [1] * shape[1])
    radius = max(float_above(x.abs_upper()) for x in entries(radii))
    exponent = math.frexp(largest)[1]
    value = flat.reshape(shape) * math.ldexp(1.0, -exponent)
    # A float is within 2⁻⁵³ of its midpoint, relatively, in each part; so the modulus of a complex one is.
    error = (radius / largest + 2.0**-53) * (1.0 + 2.0**-50)
    return Enclosure(value, exponent, error if math.isfinite(error) else math.inf)


def _top_exponent(balls: list[Any], floats: Matrix) -> int | None:
    """Return e with the largest midpoint, real or imaginary, in [2**(e-1), 2**e]; None if all are zero."""
    largest = max(float(np.abs(floats.real).max(initial=0.0)), float(np.abs(floats.imag).max(initial=0.0)))
    if 2.0**-1000 < largest < math.inf:
        return math.frexp(largest)[1]
    # Beyond the range of floats, take the exponents from Arb.
    found = [_exponent(part) for x in balls for part in _parts(x) if part.mid() != 0]
    return max(found, default=None)


def _parts(x: Any) -> tuple[Any, ...]:
    from flint import acb

    return (x.real, x.imag) if isinstance(x, acb) else (x,)


def _exponent(x: arb) -> int:
    """Return e with |midpoint| in [2**(e-1), 2**e) for a midpoint other than zero."""
    mantissa, exponent = x.mid().man_exp()
    return int(exponent) + int(abs(mantissa)).bit_length()
