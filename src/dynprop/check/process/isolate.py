"""Laws in a child process, so that a target that hangs or ends the interpreter costs one law only.

The parent never imports the target or its library. It waits for the child's messages. If a case times out or
the child ends, the announced case becomes the counterexample, and a fresh child runs the other laws.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any

from dynprop.check.process.channel import CHANNEL_LOST
from dynprop.check.process.job import Item, Job
from dynprop.check.process.messages import (
    AllDone,
    Announced,
    Broken,
    ItemStarted,
    LawRaised,
    Message,
    PreflightPassed,
    Unusable,
)
from dynprop.check.process.output import TargetOutput
from dynprop.check.process.worker import work
from dynprop.check.run.events import (
    CaseReplayed,
    CasesDone,
    FirstFailure,
    LawFinished,
    LawStarted,
    Listener,
    Loaded,
    Shrinking,
    SmallerCaseDone,
    ignore,
)
from dynprop.check.run.outcome import Counterexample, LawResult, Tally
from dynprop.check.run.report import Report
from dynprop.check.run.scripts import reproduction
from dynprop.check.run.session import (
    Retrial,
    TargetFacts,
    chosen_laws,
    report_of,
    require_counts,
    run_options,
)
from dynprop.defects import defect_text
from dynprop.errors import ArgumentError, DefectError, DynpropError, TargetError
from dynprop.kinds import kind_named
from dynprop.laws.law import Case

__all__ = ["TIMEOUT", "check_isolated", "end_children", "let_children_start", "replay_isolated"]

# Seconds: for one case; for importing and building the target; more for what JAX compiles first.
TIMEOUT = 60.0
START = 300.0
COMPILATION = 60.0
# After a first hang, the timeout shrinks to this fraction of itself, but not below LEAST_TIMEOUT seconds.
LATER_SHARE = 0.25
LEAST_TIMEOUT = 5.0
# How multiprocessing starts a child. A fork would share the caller's threads and open libraries.
START_METHOD = "spawn"
LAW_DEFECT = "a defect of the law rather than of the target"
# Seconds between two looks at a silent child, which may have left processes behind that keep its pipes open.
LOOK = 1.0
# Bytes of a message; what a target writes into the pipe does not begin with a shorter length.
LONGEST_MESSAGE = 2**28


def check_isolated(
    target: str,
    kind: str | None = None,
    *,
    options: Mapping[str, Any] | None = None,
    examples: int | None = None,
    iid: int = 0,
    seed: int = 0,
    only: Sequence[str] | None = None,
    timeout: float | None = None,
    listen: Listener | None = None,
) -> Report:
    """Judge a target by the laws of its kind, in a child process.

    Args:
        target: "package.module:attribute" or "path/to/file.py:attribute".
        kind: its kind; None for an object that states it, such as a Layer.
        options: the options of the target, as for ``load_subject``; values are those of the kind's options.
        examples, iid, seed: as for ``dynprop.check.check``.
        only: ids or slugs of the laws to run; None runs every law of the kind.
        timeout: seconds that one case may take; default 60. Importing and compiling have their own allowance.
        listen: called with the events of the check, without ``CaseStarted``; see
            ``dynprop.check.run.events``.

    Raises:
        ArgumentError: an argument or option has a value that it cannot have.
        TargetError: the target cannot be found, imported, built, or called as its kind demands.
        DefectError: dynprop itself fails.
    """
    _require_timeout(timeout)
    require_counts(examples, iid, seed)
    names = None if only is None else tuple(only)
    job = Job(target, kind or "", dict(options or {}), (), examples, iid, seed, only=names)
    if kind is not None:
        job = replace(job, items=job.items_of(kind))
    supervisor = _Supervisor(job, timeout or TIMEOUT, listen or ignore)
    supervisor.run()
    assert supervisor.target is not None
    settings = run_options(examples, iid, only, timeout)
    return report_of(supervisor.target, seed, supervisor.results, settings)


def replay_isolated(
    report: Report, *, timeout: float | None = None, listen: Listener | None = None
) -> list[Retrial]:
    """Judge every saved counterexample of a report again, in a child process.

    Args:
        report: a report with counterexamples.
        timeout: seconds that one case may take; default that of the report, else 60.
        listen: called with the events of the replay; see ``dynprop.check.run.events``.

    Raises:
        ArgumentError: a law of the report does not exist, or a saved case is no case of its kind.
        TargetError: the target cannot be found, imported, built, or called as its kind demands.
    """
    _require_timeout(timeout)
    saved = [(r.law, r.counterexample.case) for r in report.laws if r.counterexample is not None]
    if not saved:
        return []
    chosen_laws(report.kind, [law for law, _ in saved])
    declared = {option.name for option in kind_named(report.kind).options}
    options = {name: value for name, value in report.options.items() if name in declared}
    items = tuple(enumerate(Item(law, case) for law, case in saved))
    job = Job(report.target, report.kind, options, items, seed=report.seed)
    seconds = timeout or report.options.get("timeout") or TIMEOUT
    supervisor = _Supervisor(job, float(seconds), listen or ignore)
    supervisor.run()
    return supervisor.retrials


def _require_timeout(timeout: float | None) -> None:
    if timeout is not None and not 0 < timeout < float("inf"):
        raise ArgumentError("timeout", str(timeout), "seconds above 0")


_starting = threading.Lock()
_alive: set[_Child] = set()


_interrupted = threading.Event()


def let_children_start() -> None:
    """Let children start again after ``end_children``."""
    _interrupted.clear()


def end_children() -> None:
    """Kill the children of every check that other threads of this process wait for, and let none start."""
    _interrupted.set()
    for child in tuple(_alive):
        child.kill()


@contextmanager
def _without_main() -> Iterator[None]:
    """Keep a spawned child, which does not need the caller's main module, from importing it again."""
    with _starting:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main


