"""What a closed form must leave alone: shapes, dtypes, arguments, later calls."""

from __future__ import annotations

from dynprop.kinds.power.closed_form.invariance import at_least_one
from dynprop.kinds.power.hygiene import Wording, register

register(
    "closed-form",
    at_least_one,
    Wording(
        result="answer",
        shape="the answer has shape (n,) and the dtype and device of h(0): real for real W, whatever its "
        "eigenvalues",
        script="h = f(W, h0, t)\nprint(h.shape, h.dtype, 'for', h0.shape, h0.dtype)",
        watched="W",
        modified="in-place squaring",
        kept="a decomposition that is cached under the wrong key",
    ),
)
