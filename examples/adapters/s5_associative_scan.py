"""s5-pytorch 0.2.1 ``associative_scan``, a port of JAX's to torch. Expected: pass."""

import torch
from s5.jax_compat import associative_scan as _associative_scan


def associative_scan(combine, elements):
    """Kind associative-scan."""
    return _associative_scan(combine, elements, axis=0)


def _affine(left, right):
    return right[0] * left[0], right[0] * left[1] + right[1]


def scan(gates, inputs, initial=None):
    """Kind scan; the initial state is folded into the first input."""
    if initial is not None:
        first = inputs[:, :1] + gates[:, :1] * initial[:, None]
        inputs = torch.cat([first, inputs[:, 1:]], dim=1)
    return _associative_scan(_affine, (gates, inputs), axis=1)[1]
