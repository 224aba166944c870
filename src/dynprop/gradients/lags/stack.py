r"""Layers on top of each other as one recurrence, whose state is that of all layers.

The new state of layer l depends on its own old state, by :math:`A_l`, and on the new output of the layer
below, by :math:`B_l`. The Jacobian of the whole is block lower triangular: rows :math:`D_l` of layer l are
:math:`A_l` in its own columns plus :math:`B_l` times the rows of the output below. Its diagonal blocks are
the chains of the layers by themselves, which miss every path that climbs from layer to layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dynprop.arrays import FloatArray, IntArray
from dynprop.gradients.lags.chain import CellBlock, CellChain

__all__ = ["StackChain"]


@dataclass(frozen=True)
class StackChain:
    """Layers, the first one first; the state is that of layer 1, then of layer 2, ...

    Attributes:
        layers: a chain each, on the outputs of the layer below.
        outputs: numbers of each layer's state, its first ones, that the layer above reads.
    """

    layers: Sequence[CellChain]
    outputs: Sequence[int]

    @property
    def size(self) -> int:
        """Numbers in the state."""
        return sum(layer.size for layer in self.layers)

    @property
    def lengths(self) -> IntArray:
        """Steps of each sequence."""
        return self.layers[0].lengths

    def block(self, rows: IntArray, times: IntArray) -> StackBlock:
        """Return the derivatives of these steps."""
        return StackBlock([layer.block(rows, times) for layer in self.layers], self.outputs)


@dataclass(frozen=True)
class StackBlock:
    """Steps of all layers."""

    layers: Sequence[CellBlock]
    outputs: Sequence[int]

    def jacobians(self) -> FloatArray:
        """Return ∂s'/∂s."""
        own = [layer.jacobians() for layer in self.layers]
        sizes = [block.shape[-1] for block in own]
        found = np.zeros((len(own[0]), sum(sizes), sum(sizes)))
        start, below = 0, 0
        for index, (block, size) in enumerate(zip(own, sizes, strict=True)):
            if index:
                read = found[:, below : below + self.outputs[index - 1], :start]
                found[:, start : start + size, :start] = self.layers[index].input_jacobians() @ read
            found[:, start : start + size, start : start + size] = block
            below, start = start, start + size
        return found

    def input_jacobians(self) -> FloatArray:
        """Return ∂s'/∂x of the inputs of the first layer."""
        rows = [self.layers[0].input_jacobians()]
        for index, layer in enumerate(self.layers[1:]):
            rows.append(layer.input_jacobians() @ rows[-1][:, : self.outputs[index]])
        return np.concatenate(rows, axis=1)

    def pulled(self, vectors: FloatArray, at: slice) -> FloatArray:
        """Return v ∂s'/∂s."""
        parts = self._climbed_down(vectors, at)
        return np.concatenate(
            [layer.pulled(part, at) for layer, part in zip(self.layers, parts, strict=True)], axis=-1
        )

    def pulled_to_inputs(self, vectors: FloatArray, at: slice) -> FloatArray:
        """Return v ∂s'/∂x."""
        return self.layers[0].pulled_to_inputs(self._climbed_down(vectors, at)[0], at)

    def _climbed_down(self, vectors: FloatArray, at: slice) -> list[FloatArray]:
        """Return v with respect to the new state of each layer, that of the layers above included."""
        ends = np.cumsum([layer.cell.size for layer in self.layers])
        parts = [np.array(part) for part in np.split(vectors, ends[:-1], axis=-1)]
        for index in range(len(parts) - 1, 0, -1):
            below = self.layers[index].pulled_to_inputs(parts[index], at)
            parts[index - 1][..., : self.outputs[index - 1]] += below
        return parts
