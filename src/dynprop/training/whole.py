"""Validation of whole numbers, numpy's included."""

from __future__ import annotations

from typing import Any

import numpy as np

from dynprop.errors import ArgumentError

__all__ = ["require_whole"]


def require_whole(name: str, value: Any, least: int = 1) -> int:
    """Return a whole number as an int.

    Args:
        name: of the argument, for the error.
        value: as given by the user, of any type.
        least: its smallest value.

    Raises:
        ArgumentError: it is no whole number, or too small.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ArgumentError(name, repr(value), f"a whole number of at least {least}")
    return int(value)
