"""The same laws at every size: shapes by design, all pairs of rows and columns, false alarms."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dynprop.check.run.runner import Options
from dynprop.contracts.domain import Domain
from dynprop.kinds import law_by_id, laws_for
from dynprop.kinds.initializer import covariance
from dynprop.kinds.initializer.cases import SHAPES, any_shape, every_shape, repeated_shapes
from dynprop.kinds.initializer.covariance import largest_agreement
from dynprop.kinds.initializer.target import Initializer
from dynprop.laws.draw import RandomSource
from dynprop.laws.evidence import Evidence
from dynprop.laws.statistics import FALSE_ALARMS, STATEMENT
from tests.properties.kinds.kinds import assert_caught, correct, judged, planted

# The designed shapes alone catch these.
DESIGNED = Options(examples=1, patience=0.0)


@pytest.mark.parametrize(
    ("fault", "law"),
    [
        ("square-by-both-fans", "variance"),
        ("variance-of-a-tile", "variance"),
        ("tile-repeated", "covariance"),
        ("halves-tied", "covariance"),
        ("columns-uneven", "covariance"),
        ("sizes-shared", "covariance"),
        ("only-rotations", "determinant-signs"),
        ("large-from-elsewhere", "deterministic"),
        ("large-ones-reseeded", "global-state"),
        ("large-ones-kept-by-shape", "fresh"),
        ("large-buffer-shared", "results-kept"),
    ],
)
def test_a_fault_of_one_regime_is_caught_by_its_law(fault: str, law: str) -> None:
    assert_caught(judged(f"initializer/{law}", planted(f"initializer/{fault}"), DESIGNED), "wrong")


def test_neighbours_alone_do_not_show_rows_that_are_far_apart() -> None:
    """What the law of all pairs adds to that of neighbours."""
    for fault in ("halves-tied", "tile-repeated"):
        assert judged("initializer/independent", planted(f"initializer/{fault}"), DESIGNED).verdict == "pass"


@pytest.mark.parametrize("control", ["haar-by-factorisation", "glorot-uniform"])
def test_right_weights_pass_at_every_size(control: str) -> None:
    for law in ("covariance", "determinant-signs", "fresh", "results-kept"):
        result = judged(f"initializer/{law}", correct(control), DESIGNED)
        assert result.verdict in ("pass", "not-applicable"), result.counterexample
        assert result.not_applicable or result.cases >= 6


def test_the_statements_of_one_check_stay_within_the_rate_of_false_alarms() -> None:
    """Each comparison is one statement at the rate STATEMENT; pairs and rows share theirs."""
    statements = 0
    for name in ("variance", "distribution", "independent", "fair-signs", "covariance"):
        law = law_by_id(f"initializer/{name}")

        def counted(subject: Any, case: Any, law: Any = law) -> Evidence:
            nonlocal statements
            evidence: Evidence = law.test(subject, case)
            statements += len(evidence.comparisons)
            return evidence

        assert not judged(replace(law, test=counted), correct("he-normal"), Options(patience=0.0)).failed
    assert 300 < statements < FALSE_ALARMS / STATEMENT


def test_the_worst_of_all_pairs_exceeds_its_interval_at_the_stated_rate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At a rate of 0.2 for 45 pairs: at most that share of fair coins, up to five deviations of 400 draws."""
    monkeypatch.setattr(covariance, "STATEMENT", 0.2)
    rng, failed = np.random.default_rng(0), 0
    for _ in range(400):
        comparison = largest_agreement(rng.random((10, 400)) < 0.5, "rows")
        assert comparison is not None
        failed += comparison.ratio > 1.0
    assert 0 < failed <= 400 * 0.2 + 5.0 * (400 * 0.2 * 0.8) ** 0.5
    tied = rng.random((10, 400)) < 0.5
    tied[7] = np.where(rng.random(400) < 0.7, tied[2], ~tied[2])
    found = largest_agreement(tied, "rows")
    assert found is not None
    assert found.ratio > 1.0
    assert "rows 2 and 7" in found.label
    assert largest_agreement(tied[:1], "rows") is None


def test_shapes_are_square_tall_and_wide_of_every_size() -> None:
    subject, source = Initializer(lambda shape, rng: rng.standard_normal(shape)), RandomSource(0)
    sides = {n for shape in SHAPES for n in shape}
    assert {1, 2, 512} <= sides
    assert {(512, 512), (512, 1), (1, 512)} <= set(SHAPES)
    assert all(case.calls <= 1024 for case in every_shape(Domain(), subject))
    assert {case.calls for case in repeated_shapes(Domain(), subject)} == {2}
    drawn = [any_shape(source, Domain(), subject) for _ in range(100)]
    assert {np.sign(case.fan_in - case.fan_out) for case in drawn} == {-1, 0, 1}


def test_laws_of_chance_say_their_rate() -> None:
    stated = [law.id for law in laws_for("initializer") if "false alarms" in law.statement]
    assert stated == ["initializer/covariance", "initializer/determinant-signs"]