class _Child:
    """A child process at work on a job, the pipe on which it reports, and the one for what it prints."""

    def __init__(self, job: Job, output: TargetOutput) -> None:
        self._pipe, other = multiprocessing.Pipe(duplex=False)
        self._printed: Any = None
        printer: Any = None
        # Elsewhere than on POSIX, pipes are no files: the target's output goes to stderr unread.
        if os.name == "posix":
            self._printed, printer = multiprocessing.Pipe(duplex=False)
        try:
            self._process = _started(START_METHOD, other, job, printer)
        except (OSError, EOFError):
            # The process that children are forked from is lost: a new interpreter does as well.
            self._process = _started("spawn", other, job, printer)
        _alive.add(self)
        if _interrupted.is_set():
            self._process.kill()
        other.close()
        self._leads = self._garbled = False
        self._listener: threading.Thread | None = None
        if self._printed is not None:
            printer.close()
            self._listener = output.follow(self._printed)

    def receive(self, seconds: float) -> Message | None:
        """Return the next message, or None if none comes in time; EOFError if the child has ended."""
        deadline = time.monotonic() + seconds
        ready: list[Any] = []
        while not ready:
            left = deadline - time.monotonic()
            if left <= 0.0:
                return None
            ready = multiprocessing.connection.wait([self._pipe, self._process.sentinel], min(LOOK, left))
            if not ready and not self._process.is_alive() and not self._pipe.poll(0):
                raise EOFError
        if self._pipe not in ready and not self._pipe.poll(0):
            raise EOFError
        try:
            received = self._pipe.recv_bytes(LONGEST_MESSAGE)
            self._garbled = True
            message = pickle.loads(received)
        except OSError as error:  # longer than any message, or cut off by the end of the child
            self._garbled = "length" in str(error)
            raise EOFError from error
        except Exception as error:  # the target writes into the pipe: the bytes may be anything
            raise EOFError from error
        if not isinstance(message, Message):
            raise EOFError
        self._garbled = False
        self._leads = self._leads or _leads_group(self._process.pid)
        return message

    def describe_end(self) -> str:
        """Describe how the child ended."""
        if not self._garbled:
            self._process.join(LEAST_TIMEOUT)
        code = self._process.exitcode
        if self._garbled or code is None or code == CHANNEL_LOST:
            return "the target closes, or writes to, the pipe on which its results are reported"
        if code < 0:
            name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
            hint = " (out of memory?)" if name == "SIGKILL" else ""
            return f"the interpreter was ended by {name}{hint}"
        return f"the interpreter was ended with exit status {code}"

    def kill(self) -> None:
        """Kill the child, and what the target has started."""
        pid = self._process.pid
        with suppress(ValueError):
            self._process.kill()
        if self._leads and pid is not None:
            with suppress(OSError):
                os.killpg(pid, signal.SIGKILL)

    def end(self) -> None:
        """Kill the child and what the target has started, and close the pipes."""
        self.kill()
        _alive.discard(self)
        self._process.join(LEAST_TIMEOUT)
        if self._listener is not None:
            TargetOutput.wait(self._listener)
            self._printed.close()
        self._pipe.close()
        with suppress(ValueError):
            self._process.close()


