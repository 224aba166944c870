"""A gated scan under test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray, describe, dtype_name, library_of, to_numpy
from dynprop.check.calls import TargetMismatchError, TargetRaisedError, guard
from dynprop.check.frameworks import Framework, framework_named
from dynprop.errors import ArgumentError, TargetError
from dynprop.laws.domain import Domain
from dynprop.laws.scan.cases import ScanCase
from dynprop.laws.subjects import Native, Program

__all__ = ["Scan"]

Arguments = tuple[FloatArray, FloatArray, FloatArray | None, str]


@dataclass(frozen=True)
class Scan:
    """A scan f(gates, inputs, initial) -> states, to be judged by the laws of kind ``scan``.

    Args:
        target: the function; gates, inputs and states have shape (batch, time, channel), initial is
            (batch, channel) or None.
        framework: the arrays that it takes: "numpy", "torch" or "jax".
        device: where its arrays live, such as "cpu" or "cuda".
        gates, inputs, dtypes, max_length, arithmetic, reach: what the target promises; see
            ``dynprop.laws.domain.Domain``. ``dtypes`` None means those usual for the framework.
        name: how reports call it; default its qualified name.

    Raises:
        ArgumentError: the target is not callable, or an option is unknown.
    """

    target: Callable[..., Any]
    framework: str = "torch"
    device: str = "cpu"
    gates: str = "any"
    inputs: str = "any"
    dtypes: Sequence[str] | None = None
    max_length: int = 2048
    arithmetic: str = "product"
    reach: int | None = None
    name: str = ""
    kind: str = field(default="scan", init=False)

    def __post_init__(self) -> None:
        if not callable(self.target):
            raise ArgumentError("target", describe(self.target), "a function")
        library = framework_named(self.framework, self.device)
        object.__setattr__(self, "_library", library)
        object.__setattr__(self, "_call", guard(self.target))
        promised = Domain(
            self.gates,
            self.inputs,
            tuple(self.dtypes or library.dtypes),
            self.max_length,
            self.arithmetic,
            self.reach,
        )
        object.__setattr__(self, "_domain", promised)
        if not self.name:
            object.__setattr__(self, "name", getattr(self.target, "__qualname__", repr(self.target)))

    @property
    def library(self) -> Framework:
        """The framework whose arrays the target takes."""
        found: Framework = self.__dict__["_library"]
        return found

    @property
    def domain(self) -> Domain:
        """What the target promises."""
        found: Domain = self.__dict__["_domain"]
        return found

    @property
    def differentiable(self) -> bool:
        """Whether its library differentiates."""
        return self.library.differentiable

    @property
    def thread_counts(self) -> tuple[int, ...]:
        """Thread counts to compare."""
        return self.library.thread_counts

    @property
    def compiles(self) -> bool:
        """Whether its library compiles every new shape, so that few shapes are drawn."""
        return self.framework == "jax"

    @property
    def has_layouts(self) -> bool:
        """Whether a caller of its library can choose a memory layout."""
        return self.framework != "jax"

    def preflight(self) -> None:
        """Call the target once on an ordinary case.

        Raises:
            TargetError: it cannot be called as its kind demands, in one line.
        """
        gates = np.full((2, 5, 3), 0.5)
        dtype = self.domain.dtypes[0]
        natives = self._natives(gates, np.ones((2, 5, 3)), np.ones((2, 3)), dtype)
        called = ", ".join(
            f"{n} {dtype_name(v)} {tuple(v.shape)}"
            for n, v in zip(("gates", "inputs", "initial"), natives, strict=True)
        )
        demand = (
            f"kind scan takes f(gates, inputs, initial) -> states; called with {called} ({self.framework})"
        )
        try:
            with self.library.setting(dtype):
                result = self.__dict__["_call"](*natives)
        except TargetRaisedError as error:
            if isinstance(error.cause, TypeError | AttributeError):
                raise TargetError(f"{demand}, {self.name} raised {error}") from error
            return
        if library_of(result) != self.framework:
            hint = ""
            if library_of(result) is not None:
                hint = f"; for a {library_of(result)} function say --framework {library_of(result)}"
            got = f"a {type(result).__name__}" if isinstance(result, tuple | list) else describe(result)
            raise TargetError(f"{demand}, {self.name} returned {got}, not one array of states{hint}")

    def states(
        self, gates: FloatArray, inputs: FloatArray, initial: FloatArray | None, dtype: str
    ) -> FloatArray:
        """Call the target on fresh arrays and return the states."""
        return self._checked(self._run(self._natives(gates, inputs, initial, dtype), dtype), inputs)

    def returned(
        self, gates: FloatArray, inputs: FloatArray, initial: FloatArray | None, dtype: str
    ) -> tuple[Callable[[], FloatArray], tuple[int, ...], str, str]:
        """Call the target; return a later reader of its result, and its shape, dtype and device."""
        result = self._run(self._natives(gates, inputs, initial, dtype), dtype)
        return (
            lambda: self._checked(result, inputs),
            tuple(result.shape),
            dtype_name(result),
            self.library.device_of(result),
        )

    def expected_device(self) -> str:
        """Return the device that the arguments live on."""
        return self.library.device_of(self.library.array(np.zeros(1), self.domain.dtypes[0]))

    def layouts(
        self, gates: FloatArray, inputs: FloatArray, initial: FloatArray | None, dtype: str
    ) -> Iterator[tuple[str, FloatArray]]:
        """Yield the states for arguments of every memory layout, by name."""
        natives = self._natives(gates, inputs, initial, dtype)
        variants = [dict(self.library.layouts(v)) if v is not None else {} for v in natives]
        for layout in variants[0]:
            chosen = [v.get(layout, n) for v, n in zip(variants, natives, strict=True)]
            yield layout, self._checked(self._run(chosen, dtype), inputs)

    def changed_arguments(
        self, gates: FloatArray, inputs: FloatArray, initial: FloatArray | None, dtype: str
    ) -> str | None:
        """Call the target and say which argument it modified, values or metadata, or None."""
        natives = self._natives(gates, inputs, initial, dtype)
        known = [
            (name, value, to_numpy(value), self.library.metadata(value))
            for name, value in zip(("gates", "inputs", "initial"), natives, strict=True)
            if value is not None
        ]
        self._run(natives, dtype)
        for name, value, before, metadata in known:
            if self.library.metadata(value) != metadata:
                return (
                    f"the caller's {name} were changed: shape, strides, dtype and flags "
                    f"{metadata} became {self.library.metadata(value)}"
                )
            if not np.array_equal(before, to_numpy(value), equal_nan=True):
                return f"the caller's {name} were modified in place"
        return None

    def with_threads(
        self, count: int, gates: FloatArray, inputs: FloatArray, initial: FloatArray | None, dtype: str
    ) -> FloatArray:
        """Return the states computed with this number of threads."""
        with self.library.threads(count):
            return self.states(gates, inputs, initial, dtype)

    def gradients(
        self, program: Program, arrays: Mapping[str, FloatArray], dtype: str, wrt: Sequence[str]
    ) -> dict[str, FloatArray]:
        """Return the gradients of a scalar program of the target with respect to named arrays."""
        natives = {name: self.library.array(value, dtype) for name, value in arrays.items()}

        def call(*args: Native) -> Native:
            result = self.__dict__["_call"](*args)
            self._require_states(result, args[1])
            return result

        with self.library.setting(dtype):
            found = self.library.gradients(lambda leaves: program(call, leaves), natives, wrt)
        return {name: np.asarray(value, dtype=np.float64) for name, value in found.items()}

    def seed(self, seed: int) -> None:
        """Seed the library's global random numbers before a case."""
        self.library.seed(seed)

    @staticmethod
    def case_from_json(data: dict[str, Any]) -> ScanCase:
        """Build a case of this kind from its JSON form."""
        return ScanCase.from_json(data)

    def _natives(
        self, gates: FloatArray, inputs: FloatArray, initial: FloatArray | None, dtype: str
    ) -> list[Native]:
        make = self.library.array
        start = None if initial is None else make(initial, dtype)
        return [make(gates, dtype), make(inputs, dtype), start]

    def _run(self, natives: Sequence[Native], dtype: str) -> Native:
        with self.library.setting(dtype):
            result = self.__dict__["_call"](*natives)
        if library_of(result) != self.framework:
            raise TargetMismatchError(f"returned {describe(result)}, expected a {self.framework} array")
        return result

    def _require_states(self, result: Native, inputs: Native) -> None:
        if tuple(getattr(result, "shape", ())) != tuple(inputs.shape):
            raise TargetMismatchError(
                f"returned {describe(result)}, expected the shape of the inputs, {tuple(inputs.shape)}"
            )

    def _checked(self, result: Native, inputs: FloatArray) -> FloatArray:
        self._require_states(result, inputs)
        values = to_numpy(result)
        if np.iscomplexobj(values):
            raise TargetMismatchError("returned complex states for real inputs")
        return np.asarray(values, dtype=np.float64)
