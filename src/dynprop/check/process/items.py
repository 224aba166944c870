"""The work of the child process: it imports the target, runs the laws, and reports every step to its parent.

The child announces each case before it calls the target, so that the parent knows the input on which the
target hangs or ends the interpreter.
"""

from __future__ import annotations

import errno
import os
import pickle
import sys
from contextlib import suppress
from multiprocessing.connection import Connection
from traceback import walk_tb

from dynprop.check.process.channel import Channel
from dynprop.check.process.job import Item, Job
from dynprop.check.process.messages import (
    AllDone,
    Announced,
    Broken,
    ItemStarted,
    LawRaised,
    PreflightPassed,
    Unusable,
)
from dynprop.check.process.surroundings import TargetSurroundings, watched_modules
from dynprop.check.run.attribution import raised_in
from dynprop.check.run.events import (
    CaseReplayed,
    CaseStarted,
    Event,
    FirstFailure,
    LawFinished,
    LawStarted,
    Loaded,
    Shrinking,
)
from dynprop.check.run.outcome import LawResult
from dynprop.check.run.report import law_result_from_json, law_result_to_json
from dynprop.check.run.runner import Options, run_law
from dynprop.check.run.session import again, chosen_laws, restored_case, target_facts
from dynprop.check.run.subjects import LoadedSubject
from dynprop.check.targets import load_subject
from dynprop.errors import ArgumentError, PlanError, TargetError
from dynprop.kinds import all_kinds, law_by_id, laws_for
from dynprop.laws.law import Case
from dynprop.subjects.calls import surround
from dynprop.wording import error_text, trace_text

__all__ = ["run_job"]

PATIENCE = 6.0


def run_job(pipe: Connection, job: Job) -> None:
    """Load the target and work through the items of a job."""
    channel = Channel(pipe)
    _import_first(job)
    surroundings = TargetSurroundings(watched_modules())
    surround(surroundings)
    subject = _loaded(channel, job)
    if subject is None:
        return
    items = job.items_of(subject.kind)
    if not _prepared(channel, job, subject, items):
        return
    for index, item in items:
        channel.send(ItemStarted(index))
        try:
            if item.case is None:
                result = _run_law(item, subject, job, channel)
                channel.send(LawFinished(_portable(result)))
            else:
                channel.send(CaseReplayed(again(item.law, subject, item.case)))
        except BaseException as error:  # a law raised, not a call of the target: it is reported as such
            text = f"{error_text(error)}{_place(error, item.law)}"
            channel.send(LawRaised(text, _cause(error, surroundings)))
    channel.send(AllDone())


def _import_first(job: Job) -> None:
    """Import the laws and the library of the target's arrays before the target can change anything."""
    record = all_kinds().get(job.kind)
    framework = job.options.get("framework") or (record.framework if record is not None else "")
    with suppress(Exception):  # whoever needs them says so, in one line
        if record is not None:
            laws_for(record.name)
        if framework == "torch":
            import torch  # noqa: F401


def _loaded(channel: Channel, job: Job) -> LoadedSubject | None:
    """Return the subject, after its facts are sent; None, after the reason is sent, if there is none."""
    try:
        subject = load_subject(job.target, job.kind or None, seed=job.seed, **job.options)
        job.items_of(subject.kind)
        channel.send(Loaded(target_facts(subject)))
        return subject
    except ArgumentError as error:
        channel.send(Unusable(error.argument, str(error)))
    except TargetError as error:
        channel.send(Unusable(None, str(error)))
    except BaseException as error:  # anything of the target's is a TargetError
        channel.send(Broken(f"loading {job.target} raised {trace_text(error)}"))
    return None


def _prepared(
    channel: Channel, job: Job, subject: LoadedSubject, items: tuple[tuple[int, Item], ...]
) -> bool:
    """Restore the saved cases and call the target once; False, after the reason is sent, if that fails."""
    try:
        for _, item in items:
            if item.case is not None:
                restored_case(subject, item.case)
        if job.preflight:
            subject.preflight()
    except ArgumentError as error:
        channel.send(Unusable(error.argument, str(error)))
    except (PlanError, TargetError) as error:
        channel.send(Unusable(None, str(error)))
    except BaseException as error:
        if raised_in(error, subject.places):
            channel.send(Unusable(None, f"what {job.target} returns raised {error_text(error)}"))
        else:
            channel.send(Broken(f"the first call of {job.target} raised {trace_text(error)}"))
    else:
        channel.send(PreflightPassed())
        return True
    return False


def _cause(error: BaseException, surroundings: TargetSurroundings) -> str:
    """Return what the target did that explains why a law raised; empty for a defect of the law."""
    if isinstance(error, MemoryError):
        return "the memory is used up"
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return "the target leaves no file descriptor"
    if isinstance(error, Warning):
        return "the target turns warnings into errors"
    if surroundings.replaced:
        return f"the target replaces {', '.join(surroundings.replaced[:4])}"
    return ""


def _place(error: BaseException, identifier: str) -> str:
    """Return file and line of the last frame in the law's module, else of the last outside dynprop.check."""
    law = law_by_id(identifier)
    frames = [(f.f_code.co_filename, line) for f, line in walk_tb(error.__traceback__)]
    module = getattr(sys.modules.get(law.test.__module__), "__file__", None)
    home = [frame for frame in frames if frame[0] == module]
    room = os.path.dirname(os.path.dirname(__file__))
    outside = [frame for frame in frames if not frame[0].startswith(room + os.sep)]
    file, line = (home or outside or frames)[-1]
    return f" ({os.path.basename(file)}:{line})"


def _run_law(item: Item, subject: LoadedSubject, job: Job, channel: Channel) -> LawResult:
    """Run a law; a failure is sent before its counterexample is made smaller."""
    (law,) = chosen_laws(subject.kind, [item.law])

    def listen(event: Event) -> None:
        if isinstance(event, CaseStarted):
            channel.send(Announced(_pickled(event.case)))
        elif isinstance(event, Shrinking):
            channel.send(Shrinking(_portable(event.result)))
        elif isinstance(event, FirstFailure):
            channel.send(FirstFailure(_portable(event.result)))
        elif not isinstance(event, LawStarted):
            channel.send(event)

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
