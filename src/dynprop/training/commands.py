"""What `dynprop train` does: the words of a command line become a sweep, and the sweep is trained."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from dynprop.errors import ArgumentError
from dynprop.training.sweep import Folder, Sweep, belonging

__all__ = ["resumed", "started", "work"]

T = TypeVar("T")

SEEDS = 100
# Where the unit of a latch differs from a net.
UNIT = {"hidden": 1, "dtype": "float64"}


def _listed(name: str, text: str, convert: Callable[[str], T]) -> tuple[T, ...]:
    """Split "a,b,c" and convert the parts."""
    try:
        return tuple(convert(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise ArgumentError(name, repr(text), "numbers such as 4,6,8,10") from error


def started(
    path: Path,
    *,
    task: str | None,
    cell: str,
    init: str | None,
    optimiser: str,
    lengths: str | None,
    seeds: int | None,
    options: Mapping[str, Any],
) -> Folder:
    """Open the folder of a sweep that a command line describes.

    Args:
        path: of the folder; new, empty, or that of the same sweep.
        task: its name.
        cell, init, optimiser, lengths: lists, separated by commas.
        seeds: how many; None is 100.
        options: further fields of Setting, None where they are not given; clip 0 is no clipping.

    Raises:
        ArgumentError: something is missing, unknown or impossible, or the folder holds something else.
    """
    if task is None or lengths is None:
        raise ArgumentError("train", "no --task or no --lengths", "both, beside --out")
    cells = _listed("cell", cell, str)
    given = {**(UNIT if cells == ("unit",) else {})}
    given |= {name: value for name, value in options.items() if value is not None}
    if given.get("clip") == 0.0:
        given["clip"] = None
    inits = init or {"unit": "w", "lru": "ring"}.get(cell, "default")
    sweep = Sweep(
        task,
        _listed("lengths", lengths, int),
        cells,
        _listed("init", inits, str),
        _listed("optimiser", optimiser, str),
        SEEDS if seeds is None else seeds,
        tuple(sorted(given.items())),
    )
    return Folder(path, sweep)


def resumed(path: Path, seeds: int | None) -> Folder:
    """Open the folder of a sweep to go on with it, with more seeds where they are named.

    Raises:
        ArgumentError: the folder holds no sweep, or the number of seeds is impossible.
        LedgerError: the ledger cannot be used.
    """
    if seeds is not None and seeds < 1:
        raise ArgumentError("seeds", str(seeds), "a whole number of at least 1")
    return Folder(path, seeds=seeds)


def work(
    folder: Folder, workers: int, scheduler: str | None, timeout: float | None, until_clear: bool
) -> int:
    """Train what is missing, show how far it is, and print the table; return the exit status.

    After Ctrl-C what is recorded stays, and a line says how to go on; the status then is 130.

    Raises:
        ArgumentError: an impossible number of workers or seconds.
        TargetError: the scheduler does not answer.
        LedgerError: the ledger cannot be written.
    """
    from dynprop.training.engine import run_sweep
    from dynprop.training.live import LiveView
    from dynprop.training.show import print_sweep

    with folder:
        if workers < 1:
            raise ArgumentError("workers", str(workers), "a whole number of at least 1")
        if timeout is not None and not timeout > 0.0:
            raise ArgumentError("timeout", str(timeout), "a number of seconds above 0")
        if folder.ledger.recovered:
            print(f"dynprop: {folder.ledger.recovered}", file=sys.stderr)
        try:
            with LiveView(folder).shown() as view:
                run_sweep(
                    folder,
                    workers=workers,
                    scheduler=scheduler,
                    timeout=timeout,
                    until_clear=until_clear,
                    listen=view,
                )
        except KeyboardInterrupt:
            done = sum(total for total, _ in folder.ledger.counts().values())
            print(
                f"dynprop: interrupted; {done} runs are recorded, go on with "
                f"dynprop train --resume {folder.path}",
                file=sys.stderr,
            )
            return 130
        print_sweep(folder.sweep, belonging(folder.sweep, folder.ledger))
    return 0
