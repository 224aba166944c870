"""Laws about gradients by lag: the library and a plain control keep them, each fault fails its own."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from dynprop import gradients, linear, products
from dynprop.check.run.runner import Options
from dynprop.kinds import laws_for
from dynprop.kinds.agreement.faults.gradients import faults
from dynprop.kinds.agreement.nets import KINDS, drawn_net
from dynprop.kinds.agreement.target import Agreement
from dynprop.laws.catalogue import Fault
from tests.properties.kinds.kinds import assert_caught, correct, judged, planted

ROOMS = ("reach", "sources", "maps")
LAWS = [law.id for law in laws_for("agreement") if law.test.__module__.rpartition(".")[2] in ROOMS]
# A mean over three nets of 200 units takes a second.
FEW = {"agreement/mean-field-of-nets": Options(examples=1)}


def rooms() -> Any:
    found = (linear, products, gradients)
    return SimpleNamespace(**{name: getattr(room, name) for room in found for name in room.__all__})


@pytest.mark.parametrize("law", LAWS)
def test_the_library_keeps_every_law(law: str) -> None:
    result = judged(law, Agreement(rooms(), framework="numpy"), FEW.get(law, Options(examples=4, iid=4)))
    assert result.verdict == "pass", result.counterexample
    assert result.decided == result.cases > 0
    assert result.worst_ratio <= 1.0


@pytest.mark.parametrize("law", [law for law in LAWS if law not in FEW])
def test_the_plain_way_keeps_every_law(law: str) -> None:
    result = judged(law, correct("agreement-gradients"), Options(examples=1, iid=1))
    assert result.verdict == "pass", result.counterexample


@pytest.mark.parametrize("fault", faults.faults, ids=lambda fault: fault.name.partition("/")[2])
def test_a_fault_fails_the_law_that_it_is_planted_for(fault: Fault) -> None:
    # The first is the law that it is planted for; the kill matrix has the others.
    law, verdict = next(iter(fault.caught_by.items()))
    options = Options(examples=8 if fault.gross else 60, patience=0.05)
    assert_caught(judged(f"agreement/{law}", planted(fault.name), options), verdict)


@pytest.mark.parametrize("kind", KINDS)
def test_the_net_of_the_laws_is_the_module_of_torch(kind: str) -> None:
    import numpy as np
    import torch

    rng = np.random.default_rng(0)
    net = drawn_net(rng, kind, 3, 2)
    inputs = rng.standard_normal((5, 2, net.features))
    with torch.no_grad():
        expected = net.module()(torch.from_numpy(inputs))[0][-1].numpy()
    np.testing.assert_allclose(net.last_output(inputs).real, expected, rtol=0, atol=1e-14)
