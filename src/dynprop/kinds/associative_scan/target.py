"""A generic associative scan under test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dynprop.arrays import describe, is_array, library_of, to_numpy
from dynprop.contracts.domain import Domain
from dynprop.contracts.subject import Native
from dynprop.errors import TargetError
from dynprop.kinds.associative_scan.laws import AssociativeCase
from dynprop.kinds.associative_scan.monoids import MONOIDS, Combine, Elements
from dynprop.subjects.adapter import FunctionAdapter
from dynprop.subjects.calls import TargetMismatchError, TargetRaisedError

__all__ = ["AssociativeScan"]


@dataclass(frozen=True)
class AssociativeScan(FunctionAdapter):
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

    Example:
        >>> import numpy as np
        >>> from dynprop.check import AssociativeScan, check
        >>> def fold(combine, elements):
        ...     prefixes = [tuple(e[:1] for e in elements)]
        ...     for t in range(1, len(elements[0])):
        ...         prefixes.append(combine(prefixes[-1], tuple(e[t : t + 1] for e in elements)))
        ...     return tuple(np.concatenate(parts) for parts in zip(*prefixes))
        >>> check(AssociativeScan(fold, framework="numpy"), examples=5, laws=["order"]).verdict
        'pass'
    """

    target: Callable[..., Any]
    framework: str = "torch"
    device: str = "cpu"
    dtypes: Sequence[str] | None = None
    max_length: int = 2048
    name: str = ""
    kind: str = field(default="associative-scan", init=False)

    def __post_init__(self) -> None:
        self._settle_function(lambda dtypes: Domain(dtypes=dtypes, max_length=self.max_length))
        object.__setattr__(self, "_takes_integers", True)

    @property
    def whole_numbers(self) -> bool:
        """Whether integer elements are accepted; ``preflight`` determines it."""
        return bool(self.__dict__["_takes_integers"])

    def preflight(self) -> None:
        """Call the target once with floats, which it must accept, and once with integers, which are optional.

        Raises:
            TargetError: it cannot be called as its kind demands, in one line.
        """
        demand = "kind associative-scan takes f(combine, elements) -> prefixes along axis 0"
        call = f"called with a combine and two {self.framework} arrays of shape (4,)"
        floats, integers = MONOIDS[1], MONOIDS[2]
        rng = np.random.default_rng(0)
        try:
            self.prefixes(floats.combine, floats.draw(rng, 4), self.domain.dtypes[0])
        except TargetMismatchError as error:
            raise TargetError(f"{demand}; {call}, {self.name} {error}") from error
        except TargetRaisedError as error:
            if isinstance(error.cause, TypeError | AttributeError):
                raise TargetError(f"{demand}; {call}, {self.name} raised {error}") from error
        try:
            self.prefixes(integers.combine, integers.draw(rng, 4), "int64")
        except (TargetRaisedError, TargetMismatchError):
            object.__setattr__(self, "_takes_integers", False)

    def prefixes(self, combine: Combine, elements: Elements, dtype: str) -> Elements:
        """Return the inclusive prefixes as numpy arrays."""
        return self._checked_tuple(self._prefixes(combine, self._natives(elements, dtype)))

    def changed_elements(self, combine: Combine, elements: Elements, dtype: str) -> str | None:
        """Call the target; return a sentence that names the modified element, or None."""
        natives = self._natives(elements, dtype)
        watched = ((f"elements[{i}]", native) for i, native in enumerate(natives))
        change = self._change(watched, lambda: self._prefixes(combine, natives))
        return change.sentence if change else None

    @staticmethod
    def case_from_json(data: dict[str, Any]) -> AssociativeCase:
        """Build a case of this kind from its JSON form."""
        return AssociativeCase.from_json(data)

    def _prefixes(self, combine: Combine, natives: tuple[Native, ...]) -> Any:
        with self.library.setting("float64"), np.errstate(over="ignore"):
            return self._call(combine, natives)

    def _natives(self, elements: Elements, dtype: str) -> tuple[Native, ...]:
        return tuple(self.library.array(e, "float64" if dtype == "int64" else dtype) for e in elements)

    def _checked_tuple(self, result: Any) -> Elements:
        if not isinstance(result, tuple | list) or not all(is_array(v) for v in result):
            raise TargetMismatchError(f"returned {describe(result)}, expected a tuple of arrays")
        if any(library_of(v) != self.framework for v in result):
            raise TargetMismatchError(f"returned {library_of(result[0])} arrays; say --framework")
        return tuple(to_numpy(v) for v in result)
