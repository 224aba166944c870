"""Laws of a generic associative scan: f(combine, elements) -> inclusive prefixes along axis 0."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Protocol

import numpy as np

from dynprop.arrays import NumericArray
from dynprop.contracts.domain import Domain
from dynprop.contracts.formats import FORMATS
from dynprop.kinds.associative_scan.monoids import MONOIDS, Combine, Elements, Monoid
from dynprop.laws.cases import ArrayCase, Axes, fewer
from dynprop.laws.covering import Factor, Plan
from dynprop.laws.draw import Source, length
from dynprop.laws.evidence import Evidence, compare
from dynprop.laws.law import law
from dynprop.laws.sizes import LENGTHS as LENGTHS_BY_CLASS
from dynprop.laws.sizes import size_class, up_to

__all__ = ["AssociativeCase", "AssociativeSubject"]

LENGTHS = (0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 257)
BLOCK = "the prefix at step t combines steps 0 to t in their order"


class AssociativeSubject(Protocol):
    """A function (combine, elements) -> prefixes; arrays are numpy here."""

    @property
    def domain(self) -> Domain:
        """What the target promises."""
        ...

    @property
    def whole_numbers(self) -> bool:
        """Whether integer elements are accepted."""
        ...

    def prefixes(self, combine: Combine, elements: Elements, dtype: str) -> Elements:
        """The inclusive prefixes, as numpy arrays."""
        ...

    def changed_elements(self, combine: Combine, elements: Elements, dtype: str) -> str | None:
        """Call the target; return a sentence that names the modified element, or None."""
        ...


@dataclass(frozen=True)
class AssociativeCase(ArrayCase):
    """Elements of one monoid.

    Attributes:
        monoid: its name.
        elements: arrays with time first.
        dtype: "int64", or the float format that stores the whole numbers.
        seed: seed of further random numbers of a law.
    """

    monoid: str
    elements: Annotated[Elements, Axes(("time",))]
    dtype: str
    seed: int = 0

    @property
    def operation(self) -> Monoid:
        """The monoid of this name."""
        return next(m for m in MONOIDS if m.name == self.monoid)

    @property
    def steps(self) -> int:
        """Number of elements."""
        return len(self.elements[0])

    def refusable(self) -> bool:
        """Empty and one-element scans may be refused."""
        return self.steps <= 1

    def describe(self) -> str:
        """Describe the case on one line."""
        return f"{self.steps} elements, {self.monoid}, {self.dtype}"

    def smaller(self) -> Iterator[AssociativeCase]:
        """Yield cases with fewer elements."""
        for count in fewer(self.steps, self.steps // 2, self.steps - self.steps // 4, self.steps - 1):
            yield self.take("time", slice(count))


def _case(monoid: Monoid, steps: int, dtype: str, rng: np.random.Generator) -> AssociativeCase:
    kind = dtype if monoid.floating else "int64"
    return AssociativeCase(monoid.name, monoid.draw(rng, steps), kind, int(rng.integers(2**31)))


def _monoids(subject: AssociativeSubject) -> list[Monoid]:
    return [m for m in MONOIDS if m.floating or subject.whole_numbers]


def draw(source: Source, domain: Domain, subject: AssociativeSubject) -> AssociativeCase:
    """Draw a case of a monoid that the subject accepts."""
    monoid = source.choice(_monoids(subject))
    steps = length(source, min(domain.max_length, 257), shortest=2)
    dtype = source.choice([d for d in domain.dtypes if d in ("float64", "float32")] or ["float64"])
    return _case(monoid, steps, dtype, source.generator())


def plan(subject: AssociativeSubject) -> Plan:
    """Return the plan for a scan under test: every operation that it takes at every class of length."""
    lengths = up_to(subject.domain.max_length, LENGTHS_BY_CLASS)
    return Plan(
        (
            Factor("operation", {monoid.name: (monoid.name,) for monoid in _monoids(subject)}),
            Factor("length", dict(lengths)),
        )
    )


def classes(case: AssociativeCase) -> dict[str, str]:
    """Return the classes of any case."""
    return {"operation": case.monoid, "length": size_class(case.steps, LENGTHS_BY_CLASS)}


def planned(domain: Domain, subject: AssociativeSubject) -> Iterator[AssociativeCase]:
    """Yield the rows of the plan, of two elements and more; they have every length."""
    by_name = {monoid.name: monoid for monoid in MONOIDS}
    for number, row in enumerate(plan(subject).rows):
        steps = row.values["length"]
        if isinstance(steps, int) and steps >= 2:
            monoid = by_name[row.classes["operation"]]
            dtype = "float64" if "float64" in domain.dtypes else domain.dtypes[0]
            # Whole numbers of up to three for each step are exact below 1/u.
            if not monoid.floating or 3 * (steps + 1) * FORMATS[dtype].unit < 1.0:
                yield _case(monoid, steps, dtype, np.random.default_rng([number, 31]))


def every_length(domain: Domain, subject: AssociativeSubject) -> Iterator[AssociativeCase]:
    """Yield every monoid at lengths 0, 1, odd, powers of two and their neighbours."""
    for steps in LENGTHS:
        for monoid in _monoids(subject):
            if steps <= domain.max_length:
                dtype = "float64" if "float64" in domain.dtypes else domain.dtypes[0]
                yield _case(monoid, steps, dtype, np.random.default_rng([steps, 23]))


def _reference(case: AssociativeCase, flipped: bool = False) -> Elements:
    """Fold element by element with Python's whole numbers, modulo 2^64 for integer monoids."""
    monoid = case.operation
    columns = [[int(v) for v in e.tolist()] for e in case.elements]
    rows = list(zip(*columns, strict=True))
    prefixes: list[tuple[int, ...]] = []
    for row in rows:
        if prefixes:
            pair = (row, prefixes[-1]) if flipped else (prefixes[-1], row)
            row = monoid.combine(*pair)
        prefixes.append(tuple(_wrapped_to_int64(v) if monoid.modular else v for v in row))
    kind = np.int64 if monoid.modular else np.float64
    return tuple(np.array([p[i] for p in prefixes], dtype=kind) for i in range(len(columns)))


