"""The plan of cases of a scan: its factors with their classes, the rows that cover them, a case from a row.

The cost of a case is bounded, not its length: long with few rows or channels, wide with short.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from dynprop.contracts.domain import Domain
from dynprop.kinds.scan import calling
from dynprop.kinds.scan.calling import ONE_CALL
from dynprop.kinds.scan.cases import ScanCase, build_case
from dynprop.kinds.scan.regimes import gate_regimes, input_regimes
from dynprop.laws.covering import Exclusion, Factor, Plan, Row, Value
from dynprop.laws.sizes import FEW_LENGTHS, FEW_SIZES, LENGTHS, SIZES, size_class, up_to

__all__ = ["classes", "plan", "planned", "planned_lengths"]

# Most numbers that the gates of a case have.
MOST_NUMBERS = 36_000
# Factors of the call, each with the names of its classes.
Calls = tuple[tuple[str, tuple[str, ...]], ...]

STRONG = ("length", "batch", "state", "form")
WIDE_AND_LONG = Exclusion(
    {"length": ("1537 to 2049",), "batch": ("8 to 65",), "channel": ("2 to 5", "8 to 65")},
    "a long sequence is wide in its batch or in its channels, with one of the other",
)
WIDE_CHANNELS_AND_LONG = Exclusion(
    {"length": ("1537 to 2049",), "batch": ("2 to 5",), "channel": ("8 to 65",)},
    "a long sequence is wide in its batch or in its channels, with one of the other",
)
NO_PIECES = Exclusion(
    {"length": ("0", "1"), "form": (calling.PIECES,)}, "fewer than two steps make no two pieces"
)


def _numbers(values: Mapping[str, Value]) -> float:
    """Return how many numbers the gates of a case have."""
    sizes = [values[name] for name in ("length", "batch", "channel")]
    return float(np.prod([size for size in sizes if isinstance(size, int)]))


@lru_cache(maxsize=8)
def _plan(domain: Domain, few: bool, calls: Calls) -> Plan:
    sizes = FEW_SIZES if few else SIZES
    by_name = {"layout": calling.layouts(), "mode": calling.modes(), "wants": calling.wants()}
    lengths = up_to(domain.max_length, FEW_LENGTHS if few else LENGTHS)
    surround = [name for name in calling.forms() if name != calling.PIECES or domain.max_length > 1]
    factors = (
        Factor("dtype", {dtype: (dtype,) for dtype in domain.dtypes}),
        Factor("length", dict(lengths)),
        Factor("batch", dict(sizes)),
        Factor("channel", dict(sizes)),
        Factor("state", {"none": ("none",), "given": ("given",)}),
        Factor("gates", gate_regimes(domain)),
        Factor("inputs", input_regimes(domain)),
        *(Factor(name, {c: by_name[name][c] for c in names}) for name, names in calls),
        Factor("form", {name: values for name, values in calling.forms().items() if name in surround}),
    )
    known = {factor.name: set(factor.classes) for factor in factors}
    exclusions = []
    for exclusion in (WIDE_AND_LONG, WIDE_CHANNELS_AND_LONG, NO_PIECES):
        left = {
            name: tuple(c for c in names if c in known[name]) for name, names in exclusion.classes.items()
        }
        if all(left.values()):
            exclusions.append(Exclusion(left, exclusion.reason))
    return Plan(factors, STRONG, tuple(exclusions), _numbers, MOST_NUMBERS)


def _key(subject: Any) -> tuple[Domain, bool, Calls]:
    """Return what a plan depends on: domain, whether shapes are few, and the classes of calls."""
    named = {
        "layout": calling.layouts(subject),
        "mode": calling.modes(subject),
        "wants": calling.wants(subject),
    }
    calls = tuple((name, tuple(by_class)) for name, by_class in named.items() if len(by_class) > 1)
    return subject.domain, bool(subject.compiles), calls


def plan(subject: Any) -> Plan:
    """Return the plan for a scan under test, by its domain and by what its library lets a caller choose.

    Raises:
        PlanError: no case can be formed.
    """
    return _plan(*_key(subject))


def _classes_by_value(groups: Iterable[Mapping[str, tuple[str, ...]]]) -> dict[str, str]:
    return {value: name for classes in groups for name, values in classes.items() for value in values}


_REGIMES = {
    "gates": _classes_by_value(
        [gate_regimes(Domain(gates=gates)) for gates in ("any", "signed", "unit", "reset")]
    ),
    "inputs": _classes_by_value([input_regimes(Domain()), input_regimes(Domain(inputs="positive"))]),
    "layout": _classes_by_value([calling.layouts()]),
    "wants": _classes_by_value([calling.wants()]),
    "form": _classes_by_value([calling.forms()]),
}


def classes(case: ScanCase) -> dict[str, str]:
    """Return the classes of any case; a factor whose class is unknown is left out."""
    batch, steps, channels = case.gates.shape
    found = {
        "dtype": case.dtype,
        "length": size_class(steps, LENGTHS),
        "batch": size_class(batch, SIZES),
        "channel": size_class(channels, SIZES),
        "state": "none" if case.initial is None else "given",
        "mode": case.mode,
    }
    values = {
        "gates": case.stratum,
        "inputs": case.regime,
        "layout": case.layout,
        "wants": case.wants,
        "form": case.form,
    }
    for name, value in values.items():
        if value in _REGIMES[name]:
            found[name] = _REGIMES[name][value]
    return found


def _wanted(values: Mapping[str, Value]) -> str:
    """Return which arguments require a gradient: of those that are given, as many as the row says."""
    wanted = str(values.get("wants", ""))
    if values["state"] == "none":
        others = {"initial": "gates", "inputs+initial": "gates+inputs", "gates+initial": "gates+inputs"}
        return others.get(wanted, wanted)
    return wanted


def _case(row: Row, number: int, domain: Domain) -> ScanCase:
    """Return the case of a row, with reproducible numbers."""
    values: dict[str, Any] = dict(row.values)
    shape = (values["batch"], values["length"], values["channel"])
    case = build_case(
        np.random.default_rng([number, 29]),
        shape,
        values["gates"],
        values["dtype"],
        domain,
        initial=values["state"] == "given",
        regime=values["inputs"],
        layout=values.get("layout", "contiguous"),
    )
    return replace(case, mode=values.get("mode", "grad"), wants=_wanted(values), form=values["form"])


# Cases live as long as this cache, so that laws share exact references and states of one call.
@lru_cache(maxsize=4)
def _cases(domain: Domain, few: bool, calls: Calls) -> tuple[ScanCase, ...]:
    rows = _plan(domain, few, calls).rows
    return tuple(_case(row, number, domain) for number, row in enumerate(rows))


def _neutral(case: ScanCase, varied: tuple[str, ...]) -> ScanCase:
    plain = {"layout": "contiguous", "mode": "grad", "wants": "", "form": ONE_CALL}
    changed: dict[str, Any] = {name: value for name, value in plain.items() if name not in varied}
    return replace(case, **changed)


def planned_lengths(domain: Domain, subject: Any) -> tuple[int, ...]:
    """Return every length of the plan, in ascending order."""
    lengths = up_to(domain.max_length, FEW_LENGTHS if subject.compiles else LENGTHS)
    return tuple(sorted({steps for values in lengths.values() for steps in values}))


def planned(
    *varied: str, shortest: int = 0, longest: int | None = None
) -> Callable[[Domain, Any], Iterator[ScanCase]]:
    """Return the fixed cases of a law: the rows of the plan, of at least and at most so many steps.

    Args:
        varied: what the law varies of the call: "layout", "mode", "wants", "form"; the others are plain.
        shortest, longest: limits of the number of steps.
    """

    def fixed(domain: Domain, subject: Any) -> Iterator[ScanCase]:
        for case in _cases(*_key(subject)):
            if shortest <= case.steps and (longest is None or case.steps <= longest):
                yield _neutral(case, varied)

    return fixed
