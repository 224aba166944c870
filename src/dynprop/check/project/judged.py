"""What came of the targets of a project, beside what was expected of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dynprop.check.run.outcome import LawResult
from dynprop.check.run.report import SCHEMA, Report
from dynprop.errors import ArgumentError, DefectError, DynpropError

__all__ = ["JudgedTarget", "ProjectReport", "resolved_expectations"]

# Exit statuses of a project, the gravest first: a law fails, dynprop fails, a target cannot be judged, some
# target is not decided, all is well.
GRAVEST = (1, 4, 2, 3, 0)


def resolved_expectations(expected: Mapping[str, str], report: Report) -> dict[str, str]:
    """Return the reasons of expected failures by law id, in the order of the report.

    Raises:
        ArgumentError: a name is neither the id nor the slug of a law that ran.
    """
    known = {name: result.law for result in report.laws for name in (result.law, result.law.split("/", 1)[1])}
    unknown = [name for name in expected if name not in known]
    if unknown:
        ran = ", ".join(result.law.split("/", 1)[1] for result in report.laws)
        raise ArgumentError(
            "expected_failures", ", ".join(unknown), f"laws that run on {report.target}: {ran}"
        )
    reasons = {known[name]: reason for name, reason in expected.items()}
    return {result.law: reasons[result.law] for result in report.laws if result.law in reasons}


@dataclass(frozen=True)
class JudgedTarget:
    """One target with its report, or with the reason why there is none.

    Attributes:
        name: its name in tables.
        report: the results of the laws; None if the target cannot be judged.
        expected: the reason why a law fails, by its id.
        problem: why the target cannot be judged, in one line.
        broken: whether that is a defect of dynprop.
    """

    name: str
    report: Report | None = None
    expected: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""
    broken: bool = False

    @classmethod
    def without_report(cls, name: str, error: DynpropError) -> JudgedTarget:
        """Return the target that cannot be judged because of an error."""
        return cls(name, problem=" ".join(str(error).split()), broken=isinstance(error, DefectError))

    @property
    def failures(self) -> tuple[LawResult, ...]:
        """The results of the laws that fail and are not expected to."""
        results = () if self.report is None else self.report.failures
        return tuple(result for result in results if result.law not in self.expected)

    @property
    def stale(self) -> tuple[LawResult, ...]:
        """The results of the laws that are expected to fail and do not."""
        results = () if self.report is None else self.report.laws
        return tuple(result for result in results if result.law in self.expected and not result.failed)

    @property
    def verdict(self) -> str:
        """The verdict of the report; "pass" where every failure is expected, "stale" where one is missing."""
        if self.report is None:
            return "not judged"
        if self.failures or not self.expected:
            return self.report.verdict
        return "stale" if self.stale else "pass"

    def exit_code(self, strict: bool = False) -> int:
        """Return the exit status of this target alone; see ``Report.exit_code``."""
        if self.report is None:
            return 4 if self.broken else 2
        if self.stale or any(not result.defect for result in self.failures):
            return 1
        if self.failures:
            return 4
        verdicts = {result.verdict for result in self.report.laws}
        if not (self.expected or "pass" in verdicts) or (strict and "undecidable" in verdicts):
            return 3
        return 0

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values: those of the report, and what was expected."""
        data = (
            {"target": self.name, "verdict": self.verdict} if self.report is None else self.report.to_json()
        )
        stale = [result.law for result in self.stale]
        extra = {"expected_failures": dict(self.expected), "stale": stale, "problem": self.problem}
        return {"name": self.name, **data, **extra}


@dataclass(frozen=True)
class ProjectReport:
    """All targets of a project, judged.

    Attributes:
        targets: in the order of the project.
        strict: whether a law that could not be decided keeps the check from success.
    """

    targets: tuple[JudgedTarget, ...]
    strict: bool = False

    @property
    def exit_code(self) -> int:
        """The gravest exit status of a target: 1, 4, 2, 3, 0 in this order."""
        return min((t.exit_code(self.strict) for t in self.targets), key=GRAVEST.index, default=3)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        targets = [target.to_json() for target in self.targets]
        return {"schema": SCHEMA, "exit_code": self.exit_code, "targets": targets}
