"""The running extreme: f(values) -> extremes, h(t) = max(h(t-1), x(t))."""

from dynprop.errors import ArgumentError
from dynprop.kinds import Kind, Option

__all__ = ["EXTREMES", "KIND"]

EXTREMES = ("max", "min")


def parse_extreme(text: str) -> str:
    """Return the name of an extreme; raises ArgumentError."""
    if text not in EXTREMES:
        raise ArgumentError("extreme", repr(text), f"one of {', '.join(EXTREMES)}")
    return text


KIND = Kind(
    name="running-extreme",
    callable="f(values) -> extremes",
    arguments_text="values and extremes `(time,)`; h(t) = max(h(t−1), x(t))",
    adapter="dynprop_toy.target:RunningExtreme",
    laws=("dynprop_toy.laws",),
    faults=("dynprop_toy.faults",),
    controls=("dynprop_toy.controls",),
    options=(
        Option("extreme", "Which extreme runs; default max.", "max|min", parse=parse_extreme),
        Option("max_length", "Longest sequence; default 2048.", "N", int),
    ),
    arguments=("values",),
    setup="dynprop_toy.cases:setup",
)
