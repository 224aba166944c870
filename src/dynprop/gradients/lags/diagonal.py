"""Steps of diagonal linear cells, LRU and state-space models; the equations are in module `steps`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from dynprop.arrays import FloatArray, NumericArray, describe, exact_floats, require_finite, require_rank
from dynprop.errors import ArgumentError
from dynprop.gradients.lags.steps import Step, diagonals

__all__ = ["DiagonalStep", "lru_step", "ssm_step"]


@final
@dataclass(frozen=True, eq=False)
class DiagonalStep(Step):
    """h' = λ h + B x with a complex diagonal λ; the state is (Re h, Im h).

    Attributes:
        eigenvalues: λ, (n,), complex.
        inputs: B, (n, features), complex.

    Raises:
        ArgumentError: a shape does not fit, or a number is not finite.
    """

    eigenvalues: NumericArray
    inputs: NumericArray

    def __post_init__(self) -> None:
        require_rank("eigenvalues", self.eigenvalues, ("hidden",))
        require_rank("inputs", self.inputs, ("hidden", "features"))
        for name in ("eigenvalues", "inputs"):
            value = np.array(exact_floats(name, getattr(self, name)), dtype=np.complex128)
            require_finite(name, value)
            object.__setattr__(self, name, value)
        if len(self.inputs) != len(self.eigenvalues):
            raise ArgumentError("inputs", describe(self.inputs), f"{len(self.eigenvalues)} rows")

    @property
    def size(self) -> int:
        """Numbers in its state."""
        return 2 * len(self.eigenvalues)

    @property
    def features(self) -> int:
        """Numbers in an input."""
        return int(self.inputs.shape[1])

    def step(self, inputs: FloatArray, state: FloatArray) -> FloatArray:
        """Return the next states."""
        n = len(self.eigenvalues)
        new = self.eigenvalues * (state[:, :n] + 1j * state[:, n:]) + inputs @ self.inputs.T
        return np.concatenate([new.real, new.imag], axis=1)

    def coefficients(self, inputs: FloatArray, state: FloatArray) -> FloatArray:
        """Return what the derivatives need beside the weights."""
        parts = np.stack([self.eigenvalues.real, self.eigenvalues.imag])
        return np.ascontiguousarray(np.broadcast_to(parts[:, None], (2, len(inputs), parts.shape[1])))

    def jacobians(self, coefficients: FloatArray) -> FloatArray:
        """Return ∂s'/∂s."""
        real, imaginary = (diagonals(part) for part in coefficients)
        return np.concatenate(
            [np.concatenate([real, -imaginary], axis=2), np.concatenate([imaginary, real], axis=2)], axis=1
        )

    def input_jacobians(self, coefficients: FloatArray) -> FloatArray:
        """Return ∂s'/∂x."""
        both = np.concatenate([self.inputs.real, self.inputs.imag])
        return np.array(np.broadcast_to(both, (coefficients.shape[1], *both.shape)))

    def pulled(self, vectors: FloatArray, coefficients: FloatArray) -> FloatArray:
        """Return v ∂s'/∂s."""
        n = len(self.eigenvalues)
        first, second = vectors[..., :n], vectors[..., n:]
        real, imaginary = coefficients
        return np.concatenate([first * real + second * imaginary, second * real - first * imaginary], axis=-1)

    def pulled_to_inputs(self, vectors: FloatArray, coefficients: FloatArray) -> FloatArray:
        """Return v ∂s'/∂x."""
        return np.asarray(vectors @ np.concatenate([self.inputs.real, self.inputs.imag]))


def lru_step(nu: FloatArray, theta: FloatArray, inputs: NumericArray) -> DiagonalStep:
    """Return a linear recurrent unit: λ = exp(-exp(ν) + iθ), inputs scaled by γ = √(1-|λ|²).

    Args:
        nu: ν, (n,).
        theta: θ, (n,), radians.
        inputs: B, (n, features), complex, before its scale.

    Raises:
        ArgumentError: a shape does not fit.

    Source: Orvieto et al. (2023), arXiv:2303.06349, eq. 6 and 7.

    Example:
        >>> import numpy as np
        >>> from dynprop.gradients import lru_step
        >>> step = lru_step(np.log(-np.log([0.9])), np.array([0.1]), np.ones((1, 1)))
        >>> np.round(np.abs(step.eigenvalues), 6)
        array([0.9])
    """
    decay = np.exp(np.asarray(exact_floats("nu", nu), dtype=np.float64))
    eigenvalues = np.exp(-decay + 1j * np.asarray(exact_floats("theta", theta)))
    scale = np.sqrt(-np.expm1(-2.0 * decay))
    return DiagonalStep(eigenvalues, scale[:, None] * np.asarray(exact_floats("inputs", inputs)))


def ssm_step(poles: NumericArray, inputs: NumericArray, step_size: float) -> DiagonalStep:
    """Return a diagonal state-space model under zero-order hold: λ = exp(Δa), B̄ = (λ-1)/a · B.

    Args:
        poles: a, (n,), complex, in continuous time; a zero pole integrates.
        inputs: B, (n, features), complex.
        step_size: Δ > 0, time of one step.

    Raises:
        ArgumentError: a shape does not fit, or the step is not positive.

    Source: Gupta, Gu and Berant (2022), arXiv:2203.14343, eq. 3; Gu et al. (2022), arXiv:2206.11893.

    Example:
        >>> import numpy as np
        >>> from dynprop.gradients import ssm_step
        >>> float(ssm_step(np.array([-0.5]), np.ones((1, 1)), 2.0).eigenvalues[0].real.round(6))
        0.367879
    """
    if not (step_size > 0.0 and np.isfinite(step_size)):
        raise ArgumentError("step_size", repr(step_size), "a positive finite number")
    a = np.asarray(exact_floats("poles", poles), dtype=np.complex128)
    at_rest = a == 0.0
    held = np.where(at_rest, step_size, np.expm1(step_size * a) / np.where(at_rest, 1.0, a))
    return DiagonalStep(np.exp(step_size * a), held[:, None] * np.asarray(exact_floats("inputs", inputs)))
