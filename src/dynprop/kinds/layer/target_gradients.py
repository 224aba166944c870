"""Gradients and Jacobians of a layer, and what its calls leave changed."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray, NumericArray, dtype_name, is_array
from dynprop.contracts.states import State
from dynprop.kinds.layer.target_calls import RunningLayer
from dynprop.kinds.layer.trees import flatten
from dynprop.subjects.calls import TargetMismatchError

__all__ = ["JudgedLayer"]


class JudgedLayer(RunningLayer):
    """A running layer with everything that the laws ask for."""

    def nudged(self, seed: int) -> AbstractContextManager[None]:
        """Move every parameter of its module by one unit in the last place inside the block."""
        return self._parameters.nudged(seed)

    def changed_arguments(
        self,
        form: str,
        inputs: FloatArray,
        state: State | None,
        dtype: str,
        sides: Mapping[str, FloatArray],
    ) -> str | None:
        """Call a form and say which argument it modified, values or metadata, or None."""
        natives: dict[str, Any] = self._natives(inputs, sides, dtype)
        native_state = None if state is None else self.native_state(state)
        watched = list(natives.items())
        watched += [
            (f"state (leaf {i})", leaf)
            for i, leaf in enumerate(v for v in flatten(native_state, self.framework)[0] if is_array(v))
        ]
        change = self._change(watched, lambda: self._raw(form, natives, native_state, dtype))
        if change is None:
            return None
        if change.before is None:
            return f"{form} modified the caller's {change.name} in place"
        return f"{form} changed the caller's {change.name}: {change.before} became {change.after}"

    def resets_random_numbers(self, inputs: FloatArray, dtype: str, sides: Mapping[str, FloatArray]) -> bool:
        """Say whether a call sets the library's global random numbers to a state of its own."""
        drawn = []
        for seed in (1, 2):
            self.library.seed(seed)
            self.call(self.primary, inputs, None, dtype, sides)
            drawn.append(self.library.random_number())
        return drawn[0] is not None and drawn[0] == drawn[1]

    def output_of(
        self, inputs: FloatArray, state: State | None, dtype: str, sides: Mapping[str, FloatArray]
    ) -> tuple[str, str, tuple[str, ...]]:
        """Return the dtype and device of the outputs and the dtypes of the returned state."""
        native_state = None if state is None else self.native_state(state)
        natives = self._natives(inputs, sides, dtype)
        y, after = self._split(self._raw(self.primary, natives, native_state, dtype), self.primary)
        leaves = [v for v in flatten(after, self.framework)[0] if is_array(v)]
        return dtype_name(y), self.library.device_of(y), tuple(dtype_name(v) for v in leaves)

    def gradients(
        self,
        inputs: FloatArray,
        state: State | None,
        dtype: str,
        sides: Mapping[str, FloatArray],
        weights: FloatArray,
        form: str,
        size: int,
    ) -> tuple[FloatArray, tuple[NumericArray, ...]] | None:
        """Return d(weights . outputs) to the inputs and to the leaves of the state.

        The form runs on ``size`` steps per call, each call resumed from the state of the one before, and
        one backward pass goes through all of them. None where its outputs carry no gradient at all, as those
        of a path for inference: a caller who wants one is told by torch.
        """
        arrays = self._natives(inputs, sides, dtype)
        steps = range(0, inputs.shape[1], size)
        shapes = {t: weights[:, t : t + size].shape for t in steps}
        for t in steps:
            arrays[f"weights {t}"] = self.library.array(weights[:, t : t + size].reshape(-1), dtype)
        leaves = self._add_leaves(arrays, state)
        carried: list[bool] = []

        def loss(given: Mapping[str, Any]) -> Any:
            tree = self._tree(given, state, leaves)
            total: Any = 0.0
            for t in steps:
                natives = self._piece(given, ("x", *sides), form, slice(t, t + size))
                y, tree = self._split(self._raw(form, natives, tree, dtype), form)
                y = y if form == "step" else self._canonical(y)
                if y.shape[: 1 if form == "step" else 2] != shapes[t][: 1 if form == "step" else 2]:
                    raise TargetMismatchError(f"{form} returned y of shape {tuple(y.shape)}")
                total = total + (y.reshape(-1) * given[f"weights {t}"]).sum()
            carried.append(bool(getattr(total, "requires_grad", True)))
            return total

        with self.library.setting(dtype):
            found = self.library.gradients(loss, arrays, ["x", *leaves])
        if not all(carried):
            return None
        to_inputs = np.moveaxis(found["x"], (self.batch_axis, self.time_axis), (0, 1))
        return np.asarray(to_inputs, dtype=np.float64), tuple(found[n] for n in leaves)

    def _piece(
        self, given: Mapping[str, Any], names: tuple[str, ...], form: str, steps: slice
    ) -> dict[str, Any]:
        """Cut some of the steps out of native arrays; a step has no time axis."""
        before = (slice(None),) * self.time_axis
        index = (*before, steps.start if form == "step" else steps)
        return {name: given[name][index] for name in names}

    def step_jacobians(
        self, inputs: FloatArray, state: State, sides: Mapping[str, FloatArray], outputs: bool
    ) -> tuple[FloatArray, FloatArray]:
        """Return the Jacobians of one float64 step of every row, to its state and to its input.

        Args:
            inputs: shape (rows, features), one step for each row.
            state: the state before the step of each row.
            sides: shape (rows, ...).
            outputs: differentiate the output instead of the next state.
        """
        dtype = "float64"
        one = {n: v[:, None] for n, v in sides.items()}
        doubled = State(
            tuple(
                np.asarray(v, dtype=np.float64) if i in state.floating else v
                for i, v in enumerate(state.leaves)
            ),
            tuple(dtype if i in state.floating else d for i, d in enumerate(state.dtypes)),
            state.batch_axes,
            state.spec,
        )
        count, widths = len(inputs), self._widths(inputs, doubled, one, outputs)
        width = sum(widths)
        # One backward pass for all entries: the rows again and again, each copy for its own entry.
        copies = np.tile(np.arange(count), width)
        again = doubled.rows(copies)
        arrays = self._natives(inputs[copies][:, None], {n: v[copies] for n, v in one.items()}, dtype)
        leaves = self._add_leaves(arrays, again)
        chosen = np.repeat(np.eye(width), count, axis=0)
        for i, part in enumerate(np.split(chosen, np.cumsum(widths)[:-1], axis=1)):
            arrays[f"chosen {i}"] = self.library.array(part, dtype)

        def entries(given: Mapping[str, Any]) -> Any:
            parts = self._one_step(given, again, sides, leaves, outputs)
            return sum((part * given[f"chosen {i}"]).sum() for i, part in enumerate(parts))

        with self.library.setting(dtype):
            found = self.library.gradients(entries, arrays, ["x", *leaves])
        axes = [state.batch_axes[i] or 0 for i in state.floating]
        rows = [
            np.moveaxis(found[n], a, 0).reshape(len(copies), -1) for n, a in zip(leaves, axes, strict=True)
        ]
        to_state = np.concatenate(rows, axis=1).reshape(width, count, -1)
        x = np.moveaxis(found["x"], (self.batch_axis, self.time_axis), (0, 1)).reshape(width, count, -1)
        return to_state.swapaxes(0, 1), x.swapaxes(0, 1)

    def _one_step(
        self,
        given: Mapping[str, Any],
        state: State,
        sides: Mapping[str, Any],
        leaves: list[str],
        outputs: bool,
    ) -> list[Any]:
        """Return the output of one float64 step, or the leaves of its next state, flattened for every row."""
        natives = self._piece(given, ("x", *sides), self.stepper, slice(0, 1))
        tree = self._tree(given, state, leaves)
        y, after = self._split(self._raw(self.stepper, natives, tree, "float64"), self.stepper)
        rows = state.leaves[state.floating[0]].shape[state.batch_axes[state.floating[0]] or 0]
        if outputs:
            return [(y if self.stepper == "step" else self._canonical(y)).reshape(rows, -1)]
        kept = [v for v in flatten(after, self.framework)[0] if is_array(v)]
        return [self._rows_first(kept[i], state.batch_axes[i]).reshape(rows, -1) for i in state.floating]

    def _widths(
        self, inputs: FloatArray, state: State, sides: Mapping[str, FloatArray], outputs: bool
    ) -> list[int]:
        """Return how many numbers each part of what one step gives has for a row."""
        arrays = self._natives(inputs[:1, None], {n: v[:1] for n, v in sides.items()}, "float64")
        first = state.rows(slice(0, 1))
        leaves = self._add_leaves(arrays, first)
        with self.library.setting("float64"):
            return [int(part.shape[1]) for part in self._one_step(arrays, first, sides, leaves, outputs)]

    def _rows_first(self, leaf: Any, axis: int | None) -> Any:
        order = [axis or 0] + [i for i in range(leaf.ndim) if i != (axis or 0)]
        return leaf.transpose(order) if self.framework == "jax" else leaf.permute(order)

    def _add_leaves(self, arrays: dict[str, Any], state: State | None) -> list[str]:
        """Put the leaves of a state among the named arrays and return their names."""
        if state is None:
            return []
        names = []
        for i, (values, dtype) in enumerate(zip(state.leaves, state.dtypes, strict=True)):
            if i in state.floating:
                names.append(f"leaf {i}")
                arrays[names[-1]] = self._leaf(values, dtype)
        return names

    def _tree(self, given: Mapping[str, Any], state: State | None, leaves: list[str]) -> Any:
        """Return a native state whose floating leaves are among the named arrays."""
        if state is None:
            return None
        made = [
            given[f"leaf {i}"] if f"leaf {i}" in leaves else self._leaf(values, kind)
            for i, (values, kind) in enumerate(zip(state.leaves, state.dtypes, strict=True))
        ]
        return self.native_state(state, made)
