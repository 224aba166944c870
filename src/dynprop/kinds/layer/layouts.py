"""Calls and backward passes of a layer on arrays of every memory layout."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray, to_numpy
from dynprop.contracts.states import State
from dynprop.kinds.layer.calls import LayerCalls

__all__ = ["Layouts"]

# An array of the target's library.
Native = Any


@dataclass(frozen=True)
class Layouts:
    """Calls a layer on arrays with the same values in other memory layouts.

    Attributes:
        calls: the calls of the layer.
    """

    calls: LayerCalls

    def outputs(
        self, form: str, inputs: FloatArray, state: State | None, dtype: str, sides: Mapping[str, FloatArray]
    ) -> Iterator[tuple[str, FloatArray]]:
        """Yield what is laid out how, and the outputs of a call."""
        natives = self.calls.native_inputs(inputs, sides, dtype)
        plain = self.calls.native_state(state)
        for name in natives:
            for layout, laid in self.calls.library.layouts(natives[name]) if natives[name].ndim > 1 else ():
                yield f"{layout} {name}", self._call(form, {**natives, name: laid}, plain, dtype)
        if state is None:
            return
        leaves = [
            self.calls.states.leaf(values, kind)
            for values, kind in zip(state.leaves, state.dtypes, strict=True)
        ]
        laid_out = [list(self.calls.library.layouts(leaf)) if leaf.ndim > 1 else [] for leaf in leaves]
        for place in range(max((len(found) for found in laid_out), default=0)):
            chosen = [
                found[place] if place < len(found) else ("", leaf)
                for found, leaf in zip(laid_out, leaves, strict=True)
            ]
            tree = self.calls.states.to_native(state, [leaf for _, leaf in chosen])
            layout = next(name for name, _ in chosen if name)
            yield f"{layout} state", self._call(form, natives, tree, dtype)

    def _call(self, form: str, natives: Mapping[str, Native], state: Native, dtype: str) -> FloatArray:
        y, _ = self.calls.native_outputs(form, self.calls.native_call(form, natives, state, dtype))
        values = to_numpy(self.calls.batch_first(form, y))
        rows = values.shape[: 1 if form == "step" else 2]
        flat = values.reshape(*rows, math.prod(values.shape[len(rows) :]))
        if np.iscomplexobj(flat):
            flat = np.concatenate([flat.real, flat.imag], axis=-1)
        return np.asarray(flat, dtype=np.float64)

    def expanded(
        self, form: str, inputs: FloatArray, state: State | None, dtype: str, sides: Mapping[str, FloatArray]
    ) -> FloatArray:
        """Return the outputs for inputs whose rows all share the memory of the first, by a stride of 0."""
        natives = self.calls.native_inputs(inputs, sides, dtype)
        x, axis = natives["x"], self.calls.interface.axes.batch
        one = x[(*(slice(None),) * axis, slice(0, 1))]
        return self._call(form, {**natives, "x": one.expand(x.shape)}, self.calls.native_state(state), dtype)

    def gradients(
        self,
        form: str,
        inputs: FloatArray,
        state: State | None,
        dtype: str,
        sides: Mapping[str, FloatArray],
        weights: FloatArray,
    ) -> Iterator[tuple[str, FloatArray]]:
        """Yield the layout in which a gradient arrives at the outputs, and the gradient to the inputs.

        Args:
            form: the form.
            inputs, state, dtype, sides: arguments of the call.
            weights: the gradient that arrives, shape (batch, time, outputs).
        """
        calls = self.calls
        arrays = calls.native_inputs(inputs, sides, dtype)
        native = calls.library.array(calls.interface.axes.of_target(weights), dtype)
        laid_out: list[tuple[str, Native]] = [("contiguous", native), *calls.library.layouts(native)]
        for layout, laid in laid_out:
            yield layout, self._gradient(form, arrays, state, dtype, laid)

    def _gradient(
        self, form: str, arrays: Mapping[str, Native], state: State | None, dtype: str, weights: Native
    ) -> FloatArray:
        calls = self.calls

        def loss(given: Mapping[str, Native]) -> Native:
            result = calls.native_call(form, given, calls.native_state(state), dtype)
            y, _ = calls.native_outputs(form, result)
            return (y * weights.reshape(y.shape)).sum()

        with calls.library.setting(dtype):
            found = calls.library.gradients(loss, arrays, ["x"])["x"]
        return np.asarray(calls.interface.axes.of_laws(found), dtype=np.float64)
