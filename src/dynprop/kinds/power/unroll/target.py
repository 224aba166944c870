"""An unrolled linear recurrence under test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from dynprop.contracts.domain import Domain
from dynprop.kinds.power.target import PowerTarget

__all__ = ["Unroll"]


@dataclass(frozen=True)
class Unroll(PowerTarget):
    """An unroll f(W, h0, steps) -> states, to be judged by the laws of kind ``unroll``.

    Args:
        target: the function; W is (n, n), h0 (n,), real or complex, steps a whole number; states are
            (steps + 1, n) with states[0] = h0 and states[k] = states[k-1] @ W.
        framework: the arrays that it takes: "numpy", "torch" or "jax".
        device: where its arrays live.
        dtypes, max_length, arithmetic: what the target promises; ``max_length`` bounds steps, and another
            arithmetic than "product" excuses it from the laws that compare bits.
        name: how reports call it; default its qualified name.

    Raises:
        ArgumentError: the target is not callable, or an option is unknown.
    """

    target: Callable[..., Any]
    framework: str = "numpy"
    device: str = "cpu"
    dtypes: Sequence[str] | None = None
    max_length: int = 2048
    arithmetic: str = "product"
    name: str = ""
    kind: str = field(default="unroll", init=False)
    form: str = field(default="f(W, h0, steps) -> states (steps + 1, n)", init=False)

    def __post_init__(self) -> None:
        self._settle_function(
            lambda dtypes: Domain(dtypes=dtypes, max_length=self.max_length, arithmetic=self.arithmetic)
        )

    def shape(self, n: int, t: int) -> tuple[int, ...]:
        """Return (t + 1, n)."""
        return (t + 1, n)
