"""Verdicts of a law follow from those of its cases, and a hypothesis from most of the failures."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynprop.check.run.explain import Explanation
from dynprop.check.run.outcome import FAILURES, LawResult, Outcome, correct_digits
from dynprop.kinds.scan.cases import ScanCase
from dynprop.laws.evidence import Evidence, LagProfile

VERDICTS = ("wrong", "error", "inaccurate", "pass", "refused", "undecidable")


def case(dtype: str = "float64") -> ScanCase:
    return ScanCase(np.ones((1, 2, 1)), np.ones((1, 2, 1)), None, dtype)


def failing(verdict: str, hypothesis: str | None = None) -> Outcome:
    explanation = None if hypothesis is None else Explanation(hypothesis, 1.0, 0.0)
    return Outcome(verdict, "x", Evidence(failure="x"), explanation)


def result_of(*outcomes: Outcome) -> LawResult:
    result = LawResult("scan/forward")
    for outcome in outcomes:
        result.add(case(), outcome)
    return result


@given(st.lists(st.sampled_from(VERDICTS), max_size=12))
def test_the_gravest_case_gives_the_verdict(verdicts: list[str]) -> None:
    result = result_of(*(Outcome(v) for v in verdicts))
    assert result.verdict == next((v for v in VERDICTS if v in verdicts), "undecidable")
    assert result.failed == any(v in FAILURES for v in verdicts)
    assert result.cases == len(verdicts)
    assert result.decided + result.undecidable + result.refused + result.errors == result.cases


def test_a_law_without_a_decided_case_never_passes() -> None:
    assert result_of().verdict == "undecidable"
    assert result_of(Outcome("undecidable"), Outcome("undecidable")).verdict == "undecidable"


def test_a_hypothesis_of_two_fifths_of_the_failures_is_shown_and_one_of_fewer_is_not() -> None:
    def shown(named: int, nameless: int) -> str | None:
        outcomes = [failing("wrong", "scaled by 2")] * named + [failing("wrong")] * nameless
        failure = result_of(*outcomes).failing
        assert failure is not None
        return None if failure[1].explanation is None else failure[1].explanation.text

    assert shown(2, 3) == "scaled by 2"
    assert shown(1, 4) is None
    assert shown(0, 1) is None


def test_the_hypothesis_of_a_lesser_verdict_is_not_shown_for_a_graver_one() -> None:
    failure = result_of(failing("wrong"), *[failing("inaccurate", "float32 inside")] * 9).failing
    assert failure is not None
    assert (failure[1].verdict, failure[1].explanation) == ("wrong", None)


def profile(first: int | None, last: int = 9) -> LagProfile:
    lags = np.arange(last + 1)
    error = np.zeros(last + 1) if first is None else np.where(lags >= first, 1.0, 1e-9)
    return LagProfile(lags, error, np.full(last + 1, 1e-8), np.ones(last + 1, dtype=bool))


def with_lags(first: int | None, last: int = 9, dtype: str = "float64") -> tuple[ScanCase, Outcome]:
    verdict = "pass" if first is None else "wrong"
    return case(dtype), Outcome(verdict, "", Evidence(detail={"checked": True}, lags=profile(first, last)))


def lag_result(*pairs: tuple[ScanCase, Outcome]) -> LawResult:
    result = LawResult("scan/gradient-by-lag")
    for pair in pairs:
        result.add(*pair)
    return result


def test_the_effective_lag_is_the_last_before_the_first_wrong_one_over_all_cases() -> None:
    assert lag_result(with_lags(None, 9), with_lags(7, 9), with_lags(4, 5)).effective_lag == 3
    assert lag_result(with_lags(None, 9), with_lags(None, 30)).effective_lag == 30
    assert lag_result(with_lags(0)).effective_lag == -1
    assert lag_result(with_lags(7, 9), with_lags(None, 40)).max_decided_lag == 40


def test_every_format_has_its_effective_lag_and_the_least_is_shown() -> None:
    result = lag_result(with_lags(None, 30, "float64"), with_lags(5, 20, "bfloat16"))
    assert result.effective_lags == {"float64": 30, "bfloat16": 4}
    assert result.effective_lag == 4


def test_without_lags_there_is_no_effective_lag() -> None:
    assert (result_of(Outcome("pass")).effective_lag, result_of().max_decided_lag) == (None, None)


@pytest.mark.parametrize(("error", "digits"), [(1e-9, 9.0), (0.0, 17.0), (1.0, 0.0), (np.inf, 0.0)])
def test_correct_digits_are_the_decimal_places_of_the_relative_error(error: float, digits: float) -> None:
    lags = LagProfile(np.arange(3), np.full(3, error), np.zeros(3), np.ones(3, dtype=bool))
    assert correct_digits(lags) == ((0, digits), (1, digits), (2, digits))


def test_correct_digits_show_where_a_gradient_becomes_wrong_and_only_what_is_decided() -> None:
    lags = profile(37, 99)
    undecided = LagProfile(lags.lags, lags.error, lags.bound, lags.lags != 10)
    shown = [lag for lag, _ in correct_digits(undecided)]
    assert {0, 36, 37, 99} <= set(shown)
    assert 10 not in shown
    assert len(shown) < 20
    assert correct_digits(None) == ()


def test_a_result_is_strict_json_also_where_an_error_is_infinite() -> None:
    result = result_of(Outcome("wrong", "nan", Evidence(failure="nan")))
    assert math.isinf(result.worst_ratio)
    data = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert (data["id"], data["verdict"], data["worst_ratio"]) == ("scan/forward", "wrong", None)
    assert {"cases", "decided", "undecidable", "refused", "counterexample", "hypothesis"} <= set(data)
