"""Laws of every function of arrays: shapes and dtypes, memory layouts, unchanged arguments, repeated calls.

Each kind registers these functions with its own statements and cases, and passes the comparison of two
results of one call, such as agreement within twice the bound of a sound evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar

from dynprop.contracts.subject import Arguments, ArraySubject
from dynprop.laws.evidence import Comparison, Evidence, worst
from dynprop.laws.hygiene import as_expected

__all__ = [
    "Agree",
    "Called",
    "arguments_unchanged",
    "calls_agree",
    "declared_shape",
    "layouts_agree",
    "threaded",
    "threads_agree",
]

V = TypeVar("V")

# (name of the result, what is compared, value, value that should be the same) -> comparison.
Agree = Callable[[str, str, V, V], Comparison]


class Called(Protocol):
    """A case that has the arguments of a call."""

    @property
    def arguments(self) -> Arguments:
        """The arguments, in the order of the function."""
        ...

    @property
    def dtype(self) -> str:
        """The format that the subject is to compute in."""
        ...


def threaded(subject: ArraySubject[Any]) -> str | None:
    """Return why thread counts cannot be varied, or None."""
    return None if subject.thread_counts else "the library has no thread count to set"


def _compared(
    subject: ArraySubject[V], agree: Agree[V], label: str, values: tuple[V, ...], references: tuple[V, ...]
) -> Iterator[Comparison]:
    for name, value, reference in zip(subject.result_names, values, references, strict=True):
        yield agree(name, f"{name} {label}", value, reference)


def declared_shape(subject: ArraySubject[Any], case: Called) -> Evidence:
    """Compare shape, dtype and device of every result with what the signature declares."""
    got = subject.returned(case.arguments, case.dtype).types
    expected = subject.expected(case.arguments, case.dtype)
    types = zip(subject.result_names, got, expected, strict=True)
    evidences = [as_expected(f"{name}:", *pair) for name, *pair in types]
    return next((evidence for evidence in evidences if evidence.failure), evidences[0])


def layouts_agree(subject: ArraySubject[V], case: Called, agree: Agree[V]) -> Evidence:
    """Compare contiguous arguments with every other layout."""
    plain = subject.results(case.arguments, case.dtype)
    comparisons, detail = worst(
        ({"layout": layout}, comparison)
        for layout, values in subject.layouts(case.arguments, case.dtype)
        for comparison in _compared(subject, agree, f"for {layout} arguments", values, plain)
    )
    return Evidence(comparisons, detail=detail)


def arguments_unchanged(subject: ArraySubject[Any], case: Called) -> Evidence:
    """Compare the arguments after a call with copies made before it."""
    changed = subject.changed_arguments(case.arguments, case.dtype)
    return Evidence(failure=changed, detail={"checked": True})


def calls_agree(subject: ArraySubject[V], case: Called, other: Arguments, agree: Agree[V]) -> Evidence:
    """Call, call with other arguments of the same shape, read the first result again, call a third time."""
    first = subject.returned(case.arguments, case.dtype)
    before = first.read()
    subject.results(other, case.dtype)
    after = first.read()
    repeated = subject.results(case.arguments, case.dtype)
    return Evidence(
        (
            *_compared(subject, agree, "of the third call beside the first", repeated, before),
            *_compared(subject, agree, "of the first call, read after another call", after, before),
        )
    )


def threads_agree(subject: ArraySubject[V], case: Called, agree: Agree[V]) -> Evidence:
    """Compare thread counts with the first of them."""
    counts = subject.thread_counts
    first, *others = (subject.with_threads(count, case.arguments, case.dtype) for count in counts)
    comparisons, detail = worst(
        ({"threads": count}, comparison)
        for count, values in zip(counts[1:], others, strict=True)
        for comparison in _compared(subject, agree, f"with {count} threads", values, first)
    )
    return Evidence(comparisons, detail=detail)
