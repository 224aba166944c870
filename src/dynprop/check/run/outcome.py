"""One law on one case, and one law over its cases: outcomes, results and their verdicts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from dynprop.check.run.attribution import raised_by_target
from dynprop.check.run.explain import Explanation, explain
from dynprop.kinds.record import JudgedSubject
from dynprop.laws.evidence import Evidence, LagProfile
from dynprop.laws.law import Case, Cleared, Law
from dynprop.subjects.calls import TargetMismatchError, TargetRaisedError, attributable
from dynprop.wording import error_text

__all__ = ["FAILURES", "Counterexample", "LawResult", "Outcome", "Tally", "judge_case"]

FAILURES = ("wrong", "error", "inaccurate")


@dataclass(frozen=True)
class Outcome:
    """The outcome of one law on one case.

    Attributes:
        verdict: "pass", "wrong", "inaccurate", "error", "refused" or "undecidable".
        message: the failure or refusal in one line; empty for a pass.
        evidence: values, references and bounds, unless the subject raised.
        explanation: the likely mistake, if a hypothesis fits.
    """

    verdict: str
    message: str = ""
    evidence: Evidence | None = None
    explanation: Explanation | None = None

    @property
    def failed(self) -> bool:
        """Whether this outcome fails its law."""
        return self.verdict in FAILURES

    @property
    def ratio(self) -> float:
        """Worst residual over bound."""
        return 0.0 if self.evidence is None else self.evidence.ratio

    @property
    def signature(self) -> tuple[str, str]:
        """Verdict, and for an error its type, which a smaller counterexample must keep."""
        return (self.verdict, self.message.split(":")[0] if self.verdict == "error" else "")


def judge_case(law: Law, subject: JudgedSubject, case: Case) -> Outcome:
    """Judge one case by one law; exceptions of the subject are outcomes, those of a law are not."""
    subject.seed(getattr(case, "seed", 0))
    try:
        # Exploding cases overflow in the bounds too, where infinity is the right answer.
        with np.errstate(all="ignore"):
            evidence = law.test(subject, case)
    except TargetRaisedError as error:
        if error.refuses(case) and case.refusable():
            return Outcome("refused", str(error))
        return Outcome("error", str(error))
    except TargetMismatchError as error:
        return Outcome("wrong", str(error), Evidence(failure=str(error)))
    except attributable() as error:
        # What a target returns may raise when it is read.
        if raised_by_target(error, law, subject):
            return Outcome("error", error_text(error))
        raise
    if evidence.failure is not None:
        return Outcome("wrong", evidence.failure, evidence)
    if not evidence.decided:
        checked = evidence.detail.get("checked") is True
        return Outcome("pass" if checked else "undecidable", "", evidence)
    if evidence.passed:
        return Outcome("pass", "", evidence)
    return _failing(evidence)


def _failing(evidence: Evidence) -> Outcome:
    """Classify a failure: inaccurate if lost digits explain every failing comparison."""
    failing = [(c, explain(c)) for c in evidence.comparisons if c.ratio > 1.0]
    precise = all(e is not None and e.digits_only for _, e in failing)
    worst = max(failing, key=lambda pair: pair[0].ratio)
    structural = [pair for pair in failing if pair[1] is None or not pair[1].digits_only]
    explained = [pair for pair in structural if pair[1] is not None]
    comparison, explanation = (
        worst if precise else max(explained or structural, key=lambda pair: pair[0].ratio)
    )
    where = ", ".join(f"{a} {i}" for a, i in zip(comparison.axes, comparison.worst, strict=True))
    value, expected = (float(v[comparison.worst]) for v in (comparison.value, comparison.reference))
    message = (
        f"{comparison.label} at {where}: got {value:.9g}, expected {expected:.9g} "
        f"within {float(comparison.bound[comparison.worst]):.2g}"
    )
    return Outcome("inaccurate" if precise else "wrong", message, evidence, explanation)


@dataclass(frozen=True)
class Counterexample:
    """The smallest failing case of a law.

    Attributes:
        case: its plain JSON form.
        summary: the case in one line.
        message: the failure in one line.
        detail: the law's own parameters there, such as the split point.
        script: code that reproduces the failure.
        correct_digits: for gradient laws, (lag, correct digits) pairs on the case before it was made smaller.
    """

    case: dict[str, Any]
    summary: str
    message: str
    detail: dict[str, Any]
    script: str
    correct_digits: tuple[tuple[int, float], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**self.__dict__, "correct_digits": [list(pair) for pair in self.correct_digits]}


@dataclass(frozen=True)
class Tally:
    """The numbers of a law over the cases judged so far.

    Attributes:
        cases: how many cases ran.
        decided, undecidable, refused, errors, wrong, inaccurate: number of cases with this outcome.
        worst_ratio: worst residual over bound among the decided cases; may be infinite.
        lags: as on ``LawResult``.
    """

    cases: int = 0
    decided: int = 0
    undecidable: int = 0
    refused: int = 0
    errors: int = 0
    wrong: int = 0
    inaccurate: int = 0
    worst_ratio: float = 0.0
    lags: Mapping[str, tuple[int | None, int]] = field(default_factory=dict)


@dataclass
class Failures:
    """Failing cases with one verdict and one hypothesis: their number and the clearest of them."""

    count: int = 0
    clearest: tuple[Case, Outcome] | None = None

    def add(self, case: Case, outcome: Outcome) -> None:
        """Count a case; keep the one with the worst ratio as the clearest."""
        self.count += 1
        if self.clearest is None or outcome.ratio > self.clearest[1].ratio:
            self.clearest = (case, outcome)


@dataclass
class Met:
    """The cases of a law with the same classes.

    Attributes:
        cases: their number.
        decided: number of those that were decided.
        undecided: one that was not, in one line; empty if there is none.
    """

    cases: int = 0
    decided: int = 0
    undecided: str = ""

    def add(self, case: Case, decided: bool, verdict: str) -> None:
        """Count a case."""
        self.cases += 1
        self.decided += decided
        if not decided and not self.undecided:
            self.undecided = f"{case.describe()}: {verdict}"


# The classes of a case, sorted by factor.
Classes = tuple[tuple[str, str], ...]


@dataclass
class LawResult:
    """A law over its cases.

    Attributes:
        law: the law's id.
        cases: how many cases ran.
        decided, undecidable, refused, errors, wrong, inaccurate: number of cases with this outcome.
        worst_ratio: worst residual over bound among the decided cases; may be infinite.
        counterexample: the smallest failing case, if any fails.
        hypothesis: the likely mistake.
        note: why the law is not applicable, why fewer cases ran, or what a case showed beside its verdict.
        defect: what the law itself raised, through no doing of the target; empty for a law that ran.
        lags: by dtype, the smallest lag at which a gradient was wrong over all cases, or None, and the
            largest lag that could be judged.
        left: by dtype, the effective lag and the size of the gradient there, relative to that at lag 0: the
            largest of all cases that are right just as far.
        met: the cases by the classes of the kind's plan.
    """

    law: str
    cases: int = 0
    decided: int = 0
    undecidable: int = 0
    refused: int = 0
    errors: int = 0
    wrong: int = 0
    inaccurate: int = 0
    worst_ratio: float = 0.0
    counterexample: Counterexample | None = None
    hypothesis: str | None = None
    note: str = ""
    defect: str = ""
    not_applicable: bool = False
    lags: dict[str, tuple[int | None, int]] = field(default_factory=dict)
    left: dict[str, tuple[int, float]] = field(default_factory=dict)
    failures: dict[tuple[str, str], Failures] = field(default_factory=dict, repr=False)
    met: dict[Classes, Met] = field(default_factory=dict, repr=False)

    @property
    def verdict(self) -> str:
        """The verdict of the law over its cases."""
        if self.not_applicable:
            return "not-applicable"
        for count, verdict in (
            (self.wrong, "wrong"),
            (self.errors, "error"),
            (self.inaccurate, "inaccurate"),
            (self.decided, "pass"),
            (self.refused, "refused"),
        ):
            if count:
                return verdict
        return "undecidable"

    @property
    def failed(self) -> bool:
        """Whether the law failed."""
        return self.verdict in FAILURES

    def tally(self) -> Tally:
        """Return the numbers so far."""
        return Tally(**{f.name: getattr(self, f.name) for f in fields(Tally)} | {"lags": dict(self.lags)})

    def with_lost_case(self, tally: Tally) -> LawResult:
        """Return this result with the numbers so far, and one more case that ended in an error."""
        numbers: dict[str, Any] = {f.name: getattr(tally, f.name) for f in fields(Tally)}
        numbers |= {"cases": tally.cases + 1, "errors": tally.errors + 1, "lags": dict(tally.lags)}
        return replace(self, **numbers)

    def add(self, case: Case, outcome: Outcome, classes: Mapping[str, str] | None = None) -> None:
        """Count one outcome and remember the worst failing case; ``classes`` are those of the case."""
        self.cases += 1
        decided = outcome.verdict in ("pass", "wrong", "inaccurate")
        self.decided += decided
        if classes:
            self.met.setdefault(tuple(sorted(classes.items())), Met()).add(case, decided, outcome.verdict)
        self.undecidable += outcome.verdict == "undecidable"
        self.refused += outcome.verdict == "refused"
        self.errors += outcome.verdict == "error"
        self.wrong += outcome.verdict == "wrong"
        self.inaccurate += outcome.verdict == "inaccurate"
        if outcome.verdict != "error":
            self.worst_ratio = max(self.worst_ratio, outcome.ratio)
        if outcome.evidence is not None and outcome.evidence.lags is not None:
            self._add_lags(case.dtype, outcome.evidence.lags)
            self._add_left(case.dtype, outcome.evidence)
        if outcome.evidence is not None and outcome.evidence.note:
            self.note = outcome.evidence.note
        if outcome.failed:
            head = "" if outcome.explanation is None else outcome.explanation.head
            group = self.failures.setdefault((outcome.verdict, head), Failures())
            group.add(case, outcome)

    def add_cleared(self, cleared: Cleared) -> None:
        """Count cases that were judged together."""
        self.cases += cleared.decided + cleared.undecidable
        self.decided += cleared.decided
        self.undecidable += cleared.undecidable
        self.worst_ratio = max(self.worst_ratio, cleared.worst_ratio)

    @property
    def failing(self) -> tuple[Case, Outcome] | None:
        """The failing case to show: the gravest verdict, and the hypothesis that fits most cases.

        A hypothesis that fits fewer than two fifths of the failing cases is a coincidence.
        """
        for verdict in FAILURES:
            groups = {head: g for (v, head), g in self.failures.items() if v == verdict}
            total = sum(g.count for g in groups.values())
            named = {h: g for h, g in groups.items() if h and g.count >= 0.4 * total}
            group = max((named or groups).values(), key=lambda g: g.count, default=None)
            if group is not None and group.clearest is not None:
                case, outcome = group.clearest
                return case, outcome if named else replace(outcome, explanation=None)
        return None

    def _add_lags(self, dtype: str, lags: LagProfile) -> None:
        if lags.max_decided is None:
            return
        first_wrong, max_decided = self.lags.get(dtype, (None, 0))
        wrong_lags = [k for k in (first_wrong, lags.first_wrong) if k is not None]
        self.lags[dtype] = (min(wrong_lags, default=None), max(max_decided, lags.max_decided))

    def _add_left(self, dtype: str, evidence: Evidence) -> None:
        """Keep how much of the gradient is left at the effective lag."""
        lag = self.effective_lags.get(dtype, -1)
        before, most = self.left.get(dtype, (-1, 0.0))
        share = gradient_left(evidence, lag)
        if share is None:
            if before != lag:
                self.left.pop(dtype, None)
        else:
            self.left[dtype] = (lag, max(share, most) if before == lag else share)

    @property
    def max_decided_lag(self) -> int | None:
        """Largest lag that could be judged, over all dtypes; None without a gradient law."""
        return max((max_decided for _, max_decided in self.lags.values()), default=None)

    @property
    def effective_lag(self) -> int | None:
        """Largest lag up to which every decided gradient is right; -1 if lag 0 is wrong."""
        last_right = [k - 1 for k, _ in self.lags.values() if k is not None]
        return min(last_right, default=self.max_decided_lag)

    @property
    def effective_lags(self) -> dict[str, int]:
        """The effective lag of each dtype."""
        return {
            d: max_decided if first_wrong is None else first_wrong - 1
            for d, (first_wrong, max_decided) in self.lags.items()
        }

    def to_json(self) -> dict[str, Any]:
        """Return the result under the keys of the public contract."""
        finite = math.isfinite(self.worst_ratio) and self.decided > 0
        return {
            "id": self.law,
            "verdict": self.verdict,
            "cases": self.cases,
            "decided": self.decided,
            "undecidable": self.undecidable,
            "refused": self.refused,
            "errors": self.errors,
            "worst_ratio": self.worst_ratio if finite else None,
            "counterexample": None if self.counterexample is None else self.counterexample.to_json(),
            "hypothesis": self.hypothesis,
            "note": self.note,
        }


def gradient_left(evidence: Evidence, lag: int) -> float | None:
    """Return the largest reference gradient at a lag over that at lag 0; None without such a lag."""
    shares = []
    for comparison in evidence.comparisons:
        if lag >= 0 and "lag" in comparison.axes:
            axis = comparison.axes.index("lag")
            if comparison.reference.shape[axis] > lag:
                size = np.abs(np.moveaxis(comparison.reference, axis, 0)[[0, lag]]).reshape(2, -1)
                first, there = size.max(axis=1, initial=0.0)
                if np.isfinite(there) and np.isfinite(first) and first > 0.0:
                    shares.append(float(there) / float(first))
    return max(shares, default=None)


def correct_digits(lags: LagProfile | None) -> tuple[tuple[int, float], ...]:
    """Return the correct decimal digits of a gradient at a readable choice of lags."""
    if lags is None or lags.max_decided is None:
        return ()
    error = np.clip(lags.error, 1e-17, 1e17)
    digits = np.maximum(0.0, -np.log10(error))
    candidates = {0, 1, 2, 5, 10, 15, 20, 30, 40, 60} | {2**k for k in range(6, 12)}
    if lags.first_wrong is not None:
        candidates |= {lags.first_wrong - 1, lags.first_wrong}
    candidates.add(lags.max_decided)
    judged = [k for k in sorted(candidates) if 0 <= k < len(lags.lags) and lags.decided[k]]
    return tuple((int(k), round(float(digits[k]), 1)) for k in judged)
