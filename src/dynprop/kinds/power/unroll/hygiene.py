"""Laws of array functions for an unroll: shapes, layouts, unchanged arguments, repeated calls."""

from __future__ import annotations

from functools import partial

from dynprop.kinds.power.cases import PowerCase, power_case
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
from dynprop.kinds.power.unroll.forward import at_least_two
from dynprop.laws.array_laws import arguments_unchanged, declared_shape, layouts_agree
from dynprop.laws.evidence import Evidence
from dynprop.laws.hygiene import laid_out
from dynprop.laws.law import law


@law(
    "unroll/shape-and-dtype",
    claim="C1",
    statement="states have shape (steps + 1, n) and the dtype and device of h(0)",
    source=SHAPE_SOURCE,
    draw=at_least_two,
    script="states = f(W, h0, t)\nprint(states.shape, states.dtype, 'for', h0.shape, h0.dtype)",
    share=0.3,
)
def shape_and_dtype(subject: PowerSubject, case: PowerCase) -> Evidence:
    """Check shape (steps + 1, n), and the dtype and device of the arguments."""
    return declared_shape(subject, case)


@law(
    "unroll/memory-layout",
    claim="C1",
    statement=f"{LAYOUTS} states",
    source=LAYOUT_SOURCE,
    draw=at_least_two,
    applies=laid_out,
    script=LAYOUT_SCRIPT,
    share=0.3,
)
def memory_layout(subject: PowerSubject, case: PowerCase) -> Evidence:
    """Compare contiguous arguments with every other layout."""
    return layouts_agree(subject, case, agreement(case))


@law(
    "unroll/inputs-unchanged",
    claim="C1",
    statement=UNCHANGED,
    source="in-place updates of a running state",
    draw=at_least_two,
    script="before = h0 + 0\nf(W, h0, t)\nprint(h0 - before)",
    share=0.5,
)
def inputs_unchanged(subject: PowerSubject, case: PowerCase) -> Evidence:
    """Compare W and h(0) before and after a call."""
    return arguments_unchanged(subject, case)


@law(
    "unroll/repeatable",
    claim="C1",
    statement=REPEATABLE,
    source="buffers shared between calls",
    draw=at_least_two,
    script=REPEATABLE_SCRIPT,
    share=0.5,
)
def repeatable(subject: PowerSubject, case: PowerCase) -> Evidence:
    """Call, call with another h(0), read the first result again, call a third time."""
    return third_call_agrees(subject, case)


@law(
    "unroll/numpy-steps",
    claim="C1",
    statement="the number of steps may be an integer of numpy, int64 or int32: the states are those for a "
    "Python integer, or it is refused",
    source="numpy integers are no int: isinstance(steps, int) is false",
    draw=partial(power_case, shortest=1, refusals="numpy t"),
    script=NUMPY_T_SCRIPT,
    share=0.4,
)
def numpy_steps(subject: PowerSubject, case: PowerCase) -> Evidence:
    """Call with a number of steps of numpy's types."""
    return numpy_time_agrees(subject, case)
