"""What calls of every kind have in common where laws look at more than the numbers."""

from __future__ import annotations

from collections.abc import Sequence

from dynprop.contracts.subject import Subject
from dynprop.laws.evidence import Evidence

__all__ = ["as_expected", "laid_out", "product_form"]


def laid_out(subject: Subject) -> str | None:
    """Say why memory layouts cannot be varied, or None."""
    return None if subject.has_layouts else "a caller of the library cannot choose a memory layout"


def product_form(subject: Subject) -> str | None:
    """Say why bits cannot be compared, or None."""
    if subject.domain.arithmetic != "product":
        return "the target declares another arithmetic than products and sums"
    return None


def as_expected(result: str, got: Sequence[object], wanted: Sequence[object]) -> Evidence:
    """Compare shape, dtype and device of a result, named with its verb, with those that it should have."""
    failures = [
        f"{what} {found}, expected {expected}"
        for what, found, expected in zip(("shape", "dtype", "device"), got, wanted, strict=True)
        if found != expected
    ]
    if failures:
        return Evidence(failure=f"{result} " + "; ".join(failures))
    return Evidence(detail={"checked": True})
