"""Faults of kind scan in torch whose states are wrong, or whose call does more than return them."""

from __future__ import annotations

import torch
from torch import Tensor

from dynprop.laws.catalogue import Catalogue

scan: Catalogue = Catalogue("scan", "torch")
CATALOGUES = (scan,)


def start(inputs: Tensor, initial: Tensor | None) -> Tensor:
    """Return the state before the first step, zeros where none is given."""
    batch, _, channel = inputs.shape
    return inputs.new_zeros(batch, channel) if initial is None else initial


def loop(gates: Tensor, inputs: Tensor, initial: Tensor | None) -> Tensor:
    """Return the right states, differentiable: what every fault of this file falls back on."""
    carry = start(inputs, initial)
    states = []
    for gate, value in zip(gates.unbind(1), inputs.unbind(1), strict=True):
        carry = gate * carry + value
        states.append(carry)
    return torch.stack(states, 1) if states else inputs.clone()


@scan.fault(
    "scan/initial-for-row-zero", source="LRU-pytorch 0.1.3", caught_by={"batch-independence": "wrong"}
)
def initial_for_row_zero(gates: Tensor, inputs: Tensor, initial: Tensor | None) -> Tensor:
    """Gives the initial state to the first row of the batch only."""
    if initial is None:
        return loop(gates, inputs, None)
    rows = [loop(gates[:1], inputs[:1], initial[:1]), loop(gates[1:], inputs[1:], None)]
    return torch.cat(rows)


@scan.fault(
    "scan/raises-at-length-zero", source="assoc-scan 0.0.6", gross=False, caught_by={"lengths": "error"}
)
def raises_at_length_zero(gates: Tensor, inputs: Tensor, initial: Tensor | None) -> Tensor:
    """Raises RuntimeError at length 0, from deep inside."""
    carry = start(inputs, initial)
    states = []
    for gate, value in zip(gates.unbind(1), inputs.unbind(1), strict=True):
        carry = gate * carry + value
        states.append(carry)
    return torch.stack(states, 1)  # an empty list cannot be stacked


@scan.fault("scan/channel-tail-skipped", caught_by={"channel-independence": "wrong"})
def channel_tail_skipped(gates: Tensor, inputs: Tensor, initial: Tensor | None) -> Tensor:
    """Works in blocks of two channels and copies the input where one is left over."""
    even = inputs.shape[2] // 2 * 2  # should be rounded up
    state = None if initial is None else initial[:, :even]
    states = loop(gates[..., :even], inputs[..., :even], state)
    return torch.cat([states, inputs[..., even:]], 2)


# Arithmetic


def log_scan(log_gates: Tensor, inputs: Tensor, initial: Tensor | None) -> Tensor:
    """Return exp(A + logcumsumexp(log x - A)) with A = cumsum(log a), complex for negative x."""
    total = torch.cumsum(log_gates, 1)
    terms = torch.log(torch.complex(inputs, torch.zeros_like(inputs))) - total
    if initial is not None:
        entered = torch.log(torch.complex(initial, torch.zeros_like(initial)))
        terms = torch.cat([entered[:, None], terms], 1)
    summed = torch.logcumsumexp(terms, 1)[:, terms.shape[1] - inputs.shape[1] :]
    return torch.exp(total + summed).real


def widened(values: Tensor) -> Tensor:
    """Return bfloat16 values as float32, which complex logarithms need."""
    return values.float() if values.dtype == torch.bfloat16 else values


@scan.fault(
    "scan/log-space-gates-clamped", source="glassroom/heinsen_sequence", caught_by={"forward": "wrong"}
)
def log_space_gates_clamped(gates: Tensor, inputs: Tensor, initial: Tensor | None) -> Tensor:
    """Adds logarithms of gates clamped to 1e-6: wrong for negative, zero and tiny gates."""
    log_gates = widened(gates).clamp(min=1e-6).log()
    state = None if initial is None else widened(initial)
    return log_scan(log_gates, widened(inputs), state).to(inputs.dtype)


@scan.fault(
    "scan/log-space",
    source="glassroom/heinsen_sequence",
    gross=False,
    domain={"gates": "unit", "inputs": "positive"},
    caught_by={"forward": "inaccurate", "exact-on-integers": "inaccurate"},
)
def log_space(gates: Tensor, inputs: Tensor, initial: Tensor | None) -> Tensor:
    """Adds logarithms of gates in (0, 1]: the right function, short of digits when long."""
    state = None if initial is None else widened(initial)
    return log_scan(widened(gates).log(), widened(inputs), state).to(inputs.dtype)


@scan.fault("scan/sign-of-gates-lost", source="glassroom/heinsen_sequence", caught_by={"forward": "wrong"})
def sign_of_gates_lost(gates: Tensor, inputs: Tensor, initial: Tensor | None) -> Tensor:
    """Takes the magnitude of the gates, as logarithms do which forget the sign."""
    return loop(gates.abs(), inputs, initial)


@scan.fault("scan/bfloat16-inside", caught_by={"forward": "wrong"})
def bfloat16_inside(gates: Tensor, inputs: Tensor, initial: Tensor | None) -> Tensor:
    """Computes in bfloat16 whatever precision is given."""
    state = None if initial is None else initial.bfloat16()
    return loop(gates.bfloat16(), inputs.bfloat16(), state).to(inputs.dtype)


# Side effects


@scan.fault("scan/thread-dependent", caught_by={"threads": "wrong"})
def thread_dependent(gates: Tensor, inputs: Tensor, initial: Tensor | None) -> Tensor:
    """Loses the last step where it has several threads to share the steps among."""
    states = loop(gates, inputs, initial)
    if torch.get_num_threads() > 1:
        states = torch.cat([states[:, :-1], inputs[:, -1:]], 1)
    return states


@scan.fault(
    "scan/caller-transposed", source="xlstm 2.0.6", gross=False, caught_by={"inputs-unchanged": "wrong"}
)
def caller_transposed(gates: Tensor, inputs: Tensor, initial: Tensor | None) -> Tensor:
    """Leaves the caller's inputs transposed: values right, shape and strides changed."""
    states = loop(gates, inputs.clone(), initial)
    with torch.no_grad():
        inputs.transpose_(0, 1)  # in place on the caller's tensor, not on a view
    return states


@scan.fault("scan/gates-overwritten", caught_by={"gradient-wiring": "wrong"})
def gates_overwritten(gates: Tensor, inputs: Tensor, initial: Tensor | None) -> Tensor:
    """Leaves its running products in the caller's gates, unseen by autograd."""
    states = loop(gates.clone(), inputs, initial)
    gates.data.copy_(torch.cumprod(gates.detach(), 1))  # another use of the gates reads these
    return states
