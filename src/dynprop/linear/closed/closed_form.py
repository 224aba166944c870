r"""The state of a linear recurrence at any time: :math:`h_t = (W^t)^T h_0`.

Goodfellow, Bengio and Courville (2016), Deep Learning, section 10.7, equations 10.37 to 10.39. For
symmetric :math:`W = QΛQ^T`, Q orthogonal,

.. math:: h_t = Q Λ^t Q^T h_0 ,

**not** the :math:`Q^T Λ^t Q\,h_0` printed in equation 10.39, which belongs to :math:`W = Q^T Λ Q`. The two
agree if and only if :math:`Q^2` commutes with :math:`Λ^t`, and share spectrum, trace, determinant and norms,
so only a comparison of entries tells them apart. In general, with :math:`W = V Λ V^{-1}`,
:math:`h_t = V^{-T} Λ^t V^T h_0` (plain transposes, also for complex V), and a defective W has no such form.

**Never silently wrong.** The state is ``value * 2**exponent``, so that it neither overflows nor underflows,
with a proved bound of its error (derived in `routes`, `spectral` and `certified`). A state that no route can
bound is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from dynprop.arrays import BoolArray, FloatArray, IntArray, NumericArray, describe
from dynprop.errors import ArgumentError, PrecisionError
from dynprop.linear.arithmetic.memory import keep_memory
from dynprop.linear.arithmetic.powers import LARGEST_POWER
from dynprop.linear.arithmetic.scaled import FLOOR, SLACK, gamma, normalised, normalised_rows, shifted
from dynprop.linear.closed.certified import MAX_BITS, MAX_SECONDS, certified_states
from dynprop.linear.closed.routes import Approximation, Problem, loop, squaring
from dynprop.linear.closed.similarity import Decomposition
from dynprop.linear.closed.spectral import eigen, is_hermitian, schur, symmetric
from dynprop.linear.validation import (
    Matrix,
    bit_limit,
    positive,
    require_memory,
    square_matrix,
    state_batch,
    step_counts,
)
from dynprop.results import Result

__all__ = ["ClosedForm", "Route", "closed_form"]

Route = Literal["auto", "loop", "squaring", "symmetric", "eigen", "schur", "certified"]

# Largest relative bound of a float64 route that `auto` accepts.
ACCEPTED = 1e-10
# Accuracy of certified states before they are rounded to float64.
_BITS = 64

_ROUTES: dict[str, Callable[[Problem], Approximation]] = {
    "loop": loop,
    "squaring": squaring,
    "symmetric": symmetric,
    "eigen": eigen,
    "schur": schur,
}


@dataclass(frozen=True, eq=False, repr=False)
class ClosedForm(Result):
    """The state at time t, or the states at several times; compared by contents and unhashable.

    The leading axes of the arrays are those of t and of h0: none for one time and one state, (len(t),) for an
    array of times, (m,) for a batch of m states, (len(t), m) for both.

    Attributes:
        value: the states without their exponents, shape (..., n); float64, or complex128 where W or h0 is
            complex. max|value| of a state is in [0.5, 1) unless it is zero.
        exponent: a state is ``value * 2.0**exponent``; a Python integer of any size, or an object array of
            them, shape (...).
        route: the route that was taken.
        relative_bound: bound of max|error| / max|value| of each state, a float or an array of shape (...);
            0.0 for an exact zero.
    """

    value: Matrix
    exponent: int | NumericArray
    route: Route
    relative_bound: float | FloatArray

    @property
    def state(self) -> Matrix:
        """The state as plain floats; entries beyond the range of floats are infinite or zero."""
        with np.errstate(over="ignore", under="ignore"):
            if isinstance(self.exponent, int):
                return shifted(self.value, self.exponent)
            powers = np.clip(self.exponent, -4200, 4200).astype(np.int64)
            return shifted(self.value, powers[..., np.newaxis])


def closed_form(
    W: Any,
    h0: Any,
    t: Any,
    route: Route = "auto",
    *,
    max_bits: int = MAX_BITS,
    max_seconds: float = MAX_SECONDS,
) -> ClosedForm:
    """Compute (Wᵗ)ᵀ h0 with a proved error bound, for any square W, defective ones included.

    Args:
        W: the matrix, shape (n, n), numpy, real or complex floats.
        h0: the state at time 0, shape (n,), or a batch of them, (m, n); all states share one decomposition.
        t: the time, an integer from 0 to 2⁶³ - 1, or a one-dimensional array or sequence of them; all times
            share one decomposition.
        route: "auto" takes the cheapest float64 route whose bound is below 1e-10 (at every t, for
            every state) and otherwise "certified". The others are "loop", step by step; "squaring" of W;
            "symmetric", by eigh; "eigen", by eig; "schur", for W with few eigenvectors; each gives its bound.
        max_bits: largest precision of the certified route.
        max_seconds: time limit of the certified route, the loop and squaring.

    Raises:
        ArgumentError: wrong rank, shape or dtype, NaN or infinity, a time that is out of range or no integer,
            an unknown route, or the symmetric route for a W that is not exactly symmetric or Hermitian.
        PrecisionError: the error bound of the forced route is 1 or more, or the certified one reaches its
            limits. The message contains the remedy.

    Example:
        >>> import numpy as np
        >>> found = closed_form(np.diag([0.5, 2.0]), np.array([1.0, 1.0]), 10)
        >>> found.state
        array([9.765625e-04, 1.024000e+03])
        >>> closed_form(np.array([[2.0]]), np.array([1.0]), 10**6).exponent
        1000001
        >>> closed_form(np.diag([0.5, 2.0]), np.eye(2), [0, 1, 2]).state.shape
        (3, 2, 2)

    Source: Goodfellow, Bengio and Courville (2016), section 10.7, equation 10.39, corrected.
    """
    matrix = square_matrix(W)
    start = state_batch(h0, len(matrix))
    rows = np.atleast_2d(start)
    times, single = step_counts(t)
    if route not in get_args(Route):
        raise ArgumentError("route", describe(route), f"one of {', '.join(get_args(Route))}")
    if route == "symmetric" and not is_hermitian(matrix):
        raise ArgumentError("W", "a matrix unlike its conjugate transpose", "a symmetric or Hermitian matrix")
    bits, seconds = bit_limit(max_bits, least=64), positive(max_seconds, "max_seconds")
    dtype = np.result_type(matrix, start)
    require_memory("t", (len(times), *rows.shape), dtype.itemsize)

    values = np.zeros((len(times), *rows.shape), dtype=dtype)
    exponents = np.zeros((len(times), len(rows)), dtype=object)
    bounds = np.zeros((len(times), len(rows)))
    # A state that is zero stays so, and would only be in the way of relative bounds.
    live = np.flatnonzero(rows.any(axis=1))
    A, reached, gone = _reachable(matrix.T, rows)
    asked = sorted({s for s in times if 0 < s < gone})
    taken: Route = "loop" if route == "auto" else route
    answers = {0: [_exact(rows[j]) for j in live]}
    if asked and len(live):
        solver = _Solver(A, rows[np.ix_(live, reached)], asked, bits, seconds)
        taken, found = solver.best() if route == "auto" else (route, solver.by(route))
        answers.update(zip(asked, found, strict=True))
    for i, s in enumerate(times):
        for j, answer in zip(live.tolist(), answers.get(s, ()), strict=s in answers):
            values[i, j, reached if s else slice(None)], exponents[i, j], bounds[i, j] = answer
    if start.ndim == 1:
        values, exponents, bounds = values[:, 0], exponents[:, 0], bounds[:, 0]
    if single:
        values, exponents, bounds = values[0], exponents[0], bounds[0]
    if single and start.ndim == 1:
        return ClosedForm(values, int(exponents), taken, float(bounds))
    return ClosedForm(values, exponents, taken, bounds)


# A state, its exponent and its relative bound.
_Answer = tuple[Matrix, int, float]


def _exact(h: Matrix) -> _Answer:
    value, exponent = normalised(h)
    return value, exponent, 0.0 if np.array_equal(shifted(value, exponent), h) else FLOOR


def _reachable(A: Matrix, rows: Matrix) -> tuple[Matrix, IntArray, float]:
    """Return A on the coordinates that the states can reach, their indices, and when all states are zero.

    A coordinate stays exactly zero if no path of nonzero entries connects it to the support of a state.
    Leaving it out, a growing block that no state enters costs no digits. The number of steps until all states
    are zero is infinite if there is no such number.
    """
    links = A != 0
    support: BoolArray = np.asarray((rows != 0).any(axis=0))
    ever = support
    new = ever
    while new.any() and not ever.all():
        new = np.any(links[:, new], axis=1) & ~ever
        ever = ever | new
    if ever.all():
        inside, reached = np.ascontiguousarray(A), np.arange(len(A))
    else:
        reached = np.flatnonzero(ever)
        links = links[np.ix_(reached, reached)]
        inside = np.ascontiguousarray(A[np.ix_(reached, reached)])
    return inside, reached, _steps_until_zero(links, support[reached])


def _steps_until_zero(links: BoolArray, now: BoolArray) -> float:
    """Number of steps until no coordinate is reached (W nilpotent on the state), else infinity.

    n steps suffice to decide.
    """
    if links.any(axis=0).all() and len(links) > 0:
        return math.inf
    for step in range(len(links) + 1):
        if not now.any():
            return step
        now = np.asarray(links[:, now].any(axis=1))
    return math.inf


class _Solver:
    """The routes for one matrix, several states that are not zero and positive times in increasing order.

    Answers are lists by time of lists by state.
    """

    def __init__(self, A: Matrix, rows: Matrix, times: list[int], bits: int, seconds: float) -> None:
        self.A, self.rows, self.times, self.bits, self.seconds = A, rows, times, bits, seconds
        # Sixteen arrays like A, the most that a route has at a time.
        keep_memory(16 * A.nbytes)
        matrix, self.scale = normalised(A)
        matrix = np.ascontiguousarray(matrix)
        forms: dict[str, Decomposition] = {}
        starts = [normalised(row) for row in rows]
        self.start_scales = [exponent for _, exponent in starts]
        # Scaling rounds subnormal entries to a multiple of 2**-1074.
        self.problems = [Problem(matrix, h, 2.0**-1074, times, seconds, forms=forms) for h, _ in starts]

    def best(self) -> tuple[Route, list[list[_Answer]]]:
        """Use the cheapest float64 route with an accepted bound, else the certified one."""
        refused: PrecisionError | None = None
        for route in self._candidates():
            try:
                return route, self._certified() if route == "certified" else self._float64(route, ACCEPTED)
            except PrecisionError as refusal:
                refused = refusal if route == "certified" else refused
        assert refused is not None, "the certified route is always a candidate"
        raise refused

    def by(self, route: Route) -> list[list[_Answer]]:
        """Use the given route; raise PrecisionError where its relative bound is 1 or more."""
        if route == "certified":
            return self._certified()
        if self.times[-1] > LARGEST_POWER:
            raise PrecisionError(
                f"route {route!r} has no correct digit at t = {self.times[-1]}: take route 'certified'"
            )
        return self._float64(route, math.inf)

    def _candidates(self) -> list[Route]:
        """Routes whose bound can be small enough, by estimated microseconds on one core.

        The estimate of the certified route includes an extra 10 ms, so that float64 comes first, except for
        a loop of tens of thousands of steps over a small matrix.
        """
        n, last, count = len(self.A), self.times[-1], len(self.times)
        cost: dict[Route, float] = {"certified": 1e4 + last.bit_length() * (20.0 * count + n**3 / 10.0)}
        # The bounds of plain products exceed γ(n t).
        if gamma(n * last) < ACCEPTED:
            cost["loop"] = last * (12.0 + n * n / 5e3)
            if all(problem.nonnegative for problem in self.problems):
                cost["squaring"] = last.bit_length() * (60.0 + n**3 / 2.5e4 + 10.0 * count)
        if last <= LARGEST_POWER:
            cost["eigen"] = 500.0 + n**3 / 400.0
            if gamma(n * last) < ACCEPTED:
                cost["schur"] = 3.0 * cost["eigen"] + 4.0 * n * n
            if is_hermitian(self.A):
                cost["symmetric"] = 400.0 + n**3 / 1500.0
        return sorted(cost, key=lambda route: cost[route])

    def _float64(self, route: Route, accept: float) -> list[list[_Answer]]:
        """Compute the states by a float64 route, each with a bound below min(accept, 1)."""
        found = [self._of_state(route, j, accept) for j in range(len(self.rows))]
        for answers in found:
            for t, (_, _, bound) in zip(self.times, answers, strict=True):
                if not bound < min(accept, 1.0):
                    raise PrecisionError(
                        f"route {route!r} bounds its relative error at t = {t} only by {bound:.2g}; "
                        "take route 'certified', or 'auto'"
                    )
        return [list(answers) for answers in zip(*found, strict=True)]

    def _of_state(self, route: Route, j: int, accept: float) -> list[_Answer]:
        problem = self.problems[j]
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            found = _ROUTES[route](problem if accept == math.inf else problem.accepting(accept))
            values, shifts = normalised_rows(found.values)
            errors = shifted(found.errors, -shifts) + FLOOR
            sizes = np.abs(values).max(axis=1)
            bounds = np.where(sizes > 0.0, errors / np.where(sizes > 0.0, sizes, 1.0) * SLACK, math.inf)
            bounds = np.where(np.isfinite(bounds), bounds, math.inf)
            total = [
                e + s + self.start_scales[j] + t * self.scale
                for e, s, t in zip(found.exponents, shifts.tolist(), self.times, strict=True)
            ]
            return list(zip(values, total, bounds.tolist(), strict=True))

    def _certified(self) -> list[list[_Answer]]:
        found = certified_states(self.A, self.rows.T, self.times, _BITS, self.bits, self.seconds)
        return [[(f.value[:, 0], f.exponent, f.relative_bound) for f in states] for states in found]
