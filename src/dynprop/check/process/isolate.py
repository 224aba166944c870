"""Laws in a child process, so that a target that hangs or ends the interpreter costs one law only.

The parent never imports the target or its library. It waits for the child's messages; if none comes while a
case is running, or the child ends, it writes down the announced case as the counterexample and goes on with
a fresh child.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import pickle
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

from dynprop.check.process.worker import Job, Loaded, Task, work
from dynprop.check.run.outcome import Counterexample, LawResult
from dynprop.check.run.report import Report, law_result_from_json
from dynprop.check.run.scripts import reproduction
from dynprop.check.run.session import Retrial, chosen_laws, require_counts, run_options
from dynprop.errors import ArgumentError, TargetError
from dynprop.kinds import kind_named

__all__ = ["TIMEOUT", "check_isolated", "replay_isolated"]

Listener = Callable[[str, Any], None]

# Seconds: for one case; for importing and building the target; more for what JAX compiles first.
TIMEOUT = 60.0
START = 300.0
COMPILATION = 60.0
# Once a target has hung, a later hang is found after this fraction of the timeout, but not sooner than ...
LATER = 0.25
LEAST = 5.0


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
        options: what the target takes and promises, as for ``load_subject``.
        examples, iid, seed: as for ``dynprop.check.check``.
        only: ids or slugs of the laws to run; None runs every law of the kind.
        timeout: seconds that one case may take; default 60. Importing and compiling have their own allowance.
        listen: called with ("loaded", Loaded), ("law", id), ("case", count), ("smaller", None) and ("result",
            LawResult) as the check goes on.

    Raises:
        ArgumentError: an argument or option has a value that it cannot have.
        TargetError: the target cannot be found, imported, built, or called as its kind demands.
    """
    _require_timeout(timeout)
    require_counts(examples, iid, seed)
    laws = chosen_laws(kind, only)
    tasks = tuple(enumerate(Task(law.id) for law in laws))
    job = Job(target, kind, dict(options or {}), tasks, examples, iid, seed)
    found = _Supervisor(job, timeout or TIMEOUT, listen or _ignore)
    results = found.run()
    loaded = found.loaded
    assert loaded is not None
    return Report(
        target,
        kind,
        seed,
        tuple(results),
        loaded.versions,
        {**loaded.options, **run_options(examples, iid, only, timeout)},
        loaded.domain,
    )


def replay_isolated(
    report: Report, *, timeout: float | None = None, listen: Listener | None = None
) -> list[Retrial]:
    """Judge every saved counterexample of a report again, in a child process.

    Args:
        report: a report with counterexamples.
        timeout: seconds that one case may take; default that of the report, else 60.
        listen: called with ("loaded", Loaded), ("law", id) and ("result", Retrial).

    Raises:
        ArgumentError: a law of the report does not exist, or a saved case is none.
        TargetError: the target cannot be found, imported, built, or called as its kind demands.
    """
    _require_timeout(timeout)
    saved = [(r.law, r.counterexample.case) for r in report.laws if r.counterexample is not None]
    if not saved:
        return []
    chosen_laws(report.kind, [law for law, _ in saved])
    declared = {option.name for option in kind_named(report.kind).options}
    options = {name: value for name, value in report.options.items() if name in declared}
    tasks = tuple(enumerate(Task(law, case) for law, case in saved))
    job = Job(report.target, report.kind, options, tasks, seed=report.seed)
    seconds = timeout or report.options.get("timeout") or TIMEOUT
    return _Supervisor(job, float(seconds), listen or _ignore).run()


def _require_timeout(timeout: float | None) -> None:
    if timeout is not None and not 0 < timeout < float("inf"):
        raise ArgumentError("timeout", str(timeout), "seconds above 0")


def _ignore(event: str, value: Any) -> None:
    return None


@contextmanager
def _without_main() -> Iterator[None]:
    """Keep a spawned child from importing the caller's main module again: it needs nothing of it."""
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

    def receive(self, seconds: float) -> tuple[str, Any] | None:
        """Return the next message, or None if none comes in time; EOFError if the child has ended."""
        ready = multiprocessing.connection.wait([self._pipe, self._process.sentinel], seconds)
        if not ready:
            return None
        if self._pipe not in ready and not self._pipe.poll(0):
            raise EOFError
        try:
            message: tuple[str, Any] = pickle.loads(self._pipe.recv_bytes())
        except OSError as error:
            raise EOFError from error
        return message

    def obituary(self) -> str:
        """Say how the child ended."""
        self._process.join(LEAST)
        code = self._process.exitcode
        if code is not None and code < 0:
            name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
            hint = " (out of memory?)" if name == "SIGKILL" else ""
            return f"the interpreter was ended by {name}{hint}"
        return f"the interpreter was ended with exit status {code}"

    def end(self) -> None:
        """Kill the child."""
        self._process.kill()
        self._process.join(LEAST)
        self._pipe.close()
        with suppress(ValueError):
            self._process.close()


@dataclass
class _Stage:
    """Where a child is: loading, in preflight, between tasks ("idle"), in a law, or in a case of it."""

    name: str = "load"
    task: int | None = None
    case: bytes | None = None
    cases: int = 0
    first: bool = True
    partial: LawResult | None = None


