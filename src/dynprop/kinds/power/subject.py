"""The interface of an unroll or a closed form under test."""

from __future__ import annotations

from typing import Protocol

from dynprop.arrays import NumericArray
from dynprop.contracts.subject import ArraySubject

__all__ = ["PowerSubject"]


class PowerSubject(ArraySubject[NumericArray], Protocol):
    """A function (W, h0, t) -> states (t + 1, n), or the last of them (n,); numbers may be complex."""
