"""A law runs over the cases that were asked for, all of which count, and its failure is made small."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import takewhile
from typing import Any

import numpy as np
import pytest

from dynprop.arrays import NumericArray
from dynprop.check.run.events import CasesDone, CaseStarted, Event, Shrinking, SmallerCaseDone
from dynprop.check.run.outcome import LawResult, judge_case
from dynprop.check.run.runner import Options, run_law
from dynprop.kinds import law_by_id
from dynprop.kinds.scan import controls
from dynprop.kinds.scan.cases import ScanCase
from dynprop.kinds.scan.faults.numpy_faults import initial_ignored, loop, tail_beyond_power_of_two
from dynprop.kinds.scan.target import Scan
from dynprop.laws.evidence import Evidence
from dynprop.laws.law import Law

Array = NumericArray
# A law without its fixed cases, whose share of examples is one half; and one with them.
PLAIN = replace(law_by_id("scan/shape-and-dtype"), fixed=lambda *_: ())
FIXED = "scan/forward"


def numpy_scan(target: Callable[..., Any], **domain: Any) -> Scan:
    return Scan(target, framework="numpy", **domain)


class Recorder:
    """Remembers the events of a run."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    @property
    def cases(self) -> list[dict[str, Any]]:
        return [event.case.to_json() for event in self.events if isinstance(event, CaseStarted)]

    @property
    def judged(self) -> list[dict[str, Any]]:
        """Cases before any was made smaller."""
        counted = list(takewhile(lambda event: not isinstance(event, Shrinking), self.events))
        return [event.case.to_json() for event in counted if isinstance(event, CaseStarted)]


def run(law: str | Law, target: Callable[..., Any], *, domain: Any = None, **options: Any) -> LawResult:
    return recorded(law, target, domain=domain, **options)[0]


def recorded(
    law: str | Law, target: Callable[..., Any], *, domain: Any = None, **options: Any
) -> tuple[LawResult, Recorder]:
    recorder = Recorder()
    chosen = law_by_id(law) if isinstance(law, str) else law
    result = run_law(chosen, numpy_scan(target, **(domain or {})), Options(**options), recorder)
    return result, recorder


def number_of_fixed() -> int:
    subject = numpy_scan(controls.numpy_loop)
    return len(list(law_by_id(FIXED).fixed(subject.domain, subject)))


# How many


@pytest.mark.parametrize("count", [1, 2, 7, 60])
def test_as_many_examples_run_as_were_asked_for(count: int) -> None:
    result, recorder = recorded(PLAIN, controls.numpy_loop, examples=count)
    assert result.cases == result.decided == len(recorder.cases) == count


def test_examples_come_on_top_of_the_fixed_cases() -> None:
    fixed = run(FIXED, controls.numpy_loop, examples=1).cases - 1
    assert fixed == number_of_fixed() > 60
    assert run(FIXED, controls.numpy_loop, examples=5).cases == fixed + 5


def test_without_a_number_a_law_takes_its_share_of_a_hundred() -> None:
    assert PLAIN.share == 0.5
    assert run(PLAIN, controls.numpy_loop).cases == 50


def test_no_examples_are_no_cases_at_all() -> None:
    for law in (PLAIN, FIXED):
        result = run(law, controls.numpy_loop, examples=0)
        assert (result.cases, result.verdict) == (0, "undecidable")


def test_independent_cases_are_counted_beside_the_examples() -> None:
    assert run(PLAIN, controls.numpy_loop, examples=0, iid=9).cases == 9
    assert run(PLAIN, controls.numpy_loop, examples=3, iid=9).cases == 12


def test_every_case_counts_although_the_first_ones_fail() -> None:
    drawn = replace(law_by_id("scan/exact-on-integers"), fixed=lambda *_: ())
    result, recorder = recorded(drawn, initial_ignored, examples=40, patience=0.0)
    assert result.cases == len(recorder.judged) == 40
    assert result.wrong > 5
    assert result.decided - result.wrong > 5
    given = [case["initial"] is not None for case in recorder.judged]
    assert result.wrong <= sum(given)


# Which


@pytest.mark.parametrize("counts", [{"examples": 20}, {"examples": 0, "iid": 20}])
def test_the_same_seed_gives_the_same_cases_and_another_seed_others(counts: dict[str, int]) -> None:
    first, again, other = (
        recorded(PLAIN, controls.numpy_loop, seed=seed, **counts)[1].cases for seed in (7, 7, 8)
    )
    assert first == again
    assert first != other
    assert len({json.dumps(case) for case in first}) > 12


