"""Long evidence: ``dynprop.linear.closed_form`` is never silently wrong, over a million independent cases.

Every case is one independent (W, h0, t) from one of the `STRATA` of `dynprop.kinds.power.strata`,
equally many from each. `closed_form` answers by ``route="auto"``; its answer is compared with the exact
state of the stored floats (python-flint, at a precision that is raised until the comparison is certain), and

- *answered*: max|error| <= relative_bound * max|value|, for certain;
- *refused*: PrecisionError within the limits on bits and time;
- *wrong*: the error certainly exceeds the bound. There must be none;
- *undecided*: not even `MOST_BITS` decide. There must be none either, or the record shows it.

Run as ``python -m dynprop.evidence.record.powers --cases 1000000``; writes docs/evidence/closed_form.json, in
parts on the way, from which the same command goes on. The exit status is 1 if an answer was wrong.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from dynprop import linear
from dynprop.arrays import NumericArray
from dynprop.errors import PrecisionError
from dynprop.evidence.record.tables import described
from dynprop.kinds.power.cases import PowerCase
from dynprop.kinds.power.exact import is_zero_state, scaled_error
from dynprop.kinds.power.strata import MATRICES, STRATA, draw_strata
from dynprop.laws.exact import working_precision
from dynprop.linear import ClosedForm, closed_form
from dynprop.linear.closed.closed_form import Route

__all__ = ["DTYPE", "MOST_BITS", "OUTCOMES", "Settings", "judge", "main", "run", "source_digest"]

OUTCOMES = ("answered", "refused", "wrong", "undecided")
ROUTES: tuple[str, ...] = get_args(Route)
# Precision at which the reference gives up deciding.
MOST_BITS = 2**16
# Cases of one stratum that are drawn together.
EACH = 25

DTYPE = np.dtype(
    [
        ("stratum", "i2"),
        ("size", "i1"),
        ("complex", "?"),
        ("t", "i8"),
        ("outcome", "i1"),
        ("route", "i1"),
        ("error", "f8"),
        ("bound", "f8"),
    ]
)

Solver = Callable[[NumericArray, NumericArray, int], ClosedForm]


@dataclass(frozen=True)
class Settings:
    """What a run is made of.

    Attributes:
        cases: how many at least; rounded up to equal shares.
        seed: seeds every draw.
        max_bits: limit on the precision of `closed_form`.
        max_seconds: limit on the time of one call.
    """

    cases: int
    seed: int
    max_bits: int = 4096
    max_seconds: float = 10.0

    @property
    def each(self) -> int:
        """Cases per stratum."""
        return -(-self.cases // len(STRATA))

    def solve(self, w: NumericArray, h: NumericArray, t: int) -> ClosedForm:
        """Call what is judged."""
        return closed_form(w, h, t, max_bits=self.max_bits, max_seconds=self.max_seconds)


def judge(case: PowerCase, solve: Solver) -> tuple[str, str, float, float]:
    """Return the outcome of one case, its route, and the relative error and bound (NaN where refused)."""
    try:
        found = solve(case.W, case.h, case.t)
    except PrecisionError:
        return "refused", "certified", np.nan, np.nan
    bound, exponent = found.relative_bound, found.exponent
    assert isinstance(bound, float)
    assert isinstance(exponent, int)
    if not found.value.any() or not np.isfinite(found.value).all():
        # A zero is exact or wrong: there is nothing to be relative to.
        right = not found.value.any() and is_zero_state(case.W, case.h, case.t)
        return "answered" if right else "wrong", found.route, 0.0 if right else np.inf, bound
    # Doubled balls keep 128 bits after the squarings: enough to judge answers rounded once.
    bits = 192 + 3 * case.t.bit_length()
    while True:
        low, high = scaled_error(case.W, case.h, case.t, found.value, exponent, bits=bits)
        with working_precision(bits):
            largest = max(abs(_ball(v)) for v in found.value.tolist())
            allowed, error = largest * bound, float(high / largest)
            if high <= allowed:
                return "answered", found.route, error, bound
            if low > allowed:
                return "wrong", found.route, error, bound
        if bits >= MOST_BITS:
            if is_zero_state(case.W, case.h, case.t):
                return "wrong", found.route, np.inf, bound
            return "undecided", found.route, error, bound
        bits *= 2


def _ball(value: complex) -> Any:
    from flint import acb, arb

    return acb(value.real, value.imag) if isinstance(value, complex) else arb(value)


@dataclass
class _Progress:
    """What a run has so far.

    Attributes:
        blocks: the rows of every block.
        failures: the cases of wrong and undecided answers.
        seconds: how long it took.
        sources: [cases judged before, digest] for every state of `dynprop.linear` that was judged.
    """

    blocks: list[NumericArray]
    failures: list[dict[str, Any]]
    seconds: float
    sources: list[list[Any]]

    @property
    def rows(self) -> NumericArray:
        """Every row."""
        return np.concatenate(self.blocks)

    def judges(self, digest: str) -> None:
        """Note which code is judged from here on."""
        if not self.sources or self.sources[-1][1] != digest:
            self.sources.append([sum(map(len, self.blocks)), digest])


def source_digest() -> str:
    """Return a digest of the code of `dynprop.linear`: runs with the same one judged the same functions."""
    digest = hashlib.sha256()
    for path in sorted(Path(linear.__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def _block(settings: Settings, index: int, each: int, failures: list[dict[str, Any]]) -> NumericArray:
    """Judge as many cases of every stratum; the block's number and the seed determine them."""
    rows = []
    for number, matrices in enumerate(MATRICES):
        rng = np.random.default_rng([settings.seed, index, number])
        for stratum, case in draw_strata(rng, matrices, each):
            outcome, route, error, bound = judge(case, settings.solve)
            kind = (OUTCOMES.index(outcome), ROUTES.index(route))
            rows.append((stratum, case.n, case.is_complex, case.t, *kind, error, bound))
            if outcome in ("wrong", "undecided"):
                shown = {"outcome": outcome, "route": route, "error": repr(error), "bound": repr(bound)}
                failures.append({**shown, "case": case.to_json()})
    return np.array(rows, dtype=DTYPE)


