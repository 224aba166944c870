"""The events of a run, in the order in which a listener gets them.

A check sends ``Loaded``; then for every law ``LawStarted``, the events of its cases, and ``LawFinished``.
The events of a case are ``CaseStarted`` before the target is called and ``CasesDone`` after it, with
``FirstFailure`` between them where it is the first of its law that fails. After ``Shrinking`` the cases are
smaller ones, each of which ends with ``SmallerCaseDone``. A replay sends ``Loaded``; then ``LawStarted`` and
``CaseReplayed`` for every saved case. From a child process a check sends no ``CaseStarted``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from dynprop.check.run.outcome import LawResult, Tally
from dynprop.check.run.session import Retrial, TargetFacts
from dynprop.laws.law import Case

__all__ = [
    "CaseReplayed",
    "CaseStarted",
    "CasesDone",
    "Event",
    "FirstFailure",
    "LawFinished",
    "LawStarted",
    "Listener",
    "Loaded",
    "Shrinking",
    "SmallerCaseDone",
    "ignore",
]


@dataclass(frozen=True)
class Loaded:
    """The target is imported and adapted."""

    target: TargetFacts


@dataclass(frozen=True)
class LawStarted:
    """A law, by its id, starts."""

    law: str


@dataclass(frozen=True)
class CaseStarted:
    """The target is about to be called on this case."""

    case: Case


@dataclass(frozen=True)
class FirstFailure:
    """A case of the law failed, the first one; the result has it as its counterexample."""

    result: LawResult


@dataclass(frozen=True)
class CasesDone:
    """Number of cases of the law judged so far, and what came of them."""

    count: int
    tally: Tally = field(default_factory=Tally)


@dataclass(frozen=True)
class Shrinking:
    """The law failed with this result; its counterexample is about to be made smaller."""

    result: LawResult


@dataclass(frozen=True)
class SmallerCaseDone:
    """A smaller case is judged; it does not count among the cases of the law."""


@dataclass(frozen=True)
class LawFinished:
    """A law has this result."""

    result: LawResult


@dataclass(frozen=True)
class CaseReplayed:
    """A saved case is judged again."""

    retrial: Retrial


Event = (
    Loaded
    | LawStarted
    | CaseStarted
    | FirstFailure
    | CasesDone
    | Shrinking
    | SmallerCaseDone
    | LawFinished
    | CaseReplayed
)
Listener = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Listen to nothing."""
