"""Code that shows a counterexample when pasted, without dynprop wherever the law allows it."""

from __future__ import annotations

import json
import re
from typing import Any

from dynprop.kinds import kind_named
from dynprop.laws.code import import_lines
from dynprop.laws.law import Case, Law

__all__ = ["reproduction"]

# Longer calls are not printed: the report holds the case.
LONGEST_LINE = 8000


def reproduction(law: Law, subject: Any, case: Case, detail: dict[str, Any]) -> str:
    """Return a script that shows how the subject breaks the law on this case."""
    data = case.to_json()
    body = law.script.get(subject.framework, law.script.get("", ""))
    for key, value in detail.items():
        body = body.replace("{" + key + "}", str(value))
    # A case that raised has no detail to fill in: then the law itself is called.
    code = [line for line in body.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    ready = bool(code) and not re.search(r"\{\w+\}", body)
    setup = kind_named(law.kind).script_setup(data, subject.framework) if ready else None
    if setup is not None:
        imports = import_lines(setup.library, setup.dtype) if setup.library else []
        shown = [line for line in body.splitlines() if line not in imports]
        return "\n".join([*imports, *_target(subject), *setup.lines, *shown])
    call = f"again({law.id!r}, subject, json.loads({json.dumps(data)!r}))"
    lines = ["import json", "from dynprop.check import again", *_target(subject, "subject"), f"print({call})"]
    if len(lines[-1]) > LONGEST_LINE:
        return "# the case is large: run  dynprop replay REPORT.json  on the report of this check"
    return "\n".join(lines)


def _target(subject: Any, name: str = "f") -> list[str]:
    """Return the lines that import the target under a name."""
    origin: str = getattr(subject, "origin", "") or ""
    place, _, attribute = origin.rpartition(":")
    if name == "subject":
        if not origin:
            return ["# subject = the object that was checked"]
        options = ", ".join(f"{k}={v!r}" for k, v in getattr(subject, "options", {}).items())
        return [
            "from dynprop.check import load_subject",
            f"subject = load_subject({origin!r}, {subject.kind!r}{', ' if options else ''}{options})",
        ]
    if place.endswith(".py"):
        folder, _, file = place.rpartition("/")
        if not file[:-3].isidentifier():
            head, *rest = attribute.split(".")
            parts = "".join(f".{part}" for part in rest)
            return ["import runpy", f"{name} = runpy.run_path({place!r})[{head!r}]{parts}"]
        lines = [f"import sys; sys.path.insert(0, {folder or '.'!r})"]
        place = file[:-3]
    else:
        lines = []
    if place:
        head, *rest = attribute.split(".")
        if not rest:
            alias = "" if head == name else f" as {name}"
            return [*lines, f"from {place} import {head}{alias}"]
        return [*lines, f"from {place} import {head}", f"{name} = {'.'.join([head, *rest])}"]
    return [f"# {name} = {subject.name}: the function that was checked"]
