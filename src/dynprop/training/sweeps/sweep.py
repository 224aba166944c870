"""A sweep: configurations × lengths × seeds, in a folder; training can be killed, resumed and extended.

The folder holds `sweep.json`, the definition of the sweep, and the ledger of finished runs. Runs that are
defined and not in the ledger are missing: resuming, adding seeds and repeating a command all train them.
"""

from __future__ import annotations

import csv
import itertools
import math
import os
import platform
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from dynprop.errors import ArgumentError, LedgerError
from dynprop.training.store.checksummed import UNFINISHED, read_checksummed, write_checksummed
from dynprop.training.store.disk import DamageError, explained
from dynprop.training.store.ledger import NAME, Ledger, read_ledger
from dynprop.training.store.schema import STORED_NAMES
from dynprop.training.trials.setting import Setting
from dynprop.training.trials.trial import Trial
from dynprop.training.whole import require_whole

__all__ = ["Folder", "Sweep", "export_csv", "finished", "planned", "read_sweep", "say", "trials_of"]

FILE = "sweep.json"
LOCK = "lock"
FORMAT = 1
# Largest number of runs of a sweep: the coordinator holds some hundred bytes for each in memory.
MOST_RUNS = 10_000_000
# Attributes of a trial in a CSV file.
OUTCOME = (
    "seed", "status", "cause", "updates", "loss", "error_rate", "max_grad_norm", "gradient_ratio",
    "at_chance", "note",
)  # fmt: skip


