"""Each law of kind associative-scan fails a scan with its defect, and passes one that is right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dynprop.check.run.outcome import LawResult
from dynprop.check.run.runner import Options
from dynprop.errors import ArgumentError, TargetError
from dynprop.kinds import laws_for
from dynprop.kinds.associative_scan.faults import Combine, Elements, tree
from dynprop.kinds.associative_scan.laws import LENGTHS
from dynprop.kinds.associative_scan.monoids import MONOIDS
from dynprop.kinds.associative_scan.target import AssociativeScan
from tests.properties.kinds.kinds import judged as judged_by
from tests.properties.kinds.kinds import planted

BRIEF = Options(examples=15, patience=0.3)
LAWS = [law.id for law in laws_for("associative-scan")]


def adapted(target: Callable[..., Any], **options: Any) -> AssociativeScan:
    subject = AssociativeScan(target, framework="numpy", **options)
    subject.preflight()
    return subject


def subject(name: str) -> Any:
    return planted(f"associative-scan/{name}")


def judged(law: str, scan: Any, options: Options = BRIEF) -> LawResult:
    return judged_by(law, scan, options)


def test_every_length_is_tried() -> None:
    seen: set[int] = set()

    def counting(combine: Combine, elements: Elements) -> Elements:
        seen.add(len(elements[0]))
        return tree(combine, elements)

    assert judged("associative-scan/lengths", adapted(counting)).verdict == "pass"
    assert set(LENGTHS) <= seen


def test_flipped_operands_are_recognised() -> None:
    result = judged("associative-scan/order", subject("operands-flipped"))
    assert result.hypothesis is not None
    assert result.hypothesis.startswith("operands flipped: combine(b, a) for combine(a, b) (error ")


def test_a_counterexample_is_as_short_as_the_defect_allows() -> None:
    patient = Options(examples=5, patience=2.0)
    result = judged("associative-scan/lengths", subject("odd-tail-dropped"), patient)
    assert result.counterexample is not None
    assert result.counterexample.summary.startswith("3 elements")


def test_a_target_that_takes_floats_only_is_judged_by_whole_numbers_in_floats() -> None:
    def floats_only(combine: Combine, elements: Elements) -> Elements:
        if elements[0].dtype.kind != "f":
            raise TypeError("floats, please")
        return tree(combine, elements)

    scan = adapted(floats_only)
    assert not scan.whole_numbers
    for law in LAWS:
        assert judged(law, scan, Options(examples=5)).verdict == "pass"


def test_the_empty_scan_may_be_refused_and_not_otherwise_fail() -> None:
    def refuses(combine: Combine, elements: Elements) -> Elements:
        if not len(elements[0]):
            raise ValueError("nothing to scan")
        return tree(combine, elements)

    def breaks(combine: Combine, elements: Elements) -> Elements:
        return elements[0][0], *tree(combine, elements)[1:]

    result = judged("associative-scan/lengths", adapted(refuses))
    assert (result.verdict, result.refused) == ("pass", 4)
    assert judged("associative-scan/lengths", adapted(breaks)).verdict in ("wrong", "error")


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (lambda combine: combine, "raised TypeError"),
        (lambda combine, elements: None, "returned NoneType None, expected a tuple of arrays"),
        (lambda combine, elements: elements[0].tolist(), "expected a tuple of arrays"),
    ],
)
def test_a_target_that_does_not_fit_its_kind_is_refused_in_one_line(target: Any, text: str) -> None:
    with pytest.raises(TargetError) as caught:
        adapted(target)
    assert text in str(caught.value)
    assert "kind associative-scan takes f(combine, elements)" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_target_must_be_callable() -> None:
    with pytest.raises(ArgumentError, match="target: got int 3, expected a function"):
        AssociativeScan(3, framework="numpy")  # type: ignore[arg-type]  # the mistake that is tested


def test_elements_are_fresh_at_every_call() -> None:
    scan = adapted(lambda combine, elements: elements)
    mine = (np.arange(3.0), np.ones(3))
    scan.prefixes(MONOIDS[1].combine, mine, "float64")[0][:] = 7.0
    assert mine[0].tolist() == [0.0, 1.0, 2.0]
