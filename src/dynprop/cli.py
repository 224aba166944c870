"""The command line: parse, call, print.

A wrong call is one line on stderr and exit status 2. Commands import what ``--help`` does not need where they
use it.
"""

from __future__ import annotations

import errno
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from dynprop._version import __version__
from dynprop.cli_check import kinds_text, register_check
from dynprop.cli_diagnose import diagnose
from dynprop.cli_judge import check_all, check_one
from dynprop.cli_output import complain, flush_all, require_writable, settle, stdout_failure, write
from dynprop.defects import defect_text
from dynprop.errors import DefectError, DynpropError
from dynprop.extras import missing_extra
from dynprop.wording import trace_text

__all__ = ["app", "main"]

app: typer.Typer = typer.Typer(
    name="dynprop",
    help="Judge implementations of recurrences by laws that every correct one satisfies.",
    add_completion=False,
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    # Plain help: it comes in half the time, and reads as well.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Json = Annotated[str | None, typer.Option("--json", metavar="FILE", help="Write JSON; - is stdout.")]
KIND_HELP = kinds_text()
# Exit status of a defect of dynprop itself.
DEFECT = 4
# Errors of a write to a stream.
OUTPUT = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG, errno.EBADF)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: default ``sys.argv[1:]``.

    Returns:
        The exit status; 2 for a wrong call, 4 for a defect of dynprop, 130 after Ctrl-C.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    settle()
    return flush_all(_status(given))


def _status(given: list[str]) -> int:
    """Run the command line and return the exit status; every failure is one line on stderr."""
    names = {i.name or getattr(i.callback, "__name__", "") for i in app.registered_commands}
    command = next((name for name in given if name in names), "")
    try:
        status = app(given or ["--help"], prog_name="dynprop", standalone_mode=False)
    except DefectError as error:
        return complain(str(error), DEFECT)
    except DynpropError as error:
        return complain(str(error))
    except (typer.Abort, KeyboardInterrupt):
        return complain("interrupted", 130)
    except (BrokenPipeError, SystemExit):
        # typer ends the interpreter, with the status of a failing law, for a broken pipe and nothing else.
        # The reader of the pipe has gone (dynprop laws | head): the signal would have ended other programs.
        stdout_failure()
        return 128 + 13
    except Exception as error:
        return _failure(error, command)
    return status if isinstance(status, int) else 0


def _failure(error: Exception, command: str) -> int:
    """Return the exit status of a wrong call, a missing library, a full disk, or else of a defect."""
    message = getattr(error, "format_message", None)
    if message is not None:
        return complain(f"{message().strip().rstrip('.')}; see dynprop {command} --help".replace("  ", " "))
    if isinstance(error, ImportError):
        missing = missing_extra(error, f"dynprop {command}".strip())
        if missing is not None:
            return complain(str(missing))
    if isinstance(error, OSError):
        # What the system refuses is no defect: a full disk, too many processes or open files.
        stdout_failure()
        place = (
            "stdout" if error.filename is None and error.errno in OUTPUT else str(error.filename or "system")
        )
        return complain(f"{place}: {error.strerror or error}")
    return complain(defect_text(f"dynprop {command} raised {trace_text(error)}"), DEFECT)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"dynprop {__version__}")
        raise typer.Exit


