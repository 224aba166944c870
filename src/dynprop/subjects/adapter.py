"""The adapter of any implementation: library, domain, and calls that detect modified arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray, NumericArray, describe, is_array, library_of, to_numpy
from dynprop.contracts.domain import Domain
from dynprop.contracts.subject import Native, Program
from dynprop.errors import ArgumentError, TargetError
from dynprop.subjects.calls import TargetMismatchError, TargetRaisedError, guard
from dynprop.subjects.frameworks import Framework, framework_named

# The leading axes of an argument that can be expanded.
AXES = ("batch", "time", "channel")
# Names of ``Framework.layouts`` by those of ``contracts.subject.Call``.
LAYOUTS = {"transposed": "transposed", "sliced": "strided"}

__all__ = ["Adapter", "Change", "FunctionAdapter", "declared", "result_text"]


@dataclass(frozen=True)
class Change:
    """An argument that a call modified; before and after are its metadata where those changed."""

    name: str
    before: tuple[object, ...] | None = None
    after: tuple[object, ...] | None = None

    @property
    def sentence(self) -> str:
        """What the call did, in a sentence."""
        if self.before is None:
            return f"the caller's argument {self.name} was modified in place"
        return (
            f"the caller's argument {self.name} was changed: shape, strides, dtype and flags "
            f"{self.before} became {self.after}"
        )


def declared(adapter: type[Any], target: Any, options: Mapping[str, Any]) -> Any:
    """Return an adapter of a target, or the adapter that the target is with some fields replaced."""
    return replace(target, **options) if isinstance(target, adapter) else adapter(target, **options)


class Adapter:
    """An implementation under test, in the arrays of one library.

    Attributes:
        library: the framework whose arrays it takes.
        domain: declared domain.
        framework: the name of the library.
        name: name in reports.
    """

    library: Framework
    domain: Domain
    framework: str
    name: str

    @classmethod
    def of(cls, target: Any, *, seed: int = 0, **options: Any) -> Any:
        """Return the subject that laws judge.

        Args:
            target: the implementation, or an adapter of it whose fields the options replace.
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
    def gradient_modes(self) -> tuple[str, ...]:
        """Gradient modes of its library."""
        return self.library.modes

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
        snapshots = [(name, value, to_numpy(value), self.library.metadata(value)) for name, value in watched]
        call()
        for name, value, before, metadata in snapshots:
            if self.library.metadata(value) != metadata:
                return Change(name, metadata, self.library.metadata(value))
            if not np.array_equal(before, to_numpy(value), equal_nan=True):
                return Change(name)
        return None

    def _laid_out(self, name: str, value: NumericArray, dtype: str, layout: str) -> Native:
        """Return a fresh array of the library in a memory layout, as ``contracts.subject.Call`` names it."""
        native = self.library.array(value, dtype)
        if layout == "contiguous" or not self.has_layouts:
            return native
        expanded, _, axis = layout.partition(" over ")
        if axis:
            return self.library.expanded(native, AXES.index(axis)) if name == expanded else native
        return dict(self.library.layouts(native)).get(LAYOUTS[layout], native)

    def _differentiated(
        self,
        program: Program,
        call: Callable[..., Native],
        arrays: Mapping[str, NumericArray],
        dtype: str,
        wrt: Sequence[str],
        layout: str = "contiguous",
    ) -> dict[str, FloatArray]:
        """Return the gradients of a scalar program of a call with respect to named arrays."""
        natives = {name: self._laid_out(name, value, dtype, layout) for name, value in arrays.items()}
        with self.library.setting(dtype):
            gradients = self.library.gradients(lambda leaves: program(call, leaves), natives, wrt)
        return {name: np.asarray(value, dtype=np.float64) for name, value in gradients.items()}


class FunctionAdapter(Adapter):
    """A function under test."""

    target: Callable[..., Any]
    device: str
    dtypes: Sequence[str] | None
    _call: Callable[..., Any]

    def _settle_function(self, promised: Callable[[tuple[str, ...]], Domain]) -> None:
        """Set library, domain and name of the target.

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
        """Call the target, which returns one array, and return the array."""
        with self.library.setting(dtype):
            result = self._call(*arguments)
        self._require_library(result)
        return result

    def _require_library(self, result: Any) -> None:
        """Raise TargetMismatchError unless a result is an array of the library."""
        if library_of(result) != self.framework:
            raise TargetMismatchError(f"returned {result_text(result)}, expected a {self.framework} array")

    def _arrays_of(self, result: Any) -> tuple[Any, ...]:
        """Return the parts of a result that should be arrays."""
        return (result,)

    def _require_callable(
        self,
        demand: str,
        arguments: Sequence[Any],
        keywords: Mapping[str, Any],
        dtype: str,
        expected: str,
    ) -> None:
        """Call the target once; raise TargetError, starting with the demand, if the call fails."""
        try:
            with self.library.setting(dtype):
                result = self._call(*arguments, **keywords)
        except TargetRaisedError as error:
            hint = self._numpy_hint(arguments, keywords)
            if hint or isinstance(error.cause, TypeError | AttributeError):
                raise TargetError(f"{demand}, {self.name} raised {error}{hint}") from error
            return
        for part in self._arrays_of(result):
            library = library_of(part)
            if library != self.framework:
                hint = f"; for a {library} function say --framework {library}" if library else ""
                raise TargetError(f"{demand}, {self.name} returned {result_text(part)}, not {expected}{hint}")

    def _numpy_hint(self, arguments: Sequence[Any], keywords: Mapping[str, Any]) -> str:
        """Return "try --framework numpy" if the target takes the same arguments as numpy arrays."""
        if self.framework == "numpy":
            return ""
        plain = [to_numpy(value) if is_array(value) else value for value in arguments]
        try:
            with np.errstate(all="ignore"):
                result = self._call(*plain, **keywords)
        except TargetRaisedError:
            return ""
        numpy = any(library_of(part) == "numpy" for part in self._arrays_of(result))
        return "; it takes numpy arrays: try --framework numpy" if numpy else ""


def result_text(result: Any) -> str:
    """Describe a result that is no array."""
    return f"a {type(result).__name__}" if isinstance(result, tuple | list) else describe(result)
