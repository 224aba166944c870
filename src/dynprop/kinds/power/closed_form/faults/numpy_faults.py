"""Faults of kind closed-form in numpy that use products: h_t = h0 @ W^t."""

from __future__ import annotations

from math import factorial
from typing import Any

import numpy as np
import numpy.typing as npt

from dynprop.laws.catalogue import Catalogue

Array = npt.NDArray[Any]

closed: Catalogue = Catalogue("closed-form", "numpy")
CATALOGUES = (closed,)


def power(W: Array, h0: Array, t: int) -> Array:
    """Return the right state: what every fault of this file falls back on."""
    return np.asarray(h0 @ np.linalg.matrix_power(W, t))


# Which product


@closed.fault("closed-form/untransposed", caught_by={"exact-or-refused": "wrong"})
def untransposed(W: Array, h0: Array, t: int) -> Array:
    """Multiplies by W^t where the recurrence has its transpose."""
    return power(W.T, h0, t)


@closed.fault("closed-form/conjugated", caught_by={"exact-or-refused": "wrong"})
def conjugated(W: Array, h0: Array, t: int) -> Array:
    """Takes the conjugate transpose of a complex W."""
    return power(W.conj(), h0, t)


@closed.fault("closed-form/imaginary-part-dropped", caught_by={"exact-or-refused": "wrong"})
def imaginary_part_dropped(W: Array, h0: Array, t: int) -> Array:
    """Returns the real part whatever W is."""
    return np.asarray(power(W, h0, t).real, dtype=h0.dtype)


# Which power


@closed.fault("closed-form/off-by-one-beyond-30", gross=False, caught_by={"large-times": "wrong"})
def off_by_one_beyond_30(W: Array, h0: Array, t: int) -> Array:
    """Takes one step too few once t is above 30."""
    return power(W, h0, t - 1 if t > 30 else t)


@closed.fault("closed-form/high-bits-lost", gross=False, caught_by={"large-times": "wrong"})
def high_bits_lost(W: Array, h0: Array, t: int) -> Array:
    """Keeps t in eight bits."""
    return power(W, h0, t & 255)


@closed.fault("closed-form/bits-in-the-wrong-order", caught_by={"semigroup": "wrong"})
def bits_in_the_wrong_order(W: Array, h0: Array, t: int) -> Array:
    """Reads the bits of t from the lowest, in a squaring that wants the highest first."""
    product = np.eye(len(h0), dtype=W.dtype)
    for bit in reversed(bin(t)[2:]):
        product = product @ product
        if bit == "1":
            product = product @ W
    return np.asarray(h0 @ product)


@closed.fault("closed-form/one-step-at-zero", gross=False, caught_by={"time-zero": "wrong"})
def one_step_at_zero(W: Array, h0: Array, t: int) -> Array:
    """Takes a step before it looks whether one is asked for."""
    return power(W, h0, max(t, 1))


@closed.fault("closed-form/jordan-powers-for-binomials", gross=False, caught_by={"exact-or-refused": "wrong"})
def jordan_powers_for_binomials(W: Array, h0: Array, t: int) -> Array:
    """Powers a single Jordan block with t^k / k! where the binomials of t over k stand."""
    n, value = len(h0), W[0, 0]
    step = W[0, 1] if n > 1 else W[0, 0]
    if not np.array_equal(W, value * np.eye(n, dtype=W.dtype) + step * np.eye(n, k=1, dtype=W.dtype)):
        return power(W, h0, t)
    block_power = np.zeros_like(W)
    for k in range(min(n, t + 1)):
        band = value ** (t - k) * step**k * (t**k / factorial(k))  # comb(t, k) is right
        block_power += np.asarray(band * np.eye(n, k=k), dtype=W.dtype)
    return np.asarray(h0 @ block_power, dtype=h0.dtype)


# Numbers


