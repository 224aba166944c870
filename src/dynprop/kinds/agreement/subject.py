"""The namespace under test as laws see it, and the plain values that its functions return."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, Protocol, get_args

import numpy as np

from dynprop.arrays import FloatArray, IntArray, NumericArray
from dynprop.contracts.subject import FunctionSubject
from dynprop.training import Setting

__all__ = [
    "FUNCTIONS",
    "NO_OPTIONS",
    "AgreementSubject",
    "Components",
    "Eigen",
    "FunctionName",
    "Norms",
    "Scaled",
    "Sharing",
    "needs",
]

Sharing = Literal["fresh", "shared"]

FunctionName = Literal[
    "unroll",
    "closed_form",
    "scan",
    "certified_power",
    "spectrum",
    "growth",
    "kreiss_constant",
    "modes",
    "discard_ratio",
    "step_variance",
    "zero_drift_variance",
    "product_law",
    "shared_product_law",
    "running_log_products",
    "critical_gain",
    "layer_norm_law",
    "norm_walks",
    "orthogonal",
    "gaussian_exponents",
    "lyapunov_exponents",
    "mean_field",
    "edge_of_chaos",
    "cell_gradient_by_lag",
    "gradient_by_lag",
    "memory_by_lag",
    "weight_gradient_by_lag",
    "signal_to_noise_by_lag",
    "lyapunov_spectrum",
    "latch",
    "vanishing_condition",
    "clip_by_norm",
    "clip_by_value",
    "cliff",
    "initial_gradient_by_lag",
    "signal_to_noise",
    "proportion_interval",
    "confidence_sequence",
    "learning_time",
    "train",
]
NO_OPTIONS: Mapping[str, object] = MappingProxyType({})
FUNCTIONS: tuple[FunctionName, ...] = get_args(FunctionName)


@dataclass(frozen=True)
class Scaled:
    """A vector or matrix ``value * 2**exponent`` and a bound of max|error| / max|value|."""

    value: NumericArray
    exponent: int
    relative_bound: float

    def at(self, exponent: int) -> tuple[NumericArray, float]:
        """Return value * 2**(self.exponent - exponent), inf or 0 beyond floats, and a bound of its error."""
        shift = min(max(self.exponent - exponent, -4200), 4200)
        with np.errstate(all="ignore"):
            parts = [np.ldexp(x, shift) for x in (self.value.real, self.value.imag)]
            found = parts[0] + 1j * parts[1] if np.iscomplexobj(self.value) else parts[0]
            # Underflow in the shift adds an error of half a subnormal number.
            error = self.relative_bound * float(np.abs(found).max(initial=0.0)) + 2.0**-1074
        return np.asarray(found), error


@dataclass(frozen=True)
class Eigen:
    """The result of `spectrum`: eigenvalues by decreasing modulus, and measures of non-normality."""

    eigenvalues: NumericArray
    radius: float
    condition: float
    departure: float


@dataclass(frozen=True)
class Norms:
    """Logarithms of the norms of powers 0 to the horizon, and bounds of their errors."""

    logs: FloatArray
    errors: FloatArray


@dataclass(frozen=True)
class Components:
    """Distinct eigenvalues by decreasing modulus, dimensions of their eigenspaces, components of a state."""

    eigenvalues: NumericArray
    multiplicities: IntArray
    components: NumericArray


class AgreementSubject(FunctionSubject, Protocol):
    """A namespace under test; programs of gradients call its `unroll`.

    Arguments and results are numpy; the adapter checks shapes.
    """

    def has(self, name: FunctionName) -> bool:
        """Whether the namespace has a function."""
        ...

    def unroll(
        self, w: NumericArray, h: NumericArray, steps: int, inputs: NumericArray | None = None
    ) -> NumericArray:
        """Return the states, shape (steps + 1, n)."""
        ...

    def scan(self, gates: FloatArray, inputs: FloatArray, initial: FloatArray) -> FloatArray:
        """Return the states of one sequence, all of shape (time, channel), initial (channel,)."""
        ...

    def closed_form(self, w: NumericArray, h: NumericArray, t: int) -> Scaled:
        """Return the state at time t, shape (n,)."""
        ...

    def closed_forms(self, w: NumericArray, batch: NumericArray, t: int) -> list[Scaled]:
        """Return the states at time t of a batch of initial states, shape (m, n)."""
        ...

    def certified_power(self, w: NumericArray, t: int) -> Scaled:
        """Return W^t, shape (n, n)."""
        ...

    def spectrum(self, w: NumericArray) -> Eigen:
        """Return the eigenvalues, shape (n,), and measures of non-normality."""
        ...

    def growth(self, w: NumericArray, horizon: int) -> Norms:
        """Return the logarithms of the norms, shape (horizon + 1,)."""
        ...

    def kreiss_constant(self, w: NumericArray) -> float:
        """Return the Kreiss constant."""
        ...

    def modes(self, w: NumericArray, h: NumericArray) -> Components:
        """Return the components of a state in d eigenspaces, shape (d, n)."""
        ...

    def discard_ratio(self, w: NumericArray, h: NumericArray, t: int) -> float:
        """Return the tangent of the angle to the dominant mode."""
        ...

    def number(self, name: FunctionName, *given: object, read: str = "") -> float:
        """Call a function and return its result, or its attribute ``read``, as a number; NaN for None."""
        ...

    def numbers(
        self,
        name: FunctionName,
        *given: object,
        shape: tuple[int, ...],
        read: str = "",
        options: Mapping[str, object] = NO_OPTIONS,
    ) -> FloatArray:
        """Call a function and return its result, or its attribute ``read``, as an array of a shape."""
        ...

    def parts(
        self,
        name: FunctionName,
        *given: object,
        shapes: Mapping[str, tuple[int, ...]],
        options: Mapping[str, object] = NO_OPTIONS,
    ) -> dict[str, FloatArray]:
        """Call a function and return attributes of its result as arrays of these shapes; () is a number."""
        ...

    def refuses(self, name: FunctionName, *given: object) -> bool:
        """Call a function and return whether it raises a ValueError, TypeError or ArithmeticError."""
        ...

    def running_log_products(self, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return signs and logarithms of running products, each of the shape of the weights."""
        ...

    def norm_walks(
        self, width: int, depth: int, gain: float, nets: int, seed: int, weights: Sharing = "fresh"
    ) -> tuple[FloatArray, FloatArray]:
        """Return log norms through linear layers, forward and backward, shape (nets, depth + 1)."""
        ...

    def cell_gradient_by_lag(
        self, cell: str, parameters: Mapping[str, FloatArray], inputs: FloatArray
    ) -> FloatArray:
        """Return the gradients by lag of a cell, (models, time + 1)."""
        ...

    def arrays(
        self, name: FunctionName, *given: object, shapes: Sequence[tuple[int, ...]]
    ) -> list[FloatArray]:
        """Call a function and return its result, a sequence of arrays of these shapes."""
        ...

    def gradients_by_name(self, name: FunctionName, *given: object) -> dict[str, FloatArray]:
        """Call a function and return its result's `gradients`, arrays by name."""
        ...

    def trial_outcomes(self, setting: Setting, seeds: Sequence[int], names: Sequence[str]) -> FloatArray:
        """Train and return attributes of the trials as numbers, (seed, attribute); NaN for None."""
        ...


def needs(*names: FunctionName, gradients: bool = False) -> Callable[[AgreementSubject], str | None]:
    """Return the ``applies`` of a law that compares these functions.

    Args:
        *names: functions that the namespace must have.
        gradients: the law also needs automatic differentiation.
    """

    def applies(subject: AgreementSubject) -> str | None:
        missing = [name for name in names if not subject.has(name)]
        if missing:
            return f"the namespace has no {' and no '.join(missing)}"
        if gradients and not subject.differentiable:
            return "its library has no automatic differentiation"
        return None

    return applies
