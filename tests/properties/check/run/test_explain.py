"""A failure is explained by a known mistake where one fits, by lost digits where they are, and else not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynprop.arrays import FloatArray, round_to
from dynprop.check.run.explain import Explanation, explain, name_constant
from dynprop.check.run.outcome import Outcome, judge_case
from dynprop.contracts.formats import FORMATS
from dynprop.kinds import law_by_id
from dynprop.kinds.scan.cases import ScanCase
from dynprop.kinds.scan.judging import wrong_scans
from dynprop.laws.evidence import Comparison, Evidence, compare

SHAPE = (2, 6, 3)
AXES = ("batch", "time", "channel")
LAGS = ("batch", "lag", "channel")


def reference(shape: tuple[int, ...] = SHAPE, dtype: str = "float64") -> FloatArray:
    """Return numbers between 1/2 and 2 of either sign."""
    rng = np.random.default_rng(3)
    return round_to(rng.choice([-1.0, 1.0], shape) * rng.uniform(0.5, 2.0, shape), dtype)


def compared(
    value: FloatArray,
    right: FloatArray | None = None,
    *,
    dtype: str = "float64",
    axes: tuple[str, ...] = AXES,
    alternatives: Mapping[str, FloatArray] | None = None,
    repaired: Mapping[str, FloatArray] | None = None,
    relaxed: Mapping[str, FloatArray] | None = None,
) -> Comparison:
    """Compare with the reference within two roundings."""
    right = reference(dtype=dtype) if right is None else right
    bound = 2.0 * FORMATS[dtype].unit * np.abs(right)
    return compare(
        "states",
        value,
        right,
        bound,
        dtype=dtype,
        axes=axes,
        alternatives=lambda: alternatives or {},
        repaired=lambda: repaired or {},
        relaxed=lambda: relaxed or {},
    )


def text(comparison: Comparison) -> str | None:
    explanation = explain(comparison)
    return None if explanation is None else explanation.text


def outcome_of(*comparisons: Comparison) -> Outcome:
    """Judge comparisons as a law that returns them would be."""
    law = replace(law_by_id("scan/forward"), test=lambda subject, case: Evidence(comparisons))
    subject = SimpleNamespace(seed=lambda seed: None)
    return judge_case(law, subject, ScanCase(np.ones(SHAPE), np.ones(SHAPE), None, "float64"))


# One factor for every entry


@pytest.mark.parametrize(
    ("factor", "expected"),
    [
        (3.0, "scaled by 3"),
        (0.5, "scaled by 1/2"),
        (math.sqrt(8.0), "scaled by √8"),
        (1.0 / math.sqrt(8.0), "scaled by 1/√8"),
        (math.sqrt(64.0), "scaled by 8"),
        (-1.0, "sign flipped"),
        (-math.sqrt(3.0), "scaled by -√3"),
        (-1000.0, "scaled by -1000"),
        (math.pi, "scaled by 3.14159"),
        (1e-6, "scaled by 1e-06"),
        (0.0, "always zero"),
    ],
)
def test_a_factor_is_found_and_named(factor: float, expected: str) -> None:
    comparison = compared(factor * reference())
    assert text(comparison) == expected
    assert outcome_of(comparison).verdict == "wrong"


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_a_factor_is_found_in_every_format(dtype: str) -> None:
    comparison = compared(2.0 * reference(dtype=dtype), dtype=dtype)
    assert text(comparison) == "scaled by 2"


def test_the_error_that_is_left_under_a_factor_is_shown() -> None:
    explanation = explain(compared(3.0 * reference()))
    assert explanation is not None
    assert explanation.before == pytest.approx(2.0 * np.abs(reference()).max())
    assert explanation.after <= 2.0**-52  # three times a number over three is rounded twice
    assert (
        str(explanation)
        == f"scaled by 3 (error {explanation.before:.2g} -> {explanation.after:.2g} under it)"
    )


def test_a_factor_for_all_entries_but_one_is_none() -> None:
    value = 3.0 * reference()
    value[0, 0, 0] = reference()[0, 0, 0]
    assert text(compared(value)) is None


def test_one_number_alone_has_no_factor() -> None:
    one = np.ones((1, 1, 1))
    assert text(compared(3.0 * one, one)) is None


@given(st.integers(2, 128), st.sampled_from([1.0, -1.0]), st.booleans(), st.booleans())
def test_the_name_of_a_constant_is_its_value(n: int, sign: float, root: bool, inverse: bool) -> None:
    value = math.sqrt(n) if root else float(n)
    factor = sign * (1.0 / value if inverse else value)
    name = name_constant(factor)
    parsed = name.removeprefix("-")
    top, _, bottom = parsed.partition("/")
    parts = [math.sqrt(float(p[1:])) if p.startswith("√") else float(p) for p in (top, bottom or "1")]
    assert math.copysign(parts[0] / parts[1], factor) == pytest.approx(factor, rel=1e-6)
    assert name.startswith("-") == (sign < 0.0)


@pytest.mark.parametrize(
    ("factor", "name"),
    [(4.0, "4"), (2.0, "2"), (math.sqrt(2.0), "√2"), (0.25, "1/4"), (0.3, "0.3"), (1.234567, "1.23457")],
)
def test_the_simplest_name_is_chosen(factor: float, name: str) -> None:
    assert name_constant(factor) == name


# Along time and lag


@pytest.mark.parametrize(("axes", "word"), [(AXES, "time"), (LAGS, "lag")])
def test_a_truncation_is_found_along_time_and_lag(axes: tuple[str, ...], word: str) -> None:
    value = reference()
    value[:, 4:] = 0.0
    comparison = compared(value, axes=axes)
    assert text(comparison) == f"truncated at 4: exactly zero at every {word} from 4 on"
    assert outcome_of(comparison).verdict == "wrong"


def test_a_factor_from_some_lag_on_is_found() -> None:
    value = reference()
    value[:, 4:] *= -1000.0
    assert text(compared(value, axes=LAGS)) == "scaled by -1000 at every lag from 4 on"


def test_a_truncation_with_errors_before_it_is_not_one_of_zeros() -> None:
    value = reference()
    value[:, 2:] = 0.0
    value[:, 5:] = reference()[:, 5:]
    assert text(compared(value)) is None


@pytest.mark.parametrize(
    ("late", "expected"),
    [(True, "off by one step: one time late"), (False, "off by one step: one time early")],
)
def test_a_step_too_late_or_too_early_is_found(late: bool, expected: str) -> None:
    value = np.roll(reference(), 1 if late else -1, axis=1)
    value[:, 0 if late else -1] = 7.0
    assert text(compared(value)) == expected


def test_two_axes_exchanged_are_found() -> None:
    right = reference((2, 5, 5))
    comparison = compared(np.swapaxes(right, 1, 2), right)
    assert text(comparison) == "transposed: time and channel exchanged"
    assert outcome_of(comparison).verdict == "wrong"


def test_axes_of_different_length_cannot_be_exchanged() -> None:
    assert text(compared(np.roll(reference(), 2, axis=1))) is None


def test_the_first_row_alone_being_right_is_found() -> None:
    value = reference()
    value[1:] = np.sin(np.arange(18.0)).reshape(1, 6, 3) * 3.0
    comparison = compared(value)
    assert text(comparison) == "first row only: row 0 of the batch is right, every other is not"
    assert outcome_of(comparison).verdict == "wrong"


def test_another_row_being_right_is_not_the_first() -> None:
    value = reference()
    value[0] = np.sin(np.arange(18.0)).reshape(6, 3) * 3.0
    assert text(compared(value)) is None


# Known mistakes of scans


def scan_case() -> ScanCase:
    rng = np.random.default_rng(9)
    gates = rng.uniform(0.2, 0.9, SHAPE) * rng.choice([1.0, -1.0], SHAPE)
    gates[0, 3] = 1.25
    return ScanCase(gates, rng.standard_normal(SHAPE) + 2.0, rng.standard_normal((2, 3)) + 1.0, "float64")


MISTAKES = tuple(wrong_scans(scan_case()))


@pytest.mark.parametrize("mistake", MISTAKES)
def test_every_known_mistake_of_a_scan_is_recognised(mistake: str) -> None:
    case = scan_case()
    states = np.empty_like(case.inputs)
    state: Any = case.initial
    for t in range(case.steps):
        state = case.gates[:, t] * state + case.inputs[:, t]
        states[:, t] = state
    known = wrong_scans(case)
    comparison = compared(known[mistake], states, alternatives=known)
    assert text(comparison) == mistake
    assert outcome_of(comparison).verdict == "wrong"


def test_the_catalogue_of_mistakes_names_those_that_are_promised() -> None:
    for promised in (
        "operands flipped",
        "initial state ignored",
        "initial state applied twice",
        "first row only",
        "one step late",
        "time runs backwards",
    ):
        assert any(promised in mistake for mistake in MISTAKES), promised


def test_without_an_initial_state_there_are_no_mistakes_of_one() -> None:
    case = replace(scan_case(), initial=None)
    assert not [name for name in wrong_scans(case) if "initial" in name]


def test_a_mistake_that_makes_no_difference_explains_nothing() -> None:
    right = reference()
    off = right * (1.0 + 20.0 * 2.0 * 2.0**-53)  # just outside the slack of a repaired value
    comparison = compared(right + 0.5, right, alternatives={"harmless": off, "none": right})
    assert text(comparison) is None


def test_a_mistake_that_leaves_most_of_the_error_explains_nothing() -> None:
    right = reference()
    bound = 2.0 * 2.0**-53 * np.abs(right)
    # 14 bounds away from the mistake and 20 from the truth: nearer, and not near.
    comparison = compared(right + 20.0 * bound, right, alternatives={"half way": right + 34.0 * bound})
    assert text(comparison) != "half way"
    closer = compared(right + 33.0 * bound, right, alternatives={"half way": right + 34.0 * bound})
    assert text(closer) == "half way"


def test_a_repaired_subject_is_believed_if_it_agrees() -> None:
    value = reference() + np.linspace(1.0, 2.0, 36).reshape(SHAPE)
    assert text(compared(value, repaired={"state scaled": reference()})) == "state scaled"
    assert text(compared(value, repaired={"state scaled": value})) is None


# Lost digits


@pytest.mark.parametrize(
    ("dtype", "inside", "name"),
    [
        ("float64", "float32", "single precision (float32)"),
        ("float64", "float16", "half precision (float16)"),
        ("float64", "bfloat16", "bfloat16"),
        ("float32", "float16", "half precision (float16)"),
        ("float32", "bfloat16", "bfloat16"),
    ],
)
def test_a_coarser_format_inside_is_recognised_and_inaccurate(dtype: str, inside: str, name: str) -> None:
    right = reference(dtype=dtype)
    comparison = compared(round_to(right, inside), right, dtype=dtype)
    explanation = explain(comparison)
    assert explanation is not None
    assert explanation.text.startswith(f"{name} inside a {dtype} computation: ")
    assert explanation.digits_only
    assert explanation.head == f"{name} inside a {dtype} computation"
    assert outcome_of(comparison).verdict == "inaccurate"


def test_a_declared_relaxation_is_recognised_by_its_bound() -> None:
    value = reference() * (1.0 + 1e-9)
    relaxed = {"a log-space evaluation": np.full(SHAPE, 1e-8)}
    comparison = compared(value, relaxed=relaxed)
    explanation = explain(comparison)
    assert explanation is not None
    assert (explanation.text, explanation.digits_only) == ("a log-space evaluation", True)
    assert outcome_of(comparison).verdict == "inaccurate"


def test_the_narrower_of_two_relaxations_is_named() -> None:
    value = reference() * (1.0 + 1e-9)
    relaxed = {"a wide one": np.full(SHAPE, 1e-3), "a narrow one": np.full(SHAPE, 1e-8)}
    assert text(compared(value, relaxed=relaxed)) == "a narrow one"


def test_a_relaxation_as_wide_as_the_values_explains_nothing() -> None:
    right = reference()
    value = right + np.linspace(1.0, 2.0, 36).reshape(SHAPE)
    for width in (1e1, 1e300, np.inf):
        comparison = compared(value, right, relaxed={"a log-space evaluation": np.full(SHAPE, width)})
        assert text(comparison) is None
        assert outcome_of(comparison).verdict == "wrong"


def test_small_errors_without_a_name_are_lost_digits() -> None:
    # A thousandth of the largest entry, and too much of the small ones for any format inside.
    right = reference()
    right[:, ::2] *= 1e-6
    signs = np.random.default_rng(0).choice([-1.0, 1.0], SHAPE)
    comparison = compared(right + 0.0009 * signs * np.abs(right).max(), right)
    explanation = explain(comparison)
    assert explanation is not None
    assert explanation.text == "fewer digits than a sound evaluation has: 0.0009 of the largest entry is lost"
    assert outcome_of(comparison).verdict == "inaccurate"


def test_zeros_in_place_of_small_numbers_are_not_lost_digits() -> None:
    right = reference()
    right[:, ::2] *= 1e-6
    value = right.copy()
    value[:, ::2] = 0.0
    comparison = compared(value, right)
    assert outcome_of(comparison).verdict == "wrong"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_wrong_and_explained_by_no_digits(bad: float) -> None:
    value = reference() * (1.0 + 1e-7)
    value[1, 2, 0] = bad
    comparison = compared(value, relaxed={"a log-space evaluation": np.full(SHAPE, 1e-3)})
    outcome = outcome_of(comparison)
    assert outcome.verdict == "wrong"
    assert outcome.explanation is None or not outcome.explanation.digits_only


# None at all


def test_noise_of_the_size_of_the_values_has_no_explanation() -> None:
    rng = np.random.default_rng(1)
    comparison = compared(rng.standard_normal(SHAPE))
    assert text(comparison) is None
    assert outcome_of(comparison).verdict == "wrong"


def test_what_passes_has_no_explanation() -> None:
    assert text(compared(reference())) is None
    assert outcome_of(compared(reference())).verdict == "pass"


def test_undecided_entries_are_neither_explained_nor_judged() -> None:
    right = reference()
    blind = compare("x", 3.0 * right, right, 10.0 * np.abs(right), dtype="float64", axes=AXES)
    assert not blind.decided.any()
    assert text(blind) is None
    assert outcome_of(blind).verdict == "undecidable"


@given(st.floats(0.01, 100.0), st.integers(0, 2**32 - 1))
def test_an_explanation_takes_away_nine_tenths_of_the_error_or_is_about_digits(
    scale: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    explanation = explain(
        compared(reference() * scale + rng.choice([0.0, 1e-3, 1.0]) * rng.standard_normal(SHAPE))
    )
    assert explanation is None or explanation.digits_only or explanation.after <= 0.1 * explanation.before


# Several comparisons


def test_a_failure_is_inaccurate_only_if_lost_digits_explain_every_comparison() -> None:
    digits = compared(round_to(reference(), "float32"))
    wrong = compared(2.0 * reference())
    right = compared(reference())
    assert outcome_of(digits, right).verdict == "inaccurate"
    assert outcome_of(digits, digits).verdict == "inaccurate"
    both = outcome_of(digits, wrong)
    assert both.verdict == "wrong"
    assert both.explanation is not None
    assert both.explanation.text == "scaled by 2"


def test_of_several_wrong_comparisons_an_explained_one_is_shown() -> None:
    rng = np.random.default_rng(1)
    noise, scaled = compared(100.0 * rng.standard_normal(SHAPE)), compared(2.0 * reference())
    outcome = outcome_of(noise, scaled)
    assert noise.ratio > scaled.ratio
    assert outcome.explanation is not None
    assert outcome.explanation.text == "scaled by 2"
    assert "got" in outcome.message


def test_the_message_names_the_worst_place_the_value_and_what_was_expected() -> None:
    value = reference()
    value[1, 4, 2] = 9.0
    outcome = outcome_of(compared(value))
    expected = float(reference()[1, 4, 2])
    assert outcome.message.startswith(
        f"states at batch 1, time 4, channel 2: got 9, expected {expected:.9g} within "
    )


def test_explanations_of_one_kind_have_one_head() -> None:
    explanations = [Explanation(f"fewer digits: {x} is lost", 1.0, 0.0, digits_only=True) for x in (1, 2)]
    assert {e.head for e in explanations} == {"fewer digits"}
