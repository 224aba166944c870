"""Recurrent layers: every form is the same function, forward and backward."""

from __future__ import annotations

from dynprop.kinds.options import (
    DEVICE,
    DTYPES,
    FRAMEWORK,
    INPUTS,
    MAX_LENGTH,
    REACH,
    REFERENCE,
    WINDOWS,
    parse_names,
    parse_sizes,
)
from dynprop.kinds.record import Kind, Option

__all__ = ["KIND"]

KIND = Kind(
    name="layer",
    callable="forward(x, state=None) -> (y, state)",
    arguments_text="as `torch.nn.RNN`, `GRU` and `LSTM` are called; x `(time, batch, feature)` unless "
    "`batch_first`; state is any tree of arrays",
    adapter="dynprop.kinds.layer.target:Layer",
    laws=(
        "dynprop.kinds.layer.batch",
        "dynprop.kinds.layer.forms",
        "dynprop.kinds.layer.gradient",
        "dynprop.kinds.layer.gradient_parameters",
        "dynprop.kinds.layer.gradient_rows",
        "dynprop.kinds.layer.hygiene",
        "dynprop.kinds.layer.memory",
        "dynprop.kinds.layer.reference",
        "dynprop.kinds.layer.step_gradient",
        "dynprop.kinds.layer.truncation",
    ),
    faults=(
        "dynprop.kinds.layer.faults.state",
        "dynprop.kinds.layer.faults.forms",
        "dynprop.kinds.layer.faults.behaviour",
        "dynprop.kinds.layer.faults.sides",
        "dynprop.kinds.layer.faults.parameters",
        "dynprop.kinds.layer.faults.ends",
        "dynprop.kinds.layer.faults.truncation",
        "dynprop.kinds.layer.faults.memory",
        "dynprop.kinds.layer.faults.reference",
    ),
    controls=("dynprop.kinds.layer.controls",),
    options=(
        FRAMEWORK,
        DEVICE,
        INPUTS,
        DTYPES,
        MAX_LENGTH,
        REACH,
        WINDOWS,
        REFERENCE,
        Option(
            "reference_parameters",
            "Its parameters, and what the reference calls them, where names differ.",
            "NAME=NAME,...",
            parse=parse_names,
        ),
        Option("sizes", "Sizes with which a layer is built.", "NAME=N,...", parse=parse_sizes),
    ),
    framework="torch",
    promise="dynprop.kinds.layer.show:promise",
    built=True,
    accepts="dynprop.kinds.layer.target:is_layer",
    accepted="a torch module",
)
