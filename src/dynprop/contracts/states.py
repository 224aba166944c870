"""The state of a layer as numpy leaves; laws split it by rows and perturb it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dynprop.arrays import NumericArray

__all__ = ["State"]


@dataclass(frozen=True)
class State:
    """A tree of arrays, flattened.

    Attributes:
        leaves: numpy values, in the order of the tree.
        dtypes: the dtype that each leaf had in the subject's library.
        batch_axes: the batch axis of each leaf, None for a leaf shared by all rows.
        spec: how the subject's library rebuilds the tree.
    """

    leaves: tuple[NumericArray, ...]
    dtypes: tuple[str, ...]
    batch_axes: tuple[int | None, ...]
    spec: Any

    def map(self, function: Callable[[NumericArray], NumericArray]) -> State:
        """Apply a function to every floating leaf."""
        return replace(
            self,
            leaves=tuple(function(v) if np.issubdtype(v.dtype, np.inexact) else v for v in self.leaves),
        )

    def rows(self, rows: slice | NumericArray) -> State:
        """Return the state of some rows of the batch."""
        leaves = []
        for leaf, axis in zip(self.leaves, self.batch_axes, strict=True):
            leaves.append(leaf if axis is None else leaf[(slice(None),) * axis + (rows,)])
        return replace(self, leaves=tuple(leaves))

    @property
    def floating(self) -> tuple[int, ...]:
        """Positions of the leaves that can be differentiated (real floats)."""
        return tuple(i for i, d in enumerate(self.dtypes) if d.startswith(("float", "bfloat")))

    @property
    def finite(self) -> bool:
        """Whether every leaf is finite."""
        return all(bool(np.isfinite(leaf).all()) for leaf in self.leaves)
