"""The gated scan h_t = a_t h_{t-1} + x_t."""

from __future__ import annotations

from dynprop.kinds.options import (
    ARITHMETIC,
    DEVICE,
    DTYPES,
    FRAMEWORK,
    GATES,
    INPUTS,
    MAX_LENGTH,
    REACH,
    REFERENCE,
    WINDOWS,
)
from dynprop.kinds.record import Kind

__all__ = ["KIND"]

KIND = Kind(
    name="scan",
    callable="f(gates, inputs, initial) -> states",
    arguments_text="gates, inputs and states (batch, time, channel); initial (batch, channel) or None",
    adapter="dynprop.kinds.scan.target:Scan",
    laws=(
        "dynprop.kinds.scan.forward",
        "dynprop.kinds.scan.calls",
        "dynprop.kinds.scan.gradient",
        "dynprop.kinds.scan.hygiene",
        "dynprop.kinds.scan.invariance",
        "dynprop.kinds.scan.truncation",
        "dynprop.kinds.scan.reference",
    ),
    faults=(
        "dynprop.kinds.scan.faults.numpy_faults",
        "dynprop.kinds.scan.faults.torch_faults",
        "dynprop.kinds.scan.faults.gradients",
        "dynprop.kinds.scan.faults.truncation",
        "dynprop.kinds.scan.faults.reference",
        "dynprop.kinds.scan.faults.one_regime",
    ),
    controls=("dynprop.kinds.scan.controls",),
    options=(FRAMEWORK, DEVICE, GATES, INPUTS, DTYPES, MAX_LENGTH, ARITHMETIC, REACH, WINDOWS, REFERENCE),
    arguments=("gates", "inputs", "initial"),
    framework="torch",
    promise="dynprop.kinds.scan.show:promise",
    setup="dynprop.kinds.scan.show:setup",
    plan="dynprop.kinds.scan.plan:plan",
    classes="dynprop.kinds.scan.plan:classes",
)
