"""Calls of a layer's forms: numpy arrays in the axes of laws in, numpy arrays out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray, describe, dtype_name, to_numpy
from dynprop.contracts.states import State
from dynprop.kinds.layer.interface import Interface
from dynprop.kinds.layer.parameters import Parameters
from dynprop.kinds.layer.state_conversion import StateConverter
from dynprop.subjects.calls import TargetMismatchError, attributed
from dynprop.subjects.frameworks import Framework

__all__ = ["LayerCalls"]


@dataclass(frozen=True)
class LayerCalls:
    """Calls the forms of a layer.

    "Native" arrays, states and outputs are those of the target's library, in the target's axes; their type is
    Any, since they are the user's objects.

    Attributes:
        interface: the forms and axes.
        library: makes native arrays.
        parameters: the parameters, converted to the format of each call.
        states: converts states.
    """

    interface: Interface
    library: Framework
    parameters: Parameters
    states: StateConverter

    def with_batch_axes(self, batch_axes: tuple[int | None, ...]) -> LayerCalls:
        """Return the same calls with known batch axes of the state."""
        return replace(self, states=replace(self.states, batch_axes=batch_axes))

    # In numpy arrays.

    def call(
        self,
        form: str,
        inputs: FloatArray,
        state: State | None,
        dtype: str,
        sides: Mapping[str, FloatArray] | None = None,
        lengths: Sequence[int] | None = None,
    ) -> tuple[FloatArray, State | None]:
        """Call a form; inputs are (batch, time, feature), and (batch, feature) for "step"."""
        natives = self.native_inputs(inputs, sides or {}, dtype)
        given = self.native_state(state)
        y, after = self.native_outputs(form, self.native_call(form, natives, given, dtype, lengths))
        values = to_numpy(self.batch_first(form, y))
        expected = inputs.shape[:1] if form == "step" else inputs.shape[:2]
        if values.shape[: len(expected)] != expected:
            raise TargetMismatchError(f"{form} returned y of shape {tuple(y.shape)} for x of {inputs.shape}")
        flat = values.reshape(*expected, math.prod(values.shape[len(expected) :]))
        if np.iscomplexobj(flat):
            flat = np.concatenate([flat.real, flat.imag], axis=-1)
        return np.asarray(flat, dtype=np.float64), self.states.to_numpy(after)

    def initial_state(self, batch: int, dtype: str) -> State | None:
        """Return the layer's own initial state in a format, or None if it offers none."""
        if "initial_state" not in self.interface.forms:
            return None
        self.parameters.use(dtype)
        with self.library.setting(dtype):
            made = self.native_initial_state(batch, self._tree(dtype))
        state = self.states.to_numpy(made)
        if state is None:
            return None
        formats = {"f": dtype, "c": "complex128" if dtype == "float64" else "complex64"}
        kinds = [leaf.dtype.kind for leaf in state.leaves]
        dtypes = tuple(formats.get(kind, d) for kind, d in zip(kinds, state.dtypes, strict=True))
        return replace(state, dtypes=dtypes)

    def output_of(
        self, inputs: FloatArray, state: State | None, dtype: str, sides: Mapping[str, FloatArray]
    ) -> tuple[str, str, tuple[str, ...]]:
        """Return the dtype and device of the outputs and the dtypes of the returned state."""
        form = self.interface.primary
        natives = self.native_inputs(inputs, sides, dtype)
        result = self.native_call(form, natives, self.native_state(state), dtype)
        y, after = self.native_outputs(form, result)
        dtypes = tuple(dtype_name(leaf) for leaf in self.states.arrays(after))
        return dtype_name(y), self.library.device_of(y), dtypes

    # In arrays of the target's library.

    def native_initial_state(self, batch: int, parameters: Any) -> Any:
        """Call ``initial_state``, with the tree of parameters where it takes one."""
        made = self.interface.forms["initial_state"]
        takes = "parameters" in (self.interface.keywords.get("initial_state") or ())
        return made(batch, parameters=parameters) if takes else made(batch)

    def _tree(self, dtype: str) -> Any:
        """Return the tree of parameters that forms take, in a format; None where they take none."""
        return self.parameters.tree(self.parameters.leaves(dtype))

    def native_inputs(
        self, inputs: FloatArray, sides: Mapping[str, FloatArray], dtype: str
    ) -> dict[str, Any]:
        """Return x and the side inputs by name; those of a step have no time axis."""
        whole = inputs.ndim == 3
        natives = {}
        for name, values in {"x": inputs, **sides}.items():
            moved = self.interface.axes.of_target(values) if whole else values
            natives[name] = self.library.array(moved, dtype)
        return natives

    def native_state(self, state: State | None) -> Any:
        """Return the target's state, or None for none."""
        return None if state is None else self.states.to_native(state)

    def native_call(
        self,
        form: str,
        natives: Mapping[str, Any],
        state: Any,
        dtype: str,
        lengths: Sequence[int] | None = None,
    ) -> Any:
        """Call a form on native arrays and return its result as it is."""
        self.parameters.use(dtype)
        names = self.interface.keywords.get(form)
        tree = natives.get("parameters", self._tree(dtype))
        given = natives if tree is None else {**natives, "parameters": tree}
        sides = {n: v for n, v in given.items() if n != "x" and (names is None or n in names)}
        call = self.interface.forms[form]
        with self.library.setting(dtype):
            if form == "forward" and lengths is not None:
                if self.interface.takes_packed_sequences:
                    return self._packed(natives["x"], state, lengths)
                kind = "int32" if self.library.name == "jax" else "int64"
                rows = self.library.array(np.asarray(lengths, dtype=kind), kind)
                return call(natives["x"], state, lengths=rows, **sides)
            if form == "parallel" or (form == "forward" and state is None):
                return call(natives["x"], **sides)
            if state is None and "initial_state" in self.interface.forms:
                # A piece that starts a sequence starts from the layer's own initial state.
                axis = 0 if form == "step" else self.interface.axes.batch
                state = self.native_state(self.initial_state(natives["x"].shape[axis], dtype))
            return call(natives["x"], state, **sides)

    def native_outputs(self, form: str, result: Any) -> tuple[Any, Any]:
        """Split the result of a form into y and the state; "parallel" has no state."""
        if form == "parallel":
            return (result[0] if isinstance(result, tuple) else result), None
        if not isinstance(result, tuple | list) or len(result) != 2:
            got = f"{len(result)} values" if isinstance(result, tuple | list) else describe(result)
            raise TargetMismatchError(f"{form} returned {got}, expected (y, state)")
        return result[0], result[1]

    def batch_first(self, form: str, y: Any) -> Any:
        """Return native outputs with batch, and for a sequence time, as the first axes."""
        if form == "step":
            return y
        if y.ndim < 2:
            raise TargetMismatchError(f"y is {describe(y)}, expected axes for batch, time and feature")
        return self.interface.axes.first(y, self.library.name)

    def _packed(self, x: Any, state: Any, lengths: Sequence[int]) -> Any:
        """Call forward on a packed sequence of padded rows and pad its outputs again."""
        from torch.nn.utils import rnn

        axes = self.interface.axes
        first = axes.batch == 0
        with attributed():
            packed = rnn.pack_padded_sequence(x, list(lengths), first, enforce_sorted=False)
            y, after = self.interface.forms["forward"](packed, state)
            whole, _ = rnn.pad_packed_sequence(y, first, total_length=x.shape[axes.time])
        return whole, after
