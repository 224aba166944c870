"""torch 2.13's own scans (prototype operators of ``torch._higher_order_ops``), eager.

Judged: ``associative_scan(..., combine_mode="generic")`` on any combine and on the gated
recurrence, and the sequential ``scan`` operator. Both refuse length 0 in their argument check,
``associative_scan`` by a ValueError, ``scan`` by a RuntimeError, which the adapter hands on as a
ValueError, so that it counts as a refusal. Expected: pass.
"""

import torch
from torch._higher_order_ops.associative_scan import associative_scan as _associative_scan
from torch._higher_order_ops.scan import scan as _scan


def associative_scan(combine, elements):
    """Kind associative-scan."""
    return _associative_scan(combine, elements, dim=0, combine_mode="generic")


def _affine(left, right):
    return right[0] * left[0], right[0] * left[1] + right[1]


def tree_scan(gates, inputs, initial=None):
    """Kind scan, by ``associative_scan``; the initial state is folded into the first input."""
    if initial is not None:
        first = inputs[:, :1] + gates[:, :1] * initial[:, None]
        inputs = torch.cat([first, inputs[:, 1:]], dim=1)
    return _associative_scan(_affine, (gates, inputs), dim=1, combine_mode="generic")[1]


def _step(state, gate_and_input):
    gate, value = gate_and_input
    state = gate * state + value
    return state, state.clone()  # the operator forbids two outputs that share memory


def loop_scan(gates, inputs, initial=None):
    """Kind scan, by the sequential ``scan`` operator and its own initial state.

    The operator documents that the carry keeps its metadata. That includes the strides of axes of
    size 1, so a plain copy of the initial state is handed over.
    """
    if initial is None:
        initial = inputs.new_zeros(inputs.shape[0], inputs.shape[2])
    initial = initial.clone(memory_format=torch.contiguous_format)
    try:
        return _scan(_step, initial, (gates, inputs), dim=1)[1]
    except RuntimeError as error:
        if "scan dimension > 0" not in str(error):
            raise
        raise ValueError(str(error)) from error
