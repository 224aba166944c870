"""Initial weights: f(shape, rng) -> weights, judged by structure and by the promised distribution."""

from __future__ import annotations

from dynprop.kinds.options import DEVICE, FRAMEWORK, parse_promises
from dynprop.kinds.record import Kind, Option

__all__ = ["KIND"]

KIND = Kind(
    name="initializer",
    callable="f(shape, rng) -> weights",
    arguments_text="shape `(fan_in, fan_out)` and a numpy Generator; for torch `(fan_out, fan_in)` and a "
    "`torch.Generator`",
    adapter="dynprop.kinds.initializer.target:Initializer",
    laws=(
        "dynprop.kinds.initializer.structure",
        "dynprop.kinds.initializer.chance",
        "dynprop.kinds.initializer.covariance",
        "dynprop.kinds.initializer.spectra",
    ),
    faults=("dynprop.kinds.initializer.faults", "dynprop.kinds.initializer.regime_faults"),
    controls=("dynprop.kinds.initializer.controls",),
    options=(
        FRAMEWORK,
        DEVICE,
        Option(
            "promise",
            "variance=EXPR or radius=EXPR, arithmetic in fan_in and fan_out; may be repeated.",
            "NAME=EXPR",
            parse=parse_promises,
            repeatable=True,
        ),
        Option("law", "Law of weights: normal, uniform, orthogonal, ...", "NAME"),
    ),
    arguments=("shape", "rng"),
    promise="dynprop.kinds.initializer.show:promise",
    setup="dynprop.kinds.initializer.show:setup",
)