@dataclass(frozen=True)
class Sweep:
    """Settings, each at several lengths, and their number of seeds.

    Attributes:
        task: name of the task.
        lengths: at which to train, all different.
        cells, inits, optimisers: every combination of them is a configuration.
        seeds: number of seeds, from 0 on.
        options: the other fields of Setting, where they differ from its defaults.

    Raises:
        ArgumentError: a value is unknown, empty or impossible.
    """

    task: str
    lengths: tuple[int, ...]
    cells: tuple[str, ...] = ("tanh",)
    inits: tuple[str, ...] = ("default",)
    optimisers: tuple[str, ...] = ("sgd",)
    seeds: int = 100
    options: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        for name in ("lengths", "cells", "inits", "optimisers"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                raise ArgumentError(name, repr(values), "one or more, all different")
        # JSON cannot store numpy scalars.
        object.__setattr__(self, "seeds", require_whole("seeds", self.seeds))
        object.__setattr__(self, "lengths", tuple(map(_plain, self.lengths)))
        object.__setattr__(self, "options", tuple((name, _plain(value)) for name, value in self.options))
        each = math.prod(map(len, (self.lengths, self.cells, self.inits, self.optimisers)))
        if self.seeds * each > MOST_RUNS:
            raise ArgumentError(
                "seeds",
                f"{self.seeds} for each of {each} configurations and lengths",
                f"at most {MOST_RUNS // each}: no more than {MOST_RUNS:,} runs, of which memory holds each",
            )
        # Each setting validates its fields.
        self.settings  # noqa: B018

    @property
    def settings(self) -> list[Setting]:
        """Every setting: configurations, each with its lengths."""
        combinations = itertools.product(self.cells, self.inits, self.optimisers, self.lengths)
        options = dict(self.options)
        return [
            Setting(self.task, length, cell, init, optimiser, **options)
            for cell, init, optimiser, length in combinations
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the sweep as plain JSON values."""
        lists = {name: list(getattr(self, name)) for name in ("lengths", "cells", "inits", "optimisers")}
        return {"task": self.task, **lists, "seeds": self.seeds, "options": dict(self.options)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Sweep:
        """Build the sweep that ``to_json`` described."""
        lists = {name: tuple(data[name]) for name in ("lengths", "cells", "inits", "optimisers")}
        return cls(data["task"], seeds=data["seeds"], options=tuple(sorted(data["options"].items())), **lists)

    def difference(self, other: Sweep) -> str:
        """Describe the first difference from another sweep, except in seeds; "" if there is none."""
        for field in fields(self):
            there, here = getattr(self, field.name), getattr(other, field.name)
            if field.name == "seeds" or there == here:
                continue
            if field.name != "options":
                return f"{field.name} {_as_text(there)} there, {_as_text(here)} here"
            options_there, options_here = dict(there), dict(here)
            default = {f.name: f.default for f in fields(Setting)}
            for name in sorted(set(options_there) | set(options_here)):
                pair = [values.get(name, default[name]) for values in (options_there, options_here)]
                if pair[0] != pair[1]:
                    return f"{name} {pair[0]} there, {pair[1]} here"
        return ""


def _plain(value: Any) -> Any:
    """Return a number of numpy as Python's; anything else, of the user's options, as it is."""
    return value.item() if isinstance(value, np.generic) else value


def _as_text(value: Any) -> str:
    return ",".join(str(v) for v in value) if isinstance(value, tuple) else str(value)


def say(text: str) -> None:
    """Print a line for the user on stderr."""
    print("dynprop:", " ".join(text.split()), file=sys.stderr, flush=True)


def read_sweep(folder: Path) -> Sweep:
    """Return the sweep of a folder.

    Raises:
        ArgumentError: the folder holds none.
        LedgerError: its definition was written by a newer version, is damaged, or cannot be read.
    """
    path = folder / FILE
    try:
        exists = path.is_file()
    except OSError as error:
        raise explained(error, path) from error
    if not exists:
        raise ArgumentError(
            "folder", str(folder), f"a folder that dynprop train --out made; it has no {FILE}"
        )
    try:
        data = read_checksummed(path, ("format", "sweep", "versions"))
        if data["format"] > FORMAT:
            raise LedgerError(
                f"{path} was written by a newer dynprop (format {data['format']}): use that version"
            )
        return Sweep.from_json(data["sweep"])
    except (DamageError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise LedgerError(
            f"{path} is damaged or was changed ({error}): put back a copy, or use another folder"
        ) from error


def planned(path: Path, sweep: Sweep | None = None, seeds: int | None = None) -> Sweep:
    """Return the sweep to be trained in a folder, without changing the folder.

    Args:
        path: of the folder, which need not exist.
        sweep: the sweep that is wanted; None for that of the folder.
        seeds: replaces the folder's number of seeds if it is larger.

    Raises:
        ArgumentError: the number is impossible, or the folder holds another sweep (the message gives the
            difference) or other files.
        LedgerError: its definition cannot be read.
    """
    if seeds is not None:
        require_whole("seeds", seeds)
    try:
        names = {file.name for file in path.iterdir()} if path.is_dir() else set()
    except OSError as error:
        raise explained(error, path) from error
    stored = read_sweep(path) if sweep is None or FILE in names else None
    if stored is not None and sweep is not None and (difference := stored.difference(sweep)):
        raise ArgumentError("out", f"{path}, which holds another sweep ({difference})", "another folder")
    # These two files may be left by a process that was killed before it wrote the sweep.
    if stored is None and names - {LOCK, FILE + UNFINISHED}:
        raise ArgumentError("out", f"{path}, which holds other files", "a folder that is new or empty")
    wanted = sweep if stored is None else stored
    assert wanted is not None
    return replace(wanted, seeds=max([seeds or 0, *(each.seeds for each in (sweep, stored) if each)]))


class Folder:
    """The folder of a sweep, open for writing: one coordinator at a time.

    Args:
        path: created if it does not exist.
        sweep, seeds: as for `planned`.

    Attributes:
        sweep: defines all runs.
        ledger: holds the finished ones.

    Raises:
        ArgumentError: the folder holds another sweep; the message gives the difference.
        LedgerError: the ledger cannot be used, its runs are those of a version that trains otherwise, or
            another process trains in the folder.
    """

    def __init__(self, path: Path, sweep: Sweep | None = None, seeds: int | None = None) -> None:
        self.path = path
        planned(path, sweep, seeds)
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = self._locked()
        except OSError as error:
            raise LedgerError(f"{path}: {error.strerror}: choose a folder that can be written") from error
        with ExitStack() as undo:
            undo.callback(os.close, self._lock)
            # Again, with the folder locked.
            self.sweep: Sweep = planned(path, sweep, seeds)
            if not (path / FILE).exists() or read_sweep(path) != self.sweep:
                write_checksummed(
                    path / FILE,
                    {"format": FORMAT, "sweep": self.sweep.to_json(), "versions": _versions()},
                )
            self.ledger: Ledger = undo.enter_context(Ledger(path / NAME, self.sweep.settings))
            self.ledger.require_same_epoch()
            undo.pop_all()

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, *exception: object) -> None:
        self.ledger.close()
        os.close(self._lock)

    def _locked(self) -> int:
        """Lock the folder until this process ends."""
        handle = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:
            pass
        except OSError as error:
            os.close(handle)
            raise LedgerError(f"{self.path}: another dynprop train is at work here; wait for it") from error
        return handle

    def missing(self, *, retry: bool = False) -> list[tuple[Setting, Sequence[int]]]:
        """Return the missing seeds, setting by setting.

        Args:
            retry: whether to include runs that timed out or lost their worker.
        """
        done = self.ledger.done(lost=not retry)
        missing: list[tuple[Setting, Sequence[int]]] = []
        for setting in self.sweep.settings:
            recorded = done.get(setting.key, set())
            all_seeds = range(self.sweep.seeds)
            seeds = [seed for seed in all_seeds if seed not in recorded] if recorded else all_seeds
            if seeds:
                missing.append((setting, seeds))
        return missing


def _versions() -> dict[str, str]:
    names = ("dynprop", "numpy", "torch")
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in names}}


def trials_of(sweep: Sweep, trials: Iterable[Trial]) -> list[Trial]:
    """Return the trials whose setting belongs to a sweep."""
    keys = {setting.key for setting in sweep.settings}
    return [trial for trial in trials if trial.setting.key in keys]


def finished(folder: Path, report: Callable[[str], None] = say) -> tuple[Sweep, list[Trial]]:
    """Return the sweep of a folder and its finished runs.

    The folder is only read; another process may train in it.

    Args:
        folder: of the sweep.
        report: called with a description of damage and lost runs, if there are any.

    Raises:
        ArgumentError: the folder holds no sweep.
        LedgerError: its definition or its ledger cannot be read.
    """
    sweep = read_sweep(folder)
    trials, notes = read_ledger(folder / NAME, sweep.settings)
    if notes:
        report(notes)
    return sweep, trials_of(sweep, trials)


def export_csv(trials: Sequence[Trial], path: Path) -> None:
    """Write one line per run: the fields of its setting and its outcome."""
    names = [field.name for field in fields(Setting)]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*names, *(STORED_NAMES.get(name, name) for name in OUTCOME)])
        for trial in trials:
            writer.writerow([*trial.setting.to_json().values(), *(getattr(trial, name) for name in OUTCOME)])
