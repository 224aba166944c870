"""Evidence of a statement about weights: a number, and the interval of a correct one."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.contracts.formats import FORMATS
from dynprop.kinds.initializer.cases import InitializerCase
from dynprop.kinds.initializer.subject import InitializerSubject
from dynprop.laws.evidence import Comparison, Evidence

__all__ = ["evidence", "sample", "stated"]


def sample(subject: InitializerSubject, case: InitializerCase) -> tuple[FloatArray, float]:
    """Return the weights of all calls, shape (calls, fan_in, fan_out), and the unit of their format."""
    generator = subject.generator(case.seed)
    first, _, dtype, _ = subject.returned(case.fan_in, case.fan_out, generator)
    rest = [subject.draw(case.fan_in, case.fan_out, generator) for _ in range(case.calls - 1)]
    return np.stack([first, *rest]), FORMATS[dtype].unit if dtype in FORMATS else FORMATS["float64"].unit


def stated(label: str, value: float, expected: float, low: float, high: float) -> Comparison:
    """Return a number beside what it should be; the bound is that of its side."""
    room = (high if value > expected else low) - expected
    residual = abs(value - expected) if np.isfinite(value) else np.inf
    return Comparison(
        label,
        np.array([value]),
        np.array([expected]),
        np.array([residual]),
        np.array([abs(room)]),
        np.array([True]),
        np.array([abs(expected)]),
        "float64",
        ("statement",),
    )


def evidence(found: Iterable[Comparison]) -> Evidence:
    """Return the comparisons; a number that lies outside is wrong, and never called a loss of digits."""
    comparisons = tuple(found)
    broken = max((c for c in comparisons if c.ratio > 1.0), key=lambda c: c.ratio, default=None)
    if broken is None:
        return Evidence(comparisons)
    value, expected, bound = (float(x[0]) for x in (broken.value, broken.reference, broken.bound))
    message = f"{broken.label}: got {value:.6g}, expected {expected:.6g} within {bound:.2g}"
    return Evidence(comparisons, failure=message)
