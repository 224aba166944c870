"""Parts of hand-written pages that are made from the registry of kinds and laws.

A page marks such a part by comments, ``<!-- made: NAME -->`` and ``<!-- end -->``; this command writes what
stands between them. A test holds every part to what the registry says today.

    python docs/fill.py            writes the parts of all pages
    python docs/fill.py --check    names the pages that would change, and exits with 1 if there is one
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from dynprop.kinds import all_kinds, all_laws

ROOT = Path(__file__).resolve().parents[1]
PAGES = tuple(ROOT / name for name in ("README.md", "docs/reference.md", "docs/theory.md"))
PART = re.compile(r"(<!-- made: (\S+)(?: (\S+))? -->\n)(.*?)(<!-- end -->)", re.S)


def kinds_table() -> str:
    """Return the table of kinds: name, callable, arrays."""
    rows = ["| kind | the callable | arrays |", "|---|---|---|"]
    for kind in all_kinds().values():
        callable_ = kind.callable if "`" in kind.callable else f"`{kind.callable}`"
        rows.append(f"| `{kind.name}` | {callable_} | {kind.arguments_text} |")
    return "\n".join(rows) + "\n"


def kinds_default() -> str:
    """Return the sentence that says which arrays a target of each kind takes by default."""
    kinds = all_kinds().values()
    numpy = [f"`{kind.name}`" for kind in kinds if kind.framework == "numpy"]
    others = sorted({kind.framework for kind in kinds} - {"numpy"})
    listed = f"{', '.join(numpy[:-1])} and {numpy[-1]}"
    return f"By default a target of kind {listed} takes numpy arrays, any other {' or '.join(others)}.\n"


def laws_of_claim(claim: str) -> str:
    """Return the laws of one claim, kind by kind."""
    found = [law for law in all_laws() if law.claim == claim]
    text = [f"{len(found)} law{'s' if len(found) != 1 else ''}."]
    for kind in dict.fromkeys(law.kind for law in found):
        ids = ", ".join(f"`{law.id}`" for law in found if law.kind == kind)
        text.append(f"Kind `{kind}`: {ids}.")
    return "\n\n".join(text) + "\n"


MADE: dict[str, Callable[..., str]] = {
    "kinds": kinds_table,
    "kinds-default": kinds_default,
    "laws": laws_of_claim,
}


def filled(text: str) -> str:
    """Return a page with every marked part made anew.

    Raises:
        KeyError: a part has a name that is not in ``MADE``.
    """

    def made(found: re.Match[str]) -> str:
        opening, name, argument, _, closing = found.groups()
        return opening + MADE[name](*([argument] if argument else [])) + closing

    return PART.sub(made, text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Fill every page, or with --check say which would change."""
    only_check = "--check" in (sys.argv[1:] if arguments is None else arguments)
    stale = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        new = filled(text)
        if new != text:
            stale.append(page.relative_to(ROOT).as_posix())
            if not only_check:
                page.write_text(new, encoding="utf-8")
    for name in stale:
        print(f"{name}: {'differs; run python docs/fill.py' if only_check else 'written'}")
    return int(only_check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
