"""No law accuses a control, in a tenth of what a check draws; `make evidence` judges each 10,000 times.

Fixed cases of kinds that have many are shared out among the controls: each is judged on a part of them.

Here alone controls are judged by every law of their kind. Verdicts other than a pass are listed with reasons.
"""

from __future__ import annotations

import pytest

from dynprop.check.run.runner import Options, run_law
from dynprop.evidence.kill_matrix import subject_of
from dynprop.kinds import all_controls, all_laws, laws_for
from dynprop.laws.catalogue import Control
from dynprop.laws.law import Law
from tests.properties.kinds.kinds import thinned

CONTROLS = all_controls()

# A tenth of what a check draws, fewer where a law says that its cases cost more; fixed cases come first.
EXAMPLES = 10
# As many at least for each law of a kind, and independent cases beside them.
LEAST = {
    "scan": (4, 0),
    "associative-scan": (5, 0),
    "unroll": (10, 0),
    "closed-form": (10, 0),
    "product": (8, 4),
    "initializer": (5, 3),
    "agreement": (12, 0),
    "task": (3, 0),
}
# Kinds with many controls and costly cases: one independent case for each law and control.
ONE_CASE = {"linear-attention"}
# Formulas that stand in for each other are right up to rounding, which drawn cases show. A control of which
# one law asks gets the cases of several.
DRAWN = {"control/agreement-formulas": 50, "layer": 3}
NAMED = {
    "control/agreement-success": 40,
    "control/agreement-tangent": 60,
}

# Laws that are asked only of what is declared: a truncation, a reference, integers.
DECLARED = {"scan/truncation", "scan/reference", "unroll/integers", "closed-form/integers"}
# Laws that are not asked of numpy, which has neither gradients nor threads, where no domain is declared.
NOT_NUMPY = {
    "scan": {"scan/gradient", "scan/gradient-wiring", "scan/threads"},
    "associative-scan": set[str](),
    "unroll": {"unroll/adjoint"},
    "closed-form": {"closed-form/adjoint"},
}
# Modules of laws of agreement that are about dynprop.linear.
LINEAR = ("forms", "norms", "spectra")
# Kinds, and controls of other kinds, whose laws decide something about each control.
DECIDED = {
    *("scan", "associative-scan", "product", "initializer", "agreement", "task"),
    *("control/unroll-doubling", "control/unroll-long-double", "control/unroll-torch-function"),
    *("control/power-squaring", "control/power-guarded-eigen", "control/power-guarded-schur"),
    "control/power-torch-halves",
}
# How many laws at least a control passes, where its kind has many.
PASSED = {"task": 9, "scan": 4, "associative-scan": 4}

# Laws that can decide nothing about a control, with the reason.
UNDECIDED = {
    ("control/heavy-weights", "initializer/variance"): "no fourth moment",
    ("control/agreement-gradients", "agreement/sum-of-exponents"): "its exponents come without bounds",
}

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")

PARTS = {"scan": 8, "product": 6, "initializer": 5, "closed-form": 4}


def options(control: Control, law: Law) -> Options:
    if control.kind in ONE_CASE:
        return Options(examples=0, iid=1, patience=0.0)
    least, iid = LEAST.get(control.kind, (1, 0))
    drawn = DRAWN.get(control.name, DRAWN.get(control.kind, EXAMPLES))
    examples = max(least, round(drawn * law.share))
    return Options(examples=NAMED.get(control.name, examples), iid=iid, patience=0.0)


@pytest.mark.parametrize("control", CONTROLS, ids=lambda c: c.name)
def test_the_control_is_not_accused(control: Control) -> None:
    subject = subject_of(control)
    parts = PARTS.get(control.kind, 1)
    part = [c for c in CONTROLS if c.kind == control.kind].index(control) % parts
    laws = [thinned(law, parts, part) for law in laws_for(control.kind)]
    results = [run_law(law, subject, options(control, law)) for law in laws]
    asked = [r for r in results if not r.not_applicable]
    assert [(r.law, r.verdict) for r in asked if r.failed] == []
    assert max(r.worst_ratio for r in results) <= 1.0
    assert sum(r.decided for r in results) > (30 if control.kind == "agreement" else 0)
    assert len(asked) >= PASSED.get(control.kind, 1)
    if not DECIDED.isdisjoint((control.kind, control.name)):
        undecided = {law for name, law in UNDECIDED if name == control.name}
        expected = {r.law: "undecidable" if r.law in undecided else "pass" for r in asked}
        assert {r.law: r.verdict for r in asked} == expected
        if control.kind in NOT_NUMPY and not control.domain:
            spared = NOT_NUMPY[control.kind] if control.framework == "numpy" else set[str]()
            assert {r.law for r in results if r.not_applicable} <= spared | DECLARED
    if control.kind == "associative-scan":  # of whole numbers, each case is decided
        assert all(r.decided == r.cases for r in results)


def test_every_law_is_asked_of_a_control() -> None:
    asked = set()
    for control in CONTROLS:
        subject = subject_of(control)
        asked |= {law.id for law in laws_for(control.kind) if law.applies(subject) is None}
    unasked = {law.id for law in all_laws()} - asked
    # Nobody else writes certified powers, nor all functions of the other rooms that agreement is about.
    linear = {law.id for law in laws_for("agreement") if law.test.__module__.endswith(LINEAR)}
    assert unasked & linear == {"agreement/certified-power"}
    assert {law for law in unasked if not law.startswith("agreement/")} == set()
