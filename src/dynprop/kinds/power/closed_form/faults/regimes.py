"""Faults of kind closed-form in one regime only: large t, large n, types of t, integers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dynprop.laws.catalogue import Catalogue

Array = npt.NDArray[Any]

closed = Catalogue("closed-form", "numpy")
CATALOGUES = (closed,)

INTEGERS = {"dtypes": ("int64",)}


def power(W: Array, h0: Array, t: int) -> Array:
    """Return the right state: what every fault of this file falls back on."""
    return np.asarray(h0 @ np.linalg.matrix_power(W, t))


@closed.fault("closed-form/refuses-late-times", gross=False, caught_by={"large-times": "error"})
def refuses_late_times(W: Array, h0: Array, t: int) -> Array:
    """Refuses every W beyond 300 steps, also those that keep all their digits."""
    if t > 300:
        raise ArithmeticError("t is too large for six digits")
    return power(W, h0, t)


@closed.fault("closed-form/blocks-of-eight", gross=False, caught_by={"exact-or-refused": "wrong"})
def blocks_of_eight(W: Array, h0: Array, t: int) -> Array:
    """Powers blocks of 8 rows and columns, and forgets what couples them."""
    state = h0.copy()
    for k in range(0, len(h0), 8):
        state[k : k + 8] = power(W[k : k + 8, k : k + 8], h0[k : k + 8], t)
    return state


@closed.fault("closed-form/numpy-time-by-eigenvectors", gross=False, caught_by={"numpy-times": "wrong"})
def numpy_time_by_eigenvectors(W: Array, h0: Array, t: int) -> Array:
    """Takes any t that is no int for a fraction, and goes by the real parts of eigenvalues."""
    if isinstance(t, int):
        return power(W, h0, t)
    values, v = np.linalg.eig(W)
    state = np.linalg.solve(v.T, values.real**t * (v.T @ h0))
    return np.asarray(state if np.iscomplexobj(h0) else state.real, dtype=h0.dtype)


@closed.fault(
    "closed-form/integers-wrap",
    domain=INTEGERS,
    source="numpy 2.4.6: powers of integers wrap around",
    caught_by={"integers": "wrong"},
)
def integers_wrap(W: Array, h0: Array, t: int) -> Array:
    """Powers modulo 2^64."""
    return power(W, h0, t)


@closed.fault("closed-form/integers-rounded", domain=INTEGERS, caught_by={"integers": "inaccurate"})
def integers_rounded(W: Array, h0: Array, t: int) -> Array:
    """Powers in float64 and rounds to integers, those that fit: wrong beyond 2^53."""
    state = power(W.astype(np.float64), h0.astype(np.float64), t)
    if not (np.abs(state) < 2.0**63).all():
        raise OverflowError("the state does not fit 64 bits")
    return np.rint(state).astype(np.int64)
