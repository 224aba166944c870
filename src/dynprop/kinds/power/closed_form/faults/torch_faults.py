"""Faults of kind closed-form in torch: right states and a wrong backward pass."""

from __future__ import annotations

import torch
from torch import Tensor

from dynprop.laws.catalogue import Catalogue

closed: Catalogue = Catalogue("closed-form", "torch")
CATALOGUES = (closed,)


@closed.fault("closed-form/initial-state-detached", caught_by={"adjoint": "wrong"})
def initial_state_detached(W: Tensor, h0: Tensor, t: int) -> Tensor:
    """Lets the gradient reach W alone."""
    power: Tensor = torch.linalg.matrix_power(W, t)
    return h0.detach() @ power


@closed.fault("closed-form/gradient-of-one-step", caught_by={"adjoint": "wrong"})
def gradient_of_one_step(W: Tensor, h0: Tensor, t: int) -> Tensor:
    """Lets the gradient travel through the last step only."""
    with torch.no_grad():
        state = h0 @ torch.linalg.matrix_power(W, max(t - 1, 0))
    state_with_gradient = state + (h0 - h0.detach())  # the value of the state, the gradient of h0
    return state_with_gradient @ W if t else h0 * 1
