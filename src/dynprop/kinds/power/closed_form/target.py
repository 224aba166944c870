"""A closed form of a linear recurrence under test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dynprop.arrays import NumericArray
from dynprop.contracts.domain import Domain, floating, whole
from dynprop.kinds.power.cases import PowerCase
from dynprop.subjects.array_function import ArrayFunction, Result, Signature, any_numbers

__all__ = ["ClosedForm"]

SIGNATURE = Signature(
    "f(W, h0, t) -> h_t (n,)",
    ("W", "h0", "t"),
    (Result("h_t", lambda W, h0, t: h0.shape, "the shape of h0", any_numbers),),
    lambda domain: (np.array([[0.5, 0.25], [0.0, 1.0]]), np.ones(2), min(3, domain.max_length)),
)


@dataclass(frozen=True)
class ClosedForm(ArrayFunction[NumericArray]):
    """A closed form f(W, h0, t) -> h_t, to be judged by the laws of kind ``closed-form``.

    Args:
        target: the function; W is (n, n), h0 and h_t (n,), real or complex, t a whole number; h_t is
            h0 @ W^t, the transpose of the t-th power of W times h0. It may refuse an ill-conditioned W by
            raising ValueError or ArithmeticError.
        framework: the arrays that it takes: "numpy", "torch" or "jax".
        device: where its arrays live.
        dtypes, max_length: what the target promises; ``max_length`` bounds t; "int64" among the dtypes
            promises exact states of integer W and h0, or a refusal.
        name: how reports call it; default its qualified name.

    Raises:
        ArgumentError: the target is not callable, or an option is unknown.

    Example:
        >>> import numpy as np
        >>> from dynprop.check import ClosedForm, check
        >>> def power(W, h0, t):
        ...     return h0 @ np.linalg.matrix_power(W, t)
        >>> check(ClosedForm(power), examples=3, laws=["closed-form/exact-or-refused"]).verdict
        'pass'
    """

    target: Callable[..., Any]
    framework: str = "numpy"
    device: str = "cpu"
    dtypes: Sequence[str] | None = None
    max_length: int = 2048
    name: str = ""
    kind: str = field(default="closed-form", init=False)

    def __post_init__(self) -> None:
        self._settle_function(
            lambda dtypes: Domain(dtypes=floating(dtypes), max_length=self.max_length, integers=whole(dtypes))
        )

    @property
    def signature(self) -> Signature[NumericArray]:
        """The call f(W, h0, t) -> h_t."""
        return SIGNATURE

    @staticmethod
    def case_from_json(data: dict[str, Any]) -> PowerCase:
        """Build a case of this kind from its JSON form."""
        return PowerCase.from_json(data)