class _Supervisor:
    """Runs a job in as many child processes as it takes."""

    def __init__(self, job: Job, timeout: float, listen: Listener) -> None:
        self._job = job
        self._timeout = timeout
        self._listen = listen
        self._hung = False
        self._preflight = True
        self._results: dict[int, Any] = {}
        self.loaded: Loaded | None = None

    def run(self) -> list[Any]:
        """Return one result per task, in order."""
        while self.loaded is None or self._pending:
            pending = tuple(self._pending)
            child = _Child(replace(self._job, tasks=pending, preflight=self._preflight))
            stage = _Stage()
            try:
                loss = self._follow(child, stage)
            finally:
                child.end()
            if loss is not None:
                self._write_off(stage, loss)
        return [self._results[index] for index, _ in self._job.tasks]

    @property
    def _pending(self) -> list[tuple[int, Task]]:
        return [(index, task) for index, task in self._job.tasks if index not in self._results]

    def _allowance(self, stage: _Stage) -> float:
        """Return the seconds after which silence means that the child hangs."""
        if stage.name in ("load", "idle", "law"):
            return max(START, self._timeout)
        shorter = max(LATER * self._timeout, min(LEAST, self._timeout))
        compiles = self.loaded is not None and self.loaded.framework == "jax" and stage.first
        return (shorter if self._hung else self._timeout) + (COMPILATION if compiles else 0.0)

    def _follow(self, child: _Child, stage: _Stage) -> str | None:
        """Follow a child to its end; return how it was lost, or None if it did everything."""
        while True:
            seconds = self._allowance(stage)
            try:
                message = child.receive(seconds)
            except EOFError:
                return child.obituary()
            if message is None:
                self._hung = True
                return f"no answer within {seconds:g} s"
            event, value = message
            if event == "end":
                return None
            if event == "unusable":
                raise _as_raised(*value)
            self._note(event, value, stage)

    def _note(self, event: str, value: Any, stage: _Stage) -> None:
        if event == "loaded":
            stage.name = "preflight" if self._preflight else "idle"
            if self.loaded is None:
                self._listen("loaded", value)
            self.loaded = value
        elif event == "fits":
            stage.name, self._preflight = "idle", False
        elif event == "task":
            task = dict(self._job.tasks)[value]
            saved = task.case is not None
            stage.name, stage.task, stage.case = ("case" if saved else "law"), value, None
            stage.cases, stage.partial = 0, None
            self._listen("law", task.law)
        elif event == "case":
            stage.name, stage.case = "case", value
        elif event == "done":
            stage.name, stage.first = "law", False
            stage.cases = value or stage.cases
            self._listen("case", stage.cases)
        elif event == "partial":
            stage.partial = law_result_from_json(value)
            self._listen("smaller", None)
        elif event == "broken":
            self._finish(stage, self._lost(stage, f"the law itself raised {value}", ours=True))
        elif event == "result":
            self._finish(stage, value if isinstance(value, Retrial) else law_result_from_json(value))

    def _finish(self, stage: _Stage, result: Any) -> None:
        assert stage.task is not None
        self._results[stage.task] = result
        stage.name, stage.task = "idle", None
        self._listen("result", result)

    def _write_off(self, stage: _Stage, loss: str) -> None:
        """Turn the loss of a child into the result of the task that it was at."""
        if stage.name == "load":
            if self.loaded is None:
                raise TargetError(f"loading {self._job.target}: {loss}")
            for index, _ in self._pending:
                self._finish(_Stage(task=index), self._lost(_Stage(task=index), f"loading it again: {loss}"))
        elif stage.name == "preflight":
            # The laws will meet the same end, each with an input to show.
            self._preflight = False
        elif stage.task is not None:
            self._finish(stage, self._lost(stage, loss))
        elif self._pending:
            stage.task = self._pending[0][0]
            self._finish(stage, self._lost(stage, f"before its first case: {loss}"))

    def _lost(self, stage: _Stage, loss: str, *, ours: bool = False) -> Any:
        """Return the result of a task that could not be finished."""
        assert stage.task is not None
        task = dict(self._job.tasks)[stage.task]
        (law,) = chosen_laws(self._job.kind, [task.law])
        if task.case is not None:
            return Retrial(law.id, "the saved case", "error", loss)
        if stage.partial is not None:
            note = f"while the counterexample was made smaller: {loss}"
            return replace(stage.partial, note=note)
        hypothesis = "a defect of dynprop rather than of the target" if ours else None
        result = LawResult(law.id, cases=stage.cases + 1, errors=1, hypothesis=hypothesis)
        if stage.name != "case" and not ours:
            result.note = loss
        if stage.case is None:
            result.note = loss
            return result
        case = pickle.loads(stage.case)
        script = reproduction(law, self.loaded, case, {})
        result.counterexample = Counterexample(case.to_json(), case.describe(), loss, {}, script)
        return result


def _as_raised(argument: str | None, text: str) -> TargetError | ArgumentError:
    """Rebuild the error that the child met."""
    if argument is None:
        return TargetError(text)
    error = ArgumentError(argument, "", "")
    error.args = (text,)
    return error
