"""Long runs in shards that resume: one result file per entry, merged into the record when complete.

Each result is written atomically, with the key that determines it (seed, length, versions, digests of the
code). A killed run resumes after its last complete entry. A result whose key differs from today's counts
as missing, so that entries are judged again when their code has changed.

A run of chosen entries (--only) joins its results into the record that exists. What the head of a record
states (date, seed, versions, digests) holds for each row without a value of its own; a joined row has one.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

from dynprop.errors import ArgumentError

__all__ = [
    "WHOLE",
    "Job",
    "Shard",
    "Store",
    "add_arguments",
    "environment",
    "join_record",
    "run_jobs",
    "run_record",
    "today",
    "write_json",
]


T = TypeVar("T")
# Makes a new record of one that exists and of stored {"key", "date", "result"}.
Join = Callable[[dict[str, Any], list[dict[str, Any]]], dict[str, Any]]


@dataclass(frozen=True)
class Job:
    """One entry of a record.

    Attributes:
        name: its name, unique in the record.
        key: everything that determines the result, as plain JSON values.
        work: computes the result, as plain JSON values.
    """

    name: str
    key: Mapping[str, Any]
    work: Callable[[], dict[str, Any]]


@dataclass(frozen=True)
class Shard:
    """Every ``count``-th job, beginning with number ``index`` from 1 on."""

    index: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read "2/5", the second of five.

        Raises:
            ArgumentError: the text is not i/n with 1 <= i <= n.
        """
        index, slash, count = text.partition("/")
        if slash and index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count):
            return cls(int(index), int(count))
        raise ArgumentError("--shard", repr(text), "i/n with 1 <= i <= n, such as 1/4")

    def of(self, entries: Sequence[T]) -> Sequence[T]:
        """Return the entries of this shard."""
        return entries[self.index - 1 :: self.count]


WHOLE = Shard()


@dataclass(frozen=True)
class Store:
    """A folder with one JSON file per result."""

    folder: Path

    def read(self, job: Job) -> dict[str, Any] | None:
        """Return {"key", "date", "result"} of a job, or None if there is none with the job's key."""
        try:
            stored: dict[str, Any] = json.loads(self._path(job).read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        return stored if stored.get("key") == _plain(job.key) else None

    def write(self, job: Job, result: Mapping[str, Any]) -> None:
        """Write the result of a job atomically."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self._path(job), {"key": dict(job.key), "date": today(), "result": dict(result)})

    def _path(self, job: Job) -> Path:
        return self.folder / f"{job.name.replace('/', '--')}.json"


def add_arguments(parser: argparse.ArgumentParser, record: str) -> None:
    """Add the options of a run in shards: --shard, --resume, --only, --parts and --out."""
    parser.add_argument("--shard", type=_shard, default=WHOLE, metavar="I/N", help="every N-th entry")
    parser.add_argument(
        "--resume", action="store_true", help="keep results of the same seed, length, versions and code"
    )
    parser.add_argument(
        "--only",
        nargs="+",
        default=[],
        metavar="NAME",
        help="only these entries, by name or part of a name; their results join the record that exists",
    )
    parser.add_argument("--parts", type=Path, default=Path("build/evidence") / record, metavar="FOLDER")
    parser.add_argument("--out", type=Path, default=Path(f"docs/evidence/{record}.json"), metavar="FILE")


def _shard(text: str) -> Shard:
    try:
        return Shard.parse(text)
    except ArgumentError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def run_record(
    given: argparse.Namespace,
    jobs: Sequence[Job],
    merge: Callable[[list[dict[str, Any]]], dict[str, Any]],
    announce: Callable[[dict[str, Any]], None],
    join: Join | None = None,
) -> dict[str, Any] | None:
    """Run the chosen jobs; if every job then has a result, write the record and return it.

    Otherwise results of jobs chosen by --only join the record that exists.

    Args:
        given: the options of `add_arguments`.
        jobs: every job of the record.
        merge: makes the record of the stored {"key", "date", "result"} of every job.
        announce: called with each new result.
        join: adds some of the stored results to a record; None where a record has no rows to join.
    """
    store = Store(given.parts)
    new = run_jobs(given, jobs, announce)
    parts = [part for job in jobs if (part := store.read(job)) is not None]
    if len(parts) < len(jobs):
        if given.only and join is not None and given.out.is_file():
            return join_record(given, new, join)
        print(f"{given.out}: not written; {len(parts)} of {len(jobs)} entries have a result of today's code")
        return None
    record = merge(parts)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    write_json(given.out, record)
    print(f"{given.out}: written, {len(parts)} entries")
    return record


def run_jobs(
    given: argparse.Namespace, jobs: Sequence[Job], announce: Callable[[dict[str, Any]], None]
) -> list[dict[str, Any]]:
    """Run the chosen jobs and return their stored {"key", "date", "result"}."""
    store, found = Store(given.parts), []
    for job in given.shard.of(_chosen(jobs, given.only)):
        if not (given.resume and store.read(job) is not None):
            result = job.work()
            store.write(job, result)
            announce(result)
        part = store.read(job)
        assert part is not None
        found.append(part)
    return found


def join_record(given: argparse.Namespace, parts: list[dict[str, Any]], join: Join) -> dict[str, Any]:
    """Add results to the record that exists, write it and return it."""
    record = join(json.loads(given.out.read_text(encoding="utf-8")), parts)
    write_json(given.out, record)
    print(f"{given.out}: {len(parts)} of its entries recorded again or joined; the others stay as they were")
    return record


def _chosen(jobs: Sequence[Job], words: Sequence[str]) -> list[Job]:
    """Return the jobs with one of these names; a word that is no name chooses the names that contain it."""
    names = {job.name for job in jobs}
    for word in words:
        if not any(word in name for name in names):
            raise SystemExit(f"error: --only: got {word!r}, expected an entry's name or a part of one")
    exact = [word for word in words if word in names]
    parts = [word for word in words if word not in names]
    return [job for job in jobs if not words or job.name in exact or any(word in job.name for word in parts)]


def environment(*packages: str) -> dict[str, Any]:
    """Return the versions that a result may depend on: {"python", "versions"}."""
    return {
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in packages},
    }


def today() -> str:
    """Return the date of a run."""
    return datetime.date.today().isoformat()


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write strict JSON atomically."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(json.dumps(data, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    part.replace(path)


def _plain(data: Mapping[str, Any]) -> Any:
    return json.loads(json.dumps(data))
