"""Laws run over cases: fixed ones, Hypothesis's, i.i.d. ones; then a failing case is made smaller.

Hypothesis generates cases and does not stop at a failure, so that every case counts in the verdict and in
the effective lag. A failing case is made smaller by its own simplifications.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from zlib import crc32

import hypothesis
import numpy as np

from dynprop.check.run.events import (
    CasesDone,
    CaseStarted,
    FirstFailure,
    Listener,
    Shrinking,
    SmallerCaseDone,
    ignore,
)
from dynprop.check.run.outcome import Counterexample, LawResult, Outcome, correct_digits, judge_case
from dynprop.check.run.scripts import reproduction
from dynprop.check.run.subjects import target_name
from dynprop.kinds import kind_named
from dynprop.kinds.record import JudgedSubject
from dynprop.laws.draw import RandomSource
from dynprop.laws.hypothesis_source import cases as case_strategy
from dynprop.laws.hypothesis_source import without_constants_of_modules
from dynprop.laws.law import Batch, Case, Law

__all__ = ["Options", "run_law", "run_until"]

# Enough for every group of like cases to be worth an array of its own.
BATCH = 8192


@dataclass(frozen=True)
class Options:
    """How much to run.

    Attributes:
        examples: cases drawn per law by Hypothesis; None lets each law choose a share of 100.
        iid: further independent cases per law.
        seed: seeds the cases.
        budget: seconds after which a law draws no further case.
        patience: seconds spent on making a counterexample smaller.
    """

    examples: int | None = None
    iid: int = 0
    seed: int = 0
    budget: float = 60.0
    patience: float = 6.0

    def count(self, law: Law) -> int:
        """Return the number of Hypothesis cases for a law."""
        return max(1, round(100 * law.share)) if self.examples is None else self.examples


def run_law(law: Law, subject: JudgedSubject, options: Options, listen: Listener = ignore) -> LawResult:
    """Run one law on one subject.

    Args:
        law: the law.
        subject: an adapter from ``dynprop.check``.
        options: how much to run.
        listen: called with the events of the cases, and before a counterexample is made smaller.
    """
    result = _empty_result(law, subject)
    if result.not_applicable:
        return result
    kind = kind_named(subject.kind)

    def run(case: Case) -> None:
        listen(CaseStarted(case))
        outcome = judge_case(law, subject, case)
        result.add(case, outcome, kind.classes_of(case))
        if outcome.failed and result.counterexample is None:
            _store_counterexample(law, subject, result, (case, outcome), outcome)
            listen(FirstFailure(result))
        listen(CasesDone(result.cases, result.tally()))

    _run_cases(law, subject, options, result, run, listen)
    if result.failing is not None:
        case, outcome = result.failing
        _store_counterexample(law, subject, result, (case, outcome), outcome)
        listen(Shrinking(result))
        _store_counterexample(
            law, subject, result, shrink(law, subject, case, outcome, options.patience, listen), outcome
        )
    return result


class _VerdictReached(BaseException):
    """Ends a run from inside a case; Hypothesis would treat an Exception as a failing case."""


def run_until(law: Law, subject: JudgedSubject, options: Options, verdict: str) -> LawResult:
    """Run one law until a case has this verdict, in the order of :func:`run_law`; make nothing smaller."""
    result = _empty_result(law, subject)
    if result.not_applicable:
        return result

    def run(case: Case) -> None:
        outcome = judge_case(law, subject, case)
        result.add(case, outcome)
        if outcome.verdict == verdict:
            raise _VerdictReached

    with suppress(_VerdictReached):
        _run_cases(law, subject, options, result, run, ignore)
    if result.failing is not None:
        case, outcome = result.failing
        _store_counterexample(law, subject, result, (case, outcome), outcome)
    return result


def _empty_result(law: Law, subject: JudgedSubject) -> LawResult:
    """Return a result without cases, with the reason if the law does not apply to the subject."""
    result = LawResult(law.id)
    reason = _undeclared_numbers(law, subject) or law.applies(subject)
    if reason is not None:
        result.not_applicable, result.note = True, reason
    elif subject.domain.max_length < law.shortest:
        result.not_applicable = True
        result.note = f"it needs {law.shortest} steps and the domain ends at {subject.domain.max_length}"
    return result


def _undeclared_numbers(law: Law, subject: JudgedSubject) -> str | None:
    """Return why a target has no cases of a law's numbers, or None."""
    if law.numbers == "integer":
        return None if subject.domain.integers else "no integer dtype is declared (--dtypes int64)"
    return None if subject.domain.dtypes else "integers alone are declared (--dtypes)"


def _run_cases(
    law: Law,
    subject: JudgedSubject,
    options: Options,
    result: LawResult,
    run: Callable[[Case], None],
    listen: Listener,
) -> None:
    """Run the fixed cases, those of Hypothesis and the independent ones."""
    deadline = time.monotonic() + options.budget
    if options.examples != 0:
        for case in law.fixed(subject.domain, subject):
            run(case)
    skipped = _generate(law, subject, options, run, deadline)
    if law.batch is None:
        skipped += _draw_independent(law, subject, options, run, deadline)
    else:
        skipped += _draw_batches(law.batch, law, subject, options, result, run, deadline, listen)
    if skipped:
        result.note = f"{skipped} further cases were not run: {options.budget:.0f} s are used up"


