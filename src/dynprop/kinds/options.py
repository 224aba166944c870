"""The options that several kinds share."""

from __future__ import annotations

from collections.abc import Sequence

from dynprop.errors import ArgumentError
from dynprop.kinds.record import Option, TargetOption

__all__ = [
    "ARITHMETIC",
    "COMMON",
    "DEVICE",
    "DTYPES",
    "FRAMEWORK",
    "GATES",
    "INPUTS",
    "MAX_LENGTH",
    "REACH",
    "REFERENCE",
    "WINDOWS",
    "parse_list",
    "parse_names",
    "parse_promises",
    "parse_sizes",
]


def parse_list(text: str) -> tuple[str, ...]:
    """Parse words that commas separate."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def parse_sizes(text: str) -> dict[str, int]:
    """Parse NAME=N,...; raises ArgumentError."""
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    if not pairs or not all(name.strip().isidentifier() and n.strip().isdigit() for name, _, n in pairs):
        raise ArgumentError("sizes", repr(text), "NAME=N,... such as input_size=4,hidden_size=6")
    return {name.strip(): int(n) for name, _, n in pairs}


def parse_names(text: str) -> dict[str, str]:
    """Parse NAME=NAME,...; raises ArgumentError."""
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    if not pairs or not all(name.strip() and other.strip() for name, _, other in pairs):
        raise ArgumentError("reference_parameters", repr(text), "NAME=NAME,... such as cell.weight_ih=W")
    return {name.strip(): other.strip() for name, _, other in pairs}


def parse_promises(given: Sequence[str]) -> dict[str, str]:
    """Parse each NAME=EXPR; raises ArgumentError."""
    pairs = [text.partition("=") for text in given]
    for text, (name, equals, expression) in zip(given, pairs, strict=True):
        if not equals or not name.strip() or not expression.strip():
            raise ArgumentError("promise", repr(text), "NAME=EXPR such as variance=2/fan_in")
    return {name.strip(): expression.strip() for name, _, expression in pairs}


FRAMEWORK = Option("framework", "The arrays it takes; default numpy or torch, by kind.", "numpy|torch|jax")
DEVICE = Option("device", "Where arrays live; default cpu.", "D")
GATES = Option("gates", "Gates that it handles; default any.", "unit|signed|any|constant|reset")
INPUTS = Option("inputs", "Inputs that it handles; default any.", "any|positive")
DTYPES = Option("dtypes", "Formats it computes in, such as float64,float32.", "LIST", parse=parse_list)
MAX_LENGTH = Option("max_length", "Longest sequence; default 2048.", "N", int)
ARITHMETIC = Option("arithmetic", "How it forms products; log: by sums of logarithms.", "product|log")
REACH = Option("reach", "It cuts its gradient after lag K on purpose.", "K", int)
WINDOWS = Option("windows", "With --reach K: cuts every K steps, counted from there.", "start|end")
REFERENCE = TargetOption("reference", "Another target of the kind that must agree with it.", "TARGET")

# What every function of arrays can declare.
COMMON = (FRAMEWORK, DEVICE, DTYPES, MAX_LENGTH)
