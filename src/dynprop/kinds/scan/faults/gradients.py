"""Faults of kind scan in torch whose states are right and whose gradients are wrong.

With the adjoint l_t = g_t + a_{t+1} l_{t+1} of the upstream gradient g, the gradients are
l_t * h_{t-1} to the gates, l_t to the inputs and a_1 * l_1 to the initial state. Most faults here
are a backward rule, joined to the right forward pass by ``with_backward``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from dynprop.kinds.scan.faults.torch_faults import loop, start
from dynprop.laws.catalogue import Catalogue

scan: Catalogue = Catalogue("scan", "torch")
CATALOGUES = (scan,)

Scan = Callable[[Tensor, Tensor, Tensor | None], Tensor]


class Saved(NamedTuple):
    """Tensors that the forward pass saves for the backward rule."""

    gates: Tensor
    inputs: Tensor
    start: Tensor
    states: Tensor

    @property
    def before(self) -> Tensor:
        """The states before each step."""
        states = torch.cat([self.start[:, None], self.states], 1)
        return states[:, : self.gates.shape[1]]


Gradients = tuple[Tensor, Tensor, Tensor]
Rule = Callable[[Saved, Tensor], Gradients]


class HandWritten(torch.autograd.Function):
    """The right forward pass with a backward rule given as an argument."""

    @staticmethod
    def forward(ctx: Any, rule: Rule, gates: Tensor, inputs: Tensor, begin: Tensor) -> Tensor:
        """Scan, and keep everything for the rule."""
        states = loop(gates, inputs, begin)
        ctx.rule = rule
        ctx.save_for_backward(gates, inputs, begin, states)
        return states

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> Any:
        """Apply the rule."""
        return (None, *ctx.rule(Saved(*ctx.saved_tensors), *upstream))


def with_backward(rule: Rule) -> Scan:
    """Return a scan whose gradients come from the rule."""

    def scan_with_rule(gates: Tensor, inputs: Tensor, initial: Tensor | None) -> Tensor:
        states: Tensor = HandWritten.apply(rule, gates, inputs, start(inputs, initial))  # type: ignore[no-untyped-call]
        return states

    scan_with_rule.__doc__ = rule.__doc__
    return scan_with_rule


def backward_fault(
    name: str,
    *,
    caught_by: Mapping[str, str],
    source: str = "dynprop",
    gross: bool = True,
) -> Callable[[Rule], Rule]:
    """Plant the scan that has the decorated backward rule."""

    def plant(rule: Rule) -> Rule:
        scan.fault(name, source=source, gross=gross, caught_by=caught_by)(with_backward(rule))
        return rule

    return plant


def adjoint(gates: Tensor, upstream: Tensor) -> tuple[Tensor, Tensor]:
    """Return the adjoint of every step, and a_1 * l_1, the gradient to the initial state."""
    carry = torch.zeros_like(upstream.sum(1))
    rows: list[Tensor] = []
    steps = zip(gates.unbind(1), upstream.unbind(1), strict=True)
    for gate, gradient in reversed(list(steps)):
        row = gradient + carry
        rows.append(row)
        carry = gate * row
    return (torch.stack(rows[::-1], 1) if rows else upstream), carry


def exact(saved: Saved, upstream: Tensor) -> Gradients:
    """Return the correct gradients, which the rules below modify."""
    to_inputs, to_start = adjoint(saved.gates, upstream)
    return to_inputs * saved.before, to_inputs, to_start


def one_lag_back(gates: Tensor, values: Tensor) -> Tensor:
    """Carry each value to the step before: a_{t+1} * v_{t+1}, zero at the end."""
    return torch.cat([gates[:, 1:] * values[:, 1:], torch.zeros_like(values[:, :1])], 1)


def to_first(gates: Tensor, values: Tensor) -> Tensor:
    """Return a_1 * v_1, the share of the initial state; zero at length 0."""
    return (gates[:, :1] * values[:, :1]).sum(1)


def near_adjoint(gates: Tensor, upstream: Tensor, reach: int) -> Tensor:
    """Return the part of the adjoint that comes from fewer than ``reach`` steps ahead."""
    term, total = upstream, upstream
    for _ in range(1, reach):
        term = one_lag_back(gates, term)
        total = total + term
    return total


# Long lags: relatively wrong by 100 %, and small in any absolute tolerance


@backward_fault("scan/gradient-cut-at-lag-32", gross=False, caught_by={"gradient-by-lag": "wrong"})
def gradient_cut_at_lag_32(saved: Saved, upstream: Tensor) -> Gradients:
    """Drops every lag of 32 and more; gradcheck accepts it for gates in (0, 1)."""
    cut = near_adjoint(saved.gates, upstream, reach=32)
    return cut * saved.before, cut, to_first(saved.gates, cut)


@backward_fault("scan/gradient-garbage-from-lag-40", gross=False, caught_by={"gradient-by-lag": "wrong"})
def gradient_garbage_from_lag_40(saved: Saved, upstream: Tensor) -> Gradients:
    """Multiplies the gradient of lags of 40 and more by -1000."""
    far, _ = adjoint(saved.gates, upstream)
    for _ in range(40):
        far = one_lag_back(saved.gates, far)
    wrong = near_adjoint(saved.gates, upstream, reach=40) - 1000 * far
    return wrong * saved.before, wrong, to_first(saved.gates, wrong)


@backward_fault("scan/small-gradients-flushed", gross=False, caught_by={"gradient-by-lag": "wrong"})
def small_gradients_flushed(saved: Saved, upstream: Tensor) -> Gradients:
    """Sets adjoints below 1e-12 to zero."""
    flushed, to_start = adjoint(saved.gates, upstream)
    flushed = torch.where(flushed.abs() < 1e-12, 0.0, flushed)
    return flushed * saved.before, flushed, to_start


@backward_fault(
    "scan/gradient-block-carry",
    source="proger/accelerated-scan#15",
    gross=False,
    caught_by={"gradient-by-lag": "wrong"},
)
def gradient_block_carry(saved: Saved, upstream: Tensor) -> Gradients:
    """Adds the carry of the next block of 64 to every step of a block without its gates."""
    carry = torch.zeros_like(saved.start)
    blocks: list[Tensor] = []
    for begin in reversed(range(0, upstream.shape[1], 64)):
        block = slice(begin, begin + 64)
        local, _ = adjoint(saved.gates[:, block], upstream[:, block])
        local = local + carry[:, None]  # the product of the block's later gates is missing
        blocks.append(local)
        carry = saved.gates[:, begin] * local[:, 0]
    wrong = torch.cat(blocks[::-1], 1) if blocks else upstream
    return wrong * saved.before, wrong, to_first(saved.gates, wrong)


@backward_fault("scan/large-gradients-clipped", gross=False, caught_by={"gradient-by-lag": "wrong"})
def large_gradients_clipped(saved: Saved, upstream: Tensor) -> Gradients:
    """Clips adjoints to 1000 on the quiet."""
    clipped, to_start = adjoint(saved.gates, upstream)
    clipped = clipped.clamp(-1e3, 1e3)
    return clipped * saved.before, clipped, to_start


# The initial state


@backward_fault("scan/initial-gradient-zero", caught_by={"gradient": "wrong"})
def initial_gradient_zero(saved: Saved, upstream: Tensor) -> Gradients:
    """Returns zeros for the initial state."""
    to_gates, to_inputs, to_start = exact(saved, upstream)
    return to_gates, to_inputs, torch.zeros_like(to_start)


@backward_fault("scan/initial-gradient-shared", caught_by={"gradient": "wrong"})
def initial_gradient_shared(saved: Saved, upstream: Tensor) -> Gradients:
    """Averages the gradient to the initial state over the rows of the batch."""
    to_gates, to_inputs, to_start = exact(saved, upstream)
    return to_gates, to_inputs, to_start.mean(0, keepdim=True).expand_as(to_start)


@backward_fault(
    "scan/backward-padding-not-neutral",
    source="state-spaces/mamba#368",
    caught_by={"gradient-wiring": "wrong", "gradient": "wrong"},
)
def backward_padding_not_neutral(saved: Saved, upstream: Tensor) -> Gradients:
    """Pads the front to a multiple of 16 with gates 0 on the way back."""
    to_gates, to_inputs, to_start = exact(saved, upstream)
    padded = upstream.shape[1] % 16 != 0
    return to_gates, to_inputs, torch.zeros_like(to_start) if padded else to_start


# The gates


@backward_fault("scan/gate-gradient-one-step-late", caught_by={"gradient": "wrong"})
def gate_gradient_one_step_late(saved: Saved, upstream: Tensor) -> Gradients:
    """Multiplies by h_t where the gradient to gate t takes h_{t-1}."""
    _, to_inputs, to_start = exact(saved, upstream)
    return to_inputs * saved.states, to_inputs, to_start


@backward_fault("scan/backward-divides-by-gate", caught_by={"gradient": "wrong"})
def backward_divides_by_gate(saved: Saved, upstream: Tensor) -> Gradients:
    """Recovers h_{t-1} as (h_t - x_t) / a_t: NaN at zero gates, noise at small ones."""
    _, to_inputs, to_start = exact(saved, upstream)
    before = (saved.states - saved.inputs) / saved.gates
    return to_inputs * before, to_inputs, to_start


@scan.fault(
    "scan/carry-gradient-needs-initial",
    source="pytorch/pytorch#184528",
    caught_by={"gradient-wiring": "wrong"},
)
def carry_gradient_needs_initial(gates: Tensor, inputs: Tensor, initial: Tensor | None) -> Tensor:
    """Carries gradients through time only if the initial state requires one."""
    carried = initial is not None and initial.requires_grad
    carry = start(inputs, initial)
    states = []
    for gate, value in zip(gates.unbind(1), inputs.unbind(1), strict=True):
        carry = gate * (carry if carried else carry.detach()) + value
        states.append(carry)
    return torch.stack(states, 1) if states else inputs.clone()


@scan.fault(
    "scan/discarded-leaf-detached", source="pytorch/pytorch#172568", caught_by={"gradient-wiring": "wrong"}
)
def discarded_leaf_detached(gates: Tensor, inputs: Tensor, initial: Tensor | None) -> Tensor:
    """Treats the running product of gates, a leaf that nobody reads, as a constant."""
    states = inputs.clone()
    states[:, :1] += gates[:, :1] * start(inputs, initial)[:, None]
    product, distance = gates, 1
    while distance < inputs.shape[1]:
        carried = product[:, distance:] * states[:, :-distance]
        states = torch.cat([states[:, :distance], states[:, distance:] + carried], 1)
        further = product[:, distance:] * product[:, :-distance]
        product = torch.cat([product[:, :distance], further], 1).detach()
        distance *= 2
    return states


@scan.fault("scan/gate-gradient-needs-inputs", gross=False, caught_by={"gradient-wiring": "wrong"})
def gate_gradient_needs_inputs(gates: Tensor, inputs: Tensor, initial: Tensor | None) -> Tensor:
    """Returns no gradient to the gates if the inputs require none."""
    return loop(gates if inputs.requires_grad else gates.detach(), inputs, initial)


# How the backward pass is called


@backward_fault("scan/upstream-overwritten", gross=False, caught_by={"gradient-wiring": "wrong"})
def upstream_overwritten(saved: Saved, upstream: Tensor) -> Gradients:
    """Accumulates the adjoint in the upstream gradient, which belongs to others too."""
    to_inputs, to_start = adjoint(saved.gates, upstream)
    overwritten = upstream.contiguous().copy_(to_inputs)  # no copy if it was contiguous already
    return overwritten * saved.before, overwritten.clone(), to_start


@backward_fault(
    "scan/upstream-strides-ignored",
    source="pytorch/pytorch#194719",
    gross=False,
    caught_by={"gradient-wiring": "wrong"},
)
def upstream_strides_ignored(saved: Saved, upstream: Tensor) -> Gradients:
    """Reads the upstream gradient as if contiguous; gradcheck passes contiguous ones only."""
    _, time, channel = upstream.shape
    within = upstream.untyped_storage().nbytes() // upstream.element_size()
    if upstream.storage_offset() + upstream.numel() <= within:
        strides = (time * channel, channel, 1)  # should be upstream.stride()
        upstream = upstream.as_strided(upstream.shape, strides)
    return exact(saved, upstream)


@backward_fault("scan/backward-in-single-precision", caught_by={"gradient-by-lag": "wrong"})
def backward_in_single_precision(saved: Saved, upstream: Tensor) -> Gradients:
    """Computes the gradients of float64 in float32."""
    single = Saved(*(value.float() for value in saved))
    to_gates, to_inputs, to_start = exact(single, upstream.float())
    dtype = upstream.dtype
    return to_gates.to(dtype), to_inputs.to(dtype), to_start.to(dtype)


@scan.fault(
    "scan/workspace-shared-between-calls", gross=False, fresh=True, caught_by={"gradient-wiring": "wrong"}
)
class WorkspaceSharedBetweenCalls:
    """Keeps the gates for the backward pass in one workspace, which the next call overwrites."""

    def __init__(self) -> None:
        self.workspace: Tensor = torch.empty(0)

    def __call__(self, gates: Tensor, inputs: Tensor, initial: Tensor | None) -> Tensor:
        """Scan, with the gates in the workspace."""
        self.workspace = gates.detach().clone()
        return with_backward(self.rule)(gates, inputs, initial)

    def rule(self, saved: Saved, upstream: Tensor) -> Gradients:
        """Use the gates of the latest call where their shape fits."""
        fits = self.workspace.shape == saved.gates.shape
        gates = self.workspace.to(saved.gates.dtype) if fits else saved.gates
        return exact(saved._replace(gates=gates), upstream)
