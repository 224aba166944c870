"""A closed form of a linear recurrence under test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from dynprop.contracts.domain import Domain
from dynprop.kinds.power.target import PowerTarget

__all__ = ["ClosedForm"]


@dataclass(frozen=True)
class ClosedForm(PowerTarget):
    """A closed form f(W, h0, t) -> h_t, to be judged by the laws of kind ``closed-form``.

    Args:
        target: the function; W is (n, n), h0 and h_t (n,), real or complex, t a whole number; h_t is
            h0 @ W^t, the transpose of the t-th power of W times h0. It may refuse an ill-conditioned W by
            raising ValueError or ArithmeticError.
        framework: the arrays that it takes: "numpy", "torch" or "jax".
        device: where its arrays live.
        dtypes, max_length: what the target promises; ``max_length`` bounds t.
        name: how reports call it; default its qualified name.

    Raises:
        ArgumentError: the target is not callable, or an option is unknown.
    """

    target: Callable[..., Any]
    framework: str = "numpy"
    device: str = "cpu"
    dtypes: Sequence[str] | None = None
    max_length: int = 2048
    name: str = ""
    kind: str = field(default="closed-form", init=False)
    form: str = field(default="f(W, h0, t) -> h_t (n,)", init=False)

    def __post_init__(self) -> None:
        self._settle_function(lambda dtypes: Domain(dtypes=dtypes, max_length=self.max_length))

    def shape(self, n: int, t: int) -> tuple[int, ...]:
        """Return (n,)."""
        return (n,)
