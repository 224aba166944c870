"""Checking from Python: every law on one subject in this process, or in a child.

The command line runs the same laws in a child process (``dynprop.check.process.isolate``), where a target
that hangs or ends the interpreter costs one law only.
"""

from __future__ import annotations

from collections.abc import Sequence

from dynprop.check.run.events import Event, LawFinished, LawStarted, Listener, Loaded, ignore
from dynprop.check.run.report import Report
from dynprop.check.run.session import (
    adapt,
    chosen_laws,
    report_of,
    require_counts,
    run_options,
    target_facts,
)
from dynprop.errors import ArgumentError

__all__ = ["Event", "Listener", "check"]


def check(
    subject: object,
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
        subject: an adapter such as a Scan or a Layer, a torch module, or a subject from ``load_subject``.
        examples: cases that Hypothesis draws per law; None lets each law choose a share of 100. The fixed
            cases of a law run besides, unless it is 0.
        iid: further independent cases per law.
        seed: seeds everything.
        laws: ids or slugs of the laws to run; None runs every law of the kind.
        timeout: None checks in this process, where a target that hangs hangs the check. A number is the
            seconds that one case may take in a child process, which needs a subject from ``load_subject``.
        listen: called with every event of the check; see ``dynprop.check.run.events``.

    Raises:
        ArgumentError: an argument has a value that it cannot have.
        TargetError: the subject cannot be built, or called as its kind demands.

    Example:
        >>> import numpy as np
        >>> from dynprop.check import Product, check
        >>> products = Product(lambda weights: np.cumprod(weights, axis=0))
        >>> check(products, laws=["exact"], examples=3).verdict
        'pass'
    """
    adapted = adapt(subject, seed=seed)
    target = target_facts(adapted)
    send = listen or ignore
    require_counts(examples, iid, seed)
    if timeout is not None:
        if not target.named.origin:
            raise ArgumentError("timeout", f"{timeout} for an object", "None, or a subject of load_subject")
        from dynprop.check.process.isolate import check_isolated

        return check_isolated(
            target.named.origin,
            adapted.kind,
            options=target.named.options,
            examples=examples,
            iid=iid,
            seed=seed,
            only=laws,
            timeout=timeout,
            listen=send,
        )
    chosen = chosen_laws(adapted.kind, laws)
    send(Loaded(target))
    adapted.preflight()
    from dynprop.check.run.runner import Options, run_law

    run = Options(examples=examples, iid=iid, seed=seed)
    results = []
    for law in chosen:
        send(LawStarted(law.id))
        results.append(run_law(law, adapted, run, send))
        send(LawFinished(results[-1]))
    return report_of(target, seed, results, run_options(examples, iid, laws, None))