def _wrapped_to_int64(value: int) -> int:
    return (value + 2**63) % 2**64 - 2**63


def _compare_prefixes(
    case: AssociativeCase, value: Elements, label: str, reference: Elements | None = None
) -> Evidence:
    reference = _reference(case) if reference is None else reference
    if len(value) != len(reference) or any(
        v.shape != r.shape for v, r in zip(value, reference, strict=False)
    ):
        shapes = [v.shape for v in value]
        return Evidence(failure=f"prefixes have shapes {shapes}, expected {[r.shape for r in reference]}")
    computed, expected, wrong = (_stacked(v) for v in (value, reference, _reference(case, flipped=True)))
    differs = np.array([not np.array_equal(a, b) for a, b in _step_pairs(value, reference)], dtype=bool)
    # Whole numbers are equal or not: the comparison shows 1 where a step differs at all.
    same = compare(
        label,
        computed,
        expected,
        np.zeros_like(expected),
        dtype="float64",
        axes=("part", "time"),
        scale=np.ones_like(expected),
        alternatives=lambda: {"operands flipped: combine(b, a) for combine(a, b)": wrong},
    )
    residual = np.where(differs[None, :], np.maximum(same.residual, 1.0), 0.0)
    decided = np.ones_like(same.decided)
    return Evidence((replace(same, residual=residual, decided=decided),), detail={"checked": True})


def _step_pairs(value: Elements, reference: Elements) -> list[tuple[NumericArray, NumericArray]]:
    count = len(reference[0])
    return [(np.array([v[t] for v in value]), np.array([r[t] for r in reference])) for t in range(count)]


def _stacked(elements: Elements) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.stack([e.astype(np.float64) for e in elements])


@law(
    "associative-scan/order",
    claim="C1",
    statement=f"{BLOCK}, exactly, for operations that do not commute",
    source="AccelerateHS/accelerate#348; triton-lang/triton#4362; pytorch/pytorch#137943",
    draw=draw,
    fixed=planned,
    script="# fold the elements one by one with the same combine and compare",
)
def order(subject: AssociativeSubject, case: AssociativeCase) -> Evidence:
    """Compare with a plain fold in whole numbers."""
    value = subject.prefixes(case.operation.combine, case.elements, case.dtype)
    return _compare_prefixes(case, value, "prefixes")


@law(
    "associative-scan/lengths",
    claim="C1",
    statement=f"{BLOCK} at every length: 0, 1, odd numbers, powers of two and neighbours",
    source="lucidrains/assoc-scan 0.0.6 (raises at length 0)",
    draw=draw,
    fixed=every_length,
    script="# fold the elements one by one with the same combine and compare",
    share=0.2,
)
def lengths(subject: AssociativeSubject, case: AssociativeCase) -> Evidence:
    """Compare with a plain fold at a given length; 0 and 1 may be refused."""
    value = subject.prefixes(case.operation.combine, case.elements, case.dtype)
    return _compare_prefixes(case, value, "prefixes")


@law(
    "associative-scan/split-resume",
    claim="C1",
    statement="combining the last prefix of a head with the prefixes of the tail gives the prefixes of all",
    source="chunk carries of block scans",
    draw=draw,
    fixed=planned,
    script="# prefixes of elements[p:] combined with the last prefix of elements[:p]",
    share=0.5,
)
def split_resume(subject: AssociativeSubject, case: AssociativeCase) -> Evidence:
    """Cut at one point and join with the operation itself."""
    p = 1 + case.seed % (case.steps - 1)
    combine = case.operation.combine
    head = subject.prefixes(combine, tuple(e[:p] for e in case.elements), case.dtype)
    tail = subject.prefixes(combine, tuple(e[p:] for e in case.elements), case.dtype)
    with np.errstate(over="ignore"):
        joined = combine(tuple(h[-1:] for h in head), tail)
    value = tuple(np.concatenate([h, j]) for h, j in zip(head, joined, strict=True))
    return _compare_prefixes(case, value, "joined prefixes")


@law(
    "associative-scan/elements-unchanged",
    claim="C1",
    statement="the caller's elements are not modified, nor their shapes",
    source="in-place sweeps",
    draw=draw,
    fixed=planned,
    script="# look at the elements before and after the call",
    share=0.5,
)
def elements_unchanged(subject: AssociativeSubject, case: AssociativeCase) -> Evidence:
    """Compare the elements before and after a call."""
    changed = subject.changed_elements(case.operation.combine, case.elements, case.dtype)
    return Evidence(failure=changed, detail={"checked": True})


@law(
    "associative-scan/repeatable",
    claim="C1",
    statement="two calls agree, bit by bit",
    source="buffers shared between calls",
    draw=draw,
    fixed=planned,
    script="# call twice, with another call between",
    share=0.5,
)
def repeatable(subject: AssociativeSubject, case: AssociativeCase) -> Evidence:
    """Call, call with reversed elements, call again."""
    combine = case.operation.combine
    first = subject.prefixes(combine, case.elements, case.dtype)
    subject.prefixes(combine, tuple(e[::-1].copy() for e in case.elements), case.dtype)
    value = subject.prefixes(combine, case.elements, case.dtype)
    return _compare_prefixes(case, value, "prefixes of the third call", first)
