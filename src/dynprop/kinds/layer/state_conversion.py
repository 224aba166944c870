"""The state of a layer, converted between the target's tree and numpy leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dynprop.arrays import NumericArray, dtype_name, is_array, to_numpy
from dynprop.contracts.states import State
from dynprop.kinds.layer.trees import flatten, rebuild
from dynprop.subjects.frameworks import Framework

__all__ = ["StateConverter"]

REAL_PART = {"complex128": "float64", "complex64": "float32"}


@dataclass(frozen=True)
class StateConverter:
    """Converts states; leaves of a tree that are no arrays are kept and put back.

    Attributes:
        library: the framework of the target's arrays.
        declared_axis: the batch axis of every leaf, as the caller declared it, or None.
        batch_axes: the batch axis of each leaf of the state of a whole call; empty before the probe.
    """

    library: Framework
    declared_axis: int | None = None
    batch_axes: tuple[int | None, ...] = ()

    def arrays(self, tree: Any) -> list[Any]:
        """Return the leaves of a target's state that are arrays."""
        return [leaf for leaf in flatten(tree, self.library.name)[0] if is_array(leaf)]

    def to_numpy(self, tree: Any) -> State | None:
        """Convert a target's state; None if it has no arrays."""
        leaves, spec = flatten(tree, self.library.name)
        arrays = [leaf for leaf in leaves if is_array(leaf)]
        if not arrays:
            return None
        axes = self.batch_axes
        if len(axes) != len(arrays):
            axes = (self.declared_axis,) * len(arrays)
        return State(
            tuple(to_numpy(leaf) for leaf in arrays),
            tuple(dtype_name(leaf) for leaf in arrays),
            axes,
            (
                spec,
                [None if is_array(leaf) else leaf for leaf in leaves],
                [is_array(leaf) for leaf in leaves],
            ),
        )

    def to_native(self, state: State, leaves: Sequence[Any] | None = None) -> Any:
        """Build the target's state from fresh arrays, or from given leaves."""
        spec, others, array_at = state.spec
        if leaves is None:
            leaves = [self.leaf(v, d) for v, d in zip(state.leaves, state.dtypes, strict=True)]
        arrays = iter(leaves)
        full = [next(arrays) if array else other for array, other in zip(array_at, others, strict=True)]
        return rebuild(full, spec, self.library.name)

    def leaf(self, values: NumericArray, dtype: str) -> Any:
        """Return a fresh array of the target's library for one leaf."""
        return self.library.array(values, REAL_PART.get(dtype, dtype))
