"""The coverage of a check: which pairs of classes of the kind's plan some law decided."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dynprop.check.run.outcome import LawResult
from dynprop.laws.covering import Combination, Plan, combinations_of

__all__ = ["Coverage", "Pair", "coverage_of"]

# Cases of a hole that are listed.
LISTED = 3


@dataclass(frozen=True)
class Pair:
    """Two classes of two factors, and the cases of all laws that have both.

    Attributes:
        classes: ((factor, class), (factor, class)).
        cases: number of cases with both classes.
        decided: number of those that were decided.
        undecided: some of those that were not, each in one line with its law; kept for a hole only.
    """

    classes: Combination
    cases: int = 0
    decided: int = 0
    undecided: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " with ".join(f"{factor} {name}" for factor, name in self.classes)


@dataclass(frozen=True)
class Coverage:
    """The pairs of classes of a plan with their cases; a pair is covered once any law decides it.

    Attributes:
        pairs: every pair that a case can have.
        impossible: the pairs that no case can have, with the reason.
    """

    pairs: tuple[Pair, ...]
    impossible: Mapping[Combination, str]

    @property
    def share(self) -> float:
        """Share of the possible pairs that some law decided."""
        return sum(pair.decided > 0 for pair in self.pairs) / max(len(self.pairs), 1)

    @property
    def holes(self) -> tuple[Pair, ...]:
        """The possible pairs that no law decided."""
        return tuple(pair for pair in self.pairs if not pair.decided)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "share": self.share,
            "pairs": [
                [*_flat(p.classes), p.cases, p.decided, *([list(p.undecided)] if p.undecided else [])]
                for p in self.pairs
            ],
            "impossible": [[*_flat(pair), reason] for pair, reason in self.impossible.items()],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Coverage:
        """Build the coverage that ``to_json`` described."""
        pairs = (
            Pair(_paired(row), int(row[4]), int(row[5]), tuple(row[6]) if len(row) > 6 else ())
            for row in data["pairs"]
        )
        return cls(tuple(pairs), {_paired(row): str(row[4]) for row in data["impossible"]})


def _flat(pair: Combination) -> list[str]:
    return [word for item in pair for word in item]


def _paired(row: list[Any]) -> Combination:
    return ((str(row[0]), str(row[1])), (str(row[2]), str(row[3])))


def coverage_of(plan: Plan, results: Iterable[LawResult]) -> Coverage:
    """Count the cases of every pair of classes over all laws."""
    cases, decided = dict.fromkeys(plan.pairs, 0), dict.fromkeys(plan.pairs, 0)
    examples: dict[Combination, list[str]] = {pair: [] for pair in plan.pairs}
    for result in results:
        for classes, met in result.met.items():
            for pair in combinations_of(dict(classes), 2):
                if pair in cases:
                    cases[pair] += met.cases
                    decided[pair] += met.decided
                    if met.undecided and len(examples[pair]) < LISTED:
                        examples[pair].append(f"{result.law}: {met.undecided}")
    place = {factor.name: number for number, factor in enumerate(plan.factors)}
    order = {(f.name, name): number for f in plan.factors for number, name in enumerate(f.classes)}

    def in_order(pair: Combination) -> Combination:
        return tuple(sorted(pair, key=lambda item: place[item[0]]))

    def rank(pair: Combination) -> list[int]:
        items = in_order(pair)
        return [*(place[name] for name, _ in items), *(order[item] for item in items)]

    return Coverage(
        tuple(
            Pair(in_order(pair), cases[pair], decided[pair], () if decided[pair] else tuple(examples[pair]))
            for pair in sorted(plan.pairs, key=rank)
        ),
        {in_order(pair): reason for pair, reason in plan.impossible.items()},
    )
