"""A report says one verdict, one effective lag, one exit status; and reads the same in every form."""

from __future__ import annotations

import io
import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynprop.check import check, load_subject
from dynprop.check.run.outcome import Counterexample, LawResult, gradient_left
from dynprop.check.run.report import Report, law_result_from_json, law_result_to_json, library_versions
from dynprop.check.run.scripts import CUT, SHOWN_LINE, shown
from dynprop.check.show.html import lag_picture, render_html
from dynprop.check.show.render import (
    lag_text,
    open_console,
    print_report,
    print_retrials,
    ratio_text,
    sentence,
)
from dynprop.errors import ArgumentError
from dynprop.kinds.scan.gradient import gradient_by_lag, lag_cases

FAKES = Path(__file__).parents[1] / "fake_targets.py"
Lags = dict[str, tuple[int | None, int]]
VERDICTS = ("pass", "wrong", "error", "inaccurate", "refused", "undecidable", "not-applicable")
CONTRACT = ["target", "kind", "verdict", "seed", "effective_lag", "max_decided_lag", "laws", "versions"]
LAW_KEYS = ["id", "verdict", "cases", "decided", "undecidable", "refused"]
FURTHER_LAW_KEYS = {"worst_ratio", "counterexample", "hypothesis"}


def result_of(verdict: str, law: str = "scan/forward", lags: Lags | None = None) -> LawResult:
    result = LawResult(law, cases=2, lags=lags or {})
    if verdict in ("pass", "wrong", "inaccurate"):
        result.decided, result.worst_ratio = 2, 0.25
    if verdict == "wrong":
        result.wrong, result.worst_ratio = 1, math.inf
    elif verdict == "inaccurate":
        result.inaccurate, result.worst_ratio = 1, 3e5
    elif verdict == "error":
        result.errors = 1
    elif verdict == "refused":
        result.refused = 2
    elif verdict == "undecidable":
        result.undecidable = 2
    elif verdict == "not-applicable":
        result.cases, result.not_applicable, result.note = 0, True, "there is no gradient"
    if result.failed:
        script = "import numpy as np\nprint('" + "x" * 120 + "')"
        digits = ((0, 16.0), (1, 15.5), (2, 0.0))
        result.counterexample = Counterexample(
            {"gates": [[[0.5]]], "dtype": "float64"},
            "float64, 1 step",
            "got 1, expected 2",
            {},
            script,
            digits,
        )
        result.hypothesis = "sign flipped (error 2 -> 0 under it)" if verdict == "wrong" else None
    return result


def report_of(*verdicts: str, lags: Lags | None = None) -> Report:
    laws = tuple(result_of(v, f"scan/law-{i}") for i, v in enumerate(verdicts))
    if lags is not None:
        laws += (result_of("pass", "scan/gradient-by-lag", lags),)
    domain = {
        "gates": "any",
        "inputs": "any",
        "dtypes": ["float64"],
        "max_length": 2048,
        "arithmetic": "product",
        "reach": None,
        "windows": None,
    }
    versions = {"python": "3.11.0", "dynprop": "0.1.0"}
    return Report("kernels:scan", "scan", 0, laws, versions, {"framework": "numpy"}, domain)


def printed(report: Report) -> str:
    file = io.StringIO()
    print_report(report, open_console(file))
    return file.getvalue()


@pytest.mark.parametrize(
    ("verdicts", "overall"),
    [
        (("pass", "inaccurate", "error", "wrong"), "wrong"),
        (("pass", "inaccurate", "error"), "error"),
        (("pass", "inaccurate", "undecidable"), "inaccurate"),
        (("undecidable", "refused", "not-applicable", "pass"), "pass"),
        (("undecidable", "refused"), "refused"),
        (("undecidable", "not-applicable"), "undecidable"),
        (("not-applicable",), "not-applicable"),
        ((), "undecidable"),
    ],
)
def test_the_gravest_verdict_is_the_overall_one(verdicts: tuple[str, ...], overall: str) -> None:
    assert report_of(*verdicts).verdict == overall


