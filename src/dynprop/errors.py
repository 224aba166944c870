"""Exception types of dynprop, one per kind of mistake.

Every message contains the value received, the value expected, and the remedy.
"""

from __future__ import annotations

__all__ = [
    "ArgumentError",
    "DefectError",
    "DynpropError",
    "LedgerError",
    "MissingExtraError",
    "PrecisionError",
    "TargetError",
]


class DynpropError(Exception):
    """Base of every error that dynprop raises on purpose."""


class ArgumentError(DynpropError, ValueError):
    """An argument has the wrong rank, shape, dtype or values (NaN and infinity included).

    Raised before any computation. The message names the argument and describes the value received.
    """

    def __init__(self, argument: str, got: str, expected: str) -> None:
        """Compose the message from the argument's name, the value received and the value expected."""
        super().__init__(f"{argument}: got {got}, expected {expected}")
        self.argument = argument


class PrecisionError(DynpropError, ArithmeticError):
    """The promised accuracy is not reached within the stated limits."""


class TargetError(DynpropError):
    """An implementation under test cannot be found, built, or called with the signature of its kind."""


class LedgerError(DynpropError):
    """The record of finished runs cannot be read or written, or its contents fail their checks."""


class DefectError(DynpropError):
    """dynprop itself failed, by no fault of its caller or of a target; the message says what to report."""


class MissingExtraError(DynpropError, ModuleNotFoundError):
    """An optional library is not installed; the message names the extra of dynprop that brings it."""

    def __init__(self, purpose: str, library: str, extra: str) -> None:
        """Compose the message from what needs the library, the library and the extra."""
        remedy = f"pip install 'dynprop[{extra}]'"
        super().__init__(f"{purpose} needs {library}, which is not installed: {remedy}")
        self.extra = extra
