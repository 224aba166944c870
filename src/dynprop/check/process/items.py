"""The work of the child process: it imports the target, runs the laws, and reports every step to its parent.

The child announces each case before it calls the target, so that the parent knows the input on which the
target hangs or ends the interpreter.
"""

from __future__ import annotations

import os
import pickle
import sys
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection

from dynprop.check.process.job import Item, Job
from dynprop.check.process.messages import (
    AllDone,
    Announced,
    ItemStarted,
    LawRaised,
    Message,
    PreflightPassed,
    Unusable,
)
from dynprop.check.run.events import (
    CaseReplayed,
    CaseStarted,
    Event,
    LawFinished,
    LawStarted,
    Loaded,
    Shrinking,
)
from dynprop.check.run.outcome import LawResult
from dynprop.check.run.report import law_result_from_json, law_result_to_json
from dynprop.check.run.runner import Options, run_law
from dynprop.check.run.session import again, chosen_laws, restored_case, target_facts
from dynprop.check.targets import load_subject
from dynprop.errors import ArgumentError, PlanError, TargetError
from dynprop.kinds import law_by_id
from dynprop.kinds.record import JudgedSubject
from dynprop.laws.law import Case

__all__ = ["run_job"]

PATIENCE = 6.0

Send = Callable[[Message], None]


def run_job(pipe: Connection, job: Job) -> None:
    """Load the target and work through the items of a job."""

    def send(message: Message) -> None:
        pipe.send_bytes(pickle.dumps(message))

    try:
        subject = load_subject(job.target, job.kind, seed=job.seed, **job.options)
        send(Loaded(target_facts(subject)))
        for _, item in job.items:
            if item.case is not None:
                restored_case(subject, item.case)
        if job.preflight:
            subject.preflight()
    except ArgumentError as error:
        send(Unusable(error.argument, str(error)))
        return
    except (PlanError, TargetError) as error:
        send(Unusable(None, str(error)))
        return
    send(PreflightPassed())
    for index, item in job.items:
        send(ItemStarted(index))
        try:
            if item.case is None:
                result = _run_law(item, subject, job, send)
                send(LawFinished(_portable(result)))
            else:
                send(CaseReplayed(again(item.law, subject, item.case)))
        except Exception as error:  # a law raised, not the target: it is reported as such
            send(LawRaised(f"{type(error).__name__}: {error} ({_place(error, item.law)})"))
    send(AllDone())


def _place(error: Exception, identifier: str) -> str:
    """Return file and line of the last frame in the law's module, else of the last outside dynprop.check."""
    law = law_by_id(identifier)
    frames = traceback.extract_tb(error.__traceback__)
    module = getattr(sys.modules[law.test.__module__], "__file__", None)
    home = [frame for frame in frames if frame.filename == module]
    room = os.path.dirname(os.path.dirname(__file__))
    outside = [frame for frame in frames if not frame.filename.startswith(room + os.sep)]
    place = (home or outside or frames)[-1]
    return f"{os.path.basename(place.filename)}:{place.lineno}"


def _run_law(item: Item, subject: JudgedSubject, job: Job, send: Send) -> LawResult:
    """Run a law; a failure is sent before its counterexample is made smaller."""
    (law,) = chosen_laws(job.kind, [item.law])

    def listen(event: Event) -> None:
        if isinstance(event, CaseStarted):
            send(Announced(_pickled(event.case)))
        elif isinstance(event, Shrinking):
            send(Shrinking(_portable(event.result)))
        elif not isinstance(event, LawStarted):
            send(event)

    options = Options(examples=job.examples, iid=job.iid, seed=job.seed, patience=PATIENCE)
    return run_law(law, subject, options, listen)


def _portable(result: LawResult) -> LawResult:
    """Return a result without the evidence of its cases, which holds closures and cannot be pickled."""
    portable = law_result_from_json(law_result_to_json(result))
    portable.met = result.met
    return portable


def _pickled(case: Case) -> bytes | None:
    try:
        return pickle.dumps(case)
    except (pickle.PicklingError, TypeError, AttributeError):
        return None
