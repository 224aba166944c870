"""Every planted fault is caught, a gross one within 20 examples; no control is accused in a quarter of 100.

`dynprop faults` prints the whole matrix at full length, and `make evidence` judges every control 10,000
times; here a fault needs one law that fails it.
"""

from __future__ import annotations

import warnings

import pytest

from dynprop.check.run.runner import Options, run_law
from dynprop.evidence.kill_matrix import GROSS_EXAMPLES, subject_of
from dynprop.kinds import all_controls, all_faults, laws_for
from dynprop.laws.catalogue import Control, Fault

# A quarter of what a check draws; the fixed cases of a law come first in any case.
EXAMPLES = 25

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")


def caught(fault: Fault) -> str | None:
    """Return the first law that fails a fault."""
    examples = GROSS_EXAMPLES if fault.gross else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a wrong implementation warns about is its own business
        subject = subject_of(fault)
        for law in laws_for(fault.kind):
            if run_law(law, subject, Options(examples=examples, patience=0.0)).failed:
                return law.id
    return None


@pytest.mark.parametrize("fault", all_faults(), ids=lambda f: f.name)
def test_the_fault_is_caught(fault: Fault) -> None:
    assert caught(fault) is not None


@pytest.mark.parametrize("control", all_controls(), ids=lambda c: c.name)
def test_the_control_is_not_accused(control: Control) -> None:
    subject = subject_of(control)
    results = []
    for law in laws_for(control.kind):
        # Fewer where the law says that its cases cost more.
        options = Options(examples=max(1, round(EXAMPLES * law.share)), patience=0.0)
        results.append(run_law(law, subject, options))
    assert [(r.law, r.verdict) for r in results if r.failed] == []
    assert sum(r.decided for r in results) > 0
