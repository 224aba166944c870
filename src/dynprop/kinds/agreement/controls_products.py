"""A control of kind agreement: laws of products by formulas and enumeration."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynprop.laws.catalogue import Catalogue

Array = NDArray[Any]

agreements = Catalogue("agreement", "numpy")
CATALOGUES = (agreements,)


@dataclass(frozen=True)
class Exponents:
    """Exponents, and bounds on what rounding adds to each."""

    exponents: Array
    bounds: Array


@dataclass(frozen=True)
class Drift:
    """Mean of a log norm."""

    log_mean: float


def _half_log_moment(width: int, activation: str) -> float:
    """E log chi^2 of n degrees, or of a binomial number of them given any."""
    from scipy import stats
    from scipy.special import psi

    if activation == "linear":
        return float(psi(width / 2.0)) + math.log(2.0)
    alive = np.arange(1, width + 1)
    mass = stats.binom(width, 0.5).pmf(alive)
    return float(mass @ (psi(alive / 2.0) + math.log(2.0)) / mass.sum())


@agreements.control("control/agreement-formulas")
class Formulas:
    """The root as a power of floats, exponents by QR at every step, gains from sums over degrees."""

    @staticmethod
    def step_variance(target: float, depth: int) -> float:
        """Take the root."""
        return float(target ** (1.0 / depth))

    @staticmethod
    def critical_gain(width: int, activation: str) -> float:
        """Bring the drift of one layer to 0."""
        return math.exp(0.5 * (math.log(width) - _half_log_moment(width, activation)))

    @staticmethod
    def layer_norm_law(widths: list[int], gain: float, activation: str) -> Drift:
        """Add the drifts of the layers."""
        drifts = [
            2.0 * math.log(gain) - math.log(before) + _half_log_moment(after, activation)
            for before, after in itertools.pairwise(widths)
        ]
        return Drift(0.5 * math.fsum(drifts))

    @staticmethod
    def gaussian_exponents(width: int, variance: float) -> Array:
        """Newman's formula."""
        from scipy.special import psi

        return np.array([0.5 * (math.log(2.0 * variance) + psi(k / 2.0)) for k in range(width, 0, -1)])

    @staticmethod
    def lyapunov_exponents(matrices: list[Array]) -> Exponents:
        """Factorise at every step."""
        n = len(matrices[0])
        frame, logs, size = np.eye(n), np.zeros(n), 0.0
        for matrix in matrices:
            frame, triangle = np.linalg.qr(matrix @ frame)
            logs += np.log(np.abs(triangle.diagonal()))
            size += float(np.linalg.cond(matrix))
        return Exponents(logs / len(matrices), np.full(n, 64.0 * n * n * 2.0**-53 * size / len(matrices)))

    @staticmethod
    def running_log_products(weights: Array) -> tuple[Array, Array]:
        """Add logarithms and multiply signs."""
        with np.errstate(divide="ignore"):
            logs = np.cumsum(np.log(np.abs(weights)), axis=0)
        return np.cumprod(np.sign(weights), axis=0), logs

    @staticmethod
    def scan(gates: Array, inputs: Array, initial: Array) -> Array:
        """Go through time."""
        states, state = np.empty_like(inputs), initial
        for t in range(inputs.shape[1]):
            state = gates[:, t] * state + inputs[:, t]
            states[:, t] = state
        return states
