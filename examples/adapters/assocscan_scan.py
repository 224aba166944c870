"""assoc-scan 0.0.6 ``AssocScan``, with its own initial state (``prev=``).

``scan``: expected error, a RuntimeError at length 0; every other length passes.
``layer``: the same scan asked to hand over its state by ``return_next=True``. The option, which no
document explains, is accepted and ignored: only the states come back. Expected: exit 2, "forward
returned ... array, expected (y, state)".
"""

import torch
from assoc_scan import AssocScan

from dynprop.check import Layer


def scan(gates, inputs, initial=None):
    """Kind scan."""
    return AssocScan()(gates, inputs, prev=initial)


def layer():
    """h_t = sigmoid(x_t) h_{t-1} + x_t. Whatever the package returns is handed on as it is."""

    def forward(x, state=None):
        return AssocScan()(torch.sigmoid(x), x, prev=state, return_next=True)

    return Layer(
        forward=forward,
        input_size=3,
        time_axis=1,
        batch_axis=0,
        state_batch_axis=0,
        framework="torch",
    )
