"""A report as text for a terminal.

Lines fit 80 columns, and colour only repeats the words. Code is printed without frame and unwrapped, so that
it can be copied.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TextIO

from rich.console import Console
from rich.rule import Rule
from rich.syntax import Syntax
from rich.text import Text

from dynprop.check.run.outcome import FAILURES, LawResult
from dynprop.check.run.report import Report
from dynprop.check.run.scripts import shown
from dynprop.check.run.session import Retrial
from dynprop.contracts.domain import described
from dynprop.kinds import kind_named, laws_for
from dynprop.laws.law import Law

__all__ = [
    "STYLES",
    "VERDICT_WORDS",
    "domain_text",
    "is_hypothesis",
    "lag_text",
    "likeliest",
    "open_console",
    "print_hanging",
    "print_laws",
    "print_report",
    "print_retrials",
    "ratio_text",
    "sentence",
    "word",
]

VERDICT_WORDS = {"not-applicable": "not applicable"}
STYLES = {
    "pass": "green",
    "wrong": "bold red",
    "error": "bold red",
    "inaccurate": "bold yellow",
    "refused": "cyan",
    "undecidable": "yellow",
    "not-applicable": "dim",
}
LABEL = 8
DIGITS_PER_LINE = 11
# Code with a longer line than this is printed once per cause.
LONG = 200


class _Console(Console):
    """A console whose reader may go away."""

    def on_broken_pipe(self) -> None:
        """Pass the exception on; rich would exit with status 1, that of a failing law."""
        raise BrokenPipeError


def open_console(file: TextIO | None = None) -> Console:
    """Return a console that adds nothing to the text: no markup, no emoji, no highlighting."""
    return _Console(file=file or sys.stdout, markup=False, emoji=False, highlight=False)


def print_report(report: Report, console: Console | None = None) -> None:
    """Print a report: a line per law, then every failure with its counterexample, then the verdict."""
    out = console or open_console()
    _print_header(report, out)
    _print_laws_table(report.laws, out)
    likely, count = likeliest(report)
    if count > 1:
        label = "most likely:" if is_hypothesis(likely, report) else "in common:"
        text = Text.assemble((likely, "bold red"), f"  ({count} of {len(report.failures)} failing laws)")
        out.print()
        print_hanging(Text(label, "bold"), text, len(label) + 1, out)
    printed_causes: set[str] = set()
    for result in report.failures:
        _print_failure(result, report, printed_causes, out)
    out.print()
    out.print(Rule(style="dim", characters="─"))
    _print_summary(report, out)


def _print_header(report: Report, out: Console) -> None:
    versions = " · ".join(f"{name} {version}" for name, version in report.versions.items())
    out.print(Text.assemble((report.target, "bold"), f"  kind {report.kind}"), soft_wrap=True)
    out.print(Text(f"{versions} · seed {report.seed}", "dim"))
    promised = domain_text(report)
    if promised:
        out.print(Text(promised, "dim"))
    out.print()


def domain_text(report: Report) -> str:
    """Describe the target's domain in words; empty if the report has none.

    Where the kind's own line cannot be written, the line names formats and length: the report is shown.
    """
    if not report.domain:
        return ""
    try:
        return kind_named(report.kind).promise_text(report.domain, report.options)
    except Exception:  # a kind's own code
        return described(report.domain)


def ratio_text(result: LawResult) -> str:
    """Return the worst error over bound as a short number; empty where nothing was decided."""
    ratio = result.worst_ratio
    if not result.decided:
        return ""
    if not math.isfinite(ratio):
        return "inf"
    if ratio == 0.0:
        return "0"
    mantissa, exponent = f"{ratio:.0e}".split("e")
    return f"{ratio:.2f}" if 0.005 <= ratio < 1000 else f"{mantissa}e{int(exponent)}"


def _print_laws_table(laws: Sequence[LawResult], out: Console) -> None:
    """Print a line per law, then the reasons of those that are not applicable."""
    wide = max([len(r.law) for r in laws], default=3)
    words = max([len(word(r.verdict)) for r in laws], default=7)
    out.print(Text(f"{'law':{wide}}  {'verdict':{words}}  {'decided':>9}  {'error/bound':>11}", "dim"))
    reasons: dict[str, list[str]] = {}
    for result in laws:
        line = Text(f"{result.law:{wide}}  ")
        line.append(f"{word(result.verdict)}", STYLES[result.verdict])
        if result.not_applicable:
            reasons.setdefault(result.note, []).append(result.law.split("/", 1)[1])
            out.print(line, soft_wrap=True)
            continue
        line.pad_right(wide + 2 + words - line.cell_len)
        line.append(f"  {result.decided:>4}/{result.cases:<4}  {ratio_text(result):>11}")
        counts = (("undecidable", result.undecidable), ("refused", result.refused), ("errors", result.errors))
        notes = ", ".join(f"{n} {name if n > 1 else name.removesuffix(chr(115))}" for name, n in counts if n)
        if notes:
            line.append(f"  {notes}", "dim")
        out.print(line, soft_wrap=True)
        if result.note:
            print_hanging(Text(), Text(result.note, "dim"), 4, out)
    if reasons:
        out.print()
    for reason, slugs in reasons.items():
        print_hanging(Text("not applicable", "dim"), Text(f"{', '.join(slugs)}: {reason}", "dim"), 16, out)


def print_hanging(label: Text, text: Text, indent: int, out: Console) -> None:
    """Print text beside a first column, wrapped under itself."""
    lines = [line for part in text.split() for line in part.wrap(out, max(20, out.width - indent))]
    for i, line in enumerate(lines):
        lead = label.copy() if i == 0 else Text()
        lead.pad_right(max(0, indent - lead.cell_len))
        line.rstrip()
        out.print(Text.assemble(lead, line), soft_wrap=True)


def word(verdict: str) -> str:
    """Return a verdict as text shows it."""
    return VERDICT_WORDS.get(verdict, verdict)


def cause(result: LawResult) -> str:
    """Return the cause of a failure: its hypothesis without numbers, or its error."""
    if result.hypothesis:
        return result.hypothesis.split(" (error ")[0].split(":")[0]
    example = result.counterexample
    return example.message if example is not None and result.verdict == "error" else ""


def likeliest(report: Report) -> tuple[str, int]:
    """Return the cause that most failing laws share, and their number; ("", 0) if none is known."""
    names = [cause(result) for result in report.failures]
    common = Counter(name for name in names if name).most_common(1)
    return common[0] if common else ("", 0)


def is_hypothesis(likely: str, report: Report) -> bool:
    """Whether a cause is a hypothesis rather than an error."""
    return any(result.hypothesis and cause(result) == likely for result in report.failures)


def _print_failure(result: LawResult, report: Report, printed_causes: set[str], out: Console) -> None:
    out.print()
    title = Text.assemble((result.law, "bold"), " ", (result.verdict, STYLES[result.verdict]))
    out.print(Rule(title, align="left", style="dim", characters="─"))
    statement = next((law.statement for law in laws_for(report.kind) if law.id == result.law), "")
    example = result.counterexample
    rows = [("law", Text(statement))]
    if example is not None:
        detail = ", ".join(f"{k} {v}" for k, v in example.detail.items() if k != "checked")
        rows += [("found", Text(example.message)), ("on", Text(example.summary)), ("with", Text(detail))]
    rows += [("likely", Text(result.hypothesis or "", "bold")), ("note", Text(result.note))]
    if example is not None and example.correct_digits:
        rows.append(("digits", _digits(example.correct_digits)))
    for label, text in rows:
        if text:
            print_hanging(Text(label, "dim"), text, LABEL, out)
    if example is None or not example.script:
        return
    if cause(result) in printed_causes and max(map(len, example.script.splitlines())) > LONG:
        hint = "as above, on a case too long to print again: --json keeps it, dynprop replay runs it"
        print_hanging(Text("code", "dim"), Text(hint), LABEL, out)
        return
    printed_causes.update({cause(result)} - {""})
    out.print()
    _print_code(shown(example.script), out)


def _digits(pairs: Sequence[tuple[int, float]]) -> Text:
    """Return the correct digits per lag as rows of a small table."""
    lines = []
    for start in range(0, len(pairs), DIGITS_PER_LINE):
        part = pairs[start : start + DIGITS_PER_LINE]
        lines.append("lag     " + "".join(f"{lag:>5}" for lag, _ in part))
        lines.append("correct " + "".join(f"{digits + 0.0:>5.1f}" for _, digits in part))
    return Text("\n".join(lines))


def _print_code(code: str, out: Console) -> None:
    """Print code without frame, cuts or line breaks; coloured on a terminal."""
    if out.is_terminal and not out.no_color:
        syntax = Syntax(code, "python", theme="ansi_dark", background_color="default")
        text = syntax.highlight(code)
        text.rstrip()
        out.print(text, soft_wrap=True)
    else:
        out.print(Text(code), soft_wrap=True)


def _print_summary(report: Report, out: Console) -> None:
    line = lag_text(report)
    if line:
        whole = report.effective_lag == report.max_decided_lag
        print_hanging(Text(), Text(line, "" if whole else "bold red"), 0, out)
    verdict = Text.assemble((word(report.verdict), STYLES[report.verdict]), ": ", sentence(report))
    print_hanging(Text(), verdict, 0, out)


def lag_text(report: Report) -> str:
    """Return how far back gradients are right, and how much of the gradient is left there; "" if unjudged."""
    lag, decided = report.effective_lag, report.max_decided_lag
    if lag is None or decided is None:
        return ""
    if lag < 0:
        return f"gradients wrong from lag 0 on ({decided} decided)"
    each = report.effective_lags
    text = f"gradients right up to lag {lag} of {decided} decided"
    if lag != decided and len(set(each.values())) > 1:
        text += f" ({', '.join(f'{dtype} {value}' for dtype, value in each.items())})"
    left = report.gradient_left
    if left is None:
        return text
    if left >= 1.5:
        return f"{text}, where the gradient is {left:.2g} times that at lag 0"
    share = f"{100 * left:.0f} %" if left >= 0.01 else f"{left:.0e}".replace("e-0", "e-")
    return f"{text}, where {share} of the gradient is left"


def sentence(report: Report) -> str:
    """Return the reason for the verdict in one sentence."""
    counts = Counter(result.verdict for result in report.laws)
    cases = sum(result.decided for result in report.laws)
    if report.failures:
        judged = len(report.laws) - counts["not-applicable"]
        parts = [f"{counts[v]} {v}" for v in FAILURES if counts[v]]
        text = f"{len(report.failures)} of {judged} laws fail ({', '.join(parts)})"
        likely, count = likeliest(report)
        if not likely or 1 == count < len(report.failures):
            return text
        return f"{text}, most likely: {likely}" if is_hypothesis(likely, report) else f"{text}: {likely}"
    if not counts["pass"]:
        return "no law could be decided; this says nothing about the target"
    text = f"{counts['pass']} laws hold on {cases:,} decided cases"
    if counts["pass"] == 1:
        text = f"1 law holds on {cases:,} decided cases"
    remaining = [f"{counts[v]} {word(v)}" for v in ("refused", "undecidable", "not-applicable") if counts[v]]
    return f"{text}; {', '.join(remaining)}" if remaining else text


def print_laws(laws: Iterable[Law], console: Console | None = None) -> None:
    """Print every law: id and claim, statement, source."""
    out = console or open_console()
    kind = ""
    for law in laws:
        if law.kind != kind:
            if kind:
                out.print()
            kind = law.kind
            out.print(Rule(Text(f"kind {kind}", "bold"), align="left", style="dim", characters="─"))
        out.print(Text.assemble((law.id, "bold"), f"  {law.claim}"))
        print_hanging(Text(), Text(law.statement), 4, out)
        print_hanging(Text(), Text(law.source, "dim"), 4, out)


def print_retrials(retrials: Sequence[Retrial], report: Report, console: Console | None = None) -> None:
    """Print one line per saved counterexample, whether it still fails."""
    out = console or open_console()
    if not retrials:
        out.print(Text(f"no counterexample is saved for {report.target}: nothing to replay"))
        return
    wide = max(len(r.law) for r in retrials)
    for retrial in retrials:
        line = Text(f"{retrial.law:{wide}}  ")
        line.append(*(("still fails", "bold red") if retrial.failed else ("passes now", "green")))
        if retrial.verdict != "pass":
            line.append(f"  {word(retrial.verdict)}{': ' if retrial.message else ''}{retrial.message}", "dim")
        out.print(line, soft_wrap=True)
    still_failing = sum(r.failed for r in retrials)
    out.print()
    out.print(Text(f"{still_failing} of {len(retrials)} saved counterexamples still fail: {report.target}"))
