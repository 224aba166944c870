"""Gradients and Jacobians of a layer, and what its calls leave changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray, NumericArray, dtype_name, is_array, to_numpy
from dynprop.check.layer_calls import RunningLayer
from dynprop.check.trees import flatten
from dynprop.laws.states import State

__all__ = ["JudgedLayer"]


class JudgedLayer(RunningLayer):
    """A running layer with everything that the laws ask for."""

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
        known = [(n, v, to_numpy(v), self.library.metadata(v)) for n, v in watched]
        self._raw(form, natives, native_state, dtype)
        for name, value, before, metadata in known:
            after = self.library.metadata(value)
            if after != metadata:
                return f"{form} changed the caller's {name}: {metadata} became {after}"
            if not np.array_equal(before, to_numpy(value), equal_nan=True):
                return f"{form} modified the caller's {name} in place"
        return None

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

    def expected_device(self) -> str:
        """Return the device that the arguments live on."""
        return self.library.device_of(self.library.array(np.zeros(1), self.domain.dtypes[0]))

    def gradients(
        self,
        inputs: FloatArray,
        state: State | None,
        dtype: str,
        sides: Mapping[str, FloatArray],
        weights: FloatArray,
    ) -> tuple[FloatArray, tuple[NumericArray, ...]]:
        """Return d(weights . outputs) to the inputs and to the leaves of the state."""
        arrays = self._natives(inputs, sides, dtype)
        arrays["weights"] = self._natives(weights, {}, dtype)["x"]
        leaves = self._add_leaves(arrays, state)

        def loss(given: Mapping[str, Any]) -> Any:
            y, _ = self._differentiable_call(given, state, sides, leaves, dtype)
            return (y.reshape(given["weights"].shape) * given["weights"]).sum()

        with self.library.setting(dtype):
            found = self.library.gradients(loss, arrays, ["x", *leaves])
        to_inputs = np.moveaxis(found["x"], (self.batch_axis, self.time_axis), (0, 1))
        return np.asarray(to_inputs, dtype=np.float64), tuple(found[n] for n in leaves)

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
        axes_of = [state.batch_axes[i] for i in state.floating]
        arrays = self._natives(inputs[:, None], one, dtype)
        leaves = self._add_leaves(arrays, doubled)
        count = len(inputs)

        def flat(given: Mapping[str, Any]) -> list[Any]:
            y, after = self._differentiable_call(given, doubled, one, leaves, dtype)
            if outputs:
                return [self._canonical(y).reshape(count, -1)]
            kept = [v for v in flatten(after, self.framework)[0] if is_array(v)]
            kept = [kept[i] for i in state.floating]
            return [self._rows_first(v, a).reshape(count, -1) for v, a in zip(kept, axes_of, strict=True)]

        with self.library.setting(dtype):
            widths = [v.shape[1] for v in flat(arrays)]
            to_state, to_input = [], []
            for part, width in enumerate(widths):
                for i in range(width):

                    def entry(given: Mapping[str, Any], part: int = part, i: int = i) -> Any:
                        return flat(given)[part][:, i].sum()

                    found = self.library.gradients(entry, arrays, ["x", *leaves])
                    rows = [
                        np.moveaxis(found[n], axis or 0, 0).reshape(count, -1)
                        for n, axis in zip(leaves, axes_of, strict=True)
                    ]
                    to_state.append(np.concatenate(rows, axis=1))
                    x = np.moveaxis(found["x"], (self.batch_axis, self.time_axis), (0, 1))
                    to_input.append(x.reshape(count, -1))
        return np.stack(to_state, axis=1), np.stack(to_input, axis=1)

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

    def _differentiable_call(
        self,
        given: Mapping[str, Any],
        state: State | None,
        sides: Mapping[str, FloatArray],
        leaves: list[str],
        dtype: str,
    ) -> tuple[Any, Any]:
        tree = None
        if state is not None:
            made = [
                given[f"leaf {i}"] if f"leaf {i}" in leaves else self._leaf(values, kind)
                for i, (values, kind) in enumerate(zip(state.leaves, state.dtypes, strict=True))
            ]
            tree = self.native_state(state, made)
        natives = {n: given[n] for n in ("x", *sides)}
        return self._split(self._raw(self.primary, natives, tree, dtype), self.primary)