@pytest.mark.parametrize(
    ("verdicts", "status", "strictly"),
    [
        (("pass", "wrong"), 1, 1),
        (("pass", "inaccurate"), 1, 1),
        (("pass", "error"), 1, 1),
        (("pass", "not-applicable", "refused"), 0, 0),
        (("pass", "undecidable"), 0, 3),
        (("undecidable", "wrong"), 1, 1),
        (("undecidable",), 3, 3),
        (("refused",), 3, 3),
        (("not-applicable",), 3, 3),
        ((), 3, 3),
    ],
)
def test_the_exit_status_follows_the_contract(verdicts: tuple[str, ...], status: int, strictly: int) -> None:
    assert report_of(*verdicts).exit_code() == status
    assert report_of(*verdicts).exit_code(strict=True) == strictly


@pytest.mark.parametrize(
    ("lags", "effective", "decided"),
    [
        (None, None, None),
        ({}, None, None),
        ({"float64": (None, 2047)}, 2047, 2047),
        ({"float64": (None, 2047), "float32": (32, 2047), "bfloat16": (None, 63)}, 31, 2047),
        ({"float64": (0, 5)}, -1, 5),
    ],
)
def test_the_effective_lag_ends_before_the_first_wrong_one(
    lags: Lags | None, effective: int | None, decided: int | None
) -> None:
    report = report_of("pass", lags=lags)
    assert (report.effective_lag, report.max_decided_lag) == (effective, decided)


def test_laws_that_judge_by_lag_share_the_effective_lag_whatever_their_names() -> None:
    first = result_of("pass", "scan/first", {"float64": (None, 9), "float32": (None, 5)})
    second = result_of("pass", "scan/second", {"float64": (3, 4)})
    for laws in ((first, second), (second, first), (first, result_of("pass"), second)):
        report = Report("f", "scan", 0, laws)
        assert (report.effective_lag, report.max_decided_lag) == (2, 9)
        assert report.effective_lags == {"float64": 2, "float32": 5}


def test_without_a_profile_by_lag_there_is_no_effective_lag() -> None:
    report = Report("f", "scan", 0, (result_of("pass", "scan/gradient-by-lag"),))
    assert (report.effective_lag, report.max_decided_lag, report.effective_lags) == (None, None, {})


def test_the_json_has_the_keys_of_the_contract_first() -> None:
    data = report_of("wrong", "pass", lags={"float64": (None, 9)}).to_json()
    assert list(data)[: len(CONTRACT)] == CONTRACT
    assert {"options", "schema"} <= set(data)
    law = data["laws"][0]
    assert list(law)[: len(LAW_KEYS)] == LAW_KEYS
    assert set(law) >= FURTHER_LAW_KEYS
    assert law["worst_ratio"] is None
    assert data["laws"][1]["worst_ratio"] == 0.25


def test_the_json_is_strict_however_deep_a_number_is_not_finite() -> None:
    report = report_of("wrong")
    example = report.laws[0].counterexample
    assert example is not None
    example.detail.update(
        a=math.nan, b=[np.float64(math.inf)], c={"d": np.array([1.0, -math.inf])}, e=np.int64(3)
    )
    text = report.dumps()
    assert "NaN" not in text
    assert "Infinity" not in text
    detail = json.loads(text)["laws"][0]["counterexample"]["detail"]
    assert detail == {"a": None, "b": [None], "c": {"d": [1.0, None]}, "e": 3}


def test_a_report_comes_back_from_its_json() -> None:
    report = report_of(*VERDICTS, lags={"float64": (32, 2047), "bfloat16": (None, 63)})
    again = Report.from_json(json.loads(report.dumps()))
    assert again.to_json() == report.to_json()
    assert [r.verdict for r in again.laws] == [r.verdict for r in report.laws]
    assert again.effective_lag == 31
    assert again.laws[1].worst_ratio == math.inf


@given(st.lists(st.floats(width=64, allow_nan=False, allow_infinity=False), max_size=5))
def test_the_numbers_of_a_case_survive_the_json(values: list[float]) -> None:
    result = result_of("wrong")
    assert result.counterexample is not None
    result.counterexample.case["gates"] = values
    text = json.dumps(law_result_to_json(result))
    back = law_result_from_json(json.loads(text)).counterexample
    assert back is not None
    assert [v.hex() for v in back.case["gates"]] == [v.hex() for v in values]


