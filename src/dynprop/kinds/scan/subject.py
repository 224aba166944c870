"""The interface of a gated scan under test."""

from __future__ import annotations

from typing import Protocol

from dynprop.arrays import FloatArray
from dynprop.contracts.subject import ArraySubject

__all__ = ["ScanSubject"]


class ScanSubject(ArraySubject[FloatArray], Protocol):
    """A function (gates, inputs, initial) -> states."""
