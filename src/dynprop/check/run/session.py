"""What every check shares, in this process or in a child: subjects, laws, saved cases, settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dynprop.arrays import describe
from dynprop.check.run.outcome import FAILURES, judge_case
from dynprop.errors import ArgumentError
from dynprop.kinds import all_kinds, laws_for
from dynprop.laws.law import Law

__all__ = [
    "Retrial",
    "adapt",
    "again",
    "chosen_laws",
    "require_counts",
    "restored_case",
    "run_options",
]


@dataclass(frozen=True)
class Retrial:
    """One saved case, judged again; ``print`` it.

    Attributes:
        law: the law's id.
        case: the case in one line.
        verdict: what came of it now.
        message: what was found; empty for a pass.
        hypothesis: what seems to be wrong, or None.
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


def adapt(subject: Any, *, seed: int = 0) -> Any:
    """Return the adapter of whatever may be handed to ``check``.

    Args:
        subject: an adapter such as a Scan, what ``load_subject`` returned, or an object that a kind takes
            as it is, such as a Layer or a torch module.
        seed: seeds the making of a layer from a class or builder.

    Raises:
        ArgumentError: it is none of these.
        TargetError: a layer cannot be built.
    """
    kinds = all_kinds()
    if getattr(subject, "kind", None) in kinds and hasattr(subject, "domain"):
        return subject
    for kind in kinds.values():
        if kind.takes(subject):
            return kind.adapter_class().of(subject, seed=seed)
    adapters = ", ".join(f"a {kind.adapter_name}" for kind in kinds.values())
    raise ArgumentError("subject", describe(subject), f"{adapters} or a torch module")


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
    given = {"examples": examples, "iid": iid or None, "only": only and list(only), "timeout": timeout}
    return {name: value for name, value in given.items() if value is not None}


def again(law: str, subject: Any, case: Mapping[str, Any]) -> Retrial:
    """Judge one saved case again; printing what is returned says what came of it.

    Args:
        law: id of the law.
        subject: as for ``check``.
        case: the case as its counterexample in a report stores it.

    Raises:
        ArgumentError: no such law, or a case of another kind.
    """
    adapted = adapt(subject)
    (found,) = chosen_laws(adapted.kind, [law])
    restored = restored_case(adapted, case)
    outcome = judge_case(found, adapted, restored)
    hypothesis = None if outcome.explanation is None else str(outcome.explanation)
    return Retrial(found.id, restored.describe(), outcome.verdict, outcome.message, hypothesis)


def restored_case(subject: Any, case: Mapping[str, Any]) -> Any:
    """Build a case from its JSON form; ArgumentError if it is none of the subject's kind."""
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
