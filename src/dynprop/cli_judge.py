"""``dynprop check``: one target, or all targets of a project."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dynprop.cli_check import options_of_kinds
from dynprop.cli_output import reader_may_leave, write
from dynprop.errors import ArgumentError
from dynprop.kinds import Option, kind_named

__all__ = ["check_all", "check_one"]

# Options that stand for all targets of a project.
OF_ALL = ("examples", "iid", "seed", "timeout", "strict", "jobs", "json_file", "junit")
# Those of one target only.
OF_ONE = ("kind", "only", "html_file", "coverage")


def check_one(given: Mapping[str, Any]) -> int:
    """Judge one target; ``given`` has the values of the command line by parameter."""
    target, kind, only = given["target"], given["kind"], given["only"] or None
    if given["jobs"] is not None:
        raise ArgumentError("--jobs", str(given["jobs"]), "no TARGET: it is for all targets of a project")
    options = _options(kind, given)
    from dynprop.check.process.isolate import check_isolated
    from dynprop.check.run.session import chosen_laws
    from dynprop.check.show.progress import Progress
    from dynprop.check.show.render import print_report

    count = 0 if kind is None else len(chosen_laws(kind, only))
    with Progress(count, only=only).display() as progress:
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
    with reader_may_leave():
        write(given["json_file"], report.dumps)
    if given["html_file"] is not None:
        from dynprop.check.show.html import render_html

        write(given["html_file"], lambda: render_html(report))
    if given["junit"] is not None:
        from dynprop.check.project.judged import JudgedTarget
        from dynprop.check.show.junit import junit_xml

        write(given["junit"], lambda: junit_xml([JudgedTarget(report.target, report)]))
    if given["json_file"] != "-":
        with reader_may_leave():
            print_report(report)
            if given["coverage"]:
                from dynprop.check.show.coverage import print_coverage

                print_coverage(report)
    return report.exit_code(given["strict"])


def check_all(given: Mapping[str, Any]) -> int:
    """Judge all targets of the project in the current folder, or in the nearest one above it."""
    from dynprop.check.project.config import find_project, read_project
    from dynprop.check.project.side_by_side import check_project

    file = find_project(Path.cwd())
    flags = {"html_file": "--html"}
    for name in (*OF_ONE, *(option.name for option in options_of_kinds())):
        if given[name]:
            flag = flags.get(name, f"--{name.replace('_', '-')}")
            got = "the flag" if given[name] is True else repr(given[name])
            raise ArgumentError(flag, got, f"a TARGET beside it; those of {file} have it in their own tables")
    settings = {name: given[name] for name in ("examples", "timeout", "jobs")}
    # 0 and False stand for options that are not given.
    settings |= {name: given[name] or None for name in ("iid", "seed", "strict")}
    project = read_project(file, **settings)
    from dynprop.check.show.junit import junit_xml
    from dynprop.check.show.progress import Progress
    from dynprop.check.show.project import print_project

    with Progress(len(project.targets), noun="targets").display() as progress:
        report = check_project(project, progress.step)
    with reader_may_leave():
        write(given["json_file"], lambda: json.dumps(report.to_json(), indent=1, ensure_ascii=False))
    write(given["junit"], lambda: junit_xml(report.targets))
    if given["json_file"] != "-":
        with reader_may_leave():
            print_project(report)
    return report.exit_code


def _options(kind: str | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a target as values of its kind's options; of any kind, if it is unknown."""
    own = () if kind is None else kind_named(kind).options
    # Kinds may share the name of an option and parse it each in its own way.
    declared = {option.name: option for option in (*options_of_kinds(), *own)}
    if kind is not None:
        for option in declared.values():
            _require_option(option, given[option.name], kind)
    return {name: option.value(given[name]) for name, option in declared.items()}


def _require_option(option: Option, given: Any, kind: str) -> None:
    """Raise ArgumentError, with flags as they are written, if a kind does not take an option."""
    flags = [known.flag for known in kind_named(kind).options]
    absent = given is None or given is False or given == []
    if not absent and option.flag not in flags:
        text = " ".join(given) if isinstance(given, list) else given
        got = "the flag" if given is True else repr(str(text))
        raise ArgumentError(option.flag, got, f"an option that kind {kind} takes: {', '.join(flags)}")
