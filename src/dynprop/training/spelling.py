"""How rules are named in a setting: a word, or a word and its number."""

from __future__ import annotations

from typing import Any

from dynprop.errors import ArgumentError

__all__ = ["spelled"]


def spelled(name: str, text: Any, known: tuple[str, ...]) -> tuple[str, float | None]:
    """Split "word" or "word=number" and return both parts.

    Raises:
        ArgumentError: another word, or no number after the sign.
    """
    word, sign, number = str(text).partition("=")
    if word not in known:
        raise ArgumentError(name, repr(text), f"one of {', '.join(known)}, with =NUMBER where it takes one")
    if not sign:
        return word, None
    try:
        return word, float(number)
    except ValueError as error:
        raise ArgumentError(name, repr(text), f"a number after {word}=") from error
