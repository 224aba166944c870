"""Gradients of a layer's outputs, and Jacobians of its single steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray, NumericArray
from dynprop.contracts.states import State
from dynprop.kinds.layer.axes import permuted
from dynprop.kinds.layer.calls import LayerCalls
from dynprop.subjects.calls import TargetMismatchError

__all__ = ["Derivatives"]


@dataclass(frozen=True)
class Derivatives:
    """Differentiates calls of a layer.

    Whatever is differentiated or held fixed stands in one mapping of named native arrays: "x", the side
    inputs, "leaf i" for each floating leaf of the state, and the weights of the outputs.

    Attributes:
        calls: the calls of the layer.
    """

    calls: LayerCalls

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
        """Return the gradients of sum(weights * outputs) to inputs and floating leaves of the state.

        The form runs on ``size`` steps per call, each call resumed from the state of the one before, and
        one backward pass goes through all of them. None where the outputs carry no gradient, as those of a
        path for inference.
        """
        calls = self.calls
        arrays = calls.native_inputs(inputs, sides, dtype)
        starts = range(0, inputs.shape[1], size)
        shapes = {t: weights[:, t : t + size].shape for t in starts}
        for t in starts:
            arrays[f"weights {t}"] = calls.library.array(weights[:, t : t + size].reshape(-1), dtype)
        leaves = self._add_leaves(arrays, state)
        carried: list[bool] = []

        def loss(given: Mapping[str, Any]) -> Any:
            tree = self._native_state(given, state)
            total: Any = 0.0
            for t in starts:
                natives = self._steps(given, ("x", *sides), form, slice(t, t + size))
                y, tree = calls.native_outputs(form, calls.native_call(form, natives, tree, dtype))
                y = calls.batch_first(form, y)
                rows = slice(0, 1 if form == "step" else 2)
                if y.shape[rows] != shapes[t][rows]:
                    raise TargetMismatchError(f"{form} returned y of shape {tuple(y.shape)}")
                total = total + (y.reshape(-1) * given[f"weights {t}"]).sum()
            carried.append(bool(getattr(total, "requires_grad", True)))
            return total

        with calls.library.setting(dtype):
            found = calls.library.gradients(loss, arrays, ["x", *leaves])
        if not all(carried):
            return None
        to_inputs = calls.interface.axes.of_laws(found["x"])
        return np.asarray(to_inputs, dtype=np.float64), tuple(found[name] for name in leaves)

    def step_jacobians(
        self, form: str, inputs: FloatArray, state: State, sides: Mapping[str, FloatArray], outputs: bool
    ) -> tuple[FloatArray, FloatArray]:
        """Return the Jacobians of one float64 step of every row, to its state and to its input.

        Args:
            form: the form that makes the step.
            inputs: shape (rows, features), one step for each row.
            state: the state before the step of each row.
            sides: shape (rows, ...).
            outputs: differentiate the output instead of the next state.
        """
        calls = self.calls
        one = {name: values[:, None] for name, values in sides.items()}
        double = _in_float64(state)
        count, widths = len(inputs), self._widths(form, inputs, double, one, outputs)
        width = sum(widths)
        # One backward pass for all entries: every row is repeated, one copy for each entry.
        copies = np.tile(np.arange(count), width)
        repeated = double.rows(copies)
        repeated_sides = {name: values[copies] for name, values in one.items()}
        arrays = calls.native_inputs(inputs[copies][:, None], repeated_sides, "float64")
        leaves = self._add_leaves(arrays, repeated)
        selected = np.repeat(np.eye(width), count, axis=0)
        for i, part in enumerate(np.split(selected, np.cumsum(widths)[:-1], axis=1)):
            arrays[f"selected {i}"] = calls.library.array(part, "float64")

        def entries(given: Mapping[str, Any]) -> Any:
            parts = self._one_step(form, given, repeated, sides, outputs)
            return sum((part * given[f"selected {i}"]).sum() for i, part in enumerate(parts))

        with calls.library.setting("float64"):
            found = calls.library.gradients(entries, arrays, ["x", *leaves])
        axes = [state.batch_axes[i] or 0 for i in state.floating]
        rows = [
            np.moveaxis(found[name], axis, 0).reshape(len(copies), -1)
            for name, axis in zip(leaves, axes, strict=True)
        ]
        to_state = np.concatenate(rows, axis=1).reshape(width, count, -1)
        to_input = calls.interface.axes.of_laws(found["x"]).reshape(width, count, -1)
        return to_state.swapaxes(0, 1), to_input.swapaxes(0, 1)

    def _one_step(
        self, form: str, given: Mapping[str, Any], state: State, sides: Mapping[str, Any], outputs: bool
    ) -> list[Any]:
        """Return the output of one float64 step, or the leaves of its next state, flattened for every row."""
        calls = self.calls
        natives = self._steps(given, ("x", *sides), form, slice(0, 1))
        result = calls.native_call(form, natives, self._native_state(given, state), "float64")
        y, after = calls.native_outputs(form, result)
        rows = state.leaves[state.floating[0]].shape[state.batch_axes[state.floating[0]] or 0]
        if outputs:
            return [calls.batch_first(form, y).reshape(rows, -1)]
        leaves = calls.states.arrays(after)
        return [self._rows_first(leaves[i], state.batch_axes[i]).reshape(rows, -1) for i in state.floating]

    def _widths(
        self, form: str, inputs: FloatArray, state: State, sides: Mapping[str, FloatArray], outputs: bool
    ) -> list[int]:
        """Return the number of entries of each part of ``_one_step``, for one row."""
        calls = self.calls
        arrays = calls.native_inputs(inputs[:1, None], {n: v[:1] for n, v in sides.items()}, "float64")
        first = state.rows(slice(0, 1))
        self._add_leaves(arrays, first)
        with calls.library.setting("float64"):
            return [int(part.shape[1]) for part in self._one_step(form, arrays, first, sides, outputs)]

    def _steps(
        self, given: Mapping[str, Any], names: tuple[str, ...], form: str, steps: slice
    ) -> dict[str, Any]:
        """Cut steps out of native inputs; the form "step" takes the first of them without a time axis."""
        cut = steps.start if form == "step" else steps
        return {name: self.calls.interface.axes.steps(given[name], cut) for name in names}

    def _rows_first(self, leaf: Any, axis: int | None) -> Any:
        """Permute the batch axis of a native leaf to the front."""
        order = [axis or 0] + [i for i in range(leaf.ndim) if i != (axis or 0)]
        return permuted(leaf, order, self.calls.library.name)

    def _add_leaves(self, arrays: dict[str, Any], state: State | None) -> list[str]:
        """Put the floating leaves of a state among the named arrays and return their names."""
        if state is None:
            return []
        leaves = {
            f"leaf {i}": self.calls.states.leaf(state.leaves[i], state.dtypes[i]) for i in state.floating
        }
        arrays.update(leaves)
        return list(leaves)

    def _native_state(self, given: Mapping[str, Any], state: State | None) -> Any:
        """Return a native state whose floating leaves are among the named arrays."""
        if state is None:
            return None
        states = self.calls.states
        leaves = [
            given[f"leaf {i}"] if i in state.floating else states.leaf(values, dtype)
            for i, (values, dtype) in enumerate(zip(state.leaves, state.dtypes, strict=True))
        ]
        return states.to_native(state, leaves)


def _in_float64(state: State) -> State:
    """Return a state with its floating leaves in float64."""
    leaves = tuple(
        np.asarray(leaf, dtype=np.float64) if i in state.floating else leaf
        for i, leaf in enumerate(state.leaves)
    )
    dtypes = tuple("float64" if i in state.floating else dtype for i, dtype in enumerate(state.dtypes))
    return replace(state, leaves=leaves, dtypes=dtypes)
