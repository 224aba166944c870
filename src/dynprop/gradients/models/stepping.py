r"""Any module called like nn.RNN, or a cell, as a chain: Jacobians of single steps by autograd.

The module is called on single steps at the states that it visits. What it returns step by step must be what
it returns for the whole: otherwise its state is not all that the past leaves behind (a bidirectional module,
attention), and products of single-step Jacobians are not its gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import _pytree

from dynprop.arrays import FloatArray, IntArray, describe
from dynprop.errors import ArgumentError
from dynprop.gradients.models.recording import Call, default_dtype, first_line
from dynprop.gradients.models.rnn import Part, require_finite_states

__all__ = ["SteppedChain", "own_cell", "stepped_part"]

FIRST_STEPS = 4
CLOSE = {torch.float64: 1e-8}


@dataclass(frozen=True)
class Form:
    """How a state is written as rows: its tree, its leaves' shapes for one sequence, their batch axes."""

    spec: Any
    shapes: tuple[tuple[int, ...], ...]
    axes: tuple[int, ...]

    def rows(self, state: Any) -> Tensor:
        """Return a state as (batch, size)."""
        leaves = _pytree.tree_leaves(state)
        return torch.cat(
            [
                x.movedim(axis, 0).reshape(x.shape[axis], -1)
                for x, axis in zip(leaves, self.axes, strict=True)
            ],
            dim=1,
        )

    def state(self, rows: Tensor) -> Any:
        """Return rows as a state."""
        leaves, start = [], 0
        for shape, axis in zip(self.shapes, self.axes, strict=True):
            size = int(np.prod(shape))
            leaf = rows[:, start : start + size].reshape(len(rows), *shape)
            leaves.append(leaf.movedim(0, axis).contiguous())
            start += size
        return _pytree.tree_unflatten(leaves, self.spec)


@dataclass(frozen=True)
class SteppedChain:
    """A module along its own trajectory.

    Attributes:
        step: (inputs (m, ...), states (m, size)) -> (outputs, next states (m, size)).
        inputs: (sequences, time, ...).
        states: (sequences, time + 1, size).
        lengths: steps of each sequence.
        form: how a state is written as a row.
    """

    step: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    inputs: Tensor
    states: Tensor
    lengths: IntArray
    form: Form

    def rows(self, state: Any) -> Tensor:
        """Return a state of the module as rows, (sequences, size)."""
        return self.form.rows(state)

    @property
    def size(self) -> int:
        """Numbers in the state."""
        return int(self.states.shape[2])

    def block(self, rows: IntArray, times: IntArray) -> SteppedBlock:
        """Return the derivatives of these steps."""
        before, place = torch.from_numpy(times - 1), torch.from_numpy(np.array(rows))
        return SteppedBlock(self.step, self.inputs[place, before], self.states[place, before])


@dataclass(frozen=True)
class SteppedBlock:
    """Steps of a module; sequences of a batch do not interact, so that one pass differentiates all steps."""

    step: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    inputs: Tensor
    states: Tensor

    def _rows(self, wanted: int) -> FloatArray:
        """Return the derivatives of each new state with respect to the inputs (0) or the old state (1)."""
        given = [self.inputs, self.states]
        given[wanted] = given[wanted].clone().requires_grad_(True)
        with torch.enable_grad():
            after = self.step(*given)[1]
        found = np.zeros((len(after), after.shape[1], given[wanted][0].numel()))
        if after.requires_grad:
            for j in range(after.shape[1]):
                (row,) = torch.autograd.grad(
                    after[:, j].sum(), given[wanted], retain_graph=True, materialize_grads=True
                )
                found[:, j] = row.reshape(len(after), -1).to("cpu", torch.float64).numpy()
        return found

    def jacobians(self) -> FloatArray:
        """Return ∂s'/∂s."""
        return self._rows(1)

    def input_jacobians(self) -> FloatArray:
        """Return ∂s'/∂x.

        Raises:
            ArgumentError: the inputs are integers.
        """
        self._require_floats()
        return self._rows(0)

    def _require_floats(self) -> None:
        if not self.inputs.is_floating_point():
            raise ArgumentError("inputs", f"{self.inputs.dtype} of the part", "floating inputs")

    def _pulled(self, vectors: FloatArray, at: slice, wanted: int) -> FloatArray:
        given = [self.inputs[at], self.states[at]]
        given[wanted] = given[wanted].clone().requires_grad_(True)
        with torch.enable_grad():
            after = self.step(*given)[1]
        found = np.zeros((len(vectors), len(after), given[wanted][0].numel()))
        if after.requires_grad:
            for vector, out in zip(torch.from_numpy(vectors).to(after), found, strict=True):
                (row,) = torch.autograd.grad(
                    after, given[wanted], vector, retain_graph=True, materialize_grads=True
                )
                out[:] = row.reshape(len(after), -1).to("cpu", torch.float64).numpy()
        return found

    def pulled(self, vectors: FloatArray, at: slice) -> FloatArray:
        """Return v ∂s'/∂s."""
        return self._pulled(vectors, at, 1)

    def pulled_to_inputs(self, vectors: FloatArray, at: slice) -> FloatArray:
        """Return v ∂s'/∂x."""
        self._require_floats()
        return self._pulled(vectors, at, 0)


