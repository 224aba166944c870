"""A plan meets every pair and every strong triple, keeps to its limit, and refuses contradictions."""

from __future__ import annotations

from itertools import combinations

import pytest

from dynprop.errors import PlanError
from dynprop.laws.covering import Exclusion, Factor, Plan, combinations_of


def factor(name: str, *sizes: int) -> Factor:
    """Return a factor with a class of each size, named after it, of so many values."""
    return Factor(name, {f"{name}{n}": tuple(range(n)) for n in sizes})


FACTORS = (factor("a", 1, 2, 7), factor("b", 3, 4), factor("c", 1, 5), factor("d", 2, 3, 4, 5))
STRONG = Plan(FACTORS, strong=("a", "b", "c"))


def test_every_pair_and_every_strong_triple_is_in_some_row() -> None:
    rows = [row.classes for row in STRONG.rows]
    met = {pair for row in rows for pair in combinations_of(row, 2)}
    assert len(met) == sum(len(x.classes) * len(y.classes) for x, y in combinations(FACTORS, 2))
    triples = {(row["a"], row["b"], row["c"]) for row in rows}
    assert len(triples) == 3 * 2 * 2
    assert not STRONG.holes(rows)


def test_a_row_that_is_missing_is_a_hole() -> None:
    rows = [row.classes for row in STRONG.rows]
    assert any(STRONG.holes(rows[:i] + rows[i + 1 :]) for i in range(len(rows)))
    assert len(STRONG.holes([])) == len(STRONG.pairs) + len(STRONG.triples)


def test_every_value_of_a_class_is_in_some_row() -> None:
    for each in FACTORS:
        assert {row.values[each.name] for row in STRONG.rows} == {
            value for values in each.values.values() for value in values
        }
        assert all(row.values[each.name] in each.values[row.classes[each.name]] for row in STRONG.rows)


def test_a_plan_is_the_same_each_time() -> None:
    again = Plan(FACTORS, strong=("a", "b", "c"))
    assert again.rows == STRONG.rows


def test_exclusions_are_kept_and_what_they_imply_is_impossible() -> None:
    # a7 leaves c1 only, and c1 leaves b3 only: a7 with b4 is impossible although nothing says so.
    exclusions = (
        Exclusion({"a": ("a7",), "c": ("c5",)}, "wide"),
        Exclusion({"b": ("b4",), "c": ("c1",)}, "thin"),
    )
    plan = Plan(FACTORS, exclusions=exclusions)
    assert not any(e.excludes(row.classes) for e in exclusions for row in plan.rows)
    assert (("a", "a7"), ("b", "b4")) in plan.impossible
    assert plan.impossible[("a", "a7"), ("c", "c5")] == "wide"
    assert not plan.holes(row.classes for row in plan.rows)


def test_no_row_costs_more_than_the_limit() -> None:
    def cost(values: object) -> float:
        assert isinstance(values, dict)
        return float((values["a"] + 1) * (values["d"] + 1))

    plan = Plan(FACTORS, cost=cost, limit=14.0)
    assert max(cost(row.values) for row in plan.rows) <= 14.0
    assert {row.values["a"] for row in plan.rows} == set(range(7))


@pytest.mark.parametrize(
    ("exclusions", "message"),
    [
        (
            (Exclusion({"b": ("b3",), "a": ("a1",)}, "p"), Exclusion({"b": ("b4",), "a": ("a1",)}, "q")),
            "plan of cases: got exclusions that leave no case with a a1 (p; q), expected at least one case "
            "of each class; remove one of these exclusions, or the class a1",
        ),
        (
            (Exclusion({"b": ("b9",)}, "p"),),
            "plan of cases: got exclusion of b b9, expected a class of a, b, c, d; correct or remove the "
            "exclusion (p)",
        ),
    ],
)
def test_contradictory_exclusions_are_one_line(exclusions: tuple[Exclusion, ...], message: str) -> None:
    with pytest.raises(PlanError) as caught:
        Plan(FACTORS, exclusions=exclusions)
    assert str(caught.value) == message


def test_other_impossible_plans_are_one_line() -> None:
    for arguments in (
        {"factors": ()},
        {"factors": (Factor("a", {"empty": ()}),)},
        {"factors": FACTORS, "strong": ("a", "b", "nothing")},
    ):
        with pytest.raises(PlanError) as caught:
            Plan(**arguments)
        assert "\n" not in str(caught.value)
    with pytest.raises(PlanError, match="above the limit of cost"):
        _ = Plan(FACTORS, cost=lambda values: 2.0, limit=1.0).rows
