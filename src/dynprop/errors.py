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
    "NotFiniteError",
    "PlanError",
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


class NotFiniteError(DynpropError, ArithmeticError):
    """A model computes NaN or infinity from finite inputs, so that nothing can be measured."""

    def __init__(self, what: str, where: str) -> None:
        """Compose the message from what is not finite and where it first is not."""
        super().__init__(
            f"{what}: NaN or infinity from {where} on, expected finite numbers; look at the weights and the "
            "inputs of that step"
        )


class TargetError(DynpropError):
    """An implementation under test cannot be found, built, or called with the signature of its kind."""


class LedgerError(DynpropError):
    """The record of finished runs cannot be read or written, or its contents fail their checks."""


class PlanError(DynpropError, ValueError):
    """A plan of cases cannot be met: its exclusions contradict each other, or its values cost too much."""

    def __init__(self, what: str, expected: str, do: str) -> None:
        """Compose the message from what was got, what was expected, and what to do about it."""
        super().__init__(f"plan of cases: got {what}, expected {expected}; {do}")


class DefectError(DynpropError):
    """dynprop itself failed, by no fault of its caller or of a target; the message says what to report."""


class MissingExtraError(DynpropError, ModuleNotFoundError):
    """An optional library is not installed; the message names the extra of dynprop that brings it."""

    def __init__(self, purpose: str, library: str, extra: str) -> None:
        """Compose the message from what needs the library, the library and the extra."""
        remedy = f"pip install 'dynprop[{extra}]'"
        super().__init__(f"{purpose} needs {library}, which is not installed: {remedy}")
        self.extra = extra
