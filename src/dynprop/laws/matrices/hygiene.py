"""What an unroll or a closed form must leave alone, whatever it computes; each kind registers these."""

from __future__ import annotations

from dataclasses import replace

from dynprop.laws.evidence import Evidence
from dynprop.laws.matrices.cases import PowerCase
from dynprop.laws.matrices.judging import agree, worst
from dynprop.laws.matrices.subject import PowerSubject

__all__ = ["inputs_unchanged", "laid_out", "memory_layout", "repeatable", "shape_and_dtype"]


def shape_and_dtype(subject: PowerSubject, case: PowerCase) -> Evidence:
    """Ask for the shape that the kind has, and for the dtype and device of the arguments."""
    _, *got = subject.returned(case.W, case.h, case.t, case.dtype)
    wanted = subject.expected_of(case.W, case.h, case.t, case.dtype)
    failures = [
        f"{what} {found}, expected {expected}"
        for what, found, expected in zip(("shape", "dtype", "device"), got, wanted, strict=True)
        if found != expected
    ]
    if failures:
        return Evidence(failure="the result has " + "; ".join(failures))
    return Evidence(detail={"checked": True})


def laid_out(subject: PowerSubject) -> str | None:
    """Say why memory layouts cannot be varied, or None."""
    return None if subject.has_layouts else "a caller of the library cannot choose a memory layout"


def memory_layout(subject: PowerSubject, case: PowerCase) -> Evidence:
    """Compare contiguous arguments with every other layout."""
    arguments = (case.W, case.h, case.t, case.dtype)
    plain = subject.values(*arguments)
    comparisons, detail = worst(
        ({"layout": name}, agree(f"result for {name} arguments", value, plain, case))
        for name, value in subject.layouts(*arguments)
    )
    return Evidence(comparisons, detail=detail)


def inputs_unchanged(subject: PowerSubject, case: PowerCase) -> Evidence:
    """Look at the arguments before and after a call."""
    changed = subject.changed_arguments(case.W, case.h, case.t, case.dtype)
    return Evidence(failure=changed, detail={"checked": True})


def repeatable(subject: PowerSubject, case: PowerCase) -> Evidence:
    """Call, call with something else of the same shape, call again; then read the first result."""
    read, *_ = subject.returned(case.W, case.h, case.t, case.dtype)
    early = read()
    other = replace(case, h=2.0 * case.h[::-1])
    subject.values(other.W, other.h, other.t, other.dtype)
    late = read()
    again = subject.values(case.W, case.h, case.t, case.dtype)
    return Evidence(
        (
            agree("result of the third call beside the first", again, early, case),
            agree("result of the first call, read after another call", late, early, case),
        )
    )
