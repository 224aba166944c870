"""Faults of kind scan that a reference shows."""

from __future__ import annotations

import torch
from torch import Tensor

from dynprop.kinds.scan.faults.truncation import cut_before
from dynprop.laws.catalogue import Catalogue

scan = Catalogue("scan", "torch")
CATALOGUES = (scan,)


def loop(gates: Tensor, inputs: Tensor, initial: Tensor | None) -> Tensor:
    """Run the recurrence step by step; what the faults are compared with."""
    return cut_before(gates, inputs, initial, inputs.shape[1] + 1)


@scan.fault("scan/gates-squared-beside-a-loop", domain={"reference": loop}, caught_by={"reference": "wrong"})
def gates_squared(gates: Tensor, inputs: Tensor, initial: Tensor | None) -> Tensor:
    """Uses the squares of its gates."""
    return loop(gates * gates, inputs, initial)


@scan.fault(
    "scan/gradient-to-gates-halved-beside-a-loop",
    domain={"reference": loop},
    caught_by={"reference": "wrong"},
)
def gradient_to_gates_halved(gates: Tensor, inputs: Tensor, initial: Tensor | None) -> Tensor:
    """Returns half of the gradient to its gates."""
    fixed = gates.detach()
    return loop(torch.add(fixed, gates - fixed, alpha=0.5), inputs, initial)
