"""Faults of kind scan in gradients that are cut on purpose."""

from __future__ import annotations

import torch
from torch import Tensor

from dynprop.laws.catalogue import Catalogue

scan = Catalogue("scan", "torch")
CATALOGUES = (scan,)
WINDOWS = {"reach": 8, "windows": "start"}


def cut_before(gates: Tensor, inputs: Tensor, initial: Tensor | None, every: int) -> Tensor:
    """Run the recurrence, and cut its gradient every so many steps, counted from the start."""
    h = torch.zeros_like(inputs[:, :1].sum(1)) if initial is None else initial
    states = [h[:, None][:, :0]]
    for t in range(inputs.shape[1]):
        if t and t % every == 0:
            h = h.detach()
        h = gates[:, t] * h + inputs[:, t]
        states.append(h[:, None])
    return torch.cat(states, 1)


@scan.fault("scan/windows-one-step-late", domain=WINDOWS, caught_by={"truncation": "wrong"})
def windows_one_step_late(gates: Tensor, inputs: Tensor, initial: Tensor | None) -> Tensor:
    """Cuts its gradient every 9 steps where 8 are declared."""
    return cut_before(gates, inputs, initial, 9)


@scan.fault("scan/declared-cut-missing", domain={"reach": 8}, caught_by={"truncation": "wrong"})
def declared_cut_missing(gates: Tensor, inputs: Tensor, initial: Tensor | None) -> Tensor:
    """Declares that it cuts its gradient after lag 8, and cuts nothing."""
    return cut_before(gates, inputs, initial, inputs.shape[1] + 1)
