"""Laws as pytest tests: one test per subject and law, as scikit-learn's ``parametrize_with_checks``.

::

    @parametrize_with_laws([Scan(my_scan, framework="numpy"), Layer(build)])
    def test_my_kernels(check):
        check()
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import methodcaller
from typing import Any, TypeVar

from dynprop.check.run.outcome import LawResult
from dynprop.check.run.scripts import shown
from dynprop.check.run.session import adapt, chosen_laws
from dynprop.errors import ArgumentError, TargetError
from dynprop.kinds import laws_for
from dynprop.kinds.record import JudgedSubject
from dynprop.laws.law import Law

__all__ = ["LawCheck", "parametrize_with_laws"]

Test = TypeVar("Test", bound=Callable[..., Any])


@dataclass(frozen=True, repr=False)
class LawCheck:
    """One law on one subject; call it inside a test.

    Attributes:
        subject: the adapter.
        law: the law.
        examples: cases that Hypothesis draws; None lets the law choose.
        seed: seeds everything.
    """

    subject: JudgedSubject
    law: Law
    examples: int | None = None
    seed: int = 0

    def __repr__(self) -> str:
        return f"<{self.law.id} on {self.subject.name}>"

    def __call__(self) -> LawResult:
        """Run the law.

        Returns:
            The result, if the law passed. A law that is not applicable, refused or undecidable skips the test
            with its reason.

        Raises:
            AssertionError: the law failed; the message holds the counterexample and code that reproduces it.
            TargetError: the subject cannot be called as its kind demands.
        """
        import pytest

        from dynprop.check.run.runner import Options, run_law

        # pytest shows the line of the user's test that calls this; frames of a defect of dynprop stay.
        __tracebackhide__ = methodcaller("errisinstance", (AssertionError, TargetError))
        problem = self._problem()
        if problem:
            raise TargetError(problem)
        result = run_law(self.law, self.subject, Options(examples=self.examples, seed=self.seed))
        if result.failed:
            raise AssertionError(self.explained(result))
        if result.verdict != "pass":
            pytest.skip(self.reason(result))
        return result

    def _problem(self) -> str:
        """Return why the subject cannot be called as its kind demands; empty if it can."""
        try:
            self.subject.preflight()
        except TargetError as error:
            return str(error)
        return ""

    def explained(self, result: LawResult) -> str:
        """Return the message of a failure: counterexample, hypothesis, code."""
        example = result.counterexample
        lines = [
            f"{self.subject.name} breaks {self.law.id}: {result.verdict}",
            f"  law     {self.law.statement}",
        ]
        if example is not None:
            lines += [f"  found   {example.message}", f"  on      {example.summary}"]
        if result.hypothesis:
            lines.append(f"  likely  {result.hypothesis}")
        if example is not None and example.script:
            lines += ["", shown(example.script)]
        return "\n".join(lines)

    @staticmethod
    def reason(result: LawResult) -> str:
        """Return why a law that did not fail cannot count as passed."""
        if result.not_applicable:
            return f"not applicable: {result.note}"
        counts = f"{result.undecidable} undecidable and {result.refused} refused of {result.cases} cases"
        return f"{result.verdict}: {counts}"


def parametrize_with_laws(
    subjects: object,
    *,
    examples: int | None = None,
    seed: int = 0,
    laws: Sequence[str] | None = None,
    expected_failures: Mapping[str, str | Mapping[str, str]] | None = None,
) -> Callable[[Test], Test]:
    """Parametrize a test with every law of every subject.

    The decorated test takes one argument, ``check``, and calls it. Test ids are "name:law-id".

    Args:
        subjects: one subject, or a list or tuple of subjects of any kinds: adapters such as a Scan or a
            Layer, torch modules, or subjects from ``load_subject``.
        examples: cases that Hypothesis draws per law; None lets each law choose a share of 100.
        seed: seeds everything.
        laws: ids or slugs of the laws to run, each on the subjects of the kinds that have it; None runs every
            law.
        expected_failures: the reason by law (its id or slug), by "name:law-id", or by the name of a subject a
            mapping of such reasons. Such a test has to fail: one that passes is an error (a strict xfail).

    Raises:
        ArgumentError: a subject of no kind, a law that no subject's kind has, or an expected failure that
            names no test.

    Example:
        >>> import numpy as np
        >>> from dynprop.check import Product, parametrize_with_laws
        >>> products = Product(lambda weights: np.cumprod(weights, axis=0), name="cumprod")
        >>> @parametrize_with_laws(products, laws=["exact", "first-entry"], examples=3)
        ... def test_products(check):
        ...     check()
        >>> [parameter.id for parameter in test_products.pytestmark[0].args[1]]
        ['cumprod:product/exact', 'cumprod:product/first-entry']
    """
    import pytest

    given: Sequence[object] = subjects if isinstance(subjects, list | tuple) else [subjects]
    adapted = [adapt(subject, seed=seed) for subject in given]
    _require_laws(adapted, laws)
    expected = _Expected(expected_failures or {})
    parameters = []
    for subject in adapted:
        for law in laws_for(subject.kind):
            if laws is not None and not {law.id, law.slug} & set(laws):
                continue
            reason = expected.reason(subject.name, law)
            marks = (
                []
                if reason is None
                else [pytest.mark.xfail(reason=reason, strict=True, raises=AssertionError)]
            )
            name = f"{subject.name}:{law.id}"
            parameters.append(pytest.param(LawCheck(subject, law, examples, seed), id=name, marks=marks))
    expected.require_used()
    mark: Callable[[Test], Test] = pytest.mark.parametrize("check", parameters)
    return mark


def _require_laws(subjects: Sequence[JudgedSubject], laws: Sequence[str] | None) -> None:
    """Raise ArgumentError if a name is no law of any subject's kind."""
    kinds = list(dict.fromkeys(subject.kind for subject in subjects))
    if len(kinds) == 1:
        chosen_laws(kinds[0], laws)
        return
    known = {name for kind in kinds for law in laws_for(kind) for name in (law.id, law.slug)}
    for name in laws or ():
        if name not in known:
            raise ArgumentError(
                "law", repr(name), f"one of the kinds {', '.join(kinds)}, as dynprop laws lists"
            )


class _Expected:
    """Reasons of expected failures, by (subject or "", law); those that name a test are used up."""

    def __init__(self, given: Mapping[str, str | Mapping[str, str]]) -> None:
        self._reasons: dict[tuple[str, str], str] = {}
        for name, value in given.items():
            if isinstance(value, str):
                subject, _, law = name.rpartition(":")
                self._reasons[subject, law] = value
            else:
                self._reasons.update({(name, law): reason for law, reason in value.items()})
        self._unused = set(self._reasons)

    def reason(self, subject: str, law: Law) -> str | None:
        """Return the reason why a law fails on a subject, that of the subject first."""
        keys = [(name, slug) for name in (subject, "") for slug in (law.id, law.slug)]
        self._unused -= set(keys)
        return next((self._reasons[key] for key in keys if key in self._reasons), None)

    def require_used(self) -> None:
        """Raise ArgumentError for a reason that no test has."""
        if self._unused:
            names = [f"{subject}:{law}" if subject else law for subject, law in sorted(self._unused)]
            known = "laws of these subjects (id or slug), name:law-id, or the name of a subject"
            raise ArgumentError("expected_failures", ", ".join(names), known)
