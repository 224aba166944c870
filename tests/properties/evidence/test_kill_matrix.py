"""The kill matrix, pair by pair: each fault is caught by the laws that it is planted for.

A fault names its laws where it is planted (``caught_by``). The first must fail it within the examples of a
check, a gross fault within 20. Its verdict, and the other laws, may need more cases: what Hypothesis draws
depends on which modules are loaded. `dynprop faults` prints the whole matrix, every law on every fault.
"""

from __future__ import annotations

import warnings

import pytest

from dynprop.check.run.outcome import LawResult
from dynprop.check.run.runner import Options, run_law, run_until
from dynprop.evidence.kill_matrix import GROSS_EXAMPLES, subject_of
from dynprop.kinds import all_faults, all_laws, law_by_id
from dynprop.laws.catalogue import Fault

FAULTS = all_faults()
PLANTED = [(fault, law) for fault in FAULTS for law in fault.caught_by]
FURTHER = 1000

# Faults that the examples of a check miss at every second seed, with the reason.
RARE = {"closed-form/jordan-powers-for-binomials": "right unless W is one Jordan block of 3 or more"}

# Laws that are allowed to catch nothing yet, each with its reason.
IDLE: dict[str, str] = {}


def judged(fault: Fault, law: str, iid: int = 0) -> LawResult:
    """Run a law until the fault has its verdict; to the end where a graver one would replace it."""
    tested_law, verdict = law_by_id(f"{fault.kind}/{law}"), fault.caught_by[law]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a wrong implementation warns about is its own business
        subject = subject_of(fault)
        if verdict == "wrong":
            examples = GROSS_EXAMPLES if fault.gross else None
            return run_until(tested_law, subject, Options(examples=examples, iid=iid), verdict)
        # Few cases: among many, one at the edge of a format may be graver.
        return run_law(tested_law, subject, Options(examples=GROSS_EXAMPLES, iid=iid, patience=0.0))


@pytest.mark.parametrize(("fault", "law"), PLANTED, ids=[f"{fault.name}-{law}" for fault, law in PLANTED])
def test_the_law_fails_the_fault_that_is_planted_for_it(fault: Fault, law: str) -> None:
    result = judged(fault, law)
    if law == next(iter(fault.caught_by)) and fault.name not in RARE:
        assert result.failed
    if fault.caught_by[law] == "wrong" != result.verdict:
        result = judged(fault, law, FURTHER)
    assert result.verdict == fault.caught_by[law]
    assert result.counterexample is not None
    assert result.counterexample.message
    assert result.counterexample.script


def test_every_fault_names_a_law_that_catches_it() -> None:
    assert [fault.name for fault in FAULTS if not fault.caught_by] == []


def test_every_law_catches_a_fault_or_says_why_not() -> None:
    named = {f"{fault.kind}/{law}" for fault, law in PLANTED}
    assert named | set(IDLE) == {law.id for law in all_laws()}
    assert not named & set(IDLE)
