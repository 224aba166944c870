"""Each law of kind layer fails a layer with the defect it is about, and passes one that is right."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dynprop.check.run.outcome import LawResult
from dynprop.check.run.runner import Options
from dynprop.kinds import law_by_id, laws_for
from dynprop.kinds.layer.faults.bases import Elman
from dynprop.kinds.layer.target import Layer
from tests.properties.kinds.kinds import catalogue
from tests.properties.kinds.kinds import judged as judged_by

BRIEF = Options(examples=6, patience=0.5)
# No time for drawn cases: those that a law always runs first, and no others.
FIXED_ONLY = Options(examples=1, budget=0.0, patience=0.0)
LAWS = [law.id for law in laws_for("layer")]
# Short sequences in one format: the defects below need no more, and a shared machine is slow.
SHORT: dict[str, Any] = {"max_length": 12, "dtypes": ("float64",)}
LONGER = {"chunk-carry-lost": 20, "parallel-decay-overflows": 400}


def subject(name: str, **options: Any) -> Any:
    """Return a fault of the catalogue, or a control, ready to be judged."""
    entry = catalogue()[name if name.startswith("control/") else f"layer/{name}"]
    target = entry.build()
    options = {"max_length": LONGER.get(name, SHORT["max_length"]), **entry.domain, **options}
    layer = Layer.of(target, **{**SHORT, **options})
    layer.preflight()
    return layer


def judged(law: str, layer: Any, options: Options = BRIEF) -> LawResult:
    return judged_by(law, layer, options)


# Between them these layers have every form; a law that none of them can be asked would go untested.
SOUND = (
    "control/gru-beside-torch",
    "control/diagonal-forms",
    "control/padded-rows",
    "control/time-spans",
    "control/windows-from-the-end",
)


@pytest.mark.parametrize("law", LAWS)
def test_the_law_passes_what_is_right(law: str) -> None:
    applied = 0
    for name in SOUND:
        result = judged(law, subject(name, max_length=8, dtypes=("float64", "float32")), Options(examples=3))
        applied += not result.not_applicable
        assert result.verdict in ("pass", "not-applicable"), (name, result.counterexample)
        # Observed: 0.08 at most; the bounds of a black box are wide.
        assert result.worst_ratio <= 1.0
        assert result.decided == (0 if result.not_applicable else result.cases)
    assert applied > 0


def test_a_state_that_is_scaled_when_handed_over_is_recognised() -> None:
    result = judged("layer/hand-over", subject("chunk-state-scaled"))
    assert result.hypothesis is not None
    assert "state scaled by √8 when handed over" in result.hypothesis


def test_a_truncated_gradient_has_the_effective_lag_at_which_it_is_cut() -> None:
    for steps, lag in ((16, 15), (17, 0), (24, 7)):
        layer = subject("truncated-every-16", max_length=steps)
        result = judged("layer/gradient-by-lag", layer, FIXED_ONLY)
        # One case, as long as the domain allows; from its end the gradient reaches back to step 16.
        assert (result.cases, result.max_decided_lag) == (1, steps - 1)
        assert result.effective_lag == lag
        assert result.verdict == ("pass" if steps == 16 else "wrong")


def test_a_gradient_through_logarithms_loses_its_long_lags_although_its_outputs_are_right() -> None:
    layer = subject("log-space-gradient", max_length=40, dtypes=("float32",))
    result = judged("layer/gradient-by-lag", layer, FIXED_ONLY)
    assert result.failed
    assert result.max_decided_lag == 39
    assert result.effective_lag is not None
    assert 5 <= result.effective_lag < 40  # observed: 15, as for minGRU-pytorch 0.2.1
    forwards = judged("layer/split-resume", subject("log-space-gradient", max_length=12), Options(examples=3))
    assert forwards.verdict == "pass"


def test_a_gradient_that_is_cut_on_purpose_passes_within_its_reach() -> None:
    class Detaching(Elman):
        """Cuts every gradient to the past."""

        def cell(self, x_t: Tensor, state: Tensor) -> Tensor:
            return super().cell(x_t, state.detach())

    # Its own Jacobian of one step is zero, and so are all products: nothing is left to be judged.
    plain = Layer.of(Detaching, **SHORT)
    plain.preflight()
    assert judged("layer/step-gradient", plain).verdict == "wrong"

    for reach, verdict in ((3, "pass"), (4, "wrong")):
        cut = subject("truncated-every-16", max_length=20, reach=reach)
        result = judged("layer/gradient-by-lag", cut, FIXED_ONLY)
        assert (result.verdict, result.effective_lag) == (verdict, 3)


def test_a_bidirectional_layer_is_not_asked_what_it_cannot_answer() -> None:
    layer = subject("control/torch-gru-bidirectional")
    asked = {law: law_by_id(law).applies(layer) is None for law in LAWS}
    for law in ("own-steps", "split-resume", "causality", "gradient-by-lag", "step-gradient", "hand-over"):
        assert not asked[f"layer/{law}"]
    for law in ("row-alone", "row-alone-with-state", "padding", "shape-and-dtype", "own-state-accepted"):
        assert asked[f"layer/{law}"]


class OtherRowsAreNan(Elman):
    """Returns NaN for every row but the first."""

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        y, last = super().forward(x, state)
        rows = torch.arange(x.shape[1])[:, None] > 0
        return torch.where(rows, torch.nan, y), last


class NanFromStepFive(Elman):
    """Returns NaN from step 5 on."""

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        y, last = super().forward(x, state)
        late = torch.arange(len(x))[:, None, None] >= 5
        return torch.where(late, torch.nan, y), last


@pytest.mark.parametrize(
    ("build", "law"), [(OtherRowsAreNan, "layer/row-alone"), (NanFromStepFive, "layer/own-steps")]
)
def test_nan_is_wrong_where_a_number_was_due(build: type[nn.Module], law: str) -> None:
    layer = Layer.of(build, **SHORT)
    layer.preflight()
    assert judged(law, layer, Options(examples=15, patience=0.2)).verdict == "wrong"
