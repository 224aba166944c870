"""Code that shows a counterexample when pasted, without dynprop wherever the law allows it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from dynprop.check.run.subjects import TargetName
from dynprop.kinds import kind_named
from dynprop.laws.code import import_lines
from dynprop.laws.law import Case, Law
from dynprop.wording import error_text, shorten

__all__ = ["reproduction", "shown"]

# Longer calls are not printed: the report holds the case.
LONGEST_LINE = 8000
# A longer line is cut in the middle where a script is printed.
SHOWN_LINE = 1200
CUT = "# cut in the middle: --json keeps the whole case, and dynprop replay runs it"


def reproduction(law: Law, target: TargetName, case: Case, detail: Mapping[str, Any]) -> str:
    """Return a script that shows how the target breaks the law on this case.

    Args:
        law: the law.
        target: the target as scripts name it.
        case: the case.
        detail: the law's own parameters, which may be of any type that can be printed.
    """
    data = case.to_json()
    body = law.script.get(target.framework, law.script.get("", ""))
    for key, value in detail.items():
        body = body.replace("{" + key + "}", str(value))
    # Without the law's detail (the target raised) the script calls the law itself.
    code = [line for line in body.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    complete = bool(code) and not re.search(r"\{\w+\}", body)
    failed, setup = "", None
    if complete:
        try:
            setup = kind_named(law.kind).script_setup(data, target.framework)
        except Exception as error:  # a kind's own code: a script that it cannot write changes no verdict
            failed = f"# kind {law.kind} cannot write its script of this case: {error_text(error)}"
    if setup is not None:
        imports = import_lines(setup.library, setup.dtype) if setup.library else []
        body_lines = [line for line in body.splitlines() if line not in imports]
        return "\n".join([*imports, *_target_lines(target), *setup.lines, *body_lines])
    call = f"again({law.id!r}, subject, json.loads({json.dumps(data)!r}))"
    lines = [failed] if failed else []
    lines += ["import json", "from dynprop.check import again", *_subject_lines(target), f"print({call})"]
    if len(lines[-1]) > LONGEST_LINE:
        return "# the case is large: run  dynprop replay REPORT.json  on the report of this check"
    return "\n".join(lines)


def _subject_lines(target: TargetName) -> list[str]:
    """Return the lines that load the target as a subject."""
    if not target.origin:
        return ["# subject = the object that was checked"]
    options = "".join(f", {name}={value!r}" for name, value in target.options.items())
    return [
        "from dynprop.check import load_subject",
        f"subject = load_subject({target.origin!r}, {target.kind!r}{options})",
    ]


def _target_lines(target: TargetName, name: str = "f") -> list[str]:
    """Return the lines that import the target under a name."""
    place, _, attribute = target.origin.rpartition(":")
    if place.endswith(".py"):
        folder, _, file = place.rpartition("/")
        if not file[:-3].isidentifier():
            head, *inner = attribute.split(".")
            parts = "".join(f".{part}" for part in inner)
            return ["import runpy", f"{name} = runpy.run_path({place!r})[{head!r}]{parts}"]
        lines = [f"import sys; sys.path.insert(0, {folder or '.'!r})"]
        place = file[:-3]
    else:
        lines = []
    if place:
        head, *inner = attribute.split(".")
        if not inner:
            alias = "" if head == name else f" as {name}"
            return [*lines, f"from {place} import {head}{alias}"]
        return [*lines, f"from {place} import {head}", f"{name} = {'.'.join([head, *inner])}"]
    return [f"# {name} = {target.name}: the function that was checked"]


def shown(script: str) -> str:
    """Return a script as it is printed: long lines are cut in the middle, and a last line says so."""
    lines = [shorten(line, SHOWN_LINE) for line in script.splitlines()]
    return "\n".join([*lines, CUT] if lines != script.splitlines() else lines)
