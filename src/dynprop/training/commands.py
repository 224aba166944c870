"""`dynprop train`: build a sweep from the command line and train it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from dynprop.errors import ArgumentError
from dynprop.training.store.disk import DamageError
from dynprop.training.store.index import read_run_count
from dynprop.training.store.ledger import NAME
from dynprop.training.sweeps.interrupts import delayed_interrupts
from dynprop.training.sweeps.sweep import FILE, Folder, Sweep, planned, say, trials_of
from dynprop.training.sweeps.workers import require_workers
from dynprop.training.trials.initial import parse_init
from dynprop.training.trials.rules import parse_rule
from dynprop.training.trials.setting import OPTIMISERS

__all__ = ["described", "run_command", "work"]

T = TypeVar("T")

SEEDS = 100
# Defaults of the cell unit that differ from those of a net.
UNIT: dict[str, Any] = {"hidden": 1, "dtype": "float64"}
LISTS = ("task", "cell", "init", "optimiser", "lengths")
TRAINING = ("seeds", "workers", "scheduler", "timeout", "until_clear")
# Options that are allowed with --resume and --show, and those that are not allowed with --out.
BESIDE_RESUME, BESIDE_SHOW, NOT_BESIDE_OUT = {*TRAINING, "retry"}, {"csv"}, {"csv", "retry"}


def run_command(folders: Mapping[str, Path | None], options: Mapping[str, Any]) -> int:
    """Run a command line of `dynprop train`; return the exit status.

    After Ctrl-C recorded runs stay, a line gives the command that continues, and the status is 130.

    Args:
        folders: those of --out, --resume and --show, of which one is given.
        options: the others, None or False where they are not given: LISTS, TRAINING, retry, csv, and fields
            of Setting.

    Raises:
        ArgumentError: an option is missing, cannot be combined with another, or is impossible.
        TargetError: the scheduler does not answer, or fails.
        LedgerError: the folder cannot be used.
    """
    modes = {name: path for name, path in folders.items() if path is not None}
    if len(modes) != 1:
        got = " and ".join(f"--{name}" for name in modes) or "none"
        raise ArgumentError("folder", got, "one of --out, --resume and --show")
    ((mode, path),) = modes.items()
    given = {name for name, value in options.items() if value is not None and value is not False}
    if mode == "show":
        _refuse(mode, given - BESIDE_SHOW, "only --csv beside it")
        from dynprop.training.show.pages import show_folder

        show_folder(path, options["csv"])
        return 0
    if mode == "resume":
        expected = "only --seeds, --retry and how to train beside it: the folder has the other options"
        _refuse(mode, given - BESIDE_RESUME, expected)
    else:
        _refuse(mode, given & NOT_BESIDE_OUT, "--csv beside --show, --retry beside --resume")
    training = {name: options[name] for name in (*TRAINING, "retry")}
    try:
        return work(path, described(options) if mode == "out" else None, **training)
    except KeyboardInterrupt:
        with delayed_interrupts(forget=True):
            say(_interrupted(path))
        return 130


def _refuse(mode: str, refused: set[str], expected: str) -> None:
    if refused:
        got = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(refused))
        raise ArgumentError(mode, got, expected)


def _interrupted(path: Path) -> str:
    """Return the message after an interrupt, with the number of recorded runs."""
    runs = None
    with suppress(DamageError):
        runs = read_run_count(path / NAME)
    if runs is None:
        return (
            "interrupted before anything was recorded"
            if not (path / FILE).exists()
            else (f"interrupted; go on with dynprop train --resume {path}")
        )
    return f"interrupted; {runs} runs are recorded, go on with dynprop train --resume {path}"


def _split_list(name: str, text: str, convert: Callable[[str], T]) -> tuple[T, ...]:
    """Split "a,b,c" and convert the parts."""
    try:
        return tuple(convert(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise ArgumentError(name, repr(text), "numbers such as 4,6,8,10") from error


def _require_different(name: str, texts: tuple[str, ...], parse: Callable[[str], object]) -> None:
    """Refuse two spellings of the same rule."""
    first: dict[object, str] = {}
    for text in texts:
        other = first.setdefault(parse(text), text)
        if other != text:
            raise ArgumentError(name, f"{other} and {text}, which are the same", "each once")


def described(options: Mapping[str, Any]) -> Sweep:
    """Return the sweep that a command line describes.

    Args:
        options: as for `run_command`; lists are separated by commas, and clip 0 is no clipping.

    Raises:
        ArgumentError: an option is missing, unknown or impossible, or given twice.
    """
    if missing := [f"--{name}" for name in ("task", "lengths") if options[name] is None]:
        raise ArgumentError(
            "train", f"no {' and no '.join(missing)}", "both --task and --lengths beside --out"
        )
    cell = options["cell"] or "tanh"
    cells = _split_list("cell", cell, str)
    inits = _split_list("init", options["init"] or {"unit": "w", "lru": "ring"}.get(cell, "default"), str)
    optimisers = _split_list("optimiser", options["optimiser"] or "sgd", str)
    fields = {**(UNIT if cells == ("unit",) else {})}
    outside = {*LISTS, *TRAINING, *NOT_BESIDE_OUT}
    fields |= {name: value for name, value in options.items() if value is not None and name not in outside}
    if fields.get("clip") == 0.0:
        fields["clip"] = None
    seeds = SEEDS if options["seeds"] is None else options["seeds"]
    lengths = _split_list("lengths", options["lengths"], int)
    sweep = Sweep(options["task"], lengths, cells, inits, optimisers, seeds, tuple(sorted(fields.items())))
    for cell_name in cells:
        _require_different("init", inits, partial(parse_init, cell=cell_name))
    _require_different("optimiser", optimisers, partial(parse_rule, "optimiser", known=OPTIMISERS))
    return sweep


def work(
    path: Path,
    sweep: Sweep | None,
    *,
    seeds: int | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    timeout: float | None = None,
    until_clear: bool = False,
    retry: bool = False,
) -> int:
    """Train missing runs with a live view, and print the table; return the exit status.

    Args:
        path: of the folder, which is created after all checks.
        sweep: to be started or continued; None for that of the folder.
        seeds: wanted number, if any.
        workers, scheduler, timeout, until_clear, retry: as for `run_sweep`.

    Raises:
        ArgumentError: an impossible number, or a folder with something else.
        TargetError: the scheduler does not answer, or fails.
        LedgerError: the folder cannot be used.
    """
    require_workers(1 if workers is None else workers)
    if timeout is not None and not timeout > 0.0:
        raise ArgumentError("timeout", str(timeout), "a number of seconds above 0")
    if scheduler is not None and workers is not None:
        raise ArgumentError(
            "workers", f"{workers} beside --scheduler", "one of them: a scheduler has its own"
        )
    settings = planned(path, sweep, seeds).settings
    with delayed_interrupts():
        from dynprop.training.show.table import print_sweep
        from dynprop.training.sweeps.engine import connected, require_room, run_sweep
        from dynprop.training.sweeps.live import LiveView
        from dynprop.training.sweeps.workers import memory_of
    with ExitStack() as stack:
        client = None if scheduler is None else stack.enter_context(connected(scheduler))
        require_room(settings, None if client is None else memory_of(client))
        folder = stack.enter_context(Folder(path, sweep, seeds))
        if folder.ledger.recovered:
            say(folder.ledger.recovered)
            folder.ledger.settle()
        if seeds is not None and seeds < folder.sweep.seeds:
            say(f"{path} keeps its {folder.sweep.seeds} seeds: {seeds} is less")
        with LiveView(folder, retry=retry).display() as view:
            run_sweep(
                folder,
                workers=workers or 1,
                client=client,
                timeout=timeout,
                until_clear=until_clear,
                retry=retry,
                listen=view,
            )
        print_sweep(folder.sweep, trials_of(folder.sweep, folder.ledger.trials()), folder=path)
    return 0
