"""Controls of kind scan: correct implementations without shared code."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.signal import lfilter
from torch import Tensor

from dynprop.laws.catalogue import Catalogue

Array = npt.NDArray[Any]

numpy_scan: Catalogue = Catalogue("scan", "numpy")
torch_scan: Catalogue = Catalogue("scan", "torch")
CATALOGUES = (numpy_scan, torch_scan)


@numpy_scan.control("control/numpy-loop")
def numpy_loop(gates: Array, inputs: Array, initial: Array | None) -> Array:
    """The recurrence itself, step by step."""
    states = np.empty_like(inputs)
    for t in range(inputs.shape[1]):
        previous = states[:, t - 1] if t else initial
        states[:, t] = inputs[:, t]
        if previous is not None:
            states[:, t] += gates[:, t] * previous
    return states


@numpy_scan.control("control/numpy-doubling")
def numpy_doubling(gates: Array, inputs: Array, initial: Array | None) -> Array:
    """Doubling of the distance over which pairs are composed (Hillis and Steele)."""
    product, states = gates.copy(), inputs.copy()
    if initial is not None:
        states[:, :1] += product[:, :1] * initial[:, None]
    distance = 1
    while distance < inputs.shape[1]:
        states[:, distance:] += product[:, distance:] * states[:, :-distance]
        product[:, distance:] = product[:, distance:] * product[:, :-distance]
        distance *= 2
    return states


@numpy_scan.control("control/numpy-chunked")
def numpy_chunked(gates: Array, inputs: Array, initial: Array | None) -> Array:
    """Chunks of 37 steps from zero, then each chunk's carry times its running product."""
    states = inputs.copy()
    for begin in range(0, inputs.shape[1], 37):
        chunk = states[:, begin : begin + 37]
        decay = np.cumprod(gates[:, begin : begin + 37], axis=1)
        for t in range(1, chunk.shape[1]):
            chunk[:, t] += gates[:, begin + t] * chunk[:, t - 1]
        if begin:
            chunk += decay * states[:, begin - 1, None]
        elif initial is not None:
            chunk += decay * initial[:, None]
    return states


@numpy_scan.control("control/numpy-halves")
def numpy_halves(gates: Array, inputs: Array, initial: Array | None) -> Array:
    """Two halves by recursion, the second corrected by the last state of the first."""
    length = inputs.shape[1]
    if length < 2:
        return inputs.copy() if initial is None else gates * initial[:, None] + inputs
    middle = length // 2
    first = numpy_halves(gates[:, :middle], inputs[:, :middle], initial)
    second = numpy_halves(gates[:, middle:], inputs[:, middle:], None)
    second += np.cumprod(gates[:, middle:], axis=1) * first[:, -1:]
    return np.concatenate([first, second], axis=1)


@numpy_scan.control("control/numpy-long-double")
def numpy_long_double(gates: Array, inputs: Array, initial: Array | None) -> Array:
    """The loop in extended precision, rounded once at the end: better than asked for."""
    batch, time, channel = inputs.shape
    extended = np.zeros((time + 1, batch, channel), np.longdouble)
    if initial is not None:
        extended[0] = initial
    for t in range(time):
        extended[t + 1] = gates[:, t] * extended[t] + inputs[:, t]
    return extended[1:].swapaxes(0, 1).astype(inputs.dtype)


@numpy_scan.control("control/scipy-lfilter", domain={"gates": "constant"})
def scipy_lfilter(gates: Array, inputs: Array, initial: Array | None) -> Array:
    """scipy.signal.lfilter, channel by channel, for gates that are the same at every step."""
    states = np.empty_like(inputs)
    if not inputs.shape[1]:
        return states
    batch, _, channels = inputs.shape
    for row, channel in np.ndindex(batch, channels):
        gate = gates[row, 0, channel]
        start = inputs.dtype.type(0) if initial is None else initial[row, channel]
        one = np.ones(1, inputs.dtype)
        feedback = np.array([1, -gate], inputs.dtype)
        signal = inputs[row, :, channel]
        states[row, :, channel] = lfilter(one, feedback, signal, zi=np.array([gate * start]))[0]
    return states