def test_a_wrong_target_sees_the_same_cases_as_a_right_one() -> None:
    right = recorded(PLAIN, controls.numpy_loop, examples=20)[1]
    wrong = recorded(PLAIN, lambda a, x, h: loop(a, x, h)[:, :1], examples=20, patience=0.2)[1]
    assert wrong.judged == right.judged


def test_independent_cases_differ_from_law_to_law_and_from_one_another() -> None:
    first = recorded(PLAIN, controls.numpy_loop, examples=0, iid=20)[1].cases
    second = recorded("scan/causality", controls.numpy_loop, examples=0, iid=20)[1].cases
    assert len({json.dumps(case) for case in first}) == 20
    assert not {json.dumps(case) for case in first} & {json.dumps(case) for case in second}


def test_more_independent_cases_begin_with_the_fewer() -> None:
    few = recorded(PLAIN, controls.numpy_loop, examples=0, iid=4)[1].cases
    more = recorded(PLAIN, controls.numpy_loop, examples=0, iid=8)[1].cases
    assert more[:4] == few


def test_random_numbers_of_the_target_are_seeded_before_every_case() -> None:
    drawn: list[float] = []

    def noisy(gates: Array, inputs: Array, initial: Array | None) -> Array:
        drawn.append(float(np.random.random()))  # noqa: NPY002  (what a careless target does)
        return controls.numpy_loop(gates, inputs, initial)

    seen = []
    for _ in range(2):
        drawn.clear()
        run(PLAIN, noisy, examples=5)
        seen.append(list(drawn))
    assert seen[0] == seen[1]
    assert len(set(seen[0])) == 5


# Telling


def test_the_listener_hears_of_a_case_before_it_runs_and_of_the_count_after() -> None:
    events = recorded(PLAIN, controls.numpy_loop, examples=3)[1].events
    assert [type(event) for event in events] == [CaseStarted, CasesDone] * 3
    assert [event.count for event in events if isinstance(event, CasesDone)] == [1, 2, 3]
    assert all(isinstance(event.case, ScanCase) for event in events if isinstance(event, CaseStarted))


def test_what_is_known_is_told_before_a_counterexample_is_made_smaller() -> None:
    result, recorder = recorded(FIXED, initial_ignored, examples=5, patience=1.0)
    partial = [event.result for event in recorder.events if isinstance(event, Shrinking)]
    assert partial == [result]
    assert any(isinstance(event, SmallerCaseDone) for event in recorder.events)
    assert len(recorder.cases) > len(recorder.judged) == result.cases


# When time is up


def test_cases_that_there_was_no_time_for_are_noted() -> None:
    result = run(FIXED, controls.numpy_loop, examples=30, budget=0.0)
    assert result.cases == number_of_fixed()
    assert result.note == "30 further cases were not run: 0 s are used up"
    assert result.verdict == "pass"


def test_independent_cases_that_there_was_no_time_for_are_noted_too() -> None:
    result = run(PLAIN, controls.numpy_loop, examples=4, iid=5, budget=0.0)
    assert result.cases == 0
    assert result.note == "9 further cases were not run: 0 s are used up"
    assert result.verdict == "undecidable"


def test_with_time_enough_nothing_is_noted() -> None:
    assert run(PLAIN, controls.numpy_loop, examples=4, iid=2).note == ""


# Not applicable


def test_a_law_that_does_not_apply_calls_nothing() -> None:
    def never(gates: Array, inputs: Array, initial: Array | None) -> Array:
        raise AssertionError("called")

    result, recorder = recorded("scan/gradient", never, examples=5)
    assert (result.verdict, result.cases, recorder.events) == ("not-applicable", 0, [])
    assert result.note == "the library has no automatic differentiation"


def test_a_law_that_needs_more_steps_than_the_domain_has_is_not_applicable() -> None:
    result = run("scan/causality", controls.numpy_loop, domain={"max_length": 1}, examples=5)
    assert (result.verdict, result.cases) == ("not-applicable", 0)
    assert result.note == "it needs 2 steps and the domain ends at 1"


def test_a_mistake_of_a_law_is_not_blamed_on_the_target() -> None:
    def broken(subject: Any, case: Any) -> Evidence:
        raise ZeroDivisionError("the law's own")

    law = replace(PLAIN, test=broken)
    with pytest.raises(ZeroDivisionError, match="the law's own"):
        run(law, controls.numpy_loop, examples=1)


# Making a failure small


def shape_of(result: LawResult) -> tuple[int, ...]:
    assert result.counterexample is not None
    return tuple(result.counterexample.case["shape"])


