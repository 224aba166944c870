"""Conditions that laws of several kinds have, and the comparison of shapes, dtypes and devices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from dynprop.contracts.subject import Subject
from dynprop.laws.evidence import Evidence

__all__ = ["as_expected", "differentiable", "laid_out", "product_form"]


# Generic, so that a law with such a condition keeps the subject type of its kind.
AnySubject = TypeVar("AnySubject", bound=Subject)


def laid_out(subject: AnySubject) -> str | None:
    """Return why memory layouts cannot be varied, or None."""
    return None if subject.has_layouts else "a caller of the library cannot choose a memory layout"


def differentiable(subject: AnySubject) -> str | None:
    """Return why there is no gradient, or None."""
    return None if subject.differentiable else "its library has no automatic differentiation"


def product_form(subject: AnySubject) -> str | None:
    """Return why bits cannot be compared, or None."""
    if subject.domain.arithmetic != "product":
        return "the target declares another arithmetic than products and sums"
    return None


def as_expected(result: str, got: Sequence[object], wanted: Sequence[object]) -> Evidence:
    """Compare shape, dtype and device of a result with the expected ones; ``result`` starts the message."""
    failures = [
        f"{what} {actual}, expected {expected}"
        for what, actual, expected in zip(("shape", "dtype", "device"), got, wanted, strict=True)
        if actual != expected
    ]
    if failures:
        return Evidence(failure=f"{result} " + "; ".join(failures))
    return Evidence(detail={"checked": True})
