"""The table ``[tool.dynprop]`` of a pyproject.toml: targets with kind, options and expected failures.

::

    [tool.dynprop]
    examples = 50                       # of every target that states no other number
    pythonpath = ["src"]

    [[tool.dynprop.targets]]
    target = "mykernels.scan:scan"
    kind = "scan"
    framework = "numpy"
    gates = "unit"

    [tool.dynprop.targets.expected_failures]
    gradient-by-lag = "the log-space form loses digits, issue 12"

Keys may be written with hyphens or underscores. Options are those of the kind, as on the command line.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from dynprop.errors import ArgumentError
from dynprop.kinds import Option, all_kinds, kind_named
from dynprop.wording import value_text

__all__ = ["FILE", "Project", "ProjectTarget", "find_project", "read_project"]

FILE = "pyproject.toml"
TABLE = "[tool.dynprop]"
# Key: types of its value. The first four are settings of a run, and stand for all targets or for one.
RUN: dict[str, tuple[type, ...]] = {
    "examples": (int,),
    "iid": (int,),
    "seed": (int,),
    "timeout": (int, float),
}
PROJECT = {**RUN, "jobs": (int,), "strict": (bool,), "pythonpath": (list,), "targets": (list,)}
TARGET = {
    **RUN,
    "target": (str,),
    "kind": (str,),
    "name": (str,),
    "only": (list,),
    "expected_failures": (dict,),
}


@dataclass(frozen=True)
class ProjectTarget:
    """One target of a project.

    Attributes:
        target: "package.module:attribute" or "path/to/file.py:attribute", from the folder of the project.
        kind: its kind; None for an object that states it.
        name: the name in tables; the target string unless another is given.
        options: the options of the target, as for ``load_subject``; values are those of the kind's options.
        only: ids or slugs of the laws to run; None for every law.
        examples, iid, seed, timeout: as for ``dynprop.check.check``.
        expected_failures: the reason why a law fails, by its id or slug.
    """

    target: str
    kind: str | None = None
    name: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    only: tuple[str, ...] | None = None
    examples: int | None = None
    iid: int = 0
    seed: int = 0
    timeout: float | None = None
    expected_failures: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Project:
    """The targets of a project.

    Attributes:
        folder: the folder of its pyproject.toml, from which targets are found.
        targets: in the order of the file.
        jobs: how many are judged at a time; None for as many as there are cores.
        strict: whether a law that could not be decided keeps the check from success.
        pythonpath: folders that are searched for modules first.
    """

    folder: Path
    targets: tuple[ProjectTarget, ...]
    jobs: int | None = None
    strict: bool = False
    pythonpath: tuple[str, ...] = ()


def find_project(folder: Path) -> Path:
    """Return the pyproject.toml with a table [tool.dynprop], of a folder or of the nearest one above it.

    Raises:
        ArgumentError: there is none.
    """
    for place in (folder, *folder.parents):
        file = place / FILE
        if file.is_file():
            if "dynprop" in _table(_read(file), "tool"):
                return file
            got = f"none, and no {TABLE} in {file}"
            break
    else:
        got = f"none, and no {FILE} in {folder} or above it"
    raise ArgumentError(
        "TARGET", got, f"package.module:attribute, or targets under {TABLE}; see dynprop check --help"
    )


def read_project(file: Path, **overrides: Any) -> Project:
    """Read the targets of a project.

    Args:
        file: its pyproject.toml.
        **overrides: values of settings that replace those of the file, for every target: examples, iid, seed,
            timeout, jobs, strict; None leaves the file's.

    Raises:
        ArgumentError: the file cannot be read, or holds an unknown key or a value of the wrong type.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    table = _settings(_table(_table(_read(file), "tool"), "dynprop"), PROJECT, TABLE)
    if not table.get("targets"):
        raise ArgumentError(TABLE, "no targets", "at least one [[tool.dynprop.targets]]")
    table.update({name: value for name, value in given.items() if name in PROJECT})
    common = {name: table[name] for name in RUN if name in table}
    overridden = {name: value for name, value in given.items() if name in RUN}
    targets = tuple(
        _target(entry, f"target {number} of {TABLE}", common, overridden)
        for number, entry in enumerate(table["targets"], 1)
    )
    return Project(
        file.parent,
        targets,
        table.get("jobs"),
        table.get("strict", False),
        tuple(
            str(file.parent / folder) for folder in _texts("pythonpath", table.get("pythonpath", []), TABLE)
        ),
    )


