"""Calls of a target, whose exceptions are kept apart from those of a law.

A target is any callable of the user, with arguments and results of any type; hence Any.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any

from dynprop.wording import error_text

__all__ = [
    "Surroundings",
    "TargetMismatchError",
    "TargetRaisedError",
    "attributable",
    "attributed",
    "guard",
    "surround",
    "visiting",
]

REFUSALS = (ValueError, TypeError, NotImplementedError)


class TargetRaisedError(Exception):
    """The implementation under test raised; the cause is attached."""

    def __init__(self, cause: BaseException) -> None:
        """Keep the exception that the target raised."""
        super().__init__(error_text(cause))
        self.cause = cause

    @property
    def is_refusal(self) -> bool:
        """Whether the exception is one by which a case may be refused."""
        return isinstance(self.cause, REFUSALS)

    def refuses(self, case: object) -> bool:
        """Whether the exception refuses a case: plain errors do, unless the case names its own.

        torch's LinAlgError is a RuntimeError, numpy's a ValueError; both mean the same.
        """
        named = getattr(case, "refusal_types", None)
        if named is None:
            return self.is_refusal
        return isinstance(self.cause, named) or type(self.cause).__name__ in ("LinAlgError", "_LinAlgError")


class TargetMismatchError(Exception):
    """The implementation returned something of the wrong shape or structure."""


class Surroundings:
    """What a target's calls find in the interpreter; this one leaves everything as it is.

    Attributes:
        attributable: the exceptions that count as the target's. In a process of the user's, Ctrl-C and the
            exceptions by which pytest ends a test are not among them.
    """

    attributable: tuple[type[BaseException], ...] = (Exception, SystemExit, GeneratorExit)

    def enter(self) -> None:
        """Called before the target's code runs."""

    def leave(self) -> None:
        """Called after the target's code has run."""


_surroundings = Surroundings()


def surround(surroundings: Surroundings) -> None:
    """Let all calls of targets in this process run in these surroundings."""
    global _surroundings
    _surroundings = surroundings


def attributable() -> tuple[type[BaseException], ...]:
    """Return the exceptions that count as the target's; write ``except attributable()``."""
    return _surroundings.attributable


class visiting:  # noqa: N801  (a context manager, used like a function)
    """Run code of the target in its surroundings.

    A class, and not a generator: what the target leaves behind, replaced built-in functions for example, is
    put back before anything else runs.
    """

    __slots__ = ("_surroundings",)

    def __enter__(self) -> None:
        self._surroundings = _surroundings
        self._surroundings.enter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._surroundings.leave()


class attributed(visiting):  # noqa: N801  (a context manager, used like a function)
    """Run code of the target in its surroundings, and attribute every exception raised inside to it."""

    __slots__ = ()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Raise TargetRaisedError for an exception that counts as the target's."""
        self._surroundings.leave()
        # By type: an exception may lie about its class.
        if kind is None or error is None or issubclass(kind, TargetRaisedError | TargetMismatchError):
            return
        if issubclass(kind, self._surroundings.attributable):
            raise TargetRaisedError(error) from error


def guard(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a target so that its exceptions are attributed to it."""

    def call(*args: Any, **kwargs: Any) -> Any:
        with attributed():
            return function(*args, **kwargs)

    return call
