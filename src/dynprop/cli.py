"""The command line: parse, call, print.

A wrong call is one line on stderr and exit status 2. Commands import what ``--help`` does not need where they
use it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from dynprop._version import __version__
from dynprop.cli_check import kinds_text, options_of_kinds, register_check
from dynprop.cli_diagnose import diagnose
from dynprop.errors import ArgumentError, DynpropError
from dynprop.kinds import Kind, Option, kind_named

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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: default ``sys.argv[1:]``.

    Returns:
        The exit status; 2 for a wrong call, 130 after Ctrl-C.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        status = app(given or ["--help"], prog_name="dynprop", standalone_mode=False)
    except DynpropError as error:
        return _complain(str(error))
    except (typer.Abort, KeyboardInterrupt):
        return _complain("interrupted", 130)
    except BrokenPipeError:
        # The reader of the pipe has gone (dynprop laws | head).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        message = getattr(error, "format_message", None)
        if message is None:
            raise
        commands = app.registered_commands
        names = {info.name or getattr(info.callback, "__name__", "") for info in commands}
        command = next((name for name in given if name in names), "")
        return _complain(f"{message().strip().rstrip('.')}; see dynprop {command} --help".replace("  ", " "))
    return status if isinstance(status, int) else 0


def _complain(message: str, status: int = 2) -> int:
    print("dynprop:", " ".join(message.split()), file=sys.stderr)
    return status


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
    """Judge TARGET by every law of its kind.

    Exit status: 0 if no law fails and at least one passes, 1 if one fails, 2 if the call is wrong, 3 if
    nothing could be decided (with --strict: if some law could not).
    """
    target, kind, only = given["target"], given["kind"], given["only"] or None
    # Kinds may share the name of an option and parse it each in its own way.
    declared = {option.name: option for option in (*options_of_kinds(), *kind_named(kind).options)}
    for option in declared.values():
        _require_option(option, given[option.name], kind_named(kind))
    options = {name: option.value(given[name]) for name, option in declared.items()}
    _require_writable("--json", given["json_file"])
    _require_writable("--html", given["html_file"])
    from dynprop.check.process.isolate import check_isolated
    from dynprop.check.run.session import chosen_laws
    from dynprop.check.show.progress import Progress
    from dynprop.check.show.render import print_report

    with Progress(len(chosen_laws(kind, only))).display() as progress:
        report = check_isolated(
            target,
            kind,
            options=options,
            examples=given["examples"],
            iid=given["iid"],
            seed=given["seed"],
            only=only,
            timeout=given["timeout"],
            listen=progress,
        )
    # Files first: whoever reads the printed report may close the pipe early.
    _write(given["json_file"], report.dumps)
    if given["html_file"] is not None:
        from dynprop.check.show.html import render_html

        _write(given["html_file"], lambda: render_html(report))
    if given["json_file"] != "-":
        print_report(report)
        if given["coverage"]:
            from dynprop.check.show.coverage import print_coverage

            print_coverage(report)
    return report.exit_code(given["strict"])


register_check(app, check)


@app.command()
def replay(
    report: Annotated[Path, typer.Argument(metavar="REPORT", help="A file that check --json wrote.")],
    timeout: Annotated[
        float | None, typer.Option(metavar="S", help="Seconds that one case may take; default 60.")
    ] = None,
) -> int:
    """Run each saved counterexample again; exit 1 if one still fails."""
    from dynprop.check.replay import exit_code, read_report
    from dynprop.check.replay import replay as run_again
    from dynprop.check.show.progress import Progress
    from dynprop.check.show.render import print_retrials

    saved = read_report(report)
    with Progress(len(saved.failures)).display() as progress:
        retrials = run_again(saved, timeout=timeout, listen=progress)
    print_retrials(retrials, saved)
    return exit_code(retrials)


@app.command()
def laws(
    kind: Annotated[str | None, typer.Option(metavar="KIND", help=KIND_HELP)] = None,
    json_file: Json = None,
) -> int:
    """List every law: id, claim, statement, source."""
    _require_writable("--json", json_file)
    from dynprop.kinds import all_laws, laws_for

    chosen = all_laws() if kind is None else laws_for(kind)
    if json_file != "-":
        from dynprop.check.show.render import print_laws

        print_laws(chosen)
    keys = ("id", "kind", "claim", "statement", "source")
    _write(json_file, lambda: _json([{key: getattr(law, key) for key in keys} for law in chosen]))
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
    _require_writable("--json", json_file)
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
    _write(json_file, lambda: _json(matrix.to_json()))
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
        return _complain("interrupted", 130)


def _require_option(option: Option, given: Any, kind: Kind) -> None:
    """Raise ArgumentError, with flags as they are written, if a kind does not take an option."""
    flags = [known.flag for known in kind.options]
    absent = given is None or given is False or given == []
    if not absent and option.flag not in flags:
        text = " ".join(given) if isinstance(given, list) else given
        got = "the flag" if given is True else repr(str(text))
        raise ArgumentError(option.flag, got, f"an option that kind {kind.name} takes: {', '.join(flags)}")


def _require_writable(option: str, name: str | None) -> None:
    """Raise ArgumentError, before any work is done, if a file cannot be written."""
    if name is None or (name == "-" and option == "--json"):
        return
    path = Path(name)
    if path.is_dir():
        raise ArgumentError(option, name, "a file, not a folder")
    if not path.parent.is_dir():
        raise ArgumentError(option, name, f"a file in a folder that exists; {path.parent} does not")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise ArgumentError(option, name, "a file that can be written")


def _write(name: str | None, text: Callable[[], str]) -> None:
    if name == "-":
        print(text())
    elif name is not None:
        try:
            Path(name).write_text(text() + "\n", encoding="utf-8")
        except OSError as error:
            raise ArgumentError(
                "output", f"{name} ({error.strerror})", "a file that can be written"
            ) from error


app.command("diagnose")(diagnose(_require_writable, _write))


def _json(data: object) -> str:
    return json.dumps(data, indent=1, allow_nan=False, ensure_ascii=False)


def run() -> NoReturn:
    """Run the command line and end the interpreter with its exit status."""
    sys.exit(main())


if __name__ == "__main__":
    run()
