"""Parts that a check in this process shares with one in a child: subjects, laws, saved cases, settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from dynprop.arrays import describe
from dynprop.check.run.coverage import coverage_of
from dynprop.check.run.outcome import FAILURES, LawResult, judge_case
from dynprop.check.run.report import Report, library_versions
from dynprop.check.run.subjects import LoadedSubject, TargetName, target_name
from dynprop.errors import ArgumentError
from dynprop.kinds import all_kinds, kind_named, laws_for
from dynprop.kinds.record import JudgedSubject, Kind
from dynprop.laws.covering import Plan
from dynprop.laws.law import Case, Law

__all__ = [
    "Retrial",
    "TargetFacts",
    "adapt",
    "again",
    "chosen_laws",
    "described_object",
    "report_of",
    "require_counts",
    "restored_case",
    "run_options",
    "takes",
    "target_facts",
]


@dataclass(frozen=True)
class TargetFacts:
    """The facts about a target that a report states; the parent of a child never imports the target.

    Attributes:
        named: name, kind, framework, origin and options.
        compiles: whether its library compiles every new shape.
        domain: JSON form of the domain.
        versions: of the libraries in use.
        plan: the plan of cases of its kind, or None.
    """

    named: TargetName
    compiles: bool = False
    domain: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    plan: Plan | None = None


def target_facts(subject: JudgedSubject) -> TargetFacts:
    """Return the facts about the target of a subject."""
    packages = subject.packages if isinstance(subject, LoadedSubject) else {}
    versions = {**library_versions(subject.framework), **packages}
    plan = kind_named(subject.kind).plan_for(subject)
    return TargetFacts(target_name(subject), subject.compiles, subject.domain.to_json(), versions, plan)


def report_of(
    target: TargetFacts, seed: int, results: Sequence[LawResult], settings: Mapping[str, Any]
) -> Report:
    """Return the report on a target.

    Args:
        target: the facts about it.
        seed: the seed of the check.
        results: one per law.
        settings: from ``run_options``.
    """
    named = target.named
    options = {**named.options, **settings}
    return Report(
        named.origin or named.name,
        named.kind,
        seed,
        tuple(results),
        target.versions,
        options,
        target.domain,
        None if target.plan is None else coverage_of(target.plan, results),
    )


@dataclass(frozen=True)
class Retrial:
    """One saved case, judged again; ``print`` it.

    Attributes:
        law: the law's id.
        case: the case in one line.
        verdict: the verdict now.
        message: the failure in one line; empty for a pass.
        hypothesis: the likely mistake, or None.
    """

    law: str
    case: str
    verdict: str
    message: str = ""
    hypothesis: str | None = None

    @property
    def failed(self) -> bool:
        """Whether the case fails its law."""
        return self.verdict in FAILURES

    def __str__(self) -> str:
        lines = [f"{self.law}: {self.verdict}", f"  case    {self.case}"]
        if self.message:
            lines.append(f"  found   {self.message}")
        if self.hypothesis:
            lines.append(f"  likely  {self.hypothesis}")
        return "\n".join(lines)


def adapt(subject: object, *, seed: int = 0) -> JudgedSubject:
    """Return the subject of an object that ``check`` may take.

    Args:
        subject: an adapter of a kind, a subject from ``load_subject``, or an object that some kind takes as
            it is.
        seed: seeds the making of a target that is built from a class or builder.

    Raises:
        ArgumentError: the object is none of these.
        TargetError: the target cannot be built.
    """
    kinds = all_kinds()
    is_class = isinstance(subject, type)
    if not is_class and getattr(subject, "kind", None) in kinds and hasattr(subject, "domain"):
        return cast("JudgedSubject", subject)
    for kind in kinds.values():
        if takes(kind, subject):
            return kind.adapter_class().of(subject, seed=seed)
    raise ArgumentError("subject", described_object(subject), _remedy(subject, kinds))


def takes(kind: Kind, subject: object) -> bool:
    """Whether a kind takes an object as it is; a kind that cannot be used takes none."""
    try:
        return kind.takes(subject)
    except Exception:  # a kind's own code: it costs only its own kind
        return False


def described_object(subject: object) -> str:
    """Describe an object that is no subject, without its address in memory."""
    name = getattr(subject, "__qualname__", None)
    if isinstance(name, str):
        return f"{'class' if isinstance(subject, type) else type(subject).__name__} {name}"
    bare = type(subject).__repr__ is object.__repr__
    return f"an object of class {type(subject).__name__}" if bare else describe(subject)


def _remedy(subject: object, kinds: Mapping[str, Kind]) -> str:
    """Return what ``check`` takes instead of an object, and how to make it of this one."""
    for kind in kinds.values():
        if isinstance(subject, type) and subject.__name__ == kind.adapter_name:
            return f"an instance: call it with the target, as in {kind.adapter_name}(f)"
    if isinstance(subject, str):
        return f"an object: load it, as in load_subject({subject!r}, kind)"
    known = [_with_article(kind.adapter_name) for kind in kinds.values()]
    known += [kind.accepted for kind in kinds.values() if kind.accepted]
    first = next(iter(kinds.values())).adapter_name
    return (
        f"{', '.join(known[:-1])} or {known[-1]}: "
        f"wrap it, as in {first}(f), or load it, as in load_subject('module:name', kind)"
    )


def _with_article(name: str) -> str:
    return f"{'an' if name[0] in 'AEIOU' else 'a'} {name}"


def chosen_laws(kind: str, only: Sequence[str] | None = None) -> tuple[Law, ...]:
    """Return the laws of a kind, or those of them that are named by id or by slug.

    Raises:
        ArgumentError: an unknown kind, or a name that no law of the kind has.
    """
    laws = laws_for(kind)
    if only is None:
        return laws
    for name in only:
        if not any(name in (law.id, law.slug) for law in laws):
            known = ", ".join(law.slug for law in laws)
            raise ArgumentError("law", repr(name), f"one of kind {kind}: {known}")
    return tuple(law for law in laws if law.id in only or law.slug in only)


def run_options(
    examples: int | None, iid: int, only: Sequence[str] | None, timeout: float | None
) -> dict[str, Any]:
    """Return the settings of a run that differ from the defaults, as a report stores them."""
    settings = {"examples": examples, "iid": iid or None, "only": only and list(only), "timeout": timeout}
    return {name: value for name, value in settings.items() if value is not None}


def again(law: str, subject: object, case: Mapping[str, Any]) -> Retrial:
    """Judge one saved case again, and return a retrial to print.

    Args:
        law: id of the law.
        subject: as for ``check``.
        case: the case as its counterexample in a report stores it.

    Raises:
        ArgumentError: no such law, or a case of another kind.

    Example:
        >>> import numpy as np
        >>> from dynprop.check import Product, again
        >>> sums = Product(lambda weights: np.cumsum(weights, axis=0))
        >>> case = {"weights": [2.0, 3.0], "shape": [2], "dtype": "float64"}
        >>> case |= {"matrix": False, "stratum": "", "seed": 0}
        >>> retrial = again("product/exact", sums, case)
        >>> retrial.verdict, retrial.message
        ('wrong', 'products at time 1: got 5, expected 6 within 6.7e-16')
    """
    adapted = adapt(subject)
    (judged_law,) = chosen_laws(adapted.kind, [law])
    restored = restored_case(adapted, case)
    outcome = judge_case(judged_law, adapted, restored)
    hypothesis = None if outcome.explanation is None else str(outcome.explanation)
    return Retrial(judged_law.id, restored.describe(), outcome.verdict, outcome.message, hypothesis)


def restored_case(subject: JudgedSubject, case: Mapping[str, Any]) -> Case:
    """Build a case from its JSON form; ArgumentError if the data is no case of the subject's kind."""
    try:
        return subject.case_from_json(dict(case))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        got = f"{describe(case)} ({type(error).__name__}: {error})"
        raise ArgumentError("case", got, f"a saved case of kind {subject.kind}") from error


def require_counts(examples: int | None, iid: int, seed: int) -> None:
    """Raise ArgumentError unless numbers of cases and the seed are at least 0."""
    for name, value in (("examples", examples or 0), ("iid", iid), ("seed", seed)):
        if value < 0:
            raise ArgumentError(name, str(value), "a whole number of at least 0")
