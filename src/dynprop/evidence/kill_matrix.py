"""The kill matrix: every planted fault against every law of its kind, and every control beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from dynprop.check.run.report import library_versions
from dynprop.check.run.runner import Options, run_law
from dynprop.kinds import all_controls, all_faults, kind_named, laws_for
from dynprop.laws.catalogue import Control, Fault

__all__ = ["KillMatrix", "Row", "judge", "kill_matrix", "subject_of"]

Listener = Callable[[str, int, int], None]
GROSS_EXAMPLES = 20


@dataclass(frozen=True)
class Row:
    """One implementation and what every law said of it.

    Attributes:
        name: name of the fault or control.
        kind: its kind.
        summary: what it is, in one line.
        source: the real bug that it is named after; empty for a control.
        correct: whether it is a control.
        gross: whether 20 examples must suffice.
        examples: examples per law, None for each law's own number.
        verdicts: verdict of each law by id.
        cases: how many cases ran.
    """

    name: str
    kind: str
    summary: str
    source: str
    correct: bool
    gross: bool
    examples: int | None
    verdicts: dict[str, str]
    cases: int

    @property
    def caught_by(self) -> tuple[str, ...]:
        """Ids of the laws that failed it."""
        return tuple(i for i, v in self.verdicts.items() if v in ("wrong", "error", "inaccurate"))


@dataclass(frozen=True)
class KillMatrix:
    """Every fault and control with the verdicts of the laws of its kind.

    Attributes:
        rows: one for each fault and control.
        seed: what seeded the cases.
    """

    rows: tuple[Row, ...]
    seed: int = 0

    @property
    def uncaught(self) -> tuple[str, ...]:
        """Faults that no law failed."""
        return tuple(r.name for r in self.rows if not r.correct and not r.caught_by)

    @property
    def accused(self) -> tuple[str, ...]:
        """Controls that some law failed."""
        return tuple(r.name for r in self.rows if r.correct and r.caught_by)

    @property
    def idle(self) -> tuple[str, ...]:
        """Laws that failed no fault at all: either too weak, or without a fault to show it."""
        laws = dict.fromkeys(i for r in self.rows for i in r.verdicts)
        used = {i for r in self.rows if not r.correct for i in r.caught_by}
        return tuple(i for i in laws if i not in used)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "date": date.today().isoformat(),
            "seed": self.seed,
            "versions": library_versions("torch"),
            "uncaught": list(self.uncaught),
            "accused": list(self.accused),
            "idle": list(self.idle),
            "rows": [{**r.__dict__, "caught_by": list(r.caught_by)} for r in self.rows],
        }


def subject_of(entry: Fault | Control) -> Any:
    """Build a fault or control into something that laws can judge."""
    adapter = kind_named(entry.kind).adapter_class()
    subject = adapter.of(entry.build(), framework=entry.framework, name=entry.name, **entry.domain)
    subject.preflight()
    return subject


def judge(entry: Fault | Control, options: Options) -> Row:
    """Run every law of its kind on one fault or control."""
    subject = subject_of(entry)
    results = [run_law(law, subject, options) for law in laws_for(entry.kind)]
    return Row(
        entry.name,
        entry.kind,
        entry.summary,
        getattr(entry, "source", ""),
        isinstance(entry, Control),
        bool(getattr(entry, "gross", False)),
        options.examples,
        {r.law: r.verdict for r in results},
        sum(r.cases for r in results),
    )


def _silent(name: str, done: int, total: int) -> None:
    return None


def kill_matrix(
    examples: int | None = None,
    listen: Listener = _silent,
    *,
    entries: Iterable[Fault | Control] | None = None,
    seed: int = 0,
) -> KillMatrix:
    """Judge every planted fault and every control.

    Args:
        examples: examples per law; None means 20 for gross faults, each law's own number otherwise.
        listen: called with (name, done, total) before each entry.
        entries: some faults and controls; default all.
        seed: seeds the cases.
    """
    chosen: list[Fault | Control] = []
    if entries is None:
        chosen += all_faults()
        chosen += all_controls()
    else:
        chosen += entries
    rows = []
    for done, entry in enumerate(chosen):
        listen(entry.name, done, len(chosen))
        count = GROSS_EXAMPLES if examples is None and getattr(entry, "gross", False) else examples
        rows.append(judge(entry, Options(examples=count, seed=seed, patience=0.0)))
    return KillMatrix(tuple(rows), seed)