def _started(method: str, *arguments: Any) -> Any:
    """Return a child process that has started to work."""
    if _interrupted.is_set():
        raise DynpropError("interrupted")
    context: Any = multiprocessing.get_context(method)
    process = context.Process(target=work, args=arguments, daemon=True)
    with _without_main():
        process.start()
    return process


def _leads_group(pid: int | None) -> bool:
    """Whether a process leads a group of its own."""
    if pid is None or not hasattr(os, "getpgid"):
        return False
    with suppress(OSError):
        return os.getpgid(pid) == pid
    return False


@dataclass
class _Stage:
    """Where a child is: loading, in preflight, between items ("idle"), in a law, or in a case of it."""

    name: str = "load"
    index: int | None = None
    case: bytes | None = None
    tally: Tally = field(default_factory=Tally)
    first: bool = True
    failing: LawResult | None = None
    partial: LawResult | None = None


class _Supervisor:
    """Runs a job in as many child processes as it takes."""

    def __init__(self, job: Job, timeout: float, listen: Listener) -> None:
        self._job = job
        self._output = TargetOutput()
        self._timeout = timeout
        self._listen = listen
        self._hung = False
        self._preflight = True
        self._done: dict[int, LawFinished | CaseReplayed] = {}
        self.target: TargetFacts | None = None

    def run(self) -> None:
        """Work until every item is done."""
        try:
            while self.target is None or self._pending:
                self._run_child()
        finally:
            self._output.close()

    def _run_child(self) -> None:
        """Work with one child until every item is done or the child is lost."""
        job = replace(self._job, items=tuple(self._pending), preflight=self._preflight)
        child = _Child(job, self._output)
        stage = _Stage()
        try:
            loss = self._follow(child, stage)
        finally:
            child.end()
        if loss is not None:
            self._record_loss(stage, loss)

    @property
    def results(self) -> list[LawResult]:
        """The results of the laws, in the order of the items."""
        events = (self._done[index] for index, _ in self._job.items)
        return [event.result for event in events if isinstance(event, LawFinished)]

    @property
    def retrials(self) -> list[Retrial]:
        """The retrials of the saved cases, in the order of the items."""
        events = (self._done[index] for index, _ in self._job.items)
        return [event.retrial for event in events if isinstance(event, CaseReplayed)]

    @property
    def _pending(self) -> list[tuple[int, Item]]:
        return [(index, item) for index, item in self._job.items if index not in self._done]

    def _allowance(self, stage: _Stage) -> float:
        """Return the seconds after which silence means that the child hangs."""
        if stage.name in ("load", "idle", "law"):
            return max(START, self._timeout)
        shorter = max(LATER_SHARE * self._timeout, min(LEAST_TIMEOUT, self._timeout))
        compiles = self.target is not None and self.target.compiles and stage.first
        return (shorter if self._hung else self._timeout) + (COMPILATION if compiles else 0.0)

    def _follow(self, child: _Child, stage: _Stage) -> str | None:
        """Receive messages until the child ends; return how it was lost, or None if every item is done."""
        while True:
            seconds = self._allowance(stage)
            try:
                message = child.receive(seconds)
            except EOFError:
                return child.describe_end()
            if message is None:
                self._hung = True
                return f"no answer within {seconds:g} s"
            if isinstance(message, AllDone):
                return None
            if isinstance(message, Unusable):
                raise _error_from(message)
            if isinstance(message, Broken):
                raise DefectError(defect_text(message.text))
            self._handle(message, stage)

    def _handle(self, message: Message, stage: _Stage) -> None:
        """Update the stage of the child after a message, and inform the listener."""
        match message:
            case Loaded(target):
                stage.name = "preflight" if self._preflight else "idle"
                if self.target is None:
                    kind = target.named.kind
                    self._job = replace(self._job, kind=kind, items=self._job.items_of(kind))
                    self._listen(message)
                self.target = target
            case PreflightPassed():
                stage.name, self._preflight = "idle", False
            case ItemStarted(index):
                item = dict(self._job.items)[index]
                stage.name = "law" if item.case is None else "case"
                stage.index, stage.case, stage.tally = index, None, Tally()
                stage.failing = stage.partial = None
                self._listen(LawStarted(item.law))
            case Announced(pickled):
                stage.name, stage.case = "case", pickled
            case FirstFailure(result):
                stage.failing = result
                self._listen(message)
            case CasesDone(tally=tally):
                stage.name, stage.first, stage.tally = "law", False, tally
                self._listen(message)
            case SmallerCaseDone():
                stage.name, stage.first = "law", False
                self._listen(message)
            case Shrinking(result):
                stage.partial = result
                self._listen(message)
            case LawRaised():
                self._finish(stage, self._raised_result(stage, message))
            case LawFinished() | CaseReplayed():
                self._finish(stage, message)

    def _finish(self, stage: _Stage, event: LawFinished | CaseReplayed) -> None:
        """Store and report the result of an item."""
        assert stage.index is not None
        self._done[stage.index] = event
        stage.name, stage.index = "idle", None
        self._listen(event)

    def _record_loss(self, stage: _Stage, loss: str) -> None:
        """Record the loss of a child as the result of the item that was running."""
        if stage.name == "load":
            if self.target is None:
                raise TargetError(f"loading {self._job.target}: {loss}")
            for index, _ in self._pending:
                lost = _Stage(index=index)
                self._finish(lost, self._unfinished_result(lost, f"loading it again: {loss}"))
        elif stage.name == "preflight":
            # Each law will lose its child in the same way, with a counterexample.
            self._preflight = False
        elif stage.index is not None:
            self._finish(stage, self._unfinished_result(stage, loss))
        elif self._pending:
            stage.index = self._pending[0][0]
            self._finish(stage, self._unfinished_result(stage, f"before its first case: {loss}"))

    def _raised_result(self, stage: _Stage, raised: LawRaised) -> LawFinished | CaseReplayed:
        """Return the result of a law that raised: the target's doing, or a defect of the law."""
        event = self._unfinished_result(stage, f"the law itself raised {raised.text}")
        if isinstance(event, LawFinished) and stage.partial is None and stage.failing is None:
            if raised.cause:
                event.result.hypothesis = raised.cause
            else:
                event.result.hypothesis, event.result.defect = LAW_DEFECT, defect_text(raised.text)
        return event

    def _unfinished_result(self, stage: _Stage, loss: str) -> LawFinished | CaseReplayed:
        """Return the result of an item that could not be finished."""
        assert stage.index is not None
        item = dict(self._job.items)[stage.index]
        (law,) = chosen_laws(self._job.kind, [item.law])
        if item.case is not None:
            return CaseReplayed(Retrial(law.id, "the saved case", "error", loss))
        if stage.partial is not None:
            note = f"while the counterexample was made smaller: {loss}"
            return LawFinished(replace(stage.partial, note=note))
        if stage.failing is not None:
            return LawFinished(replace(stage.failing.with_lost_case(stage.tally), note=f"later: {loss}"))
        result = LawResult(law.id).with_lost_case(stage.tally)
        if stage.case is None or self.target is None:
            result.note = loss
            return LawFinished(result)
        if stage.name != "case":
            result.note = loss
        case: Case = pickle.loads(stage.case)
        script = reproduction(law, self.target.named, case, {})
        result.counterexample = Counterexample(case.to_json(), case.describe(), loss, {}, script)
        return LawFinished(result)


def _error_from(unusable: Unusable) -> TargetError | ArgumentError:
    """Rebuild the error that the child raised."""
    if unusable.argument is None:
        return TargetError(unusable.text)
    error = ArgumentError(unusable.argument, "", "")
    error.args = (unusable.text,)
    return error
