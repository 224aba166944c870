"""Laws in a child process, so that a target that hangs or ends the interpreter costs one law only.

The parent never imports the target or its library. It waits for the child's messages. If a case times out or
the child ends, the announced case becomes the counterexample, and a fresh child runs the other laws.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import pickle
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

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
from dynprop.check.process.worker import work
from dynprop.check.run.events import (
    CaseReplayed,
    CasesDone,
    LawFinished,
    LawStarted,
    Listener,
    Loaded,
    Shrinking,
    SmallerCaseDone,
    ignore,
)
from dynprop.check.run.outcome import Counterexample, LawResult
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
from dynprop.errors import ArgumentError, TargetError
from dynprop.kinds import kind_named
from dynprop.laws.law import Case

__all__ = ["TIMEOUT", "check_isolated", "replay_isolated"]

# Seconds: for one case; for importing and building the target; more for what JAX compiles first.
TIMEOUT = 60.0
START = 300.0
COMPILATION = 60.0
# After a first hang, the timeout shrinks to this fraction of itself, but not below LEAST_TIMEOUT seconds.
LATER_SHARE = 0.25
LEAST_TIMEOUT = 5.0
LAW_DEFECT = "a defect of the law rather than of the target"


def check_isolated(
    target: str,
    kind: str,
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
        kind: its kind.
        options: the options of the target, as for ``load_subject``; values are those of the kind's options.
        examples, iid, seed: as for ``dynprop.check.check``.
        only: ids or slugs of the laws to run; None runs every law of the kind.
        timeout: seconds that one case may take; default 60. Importing and compiling have their own allowance.
        listen: called with the events of the check, without ``CaseStarted``; see
            ``dynprop.check.run.events``.

    Raises:
        ArgumentError: an argument or option has a value that it cannot have.
        TargetError: the target cannot be found, imported, built, or called as its kind demands.
    """
    _require_timeout(timeout)
    require_counts(examples, iid, seed)
    items = tuple(enumerate(Item(law.id) for law in chosen_laws(kind, only)))
    job = Job(target, kind, dict(options or {}), items, examples, iid, seed)
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


@contextmanager
def _without_main() -> Iterator[None]:
    """Keep a spawned child, which does not need the caller's main module, from importing it again."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


class _Child:
    """A child process at work on a job, and the pipe on which it reports."""

    def __init__(self, job: Job) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe(duplex=False)
        self._process = context.Process(target=work, args=(other, job), daemon=True)
        with _without_main():
            self._process.start()
        other.close()

    def receive(self, seconds: float) -> Message | None:
        """Return the next message, or None if none comes in time; EOFError if the child has ended."""
        ready = multiprocessing.connection.wait([self._pipe, self._process.sentinel], seconds)
        if not ready:
            return None
        if self._pipe not in ready and not self._pipe.poll(0):
            raise EOFError
        try:
            message: Message = pickle.loads(self._pipe.recv_bytes())
        except OSError as error:
            raise EOFError from error
        return message

    def describe_end(self) -> str:
        """Describe how the child ended."""
        self._process.join(LEAST_TIMEOUT)
        code = self._process.exitcode
        if code is not None and code < 0:
            name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
            hint = " (out of memory?)" if name == "SIGKILL" else ""
            return f"the interpreter was ended by {name}{hint}"
        return f"the interpreter was ended with exit status {code}"

    def end(self) -> None:
        """Kill the child."""
        self._process.kill()
        self._process.join(LEAST_TIMEOUT)
        self._pipe.close()
        with suppress(ValueError):
            self._process.close()


@dataclass
class _Stage:
    """Where a child is: loading, in preflight, between items ("idle"), in a law, or in a case of it."""

    name: str = "load"
    index: int | None = None
    case: bytes | None = None
    cases: int = 0
    first: bool = True
    partial: LawResult | None = None


class _Supervisor:
    """Runs a job in as many child processes as it takes."""

    def __init__(self, job: Job, timeout: float, listen: Listener) -> None:
        self._job = job
        self._items = dict(job.items)
        self._timeout = timeout
        self._listen = listen
        self._hung = False
        self._preflight = True
        self._done: dict[int, LawFinished | CaseReplayed] = {}
        self.target: TargetFacts | None = None

    def run(self) -> None:
        """Work until every item is done."""
        while self.target is None or self._pending:
            pending = tuple(self._pending)
            child = _Child(replace(self._job, items=pending, preflight=self._preflight))
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
            self._handle(message, stage)

    def _handle(self, message: Message, stage: _Stage) -> None:
        """Update the stage of the child after a message, and inform the listener."""
        match message:
            case Loaded(target):
                stage.name = "preflight" if self._preflight else "idle"
                if self.target is None:
                    self._listen(message)
                self.target = target
            case PreflightPassed():
                stage.name, self._preflight = "idle", False
            case ItemStarted(index):
                item = self._items[index]
                stage.name = "law" if item.case is None else "case"
                stage.index, stage.case, stage.cases, stage.partial = index, None, 0, None
                self._listen(LawStarted(item.law))
            case Announced(pickled):
                stage.name, stage.case = "case", pickled
            case CasesDone(count):
                stage.name, stage.first, stage.cases = "law", False, count
                self._listen(message)
            case SmallerCaseDone():
                stage.name, stage.first = "law", False
                self._listen(message)
            case Shrinking(result):
                stage.partial = result
                self._listen(message)
            case LawRaised(text):
                self._finish(
                    stage, self._unfinished_result(stage, f"the law itself raised {text}", LAW_DEFECT)
                )
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

    def _unfinished_result(
        self, stage: _Stage, loss: str, hypothesis: str | None = None
    ) -> LawFinished | CaseReplayed:
        """Return the result of an item that could not be finished."""
        assert stage.index is not None
        item = self._items[stage.index]
        (law,) = chosen_laws(self._job.kind, [item.law])
        if item.case is not None:
            return CaseReplayed(Retrial(law.id, "the saved case", "error", loss))
        if stage.partial is not None:
            note = f"while the counterexample was made smaller: {loss}"
            return LawFinished(replace(stage.partial, note=note))
        result = LawResult(law.id, cases=stage.cases + 1, errors=1, hypothesis=hypothesis)
        if stage.name != "case" and hypothesis is None:
            result.note = loss
        if stage.case is None or self.target is None:
            result.note = loss
            return LawFinished(result)
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
