"""The child process of a check: it imports the target, runs the laws, and tells its parent every step.

Each case is announced before the target is called, so that the parent knows the input that made the target
hang or end the interpreter. What the target prints goes to stderr.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import tempfile
import threading
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from dynprop.errors import ArgumentError, TargetError

__all__ = ["Job", "Loaded", "Task", "work"]

PATIENCE = 6.0

Send = Callable[[str, Any], None]


@dataclass(frozen=True)
class Task:
    """One thing to do: a law over its cases, or one saved case of it.

    Attributes:
        law: the law's id.
        case: the JSON form of a saved case; None runs the law.
    """

    law: str
    case: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Job:
    """What a child process is to do.

    Attributes:
        target: the target string.
        kind: its kind.
        options: what the caller says about the target, as for ``load_subject``.
        tasks: index and task, in order.
        examples, iid, seed: how much to run, as for ``dynprop.check.check``.
        preflight: whether to call the target once before the first task.
    """

    target: str
    kind: str
    options: Mapping[str, Any]
    tasks: tuple[tuple[int, Task], ...]
    examples: int | None = None
    iid: int = 0
    seed: int = 0
    preflight: bool = True


@dataclass(frozen=True)
class Loaded:
    """What the parent has to know about a target that it never imports.

    Attributes:
        name, kind, framework, origin, options: as on the subject.
        domain: what the target promises.
        versions: of the libraries in use.
    """

    name: str
    kind: str
    framework: str
    origin: str
    options: dict[str, Any]
    domain: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)


def work(pipe: Connection, job: Job) -> None:
    """Load the target, do every task, and send ("loaded" | "fits" | "task" | ... , value) messages."""
    _settle()

    def send(event: str, value: Any = None) -> None:
        pipe.send_bytes(pickle.dumps((event, value)))

    try:
        subject = _load(job, send)
        _require_cases(job, subject)
        if job.preflight:
            subject.preflight()
    except (TargetError, ArgumentError) as error:
        send("unusable", (getattr(error, "argument", None), str(error)))
        return
    send("fits")
    for index, task in job.tasks:
        send("task", index)
        try:
            result = _law(task, subject, job, send) if task.case is None else _saved_case(task, subject)
        except Exception as error:  # a law raised, not the target: it is reported as such
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{os.path.basename(place.filename)}:{place.lineno}"
            send("broken", f"{type(error).__name__}: {error} ({where})")
        else:
            send("result", result)
    send("end")


def _settle() -> None:
    """Send what the target prints to stderr, leave Ctrl-C to the parent, and end when it ends.

    One thread, unless the caller says otherwise: the cases are small, and threads that wait for each other on
    a busy machine make them ten times slower.
    """
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    # Hypothesis keeps notes in a folder; the caller's own is not the place.
    os.environ.setdefault(
        "HYPOTHESIS_STORAGE_DIRECTORY", os.path.join(tempfile.gettempdir(), "dynprop-hypothesis")
    )
    with suppress(OSError):
        os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _load(job: Job, send: Send) -> Any:
    from dynprop.check.run.report import library_versions
    from dynprop.check.targets import load_subject

    subject = load_subject(job.target, job.kind, seed=job.seed, **job.options)
    loaded = Loaded(
        subject.name,
        subject.kind,
        subject.framework,
        subject.origin,
        dict(subject.options),
        subject.domain.to_json(),
        {**library_versions(subject.framework), **subject.packages},
    )
    send("loaded", loaded)
    return subject


def _require_cases(job: Job, subject: Any) -> None:
    """Raise ArgumentError if a saved case is none of the subject's kind."""
    from dynprop.check.run.session import restored_case

    for _, task in job.tasks:
        if task.case is not None:
            restored_case(subject, task.case)


def _law(task: Task, subject: Any, job: Job, send: Send) -> Any:
    """Run a law; a failure is sent before its counterexample is made smaller."""
    from dynprop.check.run.report import law_result_to_json
    from dynprop.check.run.runner import Options, run_law
    from dynprop.check.run.session import chosen_laws

    (law,) = chosen_laws(job.kind, [task.law])

    def listen(event: str, value: Any) -> None:
        if event == "case":
            value = _pickled(value)
        elif event == "partial":
            value = law_result_to_json(value)
        send(event, value)

    options = Options(examples=job.examples, iid=job.iid, seed=job.seed, patience=PATIENCE)
    result = run_law(law, subject, options, listen)
    # Evidence holds closures, which cannot travel between processes: the JSON form can.
    return law_result_to_json(result)


def _saved_case(task: Task, subject: Any) -> Any:
    from dynprop.check.run.session import again

    assert task.case is not None
    return again(task.law, subject, task.case)


def _pickled(case: Any) -> bytes | None:
    try:
        return pickle.dumps(case)
    except (pickle.PicklingError, TypeError, AttributeError):
        return None
