"""What the adapters of all kinds share: a library, a promise, a call that is watched."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray, NumericArray, describe, dtype_name, library_of, to_numpy
from dynprop.contracts.domain import Domain
from dynprop.contracts.subject import Native, Program
from dynprop.errors import ArgumentError, TargetError
from dynprop.subjects.calls import TargetMismatchError, TargetRaisedError, guard
from dynprop.subjects.frameworks import Framework, framework_named

__all__ = ["Adapter", "ArrayFunctionAdapter", "Change", "FunctionAdapter", "declared"]


@dataclass(frozen=True)
class Change:
    """An argument that a call modified; before and after are its metadata where those changed."""

    name: str
    before: tuple[object, ...] | None = None
    after: tuple[object, ...] | None = None

    def told(self, verb: str) -> str:
        """Say it in a sentence; the verb is that of the argument, "was" or "were"."""
        if self.before is None:
            return f"the caller's {self.name} {verb} modified in place"
        return (
            f"the caller's {self.name} {verb} changed: shape, strides, dtype and flags "
            f"{self.before} became {self.after}"
        )


def declared(adapter: type[Any], target: Any, options: Mapping[str, Any]) -> Any:
    """Return an adapter of a target, or the adapter that the target is with some fields replaced."""
    return replace(target, **options) if isinstance(target, adapter) else adapter(target, **options)


class Adapter:
    """An implementation under test, in the arrays of one library.

    Attributes:
        library: the framework whose arrays it takes.
        domain: what it promises.
        framework: the name of the library.
        name: how reports call it.
    """

    library: Framework
    domain: Domain
    framework: str
    name: str

    @classmethod
    def of(cls, target: Any, *, seed: int = 0, **options: Any) -> Any:
        """Return the subject that laws judge.

        Args:
            target: what is to be judged, or an adapter of it, of which the options replace fields.
            seed: seeds the making of a target that is built; others ignore it.
            **options: fields of the adapter.
        """
        return declared(cls, target, options)

    def _settle(self, library: Framework, domain: Domain, name: str) -> None:
        """Set library and domain on the frozen dataclass; set name unless the caller gave one."""
        for attribute, value in (("library", library), ("domain", domain), ("name", self.name or name)):
            object.__setattr__(self, attribute, value)

    @property
    def differentiable(self) -> bool:
        """Whether its library differentiates."""
        return self.library.differentiable

    @property
    def compiles(self) -> bool:
        """Whether its library compiles every new shape, so that few shapes are drawn."""
        return self.library.compiles

    @property
    def has_layouts(self) -> bool:
        """Whether a caller of its library can choose a memory layout."""
        return self.library.has_layouts

    @property
    def thread_counts(self) -> tuple[int, ...]:
        """Thread counts to compare."""
        return self.library.thread_counts

    def seed(self, seed: int) -> None:
        """Seed the library's global random numbers before a case."""
        self.library.seed(seed)

    def expected_device(self) -> str:
        """Return the device that the arguments live on."""
        return self.library.device_of(self.library.array(np.zeros(1), self.domain.dtypes[0]))

    def _change(self, watched: Iterable[tuple[str, Native]], call: Callable[[], object]) -> Change | None:
        """Make a call and return the first of the watched arrays that it modified, or None."""
        known = [(name, value, to_numpy(value), self.library.metadata(value)) for name, value in watched]
        call()
        for name, value, before, metadata in known:
            if self.library.metadata(value) != metadata:
                return Change(name, metadata, self.library.metadata(value))
            if not np.array_equal(before, to_numpy(value), equal_nan=True):
                return Change(name)
        return None

    def _differentiated(
        self,
        program: Program,
        call: Callable[..., Native],
        arrays: Mapping[str, NumericArray],
        dtype: str,
        wrt: Sequence[str],
    ) -> dict[str, FloatArray]:
        """Return the gradients of a scalar program of a call with respect to named arrays."""
        natives = {name: self.library.array(value, dtype) for name, value in arrays.items()}
        with self.library.setting(dtype):
            found = self.library.gradients(lambda leaves: program(call, leaves), natives, wrt)
        return {name: np.asarray(value, dtype=np.float64) for name, value in found.items()}


