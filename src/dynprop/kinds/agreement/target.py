"""A namespace under test: functions of dynprop's rooms of theory and training, which must agree."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray, NumericArray, describe
from dynprop.contracts.domain import Domain
from dynprop.contracts.subject import Native, Program
from dynprop.errors import TargetError
from dynprop.kinds.agreement.depths import DepthCase
from dynprop.kinds.agreement.results import Result
from dynprop.kinds.agreement.subject import (
    FUNCTIONS,
    NO_OPTIONS,
    Components,
    Eigen,
    FunctionName,
    Norms,
    Scaled,
    Sharing,
)
from dynprop.kinds.power.cases import PowerCase
from dynprop.subjects.adapter import Adapter
from dynprop.subjects.calls import TargetMismatchError, TargetRaisedError, attributed
from dynprop.subjects.frameworks import framework_named
from dynprop.training import Setting

__all__ = ["FUNCTIONS", "Agreement"]


@dataclass(frozen=True)
class Agreement(Adapter):
    """A namespace, such as `dynprop.linear`, to be judged by the laws of kind ``agreement``.

    Args:
        target: a module or object with at least two of the functions in ``FUNCTIONS``, called as those of
            `dynprop.linear`, `dynprop.products`, `dynprop.gradients` and `dynprop.training`; laws that need
            others are not applicable.
        framework: the arrays that `unroll` and `scan` take: "torch", which differentiates, or "numpy". The
            other functions take numpy.
        device: the device of those arrays.
        max_length: largest number of steps and largest time.
        name: the name in reports.

    Raises:
        ArgumentError: an option is unknown.

    Examples:
        The unroll and the closed form of `dynprop.linear` against each other:

        >>> from dynprop import linear
        >>> from dynprop.check import Agreement, check
        >>> report = check(Agreement(linear, framework="numpy"), laws=["unroll-closed-form"], examples=2)
        >>> report.verdict
        'pass'
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

    def has(self, name: FunctionName) -> bool:
        """Whether the namespace has a function."""
        return callable(getattr(self.target, name, None))

    def preflight(self) -> None:
        """Check for two functions at least: a single one has nothing to agree with.

        Raises:
            TargetError: there are fewer.
        """
        offered = [name for name in FUNCTIONS if self.has(name)]
        if len(offered) < 2:
            raise TargetError(
                f"kind agreement takes a module or object with some of the functions {', '.join(FUNCTIONS)}; "
                f"{self.name} has {offered[0] if offered else 'none'}"
            )

    @staticmethod
    def case_from_json(data: dict[str, Any]) -> PowerCase | DepthCase:
        """Build a case of this kind from its JSON form."""
        return DepthCase.from_json(data) if "depth" in data else PowerCase.from_json(data)

    # Functions in general.

    def _call(self, name: FunctionName, *given: object, **options: object) -> Result:
        """Call a function of the namespace; what it raises is attributed to it."""
        function: Callable[..., object] = getattr(self.target, name)
        with attributed():
            return Result(name, function(*given, **options))

    def number(self, name: FunctionName, *given: object, read: str = "") -> float:
        """Call a function and return its result, or its attribute ``read``, as a number; NaN for None."""
        result = self._call(name, *given)
        return (result.attribute(read) if read else result).number()

    def numbers(
        self,
        name: FunctionName,
        *given: object,
        shape: tuple[int, ...],
        read: str = "",
        options: Mapping[str, object] = NO_OPTIONS,
    ) -> FloatArray:
        """Call a function and return its result, or its attribute ``read``, as an array of a shape."""
        result = self._call(name, *given, **options)
        return (result.attribute(read) if read else result).real_array(shape)

    def parts(
        self,
        name: FunctionName,
        *given: object,
        shapes: Mapping[str, tuple[int, ...]],
        options: Mapping[str, object] = NO_OPTIONS,
    ) -> dict[str, FloatArray]:
        """Call a function and return attributes of its result as arrays of these shapes."""
        result = self._call(name, *given, **options)
        return {read: result.attribute(read).real_array(shape) for read, shape in shapes.items()}

    def refuses(self, name: FunctionName, *given: object) -> bool:
        """Call a function and return whether it refuses; any other exception is its failure."""
        try:
            self._call(name, *given)
        except TargetRaisedError as error:
            if error.is_refusal or isinstance(error.cause, ArithmeticError):
                return True
            raise
        return False

    # Functions with arguments or results of their own form.

    def unroll(
        self, w: NumericArray, h: NumericArray, steps: int, inputs: NumericArray | None = None
    ) -> NumericArray:
        """Return the states, shape (steps + 1, n)."""
        matrix, start, *driven = self._arrays(w, h, *(() if inputs is None else (inputs,)))
        return self._call("unroll", matrix, start, steps, *driven).from_library().array((steps + 1, len(h)))

    def scan(self, gates: FloatArray, inputs: FloatArray, initial: FloatArray) -> FloatArray:
        """Return the states of a batch of one."""
        result = self._call("scan", *self._arrays(gates[None], inputs[None], initial[None]))
        states = result.from_library().real_array((1, *inputs.shape))
        return np.asarray(states[0])

    def closed_form(self, w: NumericArray, h: NumericArray, t: int) -> Scaled:
        """Return the state at time t."""
        return _scaled(self._call("closed_form", w.copy(), h.copy(), t), h.shape)

    def closed_forms(self, w: NumericArray, batch: NumericArray, t: int) -> list[Scaled]:
        """Return the states at time t of a batch, each with its own exponent and bound."""
        result = self._call("closed_form", w.copy(), batch.copy(), t)
        values = result.attribute("value").array(batch.shape)
        bounds = result.attribute("relative_bound").real_array(batch.shape[:1])
        # Exponents are integers of any size, which an array of floats does not hold.
        exponents = np.asarray(result.attribute("exponent").value, dtype=object)
        if exponents.shape != bounds.shape:
            raise TargetMismatchError(
                f"closed_form of {len(batch)} states returned {describe(exponents)} of exponents, "
                "expected one each"
            )
        return [Scaled(v, int(e), float(b)) for v, e, b in zip(values, exponents, bounds, strict=True)]

    def certified_power(self, w: NumericArray, t: int) -> Scaled:
        """Return W^t."""
        return _scaled(self._call("certified_power", w.copy(), t), w.shape)

    def spectrum(self, w: NumericArray) -> Eigen:
        """Return the eigenvalues and measures of non-normality."""
        result = self._call("spectrum", w.copy())
        measures = (result.attribute(name).number() for name in ("radius", "condition", "departure"))
        return Eigen(result.attribute("eigenvalues").array((len(w),)), *measures)

    def growth(self, w: NumericArray, horizon: int) -> Norms:
        """Return the logarithms of the norms; errors that are not stated are infinite."""
        result, shape = self._call("growth", w.copy(), horizon), (horizon + 1,)
        logs = result.attribute("log_norms").real_array(shape)
        if not hasattr(result.value, "log_errors"):
            return Norms(logs, np.full(shape, np.inf))
        return Norms(logs, result.attribute("log_errors").real_array(shape))

    def kreiss_constant(self, w: NumericArray) -> float:
        """Return the Kreiss constant."""
        return self._call("kreiss_constant", w.copy()).number()

    def modes(self, w: NumericArray, h: NumericArray) -> Components:
        """Return the components of a state in the eigenspaces."""
        result = self._call("modes", w.copy(), h.copy())
        values = np.asarray(result.attribute("eigenvalues").value)
        counts = result.attribute("multiplicities").array(values.shape).astype(np.int64)
        return Components(values, counts, result.attribute("components").array((len(values), len(h))))

    def discard_ratio(self, w: NumericArray, h: NumericArray, t: int) -> float:
        """Return the tangent of the angle to the dominant mode."""
        return self._call("discard_ratio", w.copy(), h.copy(), t).number()

    def running_log_products(self, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return signs and logarithms of running products."""
        result = self._call("running_log_products", weights.copy())
        signs, logs = (Result(result.function, part).real_array(weights.shape) for part in result.value)
        return signs, logs

    def norm_walks(
        self, width: int, depth: int, gain: float, nets: int, seed: int, weights: Sharing = "fresh"
    ) -> tuple[FloatArray, FloatArray]:
        """Return log norms through linear layers, forward and backward."""
        result = self._call("norm_walks", width, depth, "linear", gain, weights, nets, seed)
        shape = (nets, depth + 1)
        return result.attribute("forward").real_array(shape), result.attribute("backward").real_array(shape)

    def cell_gradient_by_lag(
        self, cell: str, parameters: Mapping[str, FloatArray], inputs: FloatArray
    ) -> FloatArray:
        """Return the gradients by lag of a cell of `dynprop.gradients`, (models, time + 1)."""
        # The cell is an argument of the function under test; no reference is computed from it.
        from dynprop.gradients import cell_named

        torch = framework_named("torch", "cpu")
        held = {key: torch.array(value, "float64") for key, value in parameters.items()}
        given = torch.array(inputs, "float64")
        result = self._call("cell_gradient_by_lag", cell_named(cell), held, given)
        return result.from_library().real_array((inputs.shape[1], len(inputs) + 1))

    def arrays(
        self, name: FunctionName, *given: object, shapes: Sequence[tuple[int, ...]]
    ) -> list[FloatArray]:
        """Call a function and return its result, a sequence of arrays of these shapes."""
        result = self._call(name, *given)
        if not isinstance(result.value, list | tuple) or len(result.value) != len(shapes):
            raise TargetMismatchError(
                f"{name} returned {describe(result.value)}, expected {len(shapes)} arrays"
            )
        return [Result(name, part).real_array(s) for part, s in zip(result.value, shapes, strict=True)]

    def gradients_by_name(self, name: FunctionName, *given: object) -> dict[str, FloatArray]:
        """Call a function and return its result's `gradients`, arrays by name."""
        result = self._call(name, *given).attribute("gradients")
        with attributed():
            named = dict(result.value)
        return {key: Result(name, value).real_array(np.shape(value)) for key, value in named.items()}

    def trial_outcomes(self, setting: Setting, seeds: Sequence[int], names: Sequence[str]) -> FloatArray:
        """Train and return attributes of the trials, (seed, attribute)."""
        result = self._call("train", setting, list(seeds))
        trials = [Result(result.function, trial) for trial in result.value]
        rows = [[trial.attribute(name).number() for name in names] for trial in trials]
        return Result(result.function, rows).real_array((len(seeds), len(names)))

    def gradients(
        self, program: Program, arrays: Mapping[str, NumericArray], dtype: str, wrt: Sequence[str]
    ) -> dict[str, FloatArray]:
        """Return the gradients of a scalar program of `unroll` with respect to named arrays."""

        def unroll(*given: Native) -> Native:
            return self._call("unroll", *given).value

        found = self._differentiated(program, unroll, arrays, dtype, wrt)
        return {
            name: Result("gradient", value).real_array(arrays[name].shape) for name, value in found.items()
        }

    def _arrays(self, *values: NumericArray) -> list[Native]:
        """Return arrays of the library of `unroll` and `scan`."""
        return [self.library.array(value, "float64") for value in values]


def _scaled(result: Result, shape: tuple[int, ...]) -> Scaled:
    exponent = int(result.attribute("exponent").value)
    return Scaled(
        result.attribute("value").array(shape), exponent, result.attribute("relative_bound").number()
    )
