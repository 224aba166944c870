"""An unrolled linear recurrence under test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dynprop.arrays import NumericArray
from dynprop.contracts.domain import Domain, floating, whole
from dynprop.kinds.power.cases import PowerCase
from dynprop.subjects.array_function import ArrayFunction, Result, Signature, any_numbers

__all__ = ["Unroll"]

SIGNATURE = Signature(
    "f(W, h0, steps) -> states (steps + 1, n)",
    ("W", "h0", "steps"),
    (Result("states", lambda W, h0, steps: (steps + 1, h0.shape[0]), "shape (steps + 1, n)", any_numbers),),
    lambda domain: (np.array([[0.5, 0.25], [0.0, 1.0]]), np.ones(2), min(3, domain.max_length)),
)


@dataclass(frozen=True)
class Unroll(ArrayFunction[NumericArray]):
    """An unroll f(W, h0, steps) -> states, to be judged by the laws of kind ``unroll``.

    Args:
        target: the function; W is (n, n), h0 (n,), real or complex, steps a whole number; states are
            (steps + 1, n) with states[0] = h0 and states[k] = states[k-1] @ W.
        framework: the arrays that it takes: "numpy", "torch" or "jax".
        device: where its arrays live.
        dtypes, max_length, arithmetic: what the target promises; ``max_length`` bounds steps, and another
            arithmetic than "product" excuses it from the laws that compare bits; "int64" among the dtypes
            promises exact states of integer W and h0, or a refusal.
        name: how reports call it; default its qualified name.

    Raises:
        ArgumentError: the target is not callable, or an option is unknown.

    Example:
        >>> import numpy as np
        >>> from dynprop.check import Unroll, check
        >>> def loop(W, h0, steps):
        ...     states = [h0]
        ...     for _ in range(steps):
        ...         states.append(states[-1] @ W)
        ...     return np.stack(states)
        >>> check(Unroll(loop), examples=3, laws=["unroll/exact-states"]).verdict
        'pass'
    """

    target: Callable[..., Any]
    framework: str = "numpy"
    device: str = "cpu"
    dtypes: Sequence[str] | None = None
    max_length: int = 2048
    arithmetic: str = "product"
    name: str = ""
    kind: str = field(default="unroll", init=False)

    def __post_init__(self) -> None:
        self._settle_function(
            lambda dtypes: Domain(
                dtypes=floating(dtypes),
                max_length=self.max_length,
                arithmetic=self.arithmetic,
                integers=whole(dtypes),
            )
        )

    @property
    def signature(self) -> Signature[NumericArray]:
        """The call f(W, h0, steps) -> states."""
        return SIGNATURE

    @staticmethod
    def case_from_json(data: dict[str, Any]) -> PowerCase:
        """Build a case of this kind from its JSON form."""
        return PowerCase.from_json(data)