def run(settings: Settings, out: Path, *, every: float = 60.0) -> dict[str, Any]:
    """Judge every case, write the record at least every so many seconds, and return it.

    A run that was stopped goes on from its last block, if ``out`` has a companion ``.npz`` of the same seed
    and limits; the record says from which case on another state of the code was judged.
    """
    companion = out.with_suffix(".npz")
    progress = _resumed(companion, settings)
    progress.judges(source_digest())
    blocks = -(-settings.each // EACH)
    written = time.monotonic()
    began = written - progress.seconds
    for index in range(len(progress.blocks), blocks):
        each = min(EACH, settings.each - index * EACH)
        progress.blocks.append(_block(settings, index, each, progress.failures))
        now = time.monotonic()
        progress.seconds = now - began
        if now - written > every or index == blocks - 1:
            written = now
            _save(companion, settings, progress)
            print(_line(_written(out, settings, progress)), flush=True)
    record = _written(out, settings, progress)
    companion.unlink(missing_ok=True)
    return record


def _written(out: Path, settings: Settings, progress: _Progress) -> dict[str, Any]:
    rows, total = progress.rows, settings.each * len(STRATA)
    limits = {"max_bits": settings.max_bits, "max_seconds": settings.max_seconds}
    head = {"seed": settings.seed, "asked": total, "complete": len(rows) == total, "limits": limits}
    record = {
        **head,
        "sources": progress.sources,
        **described(rows, OUTCOMES, ROUTES, progress.seconds),
        "failures": progress.failures[:20],
    }
    part = out.with_suffix(".part")
    part.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n")
    part.replace(out)
    return record


def _line(record: dict[str, Any]) -> str:
    counts = ", ".join(f"{record[name]} {name}" for name in OUTCOMES)
    rate = record["cases"] / max(record["seconds"], 1e-9)
    return f"{record['cases']} of {record['asked']} cases: {counts}; {rate:.0f} cases a second"


def _key(settings: Settings) -> str:
    return json.dumps([settings.seed, settings.each, EACH, settings.max_bits, settings.max_seconds])


def _save(path: Path, settings: Settings, progress: _Progress) -> None:
    part = path.with_suffix(".npz.part")
    kept = {"failures": progress.failures, "seconds": progress.seconds, "sources": progress.sources}
    state = json.dumps({"key": _key(settings), **kept})
    lengths = [len(block) for block in progress.blocks]
    with part.open("wb") as file:
        np.savez(file, rows=progress.rows, lengths=lengths, state=np.array(state))
    part.replace(path)


def _resumed(path: Path, settings: Settings) -> _Progress:
    if path.exists():
        with np.load(path) as stored:
            state = json.loads(str(stored["state"]))
            if state["key"] == _key(settings):
                blocks = np.split(stored["rows"], np.cumsum(stored["lengths"])[:-1])
                sources = state.get("sources", [[0, "not recorded"]])
                return _Progress(list(blocks), state["failures"], state["seconds"], sources)
    return _Progress([], [], 0.0, [])


def main(arguments: Sequence[str] | None = None) -> int:
    """Record the evidence; return 1 if an answer was silently wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000, help="at least so many, in equal shares")
    parser.add_argument("--seed", type=int, default=20261124)
    parser.add_argument("--max-bits", type=int, default=Settings.max_bits)
    parser.add_argument("--max-seconds", type=float, default=Settings.max_seconds)
    parser.add_argument("--out", type=Path, default=Path("docs/evidence/closed_form.json"))
    given = parser.parse_args(arguments)
    if given.cases < 1:
        parser.error(f"--cases: got {given.cases}, expected a positive number")
    given.out.parent.mkdir(parents=True, exist_ok=True)
    record = run(Settings(given.cases, given.seed, given.max_bits, given.max_seconds), given.out)
    print(_line(record))
    return 1 if record["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
