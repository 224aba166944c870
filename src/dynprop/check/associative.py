"""A generic associative scan under test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dynprop.arrays import describe, is_array, library_of, to_numpy
from dynprop.check.calls import TargetMismatchError, TargetRaisedError, guard
from dynprop.check.frameworks import Framework, framework_named
from dynprop.errors import ArgumentError, TargetError
from dynprop.laws.associative_scan import AssociativeCase
from dynprop.laws.domain import Domain
from dynprop.laws.monoids import MONOIDS, Combine, Elements

__all__ = ["AssociativeScan"]


@dataclass(frozen=True)
class AssociativeScan:
    """A scan f(combine, elements) -> inclusive prefixes along axis 0, for any associative combine.

    Args:
        target: the function. elements is a tuple of arrays, time first; combine takes and returns such
            tuples with any leading axes and broadcasts.
        framework: the arrays that it takes: "numpy", "torch" or "jax".
        device: where its arrays live.
        dtypes, max_length: what the target promises.
        name: how reports call it.

    Raises:
        ArgumentError: the target is not callable, or an option is unknown.
    """

    target: Callable[..., Any]
    framework: str = "torch"
    device: str = "cpu"
    dtypes: Sequence[str] | None = None
    max_length: int = 2048
    name: str = ""
    kind: str = field(default="associative-scan", init=False)

    def __post_init__(self) -> None:
        if not callable(self.target):
            raise ArgumentError("target", describe(self.target), "a function")
        library = framework_named(self.framework, self.device)
        promised = Domain(dtypes=tuple(self.dtypes or library.dtypes), max_length=self.max_length)
        object.__setattr__(self, "_library", library)
        object.__setattr__(self, "_domain", promised)
        object.__setattr__(self, "_call", guard(self.target))
        object.__setattr__(self, "_whole", True)
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
    def whole_numbers(self) -> bool:
        """Whether integer elements are accepted; ``preflight`` finds out."""
        return bool(self.__dict__["_whole"])

    def preflight(self) -> None:
        """Call the target once with floats, which it must take, and once with integers, which it may.

        Raises:
            TargetError: it cannot be called as its kind demands, in one line.
        """
        demand = "kind associative-scan takes f(combine, elements) -> prefixes along axis 0"
        called = f"called with a combine and two {self.framework} arrays of shape (4,)"
        floats, integers = MONOIDS[1], MONOIDS[2]
        rng = np.random.default_rng(0)
        try:
            self.prefixes(floats.combine, floats.draw(rng, 4), self.domain.dtypes[0])
        except TargetMismatchError as error:
            raise TargetError(f"{demand}; {called}, {self.name} {error}") from error
        except TargetRaisedError as error:
            if isinstance(error.cause, TypeError | AttributeError):
                raise TargetError(f"{demand}; {called}, {self.name} raised {error}") from error
        try:
            self.prefixes(integers.combine, integers.draw(rng, 4), "int64")
        except (TargetRaisedError, TargetMismatchError):
            object.__setattr__(self, "_whole", False)

    def prefixes(self, combine: Combine, elements: Elements, dtype: str) -> Elements:
        """Return the inclusive prefixes as numpy arrays."""
        natives = self._natives(elements, dtype)
        with self.library.setting("float64"), np.errstate(over="ignore"):
            result = self.__dict__["_call"](combine, natives)
        return self._checked(result)

    def changed_elements(self, combine: Combine, elements: Elements, dtype: str) -> str | None:
        """Call the target and say which element it modified, or None."""
        natives = self._natives(elements, dtype)
        before = [(to_numpy(v), self.library.metadata(v)) for v in natives]
        with self.library.setting("float64"), np.errstate(over="ignore"):
            self.__dict__["_call"](combine, natives)
        for i, (native, (values, metadata)) in enumerate(zip(natives, before, strict=True)):
            if self.library.metadata(native) != metadata:
                return f"the caller's elements[{i}] changed shape, strides or flags"
            if not np.array_equal(values, to_numpy(native)):
                return f"the caller's elements[{i}] were modified in place"
        return None

    def seed(self, seed: int) -> None:
        """Seed the library's global random numbers before a case."""
        self.library.seed(seed)

    @staticmethod
    def case_from_json(data: dict[str, Any]) -> AssociativeCase:
        """Build a case of this kind from its JSON form."""
        return AssociativeCase.from_json(data)

    def _natives(self, elements: Elements, dtype: str) -> tuple[Any, ...]:
        return tuple(self.library.array(e, "float64" if dtype == "int64" else dtype) for e in elements)

    def _checked(self, result: Any) -> Elements:
        if not isinstance(result, tuple | list) or not all(is_array(v) for v in result):
            raise TargetMismatchError(f"returned {describe(result)}, expected a tuple of arrays")
        if any(library_of(v) != self.framework for v in result):
            raise TargetMismatchError(f"returned {library_of(result[0])} arrays; say --framework")
        return tuple(to_numpy(v) for v in result)
