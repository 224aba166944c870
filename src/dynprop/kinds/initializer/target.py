"""An initialiser under test."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray, describe, dtype_name, to_numpy
from dynprop.contracts.domain import Domain
from dynprop.errors import ArgumentError
from dynprop.kinds.initializer.cases import InitializerCase
from dynprop.kinds.initializer.promise import Expression, Law, law_named
from dynprop.subjects.adapter import FunctionAdapter
from dynprop.subjects.calls import TargetMismatchError

__all__ = ["Initializer"]


@dataclass(frozen=True)
class Initializer(FunctionAdapter):
    """An initialiser f(shape, rng) -> weights, to be judged by the laws of kind ``initializer``.

    Args:
        target: the function. For numpy, shape is (fan_in, fan_out) and rng a numpy Generator; for torch,
            (fan_out, fan_in) and a torch.Generator.
        framework: "numpy" or "torch".
        device: where weights live.
        promise: what it promises, by name: "variance" and "radius", each arithmetic in fan_in and fan_out
            such as "2/fan_in".
        law: the declared distribution of weights: "normal", "truncated" (at two deviations, and rescaled),
            "uniform", "laplace", "t5" for Student's t, "orthogonal", or "fixed" where nothing is random.
        name: how reports call it; default its qualified name.

    Raises:
        ArgumentError: the target is not callable, or an option is unknown.

    Example:
        >>> import numpy as np
        >>> from dynprop.check import Initializer, check
        >>> def he(shape, rng):
        ...     return rng.normal(0.0, np.sqrt(2.0 / shape[0]), shape)
        >>> subject = Initializer(he, promise={"variance": "2/fan_in"}, law="normal")
        >>> check(subject, examples=3, laws=["variance"]).verdict
        'pass'
    """

    target: Callable[..., Any]
    framework: str = "numpy"
    device: str = "cpu"
    promise: Mapping[str, str] = field(default_factory=dict)
    law: str = ""
    name: str = ""
    dtypes: Sequence[str] | None = field(default=None, init=False)
    kind: str = field(default="initializer", init=False)

    def __post_init__(self) -> None:
        if self.framework not in ("numpy", "torch"):
            raise ArgumentError("framework", repr(self.framework), "'numpy' or 'torch' for an initialiser")
        self._settle_function(lambda dtypes: Domain(dtypes=dtypes))
        promises = {name: Expression(name, str(text)) for name, text in self.promise.items()}
        object.__setattr__(self, "_promises", promises)
        object.__setattr__(self, "_law", law_named(self.law) if self.law else None)

    @property
    def promises(self) -> Mapping[str, Expression]:
        """Promised quantities, by name."""
        promises: dict[str, Expression] = self.__dict__["_promises"]
        return promises

    @property
    def law_of_weights(self) -> Law | None:
        """The declared distribution of weights, None without a declaration."""
        declared: Law | None = self.__dict__["_law"]
        return declared

    def preflight(self) -> None:
        """Call the target once on an ordinary case.

        Raises:
            TargetError: it cannot be called as its kind demands, in one line.
        """
        shape = self._shape(3, 5)
        which = "numpy Generator" if self.framework == "numpy" else "torch.Generator"
        demand = f"kind initializer takes f(shape, rng) -> weights; called with {shape} and a {which}"
        self._require_callable(demand, (shape, self.generator(0)), {}, "float64", "one array")

    def generator(self, seed: int) -> Any:
        """Return a generator of the library, on its device."""
        if self.framework == "numpy":
            return np.random.default_rng(seed)
        import torch

        return torch.Generator(self.device).manual_seed(seed)

    def random_number(self) -> float | None:
        """Draw from the library's global random numbers, if it has any."""
        return self.library.random_number()

    def draw(self, fan_in: int, fan_out: int, generator: Any) -> FloatArray:
        """Call the target and return its weights, shape (fan_in, fan_out)."""
        return self.reader(fan_in, fan_out, generator)()

    def reader(self, fan_in: int, fan_out: int, generator: Any) -> Callable[[], FloatArray]:
        """Call the target and return a reader of its weights at the time of reading."""
        result = self._raw_weights(fan_in, fan_out, generator)
        if tuple(result.shape) != self._shape(fan_in, fan_out):
            raise TargetMismatchError(
                f"returned {describe(result)}, expected shape {self._shape(fan_in, fan_out)}"
            )
        return lambda: self._fan_in_first(result)

    def returned(
        self, fan_in: int, fan_out: int, generator: Any
    ) -> tuple[FloatArray, tuple[int, ...], str, str]:
        """Call the target; return its weights, and their shape (fan_in, fan_out), dtype and device."""
        result = self._raw_weights(fan_in, fan_out, generator)
        shape = tuple(result.shape)
        fans = shape if self.framework == "numpy" else shape[::-1]
        return self._fan_in_first(result), fans, dtype_name(result), self.library.device_of(result)

    @staticmethod
    def case_from_json(data: dict[str, Any]) -> InitializerCase:
        """Build a case of this kind from its JSON form."""
        return InitializerCase.from_json(data)

    def _shape(self, fan_in: int, fan_out: int) -> tuple[int, int]:
        return (fan_in, fan_out) if self.framework == "numpy" else (fan_out, fan_in)

    def _raw_weights(self, fan_in: int, fan_out: int, generator: Any) -> Any:
        return self._run((self._shape(fan_in, fan_out), generator), "float64")

    def _fan_in_first(self, result: Any) -> FloatArray:
        values = np.asarray(to_numpy(result).real, dtype=np.float64)
        return values if self.framework == "numpy" else np.ascontiguousarray(values.T)
