"""Long evidence: random calls of all public functions of `linear` and `products`, by other arithmetic.

A stratum is a function with a family of arguments. Each call's error is compared with the function's stated
bound, by mpmath, FLINT, exact fractions, or simulation with its error; a call is

- *answered*: a result, whose error is within the bound;
- *outside*: a result, whose error is not. There must be none;
- *undecided*: a result that the reference does not decide;
- *refused*: a `DynpropError`, listed with its reason;
- *crashed*: any other exception, and *late*: no result within 5 s of processor time. There must be none.

Run as ``python -m dynprop.evidence.record.calls --calls 10000 --resume``; writes docs/evidence/calls.json
once every stratum is judged. The exit status is 1 if a call was outside, crashed or late.
"""

from __future__ import annotations

import argparse
import re
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dynprop import linear, products
from dynprop.errors import DynpropError
from dynprop.evidence.code import code_of
from dynprop.evidence.compare import Source, differences
from dynprop.evidence.record import call_fields, call_linear, call_products
from dynprop.evidence.record.call_case import SECONDS, Call, OverTimeError, Stratum, limited
from dynprop.evidence.record.jobs import Job, add_arguments, environment, run_record

__all__ = [
    "LEFT_OUT",
    "OUTCOMES",
    "SOURCE",
    "STRATA",
    "jobs",
    "judge",
    "main",
    "merged",
    "public_functions",
    "record",
]

STRATA: tuple[Stratum, ...] = (*call_linear.STRATA, *call_products.STRATA, *call_fields.STRATA)
OUTCOMES = ("answered", "outside", "undecided", "refused", "crashed", "late")
WRONG = ("outside", "crashed", "late")
PACKAGES = ("dynprop", "numpy", "torch", "scipy", "python-flint", "mpmath")
# Public functions without a stratum, with the reason.
LEFT_OUT = {
    "linear.plot_growth": "draws a picture",
    "linear.plot_spectrum": "draws a picture",
    "products.plot_phase": "draws a picture",
    "products.plot_product": "draws a picture",
    "products.plot_walk": "draws a picture",
}
# The group under which the record keeps its digests.
SUBJECT = "linear and products"
# Failed calls of one stratum that the record keeps, and characters of each.
_KEPT, _LENGTH = 3, 2000


def public_functions() -> frozenset[str]:
    """Return the public functions, such as "linear.unroll"; public classes are results of them."""
    return frozenset(
        f"{room.__name__.rpartition('.')[2]}.{name}"
        for room in (linear, products)
        for name in room.__all__
        if not isinstance(getattr(room, name), type)
    )


def judge(call: Call) -> tuple[str, str, float, float]:
    """Make one call; return outcome, reason if there is no result, error over bound, and seconds."""
    try:
        with limited() as clock:
            try:
                found = call.run()
            finally:
                seconds = clock()
    except OverTimeError:
        return "late", "", np.nan, seconds
    except DynpropError as error:
        outcome = "refused" if seconds <= SECONDS else "late"
        return outcome, f"{type(error).__name__}: {error}", np.nan, seconds
    except Exception as error:
        return "crashed", f"{type(error).__name__}: {error}", np.nan, seconds
    if seconds > SECONDS:
        return "late", "", np.nan, seconds
    ratio = call.judge(found)
    outcome = "undecided" if ratio != ratio else "outside" if ratio > 1.0 else "answered"
    return outcome, "", ratio, seconds


def record(stratum: Stratum, calls: int, seed: int) -> dict[str, Any]:
    """Judge random calls of a stratum; its name, the seed and the number of a call determine the call."""
    counts, reasons = Counter[str](), Counter[str]()
    failures: list[dict[str, Any]] = []
    worst_ratio = slowest = 0.0
    for number in range(calls):
        rng = np.random.default_rng([seed, zlib.crc32(stratum.name.encode()), number])
        with np.errstate(all="ignore"):
            call = stratum.draw(rng)
            outcome, reason, ratio, seconds = judge(call)
        counts[outcome] += 1
        slowest = max(slowest, seconds)
        worst_ratio = max(worst_ratio, ratio) if ratio == ratio else worst_ratio
        if outcome == "refused":
            reasons[_general(reason)] += 1
        if outcome in WRONG and len(failures) < _KEPT:
            shown = {"outcome": outcome, "ratio": repr(ratio), "reason": reason[:_LENGTH]}
            failures.append({**shown, "number": number, "call": call.text[:_LENGTH]})
    return {
        "stratum": stratum.name,
        "function": stratum.function,
        "bound": stratum.bound,
        "calls": calls,
        **{outcome: counts[outcome] for outcome in OUTCOMES},
        "reasons": dict(reasons.most_common()),
        "worst_ratio": float(f"{worst_ratio:.4g}") if np.isfinite(worst_ratio) else None,
        "slowest": round(slowest, 3),
        "failures": failures,
    }


