"""Messages of a child process to its parent: the events of the run, and the state of the child.

Messages are pickled. A case is sent as separately pickled bytes, which the parent unpickles only if the child
is lost on that case. A result is sent without the evidence of its cases, which holds closures.
"""

from __future__ import annotations

from dataclasses import dataclass

from dynprop.check.run.events import (
    CaseReplayed,
    CasesDone,
    FirstFailure,
    LawFinished,
    Loaded,
    Shrinking,
    SmallerCaseDone,
)

__all__ = [
    "AllDone",
    "Announced",
    "Broken",
    "ItemStarted",
    "LawRaised",
    "Message",
    "PreflightPassed",
    "Unusable",
]


@dataclass(frozen=True)
class PreflightPassed:
    """The target can be called as its kind demands."""


@dataclass(frozen=True)
class Unusable:
    """The target cannot be judged.

    Attributes:
        argument: the argument that an ArgumentError names; None for a TargetError.
        text: the error's message.
    """

    argument: str | None
    text: str


@dataclass(frozen=True)
class ItemStarted:
    """The item with this index starts."""

    index: int


@dataclass(frozen=True)
class Announced:
    """The target is about to be called on this case, pickled; None for a case that cannot be pickled."""

    case: bytes | None


@dataclass(frozen=True)
class LawRaised:
    """A law raised, not a call of the target.

    Attributes:
        text: the exception, with the place in the law.
        cause: what the target did to the interpreter that explains it; empty for a defect of dynprop, or of
            the package that offers the kind.
    """

    text: str
    cause: str = ""


@dataclass(frozen=True)
class Broken:
    """The child cannot work, through no doing of the target: a defect of dynprop."""

    text: str


@dataclass(frozen=True)
class AllDone:
    """Every item is done."""


Message = (
    Loaded
    | PreflightPassed
    | Unusable
    | Broken
    | ItemStarted
    | Announced
    | CasesDone
    | FirstFailure
    | Shrinking
    | SmallerCaseDone
    | LawFinished
    | CaseReplayed
    | LawRaised
    | AllDone
)
