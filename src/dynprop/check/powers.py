"""What adapters of unrolls and closed forms share: calling f(W, h0, t) in any library and looking at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray, NumericArray, describe, dtype_name, library_of, to_numpy
from dynprop.check.calls import TargetMismatchError, TargetRaisedError, guard
from dynprop.check.frameworks import Framework, framework_named
from dynprop.errors import ArgumentError, TargetError
from dynprop.laws.domain import Domain
from dynprop.laws.matrices.cases import PowerCase
from dynprop.laws.subjects import Native, Program

__all__ = ["PowerTarget"]


class PowerTarget:
    """A function of a matrix, a vector and a number of steps, in the arrays of one library.

    Subclasses are dataclasses that declare what the target promises, and say which shape it returns.
    """

    target: Callable[..., Any]
    framework: str
    device: str
    dtypes: Sequence[str] | None
    name: str
    kind: str
    form: str

    def _prepare(self, promised: Callable[[tuple[str, ...]], Domain]) -> None:
        if not callable(self.target):
            raise ArgumentError("target", describe(self.target), "a function")
        library = framework_named(self.framework, self.device)
        object.__setattr__(self, "_library", library)
        object.__setattr__(self, "_call", guard(self.target))
        object.__setattr__(self, "_domain", promised(tuple(self.dtypes or library.dtypes)))
        if not self.name:
            object.__setattr__(self, "name", getattr(self.target, "__qualname__", repr(self.target)))

    def shape(self, n: int, t: int) -> tuple[int, ...]:
        """Return the shape of the result for states of size n and t steps."""
        raise NotImplementedError

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
        dtype, steps = self.domain.dtypes[0], min(3, self.domain.max_length)
        w, h = self._natives(np.diag([0.5, 1.0]) + np.eye(2, k=1) / 4.0, np.ones(2), dtype)
        called = ", ".join(f"{n} {dtype_name(v)} {tuple(v.shape)}" for n, v in (("W", w), ("h0", h)))
        demand = f"kind {self.kind} takes {self.form}; called with {called}, {steps} ({self.framework})"
        try:
            with self.library.setting(dtype):
                result = self.__dict__["_call"](w, h, steps)
        except TargetRaisedError as error:
            if isinstance(error.cause, TypeError | AttributeError):
                raise TargetError(f"{demand}, {self.name} raised {error}") from error
            return
        if library_of(result) != self.framework:
            known = library_of(result)
            hint = f"; for a {known} function say --framework {known}" if known else ""
            got = f"a {type(result).__name__}" if isinstance(result, tuple | list) else describe(result)
            raise TargetError(f"{demand}, {self.name} returned {got}, not one array{hint}")

    def values(self, w: NumericArray, h: NumericArray, t: int, dtype: str) -> NumericArray:
        """Call the target on fresh arrays and return what it returned, as float64 or complex128."""
        return self._checked(self._run(*self._natives(w, h, dtype), t, dtype), len(h), t)

    def returned(
        self, w: NumericArray, h: NumericArray, t: int, dtype: str
    ) -> tuple[Callable[[], NumericArray], tuple[int, ...], str, str]:
        """Call the target; return a later reader of its result, and its shape, dtype and device."""
        result = self._run(*self._natives(w, h, dtype), t, dtype)
        return (
            lambda: self._checked(result, len(h), t),
            tuple(result.shape),
            dtype_name(result),
            self.library.device_of(result),
        )

    def expected_of(
        self, w: NumericArray, h: NumericArray, t: int, dtype: str
    ) -> tuple[tuple[int, ...], str, str]:
        """Return the shape, dtype and device that the result should have."""
        _, start = self._natives(w, h, dtype)
        return self.shape(len(h), t), dtype_name(start), self.library.device_of(start)

    def layouts(
        self, w: NumericArray, h: NumericArray, t: int, dtype: str
    ) -> Iterator[tuple[str, NumericArray]]:
        """Yield the results for arguments of every memory layout, by name."""
        # A vector gets the layout of one column of a matrix.
        matrix, columns = self._natives(w, np.stack([h, h[::-1]], axis=1), dtype)
        vectors = dict(self.library.layouts(columns))
        for layout, other in self.library.layouts(matrix):
            result = self._run(other, vectors[layout][:, 0], t, dtype)
            yield layout, self._checked(result, len(h), t)

    def changed_arguments(self, w: NumericArray, h: NumericArray, t: int, dtype: str) -> str | None:
        """Call the target and say which argument it modified, values or metadata, or None."""
        natives = self._natives(w, h, dtype)
        known = [
            (name, value, to_numpy(value), self.library.metadata(value))
            for name, value in zip(("W", "h0"), natives, strict=True)
        ]
        self._run(*natives, t, dtype)
        for name, value, before, metadata in known:
            if self.library.metadata(value) != metadata:
                return (
                    f"the caller's {name} was changed: shape, strides, dtype and flags "
                    f"{metadata} became {self.library.metadata(value)}"
                )
            if not np.array_equal(before, to_numpy(value), equal_nan=True):
                return f"the caller's {name} was modified in place"
        return None

    def gradients(
        self, program: Program, arrays: Mapping[str, NumericArray], dtype: str, wrt: Sequence[str]
    ) -> dict[str, FloatArray]:
        """Return the gradients of a scalar program of the target with respect to named arrays."""
        natives = {name: self.library.array(value, dtype) for name, value in arrays.items()}

        def call(w: Native, h: Native, t: int) -> Native:
            result = self.__dict__["_call"](w, h, t)
            self._require_shape(result, len(arrays["h"]), t)
            return result

        with self.library.setting(dtype):
            found = self.library.gradients(lambda leaves: program(call, leaves), natives, wrt)
        return {name: np.asarray(value, dtype=np.float64) for name, value in found.items()}

    def seed(self, seed: int) -> None:
        """Seed the library's global random numbers before a case."""
        self.library.seed(seed)

    @staticmethod
    def case_from_json(data: dict[str, Any]) -> PowerCase:
        """Build a case of this kind from its JSON form."""
        return PowerCase.from_json(data)

    def _natives(self, w: NumericArray, h: NumericArray, dtype: str) -> tuple[Native, Native]:
        return self.library.array(w, dtype), self.library.array(h, dtype)

    def _run(self, w: Native, h: Native, t: int, dtype: str) -> Native:
        with self.library.setting(dtype):
            result = self.__dict__["_call"](w, h, t)
        if library_of(result) != self.framework:
            raise TargetMismatchError(f"returned {describe(result)}, expected a {self.framework} array")
        return result

    def _require_shape(self, result: Native, n: int, t: int) -> None:
        if tuple(getattr(result, "shape", ())) != self.shape(n, t):
            raise TargetMismatchError(
                f"returned {describe(result)}, expected shape {self.shape(n, t)} for n = {n} and {t} steps"
            )

    def _checked(self, result: Native, n: int, t: int) -> NumericArray:
        self._require_shape(result, n, t)
        values = to_numpy(result)
        wide = np.complex128 if np.iscomplexobj(values) else np.float64
        return np.asarray(values, dtype=wide)
