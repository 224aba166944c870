"""Faults of kind scan that are right except in one regime: a size, a number, a layout, a mode, a call before.

Each is a kernel with a path of its own there. Elsewhere it is the loop of the other faults.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dynprop.kinds.scan.faults import numpy_faults
from dynprop.kinds.scan.faults.gradients import Gradients, Saved, exact, with_backward
from dynprop.kinds.scan.faults.torch_faults import loop
from dynprop.laws.catalogue import Catalogue

Array = npt.NDArray[Any]
Rule = Callable[[Saved, Tensor], Gradients]

scan = Catalogue("scan", "torch")
numpy_scan = Catalogue("scan", "numpy")
CATALOGUES = (scan, numpy_scan)


# Sizes


@scan.fault("scan/fourth-row-stale", gross=False, caught_by={"batch-independence": "wrong"})
def fourth_row_stale(gates: Tensor, inputs: Tensor, initial: Tensor | None) -> Tensor:
    """Runs rows in groups of three and gives the later groups the initial state of the first row."""
    states = loop(gates[:3], inputs[:3], None if initial is None else initial[:3])
    if len(inputs) <= 3:
        return states
    first = None if initial is None else initial[:1].expand(len(inputs) - 3, -1)
    return torch.cat([states, loop(gates[3:], inputs[3:], first)])


@numpy_scan.fault("scan/channel-seventeen", gross=False, caught_by={"channel-independence": "wrong"})
def channel_seventeen(gates: Array, inputs: Array, initial: Array | None) -> Array:
    """Takes blocks of 16 channels, and the gates of the first block for the channels behind them."""
    channels = np.arange(inputs.shape[2])
    return numpy_faults.loop(gates[..., channels % 16], inputs, initial)


@numpy_scan.fault("scan/length-513-forgets-initial", gross=False, caught_by={"lengths": "wrong"})
def length_513_forgets_initial(gates: Array, inputs: Array, initial: Array | None) -> Array:
    """Ignores the initial state of 513 to 1,024 steps, which take two blocks."""
    two_blocks = 512 < inputs.shape[1] <= 1024
    return numpy_faults.loop(gates, inputs, None if two_blocks else initial)


@numpy_scan.fault("scan/wide-and-long-tail", gross=False, caught_by={"forward": "wrong"})
def wide_and_long_tail(gates: Array, inputs: Array, initial: Array | None) -> Array:
    """Loses the carry at step 1,024 where the batch has more than 8 rows."""
    batch, time, _ = inputs.shape
    if time <= 1024 or batch <= 8:
        return numpy_faults.loop(gates, inputs, initial)
    head = numpy_faults.loop(gates[:, :1024], inputs[:, :1024], initial)
    tail = numpy_faults.loop(gates[:, 1024:], inputs[:, 1024:], None)
    return np.concatenate([head, tail], axis=1)


# Numbers


@numpy_scan.fault("scan/negative-zero-gate", gross=False, caught_by={"forward": "wrong"})
def negative_zero_gate(gates: Array, inputs: Array, initial: Array | None) -> Array:
    """Takes log |a| and the sign bit: exp(-inf) of -0.0 times an infinite scale is NaN."""
    broken = np.where(np.signbit(gates) & (gates == 0), np.nan, gates).astype(gates.dtype)
    return numpy_faults.loop(broken, inputs, initial)


@numpy_scan.fault("scan/denormal-raises", gross=False, caught_by={"forward": "error"})
def denormal_raises(gates: Array, inputs: Array, initial: Array | None) -> Array:
    """Refuses inputs below the smallest normal number."""
    small = np.abs(inputs[inputs != 0]) < np.finfo(inputs.dtype).tiny
    if small.any():
        raise FloatingPointError("underflow in the inputs")
    return numpy_faults.loop(gates, inputs, initial)


@numpy_scan.fault("scan/gates-clipped-at-64", gross=False, caught_by={"forward": "wrong"})
def gates_clipped_at_64(gates: Array, inputs: Array, initial: Array | None) -> Array:
    """Clips gates to magnitude 64."""
    return numpy_faults.loop(np.clip(gates, -64, 64), inputs, initial)


@numpy_scan.fault("scan/smallest-gates-flushed", gross=False, caught_by={"forward": "inaccurate"})
def smallest_gates_flushed(gates: Array, inputs: Array, initial: Array | None) -> Array:
    """Sets gates below 1e-30 to zero."""
    flushed = np.where(np.abs(gates) < 1e-30, 0, gates).astype(gates.dtype)
    return numpy_faults.loop(flushed, inputs, initial)


@numpy_scan.fault("scan/inputs-clipped-at-1e6", gross=False, caught_by={"forward": "wrong"})
def inputs_clipped(gates: Array, inputs: Array, initial: Array | None) -> Array:
    """Clips inputs to magnitude 1e6, as a guard against overflow."""
    return numpy_faults.loop(gates, np.clip(inputs, -1e6, 1e6), initial)


# Layouts, modes, calls before


@scan.fault(
    "scan/stride-zero-ignored",
    source="pytorch/pytorch#345",
    gross=False,
    caught_by={"memory-layout": "wrong"},
)
def stride_zero_ignored(gates: Tensor, inputs: Tensor, initial: Tensor | None) -> Tensor:
    """Reads gates that are expanded over rows, steps or channels as their first number alone."""
    if 0 in gates.stride() and gates.numel():
        gates = gates[:1, :1, :1].expand(gates.shape)
    return loop(gates, inputs, initial)


@numpy_scan.fault("scan/step-of-slice-ignored", gross=False, caught_by={"memory-layout": "wrong"})
def step_of_slice_ignored(gates: Array, inputs: Array, initial: Array | None) -> Array:
    """Takes the distance between two steps to be one row of channels: wrong for a slice with a step."""
    batch, time, channel = inputs.shape
    size = inputs.itemsize
    if min(inputs.shape) and inputs.strides[1:] == (2 * channel * size, size):
        strides = (inputs.strides[0], channel * size, size)
        inputs = np.lib.stride_tricks.as_strided(inputs, (batch, time, channel), strides)
    return numpy_faults.loop(gates, inputs, initial)


@scan.fault("scan/no-grad-path-forgets-initial", gross=False, caught_by={"calls": "wrong"})
def no_grad_path_forgets_initial(gates: Tensor, inputs: Tensor, initial: Tensor | None) -> Tensor:
    """Has a faster path without autograd, which starts from zero."""
    return loop(gates, inputs, initial if torch.is_grad_enabled() else None)


@scan.fault("scan/inference-path-clips-gates", gross=False, caught_by={"calls": "wrong"})
def inference_path_clips_gates(gates: Tensor, inputs: Tensor, initial: Tensor | None) -> Tensor:
    """Clips gates to [0, 1] in inference mode."""
    return loop(gates.clamp(0, 1) if torch.is_inference_mode_enabled() else gates, inputs, initial)


@scan.fault("scan/wanted-gates-late", gross=False, caught_by={"calls": "wrong"})
def wanted_gates_late(gates: Tensor, inputs: Tensor, initial: Tensor | None) -> Tensor:
    """Keeps the gates for the backward pass one step late, and runs forward with them too."""
    if gates.requires_grad and torch.is_grad_enabled():
        gates = torch.cat([gates[:, :1], gates[:, :-1]], 1)
    return loop(gates, inputs, initial)


@scan.fault("scan/gates-cached-by-shape", gross=False, fresh=True, caught_by={"calls": "wrong"})
class GatesCachedByShape:
    """Keeps the gates of the last call, and uses them again where shape and sum are the same."""

    def __init__(self) -> None:
        self.kept = torch.empty(0)

    def __call__(self, gates: Tensor, inputs: Tensor, initial: Tensor | None) -> Tensor:
        """Scan with the gates that are kept, or keep these."""
        kept = self.kept
        if kept.shape != gates.shape or not torch.allclose(
            kept.sum(1), gates.double().sum(1), equal_nan=True
        ):
            self.kept = gates.detach().double().clone()
            return loop(gates, inputs, initial)
        return loop(kept.to(gates.dtype), inputs, initial)


@scan.fault("scan/busy-after-an-error", gross=False, fresh=True, caught_by={"calls": "wrong"})
class BusyAfterAnError:
    """Marks its workspace as in use, also after a call that raised, and then returns it unfilled."""

    def __init__(self) -> None:
        self.busy = False

    def __call__(self, gates: Tensor, inputs: Tensor, initial: Tensor | None) -> Tensor:
        """Scan, unless an earlier call has not come to its end."""
        if self.busy:
            self.busy = False
            return torch.zeros_like(inputs)
        self.busy = True
        states = loop(gates, inputs, initial)
        self.busy = False  # should be in a finally clause
        return states


# Gradients


def backward_fault(name: str, caught_by: dict[str, str], source: str = "dynprop") -> Callable[[Rule], Rule]:
    """Plant the scan that has the decorated backward rule."""

    def plant(rule: Rule) -> Rule:
        scan.fault(name, source=source, gross=False, caught_by=caught_by)(with_backward(rule))
        return rule

    return plant


@backward_fault("scan/gate-gradient-zero-beyond-256", {"gradient": "wrong"})
def gate_gradient_zero_beyond_256(saved: Saved, upstream: Tensor) -> Gradients:
    """Returns no gradient to the gates of more than 256 steps."""
    to_gates, to_inputs, to_start = exact(saved, upstream)
    return to_gates * (upstream.shape[1] <= 256), to_inputs, to_start


@backward_fault("scan/input-gradient-one-row-beyond-256", {"gradient-by-lag": "wrong"})
def input_gradient_one_row_beyond_256(saved: Saved, upstream: Tensor) -> Gradients:
    """Returns the gradient to the inputs of the first row only, for more than 256 steps."""
    to_gates, to_inputs, to_start = exact(saved, upstream)
    if upstream.shape[1] > 256:
        to_inputs = torch.cat([to_inputs[:1], torch.zeros_like(to_inputs[1:])])
    return to_gates, to_inputs, to_start


@backward_fault("scan/initial-gradient-zero-beyond-256", {"gradient": "wrong"})
def initial_gradient_zero_beyond_256(saved: Saved, upstream: Tensor) -> Gradients:
    """Returns no gradient to the initial state of more than 256 steps."""
    to_gates, to_inputs, to_start = exact(saved, upstream)
    return to_gates, to_inputs, to_start * (upstream.shape[1] <= 256)


@backward_fault("scan/backward-raises-at-length-zero", {"gradient": "error"}, "pytorch/pytorch#31515, #31782")
def backward_raises_at_length_zero(saved: Saved, upstream: Tensor) -> Gradients:
    """Takes the last step of the upstream gradient, which an empty sequence lacks."""
    last = upstream[:, upstream.shape[1] - 1] if upstream.shape[1] else upstream[:, -1]
    to_gates, to_inputs, to_start = exact(saved, upstream)
    return to_gates, to_inputs, to_start + 0 * last


@backward_fault("scan/expanded-gates-gradient-doubled", {"gradient": "wrong"})
def expanded_gates_gradient_doubled(saved: Saved, upstream: Tensor) -> Gradients:
    """Doubles the gradient to gates of stride 0, as if it were summed over what they share."""
    to_gates, to_inputs, to_start = exact(saved, upstream)
    return to_gates * (2 if 0 in saved.gates.stride() else 1), to_inputs, to_start


# Resets


@numpy_scan.fault(
    "scan/reset-keeps-a-share",
    gross=False,
    domain={"gates": "reset"},
    caught_by={"reset": "wrong"},
)
def reset_keeps_a_share(gates: Array, inputs: Array, initial: Array | None) -> Array:
    """Clamps the discount to 1e-6, so that a reset keeps a millionth of a large state."""
    return numpy_faults.loop(np.maximum(gates, 1e-6).astype(gates.dtype), inputs, initial)
