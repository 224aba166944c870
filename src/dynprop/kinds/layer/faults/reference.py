"""Faults of kind layer that agree with themselves in everything; another implementation shows them."""

from __future__ import annotations

import torch
from torch import Tensor

from dynprop.kinds.layer.faults.bases import Elman, Gru
from dynprop.laws.catalogue import Catalogue

layer = Catalogue("layer", "torch")
CATALOGUES = (layer,)


@layer.fault(
    "layer/update-gate-inverted",
    source="dynprop",
    domain={"reference": Gru},
    caught_by={"reference": "wrong"},
)
class UpdateGateInverted(Gru):
    """Weights the new content by its update gate where the declared GRU weights the old state."""

    def cell(self, x_t: Tensor, state: Tensor) -> Tensor:
        """Return the next state."""
        read_r, read_z, read_n = self.read(x_t).chunk(3, -1)
        recur_r, recur_z, recur_n = self.recur(state).chunk(3, -1)
        reset, update = torch.sigmoid(read_r + recur_r), torch.sigmoid(read_z + recur_z)
        new = torch.tanh(read_n + reset * recur_n)
        return update * new + (1 - update) * state


@layer.fault(
    "layer/state-clipped",
    gross=False,
    domain={"reference": Elman},
    caught_by={"reference": "wrong"},
)
class StateClipped(Elman):
    """Clips its states at 0.95 where the reference does not."""

    def cell(self, x_t: Tensor, state: Tensor) -> Tensor:
        """Return the next state."""
        return super().cell(x_t, state).clamp(-0.95, 0.95)