@closed.fault("closed-form/single-precision", caught_by={"symmetric": "inaccurate"})
def single_precision(W: Array, h0: Array, t: int) -> Array:
    """Computes in float32 whatever precision is given."""
    kind = np.complex64 if np.iscomplexobj(h0) else np.float32
    return power(W.astype(kind), h0.astype(kind), t).astype(h0.dtype)


@closed.fault("closed-form/small-values-flushed", gross=False, caught_by={"exact-or-refused": "wrong"})
def small_values_flushed(W: Array, h0: Array, t: int) -> Array:
    """Sets components below 1e-10 to zero."""
    state = power(W, h0, t)
    return np.asarray(np.where(np.abs(state) < 1e-10, 0, state), dtype=h0.dtype)


@closed.fault("closed-form/small-weights-cut", gross=False, caught_by={"exact-or-refused": "wrong"})
def small_weights_cut(W: Array, h0: Array, t: int) -> Array:
    """Sets small entries of the power to zero, as sparse formats do."""
    matrix_power = np.linalg.matrix_power(W, t)
    sparse = np.where(np.abs(matrix_power) < 1e-5 * np.abs(matrix_power).max(), 0, matrix_power)
    return np.asarray(h0 @ sparse, dtype=h0.dtype)


@closed.fault("closed-form/renormalised-when-large", caught_by={"superposition": "wrong", "norms": "wrong"})
def renormalised_when_large(W: Array, h0: Array, t: int) -> Array:
    """Divides the state by its length once that exceeds 100, and forgets the factor."""
    state = h0
    for _ in range(t):
        state = state @ W
        size = np.linalg.norm(state)
        if size > 100.0:
            state = (state / size).astype(h0.dtype)
    return state.copy()


@closed.fault("closed-form/double-returned", caught_by={"shape-and-dtype": "wrong"})
def double_returned(W: Array, h0: Array, t: int) -> Array:
    """Returns float64 for float32 arguments."""
    return np.asarray(power(W, h0, t) + np.zeros(1))


# Side effects


@closed.fault("closed-form/squared-in-place", caught_by={"inputs-unchanged": "wrong"})
def squared_in_place(W: Array, h0: Array, t: int) -> Array:
    """Squares the caller's W in place."""
    state = h0.copy()
    while t:
        if t & 1:
            state = state @ W
        W[:] = W @ W  # should be a copy
        t >>= 1
    return state


@closed.fault("closed-form/memory-order", gross=False, caught_by={"memory-layout": "wrong"})
def memory_order(W: Array, h0: Array, t: int) -> Array:
    """Reads W in the order of its memory: wrong for a transposed view only."""
    return power(W.ravel(order="K").reshape(W.shape), h0, t)


@closed.fault("closed-form/result-buffer-shared", gross=False, fresh=True, caught_by={"repeatable": "wrong"})
class ResultBufferShared:
    """Returns the same buffer at every call of one size: the next call overwrites the result."""

    def __init__(self) -> None:
        self.buffers: dict[tuple[Any, ...], Array] = {}

    def __call__(self, W: Array, h0: Array, t: int) -> Array:
        """Power into the buffer of this size and dtype."""
        buffer = self.buffers.setdefault((len(h0), h0.dtype), np.empty_like(h0))
        buffer[:] = power(W, h0, t)
        return buffer  # should be a copy


@closed.fault("closed-form/power-kept-by-size", fresh=True, caught_by={"exact-or-refused": "wrong"})
class PowerKeptBySize:
    """Keeps the power of a matrix under its size and t, and uses it for the next matrix of that size."""

    def __init__(self) -> None:
        self.powers: dict[tuple[Any, ...], Array] = {}

    def __call__(self, W: Array, h0: Array, t: int) -> Array:
        """Look the power up; the key lacks the matrix."""
        matrix_power = self.powers.setdefault((len(h0), t, W.dtype), np.linalg.matrix_power(W, t))
        return np.asarray(h0 @ matrix_power)
