"""Measured constants of the bounds, and what usual tolerances see, on seeds of your choice.

    python -m dynprop.kinds.linear_attention.measure --cases 200 --seed 1

Correct kernels run on drawn cases, and the worst error over the bound and the share of decided entries are
printed by family, format and result: the bound is c u B with c = 4, and a ratio above 1 would refute it. Then
five faults run beside their correct kernel: in how many of the cases that a fault changes do the bound, a
relative root mean square of 0.005 and allclose(1e-3, 1e-3) see it?
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.kinds.linear_attention.cases import LinearCase, linear_case, packed_case
from dynprop.kinds.linear_attention.faults.chunked import InverseThird
from dynprop.kinds.linear_attention.faults.recurrent import (
    DecayClamped,
    OperandsInBfloat16,
    StateInBfloat16,
    StateInFloat16,
)
from dynprop.kinds.linear_attention.judging import judge
from dynprop.kinds.linear_attention.kernels import FAMILIES, Chunked, Kernel, Recurrent, Widened, options
from dynprop.kinds.linear_attention.solution import Answer, cotangents, solution
from dynprop.kinds.linear_attention.target import Form, LinearAttention
from dynprop.laws.draw import RandomSource

__all__ = ["Measured", "main", "measured", "seen_by"]

FORMATS = ("float64", "float32", "bfloat16", "bfloat16, float32 inside")
FAULTS: dict[str, type[Kernel]] = {
    "state in float16": StateInFloat16,
    "state in bfloat16": StateInBfloat16,
    "operands in bfloat16": OperandsInBfloat16,
    "decay clamped at -5": DecayClamped,
    "inverse to third order": InverseThird,
}
RMSE, CLOSE = 0.005, 1e-3


@dataclass
class Measured:
    """Comparisons of one family and format.

    Attributes:
        worst: largest error over bound, by result.
        decided, entries: numbers of entries, by result.
    """

    worst: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    decided: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    entries: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    @property
    def share(self) -> float:
        """Share of decided entries."""
        return sum(self.decided.values()) / max(1, sum(self.entries.values()))


def _forms(family: str, inside: bool) -> LinearAttention:
    """Return the forms of a family that are judged: recurrent, and chunks of 4, 16 and 64 steps."""
    groups = {"groups": "interleave"} if family in ("ssd", "gated-delta") else {}
    if family == "rwkv-6":
        return LinearAttention(Recurrent(family), **options(family))
    if inside:
        wide = (Widened(family, 4, "loop"), Widened(family, 64))
        return LinearAttention(Widened(family), chunk=wide, **options(family, inside="float32", **groups))
    chunks = (Chunked(family, 4, "loop"), Chunked(family, 16), Chunked(family, 64))
    return LinearAttention(Recurrent(family), chunk=chunks, **options(family, **groups))


def _results(form: Form, case: LinearCase) -> dict[str, FloatArray]:
    """Return outputs, final state and the gradients of everything."""
    o, state = form.run(case)
    found = {"o": o, **form.losses(case, cotangents(case, "everything"))}
    return found if state is None else {**found, "final_state": state}


def measured(family: str, dtype: str, cases: int, seed: int) -> Measured:
    """Return what correct kernels of a family do to drawn cases; every form has the same reference.

    Args:
        family: a key of ``kernels.FAMILIES``.
        dtype: a format of ``FORMATS``.
        cases: number of cases; every third is packed.
        seed: seeds the cases.
    """
    name, _, inside = dtype.partition(", ")
    target, result = _forms(family, bool(inside)), Measured()
    domain = replace(target.domain, dtypes=(name,))
    for i in range(cases):
        source = RandomSource(np.random.SeedSequence([seed, i]))
        packed = i % 3 == 2
        case = packed_case(source, domain, target) if packed else linear_case(source, domain, target)
        answers = solution(case, target.convention, "everything")
        forms = {"packed": target.forms["packed"]} if packed else target.whole
        for form in forms.values():
            for name, value in _results(form, case).items():
                _add(result, name, value, answers[name], case, target)
    return result


def _add(
    result: Measured,
    name: str,
    value: FloatArray,
    answer: Answer,
    case: LinearCase,
    target: LinearAttention,
) -> None:
    comparison = judge("", name, value, answer, case, target.convention)
    result.worst[name] = max(result.worst[name], comparison.ratio)
    result.decided[name] += int(comparison.decided.sum())
    result.entries[name] += comparison.decided.size


def seen_by(fault: type[Kernel], cases: int, seed: int) -> Mapping[str, int]:
    """Return in how many packed float32 cases a fault is seen by each criterion, of those that it changes."""
    right = Chunked if issubclass(fault, Chunked) else Recurrent
    declared = options("gated-delta", groups="interleave", dtypes=("float32",))
    wrong, correct = LinearAttention(fault(), **declared), LinearAttention(right(), **declared)
    counts = {"changed": 0, "bound": 0, "relative RMSE": 0, "allclose": 0}
    for i in range(cases):
        case = packed_case(RandomSource(np.random.SeedSequence([seed, i])), wrong.domain, wrong)
        found, sound = (_results(target.forms["packed"], case) for target in (wrong, correct))
        if all(np.array_equal(found[name], sound[name]) for name in found):
            continue
        answers = solution(case, wrong.convention, "everything")
        exact = {name: answers[name].exact.high for name in found}
        counts["changed"] += 1
        counts["bound"] += any(
            judge("", n, v, answers[n], case, wrong.convention).ratio > 1.0 for n, v in found.items()
        )
        counts["relative RMSE"] += any(_rmse(v, exact[n]) > RMSE for n, v in found.items())
        counts["allclose"] += not all(np.allclose(v, exact[n], CLOSE, CLOSE) for n, v in found.items())
    return counts


def _rmse(value: FloatArray, exact: FloatArray) -> float:
    return float(np.sqrt(((value - exact) ** 2).mean()) / (np.sqrt((exact**2).mean()) + 1e-8))


def _tables(cases: int, seed: int) -> Iterator[str]:
    yield f"{cases} cases a family and format, seed {seed}; worst error over bound, then decided entries."
    yield ""
    yield "| family | " + " | ".join(FORMATS) + " |"
    yield "| --- |" + " --- |" * len(FORMATS)
    by_result: dict[str, Measured] = defaultdict(Measured)
    for family in FAMILIES:
        row = []
        for dtype in FORMATS:
            if family == "rwkv-6" and "," in dtype:
                row.append("")
                continue
            found = measured(family, dtype, cases, seed)
            row.append(f"{max(found.worst.values()):.2f} · {found.share:.2f}")
            for name in found.entries:
                if dtype == "float32":
                    of = by_result[name]
                    of.worst[name] = max(of.worst[name], found.worst[name])
                    of.decided[name] += found.decided[name]
                    of.entries[name] += found.entries[name]
        yield f"| {family} | " + " | ".join(row) + " |"
    yield ""
    yield "| float32, result | worst | decided |"
    yield "| --- | --- | --- |"
    for name, of in by_result.items():
        yield f"| {name} | {of.worst[name]:.2f} | {of.share:.2f} |"
    yield ""
    yield "| fault | changed | bound | relative RMSE 0.005 | allclose(1e-3, 1e-3) |"
    yield "| --- | --- | --- | --- | --- |"
    for text, fault in FAULTS.items():
        counts = seen_by(fault, cases, seed)
        yield f"| {text} | " + " | ".join(str(n) for n in counts.values()) + " |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        prog="python -m dynprop.kinds.linear_attention.measure", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--cases", type=int, default=100, help="cases a family and format")
    parser.add_argument("--seed", type=int, default=20261201, help="seeds the cases")
    given = parser.parse_args(arguments)
    for line in _tables(given.cases, given.seed):
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
