"""Faults of kind product: running products that are wrong in one way."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynprop.kinds.product.controls import matrix_products
from dynprop.laws.catalogue import Catalogue

Array = NDArray[Any]

scalar: Catalogue = Catalogue("product", "numpy")
matrix: Catalogue = Catalogue("product", "numpy")
tensors: Catalogue = Catalogue("product", "torch")
CATALOGUES = (scalar, matrix, tensors)

LOG = {"arithmetic": "log"}
MATRIX = {"matrix": True}


@scalar.fault("product/flushes-what-is-small", caught_by={"exact": "wrong", "powers-of-two": "wrong"})
def flushes_what_is_small(weights: Array) -> Array:
    """Sets products below 1e-12 to zero, where every one of their digits is known."""
    products = np.cumprod(weights, axis=0)
    products[np.abs(products) < 1e-12] = 0.0
    return products


@scalar.fault("product/single-precision-inside", caught_by={"lengths": "inaccurate", "exact": "wrong"})
def single_precision_inside(weights: Array) -> Array:
    """Multiplies in float32 and returns the format that it was given."""
    with np.errstate(all="ignore"):
        return np.cumprod(weights, axis=0, dtype=np.float32).astype(weights.dtype)


@scalar.fault("product/exclusive", caught_by={"exact": "wrong"})
def exclusive(weights: Array) -> Array:
    """Returns the product of the weights before, 1 at first."""
    return np.cumprod(np.concatenate([np.ones_like(weights[:1]), weights])[:-1], axis=0)


@scalar.fault("product/logarithms-without-sign", domain=LOG, caught_by={"exact": "wrong"})
def logarithms_without_sign(weights: Array) -> Array:
    """Adds logarithms of absolute values and forgets the signs."""
    return np.asarray(np.exp(np.cumsum(np.log(np.abs(weights)), axis=0)))


@scalar.fault("product/logarithms-without-zero", domain=LOG, caught_by={"exact": "wrong"})
def logarithms_without_zero(weights: Array) -> Array:
    """Adds 1e-12 before the logarithm, so that a zero does not stay one."""
    logs = np.cumsum(np.log(np.abs(weights) + 1e-12), axis=0)
    return np.asarray(np.exp(logs) * np.cumprod(np.where(weights < 0.0, -1.0, 1.0), axis=0), weights.dtype)


@scalar.fault("product/logarithms-undeclared", gross=False, caught_by={"exact": "inaccurate"})
def logarithms_undeclared(weights: Array) -> Array:
    """Adds logarithms, with signs and zeros, and does not say so: right, with fewer digits."""
    logs = np.cumsum(np.log(np.abs(weights)), axis=0)
    return np.asarray(np.exp(logs) * np.cumprod(np.sign(weights), axis=0), weights.dtype)


@scalar.fault("product/one-weight-shared", caught_by={"exact": "wrong", "time-reversal": "wrong"})
def one_weight_shared(weights: Array) -> Array:
    """Takes the powers of the first weight: shared, where a fresh one is given at every step."""
    steps = np.arange(1, len(weights) + 1).reshape(-1, *[1] * (weights.ndim - 1))
    return np.asarray(weights[:1] ** steps, dtype=weights.dtype)


@scalar.fault("product/in-place", caught_by={"inputs-unchanged": "wrong"})
def in_place(weights: Array) -> Array:
    """Accumulates in the caller's array."""
    if weights.flags.writeable:
        return np.multiply.accumulate(weights, axis=0, out=weights)
    return np.cumprod(weights, axis=0)


@scalar.fault("product/across-series", gross=False, caught_by={"series-alone": "wrong"})
def across_series(weights: Array) -> Array:
    """Runs along the memory of the array: series leak into one another."""
    return np.cumprod(weights.reshape(-1)).reshape(weights.shape)


@scalar.fault(
    "product/carry-lost-between-blocks", gross=False, caught_by={"lengths": "wrong", "split-resume": "wrong"}
)
def carry_lost_between_blocks(weights: Array) -> Array:
    """Multiplies in blocks of 16 and starts each from 1."""
    blocks = [np.cumprod(weights[k : k + 16], axis=0) for k in range(0, len(weights), 16)]
    return np.concatenate([weights[:0], *blocks])


