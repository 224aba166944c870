"""Each law across functions of random products fails the one wrong function that it is about."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dynprop import linear, products
from dynprop.check.run.runner import Options
from dynprop.cli import main
from dynprop.kinds import laws_for
from dynprop.kinds.agreement.depths import DepthCase
from dynprop.kinds.agreement.target import Agreement
from tests.properties.kinds.kinds import judged, planted

ROOMS = ("weights", "layers", "walks", "activations")
LAWS = [law.id for law in laws_for("agreement") if law.test.__module__.rpartition(".")[2] in ROOMS]
# The number of cases of laws that simulate nets or solve for fixed points; others have 40.
FEW = {
    "agreement/norm-at-depth": 4,
    "agreement/recurrent-spread": 1,
    "agreement/kinks": 4,
    "agreement/edge-that-attracts": 4,
    "agreement/scale-of-weights": 20,
    "agreement/shifted-weights": 20,
}


def both_rooms() -> Any:
    return SimpleNamespace(
        **{name: getattr(room, name) for room in (linear, products) for name in room.__all__}
    )


@pytest.mark.parametrize("law", LAWS)
def test_products_agree_with_themselves_and_with_scans(law: str) -> None:
    few = FEW.get(law, 40)
    result = judged(law, Agreement(both_rooms(), framework="numpy"), Options(examples=few, iid=few))
    assert result.verdict == "pass", result.counterexample
    # Hypothesis draws no case twice, and one law has few.
    assert result.decided == result.cases > few
    assert result.worst_ratio <= 1.0


def test_a_case_survives_json_and_shrinks_to_one_step() -> None:
    case = DepthCase(9, 4, 7)
    assert DepthCase.from_json(json.loads(json.dumps(case.to_json()))) == case
    assert Agreement.case_from_json(case.to_json()) == case
    assert {(c.depth, c.width, c.seed) for c in case.smaller()} >= {(1, 4, 7), (9, 1, 7), (9, 4, 0)}
    assert list(DepthCase(1, 1, 0).smaller()) == []


def test_the_products_room_is_judged_on_the_command_line(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    arguments = ["check", "dynprop:products", "--kind", "agreement", "--examples", "2", "--json", str(report)]
    assert main(arguments) == 0
    verdicts = {law["id"]: law["verdict"] for law in json.loads(report.read_text())["laws"]}
    assert {verdicts[law] for law in LAWS if law != "agreement/running-product"} == {"pass"}
    assert verdicts["agreement/running-product"] == "not-applicable"


def test_a_counterexample_shows_the_functions_without_dynprop_around_them() -> None:
    result = judged("agreement/step-variance", planted("agreement/step-is-a-quotient"))
    assert result.counterexample is not None
    assert "depth, width, seed = 2, " in result.counterexample.script
    assert "f.step_variance(1e-10, depth)" in result.counterexample.script


def test_a_discrepancy_of_a_unit_in_the_twelfth_place_is_seen() -> None:
    """The bounds are not idle: 1e-12 too much in each function fails its law."""

    def off(name: str) -> Any:
        def function(*given: Any) -> Any:
            return getattr(products, name)(*given) * (1.0 + 1e-12)

        return Agreement(SimpleNamespace(**{**vars(both_rooms()), name: function}), framework="numpy")

    assert judged("agreement/step-variance", off("step_variance")).verdict != "pass"
    assert judged("agreement/gain-without-drift", off("critical_gain")).verdict != "pass"

    def logs(weights: Any) -> Any:
        signs, found = products.running_log_products(weights)
        return signs, found * (1.0 + 1e-12) + np.where(np.isfinite(found), 1e-12, 0.0)

    namespace = SimpleNamespace(**{**vars(both_rooms()), "running_log_products": logs})
    assert judged("agreement/running-product", Agreement(namespace, framework="numpy")).verdict != "pass"
