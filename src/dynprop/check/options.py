"""Options of the command line that hold names with values."""

from __future__ import annotations

from collections.abc import Sequence

from dynprop.errors import ArgumentError

__all__ = ["parse_promises", "parse_sizes"]


def parse_sizes(text: str | None) -> dict[str, int] | None:
    """Parse NAME=N,...; raises ArgumentError."""
    if text is None:
        return None
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    if not pairs or not all(name.strip().isidentifier() and n.strip().isdigit() for name, _, n in pairs):
        raise ArgumentError("sizes", repr(text), "NAME=N,... such as input_size=4,hidden_size=6")
    return {name.strip(): int(n) for name, _, n in pairs}


def parse_promises(given: Sequence[str] | None) -> dict[str, str]:
    """Parse each NAME=EXPR; raises ArgumentError."""
    pairs = [text.partition("=") for text in given or ()]
    for text, (name, equals, expression) in zip(given or (), pairs, strict=True):
        if not equals or not name.strip() or not expression.strip():
            raise ArgumentError("promise", repr(text), "NAME=EXPR such as variance=2/fan_in")
    return {name.strip(): expression.strip() for name, _, expression in pairs}