@app.callback()
def top(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Judge implementations of recurrences by laws that every correct one satisfies."""


def check(**given: Any) -> int:
    """Judge TARGET by every law of its kind; without TARGET, all targets of the project.

    The targets of a project stand under [tool.dynprop] in its pyproject.toml. Exit status: 0 if no law fails
    and at least one passes, 1 if one fails, 2 if the call is wrong, 3 if nothing could be decided (with
    --strict: if some law could not), 4 for a defect of dynprop.
    """
    require_writable("--json", given["json_file"])
    require_writable("--html", given["html_file"])
    require_writable("--junit", given["junit"])
    if given["target"] is None:
        return check_all(given)
    return check_one(given)


register_check(app, check)


@app.command()
def replay(
    report: Annotated[Path, typer.Argument(metavar="REPORT", help="A file that check --json wrote.")],
    timeout: Annotated[
        float | None, typer.Option(metavar="S", help="Seconds that one case may take; default 60.")
    ] = None,
) -> int:
    """Run each saved counterexample again; exit 1 if one still fails."""
    from dynprop.check.replay import exit_code, read_reports
    from dynprop.check.replay import replay as run_again
    from dynprop.check.show.progress import Progress
    from dynprop.check.show.render import print_retrials

    codes = [0]
    for saved in read_reports(report):
        with Progress(len(saved.failures)).display() as progress:
            retrials = run_again(saved, timeout=timeout, listen=progress)
        print_retrials(retrials, saved)
        codes.append(exit_code(retrials))
    return max(codes)


@app.command()
def laws(
    kind: Annotated[str | None, typer.Option(metavar="KIND", help=KIND_HELP)] = None,
    json_file: Json = None,
) -> int:
    """List every law: id, claim, statement, source."""
    require_writable("--json", json_file)
    from dynprop.kinds import all_laws, laws_for

    chosen = all_laws() if kind is None else laws_for(kind)
    if json_file != "-":
        from dynprop.check.show.render import print_laws

        print_laws(chosen)
    keys = ("id", "kind", "claim", "statement", "source")
    write(json_file, lambda: _json([{key: getattr(law, key) for key in keys} for law in chosen]))
    return 0


@app.command()
def faults(
    examples: Annotated[
        int | None, typer.Option(metavar="N", help="Cases per law and fault; default up to 100.")
    ] = None,
    kind: Annotated[
        list[str] | None, typer.Option(metavar="KIND", help="Faults and controls of this kind; repeatable.")
    ] = None,
    fault: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this fault; repeatable.")
    ] = None,
    json_file: Json = None,
) -> int:
    """Run every law on planted faults; exit 1 if one is missed."""
    require_writable("--json", json_file)
    from dynprop.check.run.session import require_counts
    from dynprop.check.show.progress import Progress
    from dynprop.evidence.kill_matrix import chosen_entries, kill_matrix

    require_counts(examples, 0, 0)
    entries = chosen_entries(kind or (), fault or ())
    with Progress(noun="faults").display() as progress:
        matrix = kill_matrix(examples=examples, listen=progress.step, entries=entries)
    if json_file != "-":
        from dynprop.evidence.kill_matrix_text import print_matrix

        # A law that misses the faults chosen by name may catch others.
        print_matrix(matrix, idle=() if fault else None)
    write(json_file, lambda: _json(matrix.to_json()))
    return int(bool(matrix.uncaught or matrix.accused))


@app.command()
def train(
    task: Annotated[str | None, typer.Option(metavar="TASK", help="Name of the task, such as latch.")] = None,
    cell: Annotated[
        str | None, typer.Option(metavar="LIST", help="tanh, relu, gru, lstm, lru or unit; default tanh.")
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(
            metavar="LIST", help="small, default, orthogonal, identity, variance, ring, w; =NUMBER."
        ),
    ] = None,
    optimiser: Annotated[
        str | None, typer.Option(metavar="LIST", help="sgd, momentum or adam; default sgd.")
    ] = None,
    lengths: Annotated[str | None, typer.Option(metavar="LIST", help="Lengths, such as 4,6,8,10.")] = None,
    seeds: Annotated[int | None, typer.Option(metavar="N", help="Runs of each; default 100.")] = None,
    rate: Annotated[float | None, typer.Option(metavar="X", help="Learning rate; default 0.1.")] = None,
    clip: Annotated[
        float | None, typer.Option(metavar="X", help="Largest gradient norm, 0 for no clipping; default 1.")
    ] = None,
    hidden: Annotated[int | None, typer.Option(metavar="N", help="Hidden units; default 8.")] = None,
    batch: Annotated[int | None, typer.Option(metavar="N", help="Sequences per update; default 16.")] = None,
    updates: Annotated[int | None, typer.Option(metavar="N", help="Most updates; default 1500.")] = None,
    every: Annotated[
        int | None, typer.Option(metavar="N", help="Updates between two judgements; default 50.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of a new sweep, or of the same.")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Go on with a sweep; --seeds may grow.")
    ] = None,
    show: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Print the table; write curve and report.html.")
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --show: every run, one per line.")
    ] = None,
    workers: Annotated[int | None, typer.Option(metavar="N", help="Processes here; default 1.")] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="A dask scheduler: tcp://host:8786.")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(metavar="S", help="Seconds that runs trained together may take.")
    ] = None,
    until_clear: Annotated[
        bool, typer.Option("--until-clear", help="Stop adding seeds once it is clear on which side of 1/2.")
    ] = False,
    retry: Annotated[
        bool, typer.Option("--retry", help="With --resume: train lost and timed out runs again.")
    ] = False,
) -> int:
    """Train a task at several lengths and seeds: the probability of success, in a folder."""
    options = locals()
    folders = {name: options.pop(name) for name in ("out", "resume", "show")}
    from dynprop.training.sweeps.interrupts import delayed_interrupts

    try:
        with delayed_interrupts():
            from dynprop.training.commands import run_command
        return run_command(folders, options)
    except KeyboardInterrupt:
        return complain("interrupted", 130)


app.command("diagnose")(diagnose)


def _json(data: object) -> str:
    return json.dumps(data, indent=1, allow_nan=False, ensure_ascii=False)


def run() -> NoReturn:
    """Run the command line and end the interpreter with its exit status."""
    sys.exit(main())


if __name__ == "__main__":
    run()
