"""Laws of array functions for a closed form: shapes, layouts, unchanged arguments, repeated calls."""

from __future__ import annotations

from functools import partial

from dynprop.kinds.power.cases import PowerCase, power_case
from dynprop.kinds.power.closed_form.invariance import at_least_one
from dynprop.kinds.power.hygiene import (
    LAYOUT_SCRIPT,
    LAYOUT_SOURCE,
    LAYOUTS,
    NUMPY_T_SCRIPT,
    REPEATABLE,
    REPEATABLE_SCRIPT,
    SHAPE_SOURCE,
    UNCHANGED,
    agreement,
    numpy_time_agrees,
    third_call_agrees,
)
from dynprop.kinds.power.subject import PowerSubject
from dynprop.laws.array_laws import arguments_unchanged, declared_shape, layouts_agree
from dynprop.laws.evidence import Evidence
from dynprop.laws.hygiene import laid_out
from dynprop.laws.law import law


@law(
    "closed-form/shape-and-dtype",
    claim="C1",
    statement="the answer has shape (n,) and the dtype and device of h(0): real for real W, whatever its "
    "eigenvalues",
    source=SHAPE_SOURCE,
    draw=at_least_one,
    script="h = f(W, h0, t)\nprint(h.shape, h.dtype, 'for', h0.shape, h0.dtype)",
    share=0.3,
)
def shape_and_dtype(subject: PowerSubject, case: PowerCase) -> Evidence:
    """Check shape (n,), and the dtype and device of the arguments."""
    return declared_shape(subject, case)


@law(
    "closed-form/memory-layout",
    claim="C1",
    statement=f"{LAYOUTS} answer",
    source=LAYOUT_SOURCE,
    draw=at_least_one,
    applies=laid_out,
    script=LAYOUT_SCRIPT,
    share=0.3,
)
def memory_layout(subject: PowerSubject, case: PowerCase) -> Evidence:
    """Compare contiguous arguments with every other layout."""
    return layouts_agree(subject, case, agreement(case))


@law(
    "closed-form/inputs-unchanged",
    claim="C1",
    statement=UNCHANGED,
    source="in-place squaring",
    draw=at_least_one,
    script="before = W + 0\nf(W, h0, t)\nprint(W - before)",
    share=0.5,
)
def inputs_unchanged(subject: PowerSubject, case: PowerCase) -> Evidence:
    """Compare W and h(0) before and after a call."""
    return arguments_unchanged(subject, case)


@law(
    "closed-form/repeatable",
    claim="C1",
    statement=REPEATABLE,
    source="a decomposition that is cached under the wrong key",
    draw=at_least_one,
    script=REPEATABLE_SCRIPT,
    share=0.5,
)
def repeatable(subject: PowerSubject, case: PowerCase) -> Evidence:
    """Call, call with another h(0), read the first result again, call a third time."""
    return third_call_agrees(subject, case)


@law(
    "closed-form/numpy-times",
    claim="C1",
    statement="t may be an integer of numpy, int64 or int32: the answer is that for a Python integer, or t "
    "is refused",
    source="numpy integers are no int: isinstance(t, int) is false",
    draw=partial(power_case, shortest=1, refusals="numpy t"),
    script=NUMPY_T_SCRIPT,
    share=0.4,
)
def numpy_times(subject: PowerSubject, case: PowerCase) -> Evidence:
    """Call with t of numpy's types."""
    return numpy_time_agrees(subject, case)
