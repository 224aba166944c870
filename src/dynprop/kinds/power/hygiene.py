"""Texts and comparisons shared by the array-function laws of unrolls and closed forms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dynprop.arrays import NumericArray
from dynprop.kinds.power.cases import PowerCase
from dynprop.kinds.power.judging import agree
from dynprop.kinds.power.subject import PowerSubject
from dynprop.laws.array_laws import Agree, calls_agree
from dynprop.laws.evidence import Evidence

__all__ = [
    "LAYOUTS",
    "LAYOUT_SCRIPT",
    "LAYOUT_SOURCE",
    "NUMPY_T_SCRIPT",
    "REPEATABLE",
    "REPEATABLE_SCRIPT",
    "SHAPE_SOURCE",
    "UNCHANGED",
    "agreement",
    "numpy_time_agrees",
    "third_call_agrees",
]

SHAPE_SOURCE = "public contract; complex eigenvectors of a real W"
LAYOUTS = "strided, transposed, Fortran-ordered, reversed and read-only arguments give the same"
LAYOUT_SOURCE = "array-api-tests; kernels that read memory in one order"
LAYOUT_SCRIPT = """\
# layout: {layout}
stored = W.T + 0  # the same numbers, stored by columns
print(f(W, h0, t) - f(stored.T, h0, t))"""
UNCHANGED = "the caller's W and h(0) are not modified: neither values nor shape, strides or flags"
REPEATABLE = "two calls agree: nothing is kept between calls, and a result is not overwritten later"
REPEATABLE_SCRIPT = "first = f(W, h0, t)\nf(W, 2 * h0, t)\nprint(f(W, h0, t) - first)"
NUMPY_T_SCRIPT = """\
import numpy as np
print(f(W, h0, np.dtype("{integer}").type(t)), f(W, h0, t))"""


def agreement(case: PowerCase) -> Agree[NumericArray]:
    """Return a comparison of two results of one case, within twice the bound."""
    return lambda result, label, value, other: agree(label, value, other, case)


def third_call_agrees(subject: PowerSubject, case: PowerCase) -> Evidence:
    """Call, call with another h(0), read the first result again, call a third time."""
    other = replace(case, h=2.0 * case.h[::-1])
    return calls_agree(subject, case, other.arguments, agreement(case))


def numpy_time_agrees(subject: PowerSubject, case: PowerCase) -> Evidence:
    """Compare the result for a number of steps of numpy's types with that for a Python integer."""
    integer = np.int64 if case.seed % 2 or case.t >= 2**31 else np.int32
    plain = subject.values(case.arguments, case.dtype)
    value = subject.values((case.W, case.h, integer(case.t)), case.dtype)
    comparison = agree(f"result for {integer.__name__}({case.t}) steps", value, plain, case)
    return Evidence((comparison,), detail={"integer": integer.__name__})
