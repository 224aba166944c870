"""Faults of kind unroll in one regime only: large n, types of the number of steps, integers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dynprop.kinds.power.unroll.faults.numpy_faults import loop
from dynprop.laws.catalogue import Catalogue

Array = npt.NDArray[Any]

unroll = Catalogue("unroll", "numpy")
CATALOGUES = (unroll,)

INTEGERS = {"dtypes": ("int64",)}


@unroll.fault("unroll/tile-of-eight", gross=False, caught_by={"exact-states": "wrong"})
def tile_of_eight(W: Array, h0: Array, steps: int) -> Array:
    """Sums products over the first eight components."""
    states = loop(W, h0, steps)
    for k in range(steps):
        states[k + 1] = states[k][:8] @ W[:8]
    return states


@unroll.fault("unroll/numpy-steps-one-too-few", gross=False, caught_by={"numpy-steps": "wrong"})
def numpy_steps_one_too_few(W: Array, h0: Array, steps: int) -> Array:
    """Takes a number of steps that is no int for the number of states."""
    return loop(W, h0, steps) if isinstance(steps, int) else loop(W, h0, int(steps) - 1)


@unroll.fault(
    "unroll/integers-wrap",
    domain=INTEGERS,
    source="numpy 2.4.6: products of integers wrap around",
    caught_by={"integers": "wrong"},
)
def integers_wrap(W: Array, h0: Array, steps: int) -> Array:
    """Multiplies modulo 2^64."""
    return loop(W, h0, steps)


@unroll.fault("unroll/integers-in-single", domain=INTEGERS, caught_by={"integers": "wrong"})
def integers_in_single(W: Array, h0: Array, steps: int) -> Array:
    """Takes integers for float32, and returns it."""
    return loop(W.astype(np.float32), h0.astype(np.float32), steps)