def _form(state: Any, wider: Any, name: str) -> Form:
    """Return how a state is written, from the states of two batch sizes."""
    leaves, spec = _pytree.tree_flatten(state)
    others = _pytree.tree_leaves(wider)
    if not leaves or not all(isinstance(x, Tensor) and x.is_floating_point() for x in leaves):
        shown = ", ".join(describe(x) for x in leaves) or "nothing"
        raise ArgumentError("model", f"a state of {shown} from {name}", "a tree of floating tensors")
    axes = []
    for leaf, other in zip(leaves, others, strict=True):
        differing = [i for i, (a, b) in enumerate(zip(leaf.shape, other.shape, strict=True)) if a != b]
        if len(differing) != 1:
            raise ArgumentError(
                "model", f"a state of shape {tuple(leaf.shape)} from {name} for any batch", "a batch axis"
            )
        axes.append(differing[0])
    shapes = tuple(
        tuple(n for i, n in enumerate(leaf.shape) if i != axis)
        for leaf, axis in zip(leaves, axes, strict=True)
    )
    return Form(spec, shapes, tuple(axes))


def _pair(output: Any, name: str) -> tuple[Tensor, Any]:
    """Return outputs and state of a call.

    Raises:
        ArgumentError: it is no such pair.
    """
    if isinstance(output, Tensor):
        got, expected = (
            f"outputs of shape {tuple(output.shape)} alone",
            "(outputs, state): no state is returned",
        )
        raise ArgumentError("model", f"{got} from {name}", expected)
    if not isinstance(output, tuple | list) or len(output) != 2 or not isinstance(output[0], Tensor):
        inside = ", ".join(type(x).__name__ for x in output) if isinstance(output, tuple | list) else ""
        got = f"{type(output).__name__}{f' of {inside}' if inside else ''}"
        raise ArgumentError("model", f"{got} from {name}", "a pair (outputs, state), as nn.RNN returns")
    return output[0], output[1]


def stepped_part(name: str, module: nn.Module, call: Call) -> Part:
    """Return a module called like nn.RNN, (x, state=None) -> (outputs, state), as a chain.

    Raises:
        ArgumentError: it is called or returns otherwise, or its steps are not its whole call.
        NotFiniteError: a state is not finite.
    """
    title = name or type(module).__name__
    values = call.arguments[0] if call.arguments else next(iter(call.keywords.values()), None)
    if not isinstance(values, Tensor) or values.ndim < 2:
        got = describe(values) if values is not None else "no positional argument"
        raise ArgumentError("inputs", f"{got} for {title}", "a tensor with axes of time and batch")
    outputs, _ = _pair(call.output, title)
    given = call.arguments[1] if len(call.arguments) > 1 else None
    first = getattr(module, "batch_first", None)
    problems = []
    for axis in (0, 1) if first is None else (int(bool(first)),):
        try:
            return _stepped(title, name, module, values, outputs, given, axis)
        except ArgumentError as error:
            problems.append(error)
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            expected = f"single steps that it takes; it raised {first_line(error)}"
            problems.append(ArgumentError("model", title, expected))
    raise problems[0]


