"""What an unroll or a closed form must leave alone, whatever it computes; each kind registers these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from dynprop.contracts.domain import Domain
from dynprop.kinds.power.cases import PowerCase
from dynprop.kinds.power.judging import agree
from dynprop.kinds.power.subject import PowerSubject
from dynprop.laws.draw import Source
from dynprop.laws.evidence import Evidence, worst
from dynprop.laws.hygiene import as_expected, laid_out
from dynprop.laws.law import law

__all__ = ["Wording", "register"]


@dataclass(frozen=True)
class Wording:
    """What the laws of one kind say of its results, and where defects of their sort were seen.

    Attributes:
        result: what the target returns, in a word.
        shape: the statement of its shape, dtype and device.
        script: lines that show them.
        watched: the argument that the script of inputs-unchanged looks at.
        modified, kept: what commonly modifies an argument, and what is commonly kept between calls.
    """

    result: str
    shape: str
    script: str
    watched: str
    modified: str
    kept: str


def _shape_and_dtype(subject: PowerSubject, case: PowerCase) -> Evidence:
    """Ask for the shape that the kind has, and for the dtype and device of the arguments."""
    _, *got = subject.returned(case.W, case.h, case.t, case.dtype)
    wanted = subject.expected_of(case.W, case.h, case.t, case.dtype)
    return as_expected("the result has", got, wanted)


def _memory_layout(subject: PowerSubject, case: PowerCase) -> Evidence:
    """Compare contiguous arguments with every other layout."""
    arguments = (case.W, case.h, case.t, case.dtype)
    plain = subject.values(*arguments)
    comparisons, detail = worst(
        ({"layout": name}, agree(f"result for {name} arguments", value, plain, case))
        for name, value in subject.layouts(*arguments)
    )
    return Evidence(comparisons, detail=detail)


def _inputs_unchanged(subject: PowerSubject, case: PowerCase) -> Evidence:
    """Look at the arguments before and after a call."""
    changed = subject.changed_arguments(case.W, case.h, case.t, case.dtype)
    return Evidence(failure=changed, detail={"checked": True})


def _repeatable(subject: PowerSubject, case: PowerCase) -> Evidence:
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


def register(kind: str, draw: Callable[[Source, Domain, Any], PowerCase], words: Wording) -> None:
    """Register these laws for a kind whose cases are drawn so."""
    law(
        f"{kind}/shape-and-dtype",
        claim="C1",
        statement=words.shape,
        source="public contract; complex eigenvectors of a real W",
        draw=draw,
        script=words.script,
        share=0.3,
    )(_shape_and_dtype)
    law(
        f"{kind}/memory-layout",
        claim="C1",
        statement="strided, transposed, Fortran-ordered, reversed and read-only arguments give the same "
        f"{words.result}",
        source="array-api-tests; kernels that read memory in one order",
        draw=draw,
        applies=laid_out,
        script="# layout: {layout}\nstored = W.T + 0  # the same numbers, stored by columns\n"
        "print(f(W, h0, t) - f(stored.T, h0, t))",
        share=0.3,
    )(_memory_layout)
    law(
        f"{kind}/inputs-unchanged",
        claim="C1",
        statement="the caller's W and h(0) are not modified: neither values nor shape, strides or flags",
        source=words.modified,
        draw=draw,
        script=f"before = {words.watched} + 0\nf(W, h0, t)\nprint({words.watched} - before)",
        share=0.5,
    )(_inputs_unchanged)
    law(
        f"{kind}/repeatable",
        claim="C1",
        statement="two calls agree: nothing is kept between calls, and a result is not overwritten later",
        source=words.kept,
        draw=draw,
        script="first = f(W, h0, t)\nf(W, 2 * h0, t)\nprint(f(W, h0, t) - first)",
        share=0.5,
    )(_repeatable)
