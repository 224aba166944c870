"""The kill matrix: every planted fault against every law of its kind, and every control beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from difflib import get_close_matches
from typing import Any

from dynprop.check.run.report import library_versions
from dynprop.check.run.runner import Options, run_law
from dynprop.errors import ArgumentError
from dynprop.evidence.code import Rooms, code_of_planted
from dynprop.kinds import all_controls, all_faults, kind_named, laws_for
from dynprop.laws.catalogue import Control, Fault

__all__ = ["KillMatrix", "Row", "chosen_entries", "judge", "kill_matrix", "options_of", "subject_of"]

Listener = Callable[[str, int, int], None]
GROSS_EXAMPLES = 20


@dataclass(frozen=True)
class Row:
    """One implementation and the verdict of every law on it.

    Attributes:
        name: name of the fault or control.
        kind: its kind.
        summary: description in one line.
        source: the real bug that it is named after; empty for a control.
        correct: whether it is a control.
        gross: whether 20 examples must suffice.
        examples: examples per law, None for each law's own number.
        verdicts: verdict of each law by id.
        cases: number of cases run.
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
        seed: seed of the cases.
        code: digests of the code that ran, by kind.
    """

    rows: tuple[Row, ...]
    seed: int = 0
    code: Mapping[str, Rooms] = field(default_factory=dict)

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
            "code": {kind: dict(rooms) for kind, rooms in self.code.items()},
            "rows": [{**r.__dict__, "caught_by": list(r.caught_by)} for r in self.rows],
        }


def subject_of(entry: Fault | Control) -> Any:
    """Build a fault or control into something that laws can judge."""
    record = kind_named(entry.kind)
    record.require_usable()
    adapter = record.adapter_class()
    subject = adapter.of(entry.build(), framework=entry.framework, name=entry.name, **entry.domain)
    subject.preflight()
    return subject


def judge(entry: Fault | Control, options: Options) -> Row:
    """Run every law of an entry's kind on the entry."""
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


def options_of(entry: Fault | Control, examples: int | None, seed: int) -> Options:
    """Return how much of each law runs on an entry: 20 examples suffice for a gross fault."""
    count = GROSS_EXAMPLES if examples is None and getattr(entry, "gross", False) else examples
    return Options(examples=count, seed=seed, patience=0.0)


def chosen_entries(kinds: Sequence[str] = (), names: Sequence[str] = ()) -> list[Fault | Control]:
    """Return faults and controls of some kinds, or some faults by name; without a choice all of both.

    Raises:
        ArgumentError: a kind that is unknown or cannot be used, or a name that no fault of the chosen kinds
            has. Names without a kind are those of the chosen kinds.
    """
    for kind in kinds:
        kind_named(kind).require_usable()
    faults = all_faults(kinds)
    known = {fault.name: fault for fault in faults}
    bare = {fault.name.partition("/")[2]: fault.name for fault in faults if kinds}
    names = [name if name in known else bare.get(name, name) for name in names]
    for name in names:
        if name not in known:
            close = get_close_matches(name, known, n=3, cutoff=0.5)
            hint = f"; did you mean {' or '.join(close)}?" if close else ""
            place = f"a fault of kind {' or '.join(kinds)}" if kinds else "a fault"
            raise ArgumentError("fault", repr(name), f"{place}, as `dynprop faults` lists them{hint}")
    if names:
        return [fault for fault in faults if fault.name in names]
    return [*faults, *all_controls(kinds)]


def _silent(name: str, done: int, total: int) -> None:
    return None


def kill_matrix(
    examples: int | None = None,
    listen: Listener = _silent,
    *,
    entries: Iterable[Fault | Control] | None = None,
    seed: int = 0,
) -> KillMatrix:
    """Judge planted faults and controls.

    Args:
        examples: examples per law; None means 20 for gross faults, each law's own number otherwise.
        listen: called with (name, done, total) before each entry.
        entries: some faults and controls; default all.
        seed: seeds the cases.
    """
    chosen = chosen_entries() if entries is None else list(entries)
    # Taken before the run, during which the code may be edited.
    code = code_of_planted(entry.kind for entry in chosen)
    rows = []
    for done, entry in enumerate(chosen):
        listen(entry.name, done, len(chosen))
        rows.append(judge(entry, options_of(entry, examples, seed)))
    return KillMatrix(tuple(rows), seed, code)
