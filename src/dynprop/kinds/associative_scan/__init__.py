"""The scan over any associative operation."""

from __future__ import annotations

from dynprop.kinds.options import COMMON
from dynprop.kinds.record import Kind

__all__ = ["KIND"]

KIND = Kind(
    name="associative-scan",
    callable="f(combine, elements) -> prefixes",
    arguments_text="inclusive prefixes along axis 0; `combine(a, b)` takes arrays with any leading axes and "
    "broadcasts",
    adapter="dynprop.kinds.associative_scan.target:AssociativeScan",
    laws=("dynprop.kinds.associative_scan.laws",),
    faults=("dynprop.kinds.associative_scan.faults",),
    controls=("dynprop.kinds.associative_scan.controls",),
    options=COMMON,
    arguments=("combine", "elements"),
    framework="torch",
    plan="dynprop.kinds.associative_scan.laws:plan",
    classes="dynprop.kinds.associative_scan.laws:classes",
)
