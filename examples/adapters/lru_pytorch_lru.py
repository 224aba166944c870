"""LRU-pytorch 0.1.3 ``LRU(4, 4, 6)``, batch first, float32 only (it writes into float32 buffers).

``forward(input, state=None)`` takes one complex state of shape (state_features,), without a batch
axis, and returns y alone: no state comes back, so resume and step laws are not applicable. What can
be judged: every row of a batch against the same row alone, from the same given state. Expected:
wrong. The first row uses the state, then the module sets it to zero.

The parameters B and C are complex, so the module is not offered as ``target``: ``module.to`` with a
real dtype drops imaginary parts.
"""

import torch
from LRU_pytorch import LRU

from dynprop.check import Layer

INPUT, OUTPUT, STATE = 4, 4, 6


def layer():
    module = LRU(INPUT, OUTPUT, STATE).eval()

    def forward(x, state=None):
        return module(x, state), None

    def initial_state(batch):
        generator = torch.Generator().manual_seed(0)
        return torch.complex(*torch.randn(2, STATE, generator=generator))

    return Layer(
        forward=forward,
        initial_state=initial_state,
        input_size=INPUT,
        time_axis=1,
        batch_axis=0,
        framework="torch",
    )
