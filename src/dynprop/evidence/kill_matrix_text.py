"""The kill matrix as text: a row per fault, a column per law, a letter per verdict."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_letters
from typing import TYPE_CHECKING

from rich.console import Console
from rich.rule import Rule
from rich.text import Text

from dynprop.check.show.render import open_console

if TYPE_CHECKING:
    from dynprop.evidence.kill_matrix import KillMatrix, Row

__all__ = ["print_matrix"]

MARKS = {
    "wrong": ("W", "bold red"),
    "error": ("E", "bold red"),
    "inaccurate": ("I", "bold yellow"),
    "pass": (".", "dim"),
    "refused": ("r", "cyan"),
    "undecidable": ("?", "yellow"),
    "not-applicable": (" ", ""),
}
LEGEND = "W wrong  E error  I inaccurate  . pass  ? undecidable  r refused  blank: n/a"


def print_matrix(
    matrix: KillMatrix, console: Console | None = None, *, idle: Sequence[str] | None = None
) -> None:
    """Print which law catches which fault, and that no control is accused.

    Args:
        matrix: the kill matrix.
        console: where to print; default stdout.
        idle: laws to list as those that catch no fault; default those of the matrix.
    """
    out = console or open_console()
    for kind in dict.fromkeys(row.kind for row in matrix.rows):
        _print_kind(kind, [row for row in matrix.rows if row.kind == kind], out)
    out.print(Rule(style="dim", characters="─"))
    out.print(Text(LEGEND, "dim"))
    for title, names in (
        ("faults that no law catches", matrix.uncaught),
        ("correct implementations that are accused", matrix.accused),
        ("laws that catch no fault", matrix.idle if idle is None else idle),
    ):
        if names:
            out.print(Text(f"{title}: {', '.join(names)}", "bold"))
    faults = [row for row in matrix.rows if not row.correct]
    controls = [row for row in matrix.rows if row.correct]
    out.print(
        Text(
            f"{len(faults) - len(matrix.uncaught)} of {len(faults)} faults are caught, "
            f"{len(matrix.accused)} of {len(controls)} correct implementations are accused"
        )
    )


def _print_kind(kind: str, rows: Sequence[Row], out: Console) -> None:
    laws = list(dict.fromkeys(law for row in rows for law in row.verdicts))
    out.print(Rule(Text(f"kind {kind}", "bold"), align="left", style="dim", characters="─"))
    letters = dict(zip(laws, ascii_letters, strict=False))
    names = [f"{letters[law]} {law.split('/', 1)[1]}" for law in laws]
    wide = max(len(name) for name in names) + 3
    columns = max(1, out.width // wide)
    for start in range(0, len(names), columns):
        legend = "".join(f"{name:{wide}}" for name in names[start : start + columns])
        out.print(Text(legend.rstrip(), "dim"))
    for title, implementations in (
        ("fault", [row for row in rows if not row.correct]),
        ("correct", [row for row in rows if row.correct]),
    ):
        if not implementations:
            continue
        width = max(len(row.name.split("/", 1)[-1]) for row in implementations)
        out.print()
        out.print(Text(f"{title:{width}}  {''.join(letters[law] for law in laws)}", "dim"))
        for row in implementations:
            line = Text(f"{row.name.split('/', 1)[-1]:{width}}  ")
            for law in laws:
                line.append(*MARKS[row.verdicts.get(law, "not-applicable")])
            line.rstrip()
            if row.correct == bool(row.caught_by):
                line.append("  ACCUSED" if row.correct else "  UNCAUGHT", "bold red")
            out.print(line, soft_wrap=True)
    out.print()
