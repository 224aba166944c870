"""Long evidence: ``dynprop.linear.closed_form`` is never silently wrong, over a million independent cases.

Every case is one independent (W, h0, t) from one of the `STRATA` of `dynprop.kinds.power.strata`,
equally many from each. `closed_form` answers by ``route="auto"``; its answer is compared with the exact
state of the stored floats (python-flint, at a precision that is raised until the comparison is certain), and

- *answered*: max|error| <= relative_bound * max|value|, for certain;
- *refused*: PrecisionError within the limits on bits and time;
- *wrong*: the error certainly exceeds the bound. The expected number is 0;
- *undecided*: `MOST_BITS` do not suffice. The expected number is 0, and the record shows others.

Run as ``python -m dynprop.evidence.record.powers --cases 1000000 --resume``; writes
docs/evidence/closed_form.json once all blocks are judged. The exit status is 1 if an answer was wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from dynprop.arrays import NumericArray
from dynprop.errors import PrecisionError
from dynprop.evidence.code import code_of
from dynprop.evidence.compare import Source, differences
from dynprop.evidence.record.jobs import WHOLE, Shard, add_arguments, environment, today, write_json
from dynprop.evidence.record.tables import described
from dynprop.kinds.power.cases import PowerCase
from dynprop.kinds.power.exact import is_zero_state, scaled_error
from dynprop.kinds.power.strata import MATRICES, STRATA, draw_strata
from dynprop.laws.exact import working_precision
from dynprop.linear import ClosedForm, closed_form
from dynprop.linear.closed.closed_form import Route

__all__ = ["DTYPE", "MOST_BITS", "OUTCOMES", "SOURCE", "Settings", "judge", "main", "run"]

OUTCOMES = ("answered", "refused", "wrong", "undecided")
ROUTES: tuple[str, ...] = get_args(Route)
# Precision at which the reference gives up deciding.
MOST_BITS = 2**16
# Cases of one stratum that are drawn together.
EACH = 25
POWER = "dynprop.kinds.power"
# The group under which the record keeps its digests.
SUBJECT = "dynprop.linear.closed_form"

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
        """Call `closed_form` within the limits."""
        return closed_form(w, h, t, max_bits=self.max_bits, max_seconds=self.max_seconds)


def judge(case: PowerCase, solve: Solver) -> tuple[str, str, float, float]:
    """Return the outcome of one case, its route, and the relative error and bound (NaN where refused)."""
    try:
        answer = solve(case.W, case.h, case.t)
    except PrecisionError:
        return "refused", "certified", np.nan, np.nan
    bound, exponent = answer.relative_bound, answer.exponent
    assert isinstance(bound, float)
    assert isinstance(exponent, int)
    if not answer.value.any() or not np.isfinite(answer.value).all():
        # A zero is exact or wrong: it has no relative error.
        correct = not answer.value.any() and is_zero_state(case.W, case.h, case.t)
        return "answered" if correct else "wrong", answer.route, 0.0 if correct else np.inf, bound
    # After the squarings the balls still have 128 bits: enough to judge answers rounded once.
    bits = 192 + 3 * case.t.bit_length()
    while True:
        low, high = scaled_error(case.W, case.h, case.t, answer.value, exponent, bits=bits)
        with working_precision(bits):
            largest = max(abs(_ball(v)) for v in answer.value.tolist())
            allowed, error = largest * bound, float(high / largest)
            if high <= allowed:
                return "answered", answer.route, error, bound
            if low > allowed:
                return "wrong", answer.route, error, bound
        if bits >= MOST_BITS:
            if is_zero_state(case.W, case.h, case.t):
                return "wrong", answer.route, np.inf, bound
            return "undecided", answer.route, error, bound
        bits *= 2


def _ball(value: complex) -> Any:
    from flint import acb, arb

    return acb(value.real, value.imag) if isinstance(value, complex) else arb(value)


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
                summary = {"outcome": outcome, "route": route, "error": repr(error), "bound": repr(bound)}
                failures.append({**summary, "case": case.to_json()})
    return np.array(rows, dtype=DTYPE)


def run(
    settings: Settings, parts: Path, out: Path, *, shard: Shard = WHOLE, resume: bool = False
) -> dict[str, Any] | None:
    """Judge the blocks of a shard; if every block then has a result, write the record and return it.

    Args:
        settings: cases, seed and limits.
        parts: folder of results, one file per block.
        out: the record.
        shard: which blocks.
        resume: keep blocks of the same settings, versions and code.
    """
    code = today_code()
    environs = environment("dynprop", "numpy", "scipy", "python-flint")
    key = json.dumps([asdict(settings), EACH, environs, code])
    count = -(-settings.each // EACH)
    for index in shard.of(range(count)):
        path = parts / f"block-{index}.npz"
        if resume and _read(path, key) is not None:
            continue
        started, failures = time.monotonic(), list[dict[str, Any]]()
        rows = _block(settings, index, min(EACH, settings.each - index * EACH), failures)
        _write(path, rows, {"key": key, "failures": failures, "seconds": time.monotonic() - started})
        wrong = f"{len(failures)} wrong or undecided"
        print(f"block {index + 1} of {count}: {len(rows)} cases, {wrong}", flush=True)
    blocks = [_read(parts / f"block-{index}.npz", key) for index in range(count)]
    results = [block for block in blocks if block is not None]
    if len(results) < count:
        print(f"{out}: not written; {len(results)} of {count} blocks have a result of today's code")
        return None
    record = {
        "seed": settings.seed,
        "limits": {"max_bits": settings.max_bits, "max_seconds": settings.max_seconds},
        "date": today(),
        **environs,
        "machine": platform.machine(),
        "code": code,
        "seconds": round(sum(state["seconds"] for _, state in results), 1),
        **described(np.concatenate([rows for rows, _ in results]), OUTCOMES, ROUTES),
        "failures": [failure for _, state in results for failure in state["failures"]][:20],
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    write_json(out, record)
    return record


def today_code() -> dict[str, str]:
    """Return the digests of `closed_form`, of the cases and of the exact reference."""
    return code_of([closed_form.__module__, *(f"{POWER}.{name}" for name in ("cases", "exact", "strata"))])


def _write(path: Path, rows: NumericArray, state: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with part.open("wb") as file:
        np.savez(file, rows=rows, state=np.array(json.dumps(state)))
    part.replace(path)


def _read(path: Path, key: str) -> tuple[NumericArray, dict[str, Any]] | None:
    """Return the rows and the state of a block, or None if there is none with this key."""
    if not path.exists():
        return None
    with np.load(path) as stored:
        state = json.loads(str(stored["state"]))
        return (stored["rows"], state) if state["key"] == key else None


SOURCE = Source(
    "python -m dynprop.evidence.record.powers --cases 1000000 --resume",
    lambda: dict.fromkeys((stratum.name for stratum in STRATA), frozenset()),
    lambda data: dict.fromkeys((row["stratum"] for row in data["strata"]), frozenset()),
    lambda: {SUBJECT: today_code()},
    lambda data: {SUBJECT: data.get("code")},
    differences,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Record the evidence; return 1 if an answer was silently wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m dynprop.evidence.record.powers", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--cases", type=int, default=10_000, help="at least so many, in equal shares")
    parser.add_argument("--seed", type=int, default=20261124)
    parser.add_argument("--max-bits", type=int, default=Settings.max_bits)
    parser.add_argument("--max-seconds", type=float, default=Settings.max_seconds)
    add_arguments(parser, "closed_form")
    given = parser.parse_args(arguments)
    if given.cases < 1:
        parser.error(f"--cases: got {given.cases}, expected a positive number")
    settings = Settings(given.cases, given.seed, given.max_bits, given.max_seconds)
    record = run(settings, given.parts, given.out, shard=given.shard, resume=given.resume)
    if record is None:
        return 0
    counts = ", ".join(f"{record[name]} {name}" for name in OUTCOMES)
    rate = record["cases"] / max(record["seconds"], 0.1)
    print(f"{record['cases']} cases: {counts}; {rate:.0f} cases a second")
    return int(record["wrong"] > 0)


if __name__ == "__main__":
    raise SystemExit(main())
