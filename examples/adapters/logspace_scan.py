"""The log-space scan of Heinsen (2023), for positive gates and inputs, from its formula.

a* = cumsum(log a), h = exp(a* + logcumsumexp(log x - a*)); log h_0 is put before the first input.
Expected: inaccurate as a product-form scan; the extra error can be declared, ``--arithmetic log``.
Gradients to small gates keep few digits: each is a sum that cancels, divided by the gate.
"""

import torch
from torch.nn.functional import pad


def scan(gates, inputs, initial=None):
    """Kind scan, gates in (0, 1], inputs positive."""
    log_gates, log_values = gates.log(), inputs.log()
    if initial is not None:
        log_gates = pad(log_gates, (0, 0, 1, 0))
        log_values = torch.cat([initial.log()[:, None], log_values], dim=1)
    total = log_gates.cumsum(dim=1)
    states = (total + (log_values - total).logcumsumexp(dim=1)).exp()
    return states[:, states.shape[1] - inputs.shape[1] :]
