"""The coverage of a check as text: decided cases of every pair of classes, then the holes."""

from __future__ import annotations

from itertools import groupby

from rich.console import Console
from rich.rule import Rule
from rich.text import Text

from dynprop.check.run.coverage import Coverage, Pair
from dynprop.check.run.report import Report
from dynprop.check.show.render import open_console, print_hanging

__all__ = ["print_coverage"]


def print_coverage(report: Report, console: Console | None = None) -> None:
    """Print the coverage of a report: the pairs with their decided cases, the holes, the share."""
    out = console or open_console()
    out.print()
    out.print(Rule(Text("coverage", "bold"), align="left", style="dim", characters="─"))
    if report.coverage is None:
        out.print(Text(f"kind {report.kind} has no plan of cases"))
        return
    out.print(Text("decided cases of each pair of classes, over all laws", "dim"))
    for factors, pairs in groupby(report.coverage.pairs, lambda pair: [name for name, _ in pair.classes]):
        out.print()
        out.print(Text(" × ".join(factors), "bold"))
        _print_pairs(list(pairs), out)
    _print_holes(report.coverage, out)


def _print_pairs(pairs: list[Pair], out: Console) -> None:
    """Print the pairs of two factors: a line for each class of the first."""
    wide = max(len(pair.classes[0][1]) for pair in pairs) + 4
    for first, row in groupby(pairs, lambda pair: pair.classes[0][1]):
        cells = Text(" · ").join(
            Text.assemble(f"{pair.classes[1][1]} ".replace(" ", "\u00a0"), (f"{pair.decided}", _style(pair)))
            for pair in row
        )
        print_hanging(Text(f"  {first}"), cells, wide, out)


def _style(pair: Pair) -> str:
    return "green" if pair.decided else "bold red"


def _print_holes(coverage: Coverage, out: Console) -> None:
    out.print()
    for hole in coverage.holes:
        out.print(Text.assemble(("hole ", "bold red"), str(hole), f", {hole.cases} cases, none decided"))
        for line in hole.undecided:
            print_hanging(Text("  undecided", "dim"), Text(line), 12, out)
    for pair, reason in coverage.impossible.items():
        print_hanging(Text("no case", "dim"), Text(f"{Pair(pair)}: {reason}", "dim"), 8, out)
    decided = len(coverage.pairs) - len(coverage.holes)
    out.print(Text(f"{decided} of {len(coverage.pairs)} pairs of classes decided ({coverage.share:.1%})"))
