r"""Covering arrays: few cases that meet every pair of classes, and every triple of some factors.

A kind has factors (length, batch, dtype, ...), each with a few coarse classes. A row takes one class of each
factor. The rows of a plan are a covering array of mixed strength: every pair of classes of any two factors,
and every triple of classes of any three *strong* factors, stands in some row, unless exclusions make it
impossible (Kuhn, Kacker and Lei 2010, NIST SP 800-142, sections 2 and 3.4). covertable builds the rows;
this module checks them at both strengths and adds a row for each combination that they miss.

Within a class, the values differ from row to row, and each value of each class is in at least one row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations, islice, product

from covertable import make

from dynprop.errors import PlanError

__all__ = ["Exclusion", "Factor", "Plan", "Row", "Value", "combinations_of"]

Value = int | float | str | None
Classes = Mapping[str, str]
# One class of each of some factors, sorted by factor: (("batch", "one"), ("length", "0")).
Combination = tuple[tuple[str, str], ...]

# A search for values within the limit of cost ends after this many tries.
TRIES = 4096


@dataclass(frozen=True)
class Factor:
    """A property of cases, with its classes.

    Attributes:
        name: such as "length".
        values: the values of each class, by the name of the class; a class has at least one value.
    """

    name: str
    values: Mapping[str, tuple[Value, ...]]

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""
        return tuple(self.values)


@dataclass(frozen=True)
class Exclusion:
    """A combination of classes in which no row may be, with the reason.

    Attributes:
        classes: the classes of some factors, by the name of the factor; a row is excluded where it has one of
            the classes of each of them.
        reason: why there are no such cases, for reports.
    """

    classes: Mapping[str, tuple[str, ...]]
    reason: str

    def excludes(self, row: Classes) -> bool:
        """Whether a row, which may lack factors, is excluded."""
        return all(row.get(name) in classes for name, classes in self.classes.items())


@dataclass(frozen=True)
class Row:
    """The classes of a case, and the value of each factor."""

    classes: Mapping[str, str]
    values: Mapping[str, Value]


def combinations_of(classes: Classes, strength: int) -> Iterator[Combination]:
    """Yield the combinations of classes of a row, of so many factors each, sorted by factor.

    Example:
        >>> list(combinations_of({"length": "0", "batch": "one"}, 2))
        [(('batch', 'one'), ('length', '0'))]
    """
    yield from combinations(sorted(classes.items()), strength)


def _free(values: Mapping[str, Value]) -> float:
    return 0.0


@dataclass(frozen=True)
class Plan:
    """The factors of a kind, and the rows that cover their classes.

    Attributes:
        factors: the factors.
        strong: the factors of which every triple of classes is covered, at least three or none.
        exclusions: combinations of classes without a case.
        cost: the cost of a case by the values of its factors.
        limit: the largest cost of a case; within a class, values are chosen below it.

    Raises:
        PlanError: a factor without classes or values, an exclusion or a strong factor that no factor or class
            has, exclusions that leave a class without any row, or a combination whose cheapest values cost
            more than the limit.

    Example:
        >>> length = Factor("length", {"empty": (0,), "short": (1, 2, 3), "long": (1024, 2048)})
        >>> batch = Factor("batch", {"one": (1,), "wide": (33, 65)})
        >>> slow = Exclusion({"length": ("long",), "batch": ("wide",)}, "slow")
        >>> plan = Plan((length, batch), exclusions=(slow,))
        >>> sorted((row.classes["length"], row.classes["batch"]) for row in plan.rows)[:2]
        [('empty', 'one'), ('empty', 'wide')]
        >>> sorted({row.values["length"] for row in plan.rows})
        [0, 1, 2, 3, 1024, 2048]
    """

    factors: tuple[Factor, ...]
    strong: tuple[str, ...] = ()
    exclusions: tuple[Exclusion, ...] = ()
    cost: Callable[[Mapping[str, Value]], float] = _free
    limit: float = field(default=float("inf"))

    def __post_init__(self) -> None:
        _require_factors(self.factors)
        known = {factor.name: factor.classes for factor in self.factors}
        if self.strong and (len(self.strong) < 3 or not set(self.strong) <= set(known)):
            raise PlanError(
                f"strong factors {', '.join(self.strong)}",
                f"at least three of {', '.join(known)}",
                "name factors of the plan, or none",
            )
        for exclusion in self.exclusions:
            for name, classes in exclusion.classes.items():
                unknown = sorted(set(classes) - set(known.get(name, ())))
                if unknown or name not in known:
                    raise PlanError(
                        f"exclusion of {name} {', '.join(unknown or classes)}",
                        f"a class of {', '.join(known)}",
                        f"correct or remove the exclusion ({exclusion.reason})",
                    )
        for factor in self.factors:
            for name in factor.classes:
                if self.completed({factor.name: name}) is None:
                    reasons = "; ".join(
                        exclusion.reason for exclusion in self.exclusions if factor.name in exclusion.classes
                    )
                    raise PlanError(
                        f"exclusions that leave no case with {factor.name} {name} ({reasons})",
                        "at least one case of each class",
                        f"remove one of these exclusions, or the class {name}",
                    )

    @cached_property
    def by_name(self) -> Mapping[str, Factor]:
        """The factors by name."""
        return {factor.name: factor for factor in self.factors}

    def completed(self, classes: Classes) -> dict[str, str] | None:
        """Return a full row with these classes that no exclusion excludes, or None where there is none."""
        row = dict(classes)
        if any(exclusion.excludes(row) for exclusion in self.exclusions):
            return None
        missing = [factor for factor in self.factors if factor.name not in row]

        def fill(place: int) -> bool:
            if place == len(missing):
                return True
            factor = missing[place]
            for name in factor.classes:
                row[factor.name] = name
                if not any(e.excludes(row) for e in self.exclusions if factor.name in e.classes) and fill(
                    place + 1
                ):
                    return True
            row.pop(factor.name, None)
            return False

        return row if fill(0) else None

    @cached_property
    def pairs(self) -> frozenset[Combination]:
        """Every pair of classes that some row can have."""
        return frozenset(self._possible([factor.name for factor in self.factors], 2))

    @cached_property
    def triples(self) -> frozenset[Combination]:
        """Every triple of classes of strong factors that some row can have."""
        return frozenset(self._possible(self.strong, 3))

    @cached_property
    def impossible(self) -> Mapping[Combination, str]:
        """The pairs that no row can have, each with the reasons of the exclusions of its factors."""
        everything = set(self._all([f.name for f in self.factors], 2))
        reasons: dict[Combination, str] = {}
        for pair in sorted(everything - self.pairs):
            names = {name for name, _ in pair}
            about = [e.reason for e in self.exclusions if names & set(e.classes)]
            direct = [e.reason for e in self.exclusions if set(e.classes) == names and e.excludes(dict(pair))]
            reasons[pair] = "; ".join(dict.fromkeys(direct or about))
        return reasons

    def holes(self, rows: Iterable[Classes]) -> frozenset[Combination]:
        """Return the possible pairs and triples that none of the rows has."""
        listed = list(rows)
        met = {pair for row in listed for pair in combinations_of(row, 2)}
        strong = [{name: row[name] for name in self.strong} for row in listed]
        met |= {triple for row in strong for triple in combinations_of(row, 3)}
        return (self.pairs | self.triples) - met

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """The rows, always the same for the same plan.

        Raises:
            PlanError: the cheapest values of a row cost more than the limit.
        """
        classes = self._built()
        for hole in sorted(self.holes(classes)):
            # An earlier completion may have met it.
            if not any(set(hole) <= set(row.items()) for row in classes):
                completed = self.completed(dict(hole))
                assert completed is not None, hole  # holes are possible combinations
                classes.append(completed)
        return tuple(self._with_values(classes))

    def _built(self) -> list[dict[str, str]]:
        """Return the rows of covertable."""
        constraints = [
            {
                "operator": "not",
                "condition": {
                    "operator": "and",
                    "conditions": [
                        {"operator": "in", "left": name, "values": list(classes)}
                        for name, classes in exclusion.classes.items()
                    ],
                },
            }
            for exclusion in self.exclusions
        ]
        if len(self.factors) == 1:
            (only,) = self.factors
            return [{only.name: name} for name in only.classes]
        built = make(
            {factor.name: list(factor.classes) for factor in self.factors},
            strength=2,
            sub_models=[{"fields": list(self.strong), "strength": 3}] if self.strong else [],
            constraints=constraints,
        )
        return [{factor.name: str(row[factor.name]) for factor in self.factors} for row in built]

    def _with_values(self, rows: list[dict[str, str]]) -> Iterator[Row]:
        """Give each row the least used values of its classes; then add rows for values that no row has."""
        uses: dict[tuple[str, Value], int] = {}

        def least_used(name: str, classes: Classes) -> list[Value]:
            values = self.by_name[name].values[classes[name]]
            return sorted(values, key=lambda value: uses.get((name, value), 0))

        def valued(classes: Classes, fixed: Mapping[str, Value]) -> Row | None:
            choices = [[fixed[name]] if name in fixed else least_used(name, classes) for name in self.by_name]
            for values in islice(product(*choices), TRIES):
                row = dict(zip(self.by_name, values, strict=True))
                if self.cost(row) <= self.limit:
                    for pair in row.items():
                        uses[pair] = uses.get(pair, 0) + 1
                    return Row(dict(classes), row)
            return None

        for classes in rows:
            row = valued(classes, {})
            if row is None:
                raise PlanError(
                    "classes whose cheapest case is above the limit of cost: "
                    + ", ".join(f"{name} {value}" for name, value in classes.items()),
                    f"a case of cost {self.limit:g} or less",
                    "exclude the combination, or give a class smaller values",
                )
            yield row
        for factor in self.factors:
            for name, values in factor.values.items():
                for value in values:
                    if not uses.get((factor.name, value)):
                        fitting = (r for r in rows if r[factor.name] == name)
                        row = next(filter(None, (valued(r, {factor.name: value}) for r in fitting)), None)
                        if row is None:
                            raise PlanError(
                                f"{factor.name} {value}, which costs more than the limit in every row",
                                f"a case of cost {self.limit:g} or less",
                                "remove the value, or raise the limit",
                            )
                        yield row

    def _all(self, names: Iterable[str], strength: int) -> Iterator[Combination]:
        """Yield every combination of classes of so many of the named factors."""
        for chosen in combinations(sorted(names), strength):
            for classes in product(*(self.by_name[name].classes for name in chosen)):
                yield tuple(zip(chosen, classes, strict=True))

    def _possible(self, names: Iterable[str], strength: int) -> Iterator[Combination]:
        """Yield the combinations that some row can have."""
        for combination in self._all(names, strength):
            if self.completed(dict(combination)) is not None:
                yield combination


def _require_factors(factors: tuple[Factor, ...]) -> None:
    """Raise PlanError unless there are factors with different names, and every class has a value."""
    names = [factor.name for factor in factors]
    empty = [f.name for f in factors if not f.values or not all(f.values.values())]
    if not factors or empty or len(set(names)) < len(names):
        raise PlanError(
            f"factors {', '.join(names) or 'none'}" + (f", an empty class in {empty[0]}" if empty else ""),
            "at least one factor, each with a name of its own and a value in every class",
            "give every class a value, and every factor another name",
        )
