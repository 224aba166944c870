"""What a scan must leave alone, whatever it computes: shapes, dtypes, arguments, later calls."""

from __future__ import annotations

from dynprop.contracts.subject import ScanSubject
from dynprop.kinds.scan.bounds import forward_bound
from dynprop.kinds.scan.cases import ScanCase
from dynprop.kinds.scan.forward import at_least_two
from dynprop.kinds.scan.judging import agree, run
from dynprop.laws.evidence import Evidence, worst
from dynprop.laws.hygiene import as_expected, laid_out
from dynprop.laws.law import law


@law(
    "scan/shape-and-dtype",
    claim="C1",
    statement="states have the shape, dtype and device of the inputs",
    source="lucidrains/assoc-scan 0.0.6; public contract",
    draw=at_least_two,
    script="states = f(gates, inputs, initial)\nprint(states.shape, states.dtype, 'for', inputs.shape, "
    "inputs.dtype)",
    share=0.5,
)
def shape_and_dtype(subject: ScanSubject, case: ScanCase) -> Evidence:
    """Ask for the shape, dtype and device of the inputs."""
    _, shape, dtype, device = subject.returned(case.gates, case.inputs, case.initial, case.dtype)
    wanted = (case.inputs.shape, case.dtype, subject.expected_device())
    return as_expected("states have", (shape, dtype, device), wanted)


@law(
    "scan/memory-layout",
    claim="C1",
    statement="non-contiguous, transposed, broadcast and read-only arguments give the same states",
    source="proger/accelerated-scan (contiguity demanded); array-api-tests",
    draw=at_least_two,
    applies=laid_out,
    script="""\
# layout: {layout}
def transposed(v):  # the same numbers, stored time first
    return v.swapaxes(0, 1).reshape(-1).reshape(v.swapaxes(0, 1).shape).swapaxes(0, 1)

print(f(gates, inputs, initial) - f(transposed(gates), transposed(inputs), initial))""",
    share=0.5,
)
def memory_layout(subject: ScanSubject, case: ScanCase) -> Evidence:
    """Compare contiguous arguments with every other layout."""
    plain, bound = run(subject, case), forward_bound(case, subject.domain)
    pairs = [
        ({"layout": name}, agree(f"states for {name} arguments", value, plain, case, bound))
        for name, value in subject.layouts(case.gates, case.inputs, case.initial, case.dtype)
    ]
    comparisons, detail = worst(pairs)
    return Evidence(comparisons, detail=detail)


@law(
    "scan/inputs-unchanged",
    claim="C1",
    statement="the caller's arrays are not modified: neither values nor shape, strides or flags",
    source="xlstm 2.0.6 (squeeze_ on the caller's tensors)",
    draw=at_least_two,
    script="before = inputs.copy() if hasattr(inputs, 'copy') else inputs.clone()\n"
    "f(gates, inputs, initial)\nprint(inputs.shape, before.shape, abs(inputs - before).max())",
)
def inputs_unchanged(subject: ScanSubject, case: ScanCase) -> Evidence:
    """Look at the arguments before and after a call."""
    changed = subject.changed_arguments(case.gates, case.inputs, case.initial, case.dtype)
    return Evidence(failure=changed, detail={"checked": True})


@law(
    "scan/repeatable",
    claim="C1",
    statement="two calls agree: nothing is kept between calls, and a result is not overwritten later",
    source="state kept between calls is the commonest defect of hand-written layers",
    draw=at_least_two,
    script="first = f(gates, inputs, initial)\nf(gates, 2 * inputs, initial)\n"
    "print(f(gates, inputs, initial) - first)",
)
def repeatable(subject: ScanSubject, case: ScanCase) -> Evidence:
    """Call, call with something else, call again; then read the first result."""
    first, *_ = subject.returned(case.gates, case.inputs, case.initial, case.dtype)
    early = first()
    other = case.inputs[:, ::-1] * 2.0
    subject.states(case.gates, other, case.initial, case.dtype)
    late = first()
    again = run(subject, case)
    bound = forward_bound(case, subject.domain)
    return Evidence(
        (
            agree("states of the third call beside the first", again, early, case, bound),
            agree("states of the first call, read after another call", late, early, case, bound),
        )
    )


def _threaded(subject: ScanSubject) -> str | None:
    return None if subject.thread_counts else "the library has no thread count to set"


@law(
    "scan/threads",
    claim="C1",
    statement="several thread counts agree",
    source="numpy/numpy#25100 (threads change results)",
    draw=at_least_two,
    applies=_threaded,
    script="import torch\ntorch.set_num_threads(1)\none = f(gates, inputs, initial)\n"
    "torch.set_num_threads(2)\nprint(f(gates, inputs, initial) - one)",
    share=0.3,
)
def threads(subject: ScanSubject, case: ScanCase) -> Evidence:
    """Compare thread counts with the first of them."""
    arguments = (case.gates, case.inputs, case.initial, case.dtype)
    first, *others = (subject.with_threads(n, *arguments) for n in subject.thread_counts)
    bound = forward_bound(case, subject.domain)
    pairs = [
        ({"threads": count}, agree(f"states with {count} threads", value, first, case, bound))
        for count, value in zip(subject.thread_counts[1:], others, strict=True)
    ]
    comparisons, detail = worst(pairs)
    return Evidence(comparisons, detail=detail)
