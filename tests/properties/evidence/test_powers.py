"""The long evidence of closed forms in short: no answer is silently wrong, and a wrong one would be seen."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dynprop.arrays import NumericArray
from dynprop.evidence.record import powers as evidence_powers
from dynprop.evidence.record.jobs import Shard
from dynprop.evidence.record.powers import DTYPE, OUTCOMES, ROUTES, Settings, judge, main, run
from dynprop.evidence.record.tables import described, no_blank_cheque
from dynprop.kinds.power.cases import PowerCase
from dynprop.kinds.power.strata import MATRICES, STRATA, draw_strata
from dynprop.linear import ClosedForm, closed_form

SEED = 20261125


def cases(seed: int = SEED) -> list[PowerCase]:
    """Return one case of every stratum."""
    drawn = [draw_strata(np.random.default_rng([seed, i]), name, 1) for i, name in enumerate(MATRICES)]
    return [case for part in drawn for _, case in part]


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("evidence")
    out = folder / "closed_form.json"
    paths = ["--out", str(out), "--parts", str(folder / "parts")]
    assert main(["--cases", "1000", "--seed", str(SEED), *paths]) == 0
    written: dict[str, Any] = json.loads(out.read_text())
    return written


def test_no_answer_is_silently_wrong(record: dict[str, Any]) -> None:
    assert record["cases"] == 1000
    assert record["wrong"] == record["undecided"] == 0
    assert record["failures"] == []
    # Refusals are answers, but few: a closed form that refuses everything is no evidence.
    assert record["answered"] >= 980


def test_strata_have_equal_shares_and_every_part_sums_to_the_whole(record: dict[str, Any]) -> None:
    assert {row["cases"] for row in record["strata"]} == {5}
    assert len(record["strata"]) == len(STRATA) == 200
    for part in ("strata", "decades", "sizes", "fields"):
        assert sum(row["cases"] for row in record[part]) == 1000, part
        assert sum(row["answered"] for row in record[part]) == record["answered"], part


def test_float64_routes_and_the_certified_one_both_have_evidence(record: dict[str, Any]) -> None:
    seen = {row["route"] for row in record["routes"]}
    assert seen >= {"loop", "symmetric", "eigen", "schur", "certified"}
    assert record["float64_cases"] > 250
    assert record["certified_cases"] > 250
    assert 0.0 < record["worst_ratio_float64"] <= 1.0


def test_an_error_ten_times_the_worst_would_be_caught_in_most_answers(record: dict[str, Any]) -> None:
    # Measured over this seed: at least 0.73 in every decade.
    shares = [row["ten_times_worse_caught_all"] for row in record["decades"] if row["t"] != "0"]
    assert len(shares) == 19
    assert min(shares) > 0.5


def test_the_record_carries_seed_date_and_versions(record: dict[str, Any]) -> None:
    assert record["seed"] == SEED
    assert set(record["versions"]) == {"dynprop", "numpy", "scipy", "python-flint"}
    assert record["limits"] == {"max_bits": 4096, "max_seconds": 10.0}
    assert record["code"] == evidence_powers.today_code()
    assert set(record["code"]) >= {"linear", "kinds.power"}


@pytest.mark.parametrize("factor", [0.5, 0.9])
def test_a_bound_that_is_too_small_is_called_wrong(factor: float) -> None:
    """Where an answer errs by its whole bound, which certified ones do, half of it is not enough."""

    def boastful(w: NumericArray, h: NumericArray, t: int) -> ClosedForm:
        answer = closed_form(w, h, t, route="certified")
        assert isinstance(answer.relative_bound, float)
        return replace(answer, relative_bound=answer.relative_bound * factor)

    W = np.array([[0.3, 0.7], [-0.2, 0.9]])
    case = PowerCase(W, np.array([1.0, 0.1]), 10**6, "float64")
    assert judge(case, boastful)[0] == "wrong"
    assert judge(case, lambda w, h, t: closed_form(w, h, t, route="certified"))[0] == "answered"


def test_wrong_states_are_called_wrong_in_every_stratum_that_they_are_wrong_in() -> None:
    """One step too few: right only where the state stays or vanishes."""

    def late(w: NumericArray, h: NumericArray, t: int) -> ClosedForm:
        return closed_form(w, h, max(t - 1, 0), max_bits=2048)

    outcomes = [judge(case, late)[0] for case in cases()]
    assert outcomes.count("wrong") > 120
    assert outcomes.count("undecided") == 0


def test_a_claimed_zero_must_be_exactly_zero() -> None:
    def vanished(w: NumericArray, h: NumericArray, t: int) -> ClosedForm:
        return ClosedForm(0.0 * h, 0, "certified", 0.0)

    nilpotent = PowerCase(np.array([[0.0, 1.0], [0.0, 0.0]]), np.array([1.0, 2.0]), 5, "float64")
    assert judge(nilpotent, vanished)[0] == "answered"
    assert judge(replace(nilpotent, t=1), vanished)[0] == "wrong"
    tiny = replace(nilpotent, W=np.diag([2.0**-1074, 2.0**-1074]), t=10**15)
    assert judge(tiny, vanished)[0] == "wrong"


def test_a_state_where_nothing_is_left_is_wrong() -> None:
    nilpotent = PowerCase(np.array([[3.0, 9.0], [-1.0, -3.0]]) / 7.0 * 7.0, np.ones(2), 50, "float64")

    def noise(w: NumericArray, h: NumericArray, t: int) -> ClosedForm:
        return ClosedForm(np.array([0.5, -0.25]), -900, "eigen", 1e-12)

    assert judge(nilpotent, noise)[0] == "wrong"


def test_values_that_are_not_finite_are_wrong() -> None:
    case = PowerCase(np.eye(2), np.ones(2), 3, "float64")

    def infinite(w: NumericArray, h: NumericArray, t: int) -> ClosedForm:
        return ClosedForm(np.array([np.inf, 0.5]), 0, "loop", 1e-12)

    assert judge(case, infinite)[0] == "wrong"


def test_a_run_that_was_stopped_goes_on_to_the_same_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence_powers, "EACH", 1)
    settings = Settings(600, SEED, max_bits=1024)
    whole = run(settings, tmp_path / "whole", tmp_path / "whole.json")
    assert whole is not None

    block, calls = evidence_powers._block, 0

    def stops(*arguments: Any) -> NumericArray:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return block(*arguments)

    parts, out = tmp_path / "parts", tmp_path / "stopped.json"
    monkeypatch.setattr(evidence_powers, "_block", stops)
    with pytest.raises(KeyboardInterrupt):
        run(settings, parts, out)
    assert not out.exists()
    # Two blocks were left to do after the one that had been saved; each shard does one.
    assert run(settings, parts, out, shard=Shard(2, 3), resume=True) is None
    resumed = run(settings, parts, out, shard=Shard(3, 3), resume=True)
    assert calls == 4
    assert resumed is not None
    assert resumed == json.loads(out.read_text())
    assert {**resumed, "seconds": 0} == {**whole, "seconds": 0}


def test_another_seed_or_other_code_does_not_go_on_from_what_was_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence_powers, "EACH", 1)
    settings = Settings(200, SEED, max_bits=1024)
    calls = []

    def block(*arguments: Any) -> NumericArray:
        calls.append(arguments)
        return np.zeros(200, dtype=DTYPE)

    monkeypatch.setattr(evidence_powers, "_block", block)
    out = tmp_path / "closed_form.json"
    for _ in range(2):
        run(settings, tmp_path, out, resume=True)
    assert len(calls) == 1
    run(replace(settings, seed=SEED + 1), tmp_path, out, resume=True)
    assert len(calls) == 2
    monkeypatch.setattr(evidence_powers, "today_code", lambda: {"linear": "other"})
    run(replace(settings, seed=SEED + 1), tmp_path, out, resume=True)
    assert len(calls) == 3
    assert json.loads(out.read_text())["code"] == {"linear": "other"}


def test_a_blank_cheque_is_seen() -> None:
    rows = np.zeros(10, dtype=DTYPE)
    rows["t"], rows["error"], rows["bound"] = 5, 1e-16, 1e-14
    assert no_blank_cheque(rows, OUTCOMES, ROUTES)["ten_times_worse_caught_all"] == 0.0
    rows["bound"][:7] = 5e-16
    assert no_blank_cheque(rows, OUTCOMES, ROUTES)["ten_times_worse_caught_all"] == 0.7
    assert no_blank_cheque(rows[:0], OUTCOMES, ROUTES)["ten_times_worse_caught_all"] is None


def test_a_wrong_answer_is_counted_where_it_belongs() -> None:
    rows = np.zeros(4, dtype=DTYPE)
    rows["stratum"], rows["size"], rows["t"] = 7, [1, 2, 2, 2], [0, 1, 10**18, 2**63 - 1]
    rows["outcome"][3], rows["error"], rows["bound"] = OUTCOMES.index("wrong"), 3e-16, 1e-16
    tables = described(rows, OUTCOMES, ROUTES)
    assert tables["wrong"] == 1
    assert [row["t"] for row in tables["decades"]] == ["0", "1e0 to 1e1", "1e18 to 1e19"]
    assert [row["wrong"] for row in tables["decades"]] == [0, 0, 1]
    assert [row["wrong"] for row in tables["sizes"]] == [0, 1]
    assert [i for i, row in enumerate(tables["strata"]) if row["wrong"]] == [7]
    assert tables["worst_ratio_float64"] == 3.0


def test_a_number_of_cases_below_one_is_a_wrong_call(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--cases", "0"])
    assert stopped.value.code == 2
    assert "got 0, expected a positive number" in capsys.readouterr().err
