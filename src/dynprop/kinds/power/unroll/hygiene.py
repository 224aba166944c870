"""What an unroll must leave alone: shapes, dtypes, arguments, later calls."""

from __future__ import annotations

from dynprop.kinds.power.hygiene import Wording, register
from dynprop.kinds.power.unroll.forward import at_least_two

register(
    "unroll",
    at_least_two,
    Wording(
        result="states",
        shape="states have shape (steps + 1, n) and the dtype and device of h(0)",
        script="states = f(W, h0, t)\nprint(states.shape, states.dtype, 'for', h0.shape, h0.dtype)",
        watched="h0",
        modified="in-place updates of a running state",
        kept="buffers shared between calls",
    ),
)
