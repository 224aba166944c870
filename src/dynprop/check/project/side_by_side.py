"""Judge all targets of a project side by side, one child process each at a time.

The children are forked from one process that has imported numpy, Hypothesis and, where a target needs it,
torch: what takes most of the time of a start is done once.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir, contextmanager

from dynprop.check.process import isolate
from dynprop.check.process.warm import preloaded
from dynprop.check.project.config import Project, ProjectTarget
from dynprop.check.project.judged import JudgedTarget, ProjectReport, resolved_expectations
from dynprop.defects import defect_text
from dynprop.errors import DefectError, DynpropError
from dynprop.kinds import all_kinds
from dynprop.wording import trace_text

__all__ = ["Listener", "check_project"]

# Called with the name of a target that starts, the number of those done, and that of all.
Listener = Callable[[str, int, int], None]
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def check_project(project: Project, listen: Listener = lambda name, done, total: None) -> ProjectReport:
    """Judge every target of a project.

    Args:
        project: from ``read_project``.
        listen: called whenever a target starts.

    Returns:
        A report on all targets. A target that cannot be judged is reported with the reason.
    """
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for place in range(len(project.targets)):
        waiting.put(place)
    judged: dict[int, JudgedTarget] = {}
    lock = threading.Lock()

    def work() -> None:
        while True:
            try:
                place = waiting.get_nowait()
            except queue.Empty:
                return
            target = project.targets[place]
            with lock:
                listen(target.name, len(judged), len(project.targets))
            result = _judge(target)
            with lock:
                judged[place] = result

    count = min(project.jobs or os.cpu_count() or 1, len(project.targets))
    # Daemons: Ctrl-C ends this process at once.
    threads = [threading.Thread(target=work, daemon=True) for _ in range(count)]
    isolate.let_children_start()
    with _in_project(project), _warm(project.targets):
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        except BaseException:
            isolate.end_children()
            raise
    return ProjectReport(tuple(judged[place] for place in range(len(project.targets))), project.strict)


def _judge(target: ProjectTarget) -> JudgedTarget:
    """Judge one target; whatever happens costs this target only."""
    try:
        report = isolate.check_isolated(
            target.target,
            target.kind,
            options=target.options,
            examples=target.examples,
            iid=target.iid,
            seed=target.seed,
            only=target.only,
            timeout=target.timeout,
        )
        return JudgedTarget(target.name, report, resolved_expectations(target.expected_failures, report))
    except DynpropError as error:
        return JudgedTarget.without_report(target.name, error)
    except Exception as error:
        text = defect_text(f"judging {target.name} raised {trace_text(error)}")
        return JudgedTarget.without_report(target.name, DefectError(text))


@contextmanager
def _in_project(project: Project) -> Iterator[None]:
    """Find targets from the folder of the project, which the children start in."""
    path = list(sys.path)
    sys.path[:0] = project.pythonpath
    try:
        with chdir(project.folder):
            yield
    finally:
        sys.path[:] = path


@contextmanager
def _warm(targets: Sequence[ProjectTarget]) -> Iterator[None]:
    """Fork the children of several targets from one process that has imported the libraries."""
    if len(targets) < 2 or "forkserver" not in multiprocessing.get_all_start_methods():
        yield
        return
    before, threads = isolate.START_METHOD, {name: os.environ.get(name) for name in THREADS}
    for name in THREADS:
        os.environ.setdefault(name, "1")
    libraries = {_framework(target) for target in targets} & {"torch"}
    multiprocessing.set_forkserver_preload(preloaded([t.kind for t in targets if t.kind], libraries))
    isolate.START_METHOD = "forkserver"
    try:
        yield
    finally:
        isolate.START_METHOD = before
        for name, value in threads.items():
            if value is None:
                os.environ.pop(name, None)


def _framework(target: ProjectTarget) -> str:
    """Return the library of a target; that of an object of unknown kind, a layer as a rule, is torch."""
    record = all_kinds().get(target.kind or "")
    return str(target.options.get("framework") or ("torch" if record is None else record.framework))
