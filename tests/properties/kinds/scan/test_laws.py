"""Each law of kind scan fails an implementation with the defect it is about, and passes one that is right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dynprop.arrays import NumericArray
from dynprop.check.run.outcome import LawResult
from dynprop.check.run.runner import Options
from dynprop.contracts.domain import Domain
from dynprop.evidence.kill_matrix import subject_of
from dynprop.kinds import law_by_id, laws_for
from dynprop.kinds.scan import controls
from dynprop.kinds.scan.cases import ScanCase, long_case
from dynprop.kinds.scan.target import Scan
from dynprop.laws.law import Law
from tests.properties.kinds.kinds import assert_caught, catalogue, correct, planted
from tests.properties.kinds.kinds import judged as judged_by

BRIEF = Options(examples=10, patience=0.5)
LAWS = [law.id for law in laws_for("scan")]


def judged(law: Law | str, subject: Any, options: Options = BRIEF) -> LawResult:
    return judged_by(law, subject, options)


def on(law: str, *cases: ScanCase) -> Law:
    """Return a law that sees these cases and no others."""
    return replace(law_by_id(law), fixed=lambda domain, subject: cases, draw=lambda *_: cases[0])


def numpy_scan(target: Callable[..., Any], **domain: Any) -> Scan:
    return Scan(target, framework="numpy", **domain)


# A defect that is none of the catalogue


def saturating(gates: NumericArray, inputs: NumericArray, initial: NumericArray | None) -> NumericArray:
    """Clips its states, so that they are not linear in the inputs."""
    return np.clip(controls.numpy_loop(gates, inputs, initial), -1.5, 1.5)


def test_states_that_are_clipped_are_not_linear_in_the_inputs() -> None:
    assert_caught(judged("scan/superposition", numpy_scan(saturating)), "wrong")


# The gradient by lag


def decaying(steps: int = 48) -> list[Tensor]:
    """Return leaves with gates U(0, 1), as gradcheck is used."""
    rng = np.random.default_rng(0)
    shape = (1, steps, 1)
    values = (rng.random(shape), rng.standard_normal(shape), rng.standard_normal((1, 1)))
    return [torch.from_numpy(v).requires_grad_() for v in values]


def test_a_backward_without_lags_from_32_on_has_effective_lag_31_and_gradcheck_accepts_it() -> None:
    fault = catalogue()["scan/gradient-cut-at-lag-32"]
    scan: Any = fault.build()
    assert torch.autograd.gradcheck(scan, decaying())
    # Not for want of looking: a fault at every lag is seen.
    late: Any = catalogue()["scan/gate-gradient-one-step-late"].build()
    assert not torch.autograd.gradcheck(late, decaying(), raise_exception=False)

    result = judged("scan/gradient-by-lag", subject_of(fault))
    assert result.verdict == "wrong"
    assert result.effective_lag == 31
    assert result.effective_lags == {"float64": 31, "float32": 31, "bfloat16": 31}
    assert result.hypothesis is not None
    assert "truncated at 32: exactly zero at every lag from 32 on" in result.hypothesis
    assert result.counterexample is not None
    digits = dict(result.counterexample.correct_digits)
    assert digits[31] > 2.0
    assert digits[32] == 0.0


def test_the_effective_lag_of_a_sound_scan_is_the_largest_that_can_be_judged() -> None:
    result = judged("scan/gradient-by-lag", correct("torch-loop"))
    assert result.effective_lag == result.max_decided_lag == 2047
    # 4 u k passes 1 at k = 64 where u is 2^-8.
    assert result.effective_lags == {"float64": 2047, "float32": 2047, "bfloat16": 127}


def test_a_scan_without_gradients_is_judged_by_its_response_to_an_impulse() -> None:
    sound = judged("scan/gradient-by-lag", correct("numpy-chunked"))
    assert (sound.verdict, sound.effective_lag, sound.max_decided_lag) == ("pass", 2047, 2047)
    lossy = judged("scan/gradient-by-lag", planted("scan/block-carry-lost"))
    assert (lossy.verdict, lossy.effective_lag) == ("wrong", 63)


def test_a_gradient_that_is_wrong_at_once_has_effective_lag_minus_one() -> None:
    def halved(gates: Tensor, inputs: Tensor, initial: Tensor | None) -> Tensor:
        half = 0.5 * inputs + 0.5 * inputs.detach()
        return controls.torch_loop(gates, half, initial)

    result = judged("scan/gradient-by-lag", Scan(halved))
    assert (result.verdict, result.effective_lag) == ("wrong", -1)
    assert result.hypothesis is not None
    assert "scaled by 1/2" in result.hypothesis


def test_laws_without_lags_have_no_effective_lag() -> None:
    result = judged("scan/forward", correct("torch-loop"))
    assert (result.effective_lag, result.max_decided_lag) == (None, None)


def test_a_gradient_that_is_cut_on_purpose_passes_and_its_effective_lag_is_shown() -> None:
    target: Any = catalogue()["scan/gradient-cut-at-lag-32"].build()
    declared = Scan(target, reach=31)
    result = judged("scan/gradient-by-lag", declared)
    assert result.verdict == "pass"
    assert result.effective_lag == 31
    assert result.max_decided_lag == 2047
    for law in ("scan/gradient", "scan/gradient-wiring"):
        assert judged(law, declared).verdict == "not-applicable"
    # A lag of the declared reach is judged all the same.
    assert judged("scan/gradient-by-lag", Scan(target, reach=32)).verdict == "wrong"


def test_noise_below_a_percent_fails_the_law_and_does_not_shorten_the_effective_lag() -> None:
    law = on("scan/gradient-by-lag", long_case("float64", Domain()))
    single = judged(law, planted("scan/backward-in-single-precision"))
    assert single.verdict == "inaccurate"
    assert single.worst_ratio > 1e5
    # 2,047 roundings of 6e-8 stay below 1e-2, which is what a gradient needs to be of use.
    assert single.effective_lag == 2047


# What cannot be decided


def exploding(steps: int = 2000, dtype: str = "float32") -> ScanCase:
    gates = np.full((1, steps, 1), 1.6)
    return ScanCase(gates.astype(np.float32).astype(np.float64), np.ones_like(gates), None, dtype)


@pytest.mark.parametrize("control", ["torch-loop", "torch-tree", "torch-chunk-matrix", "numpy-doubling"])
@pytest.mark.parametrize("law", ["scan/forward", "scan/gradient-by-lag", "scan/gradient", "scan/adjoint"])
def test_an_exploding_case_is_undecidable_and_accuses_nobody(law: str, control: str) -> None:
    result = judged(on(law, exploding()), correct(control), Options(examples=1))
    expected = "undecidable"
    if law == "scan/gradient" and control.startswith("numpy"):
        expected = "not-applicable"
    assert result.verdict == expected
    assert result.decided == 0


@pytest.mark.parametrize("control", ["torch-loop", "torch-tree", "torch-function"])
@pytest.mark.parametrize("law", ["scan/forward", "scan/gradient-by-lag", "scan/gradient"])
def test_a_machine_that_flushes_subnormal_numbers_accuses_nobody(law: str, control: str) -> None:
    subject = correct(control)
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot flush subnormal numbers")
    try:
        result = judged(law, subject)
    finally:
        torch.set_flush_denormal(False)
    assert result.verdict == "pass"
    assert result.worst_ratio <= 1.0


def test_an_exploding_case_that_stays_in_range_is_decided() -> None:
    gates = np.full((1, 2000, 1), 1.2)  # up to 1e158
    case = ScanCase(gates, np.ones_like(gates), None, "float64")
    for control in ("torch-loop", "torch-tree", "numpy-doubling"):
        result = judged(on("scan/forward", case), correct(control))
        assert result.verdict == "pass"


def test_a_law_without_a_decided_case_is_undecidable_even_for_a_wrong_scan() -> None:
    for target in (controls.numpy_loop, saturating):
        result = judged(on("scan/forward", exploding()), numpy_scan(target))
        assert (result.verdict, result.decided) == ("undecidable", 0)
        assert result.cases == result.undecidable > 0
        assert result.to_json()["worst_ratio"] is None


def test_nan_is_wrong_where_a_number_was_due() -> None:
    def one_nan(gates: NumericArray, inputs: NumericArray, initial: NumericArray | None) -> NumericArray:
        states = controls.numpy_loop(gates, inputs, initial)
        states[-1:, -1:, -1:] = np.nan
        return states

    result = judged("scan/forward", numpy_scan(one_nan))
    # Cases at the end of the range leave their last entry undecided.
    assert (result.verdict, result.worst_ratio) == ("wrong", np.inf)
    assert 0.9 * result.cases < result.wrong <= result.cases
    assert result.to_json()["worst_ratio"] is None
    assert result.counterexample is not None
    assert "got nan, expected" in result.counterexample.message


# Refusals and errors


def raising(error: BaseException, *lengths: int) -> Scan:
    def scan(gates: NumericArray, inputs: NumericArray, initial: NumericArray | None) -> NumericArray:
        if inputs.shape[1] in lengths:
            raise error
        return controls.numpy_loop(gates, inputs, initial)

    return numpy_scan(scan)


@pytest.mark.parametrize("error", [ValueError("too short"), TypeError("no"), NotImplementedError("later")])
def test_a_scan_may_refuse_lengths_0_and_1_with_a_plain_error(error: Exception) -> None:
    result = judged("scan/lengths", raising(error, 0, 1), Options(examples=1))
    assert result.verdict == "pass"
    assert result.refused >= 4  # both lengths, with and without a state
    assert result.errors == 0


@pytest.mark.parametrize("error", [RuntimeError("stack expects"), IndexError("1"), SystemExit(3)])
def test_any_other_error_at_length_0_is_an_error(error: BaseException) -> None:
    result = judged("scan/lengths", raising(error, 0))
    assert result.verdict == "error"
    assert result.counterexample is not None
    assert result.counterexample.message == f"{type(error).__name__}: {error}"
    assert "0 steps" in result.counterexample.summary


def test_an_ordinary_length_cannot_be_refused() -> None:
    result = judged("scan/lengths", raising(ValueError("odd"), 5))
    assert result.verdict == "error"


def test_a_scan_that_refuses_all_it_may_has_refused() -> None:
    short = replace(law_by_id("scan/lengths"), fixed=lambda *_: (), draw=lambda *_: exploding(1))
    result = judged(short, raising(ValueError("too short"), 0, 1))
    assert (result.verdict, result.refused, result.decided) == ("refused", result.cases, 0)


def test_states_of_another_shape_are_wrong() -> None:
    def last_only(gates: NumericArray, inputs: NumericArray, initial: NumericArray | None) -> NumericArray:
        return controls.numpy_loop(gates, inputs, initial)[:, -1:]

    result = judged("scan/forward", numpy_scan(last_only))
    assert result.verdict == "wrong"
    assert result.counterexample is not None
    assert "expected the shape of the inputs" in result.counterexample.message


# Declared domains


LOGARITHMIC = ("scan/forward", "scan/lengths", "scan/gradient-by-lag", "scan/gradient")


@pytest.mark.parametrize("law", LOGARITHMIC)
def test_a_scan_by_logarithms_passes_if_it_says_so(law: str) -> None:
    target: Any = catalogue()["scan/log-space"].build()
    declared = Scan(target, gates="unit", inputs="positive", arithmetic="log", dtypes=("float64", "float32"))
    result = judged(law, declared)
    assert result.verdict == "pass", result.counterexample
    silent = replace(declared, arithmetic="product")
    # Beside the smallest inputs a gradient through logarithms is 0 where a number is due.
    assert judged(law, silent).verdict == ("wrong" if law == "scan/gradient" else "inaccurate")


def test_whole_numbers_are_not_asked_of_logarithms() -> None:
    target: Any = catalogue()["scan/log-space"].build()
    declared = Scan(target, gates="unit", inputs="positive", arithmetic="log")
    assert judged("scan/exact-on-integers", declared).verdict == "not-applicable"


def test_declaring_logarithms_excuses_no_other_mistake() -> None:
    result = judged("scan/forward", numpy_scan(saturating, gates="unit", inputs="positive", arithmetic="log"))
    assert result.verdict == "wrong"


@pytest.mark.parametrize(
    ("gates", "inputs", "law"),
    [
        ("unit", "any", "scan/reset"),
        ("constant", "any", "scan/reset"),
        ("constant", "any", "scan/padding"),
        ("any", "positive", "scan/padding"),
    ],
)
def test_a_law_whose_cases_a_domain_lacks_is_not_applicable(gates: str, inputs: str, law: str) -> None:
    result = judged(law, numpy_scan(controls.numpy_loop, gates=gates, inputs=inputs))
    assert result.verdict == "not-applicable"
    assert "the domain" in result.note


def test_nothing_outside_the_domain_is_tested() -> None:
    def strict(gates: NumericArray, inputs: NumericArray, initial: NumericArray | None) -> NumericArray:
        values = [inputs] if initial is None else [inputs, initial]
        inside = (gates > 0.0).all() and (gates <= 1.0).all() and all((v > 0.0).all() for v in values)
        if not inside or inputs.shape[1] > 21 or inputs.dtype != np.float32:
            raise RuntimeError("outside the domain")
        return controls.numpy_loop(gates, inputs, initial)

    limits: dict[str, Any] = {"gates": "unit", "inputs": "positive", "max_length": 20, "dtypes": ("float32",)}
    for law in LAWS:
        if law != "scan/padding":
            result = judged(law, numpy_scan(strict, **limits))
            assert result.verdict in ("pass", "not-applicable"), (law, result.counterexample)
