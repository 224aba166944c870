"""A namespace with functions of dynprop's rooms under test: what it says in many ways must be one thing."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray, NumericArray, describe, to_numpy
from dynprop.contracts.domain import Domain
from dynprop.contracts.subject import Program
from dynprop.errors import TargetError
from dynprop.kinds.agreement.depths import DepthCase
from dynprop.kinds.agreement.subject import Eigen, Norms, Parts, Scaled
from dynprop.kinds.power.cases import PowerCase
from dynprop.subjects.adapter import Adapter
from dynprop.subjects.calls import TargetMismatchError, attributed
from dynprop.subjects.frameworks import framework_named
from dynprop.training import Setting

__all__ = ["FUNCTIONS", "Agreement"]

FUNCTIONS = (
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
    "gaussian_exponents",
    "lyapunov_exponents",
    "mean_field",
    "edge_of_chaos",
    "cell_gradient_by_lag",
    "initial_gradient_by_lag",
    "signal_to_noise",
    "proportion_interval",
    "confidence_sequence",
    "learning_time",
    "train",
)


@dataclass(frozen=True)
class Agreement(Adapter):
    """A namespace, such as `dynprop.linear`, to be judged by the laws of kind ``agreement``.

    Args:
        target: a module or object with at least two of the functions in ``FUNCTIONS``, called as those of
            `dynprop.linear`, `dynprop.products`, `dynprop.gradients` and `dynprop.training`; laws that need
            others are not applicable.
        framework: the arrays that `unroll` and `scan` take: "torch", which differentiates, or "numpy". The
            other functions take numpy.
        device: where those arrays live.
        max_length: bounds every number of steps and every time.
        name: how reports call it.

    Raises:
        ArgumentError: an option is unknown.
    """

    target: Any
    framework: str = "torch"
    device: str = "cpu"
    max_length: int = 2**63 - 1
    name: str = ""
    kind: str = field(default="agreement", init=False)

    def __post_init__(self) -> None:
        library = framework_named(self.framework, self.device)
        promised = Domain(dtypes=("float64",), max_length=self.max_length)
        self._settle(library, promised, getattr(self.target, "__name__", describe(self.target)))

    def has(self, name: str) -> bool:
        """Say whether the namespace has a function."""
        return callable(getattr(self.target, name, None))

    def preflight(self) -> None:
        """Ask for two functions at least: one alone agrees with itself.

        Raises:
            TargetError: there are fewer.
        """
        there = [name for name in FUNCTIONS if self.has(name)]
        if len(there) < 2:
            known = ", ".join(FUNCTIONS)
            raise TargetError(
                f"kind agreement takes a module or object with some of the functions {known}; "
                f"{self.name} has {there[0] if there else 'none'}"
            )

    @staticmethod
    def case_from_json(data: dict[str, Any]) -> PowerCase | DepthCase:
        """Build a case of this kind from its JSON form."""
        return DepthCase.from_json(data) if "depth" in data else PowerCase.from_json(data)

    # The functions

    def unroll(
        self, w: NumericArray, h: NumericArray, steps: int, inputs: NumericArray | None = None
    ) -> NumericArray:
        """Return the states, shape (steps + 1, n)."""
        more = () if inputs is None else (self.library.array(inputs, "float64"),)
        made = self._call(
            "unroll", self.library.array(w, "float64"), self.library.array(h, "float64"), steps, *more
        )
        return _array("unroll", to_numpy(made), (steps + 1, len(h)))

    def scan(self, gates: FloatArray, inputs: FloatArray, initial: FloatArray) -> FloatArray:
        """Return the states of a batch of one."""
        made = self._call("scan", *(self.library.array(x[None], "float64") for x in (gates, inputs, initial)))
        return np.asarray(_array("scan", to_numpy(made), (1, *inputs.shape))[0], dtype=np.float64)

    def closed_form(self, w: NumericArray, h: NumericArray, t: int) -> Scaled:
        """Return the state at time t."""
        return self._scaled("closed_form", self._call("closed_form", w.copy(), h.copy(), t), h.shape)

    def certified_power(self, w: NumericArray, t: int) -> Scaled:
        """Return W^t."""
        return self._scaled("certified_power", self._call("certified_power", w.copy(), t), w.shape)

    def spectrum(self, w: NumericArray) -> Eigen:
        """Return the eigenvalues and measures of non-normality."""
        found = self._call("spectrum", w.copy())
        values = _array("spectrum", _read("spectrum", found, "eigenvalues"), (len(w),))
        numbers = (float(_read("spectrum", found, name)) for name in ("radius", "condition", "departure"))
        return Eigen(values, *numbers)

    def growth(self, w: NumericArray, horizon: int) -> Norms:
        """Return the logarithms of the norms; errors that are not stated are infinite."""
        found = self._call("growth", w.copy(), horizon)
        logs = _array("growth", _read("growth", found, "log_norms"), (horizon + 1,))
        errors = getattr(found, "log_errors", np.full(horizon + 1, np.inf))
        stated = _array("growth", errors, (horizon + 1,))
        return Norms(np.asarray(logs, dtype=np.float64), np.asarray(stated, dtype=np.float64))

    def kreiss_constant(self, w: NumericArray) -> float:
        """Return the Kreiss constant."""
        return float(self._call("kreiss_constant", w.copy()))

    def modes(self, w: NumericArray, h: NumericArray) -> Parts:
        """Return the components of a state in the eigenspaces."""
        found = self._call("modes", w.copy(), h.copy())
        values = np.asarray(_read("modes", found, "eigenvalues"))
        count = np.asarray(_read("modes", found, "multiplicities"))
        components = _array("modes", _read("modes", found, "components"), (len(values), len(h)))
        return Parts(values, _array("modes", count, values.shape).astype(np.int64), components)

    def discard_ratio(self, w: NumericArray, h: NumericArray, t: int) -> float:
        """Return the tangent of the angle to the dominant mode."""
        return float(self._call("discard_ratio", w.copy(), h.copy(), t))

    def number(self, name: str, *given: Any, read: str = "") -> float:
        """Call a function and return a number, or that attribute of what it returns; NaN for None."""
        found = self._call(name, *given)
        return _number(_read(name, found, read) if read else found)

    def numbers(self, name: str, *given: Any, shape: tuple[int, ...], read: str = "") -> FloatArray:
        """Call a function and return an array of a shape, or that attribute of what it returns."""
        found = self._call(name, *given)
        return np.asarray(_array(name, _read(name, found, read) if read else found, shape), dtype=np.float64)

    def logarithms(self, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return signs and logarithms of running products."""
        name = "running_log_products"
        signs, logs = (_array(name, part, weights.shape) for part in self._call(name, weights.copy()))
        return np.asarray(signs, dtype=np.float64), np.asarray(logs, dtype=np.float64)

    def walks(
        self, width: int, depth: int, gain: float, nets: int, seed: int
    ) -> tuple[FloatArray, FloatArray]:
        """Return log norms through linear layers of fresh weights, forward and backward."""
        found = self._call("norm_walks", width, depth, "linear", gain, "fresh", nets, seed)
        shape = (nets, depth + 1)
        forward, backward = (
            np.asarray(_array("norm_walks", _read("norm_walks", found, side), shape), dtype=np.float64)
            for side in ("forward", "backward")
        )
        return forward, backward

    def lag_norms(self, cell: str, parameters: Mapping[str, FloatArray], inputs: FloatArray) -> FloatArray:
        """Return gradients by lag of a cell of `dynprop.gradients`, (models, time + 1)."""
        from dynprop.gradients import cell_named

        torch, name = framework_named("torch", "cpu"), "cell_gradient_by_lag"
        held = {key: torch.array(value, "float64") for key, value in parameters.items()}
        found = self._call(name, cell_named(cell), held, torch.array(inputs, "float64"))
        shape = (inputs.shape[1], len(inputs) + 1)
        return np.asarray(_array(name, to_numpy(found), shape), dtype=np.float64)

    def outcomes(self, setting: Setting, seeds: Sequence[int], names: Sequence[str]) -> FloatArray:
        """Train and return attributes of the trials, (seed, attribute)."""
        trials = self._call("train", setting, list(seeds))
        rows = [[_number(_read("train", trial, name)) for name in names] for trial in trials]
        return np.asarray(_array("train", rows, (len(seeds), len(names))), dtype=np.float64)

    def gradients(
        self, program: Program, arrays: Mapping[str, NumericArray], dtype: str, wrt: Sequence[str]
    ) -> dict[str, FloatArray]:
        """Return the gradients of a scalar program of `unroll` with respect to named arrays."""

        def unroll(*given: Any) -> Any:
            return self._call("unroll", *given)

        found = self._differentiated(program, unroll, arrays, dtype, wrt)
        return {
            name: np.asarray(_array("gradient", value, arrays[name].shape), dtype=np.float64)
            for name, value in found.items()
        }

    def _call(self, name: str, *given: Any) -> Any:
        function: Callable[..., Any] = getattr(self.target, name)
        with attributed():
            return function(*given)

    def _scaled(self, name: str, found: Any, shape: tuple[int, ...]) -> Scaled:
        value = _array(name, _read(name, found, "value"), shape)
        exponent = int(_read(name, found, "exponent"))
        return Scaled(value, exponent, float(_read(name, found, "relative_bound")))


def _read(function: str, found: Any, attribute: str) -> Any:
    if not hasattr(found, attribute):
        raise TargetMismatchError(f"{function} returned {describe(found)}, which has no .{attribute}")
    return getattr(found, attribute)


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _array(function: str, value: Any, shape: tuple[int, ...]) -> NumericArray:
    found = np.asarray(value)
    if found.shape != shape:
        raise TargetMismatchError(f"{function} returned {describe(value)}, expected shape {shape}")
    return np.asarray(found, dtype=np.complex128 if np.iscomplexobj(found) else np.float64)