@pytest.mark.parametrize(
    ("data", "part"),
    [
        ([], "a JSON list"),
        ({}, "without target"),
        ({**report_of("pass").to_json(), "schema": 99}, "schema 99"),
        ({**report_of("pass").to_json(), "laws": [{"id": "scan/forward"}]}, "a law without its results"),
        ({**report_of("pass").to_json(), "laws": 3}, "a law without its results"),
    ],
)
def test_what_is_no_report_is_refused(data: Any, part: str) -> None:
    with pytest.raises(ArgumentError, match=part):
        Report.from_json(data)


def test_versions_name_the_framework() -> None:
    assert list(library_versions()) == ["python", "dynprop", "numpy"]
    assert library_versions("torch")["torch"]
    assert library_versions("no_such_framework")["no_such_framework"] == "unknown"


def test_a_printed_report_has_a_line_per_law_within_80_columns() -> None:
    report = report_of(*VERDICTS, lags={"float64": (32, 2047)})
    lines = printed(report).splitlines()
    for result in report.laws:
        (line,) = [li for li in lines if li.startswith(f"{result.law} ") and "─" not in li]
        assert result.verdict.replace("-", " ") in line
    code = [li for li in lines if li.startswith("print('xxx")]
    assert len(code) == len(report.failures)
    assert [li for li in lines if len(li) > 80 and li not in code] == []
    assert [li for li in lines if li != li.rstrip()] == []
    assert "\x1b" not in "".join(lines)


def test_a_printed_failure_shows_what_was_found_and_unbroken_code() -> None:
    text = printed(report_of("wrong"))
    for part in ("got 1, expected 2", "on      float64, 1 step", "likely  sign flipped"):
        assert part in text
    assert "\nimport numpy as np\nprint('" + "x" * 120 + "')\n" in text
    assert re.search(r"lag +0 +1 +2\n +correct +16\.0 15\.5 +0\.0\n", text)


def test_a_hypothesis_that_several_laws_share_is_said_once_and_prominently() -> None:
    text = printed(report_of("wrong", "wrong", "error", "pass"))
    assert "most likely: sign flipped  (2 of 3 failing laws)" in text
    assert "3 of 4 laws fail (2 wrong, 1 error), most likely: sign flipped" in text
    assert "most likely" not in printed(report_of("wrong", "inaccurate"))


def test_an_error_that_several_laws_share_is_not_called_a_hypothesis() -> None:
    text = printed(report_of("error", "error"))
    assert "in common: got 1, expected 2  (2 of 2 failing laws)" in text
    assert "most likely" not in text


def test_long_code_is_printed_once_per_cause() -> None:
    report = report_of("wrong", "wrong")
    for result in report.laws:
        assert result.counterexample is not None
        object.__setattr__(result.counterexample, "script", "y = '" + "x" * 300 + "'")
    text = printed(report)
    assert text.count("x" * 300) == 1
    assert "as above, on a case too long to print again" in text


def test_the_last_lines_are_the_effective_lag_and_the_verdict() -> None:
    text = printed(report_of("pass", lags={"float64": (None, 9), "float32": (4, 7)}))
    assert text.splitlines()[-2] == "gradients right up to lag 3 of 9 decided (float64 9, float32 3)"
    assert text.splitlines()[-1] == "pass: 2 laws hold on 4 decided cases"


@pytest.mark.parametrize(
    ("lag", "share", "words"),
    [
        (9, 3.2e-9, "gradients right up to lag 9 of 9 decided, where 3e-9 of the gradient is left"),
        (9, 0.123, "gradients right up to lag 9 of 9 decided, where 12 % of the gradient is left"),
        (
            3,
            250.0,
            "gradients right up to lag 3 of 9 decided, where the gradient is 2.5e+02 times that at lag 0",
        ),
        (-1, 0.0, "gradients wrong from lag 0 on (9 decided)"),
    ],
)
def test_the_effective_lag_is_put_in_words_with_what_is_left_there(
    lag: int, share: float, words: str
) -> None:
    result = result_of("pass", "scan/gradient-by-lag", {"float64": (None if lag == 9 else lag + 1, 9)})
    result.left = {"float64": (lag, share), "float32": (lag + 1, 7.0)}
    report = Report("f", "scan", 0, (result,))
    assert lag_text(report) == words
    assert Report.from_json(report.to_json()).gradient_left == report.gradient_left
    assert report.to_json()["effective_lag"] == lag


