"""Gradients of a layer's outputs, and Jacobians of its single steps."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray, NumericArray, dtype_name
from dynprop.contracts.states import State
from dynprop.kinds.layer.axes import permuted
from dynprop.kinds.layer.calls import LayerCalls
from dynprop.kinds.layer.pullback import Cotangents, Leaves, Pullback, StepProducts
from dynprop.subjects.calls import TargetMismatchError

__all__ = ["EVERYTHING", "Derivatives", "flat", "in_float64", "unmoved"]

REAL = ("float", "bfloat")
EVERYTHING = frozenset({"sides", "parameters"})


def unmoved(leaves: Leaves, step: int) -> Leaves:
    """Return a gradient as it is."""
    return leaves


@dataclass(frozen=True)
class Derivatives:
    """Differentiates calls of a layer.

    Whatever is differentiated or held fixed stands in one mapping of named native arrays: "x", the side
    inputs, "leaf i" for each floating leaf of the state, "parameter NAME" for the parameters that forms take,
    and the weights of the outputs.

    Attributes:
        calls: the calls of the layer.
    """

    calls: LayerCalls

    def pullback(
        self,
        inputs: FloatArray,
        state: State | None,
        dtype: str,
        sides: Mapping[str, FloatArray],
        weights: Cotangents,
        form: str,
        size: int,
        lengths: Sequence[int] | None = None,
        *,
        wanted: Container[str] = EVERYTHING,
    ) -> Pullback | None:
        """Return the gradients of sum(weights * outputs), and of the weighted last state.

        The form runs on ``size`` steps per call, each call resumed from the state of the one before, and
        one backward pass goes through all of them. None where nothing carries a gradient, as in a path for
        inference.

        Args:
            inputs: shape (batch, time, feature).
            state: the state given, or None.
            dtype: the format.
            sides: side inputs by name.
            weights: the weights of the loss.
            form: the form.
            size: steps per call.
            lengths: the number of valid steps of each row; None for all.
            wanted: what wants a gradient beside inputs and state: "sides", "parameters".
        """
        calls = self.calls
        arrays = calls.native_inputs(inputs, sides, dtype)
        starts = range(0, max(1, inputs.shape[1]), size)
        shapes = {t: weights.outputs[:, t : t + size].shape for t in starts}
        for t in starts:
            piece = weights.outputs[:, t : t + size].reshape(-1)
            arrays[f"weights {t}"] = calls.library.array(piece, dtype)
        leaves = self._add_leaves(arrays, state)
        trained = calls.parameters.leaves(dtype) if "parameters" in wanted else {}
        arrays |= {f"parameter {name}": leaf for name, leaf in trained.items()}
        ends = [calls.library.array(part, dtype) for part in weights.state]
        carried: list[bool] = []

        def loss(given: Mapping[str, Any]) -> Any:
            tree, total = self._native_state(given, state), 0.0 * given["x"].sum()
            for t in starts:
                natives = self._steps(given, ("x", *sides), form, slice(t, t + size))
                if trained:
                    natives["parameters"] = self._tree(given, trained)
                y, tree = calls.native_outputs(form, calls.native_call(form, natives, tree, dtype, lengths))
                y = calls.batch_first(form, y)
                rows = slice(0, 1 if form == "step" else 2)
                if y.shape[rows] != shapes[t][rows]:
                    raise TargetMismatchError(f"{form} returned y of shape {tuple(y.shape)}")
                carried.append(bool(getattr(y, "requires_grad", True)))
                total = total + (y.reshape(-1) * given[f"weights {t}"]).sum()
            last = [leaf for leaf in calls.states.arrays(tree) if dtype_name(leaf).startswith(REAL)]
            for end, leaf in zip(ends, last, strict=False):
                if tuple(leaf.shape) != tuple(end.shape):
                    raise TargetMismatchError(f"{form} returned a state with a leaf {tuple(leaf.shape)}")
                carried.append(bool(getattr(leaf, "requires_grad", True)))
                total = total + (leaf * end).sum()
            return total

        calls.parameters.use(dtype)
        held = calls.parameters.held if "parameters" in wanted else {}
        driven = list(sides) if "sides" in wanted else []
        wrt = ["x", *driven, *leaves, *(f"parameter {name}" for name in trained)]
        with calls.library.setting(dtype):
            found = calls.library.gradients(loss, arrays, wrt, held)
        if not any(carried):
            return None
        return self._pulled(found, driven, leaves, [*trained], [*held])

    def _pulled(
        self,
        found: Mapping[str, NumericArray],
        sides: Sequence[str],
        leaves: Sequence[str],
        trained: Sequence[str],
        held: Sequence[str],
    ) -> Pullback:
        of_laws = self.calls.interface.axes.of_laws
        return Pullback(
            np.asarray(of_laws(found["x"]), dtype=np.float64),
            tuple(found[name] for name in leaves),
            {name: np.asarray(of_laws(found[name]), dtype=np.float64) for name in sides},
            {**{n: found[f"parameter {n}"] for n in trained}, **{n: found[n] for n in held}},
        )

    def _tree(self, given: Mapping[str, Any], trained: Mapping[str, Any]) -> Any:
        return self.calls.parameters.tree({name: given[f"parameter {name}"] for name in trained})

    def step_products(
        self,
        form: str,
        inputs: FloatArray,
        states: Sequence[State],
        sides: Mapping[str, FloatArray],
        weights: Cotangents,
        *,
        cuts: Container[int] = (),
        disturb: Callable[[Leaves, int], Leaves] = unmoved,
    ) -> StepProducts:
        """Return the gradients of a loss by vector-Jacobian products of single float64 steps.

        Args:
            form: the form that makes the steps.
            inputs: shape (batch, time, feature).
            states: the state before each step.
            sides: side inputs by name, shape (batch, time, ...).
            weights: the weights of the loss; an empty ``state`` is zero.
            cuts: steps before which the gradient is cut.
            disturb: moves the gradient to the state after a step.
        """
        calls = self.calls
        steps = inputs.shape[1]
        trained = calls.parameters.trained
        gradient = weights.state or self._zeros(states[-1])
        whole: list[Pullback] = []
        after: list[Leaves] = []
        for t in reversed(range(steps)):
            gradient = disturb(gradient, t)
            after.append(gradient)
            piece = {name: values[:, t : t + 1] for name, values in sides.items()}
            outputs = weights.outputs[:, t : t + 1]
            one = self.pullback(
                inputs[:, t : t + 1],
                in_float64(states[t]),
                "float64",
                piece,
                Cotangents(outputs, gradient),
                form,
                1,
            )
            if one is None:
                one = Pullback(
                    np.zeros_like(inputs[:, :1]),
                    self._zeros(states[t]),
                    {name: np.zeros_like(values) for name, values in piece.items()},
                    {name: np.zeros_like(v) for name, v in calls.parameters.values.items()},
                )
            whole.append(one)
            gradient = self._zeros(states[t]) if t in cuts else one.state
        whole.reverse()
        after.reverse()
        shares = {name: np.stack([flat(one.parameters[name]) for one in whole]) for name in trained}
        joined = Pullback(
            np.concatenate([one.inputs for one in whole], axis=1),
            gradient,
            {name: np.concatenate([one.sides[name] for one in whole], axis=1) for name in sides},
            {name: np.sum([one.parameters[name] for one in whole], axis=0) for name in trained},
        )
        return StepProducts(joined, shares, weights.outputs.swapaxes(0, 1), tuple(after))

    def initial_products(self, batch: int, weights: Leaves) -> dict[str, NumericArray]:
        """Return the gradients of the weighted leaves of ``initial_state(batch)`` to the parameters."""
        calls = self.calls
        trained = calls.parameters.leaves("float64")
        arrays = {f"parameter {name}": leaf for name, leaf in trained.items()}
        ends = [calls.library.array(part, "float64") for part in weights]

        def loss(given: Mapping[str, Any]) -> Any:
            made = calls.native_initial_state(batch, self._tree(given, trained))
            last = [leaf for leaf in calls.states.arrays(made) if dtype_name(leaf).startswith(REAL)]
            return sum((leaf * end).sum() for leaf, end in zip(last, ends, strict=True))

        calls.parameters.use("float64")
        held = calls.parameters.held
        with calls.library.setting("float64"):
            found = calls.library.gradients(loss, arrays, list(arrays), held)
        return {**{n: found[f"parameter {n}"] for n in trained}, **{n: found[n] for n in held}}

    @staticmethod
    def _zeros(state: State) -> Leaves:
        return tuple(np.zeros_like(state.leaves[i], dtype=np.float64) for i in state.floating)

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
        double = in_float64(state)
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


def flat(gradient: NumericArray) -> FloatArray:
    """Return the entries of a gradient; complex ones as two real ones."""
    values = np.ascontiguousarray(gradient).reshape(-1)
    return values.view(np.float64) if np.iscomplexobj(values) else np.asarray(values, dtype=np.float64)


def in_float64(state: State) -> State:
    """Return a state with its floating leaves in float64."""
    leaves = tuple(
        np.asarray(leaf, dtype=np.float64) if i in state.floating else leaf
        for i, leaf in enumerate(state.leaves)
    )
    dtypes = tuple("float64" if i in state.floating else dtype for i, dtype in enumerate(state.dtypes))
    return replace(state, leaves=leaves, dtypes=dtypes)
