"""A gated scan under test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray, describe
from dynprop.contracts.domain import Domain
from dynprop.contracts.subject import Native
from dynprop.kinds.scan.cases import ScanCase
from dynprop.subjects.adapter import ArrayFunctionAdapter
from dynprop.subjects.calls import TargetMismatchError

__all__ = ["Scan"]

ARGUMENTS = ("gates", "inputs", "initial")


@dataclass(frozen=True)
class Scan(ArrayFunctionAdapter):
    """A scan f(gates, inputs, initial) -> states, to be judged by the laws of kind ``scan``.

    Args:
        target: the function; gates, inputs and states have shape (batch, time, channel), initial is
            (batch, channel) or None.
        framework: the arrays that it takes: "numpy", "torch" or "jax".
        device: where its arrays live, such as "cpu" or "cuda".
        gates, inputs, dtypes, max_length, arithmetic, reach: what the target promises; see
            ``dynprop.contracts.domain.Domain``. ``dtypes`` None means those usual for the framework.
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
        self._settle_function(
            lambda dtypes: Domain(
                self.gates, self.inputs, dtypes, self.max_length, self.arithmetic, self.reach
            )
        )

    def preflight(self) -> None:
        """Call the target once on an ordinary case.

        Raises:
            TargetError: it cannot be called as its kind demands, in one line.
        """
        dtype = self.domain.dtypes[0]
        natives = self._natives(np.full((2, 5, 3), 0.5), np.ones((2, 5, 3)), np.ones((2, 3)), dtype)
        arguments = dict(zip(ARGUMENTS, natives, strict=True))
        demand = "kind scan takes f(gates, inputs, initial) -> states"
        self._demand(demand, arguments, dtype, "one array of states")

    def states(
        self, gates: FloatArray, inputs: FloatArray, initial: FloatArray | None, dtype: str
    ) -> FloatArray:
        """Call the target on fresh arrays and return the states."""
        natives = self._natives(gates, inputs, initial, dtype)
        return self._checked(self._run(natives, dtype), natives)

    def returned(
        self, gates: FloatArray, inputs: FloatArray, initial: FloatArray | None, dtype: str
    ) -> tuple[Callable[[], FloatArray], tuple[int, ...], str, str]:
        """Call the target; return a later reader of its result, and its shape, dtype and device."""
        return self._returned(self._natives(gates, inputs, initial, dtype), dtype)

    def layouts(
        self, gates: FloatArray, inputs: FloatArray, initial: FloatArray | None, dtype: str
    ) -> Iterator[tuple[str, FloatArray]]:
        """Yield the states for arguments of every memory layout, by name."""
        natives = self._natives(gates, inputs, initial, dtype)
        variants = [dict(self.library.layouts(v)) if v is not None else {} for v in natives]
        for layout in variants[0]:
            chosen = [v.get(layout, n) for v, n in zip(variants, natives, strict=True)]
            yield layout, self._checked(self._run(chosen, dtype), natives)

    def changed_arguments(
        self, gates: FloatArray, inputs: FloatArray, initial: FloatArray | None, dtype: str
    ) -> str | None:
        """Call the target and say which argument it modified, values or metadata, or None."""
        natives = self._natives(gates, inputs, initial, dtype)
        watched = [(n, v) for n, v in zip(ARGUMENTS, natives, strict=True) if v is not None]
        change = self._change(watched, lambda: self._run(natives, dtype))
        return change.told("were") if change else None

    def with_threads(
        self, count: int, gates: FloatArray, inputs: FloatArray, initial: FloatArray | None, dtype: str
    ) -> FloatArray:
        """Return the states computed with this number of threads."""
        with self.library.threads(count):
            return self.states(gates, inputs, initial, dtype)

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

    def _require(self, result: Native, arguments: Sequence[Any]) -> None:
        expected = tuple(arguments[1].shape)
        if tuple(getattr(result, "shape", ())) != expected:
            raise TargetMismatchError(
                f"returned {describe(result)}, expected the shape of the inputs, {expected}"
            )

    def _checked(self, result: Native, arguments: Sequence[Any]) -> FloatArray:
        values = super()._checked(result, arguments)
        if np.iscomplexobj(values):
            raise TargetMismatchError("returned complex states for real inputs")
        return np.asarray(values, dtype=np.float64)
