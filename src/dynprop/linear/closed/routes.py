r"""Product routes to :math:`A^t h`, A = Wᵀ: step by step, and by repeated squaring.

Both are plain products, so no property of W is needed. Their bounds are componentwise, with
:math:`c = n` roundings per entry of a real product and 3n of a complex one (see `scaled`):

- loop: a running bound, :math:`|\hat y_{k+1} - y_{k+1}| \le |A|\,(e_k + \gamma_c |\hat y_k|)` (Higham 2002,
  section 3.3), sharp where cancellation is mild;
- squaring: :math:`|\hat y - y| \le \gamma_{ct} |A|^t |h|`, whatever the order of the t products (Higham 2002,
  section 3.5). For A, h ≥ 0 the right side is γ times the answer: no cancellation, no second computation.

Underflow: mantissas are kept near 1, and the loss by underflow is tracked as an absolute error. In squaring
it is tracked for :math:`|A|^t |h|` alone, whose powers and exponents are at least those of the signed data,
so that one recursion covers both.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.errors import PrecisionError
from dynprop.linear.arithmetic.scaled import FLOOR, SLACK, gamma, normalised, roundings, shifted
from dynprop.linear.closed.similarity import Decomposition
from dynprop.linear.validation import Matrix

__all__ = ["Approximation", "Problem", "loop", "squaring"]


@dataclass(frozen=True)
class Problem:
    """The states A**t h to compute, scaled to a largest entry near 1.

    Attributes:
        matrix: A without a power of two, max|A| in [0.5, 1), shape (n, n), C order.
        start: h without a power of two, max|h| in [0.5, 1), shape (n,).
        lost: bound of the absolute error of an entry of either due to scaling.
        times: the t, positive.
        seconds: time limit.
        accept: relative bound beyond which a route may give up.
        forms: decompositions of the matrix by route, shared by problems with the same matrix.
    """

    matrix: Matrix
    start: Matrix
    lost: float
    times: Sequence[int]
    seconds: float
    accept: float = math.inf
    forms: dict[str, Decomposition] = field(default_factory=dict)

    def form(self, route: str, compute: Callable[[Problem], Decomposition]) -> Decomposition:
        """Return the decomposition for a route, computed once per matrix."""
        if route not in self.forms:
            self.forms[route] = compute(self)
        return self.forms[route]

    def accepting(self, bound: float) -> Problem:
        """Return the same problem with a bound beyond which a route may give up."""
        return replace(self, accept=bound)

    @property
    def nonnegative(self) -> bool:
        """Whether A and h have real, non-negative entries only."""
        real = not (np.iscomplexobj(self.matrix) or np.iscomplexobj(self.start))
        return bool(real and (self.matrix >= 0).all() and (self.start >= 0).all())


@dataclass(frozen=True)
class Approximation:
    """States ``values[i] * 2**exponents[i]``; the error of an entry is ≤ ``errors[i] * 2**exponents[i]``."""

    values: Matrix
    exponents: list[int]
    errors: FloatArray


def loop(problem: Problem) -> Approximation:
    """Multiply step by step; raises PrecisionError at the time limit."""
    dtype, wanted = np.result_type(problem.matrix, problem.start), set(problem.times)
    A = problem.matrix.astype(dtype)
    size, n = np.abs(A), len(A)
    unit = gamma(roundings(n, A, problem.start) + 2)
    # Underflow costs one product at most 4n·2**-1075; between two scalings the state grows by at most n**8.
    floor = n * 2.0**-1065 + problem.lost * float(max(n, 2)) ** 9
    y, exponent = problem.start.astype(dtype), 0
    error = np.full(n, problem.lost)
    found: dict[int, tuple[Matrix, int, float]] = {}
    began = time.monotonic()
    for t in range(1, max(wanted) + 1):
        error = size @ (error + unit * np.abs(y)) + floor
        y = A @ y
        if t % 8 == 0 or t in wanted:
            y, shift = normalised(y)
            exponent += shift
            error = shifted(error, -shift)
            if float(error.max()) > problem.accept:
                raise PrecisionError(f"the bound of the loop exceeds {problem.accept} at step {t}")
            if t in wanted:
                own = (1.0 + gamma((n + 3) * t)) * SLACK
                found[t] = (y, exponent, (float(error.max()) + floor) * own)
            if t % 1024 == 0 and time.monotonic() - began > problem.seconds:
                raise PrecisionError(
                    f"the loop reached step {t} of {max(wanted)} in {problem.seconds} seconds (max_seconds); "
                    "take route 'auto', or allow more time"
                )
    return _gathered(problem, found)


def _gathered(problem: Problem, found: dict[int, tuple[Matrix, int, float]]) -> Approximation:
    rows = [found[t] for t in problem.times]
    return Approximation(
        np.array([y for y, _, _ in rows]), [e for _, e, _ in rows], np.array([error for _, _, error in rows])
    )


def squaring(problem: Problem) -> Approximation:
    """Multiply by the powers A, A², A⁴, ... in the binary expansion of every t."""
    A, h, times = problem.matrix, problem.start, problem.times
    dtype, count = np.result_type(A, h), len(times)
    chains = [_Chain(A.astype(dtype), h.astype(dtype), count, problem.lost)]
    if not problem.nonnegative:
        chains.append(_Chain(np.abs(A), np.abs(h), count, problem.lost))
    states, sizes = chains[0], chains[-1]
    began = time.monotonic()
    for bit in range(max(times).bit_length()):
        which = [i for i, t in enumerate(times) if t >> bit & 1]
        for chain in chains:
            if bit:
                chain.square()
            if which:
                chain.multiply(which)
        if time.monotonic() - began > problem.seconds:
            raise PrecisionError(f"squaring takes more than {problem.seconds} seconds: raise max_seconds")
    errors = np.empty(count)
    for i, t in enumerate(times):
        bound = gamma(roundings(len(A), A, h) * t + 1)
        size = float(np.abs(sizes.columns[:, i]).max(initial=0.0)) + sizes.floors[i]
        error = bound * (1.0 + bound) * SLACK * size + sizes.floors[i]
        errors[i] = float(shifted(np.array(error), sizes.exponents[i] - states.exponents[i])) + FLOOR
    return Approximation(states.columns.T, states.exponents, errors)


class _Chain:
    """The powers A, A², A⁴, ... of one matrix, and the columns multiplied by them, each with its exponent."""

    def __init__(self, matrix: Matrix, start: Matrix, count: int, lost: float) -> None:
        self.power, self.exponent, self.floor = matrix, 0, lost
        self.columns = np.repeat(start[:, None], count, axis=1)
        self.exponents, self.floors = [0] * count, np.full(count, lost)

    def square(self) -> None:
        """Go from A**k to A**(2k)."""
        n = len(self.power)
        row, column = (float(np.linalg.norm(self.power, order)) for order in (np.inf, 1))
        lost = self.floor * (row + column + n * self.floor) + n * FLOOR
        self.power, shift = normalised(self.power @ self.power)
        self.floor = float(shifted(np.array(lost * SLACK), -shift)) + FLOOR
        self.exponent = 2 * self.exponent + shift

    def multiply(self, which: list[int]) -> None:
        """Multiply the selected columns by the current power."""
        n, everything = len(self.power), len(which) == len(self.exponents)
        product = self.power @ (self.columns if everything else self.columns[:, which])
        row = float(np.linalg.norm(self.power, np.inf))
        for j, column in enumerate(which):
            self.columns[:, column], shift = normalised(product[:, j])
            self.exponents[column] += self.exponent + shift
            lost = (row + n * self.floor) * self.floors[column] + n * (self.floor + FLOOR)
            self.floors[column] = float(shifted(np.array(lost * SLACK), -shift)) + FLOOR