def test_what_is_left_of_a_gradient_comes_from_the_reference_at_that_lag() -> None:
    subject = load_subject(f"{FAKES}:right", "scan", framework="numpy", max_length=40, dtypes=["float64"])
    (result,) = check(subject, laws=["gradient-by-lag"], examples=20).laws
    (lag, share) = result.left["float64"]
    assert lag == result.effective_lag == result.max_decided_lag
    case = replace(next(c for c in lag_cases(subject.domain, subject)), gates=np.full((1, 4, 1), 0.5))
    evidence = gradient_by_lag(subject, replace(case, inputs=np.ones((1, 4, 1)), initial=None))
    assert [gradient_left(evidence, k) for k in (0, 1, 3, 4, -1)] == [1.0, 0.5, 0.125, None, None]
    assert share > 0.0


def test_long_lines_of_code_are_cut_in_the_middle_and_a_line_says_so() -> None:
    short, long = "print(f(x))", f"x = [{', '.join(['0.125'] * 1000)}]"
    assert shown(short) == short
    first, second, last = shown(f"{long}\n{short}").splitlines()
    assert (second, last) == (short, CUT)
    assert len(first) <= SHOWN_LINE
    assert first.startswith("x = [0.125, ")
    assert first.endswith(" 0.125]")
    assert ", ... 0.125" in first


@pytest.mark.parametrize(
    ("verdicts", "text"),
    [
        (("pass",), "1 law holds on 2 decided cases"),
        (("pass", "pass", "undecidable"), "2 laws hold on 4 decided cases; 1 undecidable"),
        (("undecidable",), "no law could be decided; this says nothing about the target"),
        (("wrong", "pass"), "1 of 2 laws fail (1 wrong), most likely: sign flipped"),
    ],
)
def test_the_verdict_is_one_sentence(verdicts: tuple[str, ...], text: str) -> None:
    assert sentence(report_of(*verdicts)) == text


@pytest.mark.parametrize(
    ("ratio", "text"), [(0.0, "0"), (0.4321, "0.43"), (0.0012, "1e-3"), (2.3e15, "2e15"), (math.inf, "inf")]
)
def test_ratios_are_short(ratio: float, text: str) -> None:
    result = result_of("pass")
    result.worst_ratio = ratio
    assert ratio_text(result) == text
    assert ratio_text(result_of("undecidable")) == ""


def test_nothing_to_replay_is_said() -> None:
    file = io.StringIO()
    print_retrials([], report_of("pass"), open_console(file))
    assert "nothing to replay" in file.getvalue()


def test_the_page_is_self_contained_and_escapes_what_it_shows() -> None:
    report = report_of("wrong", "pass", lags={"float64": (None, 9)})
    example = report.laws[0].counterexample
    assert example is not None
    object.__setattr__(example, "message", "got <b>1</b> & </script>")
    page = render_html(report)
    assert "<b>1</b>" not in page
    assert "&lt;b&gt;1&lt;/b&gt; &amp; &lt;/script&gt;" in page
    assert not re.search(r"(src|href)=\"(https?:)?//", page)
    embedded = re.search(r'<script type="application/json" id="report">(.*?)</script>', page, re.DOTALL)
    assert embedded is not None
    assert json.loads(embedded[1]) == report.to_json()
    assert page.count("<svg") == 1
    assert page.count("<circle") == 3


def test_a_page_without_failures_has_no_picture() -> None:
    page = render_html(report_of("pass", "undecidable"))
    assert "<svg" not in page
    assert "Failures" not in page


def test_the_picture_of_digits_names_the_first_wrong_lag() -> None:
    picture = lag_picture([(0, 16.0), (1, 16.0), (30, 15.0), (31, 15.0), (32, 0.0), (2047, 0.0)])
    assert picture is not None
    assert "32" in [label for _, label in picture.lags]
    assert [wrong for *_, wrong in picture.points] == [False] * 4 + [True] * 2
    assert sorted(x for x, *_ in picture.points) == [x for x, *_ in picture.points]
    assert all(0 <= x <= picture.width and 0 <= y <= picture.height for x, y, *_ in picture.points)
    assert lag_picture([(0, 16.0)]) is None