def _general(reason: str) -> str:
    """Return the reason of a refusal without the numbers of one call, cut."""
    return re.sub(r"[-+]?\d[\d.,]*(?:e[-+]?\d+)?", "#", reason.partition(": ")[2])[:110]


def jobs(calls: int, seed: int) -> list[Job]:
    """Return one job per stratum, in equal shares."""
    each = -(-calls // len(STRATA))
    key = {"seed": seed, "calls": each, **environment(*PACKAGES), "code": today_code()}

    def job(stratum: Stratum) -> Job:
        return Job(stratum.name, key, lambda: record(stratum, each, seed))

    return [job(stratum) for stratum in STRATA]


def merged(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the record of stored results, with totals."""
    key = parts[0]["key"]
    rows = [part["result"] for part in parts]
    return {
        "date": max(part["date"] for part in parts),
        **{name: key[name] for name in ("seed", "python", "versions", "code")},
        "calls": sum(row["calls"] for row in rows),
        **{outcome: sum(row[outcome] for row in rows) for outcome in OUTCOMES},
        "seconds_allowed": SECONDS,
        "strata": rows,
        "left_out": LEFT_OUT,
    }


def today_code() -> dict[str, str]:
    """Return the digests of all functions of the strata, and of what judges them."""
    functions = {stratum.function.split(".")[1]: stratum.function.split(".")[0] for stratum in STRATA}
    rooms = {"linear": linear, "products": products}
    modules = {getattr(rooms[room], name).__module__ for name, room in functions.items()}
    judges = ("call_case", "call_matrices", "call_weights", "call_linear", "call_products", "call_fields")
    own = [f"dynprop.evidence.record.{name}" for name in (*judges, "calls")]
    return code_of([*sorted(name for name in modules if name.startswith("dynprop.")), *own])


def _names(rows: Sequence[Mapping[str, Any]]) -> dict[str, frozenset[str]]:
    return {str(row["stratum"]): frozenset([str(row["function"])]) for row in rows}


SOURCE = Source(
    "python -m dynprop.evidence.record.calls --calls 10000 --resume",
    lambda: {stratum.name: frozenset([stratum.function]) for stratum in STRATA},
    lambda data: _names(data["strata"]),
    lambda: {SUBJECT: today_code()},
    lambda data: {SUBJECT: data.get("code")},
    differences,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Record the calls; return 1 if one was outside its bound, crashed or late."""
    parser = argparse.ArgumentParser(
        prog="python -m dynprop.evidence.record.calls", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--calls", type=int, default=10_000, help="at least so many, in equal shares")
    parser.add_argument("--seed", type=int, default=20261201)
    add_arguments(parser, "calls")
    given = parser.parse_args(arguments)
    if given.calls < 1:
        parser.error(f"--calls: got {given.calls}, expected a positive number")
    judged: list[dict[str, Any]] = []

    def announce(row: dict[str, Any]) -> None:
        judged.append(row)
        counts = ", ".join(f"{row[name]} {name}" for name in OUTCOMES if row[name])
        print(f"{row['stratum']:42} {counts}; slowest {row['slowest']} s", flush=True)
        for failure in row["failures"]:
            print(f"  {failure['outcome']} {failure['ratio']} {failure['reason']}: {failure['call'][:300]}")

    found = run_record(given, jobs(given.calls, given.seed), merged, announce)
    rows = judged if found is None else found["strata"]
    return int(any(row[name] for row in rows for name in WRONG))


if __name__ == "__main__":
    raise SystemExit(main())
