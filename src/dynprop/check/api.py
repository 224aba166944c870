"""Checking from Python: every law on one subject in this process, or in a child.

The command line runs the same laws in a child process (``dynprop.check.process.isolate``), where a target
that hangs or ends the interpreter costs one law only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dynprop.check.run.report import Report, library_versions
from dynprop.check.run.session import adapt, chosen_laws, require_counts, run_options
from dynprop.errors import ArgumentError

__all__ = ["check"]

Listener = Callable[[str, Any], None]


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
        from dynprop.check.process.isolate import check_isolated

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
    from dynprop.check.run.runner import Options, run_law

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


def _ignore(event: str, value: Any) -> None:
    return None
