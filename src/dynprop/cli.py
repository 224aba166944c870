"""The command line: parse, call, print.

A wrong call is one line on stderr and exit status 2. Everything that is not needed for ``--help`` is imported
where it is used.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from dynprop import __version__
from dynprop.errors import ArgumentError, DynpropError

__all__ = ["app", "main"]

app = typer.Typer(
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
KIND_HELP = "scan, associative-scan, layer, unroll, closed-form, product, initializer, agreement or task."


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
        # The reader has gone (dynprop laws | head): nothing is left to say.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        message = getattr(error, "format_message", None)
        if message is None:
            raise
        command = next((name for name in given if name in COMMANDS), "")
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


@app.command()
def check(
    target: Annotated[
        str, typer.Argument(metavar="TARGET", help="package.module:attribute or path/to/file.py:attribute.")
    ],
    kind: Annotated[str, typer.Option(metavar="KIND", help=KIND_HELP)],
    framework: Annotated[
        str | None,
        typer.Option(metavar="numpy|torch|jax", help="The arrays it takes; default numpy or torch, by kind."),
    ] = None,
    examples: Annotated[
        int | None, typer.Option(metavar="N", help="Cases drawn per law; default up to 100.")
    ] = None,
    iid: Annotated[
        int,
        typer.Option(metavar="N", show_default=False, help="Further independent cases per law; default 0."),
    ] = 0,
    seed: Annotated[
        int, typer.Option(metavar="N", show_default=False, help="Seeds everything; default 0.")
    ] = 0,
    timeout: Annotated[
        float | None, typer.Option(metavar="S", help="Seconds that one case may take; default 60.")
    ] = None,
    device: Annotated[str | None, typer.Option(metavar="D", help="Where arrays live; default cpu.")] = None,
    gates: Annotated[
        str | None,
        typer.Option(metavar="unit|signed|any|constant", help="Gates that it handles; default any."),
    ] = None,
    inputs: Annotated[
        str | None, typer.Option(metavar="any|positive", help="Inputs that it handles; default any.")
    ] = None,
    dtypes: Annotated[
        str | None, typer.Option(metavar="LIST", help="Formats it computes in, such as float64,float32.")
    ] = None,
    max_length: Annotated[
        int | None, typer.Option(metavar="N", help="Longest sequence; default 2048.")
    ] = None,
    arithmetic: Annotated[
        str | None,
        typer.Option(metavar="product|log", help="How it forms products; log: by sums of logarithms."),
    ] = None,
    reach: Annotated[
        int | None, typer.Option(metavar="K", help="It cuts its gradient after K steps on purpose.")
    ] = None,
    sizes: Annotated[
        str | None, typer.Option(metavar="NAME=N,...", help="Sizes with which a layer is built.")
    ] = None,
    matrix: Annotated[
        bool, typer.Option("--matrix", help="Products are those of matrices, W_t ... W_1.")
    ] = False,
    promise: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=EXPR",
            help="variance=EXPR or radius=EXPR, arithmetic in fan_in and fan_out; may be repeated.",
        ),
    ] = None,
    law: Annotated[
        str | None, typer.Option(metavar="NAME", help="Law of weights: normal, uniform, orthogonal, ...")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="LAW", help="Run this law only; may be repeated.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 3 if some law is undecidable.")] = False,
    json_file: Json = None,
    html_file: Annotated[
        str | None, typer.Option("--html", metavar="FILE", help="Write a self-contained page.")
    ] = None,
) -> int:
    """Judge TARGET by every law of its kind.

    Exit status: 0 if no law fails and at least one passes, 1 if one fails, 2 if the call is wrong, 3 if
    nothing could be decided (with --strict: if some law could not).
    """
    from dynprop.check.options import parse_promises, parse_sizes

    options = {
        "framework": framework,
        "device": device,
        "gates": gates,
        "inputs": inputs,
        "dtypes": None if dtypes is None else tuple(d.strip() for d in dtypes.split(",") if d.strip()),
        "max_length": max_length,
        "arithmetic": arithmetic,
        "reach": reach,
        "sizes": parse_sizes(sizes),
        "matrix": matrix or None,
        "promise": parse_promises(promise),
        "law": law,
    }
    _require_writable("--json", json_file)
    _require_writable("--html", html_file)
    from dynprop.check.api import chosen_laws
    from dynprop.check.isolate import check_isolated
    from dynprop.check.progress import Progress
    from dynprop.check.render import print_report

    with Progress(len(chosen_laws(kind, only or None))).shown() as progress:
        report = check_isolated(
            target,
            kind,
            options=options,
            examples=examples,
            iid=iid,
            seed=seed,
            only=only or None,
            timeout=timeout,
            listen=progress,
        )
    # Files first: whoever reads the printed report may close the pipe early.
    _write(json_file, report.dumps)
    if html_file is not None:
        from dynprop.check.html import render_html

        _write(html_file, lambda: render_html(report))
    if json_file != "-":
        print_report(report)
    return report.exit_code(strict)


@app.command()
def replay(
    report: Annotated[Path, typer.Argument(metavar="REPORT", help="A file that check --json wrote.")],
    timeout: Annotated[
        float | None, typer.Option(metavar="S", help="Seconds that one case may take; default 60.")
    ] = None,
) -> int:
    """Run each saved counterexample again; exit 1 if one still fails."""
    from dynprop.check.progress import Progress
    from dynprop.check.render import print_retrials
    from dynprop.check.replay import exit_code, read_report
    from dynprop.check.replay import replay as run_again

    saved = read_report(report)
    with Progress(len(saved.failures)).shown() as progress:
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
    from dynprop.laws.registry import all_laws, laws_for

    found = all_laws() if kind is None else laws_for(kind)
    if json_file != "-":
        from dynprop.check.render import print_laws

        print_laws(found)
    keys = ("id", "kind", "claim", "statement", "source")
    _write(json_file, lambda: _json([{key: getattr(law, key) for key in keys} for law in found]))
    return 0


@app.command()
def faults(
    examples: Annotated[
        int | None, typer.Option(metavar="N", help="Cases per law and fault; default up to 100.")
    ] = None,
    json_file: Json = None,
) -> int:
    """Run every law on every planted fault; exit 1 if one is missed."""
    _require_writable("--json", json_file)
    from dynprop.check.api import require_counts
    from dynprop.check.faults.matrix import kill_matrix
    from dynprop.check.progress import Progress

    require_counts(examples, 0, 0)
    with Progress(noun="faults").shown() as progress:
        matrix = kill_matrix(examples=examples, listen=progress.step)
    if json_file != "-":
        from dynprop.check.matrix_text import print_matrix

        print_matrix(matrix)
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
    from dynprop.training.interrupts import held

    try:
        with held():
            from dynprop.training.commands import run_command
        return run_command(folders, options)
    except KeyboardInterrupt:
        return _complain("interrupted", 130)


COMMANDS = ("check", "replay", "laws", "faults", "train")


def _require_writable(option: str, name: str | None) -> None:
    """Find a file that cannot be written before any work is done for it."""
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


def _json(data: object) -> str:
    return json.dumps(data, indent=1, allow_nan=False, ensure_ascii=False)


def run() -> NoReturn:
    """Run the command line and end the interpreter with its exit status."""
    sys.exit(main())


if __name__ == "__main__":
    run()
