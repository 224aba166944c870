r"""Working precisions of repeated squaring in ball arithmetic, step by step.

A product of two ball matrices of relative radius r has a relative radius up to
:math:`2r \max(|P||P|)/\max|P^2|`: each squaring loses a bit, and more where terms cancel. So an error made at
an early step is amplified by all later ones, and one made at the last step by none. Each step
therefore uses as many bits as later steps lose, which is half of the precision of the first step on average.

The losses are estimated by one run in float64, which propagates a matrix of radii,
:math:`R \mapsto |P| R + R |P|`, next to the scaled powers. The estimate chooses precisions only: every radius
is computed by ball arithmetic, and a result that is not accurate enough is computed again with more bits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.linear.arithmetic.scaled import normalised
from dynprop.linear.validation import Matrix

__all__ = ["Plan", "plan_of_power", "plan_of_states"]

# Bits beyond the estimate, for radii that grow faster than those of the estimate.
_MARGIN = 14
# Smallest accuracy to plan for: results are rounded to float64.
_LEAST = 50
# Largest loss of one step that float64 powers can show; beyond it they are noise.
_LARGEST_LOSS = 60.0


@dataclass(frozen=True)
class Plan:
    """The working precisions of a sequence of products.

    Attributes:
        losses: for each step, estimated bits lost between the accuracy of its product and that of the result.
    """

    losses: tuple[float, ...]

    def precisions(self, bits: int) -> list[int]:
        """Return the working precision of each step for a final accuracy of this many bits.

        Two requests lead to the same precisions or differ by 16 bits or more at every step, so that the radii
        of the results are equal or far apart.
        """
        wanted = 16 * -(-max(bits, _LEAST) // 16) + _MARGIN
        return [wanted + math.ceil(loss) for loss in self.losses]


def plan_of_power(W: Matrix, t: int) -> Plan:
    """Plan Wᵗ, t ≥ 1: squarings and products with W, by the binary digits of t from the second one down."""
    power = _Radii(normalised(W)[0])
    gains, roundings = [], []
    for digit in bin(t)[3:]:
        steps = [power.square] if digit == "0" else [power.square, power.times]
        for step in steps:
            gain, rounding = step()
            gains.append(gain)
            roundings.append(rounding)
    later = np.append(np.cumsum(gains[::-1])[::-1][1:], 0.0) if gains else np.empty(0)
    return Plan(tuple((later + np.array(roundings)).tolist()))


def plan_of_states(A: Matrix, columns: Matrix, times: Sequence[int]) -> Plan:
    """Plan Aᵗ h for several positive t and columns h: step k squares to A**(2**k), and multiplies by it.

    Step 0 multiplies by A itself.
    """
    power, bits = _Radii(normalised(A)[0]), max(times).bit_length()
    states = [normalised(columns)[0] for _ in times]
    gains, roundings, own = np.zeros(bits), np.zeros(bits), np.zeros((bits, len(times)))
    for k in range(bits):
        if k:
            gains[k], roundings[k] = power.square()
        for i, t in enumerate(times):
            if t >> k & 1:
                states[i], own[k, i] = power.applied(states[i])
    # An error of power k reaches the state by the product at step k, or by power k + 1.
    reached = np.cumsum(own[::-1], axis=0)[::-1]
    losses, later = np.zeros(bits), 0.0
    for k in range(bits - 1, -1, -1):
        used = np.array([t >> k & 1 for t in times], dtype=bool)
        direct = float(reached[k, used].max(initial=0.0))
        losses[k] = max(direct, later)
        later = losses[k] + gains[k]
    return Plan(tuple((losses + roundings).tolist()))


class _Radii:
    """A power of a matrix in float64, largest entry near 1, with radii of largest entry 1."""

    def __init__(self, matrix: Matrix) -> None:
        self.matrix, self.step = matrix, matrix
        self.size = _box(matrix)
        self.radii: FloatArray = self.size / max(float(self.size.max(initial=0.0)), 5e-324)

    def square(self) -> tuple[float, float]:
        """Square the power; return the bits that its relative radius and that its rounding lose."""
        return self._replaced(self.matrix @ self.matrix, self.size, self.size @ self.radii)

    def times(self) -> tuple[float, float]:
        """Multiply the power by the matrix."""
        return self._replaced(self.matrix @ self.step, _box(self.step), 0.0)

    def applied(self, columns: Matrix) -> tuple[Matrix, float]:
        """Multiply columns by the power; return the product and the bits lost, of the worst column."""
        product, sizes = self.matrix @ columns, _box(columns)
        spread = (self.size + self.radii) @ sizes
        largest = np.abs(product).max(axis=0, initial=0.0)
        # Of radii relative to the largest entry of each column; columns of zeros are not counted.
        before = self.size.sum(axis=1).max(initial=0.0) * sizes.max(axis=0, initial=0.0)
        known = largest > 0.0
        after = np.maximum(spread.max(axis=0, initial=0.0), before)
        loss = float(np.log2(after[known] / largest[known]).max(initial=0.0))
        return normalised(product)[0], min(loss, _LARGEST_LOSS)

    def _replaced(self, product: Matrix, factor: FloatArray, more: FloatArray | float) -> tuple[float, float]:
        largest, before = float(np.abs(product).max(initial=0.0)), float(self.size.max(initial=0.0))
        rounding = _bits(float((self.size @ factor).max(initial=0.0)), largest)
        radii = self.radii @ factor + more
        radius = float(radii.max(initial=0.0))
        loss = _bits(radius * before, largest)
        self.matrix = normalised(product)[0]
        self.size, self.radii = _box(self.matrix), radii / max(radius, 5e-324)
        return loss, rounding


def _box(x: Matrix) -> FloatArray:
    """Return the moduli; for complex entries |Re| + |Im|, since Arb keeps a radius for each part."""
    return np.asarray(np.abs(x.real) + np.abs(x.imag) if np.iscomplexobj(x) else np.abs(x))


def _bits(radius: float, size: float) -> float:
    return min(max(math.log2(radius / size), 0.0), _LARGEST_LOSS) if radius > 0.0 and size > 0.0 else 0.0
