"""The plan of a scan: every value is met, every pair decided, faults in one regime caught."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dynprop.check import Scan, check
from dynprop.errors import ArgumentError
from dynprop.kinds.scan.controls import numpy_loop, torch_loop
from dynprop.kinds.scan.faults import one_regime
from dynprop.kinds.scan.plan import MOST_NUMBERS, classes, plan, planned
from tests.properties.kinds.kinds import judged, planted

ALL = planned("layout", "mode", "wants", "form")
TORCH, NUMPY = Scan(torch_loop), Scan(numpy_loop, framework="numpy")
BLOCKS = (16, 32, 64, 128, 256, 512, 1024, 2048)


def test_every_length_and_size_is_met_and_the_cost_is_bounded() -> None:
    cases = list(ALL(TORCH.domain, TORCH))
    lengths = {case.steps for case in cases}
    wanted = {0, 1, 2, 3} | {b + d for b in BLOCKS for d in (-1, 0, 1)} | {3 * 2**k + 1 for k in range(10)}
    assert {n for n in wanted if n <= 2048} <= lengths
    for axis in (0, 2):
        assert {1, 2, 3, 4, 5, 8, 17, 33, 65} <= {case.gates.shape[axis] for case in cases}
    assert max(case.gates.size for case in cases) <= MOST_NUMBERS


def test_a_case_has_the_classes_of_its_row() -> None:
    for subject in (TORCH, NUMPY):
        for case, row in zip(ALL(subject.domain, subject), plan(subject).rows, strict=True):
            assert row.classes.items() <= {"mode": "grad", "wants": "none", **classes(case)}.items()


@pytest.mark.parametrize("gates", ["unit", "signed", "constant", "reset"])
def test_planned_cases_keep_to_their_domain(gates: str) -> None:
    subject = Scan(numpy_loop, framework="numpy", gates=gates, max_length=300)
    for case in ALL(subject.domain, subject):
        assert case.steps <= 300
        assert np.isfinite(case.gates).all()
        if gates == "constant":
            assert (case.gates == case.gates[:, :1]).all()
        if gates == "reset":
            assert len(np.unique(case.gates[case.gates != 0])) <= 1


def test_the_shortest_domain_has_a_plan() -> None:
    assert plan(Scan(numpy_loop, framework="numpy", max_length=1)).rows


def test_a_check_decides_nine_tenths_of_the_pairs() -> None:
    report = check(NUMPY, examples=1)
    assert report.verdict == "pass"
    assert report.coverage is not None
    assert report.coverage.share >= 0.9
    again = type(report).from_json(report.to_json()).coverage
    assert again == report.coverage


def test_one_law_leaves_holes_which_are_listed() -> None:
    coverage = check(NUMPY, examples=1, laws=["shape-and-dtype"]).coverage
    assert coverage is not None
    assert coverage.share < 1.0
    assert all(hole.decided == 0 for hole in coverage.holes)
    assert any("layout" in str(hole) for hole in coverage.holes)


@pytest.mark.parametrize(
    ("name", "law", "verdict"),
    [
        (fault.name, law, verdict)
        for catalogue in one_regime.CATALOGUES
        for fault in catalogue.faults
        for law, verdict in fault.caught_by.items()
        # Each of these takes a check a second and is in the kill matrix.
        if fault.name in ("scan/stride-zero-ignored", "scan/busy-after-an-error", "scan/channel-seventeen")
    ],
)
def test_a_fault_in_one_regime_is_caught(name: str, law: str, verdict: str) -> None:
    assert judged(f"scan/{law}", planted(name)).verdict == verdict


class _Empty(torch.autograd.Function):
    """A scan whose backward pass takes the last step, which an empty sequence lacks, unless it is guarded."""

    @staticmethod
    def forward(ctx: Any, guarded: bool, gates: Tensor, inputs: Tensor, initial: Tensor) -> Tensor:
        ctx.guarded = guarded
        ctx.save_for_backward(gates, inputs, initial)
        return torch_loop(gates, inputs, initial)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> Any:
        gates, inputs, initial = (v.detach().requires_grad_() for v in ctx.saved_tensors)
        if not (ctx.guarded and inputs.shape[1] == 0):
            upstream[0].narrow(1, inputs.shape[1] - 1, 1)
        with torch.enable_grad():
            states = torch_loop(gates, inputs, initial)
        leaves = (gates, inputs, initial)
        if not states.requires_grad or not inputs.shape[1]:
            return (None, *(torch.zeros_like(leaf) for leaf in leaves))
        return (None, *torch.autograd.grad(states, leaves, upstream[0]))


@pytest.mark.parametrize(("guarded", "verdict"), [(True, "pass"), (False, "error")])
def test_a_gradient_at_length_zero_is_asked_for(guarded: bool, verdict: str) -> None:
    def scan(gates: Tensor, inputs: Tensor, initial: Tensor | None) -> Tensor:
        start = torch.zeros_like(inputs.sum(1)) if initial is None else initial
        states: Tensor = _Empty.apply(guarded, gates, inputs, start)  # type: ignore[no-untyped-call]
        return states

    result = judged("scan/gradient", Scan(scan, max_length=33))
    assert result.verdict == verdict
    if not guarded:
        assert result.counterexample is not None
        assert " 0 steps" in result.counterexample.summary


def test_integers_are_refused_in_one_line() -> None:
    with pytest.raises(ArgumentError, match="dtypes: got"):
        Scan(numpy_loop, framework="numpy", dtypes=("int64",))