@scalar.fault("product/zeros-left-out", caught_by={"exact": "wrong"})
def zeros_left_out(weights: Array) -> Array:
    """Skips weights that are zero, as if they were missing."""
    return np.cumprod(np.where(weights == 0.0, np.ones_like(weights), weights), axis=0)


@scalar.fault("product/clipped-at-one", gross=False, caught_by={"exact": "wrong"})
def clipped_at_one(weights: Array) -> Array:
    """Keeps products from growing beyond 1e3."""
    return np.clip(np.cumprod(weights, axis=0), -1e3, 1e3).astype(weights.dtype)


@scalar.fault("product/double-returned", caught_by={"shape-and-dtype": "wrong"})
def double_returned(weights: Array) -> Array:
    """Accumulates in float64 and forgets to come back."""
    return np.cumprod(weights, axis=0, dtype=np.float64)


@scalar.fault("product/memory-order", caught_by={"memory-layout": "wrong"})
def memory_order(weights: Array) -> Array:
    """Runs through memory as if it were in C order."""
    flat = weights.ravel(order="K").reshape(weights.shape)
    return np.cumprod(flat, axis=0)


@scalar.fault("product/buffer-kept", fresh=True, caught_by={"repeatable": "wrong"})
class BufferKept:
    """Returns the same buffer at every call."""

    def __init__(self) -> None:
        self._buffer: Array = np.empty(0)

    def __call__(self, weights: Array) -> Array:
        """Accumulate in the buffer."""
        if self._buffer.shape != weights.shape or self._buffer.dtype != weights.dtype:
            self._buffer = np.empty_like(weights)
        return np.multiply.accumulate(weights, axis=0, out=self._buffer)


@matrix.fault("product/order-reversed", domain=MATRIX, caught_by={"exact": "wrong"})
def order_reversed(weights: Array) -> Array:
    """Multiplies from the other side: W_1 ... W_t."""
    products = weights.copy()
    for t in range(1, len(products)):
        products[t] = products[t - 1] @ weights[t]
    return products


@matrix.fault(
    "product/matrices-transposed",
    domain=MATRIX,
    caught_by={"first-entry": "wrong", "exact-on-integers": "wrong"},
)
def matrices_transposed(weights: Array) -> Array:
    """Takes rows for columns."""
    return matrix_products(np.ascontiguousarray(weights.swapaxes(1, 2)))


@matrix.fault("product/entry-by-entry", domain=MATRIX, caught_by={"exact": "wrong"})
def entry_by_entry(weights: Array) -> Array:
    """Multiplies matrices entry by entry."""
    return np.cumprod(weights, axis=0)


@matrix.fault("product/renormalised", domain=MATRIX, caught_by={"exact": "wrong"})
def renormalised(weights: Array) -> Array:
    """Keeps the norm of the product at 1, as a computation of exponents does, and forgets the scale."""
    products = weights.copy()
    for t in range(1, len(products)):
        product = weights[t] @ products[t - 1]
        products[t] = product / max(float(np.linalg.norm(product)), 1e-30)
    return products


@matrix.fault("product/matrices-in-single-precision", domain=MATRIX, caught_by={"exact": "inaccurate"})
def matrices_in_single_precision(weights: Array) -> Array:
    """Multiplies matrices in float32."""
    return matrix_products(weights.astype(np.float32)).astype(weights.dtype)


@tensors.fault("product/in-place-in-torch", caught_by={"inputs-unchanged": "wrong"})
def in_place_in_torch(weights: Tensor) -> Tensor:
    """Calls the method that ends in an underscore."""
    return weights.cumprod_(dim=0)


@tensors.fault("product/half-precision-inside", caught_by={"exact": "wrong"})
def half_precision_inside(weights: Tensor) -> Tensor:
    """Multiplies in bfloat16, as under autocast."""
    return torch.cumprod(weights.to(torch.bfloat16), dim=0).to(weights.dtype)
