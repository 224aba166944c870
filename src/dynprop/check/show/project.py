"""A table of all targets of a project, with what fails and what was expected to."""

from __future__ import annotations

from collections import Counter

from rich.console import Console
from rich.text import Text

from dynprop.check.project.judged import JudgedTarget, ProjectReport
from dynprop.check.show.render import STYLES, open_console, print_hanging, print_report, word

__all__ = ["print_project"]

INDENT = 4
WORDS = {0: "pass", 1: "fail", 2: "not judged", 3: "undecided", 4: "a defect of dynprop"}


def print_project(project: ProjectReport, console: Console | None = None) -> None:
    """Print the reports with unexpected failures, then a line per target, then the verdict."""
    out = console or open_console()
    for target in project.targets:
        if target.report is not None and target.failures:
            print_report(target.report, out)
            out.print()
    wide = max(len(target.name) for target in project.targets)
    out.print(Text(f"{'target':{wide}}  {'kind':16}  {'verdict':12}  {'laws':>4}  {'decided':>9}", "dim"))
    for target in project.targets:
        _print_target(target, wide, out)
    out.print()
    codes = Counter(target.exit_code(project.strict) for target in project.targets)
    counts = ", ".join(f"{codes[code]} {WORDS[code]}" for code in WORDS if codes[code])
    out.print(Text(f"{len(project.targets)} targets: {counts}"))


def _print_target(target: JudgedTarget, wide: int, out: Console) -> None:
    line = Text(f"{target.name:{wide}}  ")
    report = target.report
    line.append(f"{'' if report is None else report.kind:16}  ")
    line.append(f"{word(target.verdict):12}", STYLES.get(target.verdict, "bold red"))
    if report is not None:
        decided = sum(result.decided for result in report.laws)
        line.append(f"  {len(report.laws):>4}  {decided:>9,}")
    out.print(line, soft_wrap=True)
    notes = [target.problem] if target.problem else []
    notes += [f"{result.law}: {result.verdict}" for result in target.failures]
    notes += [
        f"{r.law}: expected to fail ({target.expected[r.law]}), and {word(r.verdict)}: remove it"
        for r in target.stale
    ]
    stale = {result.law for result in target.stale}
    notes += [
        f"{law}: fails as expected ({reason})" for law, reason in target.expected.items() if law not in stale
    ]
    for note in notes:
        print_hanging(Text(), Text(note, "dim"), INDENT, out)
