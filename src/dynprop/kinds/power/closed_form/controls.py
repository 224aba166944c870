"""Controls of kind closed-form: correct implementations, or ones that refuse, without shared code."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dynprop.laws.catalogue import Catalogue

Array = npt.NDArray[Any]

numpy_closed: Catalogue = Catalogue("closed-form", "numpy")
torch_closed: Catalogue = Catalogue("closed-form", "torch")
CATALOGUES = (numpy_closed, torch_closed)


@numpy_closed.control("control/power-loop")
def power_loop(W: Array, h0: Array, t: int) -> Array:
    """One step after the other: no closed form at all, and right."""
    state = h0.copy()
    for _ in range(t):
        state = np.einsum("ij,i->j", W, state)
    return state


@numpy_closed.control("control/power-numpy")
def power_numpy(W: Array, h0: Array, t: int) -> Array:
    """numpy.linalg.matrix_power, transposed."""
    return np.asarray(np.linalg.matrix_power(W, t).T @ h0)


@numpy_closed.control("control/power-squaring")
def power_squaring(W: Array, h0: Array, t: int) -> Array:
    """Repeated squaring, the vector updated at every bit; squares once more than it needs."""
    state, square = h0.copy(), W.copy()
    while t:
        if t & 1:
            state = state @ square
        square = square @ square
        t >>= 1
    return state


@numpy_closed.control("control/power-scipy")
def power_scipy(W: Array, h0: Array, t: int) -> Array:
    """scipy.linalg.fractional_matrix_power, which takes whole powers by squaring."""
    from scipy.linalg import fractional_matrix_power

    return np.asarray(fractional_matrix_power(W, t).T @ h0, dtype=h0.dtype)


def _unit(values: Array) -> float:
    return float(np.finfo(values.dtype).eps) / 2.0


def _require_digits(error: float, state: Array) -> Array:
    """Return the state, or refuse it where its error may exceed a millionth of its length."""
    if not error <= 1e-7 * float(np.linalg.norm(state)):
        raise ArithmeticError(f"the error may be {error:.1g}, of a state of {np.linalg.norm(state):.1g}")
    return state


@numpy_closed.control("control/power-guarded-symmetric")
def power_guarded_symmetric(W: Array, h0: Array, t: int) -> Array:
    """Q L^t Q^T for symmetric and Hermitian W, refused where digits are lost; products for any other."""
    if not np.array_equal(W, W.conj().T):
        return np.array(reduce(np.dot, [W] * t, h0))
    values, q = np.linalg.eigh(W)
    state = q.conj() @ (values**t * (q.T @ h0))
    size = float(np.abs(values).max()) ** t * float(np.linalg.norm(h0))
    return _require_digits(8.0 * len(h0) * (t + 1) * _unit(h0.real) * size, state)


@numpy_closed.control("control/power-guarded-eigen")
def power_guarded_eigen(W: Array, h0: Array, t: int) -> Array:
    """V^-T L^t V^T, refused where the condition of V says that six digits may be lost."""
    values, v = np.linalg.eig(W)
    condition = np.linalg.cond(v)
    if not condition < 1e8:
        raise ValueError(f"the eigenvectors have condition {condition:.1g}")
    state = np.linalg.solve(v.T, values**t * (v.T @ h0))
    radius, size = float(np.abs(values).max()), float(np.linalg.norm(W, 2))
    growth = max(radius**t, size * radius ** max(t - 1, 0))
    error = 8.0 * len(h0) * (t + 1) * _unit(h0.real) * condition**2 * growth * float(np.linalg.norm(h0))
    result = state if np.iscomplexobj(h0) else state.real
    return _require_digits(error, np.asarray(result, dtype=h0.dtype))


@numpy_closed.control("control/power-guarded-schur")
def power_guarded_schur(W: Array, h0: Array, t: int) -> Array:
    """conj(Z) (T^t)^T Z^T from the Schur form, refused where powers on the way are too large."""
    from scipy.linalg import schur

    if not np.isfinite(W).all():
        raise ValueError("W is not finite")
    form, z = schur(W, output="complex" if np.iscomplexobj(W) else "real")
    inside, powers = z.T @ h0, [1.0]
    power = np.eye(len(h0), dtype=W.dtype)
    for _ in range(t):
        power = power @ form
        inside = form.T @ inside
        powers.append(float(np.linalg.norm(power)))
    state = z.conj() @ inside
    norms = np.array(powers)
    growth = float(np.linalg.norm(W)) * float(norms[:t] @ norms[:t][::-1]) + norms[t]
    error = 8.0 * len(h0) * _unit(h0.real) * growth * float(np.linalg.norm(h0))
    return _require_digits(error, np.asarray(state, dtype=h0.dtype))


@torch_closed.control("control/power-torch")
def power_torch(W: Tensor, h0: Tensor, t: int) -> Tensor:
    """torch.linalg.matrix_power."""
    power: Tensor = torch.linalg.matrix_power(W, t)
    return h0 @ power


@torch_closed.control("control/power-torch-loop")
def power_torch_loop(W: Tensor, h0: Tensor, t: int) -> Tensor:
    """One step after the other under autograd."""
    state = h0 * 1
    for _ in range(t):
        state = (W * state[:, None]).sum(0)
    return state


@torch_closed.control("control/power-torch-halves")
def power_torch_halves(W: Tensor, h0: Tensor, t: int) -> Tensor:
    """Halves of the exponent by recursion on the vector."""

    def power(exponent: int) -> Tensor:
        if exponent == 1:
            return W
        half = power(exponent // 2)
        square = half @ half
        return square @ W if exponent % 2 else square

    return h0 @ power(t) if t else h0.clone()


INTEGERS = {"dtypes": ("int64",)}


@numpy_closed.control("control/power-of-python-integers", domain={"dtypes": ("float64", "int64")})
def power_of_python_integers(W: Array, h0: Array, t: int) -> Array:
    """Repeated squaring with integers of Python, refused by an OverflowError where 64 bits are too few."""
    if not np.issubdtype(W.dtype, np.integer):
        return power_squaring(W, h0, t)
    state = power_squaring(W.astype(object), h0.astype(object), int(t))
    return state.astype(np.int64)


@numpy_closed.control("control/power-of-integers-in-double", domain=INTEGERS)
def power_of_integers_in_double(W: Array, h0: Array, t: int) -> Array:
    """Powers of integers in float64, returned as float64."""
    return power_numpy(W.astype(np.float64), h0.astype(np.float64), t)