@torch_scan.control("control/torch-loop")
def torch_loop(gates: Tensor, inputs: Tensor, initial: Tensor | None) -> Tensor:
    """The recurrence itself under autograd, the states stacked."""
    state = inputs.new_zeros(inputs.shape[0], inputs.shape[2]) if initial is None else initial
    states: list[Tensor] = []
    for a, x in zip(gates.unbind(1), inputs.unbind(1), strict=True):
        state = torch.addcmul(x, a, state)
        states.append(state)
    return torch.stack(states, dim=1) if states else torch.empty_like(inputs)


@torch_scan.control("control/torch-tree")
def torch_tree(gates: Tensor, inputs: Tensor, initial: Tensor | None) -> Tensor:
    """Pairs by recursion: odd times from half the problem, those between from one step."""
    if initial is not None:
        head = inputs[:, :1] + gates[:, :1] * initial[:, None]
        inputs = torch.cat([head, inputs[:, 1:]], 1)
    length = inputs.shape[1]
    if length < 2:
        return inputs.clone()
    left, right = slice(0, length - 1, 2), slice(1, length, 2)
    paired = gates[:, right] * inputs[:, left] + inputs[:, right]
    odd = torch_tree(gates[:, right] * gates[:, left], paired, None)
    even = inputs[:, 2::2] + gates[:, 2::2] * odd[:, : (length - 1) // 2]
    even = torch.cat([inputs[:, :1], even], 1)
    interleaved = torch.stack([even[:, : odd.shape[1]], odd], 2).flatten(1, 2)
    return torch.cat([interleaved, even[:, odd.shape[1] :]], 1)


class _ExactFunction(torch.autograd.Function):
    """The scan with its backward pass written by hand, itself differentiable."""

    @staticmethod
    def forward(ctx: Any, gates: Tensor, inputs: Tensor, initial: Tensor) -> Tensor:
        states = [initial]
        for t in range(inputs.shape[1]):
            states.append(gates[:, t] * states[-1] + inputs[:, t])
        trajectory = torch.stack(states, 1)
        ctx.save_for_backward(gates, trajectory)
        return trajectory[:, 1:].clone()

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> Any:
        gates, trajectory = ctx.saved_tensors
        (gradient,) = upstream
        carry = torch.zeros_like(trajectory[:, 0])
        to_inputs = []
        for t in range(gates.shape[1] - 1, -1, -1):
            to_inputs.append(gradient[:, t] + carry)
            carry = gates[:, t] * to_inputs[-1]
        if not to_inputs:
            return gradient, gradient, carry
        adjoint = torch.stack(to_inputs[::-1], 1)
        return adjoint * trajectory[:, :-1], adjoint, carry


@torch_scan.control("control/torch-function")
def torch_function(gates: Tensor, inputs: Tensor, initial: Tensor | None) -> Tensor:
    """An autograd.Function with the exact backward pass written by hand."""
    batch, _, channel = inputs.shape
    state = inputs.new_zeros((batch, channel)) if initial is None else initial
    states: Tensor = _ExactFunction.apply(gates, inputs, state)  # type: ignore[no-untyped-call]
    return states


class _KernelFunction(torch.autograd.Function):
    """The scan on numpy buffers, as a compiled kernel would be: no second derivatives, no vmap."""

    @staticmethod
    def forward(ctx: Any, gates: Tensor, inputs: Tensor, initial: Tensor) -> Tensor:
        a, x, h = (value.detach().double().numpy() for value in (gates, inputs, initial))
        states = np.zeros(x.shape)
        for t in range(x.shape[1]):
            h = a[:, t] * h + x[:, t]
            states[:, t] = h
        ctx.save_for_backward(gates, initial, torch.from_numpy(states))
        return torch.from_numpy(states).to(inputs.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> Any:
        gates, initial, states = ctx.saved_tensors
        a, h0, h = (value.detach().double().numpy() for value in (gates, initial, states))
        adjoint = upstream[0].double().numpy().copy()
        to_gates, carry = np.zeros_like(adjoint), np.zeros_like(h0)
        for t in reversed(range(adjoint.shape[1])):
            adjoint[:, t] += carry
            carry = a[:, t] * adjoint[:, t]
            to_gates[:, t] = adjoint[:, t] * (h[:, t - 1] if t else h0)
        return tuple(torch.from_numpy(g).to(gates.dtype) for g in (to_gates, adjoint, carry))


@torch_scan.control("control/torch-kernel")
def torch_kernel(gates: Tensor, inputs: Tensor, initial: Tensor | None) -> Tensor:
    """A kernel outside torch, in float64 inside, differentiable once."""
    state = torch.zeros_like(inputs.sum(1)) if initial is None else initial
    states: Tensor = _KernelFunction.apply(gates, inputs, state)  # type: ignore[no-untyped-call]
    return states


@torch_scan.control("control/torch-chunk-matrix")
def torch_chunk_matrix(gates: Tensor, inputs: Tensor, initial: Tensor | None) -> Tensor:
    """Chunks of 16 steps as triangular matrices of gate products, built by multiplication alone."""
    batch, time, channel = inputs.shape
    carry = inputs.new_zeros(batch, channel) if initial is None else initial
    outputs = [inputs[:, :0]]
    for begin in range(0, time, 16):
        a, x = gates[:, begin : begin + 16], inputs[:, begin : begin + 16]
        values = torch.cat([carry[:, None], x], 1)
        row = torch.zeros_like(values)
        row[:, 0] = 1
        rows = []
        for t in range(x.shape[1]):
            row = row * a[:, t, None]
            row = torch.cat([row[:, : t + 1], torch.ones_like(row[:, :1]), row[:, t + 2 :]], 1)
            rows.append(row)
        states = torch.einsum("btsc,bsc->btc", torch.stack(rows, 1), values)
        outputs.append(states)
        carry = states[:, -1]
    return torch.cat(outputs, 1)


@torch_scan.control("control/torch-windows", domain={"reach": 7, "windows": "end"})
def torch_windows(gates: Tensor, inputs: Tensor, initial: Tensor | None) -> Tensor:
    """A loop that cuts its gradient every 7 steps, counted from the end of a call."""
    h = torch.zeros_like(inputs[:, :1].sum(1)) if initial is None else initial
    states = [inputs[:, :0]]
    steps = inputs.shape[1]
    for left, (a, x) in zip(
        range(steps, 0, -1), zip(gates.unbind(1), inputs.unbind(1), strict=True), strict=True
    ):
        if left % 7 == 0 and left < steps:
            h = h.detach()
        h = a * h + x
        states.append(h[:, None])
    return torch.cat(states, 1)


@torch_scan.control("control/torch-as-strided")
def torch_as_strided(gates: Tensor, inputs: Tensor, initial: Tensor | None) -> Tensor:
    """Reads memory in the order of a contiguous array, after making its arguments contiguous."""
    batch, time, channel = inputs.shape
    steps = (time * channel, channel, 1)
    gates, inputs = (v.contiguous().as_strided((batch, time, channel), steps) for v in (gates, inputs))
    return torch_loop(gates, inputs, initial)


@torch_scan.control("control/torch-two-paths")
def torch_two_paths(gates: Tensor, inputs: Tensor, initial: Tensor | None) -> Tensor:
    """A path of its own without autograd, which writes the states in place."""
    if torch.is_grad_enabled():
        return torch_loop(gates, inputs, initial)
    states = inputs.clone()
    for t in range(inputs.shape[1]):
        previous = states[:, t - 1] if t else initial
        if previous is not None:
            states[:, t] += gates[:, t] * previous
    return states


@numpy_scan.control("control/numpy-discounted", domain={"gates": "reset"})
def numpy_discounted(gates: Array, inputs: Array, initial: Array | None) -> Array:
    """Discounted sums with done flags: the one discount of the call, and zero where an episode ends."""
    discount = gates.max(initial=gates.dtype.type(0))
    done = gates == 0
    states = np.empty_like(inputs)
    total = np.zeros_like(inputs[:, :1].sum(axis=1)) if initial is None else initial
    for t in range(inputs.shape[1]):
        total = np.where(done[:, t], 0, discount * total) + inputs[:, t]
        states[:, t] = total
    return states


@torch_scan.control("control/torch-beside-a-loop", domain={"reference": torch_loop})
def torch_beside_a_loop(gates: Tensor, inputs: Tensor, initial: Tensor | None) -> Tensor:
    """A tree, which is compared with a loop."""
    return torch_tree(gates, inputs, initial)
