"""Checking from Python: every law on one subject in this process, and one saved case again.

The command line runs the same laws in a child process (``dynprop.check.isolate``), where a target that hangs
or ends the interpreter costs one law only.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dynprop.arrays import describe
from dynprop.check.outcome import FAILURES, judge_case
from dynprop.check.report import Report, library_versions
from dynprop.check.targets import ADAPTERS, adapter_of, load_subject
from dynprop.errors import ArgumentError
from dynprop.laws.registry import Law, laws_for

__all__ = ["Retrial", "adapt", "again", "check", "chosen_laws", "load_subject"]

Listener = Callable[[str, Any], None]


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
        subject: a Scan, an AssociativeScan, a Layer, what ``load_subject`` returned, or a torch module.
        seed: seeds the making of a layer from a class or builder.

    Raises:
        ArgumentError: it is none of these.
        TargetError: a layer cannot be built.
    """
    if getattr(subject, "kind", None) in ADAPTERS and hasattr(subject, "domain"):
        return subject
    torch = sys.modules.get("torch")
    is_module = torch is not None and isinstance(subject, torch.nn.Module)
    if is_module or type(subject).__name__ == "Layer":
        return adapter_of("layer").of(subject, seed=seed)
    raise ArgumentError("subject", describe(subject), "a Scan, a Layer, an AssociativeScan or a torch module")


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


def check(
    subject: Any,
    *,
    examples: int | None = None,
    iid: int = 0,
    seed: int = 0,
    laws: Sequence[str] | None = None,
    timeout: float | None = None,
    listen: Listener | None = None,
) -> Report:
    """Judge a subject by the laws of its kind.

    Args:
        subject: a Scan, an AssociativeScan, a Layer, a torch module, or what ``load_subject`` returned.
        examples: cases that Hypothesis draws per law; None lets each law choose a share of 100. The fixed
            cases of a law run besides, unless it is 0.
        iid: further independent cases per law.
        seed: seeds everything.
        laws: ids or slugs of the laws to run; None runs every law of the kind.
        timeout: None checks in this process, where a target that hangs hangs the check. A number is the
            seconds that one case may take in a child process, which needs a subject from ``load_subject``.
        listen: called with ("law", id), ("case", count) and ("result", LawResult) as the check goes on.

    Raises:
        ArgumentError: an argument has a value that it cannot have.
        TargetError: the subject cannot be built, or called as its kind demands.
    """
    adapted = adapt(subject, seed=seed)
    origin: str = getattr(adapted, "origin", "")
    options: Mapping[str, Any] = getattr(adapted, "options", {})
    tell = listen or _ignore
    require_counts(examples, iid, seed)
    if timeout is not None:
        if not origin:
            raise ArgumentError("timeout", f"{timeout} for an object", "None, or a subject of load_subject")
        from dynprop.check.isolate import check_isolated

        return check_isolated(
            origin,
            adapted.kind,
            options=options,
            examples=examples,
            iid=iid,
            seed=seed,
            only=laws,
            timeout=timeout,
            listen=tell,
        )
    chosen = chosen_laws(adapted.kind, laws)
    adapted.preflight()
    from dynprop.check.runner import Options, run_law

    def count(event: str, value: Any) -> None:
        if event == "done" and value:
            tell("case", value)

    run = Options(examples=examples, iid=iid, seed=seed)
    results = []
    for law in chosen:
        tell("law", law.id)
        results.append(run_law(law, adapted, run, count))
        tell("result", results[-1])
    return Report(
        origin or adapted.name,
        adapted.kind,
        seed,
        tuple(results),
        {**library_versions(adapted.framework), **getattr(adapted, "packages", {})},
        {**options, **run_options(examples, iid, laws, None)},
        adapted.domain.to_json(),
    )


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


def _ignore(event: str, value: Any) -> None:
    return None


def require_counts(examples: int | None, iid: int, seed: int) -> None:
    """Raise ArgumentError unless numbers of cases and the seed are at least 0."""
    for name, value in (("examples", examples or 0), ("iid", iid), ("seed", seed)):
        if value < 0:
            raise ArgumentError(name, str(value), "a whole number of at least 0")