def test_a_counterexample_has_one_row_one_channel_and_as_few_steps_as_possible() -> None:
    result = run("scan/lengths", tail_beyond_power_of_two, examples=5, patience=5.0)
    assert shape_of(result) == (1, 3, 1)
    assert result.counterexample is not None
    assert result.counterexample.case["gates"] == [[[1.0], [1.0], [1.0]]]
    assert result.counterexample.case["inputs"] == [[[1.0], [1.0], [1.0]]]


def test_what_a_failure_needs_is_kept() -> None:
    def wrong_for_two_rows(gates: Array, inputs: Array, initial: Array | None) -> Array:
        states = controls.numpy_loop(gates, inputs, initial)
        return states + 1.0 if len(inputs) > 1 and initial is not None else states

    result = run(FIXED, wrong_for_two_rows, examples=5, patience=3.0)
    assert shape_of(result) == (2, 1, 1)
    assert result.counterexample is not None
    assert result.counterexample.case["initial"] is not None


def test_without_patience_the_counterexample_is_the_case_that_was_found() -> None:
    result, recorder = recorded(FIXED, initial_ignored, examples=5, patience=0.0)
    assert result.counterexample is not None
    assert result.counterexample.case in recorder.judged


def test_an_error_stays_the_same_error_while_it_is_made_smaller() -> None:
    def raising(gates: Array, inputs: Array, initial: Array | None) -> Array:
        if inputs.shape[1] >= 8:
            raise RuntimeError("a block of eight is broken")
        if inputs.shape[1] >= 2:
            raise KeyError("another mistake, of short sequences")
        return controls.numpy_loop(gates, inputs, initial)

    law = replace(law_by_id(FIXED), fixed=lambda domain, subject: [long_case()])
    result = run(law, raising, examples=1, patience=3.0, budget=0.0)
    assert result.verdict == "error"
    assert result.counterexample is not None
    assert result.counterexample.message == "RuntimeError: a block of eight is broken"
    assert shape_of(result) == (1, 8, 1)


def long_case() -> ScanCase:
    rng = np.random.default_rng(0)
    return ScanCase(rng.uniform(0.1, 1.0, (2, 40, 2)), rng.standard_normal((2, 40, 2)), None, "float64")


def test_an_inaccurate_case_is_not_made_into_a_wrong_one() -> None:
    def imprecise(gates: Array, inputs: Array, initial: Array | None) -> Array:
        if inputs.shape[1] < 4:
            return -controls.numpy_loop(gates, inputs, initial)
        single = controls.numpy_loop(gates.astype(np.float32), inputs.astype(np.float32), None)
        return single.astype(inputs.dtype)

    law = replace(law_by_id(FIXED), fixed=lambda domain, subject: [long_case()])
    result = run(law, imprecise, examples=1, patience=3.0, budget=0.0)
    assert result.verdict == "inaccurate"
    assert shape_of(result) == (1, 4, 1)
    assert result.hypothesis is not None
    assert result.hypothesis.startswith("single precision (float32) inside a float64 computation")


def test_an_explanation_is_not_lost_while_a_case_is_made_smaller() -> None:
    result = run(FIXED, lambda a, x, h: 3.0 * loop(a, x, h), examples=10, patience=3.0)
    assert result.hypothesis is not None
    assert result.hypothesis.startswith("scaled by 3 ")
    # One number has no factor: at least two are needed to see it.
    assert np.prod(shape_of(result)) >= 2


# Counterexamples are data


@pytest.mark.parametrize(
    ("law", "target"),
    [
        (FIXED, initial_ignored),
        ("scan/lengths", tail_beyond_power_of_two),
        ("scan/causality", lambda a, x, h: loop(a, x[:, ::-1], h)),
        ("scan/forward", lambda a, x, h: np.full_like(x, np.nan)),
    ],
)
def test_a_saved_counterexample_fails_again_in_the_same_way(law: str, target: Callable[..., Any]) -> None:
    subject = numpy_scan(target)
    result = run_law(law_by_id(law), subject, Options(examples=10, patience=0.3))
    assert result.counterexample is not None
    saved = json.loads(json.dumps(result.counterexample.to_json(), allow_nan=False))
    case = subject.case_from_json(saved["case"])
    again = judge_case(law_by_id(law), subject, case)
    assert again.failed
    assert (again.verdict, again.message) == (result.verdict, result.counterexample.message)
    assert case.describe() == saved["summary"]
    assert case.to_json() == saved["case"]
