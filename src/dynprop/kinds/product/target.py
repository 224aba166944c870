"""A running product under test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray, describe
from dynprop.contracts.domain import Domain
from dynprop.contracts.subject import Native
from dynprop.kinds.product.cases import ProductCase
from dynprop.subjects.adapter import ArrayFunctionAdapter
from dynprop.subjects.calls import TargetMismatchError

__all__ = ["Product"]


@dataclass(frozen=True)
class Product(ArrayFunctionAdapter):
    """A running product f(weights) -> products, to be judged by the laws of kind ``product``.

    Args:
        target: the function; weights and products have one shape, time first; entry t is the product of the
            first t + 1 weights, elementwise, or W_t ... W_1 with ``matrix``.
        framework: the arrays that it takes: "numpy", "torch" or "jax".
        device: where its arrays live.
        gates: which weights it takes: "any", "signed" (-1 <= w <= 1), "unit" (0 < w <= 1) or "constant".
        dtypes, max_length, arithmetic: what the target promises; an evaluation through logarithms declares
            arithmetic "log".
        matrix: whether weights are (time, n, n) and products those of matrices.
        name: how reports call it; default its qualified name.

    Raises:
        ArgumentError: the target is not callable, or an option is unknown.
    """

    target: Callable[..., Any]
    framework: str = "numpy"
    device: str = "cpu"
    gates: str = "any"
    dtypes: Sequence[str] | None = None
    max_length: int = 2048
    arithmetic: str = "product"
    matrix: bool = False
    name: str = ""
    kind: str = field(default="product", init=False)

    def __post_init__(self) -> None:
        self._settle_function(
            lambda dtypes: Domain(
                gates=self.gates, dtypes=dtypes, max_length=self.max_length, arithmetic=self.arithmetic
            )
        )

    def preflight(self) -> None:
        """Call the target once on an ordinary case.

        Raises:
            TargetError: it cannot be called as its kind demands, in one line.
        """
        dtype = self.domain.dtypes[0]
        steps = min(3, self.domain.max_length)
        ordinary = np.full((steps, 2, 2), 0.5) if self.matrix else np.full((steps, 2), 0.5)
        form = "f(weights) -> products of the same shape, time first"
        arguments = {"weights": self.library.array(ordinary, dtype)}
        self._demand(f"kind product takes {form}", arguments, dtype, "one array of products")

    def values(self, weights: FloatArray, dtype: str) -> FloatArray:
        """Call the target on a fresh array and return the products."""
        return self._products((self.library.array(weights, dtype),), dtype)

    def returned(
        self, weights: FloatArray, dtype: str
    ) -> tuple[Callable[[], FloatArray], tuple[int, ...], str, str]:
        """Call the target; return a later reader of its result, and its shape, dtype and device."""
        return self._returned((self.library.array(weights, dtype),), dtype)

    def layouts(self, weights: FloatArray, dtype: str) -> Iterator[tuple[str, FloatArray]]:
        """Yield the products for weights of every memory layout, by name."""
        for layout, other in self.library.layouts(self.library.array(weights, dtype)):
            yield layout, self._products((other,), dtype)

    def changed_arguments(self, weights: FloatArray, dtype: str) -> str | None:
        """Call the target and say whether it modified the weights, values or metadata, or None."""
        arguments = (self.library.array(weights, dtype),)
        change = self._change([("weights", arguments[0])], lambda: self._run(arguments, dtype))
        return change.told("were") if change else None

    @staticmethod
    def case_from_json(data: dict[str, Any]) -> ProductCase:
        """Build a case of this kind from its JSON form."""
        return ProductCase.from_json(data)

    def _products(self, arguments: Sequence[Native], dtype: str) -> FloatArray:
        return np.asarray(self._checked(self._run(arguments, dtype), arguments), dtype=np.float64)

    def _require(self, result: Native, arguments: Sequence[Any]) -> None:
        expected = tuple(arguments[0].shape)
        if tuple(getattr(result, "shape", ())) != expected:
            raise TargetMismatchError(
                f"returned {describe(result)}, expected the shape of the weights, {expected}"
            )

    def _values(self, result: Native) -> FloatArray:
        values = super()._values(result)
        if np.iscomplexobj(values):
            raise TargetMismatchError("returned complex products of real weights")
        return np.asarray(values, dtype=np.float64)
