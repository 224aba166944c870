"""Law of another scan that a scan must agree with: states and gradients are the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

import numpy as np

from dynprop.kinds.scan.bounds import forward_bound
from dynprop.kinds.scan.calling import LEAVES
from dynprop.kinds.scan.cases import ScanCase, scan_case
from dynprop.kinds.scan.gradient import all_states, differentiable, gradients_of
from dynprop.kinds.scan.judging import agree, run
from dynprop.kinds.scan.subject import ScanSubject
from dynprop.laws.evidence import Comparison, Evidence, worst
from dynprop.laws.law import law

__all__ = ["reference"]


class ComparedScan(ScanSubject, Protocol):
    """A scan that may have a reference."""

    @property
    def reference(self) -> ScanSubject | None:
        """Another scan that must agree with it."""
        ...


def _is_compared(subject: ComparedScan) -> str | None:
    return "no reference is given (--reference)" if subject.reference is None else None


@law(
    "scan/reference",
    claim="C1",
    statement="states and gradients are those of another scan, within the bounds of both",
    source="a slow loop as the definition",
    draw=scan_case,
    applies=_is_compared,
    script="# {what} of f and of the reference beside each other",
    share=0.5,
)
def reference(subject: ComparedScan, case: ScanCase) -> Evidence:
    """Compare states, and the gradients of a weighted sum of them, with those of the reference."""
    other = subject.reference
    if other is None:
        return Evidence()
    theirs = case if case.dtype in other.domain.dtypes else replace(case, dtype="float64")
    label = "states beside the reference"
    found = agree(label, run(subject, case), run(other, theirs), case, forward_bound(case, subject.domain))
    pairs: list[tuple[Mapping[str, str], Comparison]] = [({"what": "states"}, found)]
    if case.steps > 1 and differentiable(subject) is None and differentiable(other) is None:
        wrt = LEAVES if case.initial is not None else LEAVES[:2]
        cotangent = case.cotangent(case.inputs.shape)
        both = [gradients_of(s, c, cotangent, all_states, wrt) for s, c in ((subject, case), (other, theirs))]
        for mine, exact in zip(*both, strict=True):
            beside = replace(
                mine,
                label=f"{mine.label} beside the reference",
                reference=exact.value,
                residual=np.nan_to_num(np.abs(mine.value - exact.value), nan=np.inf, posinf=np.inf),
                bound=mine.bound + exact.bound,
                decided=mine.decided & (mine.bound + exact.bound < np.abs(exact.value)),
                relaxed=dict,
            )
            pairs.append(({"what": mine.label}, beside))
    comparisons, detail = worst(pairs)
    return Evidence(comparisons, detail=detail)
