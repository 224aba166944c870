"""Calls of a target, whose exceptions are kept apart from those of a law.

A target is any callable of the user, with arguments and results of any type; hence Any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["TargetMismatchError", "TargetRaisedError", "attributed", "guard"]

REFUSALS = (ValueError, TypeError, NotImplementedError)


class TargetRaisedError(Exception):
    """The implementation under test raised; the cause is attached."""

    def __init__(self, cause: BaseException) -> None:
        """Keep the exception that the target raised."""
        super().__init__(f"{type(cause).__name__}: {_first_line(cause)}")
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


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else ""


@contextmanager
def attributed() -> Iterator[None]:
    """Attribute every exception raised inside to the target."""
    try:
        yield
    except (TargetRaisedError, TargetMismatchError):
        raise
    except (Exception, SystemExit) as error:
        raise TargetRaisedError(error) from error


def guard(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a target so that its exceptions are attributed to it."""

    def call(*args: Any, **kwargs: Any) -> Any:
        with attributed():
            return function(*args, **kwargs)

    return call
