"""The unrolled linear recurrence: f(W, h0, steps) -> states."""

from __future__ import annotations

from dynprop.kinds.options import ARITHMETIC, COMMON
from dynprop.kinds.record import Kind

__all__ = ["KIND"]

KIND = Kind(
    name="unroll",
    callable="f(W, h0, steps) -> states",
    arguments_text="W `(n, n)`, h0 `(n,)`, states `(steps + 1, n)`; h(t) = Wᵀ h(t−1), as rows `h @ W`",
    adapter="dynprop.kinds.power.unroll.target:Unroll",
    laws=(
        "dynprop.kinds.power.unroll.forward",
        "dynprop.kinds.power.unroll.invariance",
        "dynprop.kinds.power.unroll.integers",
        "dynprop.kinds.power.unroll.hygiene",
    ),
    faults=(
        "dynprop.kinds.power.unroll.faults.numpy_faults",
        "dynprop.kinds.power.unroll.faults.torch_faults",
        "dynprop.kinds.power.unroll.faults.regimes",
    ),
    controls=("dynprop.kinds.power.unroll.controls",),
    options=(*COMMON, ARITHMETIC),
    arguments=("W", "h0", "steps"),
    setup="dynprop.kinds.power.show:setup",
)