def _read(file: Path) -> dict[str, Any]:
    """Return the contents of a TOML file, plain values of any type."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ArgumentError(FILE, f"{file} ({error.strerror})", "a file that can be read") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ArgumentError(FILE, f"{file} ({error})", "a TOML file") from error


def _table(data: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = data.get(name, {})
    if not isinstance(found, dict):
        raise ArgumentError(f"[{name}]", value_text(found), "a table")
    return found


def _settings(table: Mapping[str, Any], known: Mapping[str, tuple[type, ...]], place: str) -> dict[str, Any]:
    """Return the keys with underscores; ArgumentError for an unknown one, or a value of the wrong type."""
    found = {}
    for key, value in table.items():
        name = key.replace("-", "_")
        if name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise ArgumentError(place, f"the key {key!r}", f"one of {', '.join(known)}{hint}")
        types = known[name]
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            words = " or ".join(t.__name__ for t in types)
            raise ArgumentError(f"{key} of {place}", value_text(value), f"a value of type {words}")
        found[name] = value
    return found


def _target(
    entry: object, place: str, common: Mapping[str, Any], overrides: Mapping[str, Any]
) -> ProjectTarget:
    """Return one target, with the settings of all where it states no other."""
    if not isinstance(entry, dict):
        raise ArgumentError(place, value_text(entry), "a table with a key target")
    kind = entry.get("kind")
    records = [kind_named(kind)] if isinstance(kind, str) else all_kinds().values()
    options = {option.name: option for record in reversed([*records]) for option in record.options}
    types: dict[str, tuple[type, ...]] = dict.fromkeys(options, (str, int, float, bool, list, dict))
    table = _settings(entry, {**types, **TARGET}, place)
    if "target" not in table:
        raise ArgumentError(place, "no key target", 'target = "package.module:attribute"')
    settings = {**common, **{name: table[name] for name in TARGET if name in table}, **overrides}
    if "only" in settings:
        settings["only"] = tuple(_texts("only", settings["only"], place))
    reasons = settings.get("expected_failures", {})
    for law, reason in reasons.items():
        if not isinstance(reason, str) or not reason.strip():
            raise ArgumentError(f"expected_failures of {place}", f"{law} = {value_text(reason)}", "a reason")
    values = {name: _value(options[name], table[name], place) for name in table if name not in TARGET}
    name = settings.pop("name", "") or settings["target"]
    return ProjectTarget(name=name, options=values, **settings)


def _texts(name: str, values: Iterable[object], place: str) -> list[str]:
    found = [value for value in values if isinstance(value, str)]
    if len(found) < len([*values]):
        raise ArgumentError(f"{name} of {place}", value_text(values), "a list of strings")
    return found


def _value(option: Option, value: Any, place: str) -> Any:
    """Return the value of an option of a kind; the value of the file has any type."""
    got = (f"{option.name} of {place}", value_text(value))
    if option.type is bool:
        if not isinstance(value, bool):
            raise ArgumentError(*got, "true or false")
        return option.value(value)
    if option.type is int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise ArgumentError(*got, "a whole number")
        return option.value(value)
    if option.repeatable:
        return option.value(_texts(option.name, value if isinstance(value, list) else [value], place))
    if isinstance(value, list):
        return option.value(",".join(_texts(option.name, value, place)))
    if isinstance(value, dict):
        return option.value(",".join(f"{key}={number}" for key, number in value.items()))
    if not isinstance(value, str):
        raise ArgumentError(*got, f"text, as after {option.flag}")
    return option.value(value)
