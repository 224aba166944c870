r"""Transient growth: :math:`\|W^t\|_2` for t = 0, 1, ..., with error bounds.

The spectral radius ρ decides the limit, not the transient. For normal W the norm is :math:`\rho^t`;
in general only :math:`\rho^t \le \|W^t\| \le \kappa(V)\,\rho^t`, and a matrix with ρ < 1 can amplify by
any factor before it decays. Section 10.8 of Goodfellow, Bengio and Courville (2016) calls such a map
contractive, which holds only if :math:`\|W\| < 1`.

Method. Powers are scaled by powers of two. With B ≈ √T, the powers below B are a running product and
block j needs only :math:`C_j`, a matrix of few rows with :math:`\|C_j X\| = \|W^{jB} X\|` up to a known
error: a pivoted QR drops the directions in which :math:`W^{jB}` is negligible. Norms are square roots of the
largest eigenvalue of a Gram matrix, which has full relative accuracy.

Bound (Higham 2002, section 3.5; any order of summation, fused or not). A product of computed factors
errs by at most :math:`\gamma_n\|A\|_F\|B\|_F`. An error δᵢ made in :math:`W^i` reaches :math:`W^t` as
:math:`\delta_i W^{t-i}`, so :math:`\|E_t\| \le \sum_i \|\delta_i\|\,\|W^{t-i}\|`, with all factors known.
Where that bound is too wide (for example a nilpotent matrix after a similarity, whose float powers are
noise), the powers are computed again in ball arithmetic. A logarithm is minus infinity only where the power
is exactly zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.linear.growth.norms import norms_of_powers
from dynprop.linear.validation import (
    Matrix,
    bit_limit,
    positive,
    require_memory,
    square_matrix,
    step_count,
)
from dynprop.results import Result

if TYPE_CHECKING:
    from dynprop.linear.growth.bounds import GrowthBounds

__all__ = ["Growth", "GrowthVerdict", "growth"]

# Arrays of one float per step that are alive at once, the result included.
_ARRAYS = 8


class GrowthVerdict(StrEnum):
    """Conclusions about the stored matrix that the norms up to the horizon prove."""

    CONTRACTIVE = "contractive: every step shrinks the 2-norm"
    TRANSIENT = "spectral radius below one, yet not contractive"
    DECAYING = "spectral radius below one; whether one step contracts is within rounding"
    NOT_ESTABLISHED = "decay is not established within the horizon"


@dataclass(frozen=True, eq=False, repr=False)
class Growth(Result):
    """The norms of the powers of one matrix, as `growth` returns them.

    Growths are compared by contents and unhashable.

    Attributes:
        W: the matrix, shape (n, n), float64 or complex128.
        log_norms: natural logarithm of ‖Wᵗ‖₂ for t = 0..horizon, shape (horizon + 1,); minus infinity
            exactly where the power is exactly zero.
        log_errors: proven bound on the error of each logarithm, same shape.
    """

    W: Matrix = field(repr=False)
    log_norms: FloatArray = field(repr=False)
    log_errors: FloatArray = field(repr=False)

    _summary: ClassVar[tuple[str, ...]] = ("horizon", "peak", "peak_step", "decay_step", "verdict")

    @property
    def horizon(self) -> int:
        """The last step."""
        return len(self.log_norms) - 1

    @property
    def peak_step(self) -> int:
        """The step with the largest norm, the first of equals."""
        return int(np.argmax(self.log_norms))

    @property
    def log_peak(self) -> float:
        """Natural logarithm of the largest norm."""
        return float(self.log_norms[self.peak_step])

    @property
    def peak(self) -> float:
        """The largest norm itself; infinity where it exceeds the largest float."""
        try:
            return math.exp(self.log_peak)
        except OverflowError:
            return math.inf

    @property
    def decay_step(self) -> int | None:
        """The first step t ≥ 1 with ‖Wᵗ‖ < 1 beyond the error, None if there is none up to the horizon.

        From then on decay is guaranteed: ‖W^(kt+r)‖ ≤ ‖Wᵗ‖ᵏ‖Wʳ‖ for all k and r, so ρ < 1, the powers
        tend to zero, and no later norm exceeds the peak of the steps before t. Later norms may still exceed
        one: see `settled_step`.
        """
        below = np.flatnonzero(self._below_one[1:])
        return int(below[0]) + 1 if len(below) else None

    @property
    def settled_step(self) -> int | None:
        """The first step from which every norm, also beyond the horizon, is proved below one.

        If the last m norms are below one and ‖Wᵈ‖ < 1 for a step d ≤ m, then all later norms are below one:
        ‖Wˢ‖ ≤ ‖W^(s-d)‖‖Wᵈ‖. None if the horizon is too short for the proof.
        """
        first = self.decay_step
        if first is None:
            return None
        above = np.flatnonzero(~self._below_one)
        settled = int(above[-1]) + 1 if len(above) else 0
        return settled if len(self.log_norms) - settled >= first else None

    @cached_property
    def verdict(self) -> GrowthVerdict:
        """The proved conclusion: contractive, a transient before decay, or no decay within the horizon."""
        if self.horizon and self._below_one[1]:
            return GrowthVerdict.CONTRACTIVE
        if self.decay_step is None:
            return GrowthVerdict.NOT_ESTABLISHED
        first, error = self.log_norms[1], self.log_errors[1]
        return GrowthVerdict.TRANSIENT if first - error >= 0 else GrowthVerdict.DECAYING

    @cached_property
    def bounds(self) -> GrowthBounds:
        """The classical bounds ρᵗ, κρᵗ, Henrici's and Kreiss's, as logarithms; computed on first access."""
        from dynprop.linear.growth.bounds import growth_bounds

        return growth_bounds(self.W, self.horizon)

    def __str__(self) -> str:
        """Summarise verdict, peak and decay in one line."""
        parts = [str(self.verdict), f"peak {self.peak:.4g} at step {self.peak_step}"]
        if self.decay_step is not None:
            parts.append(f"decay guaranteed from step {self.decay_step}")
        return "; ".join(parts)

    @property
    def _below_one(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        return self.log_norms + self.log_errors < 0


def growth(W: Matrix, horizon: int, *, tolerance: float = 1e-6, max_bits: int = 4096) -> Growth:
    """Compute log ‖Wᵗ‖₂ for t = 0..horizon, without overflow or underflow, with a bound on the error.

    The result refers to the stored numbers: a float64 "orthogonal" matrix is not orthogonal, and its powers
    grow or decay at rounding level.

    Args:
        W: square matrix, shape (n, n), real or complex floats.
        horizon: the last step, an integer ≥ 0.
        tolerance: largest accepted error of a logarithm from float64 arithmetic; steps beyond it are
            computed again in ball arithmetic.
        max_bits: largest precision of the ball arithmetic.

    Returns:
        A `Growth`: ``.log_norms``, ``.log_errors``, ``.peak``, ``.peak_step``, ``.decay_step``,
        ``.settled_step``, ``.verdict`` and, computed on first access, ``.bounds``. The norm of an empty
        matrix is zero.

    Raises:
        ArgumentError: W is not square, not floating or not finite; the horizon is no integer ≥ 0,
            or its arrays do not fit in memory.
        PrecisionError: max_bits is too small for the tolerance.

    Example:
        >>> import numpy as np
        >>> found = growth(np.array([[0.5, 4.0], [0.0, 0.5]]), 20)
        >>> found.peak_step, round(found.peak, 2)
        (1, 4.06)
        >>> print(found)
        spectral radius below one, yet not contractive; peak 4.062 at step 1; decay guaranteed from step 6

    Source: Trefethen and Embree (2005), Spectra and Pseudospectra, chapter 14.
    """
    matrix = square_matrix(W)
    steps = step_count(horizon, "horizon")
    require_memory("horizon", (_ARRAYS, steps + 1), 8)
    require_memory("W", (_ARRAYS, *matrix.shape), matrix.itemsize)
    accepted, bits = positive(tolerance, "tolerance"), bit_limit(max_bits)
    norms, errors = norms_of_powers(matrix, steps, accepted, bits)
    return Growth(matrix.copy(), norms, errors)
