"""The registry of laws: one function each, with its claim, statement and source.

A law is added by one decorated function (CONTRIBUTING.md shows it); the runner, ``dynprop laws``, the kill
matrix and the theory map find it here. A law has the type of its subject and of its case: the function, the
generator of cases, the fixed cases and the condition must fit each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import numpy as np

from dynprop.contracts.domain import Domain
from dynprop.errors import ArgumentError
from dynprop.laws.draw import Source
from dynprop.laws.evidence import Evidence

__all__ = ["Batch", "Case", "Cleared", "Law", "law", "registered"]


class Case(Protocol):
    """One input of a law: plain data that can be stored, replayed and made smaller."""

    @property
    def dtype(self) -> str:
        """The format that the subject is to compute in."""
        ...

    def smaller(self) -> Iterable[Case]:
        """Yield simpler cases, the largest simplification first."""
        ...

    def refusable(self) -> bool:
        """Return whether an implementation may refuse this case with a plain error."""
        ...

    def describe(self) -> str:
        """Describe the case on one line."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Return the case as plain JSON values."""
        ...


@dataclass(frozen=True)
class Cleared:
    """The result of judging many independent cases together.

    Attributes:
        decided: number of cases that passed for certain.
        undecidable: number of cases that are undecidable for certain.
        worst_ratio: worst residual over bound among those that passed.
        remaining: the other cases, to be judged alone.
    """

    decided: int
    undecidable: int
    worst_ratio: float
    remaining: tuple[Case, ...]


# The subject and the case of a law. The bare name Law, as in a registry or runner, is a law of any kind: both
# are Any. Only type checkers know defaults on Python 3.11.
if TYPE_CHECKING:
    from typing_extensions import TypeVar as TypeVarWithDefault

    S = TypeVarWithDefault("S", default=Any)
    C = TypeVarWithDefault("C", bound=Case, default=Any)
else:
    S, C = TypeVar("S"), TypeVar("C")

Batch = Callable[[S, np.random.Generator, int, Callable[[C], None]], Cleared]


@dataclass(frozen=True)
class Law(Generic[S, C]):
    """A statement that every correct implementation of a kind satisfies.

    Attributes:
        id: readable slug, kind first, such as "scan/gradient-by-lag".
        kind: the kind of implementation that it judges.
        claim: the claim of the theory (C0 to C7) that it makes executable.
        statement: one sentence.
        source: paper, section or issue.
        test: (subject, case) -> Evidence.
        draw: (source, domain, subject) -> case.
        fixed: (domain, subject) -> cases that are always run first.
        applies: (subject) -> why the law is not applicable, or None.
        script: lines that show a failure without dynprop, by framework where they differ ("" for the others);
            names and {detail} keys are filled in.
        share: fraction of the usual number of examples, for laws whose cases cost more.
        batch: (subject, rng, count, announce) -> Cleared: draws and judges many independent cases at once,
            announcing each before the target is called; None where cases are judged one by one.
        numbers: "floating" or "integer": the dtypes of its cases; the law is not applicable to a subject that
            declares none of them.
    """

    id: str
    kind: str
    claim: str
    statement: str
    source: str
    test: Callable[[S, C], Evidence]
    draw: Callable[[Source, Domain, S], C]
    fixed: Callable[[Domain, S], Iterable[C]]
    applies: Callable[[S], str | None]
    script: Mapping[str, str]
    share: float
    batch: Batch[S, C] | None = None
    numbers: str = "floating"

    @property
    def shortest(self) -> int:
        """Smallest number of steps that its cases have."""
        return int(self.draw.keywords.get("shortest", 0)) if isinstance(self.draw, partial) else 0

    @property
    def slug(self) -> str:
        """The id without its kind."""
        return self.id.split("/", 1)[1]


NUMBERS = ("floating", "integer")
CLAIMS = tuple(f"C{number}" for number in range(8))
_LAWS: dict[str, Law] = {}


def _no_cases(domain: Domain, subject: object) -> tuple[()]:
    return ()


def _always(subject: object) -> None:
    return None


def law(
    identifier: str,
    *,
    claim: str,
    statement: str,
    source: str,
    draw: Callable[[Source, Domain, S], C],
    fixed: Callable[[Domain, S], Iterable[C]] = _no_cases,
    applies: Callable[[S], str | None] = _always,
    script: str | Mapping[str, str] = "",
    share: float = 1.0,
    batch: Batch[S, C] | None = None,
    numbers: str = "floating",
) -> Callable[[Callable[[S, C], Evidence]], Callable[[S, C], Evidence]]:
    """Register the decorated function as a law; see Law for the arguments.

    A generator of cases that does not use its subject annotates it as Any: with ``object``, type checkers
    expect a law for any object.

    Raises:
        ArgumentError: the id is taken or is not of the form kind/slug, the claim is none of C0 to C7, or the
            numbers are neither floating nor integer.
    """
    kind, slash, slug = identifier.partition("/")
    if not kind or not slash or not slug or "/" in slug:
        raise ArgumentError("law", repr(identifier), "an id of the form kind/slug")
    if claim not in CLAIMS:
        raise ArgumentError("claim", f"{claim!r} of law {identifier!r}", f"one of {', '.join(CLAIMS)}")
    if numbers not in NUMBERS:
        got = f"{numbers!r} of law {identifier!r}"
        raise ArgumentError("numbers", got, f"one of {', '.join(NUMBERS)}")

    def register(test: Callable[[S, C], Evidence]) -> Callable[[S, C], Evidence]:
        if identifier in _LAWS:
            raise ArgumentError("law", repr(identifier), "an id that is not taken")
        scripts = {"": script} if isinstance(script, str) else script
        _LAWS[identifier] = Law(
            identifier,
            kind,
            claim,
            statement,
            source,
            test,
            draw,
            fixed,
            applies,
            scripts,
            share,
            batch,
            numbers,
        )
        return test

    return register


def registered() -> tuple[Law, ...]:
    """Return the laws that imported modules have registered so far, in the order of registration."""
    return tuple(_LAWS.values())
