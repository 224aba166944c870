"""What is recorded of the experiments lies in the bands that were stated before they were run.

The bands come from an independent implementation in numpy with other random numbers (400, 300, 100 and 30
seeds, 40 nets), widened by what both may scatter; docs/training.md is made from the same record.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dynprop.training import Setting, proportion_interval

EVIDENCE = Path(__file__).resolve().parents[3] / "docs/evidence/training.json"
RECORD: dict[str, Any] = json.loads(EVIDENCE.read_text(encoding="utf-8"))["experiments"]


def rates(experiment: str, curve: int) -> dict[int, tuple[int, int]]:
    """Return successes and trials of a curve by length."""
    recorded = RECORD[experiment]["curves"][curve]["rates"]
    return {rate["length"]: (rate["successes"], rate["trials"]) for rate in recorded}


def share(experiment: str, curve: int, *lengths: int) -> float:
    pairs = [rates(experiment, curve)[length] for length in lengths]
    return sum(s for s, _ in pairs) / sum(n for _, n in pairs)


@pytest.mark.parametrize("experiment", ["E1", "E2", "E3", "C0", "LSTM", "ADAM"])
def test_every_setting_that_was_trained_exists_and_every_interval_is_that_of_its_counts(
    experiment: str,
) -> None:
    for curve in RECORD[experiment]["curves"]:
        for rate in curve["rates"]:
            Setting(length=rate["length"], **curve["setting"])
            expected = proportion_interval(rate["successes"], rate["trials"])
            assert rate["interval"] == pytest.approx(expected, abs=1e-12)


def test_the_unit_fails_at_ten_steps_from_a_contracting_weight_and_not_from_a_latching_one() -> None:
    contracting, latching, noisy = range(3)
    assert share("E1", contracting, 4, 6) >= 0.95
    assert share("E1", contracting, 10, 15, 20, 30) <= 0.0171
    assert share("E1", latching, 10) >= 0.95
    assert 0.6 <= share("E1", latching, 20) <= 0.85
    assert 0.85 <= share("E1", noisy, 10) <= 0.98
    assert share("E1", noisy, 30) <= 0.07


def test_the_net_fails_from_small_weights_and_the_positive_control_succeeds() -> None:
    small, default, orthogonal, identity = range(4)
    assert share("E2", small, 4, 5) >= 0.80
    assert share("E2", small, 10) <= 0.05
    assert share("E2", default, 10) >= 0.70
    assert share("E2", default, 20) <= 0.30
    assert share("E2", default, 30) <= 0.10
    assert share("E2", orthogonal, 50) >= 0.85
    assert share("E2", identity, 50) >= 0.85


def test_temporal_order_is_lost_between_ten_and_forty_steps() -> None:
    default, orthogonal = range(2)
    assert share("E3", default, 10) >= 0.85
    assert share("E3", default, 40) <= 0.12
    assert share("E3", orthogonal, 20) >= 0.85
    assert share("E3", orthogonal, 40) >= 0.3


def test_gradients_by_lag_fall_as_mean_field_says_and_not_as_the_radius_does() -> None:
    contracting, edge, _ = RECORD["E4"]["rows"]
    assert -0.80 <= contracting["slope"] <= -0.60
    assert -0.29 <= edge["slope"] <= -0.20
    for row in (contracting, edge):
        assert row["largest"] < 0.0
        assert abs(row["slope"] - row["mean_field"]) < 0.10
    assert edge["log_radius"] > 0.0


def test_log_norms_spread_like_the_root_of_the_depth_and_with_one_matrix_like_the_depth() -> None:
    exact, one, relu, he, shared = RECORD["E5"]["rows"]
    for way in ("forward", "backward"):
        for row in (exact, relu):
            assert abs(row[way][0]) < 0.35
            assert row[way][1] == pytest.approx(row["theory"][1], rel=0.2)
        assert one[way][0] == pytest.approx(-1.007, abs=0.3)
        assert he[way][0] == pytest.approx(-2.587, abs=0.4)
        assert shared[way][1] >= 2.5 * exact[way][1]


def test_gradients_mostly_vanish_rarely_explode_and_explosion_does_more_harm() -> None:
    initial = RECORD["C0"]["initial"]
    usual = [row for row in initial if row["init"] in ("small", "default", "default+forget")]
    assert all(row["vanished"] >= 0.9 * row["nets"] and row["exploded"] == 0 for row in usual)
    free, clipped = range(2)
    assert share("C0", clipped, 5) > share("C0", free, 5)


def test_an_lstm_succeeds_where_the_net_fails() -> None:
    net, forget, chrono = range(3)
    assert share("LSTM", net, 10, 30) <= 0.05
    assert share("LSTM", forget, 10) >= 0.8
    assert share("LSTM", chrono, 30) >= 0.8
    sgd, adam = range(2)
    assert share("ADAM", sgd, 10, 30) <= 0.05
    assert share("ADAM", adam, 10) >= 0.8
