"""What the tests of every kind of law do: judge by one law, and look the catalogue up."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import islice
from typing import Any

from dynprop.check.run.outcome import LawResult
from dynprop.check.run.runner import Options, run_law
from dynprop.evidence.kill_matrix import subject_of
from dynprop.kinds import all_controls, all_faults, law_by_id
from dynprop.laws.catalogue import Control, Fault
from dynprop.laws.law import Law

__all__ = ["QUICK", "assert_caught", "catalogue", "correct", "judged", "planted", "thinned"]

QUICK = Options(examples=20, patience=0.3)


@cache
def catalogue() -> dict[str, Fault | Control]:
    """Return every fault and control by name."""
    chosen: list[Fault | Control] = [*all_faults(), *all_controls()]
    return {entry.name: entry for entry in chosen}


def planted(name: str) -> Any:
    """Return a fault, named with its kind, as a subject."""
    return subject_of(catalogue()[name])


def correct(name: str) -> Any:
    """Return a correct implementation of the catalogue as a subject."""
    return subject_of(catalogue()[f"control/{name}"])


def judged(law: Law | str, subject: Any, options: Options = QUICK) -> LawResult:
    """Judge a subject by one law."""
    return run_law(law_by_id(law) if isinstance(law, str) else law, subject, options)


def thinned(law: Law, step: int, first: int = 0) -> Law:
    """Return a law with one in ``step`` of its fixed cases: for tests in which any case will do."""
    return replace(law, fixed=lambda domain, subject: islice(law.fixed(domain, subject), first, None, step))


def assert_caught(result: LawResult, verdict: str) -> None:
    """Assert that a fault has its verdict, and that the report can show it."""
    assert result.verdict == verdict
    assert result.counterexample is not None
    assert result.counterexample.message
    assert result.counterexample.script
