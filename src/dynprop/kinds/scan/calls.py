"""The value of a scan does not depend on how it is called: layout, gradient mode, calls before it."""

from __future__ import annotations

from functools import partial

from dynprop.kinds.scan.cases import ScanCase, scan_case
from dynprop.kinds.scan.judging import judge, run
from dynprop.kinds.scan.plan import planned
from dynprop.kinds.scan.subject import ScanSubject
from dynprop.laws.evidence import Evidence
from dynprop.laws.law import law

CALLS = ("layout", "mode", "wants", "form")


@law(
    "scan/calls",
    claim="C1",
    statement="states are exact however the scan is called: with autograd on or off or in inference mode, "
    "whichever arguments require a gradient, in any memory layout, after another call of that shape or one "
    "that raised, in one call or two",
    source="kernels with a path of their own without autograd; pytorch/pytorch#345 (contiguity unchecked)",
    draw=partial(scan_case, shortest=2, varied=CALLS),
    fixed=planned(*CALLS),
    script={
        "torch": """\
# the call: {call}
with torch.no_grad():
    print(f(gates, inputs, initial))
with torch.inference_mode():
    print(f(gates, inputs, initial))
print(f(gates.clone().requires_grad_(), inputs.clone().requires_grad_(), initial))""",
        "": "# the call: {call}\nprint(f(gates, inputs, initial))",
    },
    share=0.5,
)
def calls(subject: ScanSubject, case: ScanCase) -> Evidence:
    """Judge the states of a call in a mode, layout and order of calls against exact arithmetic."""
    comparison = judge(subject, case, run(subject, case))
    how = [case.layout, case.mode, case.form, f"gradients to {case.wants or 'none'}"]
    # Of an empty scan there is the shape, which is checked where states are read.
    return Evidence((comparison,), detail={"call": ", ".join(how), "checked": case.steps == 0})