class FunctionAdapter(Adapter):
    """A function under test."""

    target: Callable[..., Any]
    device: str
    dtypes: Sequence[str] | None
    _call: Callable[..., Any]

    def _settle_function(self, promised: Callable[[tuple[str, ...]], Domain]) -> None:
        """Find library, promise and name of the target.

        Raises:
            ArgumentError: the target is not callable, or an option is unknown.
        """
        if not callable(self.target):
            raise ArgumentError("target", describe(self.target), "a function")
        library = framework_named(self.framework, self.device)
        domain = promised(tuple(self.dtypes or library.dtypes))
        self._settle(library, domain, getattr(self.target, "__qualname__", repr(self.target)))
        object.__setattr__(self, "_call", guard(self.target))

    def _run(self, arguments: Sequence[Any], dtype: str) -> Native:
        with self.library.setting(dtype):
            result = self._call(*arguments)
        if library_of(result) != self.framework:
            raise TargetMismatchError(f"returned {describe(result)}, expected a {self.framework} array")
        return result

    def _tried(self, demand: str, arguments: Sequence[Any], dtype: str, wanted: str) -> None:
        """Call the target once; raise TargetError, the demand first, if it cannot be called so."""
        try:
            with self.library.setting(dtype):
                result = self._call(*arguments)
        except TargetRaisedError as error:
            if isinstance(error.cause, TypeError | AttributeError):
                raise TargetError(f"{demand}, {self.name} raised {error}") from error
            return
        known = library_of(result)
        if known != self.framework:
            hint = f"; for a {known} function say --framework {known}" if known else ""
            raise TargetError(f"{demand}, {self.name} returned {self._told(result)}, not {wanted}{hint}")

    def _told(self, result: Any) -> str:
        """Say in a few words what came instead of an array."""
        return describe(result)


class ArrayFunctionAdapter(FunctionAdapter):
    """A function under test that returns one array; subclasses say of which shape."""

    def _require(self, result: Native, arguments: Sequence[Any]) -> None:
        """Raise TargetMismatchError if a result has not the shape that these arguments lead to."""
        raise NotImplementedError

    def _told(self, result: Any) -> str:
        return f"a {type(result).__name__}" if isinstance(result, tuple | list) else describe(result)

    def _values(self, result: Native) -> NumericArray:
        """Return a result of the right shape in the widest format."""
        values = to_numpy(result)
        return np.asarray(values, dtype=np.complex128 if np.iscomplexobj(values) else np.float64)

    def _checked(self, result: Native, arguments: Sequence[Any]) -> NumericArray:
        self._require(result, arguments)
        return self._values(result)

    def _returned(
        self, arguments: Sequence[Any], dtype: str
    ) -> tuple[Callable[[], Any], tuple[int, ...], str, str]:
        """Call the target; return a later reader of its result, and its shape, dtype and device."""
        result = self._run(arguments, dtype)
        return (
            lambda: self._checked(result, arguments),
            tuple(result.shape),
            dtype_name(result),
            self.library.device_of(result),
        )

    def gradients(
        self, program: Program, arrays: Mapping[str, NumericArray], dtype: str, wrt: Sequence[str]
    ) -> dict[str, FloatArray]:
        """Return the gradients of a scalar program of the target with respect to named arrays."""

        def call(*arguments: Any) -> Native:
            result = self._call(*arguments)
            self._require(result, arguments)
            return result

        return self._differentiated(program, call, arrays, dtype, wrt)

    def _demand(self, demand: str, arguments: Mapping[str, Any], dtype: str, wanted: str) -> None:
        """Call the target once on an ordinary case.

        Raises:
            TargetError: it cannot be called as its kind demands, in one line.
        """
        called = ", ".join(
            f"{name} {dtype_name(value)} {tuple(value.shape)}" if library_of(value) else str(value)
            for name, value in arguments.items()
        )
        self._tried(
            f"{demand}; called with {called} ({self.framework})", list(arguments.values()), dtype, wanted
        )