def _store_counterexample(
    law: Law, subject: JudgedSubject, result: LawResult, smallest: tuple[Case, Outcome], first: Outcome
) -> None:
    """Store the smallest failing case as the counterexample, with its hypothesis."""
    case, outcome = smallest
    result.counterexample = _counterexample(law, subject, case, outcome, first)
    explanation = first.explanation and (outcome.explanation or first.explanation)
    result.hypothesis = None if explanation is None else str(explanation)


def _generate(
    law: Law, subject: JudgedSubject, options: Options, run: Callable[[Case], None], deadline: float
) -> int:
    """Run cases of Hypothesis; return the number skipped after the deadline."""
    count, skipped = options.count(law), 0
    if count == 0:
        return 0

    @hypothesis.seed(options.seed)
    @hypothesis.settings(
        max_examples=count,
        phases=[hypothesis.Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        derandomize=False,
        print_blob=False,
    )
    @hypothesis.given(case_strategy(law.draw, subject.domain, subject))
    def every_case(case: Case) -> None:
        nonlocal skipped
        if time.monotonic() > deadline:
            skipped += 1
        else:
            run(case)

    with without_constants_of_modules():
        every_case()
    return skipped


def _draw_independent(
    law: Law, subject: JudgedSubject, options: Options, run: Callable[[Case], None], deadline: float
) -> int:
    """Run i.i.d. cases, which support statements of probability; return the number skipped."""
    law_seed = crc32(law.id.encode())
    for i in range(options.iid):
        if time.monotonic() > deadline + options.budget * options.iid / 100:
            return options.iid - i
        source = RandomSource(np.random.SeedSequence([options.seed, law_seed, i]))
        run(law.draw(source, subject.domain, subject))
    return 0


def _draw_batches(
    batch: Batch,
    law: Law,
    subject: JudgedSubject,
    options: Options,
    result: LawResult,
    run: Callable[[Case], None],
    deadline: float,
    listen: Listener,
) -> int:
    """Judge i.i.d. cases in batches; a case that the law cannot clear in its batch is judged alone."""
    law_seed = sum(law.id.encode())
    for start in range(0, options.iid, BATCH):
        if time.monotonic() > deadline + options.budget * options.iid / 100:
            return options.iid - start
        rng = np.random.default_rng(np.random.SeedSequence([options.seed, law_seed, start]))
        subject.seed(options.seed)
        count = min(BATCH, options.iid - start)
        cleared = batch(subject, rng, count, lambda case: listen(CaseStarted(case)))
        result.add_cleared(cleared)
        listen(CasesDone(result.cases, result.tally()))
        for case in cleared.remaining:
            run(case)
    return 0


def shrink(
    law: Law,
    subject: JudgedSubject,
    case: Case,
    outcome: Outcome,
    patience: float,
    listen: Listener = ignore,
) -> tuple[Case, Outcome]:
    """Make a failing case smaller as long as it fails in the same way."""
    deadline = time.monotonic() + patience
    progress = True
    while progress and time.monotonic() < deadline:
        progress = False
        for candidate in _before_deadline(case.smaller(), deadline):
            listen(CaseStarted(candidate))
            smaller = _judge_smaller(law, subject, candidate)
            listen(SmallerCaseDone())
            if (
                smaller is not None
                and smaller.signature == outcome.signature
                and _keeps_explanation(smaller, outcome)
            ):
                case, outcome, progress = candidate, smaller, True
                break
    return case, outcome


def _keeps_explanation(smaller: Outcome, outcome: Outcome) -> bool:
    """Whether a smaller case keeps the explanation of the larger one."""
    if outcome.explanation is None:
        return True
    return smaller.explanation is not None and smaller.explanation.head == outcome.explanation.head


def _judge_smaller(law: Law, subject: JudgedSubject, case: Case) -> Outcome | None:
    """Judge a smaller case; None if the law itself raises on it."""
    try:
        return judge_case(law, subject, case)
    except (ValueError, IndexError, ZeroDivisionError):
        return None


def _before_deadline(items: Iterable[Case], deadline: float) -> Iterator[Case]:
    for item in items:
        if time.monotonic() > deadline:
            return
        yield item


def _counterexample(
    law: Law, subject: JudgedSubject, case: Case, outcome: Outcome, first: Outcome
) -> Counterexample:
    detail = {} if outcome.evidence is None else dict(outcome.evidence.detail)
    lags = None if first.evidence is None else first.evidence.lags
    return Counterexample(
        case.to_json(),
        case.describe(),
        outcome.message,
        detail,
        reproduction(law, target_name(subject), case, detail),
        correct_digits(lags),
    )
