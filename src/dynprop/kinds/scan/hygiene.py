"""Laws of array functions for a scan: shapes, layouts, unchanged arguments, repeated calls, threads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from dynprop.arrays import FloatArray
from dynprop.contracts.domain import Domain
from dynprop.kinds.scan.cases import ScanCase, scan_case
from dynprop.kinds.scan.forward import LONGER, PLANNED, at_least_two
from dynprop.kinds.scan.judging import agree, run
from dynprop.kinds.scan.plan import planned
from dynprop.kinds.scan.references import bound_of
from dynprop.kinds.scan.subject import ScanSubject
from dynprop.laws.array_laws import (
    Agree,
    arguments_unchanged,
    calls_agree,
    declared_shape,
    layouts_agree,
    threaded,
    threads_agree,
)
from dynprop.laws.evidence import Evidence
from dynprop.laws.hygiene import laid_out
from dynprop.laws.law import law


def _agree(subject: ScanSubject, case: ScanCase) -> Agree[FloatArray]:
    bound = bound_of(case, subject.domain)
    return lambda result, label, value, other: agree(label, value, other, case, bound)


@law(
    "scan/shape-and-dtype",
    claim="C1",
    statement="states have the shape, dtype and device of the inputs",
    source="lucidrains/assoc-scan 0.0.6; public contract",
    draw=at_least_two,
    fixed=PLANNED,
    script="states = f(gates, inputs, initial)\nprint(states.shape, states.dtype, 'for', inputs.shape, "
    "inputs.dtype)",
    share=0.5,
)
def shape_and_dtype(subject: ScanSubject, case: ScanCase) -> Evidence:
    """Check that states have the shape, dtype and device of the inputs."""
    return declared_shape(subject, case)


@law(
    "scan/memory-layout",
    claim="C1",
    statement="non-contiguous, transposed, broadcast and read-only arguments give the same states",
    source="proger/accelerated-scan (contiguity demanded); array-api-tests",
    draw=partial(scan_case, shortest=2, varied=("layout",)),
    fixed=planned("layout", shortest=2),
    applies=laid_out,
    script="""\
# layout: {layout}
def transposed(v):  # the same numbers, stored time first
    return v.swapaxes(0, 1).reshape(-1).reshape(v.swapaxes(0, 1).shape).swapaxes(0, 1)

print(f(gates, inputs, initial) - f(transposed(gates), transposed(inputs), initial))""",
    share=0.5,
)
def memory_layout(subject: ScanSubject, case: ScanCase) -> Evidence:
    """Compare contiguous arguments with the layout of the case, or with every one that needs no case."""
    agreement = _agree(subject, case)
    if case.layout == "contiguous":
        return layouts_agree(subject, case, agreement)
    plain, other = run(subject, replace(case, layout="contiguous")), run(subject, case)
    comparison = agreement("states", f"states for {case.layout} arguments", other, plain)
    return Evidence((comparison,), detail={"layout": case.layout})


@law(
    "scan/inputs-unchanged",
    claim="C1",
    statement="the caller's arrays are not modified: neither values nor shape, strides or flags",
    source="xlstm 2.0.6 (squeeze_ on the caller's tensors)",
    draw=at_least_two,
    fixed=LONGER,
    script="before = inputs.copy() if hasattr(inputs, 'copy') else inputs.clone()\n"
    "f(gates, inputs, initial)\nprint(inputs.shape, before.shape, abs(inputs - before).max())",
    share=0.6,
)
def inputs_unchanged(subject: ScanSubject, case: ScanCase) -> Evidence:
    """Compare the arguments before and after a call."""
    return arguments_unchanged(subject, case)


def _repeated(domain: Domain, subject: ScanSubject) -> Iterator[ScanCase]:
    for case in LONGER(domain, subject):
        yield replace(case, form="after the same shape")


@law(
    "scan/repeatable",
    claim="C1",
    statement="two calls agree: nothing is kept between calls, and a result is not overwritten later",
    source="state kept between calls is the commonest defect of hand-written layers",
    draw=at_least_two,
    fixed=_repeated,
    script="first = f(gates, inputs, initial)\nf(gates, 2 * inputs, initial)\n"
    "print(f(gates, inputs, initial) - first)",
    share=0.6,
)
def repeatable(subject: ScanSubject, case: ScanCase) -> Evidence:
    """Call, call with other inputs, read the first result again, call a third time."""
    other = (case.gates, case.inputs[:, ::-1] * 2.0, case.initial)
    return calls_agree(subject, case, other, _agree(subject, case))


@law(
    "scan/threads",
    claim="C1",
    statement="several thread counts agree",
    source="numpy/numpy#25100 (threads change results)",
    draw=at_least_two,
    fixed=LONGER,
    applies=threaded,
    script="import torch\ntorch.set_num_threads(1)\none = f(gates, inputs, initial)\n"
    "torch.set_num_threads(2)\nprint(f(gates, inputs, initial) - one)",
    share=0.3,
)
def threads(subject: ScanSubject, case: ScanCase) -> Evidence:
    """Compare the states at every thread count with those at the first one."""
    return threads_agree(subject, case, _agree(subject, case))
