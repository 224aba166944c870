"""Random calls of `linear` and `products` in short: none is outside its bound, a wrong one is seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dynprop import linear, products
from dynprop.errors import PrecisionError
from dynprop.evidence.record import calls as evidence_calls
from dynprop.evidence.record.call_case import Call, Stratum, limited
from dynprop.evidence.record.calls import (
    LEFT_OUT,
    OUTCOMES,
    STRATA,
    WRONG,
    judge,
    main,
    public_functions,
    record,
)

SEED = 20261202


def named(name: str) -> Stratum:
    (found,) = [stratum for stratum in STRATA if stratum.name == name]
    return found


def test_every_public_function_is_in_a_stratum_or_left_out_for_a_reason() -> None:
    judged = {stratum.function for stratum in STRATA}
    assert judged | set(LEFT_OUT) == public_functions()
    assert not judged & set(LEFT_OUT)
    assert all(reason == "draws a picture" for reason in LEFT_OUT.values())


def test_the_names_of_strata_are_unique() -> None:
    assert len({stratum.name for stratum in STRATA}) == len(STRATA)


def test_forty_calls_are_within_their_bounds() -> None:
    chosen = STRATA[:: len(STRATA) // 40][:40]
    rows = [record(stratum, 1, SEED) for stratum in chosen]
    assert len(rows) == 40
    assert [row["failures"] for row in rows if any(row[name] for name in WRONG)] == []
    assert sum(row["answered"] for row in rows) >= 30


def wrong_state(found: Any) -> Any:
    return found * (1 + 1e-9)


@pytest.mark.parametrize(
    ("room", "function", "stratum", "spoil"),
    [
        (linear, "unroll", "linear.unroll/gaussian", wrong_state),
        (linear, "scan", "linear.scan/growing", wrong_state),
        (linear, "kreiss_constant", "linear.kreiss_constant/symmetric", lambda k: k * (1 + 1e-4)),
        (linear, "certified_eigenvalues", "linear.certified_eigenvalues/integer", lambda found: found[:-1]),
        (linear, "log_discard_ratio", "linear.log_discard_ratio/gaussian", lambda r: r + 1e-6),
        (products, "step_variance", "products.step_variance/any", lambda v: float(np.nextafter(v, 2 * v))),
        (products, "zero_drift_variance", "products.zero_drift_variance/signs", lambda v: v * 1.001),
        (products, "gaussian_exponents", "products.gaussian_exponents/any", lambda e: e + 1e-9),
        (products, "orthogonal", "products.orthogonal/any", lambda w: w * 1.01),
    ],
)
def test_a_wrong_function_is_seen(
    monkeypatch: pytest.MonkeyPatch, room: Any, function: str, stratum: str, spoil: Any
) -> None:
    right = getattr(room, function)
    assert record(named(stratum), 4, SEED)["outside"] == 0
    monkeypatch.setattr(room, function, lambda *given, **options: spoil(right(*given, **options)))
    assert record(named(stratum), 4, SEED)["outside"] > 0


def outcome(run: Any) -> tuple[str, str]:
    return judge(Call("", run, lambda found: found))[:2]


def test_outcomes_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise PrecisionError("too hard: raise max_bits")

    def forever() -> None:
        while True:
            pass

    monkeypatch.setattr(evidence_calls, "limited", lambda: limited(0.05))
    assert outcome(lambda: 0.5)[0] == "answered"
    assert outcome(lambda: 1.5)[0] == "outside"
    assert outcome(lambda: np.nan)[0] == "undecided"
    assert outcome(refuse) == ("refused", "PrecisionError: too hard: raise max_bits")
    assert outcome(lambda: 1 / 0) == ("crashed", "ZeroDivisionError: division by zero")
    assert outcome(forever)[0] == "late"


def test_a_run_in_shards_writes_the_record_and_totals_add_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    few = tuple(named(name) for name in ("products.step_variance/any", "linear.is_stable/jordan"))
    monkeypatch.setattr(evidence_calls, "STRATA", few)
    out = tmp_path / "calls.json"
    paths = ["--calls", "6", "--out", str(out), "--parts", str(tmp_path / "parts")]
    assert main([*paths, "--shard", "1/2"]) == 0
    assert not out.exists()
    assert main([*paths, "--shard", "2/2"]) == 0
    import json

    found = json.loads(out.read_text())
    assert found["calls"] == 6 == sum(found[name] for name in OUTCOMES)
    assert [row["stratum"] for row in found["strata"]] == [stratum.name for stratum in few]


def test_refusals_are_counted_by_their_reason() -> None:
    row = record(named("linear.modes/jordan"), 6, SEED)
    assert row["refused"] == sum(row["reasons"].values()) > 0
