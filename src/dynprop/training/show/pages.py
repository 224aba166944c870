"""Pictures and one self-contained page of a sweep, written to its folder."""

from __future__ import annotations

import errno
import io
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from dynprop.errors import ArgumentError, DynpropError, LedgerError, MissingExtraError, TargetError
from dynprop.extras import needs
from dynprop.progress_line import ProgressLine
from dynprop.training.analysis.forecast import Listener
from dynprop.training.show.layout import shared_options
from dynprop.training.show.summary import Summary, summarise
from dynprop.training.show.table import HEAD, print_sweep, remarks, rows
from dynprop.training.sweeps.sweep import Sweep, export_csv, finished
from dynprop.training.tasks import task_named
from dynprop.training.trials.trial import Trial

__all__ = ["show_folder", "write_pages"]

TEMPLATE = "report.html.j2"
PAGES = ("curve.png", "curve.svg", "report.html")
# Resolution of curve.png.
DPI = 150
# Seconds before the first progress line.
PATIENCE = 3.0
# Fixed ids, and letters as paths: the same sweep gives the same file on every machine.
SVG: Any = {"svg.hashsalt": "dynprop", "svg.fonttype": "path"}


def write_pages(
    folder: Path, sweep: Sweep, trials: Sequence[Trial], listen: Listener | None = None
) -> list[Path]:
    """Write curve.png, curve.svg and report.html into the folder of a sweep; return their paths.

    Args:
        folder: of the sweep.
        sweep: to be shown.
        trials: its runs.
        listen: called with a description of what is being computed; by default a progress line on stderr
            after three seconds.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
        LedgerError: a file cannot be written; its old content is unchanged.
    """
    paths = [folder / name for name in PAGES]
    try:
        # An unwritable folder is refused before anything is computed.
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _unwritten(paths, error) from error
    with needs("the page of a sweep"):
        import matplotlib as mpl

    from dynprop.training.show.plots import plot_sweep

    entries = summarise(sweep, trials)
    figure = plot_sweep(sweep, entries, listen=listen or ProgressLine(sys.stderr, first=PATIENCE).show)
    picture, drawing = io.BytesIO(), io.StringIO()
    figure.savefig(picture, format="png", dpi=DPI)
    # The layout is that of the PNG.
    figure.set_layout_engine("none")
    with mpl.rc_context(SVG):
        # Without a date: the same sweep gives the same file.
        figure.savefig(drawing, format="svg", metadata={"Date": None})
    text = drawing.getvalue()
    page = _page(sweep, trials, entries, text, folder)
    for path, data in zip(paths, (picture.getvalue(), text.encode(), page.encode()), strict=True):
        _write(path, data)
    return paths


def _write(path: Path, data: bytes) -> None:
    """Replace a file as a whole or not at all."""
    new = path.with_name(f"{path.name}.new")
    try:
        new.write_bytes(data)
        new.replace(path)
    except OSError as error:
        with suppress(OSError):
            new.unlink()
        raise _unwritten([path], error) from error


def _unwritten(paths: Sequence[Path], error: OSError, advice: str = "") -> LedgerError:
    """Return an error with the names of the files and advice."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        advice = "make room on the disk"
    names = ", ".join(str(path) for path in paths)
    reason = error.strerror or str(error)
    return LedgerError(
        f"{names}: {reason}: {advice or 'show a copy of the folder, where files can be written'}"
    )


def show_folder(folder: Path, table: Path | None = None) -> None:
    """Print the table of a sweep, write its pages, and each run as a line of a CSV file.

    If one file cannot be written, the table and the other files still are.

    Raises:
        ArgumentError: the folder holds no sweep, or nothing has been trained yet.
        LedgerError: the ledger cannot be read, or a file cannot be written.
        TargetError: matplotlib is not installed.
    """
    sweep, trials = finished(folder)
    if not trials:
        raise ArgumentError("show", str(folder), f"a sweep with runs; go on with --resume {folder}")
    print_sweep(sweep, trials, folder=folder)
    sys.stdout.flush()
    written: list[Path] = []
    failed: list[DynpropError] = []
    if table is not None:
        try:
            export_csv(trials, table)
            written.append(table)
        except OSError as error:
            failed.append(_unwritten([table], error, "name a file that can be written"))
    try:
        written = [*write_pages(folder, sweep, trials), *written]
    except LedgerError as error:
        failed.append(error)
    except MissingExtraError as error:
        failed.append(TargetError(str(error)))
    if written:
        print("written: " + ", ".join(str(path) for path in written))
    if failed:
        raise type(failed[0])("; ".join(str(error) for error in failed))


def _page(
    sweep: Sweep, trials: Sequence[Trial], entries: Sequence[Summary], picture: str, folder: Path
) -> str:
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(files(__package__).joinpath(TEMPLATE).read_text(encoding="utf-8"))
    entries_of_page: list[dict[str, Any]] = [
        {"name": entry.curve.name, "threshold": str(entry.curve.threshold), "rows": rows(entry)}
        for entry in entries
    ]
    return template.render(
        task=task_named(sweep.task),
        sweep=sweep,
        common=shared_options(sweep.settings),
        head=HEAD,
        entries=entries_of_page,
        remarks=remarks(sweep, trials, Path(os.path.normpath(folder))),
        picture=Markup(picture[picture.index("<svg") :]),
    )
