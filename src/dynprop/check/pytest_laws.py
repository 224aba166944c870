"""Laws as pytest tests: one test per subject and law, as scikit-learn's ``parametrize_with_checks``.

::

    @parametrize_with_laws([Scan(my_scan, framework="numpy"), Layer(build)])
    def test_my_kernels(check):
        check()
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from dynprop.check.run.outcome import LawResult
from dynprop.check.run.session import adapt, chosen_laws
from dynprop.errors import ArgumentError
from dynprop.kinds.record import JudgedSubject
from dynprop.laws.law import Law

__all__ = ["LawCheck", "parametrize_with_laws"]

Test = TypeVar("Test", bound=Callable[..., Any])


@dataclass(frozen=True)
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

        self.subject.preflight()
        result = run_law(self.law, self.subject, Options(examples=self.examples, seed=self.seed))
        if result.failed:
            __tracebackhide__ = True
            raise AssertionError(self.explained(result))
        if result.verdict != "pass":
            pytest.skip(self.reason(result))
        return result

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
            lines += ["", example.script]
        return "\n".join(lines)

    @staticmethod
    def reason(result: LawResult) -> str:
        """Return why a law that did not fail cannot count as passed."""
        if result.not_applicable:
            return f"not applicable: {result.note}"
        counts = f"{result.undecidable} undecidable and {result.refused} refused of {result.cases} cases"
        return f"{result.verdict}: {counts}"


def parametrize_with_laws(
    subjects: Sequence[object],
    *,
    examples: int | None = None,
    seed: int = 0,
    laws: Sequence[str] | None = None,
    expected_failures: Mapping[str, str] | None = None,
) -> Callable[[Test], Test]:
    """Parametrize a test with every law of every subject.

    The decorated test takes one argument, ``check``, and calls it. Test ids are "name:law-id".

    Args:
        subjects: adapters such as a Scan or a Layer, torch modules, or subjects from ``load_subject``.
        examples: cases that Hypothesis draws per law; None lets each law choose a share of 100.
        seed: seeds everything.
        laws: ids or slugs of the laws to run; None runs every law.
        expected_failures: reason by law id, or by "name:law-id" for one subject. Such a test has to fail: one
            that passes is an error (a strict xfail).

    Raises:
        ArgumentError: a subject of no kind, a law that does not exist, or an expected failure that names no
            test.

    Example:
        >>> import numpy as np
        >>> from dynprop.check import Product, parametrize_with_laws
        >>> products = Product(lambda weights: np.cumprod(weights, axis=0), name="cumprod")
        >>> @parametrize_with_laws([products], laws=["exact", "first-entry"], examples=3)
        ... def test_products(check):
        ...     check()
        >>> [parameter.id for parameter in test_products.pytestmark[0].args[1]]
        ['cumprod:product/exact', 'cumprod:product/first-entry']
    """
    import pytest

    adapted = [adapt(subject, seed=seed) for subject in subjects]
    expected = dict(expected_failures or {})
    unused = set(expected)
    parameters = []
    for subject in adapted:
        for law in chosen_laws(subject.kind, laws):
            name = f"{subject.name}:{law.id}"
            unused -= {name, law.id}
            reason = expected.get(name, expected.get(law.id))
            marks = (
                []
                if reason is None
                else [pytest.mark.xfail(reason=reason, strict=True, raises=AssertionError)]
            )
            parameters.append(pytest.param(LawCheck(subject, law, examples, seed), id=name, marks=marks))
    if unused:
        known = "ids of laws of these subjects, or name:law-id"
        raise ArgumentError("expected_failures", ", ".join(sorted(unused)), known)
    mark: Callable[[Test], Test] = pytest.mark.parametrize("check", parameters)
    return mark