def _stepped(
    title: str, name: str, module: nn.Module, values: Tensor, outputs: Tensor, given: Any, axis: int
) -> Part:
    by_batch = values.movedim(axis, 1) if axis == 0 else values
    batch, steps = int(by_batch.shape[0]), int(by_batch.shape[1])
    dtype = next((x.dtype for x in _pytree.tree_leaves(outputs)), torch.float64)
    if steps == 0 or batch == 0:
        raise ArgumentError("inputs", f"{steps} steps of {batch} sequences", "one or more of each")

    def called(x: Tensor, state: Any) -> tuple[Tensor, Any]:
        laid = x if axis == 1 else x.movedim(1, 0)
        arguments = (laid,) if state is None else (laid, state)
        with default_dtype(dtype):
            return _pair(module(*arguments), title)

    with torch.no_grad():
        one = by_batch[:1, :1]
        small, wide = (called(one.expand(m, *one.shape[1:]).contiguous(), None)[1] for m in (2, 3))
        form = _form(small, wide, title)

        def step(x: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
            seen, state = called(x[:, None], form.state(rows))
            return seen, form.rows(state)

        size = sum(int(np.prod(shape)) for shape in form.shapes)
        begun = given is not None
        start = form.rows(given) if begun else torch.zeros(batch, size, dtype=dtype, device=values.device)
        first = form.rows(called(by_batch[:, :1], given)[1])
        _require_same(title, "the step from a zero state", step(by_batch[:, 0], start)[1], first)
        states, seen = [start], outputs.movedim(axis, 1) if axis == 0 else outputs
        for t in range(steps):
            output, after = step(by_batch[:, t], states[-1])
            states.append(after)
            # A model may return the last output alone.
            if t < FIRST_STEPS and seen.shape[:2] == by_batch.shape[:2]:
                single = output.movedim(axis, 1) if axis == 0 else output
                _require_same(title, f"output {t} step by step", single[:, 0], seen[:, t])
            if t + 1 == min(steps, FIRST_STEPS):
                together = form.rows(called(by_batch[:, : t + 1].contiguous(), given)[1])
                _require_same(title, "the state step by step", states[-1], together)
    held = torch.stack(states, dim=1)
    lengths = np.full(batch, steps)
    require_finite_states(held.to("cpu", torch.float64).numpy(), lengths, name)
    return Part(name, SteppedChain(step, by_batch, held, lengths, form))


def _require_same(title: str, what: str, found: Tensor, expected: Tensor) -> None:
    close = CLOSE.get(found.dtype, 1e-3)
    if found.shape != expected.shape or not torch.allclose(
        found, expected, rtol=close, atol=close, equal_nan=True
    ):
        got = f"{title}, for which {what} differs from that of the whole call"
        raise ArgumentError("model", got, "a module whose state holds all that it remembers")


def own_cell(name: str, calls: Sequence[Call], module: nn.Module) -> Part | None:
    """Return a module that was called once per step, (x, state) -> state, as a chain; None for others."""
    last = calls[-1]
    if len(last.arguments) < 2:
        return None
    before, after = _pytree.tree_flatten(last.arguments[1]), _pytree.tree_flatten(last.output)
    alike = before[1] == after[1] and [getattr(x, "shape", 0) for x in before[0]] == [
        getattr(x, "shape", 1) for x in after[0]
    ]
    if not alike or not all(isinstance(x, Tensor) and x.ndim >= 2 for x in before[0]):
        return None
    leaves = before[0]
    form = Form(before[1], tuple(tuple(x.shape[1:]) for x in leaves), (0,) * len(leaves))
    for one, other in zip(calls[1:], calls[:-1], strict=True):
        if not torch.equal(form.rows(one.arguments[1]), form.rows(other.output)):
            got = f"a state of {name or type(module).__name__} that is changed between two calls"
            raise ArgumentError("module", got, "the part that carries the state: name an outer module")

    def step(x: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        with default_dtype(rows.dtype):
            state = form.rows(module(x, form.state(rows)))
        return state, state

    inputs = torch.stack([call.arguments[0] for call in calls], dim=1)
    held = torch.stack([form.rows(c.arguments[1]) for c in calls] + [form.rows(last.output)], dim=1)
    lengths = np.full(len(inputs), len(calls))
    require_finite_states(held.to("cpu", torch.float64).numpy(), lengths, name)
    return Part(name, SteppedChain(step, inputs, held, lengths, form))
