r"""Lyapunov exponents of a recurrent model along its own trajectories.

A perturbation of the state follows the Jacobians, :math:`\delta_t = J_t \delta_{t-1}`. The exponents
:math:`\lambda_1 \ge \lambda_2 \ge \dots`, natural log per step, are the rates of the axes of the ellipsoid
that a small ball of states becomes; the gradient at lag k falls or grows like :math:`e^{\lambda_1 k}`.
Measured by QR (`dynprop.products.lyapunov_exponents`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray, IntArray
from dynprop.errors import ArgumentError
from dynprop.gradients.by_lag import require_count
from dynprop.gradients.lags.chain import Chain, steps_of
from dynprop.products.matrices.exponents import LyapunovExponents, lyapunov_exponents
from dynprop.results import Result

__all__ = ["LyapunovSpectrum", "lyapunov_spectrum"]


@dataclass(frozen=True, eq=False, repr=False)
class LyapunovSpectrum(Result):
    """The exponents of each sequence.

    Attributes:
        name: of the recurrent part; empty for the model itself.
        exponents: natural log per step, (sequences, size), in the order of the factorisation; -inf where a
            product is singular.
        bounds: bound on what rounding adds to each; see `dynprop.products.lyapunov_exponents`.
        spread: standard error of each as an estimate of its limit; NaN for short sequences.
        steps: that were averaged, (sequences,).
    """

    name: str
    exponents: FloatArray
    bounds: FloatArray
    spread: FloatArray
    steps: IntArray

    @property
    def mean(self) -> FloatArray:
        """Mean over sequences, descending, (size,)."""
        return np.sort(self.exponents.mean(axis=0))[::-1]

    @property
    def largest(self) -> float:
        """The largest exponent: ln of the factor of a gradient per step."""
        return float(self.mean[0])

    @property
    def dimension(self) -> float:
        """Kaplan and Yorke's dimension of the attractor: 0 where every exponent is negative."""
        sums = np.cumsum(self.mean)
        count = int((sums >= 0.0).sum())
        if count == 0 or count == len(sums):
            return float(count)
        return count + float(sums[count - 1] / -self.mean[count])


def _matrices(chain: Chain, row: int, skip: int) -> Iterator[FloatArray]:
    """Yield the Jacobians of a sequence from the first step on, or after some."""
    length, each = int(chain.lengths[row]), steps_of(1, chain.size * chain.size)
    for start in range(skip + 1, length + 1, each):
        times = np.arange(start, min(start + each, length + 1))
        yield from chain.block(np.full(len(times), row), times).jacobians()


def lyapunov_spectrum(
    model: Any, inputs: Any, module: str | None = None, *, skip: int = 0
) -> LyapunovSpectrum:
    """Return the Lyapunov exponents of a recurrent model driven by inputs.

    Args:
        model, inputs, module: as for `dynprop.gradients.gradient_by_lag`; of several recurrent parts the one
            that is called last.
        skip: steps at the start that are left out, so that the state has come to where it stays.

    Raises:
        ArgumentError: as for `gradient_by_lag`; or nothing is left after the steps that are skipped.
        NotFiniteError: a state is NaN or infinite.

    Source: Benettin, Galgani, Giorgilli and Strelcyn (1980), Meccanica 15:9; Vogt, Puelma Touzel, Shlizerman
        and Lajoie (2022), arXiv:2006.14123, for recurrent networks.

    Example:
        >>> import numpy as np
        >>> from dynprop.gradients import ElmanStep, lyapunov_spectrum
        >>> cell = ElmanStep(np.ones((2, 1)), np.diag([2.0, 0.5]), np.zeros(2), "linear")
        >>> np.round(lyapunov_spectrum(cell, np.zeros((10, 1))).exponents, 6)
        array([[ 0.693147, -0.693147]])
    """
    require_count("skip", skip, 0)
    from dynprop.gradients.models.parts import parts_of

    part = parts_of(model, inputs, module)[-1]
    shortest = int(part.chain.lengths.min())
    if skip >= shortest:
        raise ArgumentError("skip", str(skip), f"fewer than the {shortest} steps of the shortest sequence")
    found: list[LyapunovExponents] = [
        lyapunov_exponents(_matrices(part.chain, row, skip)) for row in range(len(part.chain.lengths))
    ]
    return LyapunovSpectrum(
        part.name,
        np.stack([each.exponents for each in found]),
        np.stack([each.bounds for each in found]),
        np.stack([each.spread for each in found]),
        np.array([each.steps for each in found]),
    )
