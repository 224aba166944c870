"""The closed form of a linear recurrence: f(W, h0, t) -> h_t = (W^t)^T h0, or a refusal."""

from __future__ import annotations

from dynprop.kinds.options import COMMON
from dynprop.kinds.record import Kind

__all__ = ["KIND"]

KIND = Kind(
    name="closed-form",
    callable="f(W, h0, t) -> h_t",
    arguments_text="the same W and h0; h_t `(n,)`",
    adapter="dynprop.kinds.power.closed_form.target:ClosedForm",
    laws=(
        "dynprop.kinds.power.closed_form.forward",
        "dynprop.kinds.power.closed_form.invariance",
        "dynprop.kinds.power.closed_form.modes",
        "dynprop.kinds.power.closed_form.integers",
        "dynprop.kinds.power.closed_form.hygiene",
    ),
    faults=(
        "dynprop.kinds.power.closed_form.faults.torch_faults",
        "dynprop.kinds.power.closed_form.faults.numpy_faults",
        "dynprop.kinds.power.closed_form.faults.eigen",
        "dynprop.kinds.power.closed_form.faults.regimes",
    ),
    controls=("dynprop.kinds.power.closed_form.controls",),
    options=COMMON,
    arguments=("W", "h0", "t"),
    setup="dynprop.kinds.power.show:setup",
)
