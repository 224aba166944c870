"""A sweep: configurations × lengths × seeds, in a folder that can be killed, resumed and extended.

The folder holds `sweep.json`, what the sweep is, and the ledger of finished runs. What is missing is what the
sweep asks for and the ledger does not hold, so that resuming, extending by more seeds and repeating the same
command are one thing.
"""

from __future__ import annotations

import csv
import itertools
import json
import os
import platform
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from dynprop.errors import ArgumentError, LedgerError
from dynprop.training.ledger import NAME, Ledger
from dynprop.training.setting import Setting
from dynprop.training.trial import Trial

__all__ = ["Folder", "Sweep", "belonging", "export_csv", "finished", "read_sweep"]

FILE = "sweep.json"
FORMAT = 1
ROW = ("seed", "status", "cause", "updates", "loss", "wrong", "peak", "reach", "at_chance", "note")


@dataclass(frozen=True)
class Sweep:
    """Settings, each at several lengths, and how many seeds of each.

    Attributes:
        task: name of the task.
        lengths: at which to train, all different.
        cells, inits, optimisers: every combination of them is a configuration.
        seeds: how many seeds, from 0 on.
        options: the other fields of Setting, where they differ from its defaults.

    Raises:
        ArgumentError: something is unknown, empty or impossible.
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
        if isinstance(self.seeds, bool) or not isinstance(self.seeds, int) or self.seeds < 1:
            raise ArgumentError("seeds", repr(self.seeds), "a whole number of at least 1")
        # Each setting refuses what is impossible.
        self.settings  # noqa: B018

    @property
    def settings(self) -> list[Setting]:
        """Every setting: configurations, each with its lengths."""
        made = itertools.product(self.cells, self.inits, self.optimisers, self.lengths)
        options = dict(self.options)
        return [
            Setting(self.task, length, cell, init, optimiser, **options)
            for cell, init, optimiser, length in made
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
        """Name what differs from another sweep, seeds aside; "" if nothing does."""
        for field in fields(self):
            one, two = getattr(self, field.name), getattr(other, field.name)
            if field.name == "seeds" or one == two:
                continue
            if field.name != "options":
                return f"{field.name} {_shown(one)} there, {_shown(two)} here"
            ours, theirs = dict(one), dict(two)
            default = {f.name: f.default for f in fields(Setting)}
            for name in sorted(set(ours) | set(theirs)):
                pair = [values.get(name, default[name]) for values in (ours, theirs)]
                if pair[0] != pair[1]:
                    return f"{name} {pair[0]} there, {pair[1]} here"
        return ""


def _shown(value: Any) -> str:
    return ",".join(str(v) for v in value) if isinstance(value, tuple) else str(value)


def read_sweep(folder: Path) -> Sweep:
    """Return the sweep of a folder.

    Raises:
        ArgumentError: the folder holds none.
        LedgerError: its description was written by a newer version, or cannot be read.
    """
    path = folder / FILE
    if not path.is_file():
        raise ArgumentError(
            "folder", str(folder), f"a folder that dynprop train --out made; it has no {FILE}"
        )
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] > FORMAT:
            raise LedgerError(
                f"{path} was written by a newer dynprop (format {data['format']}): use that version"
            )
        return Sweep.from_json(data["sweep"])
    except (ValueError, KeyError, TypeError) as error:
        raise LedgerError(f"{path} is damaged ({error}): put back a copy, or use another folder") from error


class Folder:
    """The folder of a sweep, open for writing: one coordinator at a time.

    Args:
        path: made if it is not there.
        sweep: what is wanted; None takes what the folder says.
        seeds: a number of seeds that replaces that of the folder, where it is larger.

    Attributes:
        sweep: what is to be done.
        ledger: what is done.

    Raises:
        ArgumentError: the folder holds another sweep; the difference is named.
        LedgerError: the ledger cannot be used, its runs are those of a version that trains otherwise, or
            another process is at work in the folder.
    """

    def __init__(self, path: Path, sweep: Sweep | None = None, seeds: int | None = None) -> None:
        self.path = path
        known = read_sweep(path) if sweep is None or (path / FILE).is_file() else None
        if known is not None and sweep is not None and (other := known.difference(sweep)):
            raise ArgumentError("out", f"{path}, which holds another sweep ({other})", "another folder")
        if known is None and path.is_dir() and any(path.iterdir()):
            raise ArgumentError("out", f"{path}, which holds other files", "a folder that is new or empty")
        wanted = sweep if known is None else known
        assert wanted is not None
        largest = max(seeds or 0, sweep.seeds if sweep else 0, known.seeds if known else 0)
        self.sweep = replace(wanted, seeds=largest)
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = self._locked()
            if known != self.sweep:
                self._describe()
        except OSError as error:
            raise LedgerError(f"{path}: {error.strerror}: choose a folder that can be written") from error
        with ExitStack() as undo:
            undo.callback(os.close, self._lock)
            self.ledger = undo.enter_context(Ledger(path / NAME))
            self.ledger.require_same_epoch()
            undo.pop_all()

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, *exception: object) -> None:
        self.ledger.close()
        os.close(self._lock)

    def _locked(self) -> int:
        """Hold the folder for this process; the lock ends with it, however it ends."""
        handle = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:
            pass
        except OSError as error:
            os.close(handle)
            raise LedgerError(f"{self.path}: another dynprop train is at work here; wait for it") from error
        return handle

    def _describe(self) -> None:
        """Write sweep.json whole or not at all."""
        record = {"format": FORMAT, "sweep": self.sweep.to_json(), "versions": _versions()}
        new = self.path / f"{FILE}.new"
        with new.open("w", encoding="utf-8") as file:
            file.write(json.dumps(record, indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path / FILE)

    def missing(self) -> list[tuple[Setting, list[int]]]:
        """Return the seeds that are still to be trained, setting by setting."""
        done = self.ledger.done()
        found = []
        for setting in self.sweep.settings:
            there = done.get(setting.key, set())
            seeds = [seed for seed in range(self.sweep.seeds) if seed not in there]
            if seeds:
                found.append((setting, seeds))
        return found


def _versions() -> dict[str, str]:
    names = ("dynprop", "numpy", "torch")
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in names}}


def belonging(sweep: Sweep, ledger: Ledger) -> list[Trial]:
    """Return the finished runs of a ledger that belong to a sweep."""
    keys = {setting.key for setting in sweep.settings}
    return [trial for trial in ledger.trials() if trial.setting.key in keys]


def finished(folder: Path) -> tuple[Sweep, list[Trial]]:
    """Return the sweep of a folder and its finished runs, as far as they belong to it.

    Raises:
        ArgumentError: the folder holds no sweep.
        LedgerError: its description or its ledger cannot be read.
    """
    sweep = read_sweep(folder)
    with Ledger(folder / NAME) as ledger:
        return sweep, belonging(sweep, ledger)


def export_csv(trials: Sequence[Trial], path: Path) -> None:
    """Write one line per run: its setting, field by field, and how it came out."""
    names = [field.name for field in fields(Setting)]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*names, *ROW])
        for trial in trials:
            writer.writerow([*trial.setting.to_json().values(), *(getattr(trial, name) for name in ROW)])
