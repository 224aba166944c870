"""The errors of dynprop: one type per kind of mistake.

Every message says what was got, what was expected, and what to do about it.
"""

from __future__ import annotations

__all__ = ["ArgumentError", "DynpropError", "LedgerError", "PrecisionError", "TargetError"]


class DynpropError(Exception):
    """Base of every error that dynprop raises on purpose."""


class ArgumentError(DynpropError, ValueError):
    """An argument has the wrong rank, shape, dtype or values (NaN and infinity included).

    Raised before any work is done. The message names the argument and what it got.
    """

    def __init__(self, argument: str, got: str, expected: str) -> None:
        """Name the argument, what it got and what was expected."""
        super().__init__(f"{argument}: got {got}, expected {expected}")
        self.argument = argument


class PrecisionError(DynpropError, ArithmeticError):
    """No answer with the promised accuracy can be given within the stated limits."""


class TargetError(DynpropError):
    """An implementation under test cannot be found, built, or called as its kind demands."""


class LedgerError(DynpropError):
    """The record of finished runs cannot be read, written or believed; the message says what to do."""
