"""``dynprop diagnose``: a target is resolved here and handed on as a module, or as what builds one."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from dynprop.cli_output import require_writable, write
from dynprop.errors import ArgumentError, NotFiniteError
from dynprop.extras import needs

__all__ = ["diagnose"]


def run_diagnose(target: str, options: dict[str, Any]) -> int:
    """Diagnose and print; return the exit status."""
    files = {flag: options[f"{flag}_file"] for flag in ("json", "html", "png")}
    for flag, name in files.items():
        require_writable(f"--{flag}", name)
    at_least, at_most = options["at_least"], options["at_most"]
    for flag, limit in (("--at-least", at_least), ("--at-most", at_most)):
        if limit is not None and not 0.0 <= limit < math.inf:
            raise ArgumentError(flag, str(limit), "a number, 0 or more")
    if options["data"] is not None and options["steps"] is not None:
        raise ArgumentError(
            "--steps", str(options["steps"]), "no --steps with --data, whose length is its own"
        )
    from dynprop.check.targets import resolve

    found = resolve(target)
    with needs("diagnose"):
        from dynprop.gradients.diagnosis.diagnose import diagnose as diagnosed
        from dynprop.gradients.diagnosis.inputs import load_weights, read_tensors
    from rich.console import Console

    from dynprop.gradients.diagnosis.show import (
        diagnosis_json,
        diagnosis_page,
        diagnosis_png,
        print_diagnosis,
    )
    from dynprop.progress_line import ProgressLine

    inputs = None
    if options["data"] is not None:
        named = read_tensors(options["data"], "--data")
        if len(named) != 1 and "inputs" not in named:
            names = ", ".join(named)
            raise ArgumentError(
                "--data", f"{options['data']} with {names}", "one array, or one called inputs"
            )
        inputs = named["inputs"] if "inputs" in named else next(iter(named.values()))
    weights: Path | None = options["weights"]
    settings = {name: str(v) if isinstance(v, Path) else v for name, v in options.items() if v is not None}
    try:
        result = diagnosed(
            found,
            inputs,
            options["module"],
            lag=options["lag"],
            steps=options["steps"] or 100,
            seeds=options["seeds"],
            seed=options["seed"],
            prepare=None if weights is None else lambda model: load_weights(model, weights),
            listen=ProgressLine(sys.stderr, first=2.0).show,
        )
    except NotFiniteError as error:
        print(f"{target}: {error}")
        return 1
    if files["json"] != "-":
        print_diagnosis(result, target, Console(markup=False, emoji=False, highlight=False))
        sys.stdout.flush()
    write(files["json"], lambda: diagnosis_json(result, target, settings))
    write(files["html"], lambda: diagnosis_page(result, target, settings))
    if files["png"] is not None:
        with needs("--png"):
            picture = diagnosis_png(result, target)
        try:
            Path(files["png"]).write_bytes(picture)
        except OSError as error:
            raise ArgumentError(
                "--png", f"{files['png']} ({error.strerror})", "a file that can be written"
            ) from error
    problems = []
    if at_least is not None and not result.left >= at_least:
        problems.append(f"below --at-least {at_least:g}")
    if at_most is not None and not result.left <= at_most:
        problems.append(f"above --at-most {at_most:g}")
    if problems:
        print(f"dynprop: {result.left:.3g} at lag {result.lag}, {problems[0]}", file=sys.stderr)
    return int(bool(problems))


def diagnose(
    target: Annotated[
        str,
        typer.Argument(metavar="TARGET", help="A torch module, or a class or function that builds one."),
    ],
    module: Annotated[
        str | None, typer.Option(metavar="PATH", help="Its recurrent part, such as encoder.rnn.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A batch: .npy, .safetensors, .pt; default white noise."),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A state dict: .safetensors or .pt.")
    ] = None,
    steps: Annotated[int | None, typer.Option(metavar="N", help="Steps of the noise; default 100.")] = None,
    lag: Annotated[int | None, typer.Option(metavar="K", help="Lag in question; default the last.")] = None,
    at_least: Annotated[
        float | None, typer.Option(metavar="X", help="Exit 1 if less than X is left at the lag.")
    ] = None,
    at_most: Annotated[float | None, typer.Option(metavar="X", help="Exit 1 if more than X is left.")] = None,
    seeds: Annotated[
        int, typer.Option(metavar="N", show_default=False, help="Starts to be counted; default 1.")
    ] = 1,
    seed: Annotated[
        int, typer.Option(metavar="N", show_default=False, help="Seeds everything; default 0.")
    ] = 0,
    json_file: Annotated[
        str | None, typer.Option("--json", metavar="FILE", help="Write JSON; - is stdout.")
    ] = None,
    html_file: Annotated[
        str | None, typer.Option("--html", metavar="FILE", help="Write a self-contained page.")
    ] = None,
    png_file: Annotated[
        str | None, typer.Option("--png", metavar="FILE", help="Write the gradient by lag as a picture.")
    ] = None,
) -> int:
    """Say where the gradient of a recurrent model goes, why, and what helps.

    Exit status: 0; 1 if less than --at-least or more than --at-most is left at the lag, or a state is NaN;
    2 if the call is wrong.
    """
    options = dict(locals())
    return run_diagnose(options.pop("target"), options)
