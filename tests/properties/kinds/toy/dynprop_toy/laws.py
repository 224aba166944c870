"""The laws of the running extreme."""

from __future__ import annotations

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.laws import Comparison, Evidence, law
from dynprop.laws.evidence import compare

from .cases import SeriesCase, series
from .target import RunningExtreme

SOURCE = "dynprop-toy"


def exactly(label: str, found: FloatArray, wanted: FloatArray, dtype: str) -> Comparison:
    """Compare without a tolerance: an extreme is one of the values, so nothing is rounded."""
    return compare(label, found, wanted, np.zeros_like(wanted), dtype=dtype, axes=("time",))


@law(
    "running-extreme/definition",
    claim="C1",
    statement="entry t is the extreme of the first t + 1 values, exactly",
    source=SOURCE,
    draw=series,
    script="print(f(values), [values[: t + 1].{extreme}() for t in range(len(values))])",
)
def definition(subject: RunningExtreme, case: SeriesCase) -> Evidence:
    """Compare every entry with the extreme of its prefix."""
    extreme = np.max if subject.extreme == "max" else np.min
    wanted = np.array([extreme(case.values[: t + 1]) for t in range(len(case.values))])
    found = subject.values(case.values, case.dtype)
    comparison = exactly("extremes", found, wanted, case.dtype)
    return Evidence((comparison,), detail={"extreme": subject.extreme})


@law(
    "running-extreme/resume",
    claim="C1",
    statement="the sequence may be cut anywhere and resumed from the last extreme",
    source=SOURCE,
    draw=series,
    script="print(f(values)[{cut} :], f(np.r_[f(values[:{cut}])[-1], values[{cut} :]])[1:])",
)
def resume(subject: RunningExtreme, case: SeriesCase) -> Evidence:
    """Cut in the middle and compare both halves with the whole."""
    cut = len(case.values) // 2
    whole = subject.values(case.values, case.dtype)
    if cut == 0:
        return Evidence()
    state = subject.values(case.values[:cut], case.dtype)[-1:]
    resumed = subject.values(np.concatenate([state, case.values[cut:]]), case.dtype)[1:]
    comparison = exactly("resumed extremes", resumed, whole[cut:], case.dtype)
    return Evidence((comparison,), detail={"cut": cut})


@law(
    "running-extreme/values-unchanged",
    claim="C1",
    statement="the caller's values are not modified",
    source=SOURCE,
    draw=series,
    script="before = values.copy(); f(values); print(before, values)",
)
def values_unchanged(subject: RunningExtreme, case: SeriesCase) -> Evidence:
    """Compare the argument before and after a call."""
    argument = case.values.astype(case.dtype)
    before = argument.copy()
    subject.called(argument)
    if not np.array_equal(before, argument):
        return Evidence(failure="the caller's values were modified in place")
    return Evidence(detail={"checked": True})
