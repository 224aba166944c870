"""Evidence about weights: comparisons of a number with the interval of a correct one."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.contracts.formats import FORMATS
from dynprop.kinds.initializer.cases import InitializerCase
from dynprop.kinds.initializer.subject import InitializerSubject
from dynprop.laws.evidence import Comparison, Evidence

__all__ = ["compare_number", "evidence", "sample"]


def sample(subject: InitializerSubject, case: InitializerCase) -> tuple[FloatArray, float]:
    """Return the weights of all calls, shape (calls, fan_in, fan_out), and the unit of their format."""
    generator = subject.generator(case.seed)
    first, _, dtype, _ = subject.returned(case.fan_in, case.fan_out, generator)
    later = [subject.draw(case.fan_in, case.fan_out, generator) for _ in range(case.calls - 1)]
    return np.stack([first, *later]), FORMATS[dtype].unit if dtype in FORMATS else FORMATS["float64"].unit


def compare_number(label: str, value: float, expected: float, low: float, high: float) -> Comparison:
    """Compare a number with its expected value; the bound is the distance to low or high, by its side."""
    allowed = (high if value > expected else low) - expected
    residual = abs(value - expected) if np.isfinite(value) else np.inf
    return Comparison(
        label,
        np.array([value]),
        np.array([expected]),
        np.array([residual]),
        np.array([abs(allowed)]),
        np.array([True]),
        np.array([abs(expected)]),
        "float64",
        ("statement",),
    )


def evidence(numbers: Iterable[Comparison]) -> Evidence:
    """Return the comparisons as evidence; a number outside its interval is wrong, never a loss of digits."""
    comparisons = tuple(numbers)
    broken = max((c for c in comparisons if c.ratio > 1.0), key=lambda c: c.ratio, default=None)
    if broken is None:
        return Evidence(comparisons)
    value, expected, bound = (float(x[0]) for x in (broken.value, broken.reference, broken.bound))
    message = f"{broken.label}: got {value:.6g}, expected {expected:.6g} within {bound:.2g}"
    return Evidence(comparisons, failure=message)
