"""A running product under test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.contracts.domain import Domain, floating, whole
from dynprop.kinds.product.cases import ProductCase
from dynprop.subjects.array_function import ArrayFunction, Result, Signature, real_numbers

__all__ = ["Product"]

OF_WEIGHTS = Signature(
    "f(weights) -> products of the same shape, time first",
    ("weights",),
    (Result("products", lambda weights: weights.shape, "the shape of the weights", real_numbers),),
    lambda domain: (np.full((min(3, domain.max_length), 2), 0.5),),
)
OF_MATRICES = replace(OF_WEIGHTS, example=lambda domain: (np.full((min(3, domain.max_length), 2, 2), 0.5),))


@dataclass(frozen=True)
class Product(ArrayFunction[FloatArray]):
    """A running product f(weights) -> products, to be judged by the laws of kind ``product``.

    Args:
        target: the function; weights and products have one shape, time first; entry t is the product of the
            first t + 1 weights, elementwise, or W_t ... W_1 with ``matrix``.
        framework: the arrays that it takes: "numpy", "torch" or "jax".
        device: where its arrays live.
        gates: which weights it takes: "any", "signed" (-1 <= w <= 1), "unit" (0 < w <= 1) or "constant".
        dtypes, max_length, arithmetic: what the target promises; an evaluation through logarithms declares
            arithmetic "log". "int64" among the dtypes promises exact products of integers, or a refusal.
        matrix: whether weights are (time, n, n) and products those of matrices.
        name: how reports call it; default its qualified name.

    Raises:
        ArgumentError: the target is not callable, or an option is unknown.

    Example:
        >>> import numpy as np
        >>> from dynprop.check import Product, check
        >>> check(Product(lambda weights: np.cumprod(weights, axis=0)), examples=5).verdict
        'pass'
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
                gates=self.gates,
                dtypes=floating(dtypes),
                max_length=self.max_length,
                arithmetic=self.arithmetic,
                integers=whole(dtypes),
            )
        )

    @property
    def signature(self) -> Signature[FloatArray]:
        """The call f(weights) -> products."""
        return OF_MATRICES if self.matrix else OF_WEIGHTS

    @staticmethod
    def case_from_json(data: dict[str, Any]) -> ProductCase:
        """Build a case of this kind from its JSON form."""
        return ProductCase.from_json(data)
