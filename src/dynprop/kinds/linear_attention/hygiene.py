"""Laws of array functions for a kernel: shapes, layouts, unchanged arguments, kept results, threads."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from dynprop.arrays import FloatArray
from dynprop.contracts.formats import FORMATS
from dynprop.kinds.linear_attention.cases import LinearCase, linear_case
from dynprop.kinds.linear_attention.convention import format_inside
from dynprop.kinds.linear_attention.judging import agree
from dynprop.kinds.linear_attention.solution import bounded
from dynprop.kinds.linear_attention.subject import Form, LinearSubject
from dynprop.laws.array_laws import (
    Agree,
    calls_agree,
    declared_shape,
    layouts_agree,
    threaded,
    threads_agree,
)
from dynprop.laws.evidence import Comparison, Evidence
from dynprop.laws.hygiene import laid_out
from dynprop.laws.law import law

SMALL = partial(linear_case, longest=33)


class _Call:
    """A case in the layout of the kernel, for laws of arrays."""

    def __init__(self, form: Form, case: LinearCase) -> None:
        self.arguments = form.arguments(case)
        self.dtype = case.dtype


def _agree(subject: LinearSubject, case: LinearCase) -> Agree[FloatArray]:
    answers, convention = bounded(case, subject.convention), subject.convention
    dtype = format_inside(case.dtype, convention)

    def compared(result: str, label: str, value: FloatArray, other: FloatArray) -> Comparison:
        name = "o" if result == "outputs" else "final_state"
        found, expected = convention.decode(name, value), convention.decode(name, other)
        return agree(label.removeprefix(result).strip(), name, found, expected, answers[name], dtype)

    return compared


@law(
    "linear-attention/shape-and-dtype",
    claim="C1",
    statement="outputs have the shape, dtype and device of v; the final state is one (K, V) matrix a "
    "sequence and head, in the dtype of v or float32",
    source="public contract",
    draw=SMALL,
    script="o, state = f(q, k, v, **others)\nprint(o.shape, o.dtype, state.shape, state.dtype)",
    share=0.1,
)
def shape_and_dtype(subject: LinearSubject, case: LinearCase) -> Evidence:
    """Check shape, dtype and device of both results."""
    form = subject.forms["forward"]
    call = _Call(form, case)
    found = declared_shape(form, call)
    if found.failure and FORMATS[case.dtype].unit > FORMATS["float32"].unit:
        # A state in the format of the arguments is as good as one in float32.
        other = "input" if subject.convention.inside == "float32" else "float32"
        return declared_shape(replace(form, convention=replace(form.convention, inside=other)), call)
    return found


@law(
    "linear-attention/memory-layout",
    claim="C1",
    statement="strided, transposed and read-only arguments give the same results",
    source="kernels that read memory in one order (contiguity demanded silently)",
    draw=SMALL,
    applies=laid_out,
    script="# layout: {layout}\nother = (v.swapaxes(0, 1) + 0).swapaxes(0, 1)\n"
    "print(f(q, k, v, **others)[0] - f(q, k, other, **others)[0])",
    share=0.1,
)
def memory_layout(subject: LinearSubject, case: LinearCase) -> Evidence:
    """Compare contiguous arguments with every other layout."""
    form = subject.forms["forward"]
    return layouts_agree(form, _Call(form, case), _agree(subject, case))


@law(
    "linear-attention/inputs-unchanged",
    claim="C1",
    statement="the caller's arrays are not modified, except those that the kernel is declared to overwrite",
    source="xlstm 2.0.6 (q, k, v reshaped in place); states updated in place",
    draw=SMALL,
    script="before = initial_state + 0\nf(q, k, v, initial_state=initial_state, **others)\n"
    "print(initial_state - before)",
    share=0.2,
)
def inputs_unchanged(subject: LinearSubject, case: LinearCase) -> Evidence:
    """Compare the arguments of every form before and after a call."""
    for label, form in subject.whole.items():
        local = case.part(0, 1) if form.form == "step" else case
        changed = form.modified(local, subject.overwrites)
        if changed:
            return Evidence(failure=f"{changed} ({label})")
    return Evidence(detail={"checked": True})


@law(
    "linear-attention/results-kept",
    claim="C1",
    statement="two calls agree: nothing is kept between calls, and a result is not overwritten later",
    source="caches that are written again by the next call",
    draw=SMALL,
    script="first = f(q, k, v, **others)[0]\nf(q, k, 2 * v, **others)\n"
    "print(f(q, k, v, **others)[0] - first)",
    share=0.2,
)
def results_kept(subject: LinearSubject, case: LinearCase) -> Evidence:
    """Call, call with other values, read the first results again, call a third time."""
    form = subject.forms["forward"]
    initial = None if case.initial is None else -case.initial
    other = form.arguments(replace(case, v=-2.0 * case.v, initial=initial))
    return calls_agree(form, _Call(form, case), other, _agree(subject, case))


@law(
    "linear-attention/threads",
    claim="C1",
    statement="several thread counts agree",
    source="numpy/numpy#25100 (threads change results)",
    draw=SMALL,
    applies=lambda subject: threaded(subject.forms["forward"]),
    script="import torch\ntorch.set_num_threads(1)\none = f(q, k, v, **others)[0]\ntorch.set_num_threads(2)\n"
    "print(f(q, k, v, **others)[0] - one)",
    share=0.1,
)
def threads(subject: LinearSubject, case: LinearCase) -> Evidence:
    """Compare the results at every thread count with those at the first one."""
    form = subject.forms["forward"]
    return threads_agree(form, _Call(form, case), _agree(subject, case))
