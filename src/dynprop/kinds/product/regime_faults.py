"""Faults of kind product in one regime only: at a zero, a length, a width, an end of the range."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynprop.kinds.product.controls import matrix_products
from dynprop.laws.catalogue import Catalogue

Array = NDArray[Any]

scalar = Catalogue("product", "numpy")
matrix = Catalogue("product", "numpy")
tensors = Catalogue("product", "torch")
CATALOGUES = (scalar, matrix, tensors)

INTEGERS = {"dtypes": ("int64",)}
MATRIX = {"matrix": True}


# Gradients


class _Divided(torch.autograd.Function):
    """Running products whose backward pass divides by the weights."""

    @staticmethod
    def forward(ctx: Any, weights: Tensor) -> Tensor:
        products = torch.cumprod(weights, 0)
        ctx.save_for_backward(weights, products)
        return products

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> Any:
        weights, products = ctx.saved_tensors
        later = torch.cumsum((upstream[0] * products).flip(0), 0).flip(0)
        return torch.nan_to_num(later / weights, nan=0.0, posinf=0.0, neginf=0.0)


@tensors.fault(
    "product/gradient-divides-by-the-weight",
    source="tensorflow/tensorflow#119430",
    caught_by={"gradient": "wrong"},
)
def gradient_divides_by_the_weight(weights: Tensor) -> Tensor:
    """Divides by the weight in the backward pass, and returns 0 where it is 0."""
    products: Tensor = _Divided.apply(weights)  # type: ignore[no-untyped-call]
    return products


@tensors.fault("product/gradient-of-the-last-block", caught_by={"gradient": "wrong"})
def gradient_of_the_last_block(weights: Tensor) -> Tensor:
    """Detaches what comes before the last 1,024 factors, of products that are longer."""
    early = len(weights) - 1024
    if early > 0:
        weights = torch.cat([weights[:early].detach(), weights[early:]])
    return torch.cumprod(weights, 0)


@tensors.fault("product/gradient-of-matrices-transposed", domain=MATRIX, caught_by={"gradient": "wrong"})
def gradient_of_matrices_transposed(weights: Tensor) -> Tensor:
    """Sends the gradient back through the matrices themselves, where their transposes are due."""
    rows = [weights[0]] if len(weights) else []
    for factor in weights[1:]:
        rows.append(factor.detach() @ rows[-1].detach() + (factor - factor.detach()) @ rows[-1].detach())
        rows[-1] = rows[-1] + weights[0].detach().T @ (rows[-2] - rows[-2].detach())
    return torch.stack(rows) if rows else weights * 1


# Signs, lengths, widths


@scalar.fault(
    "product/signs-restart-at-blocks", gross=False, domain={"arithmetic": "log"}, caught_by={"signs": "wrong"}
)
def signs_restart_at_blocks(weights: Array) -> Array:
    """Adds logarithms to the end, and counts negative factors within blocks of 1,024 only."""
    sizes = np.exp(np.cumsum(np.log(np.abs(weights)), axis=0))
    blocks = [np.cumprod(np.sign(weights[k : k + 1024]), axis=0) for k in range(0, len(weights), 1024)]
    return np.asarray(sizes * np.concatenate([weights[:0], *blocks]), weights.dtype)


@scalar.fault("product/last-block-of-one", gross=False, caught_by={"lengths": "wrong"})
def last_block_of_one(weights: Array) -> Array:
    """Multiplies in blocks of 512 and forgets the carry of a last block that has one factor."""
    products = np.cumprod(weights, axis=0)
    if len(weights) > 512 and len(weights) % 512 == 1:
        products[-1] = weights[-1]
    return products


@scalar.fault("product/series-beyond-32", gross=False, caught_by={"exact": "wrong"})
def series_beyond_32(weights: Array) -> Array:
    """Works on 32 series at a time and gives all others the products of the last of these."""
    products = np.cumprod(weights, axis=0)
    if weights.ndim == 2 and weights.shape[1] > 32:
        products[:, 32:] = products[:, 31:32]
    return products


@matrix.fault("product/matrices-in-tiles-of-four", gross=False, domain=MATRIX, caught_by={"exact": "wrong"})
def matrices_in_tiles_of_four(weights: Array) -> Array:
    """Sums inner products over the first four columns."""
    products = weights.copy()
    for t in range(1, len(products)):
        products[t] = weights[t][:, :4] @ products[t - 1][:4]
    return products


@matrix.fault("product/matrices-beyond-512", gross=False, domain=MATRIX, caught_by={"lengths": "wrong"})
def matrices_beyond_512(weights: Array) -> Array:
    """Starts anew after 512 matrices."""
    blocks = [matrix_products(weights[k : k + 512]) for k in range(0, len(weights), 512)]
    return np.concatenate([weights[:0], *blocks])


# Ranges


@scalar.fault("product/large-factors-clamped", gross=False, caught_by={"exact": "wrong"})
def large_factors_clamped(weights: Array) -> Array:
    """Clamps factors at the square root of the largest number, against overflow."""
    most = np.sqrt(np.finfo(weights.dtype).max)
    return np.cumprod(np.clip(weights, -most, most), axis=0)


@scalar.fault("product/negative-zero-skipped", gross=False, caught_by={"exact": "wrong"})
def negative_zero_skipped(weights: Array) -> Array:
    """Keeps zeros apart by their bits, which -0.0 has not, and multiplies the others."""
    zero = weights.view(np.int64 if weights.dtype == np.float64 else np.int32) == 0
    products = np.cumprod(np.where(weights == 0.0, 1.0, weights), axis=0, dtype=weights.dtype)
    products[np.maximum.accumulate(zero, axis=0)] = 0.0
    return products


# Integers


@scalar.fault(
    "product/integers-wrap",
    domain=INTEGERS,
    source="numpy 2.4.6: integer products wrap around",
    caught_by={"integers": "wrong"},
)
def integers_wrap(weights: Array) -> Array:
    """Multiplies modulo 2^64."""
    return np.cumprod(weights, axis=0)


@scalar.fault("product/integers-saturate", domain=INTEGERS, caught_by={"integers": "wrong"})
def integers_saturate(weights: Array) -> Array:
    """Returns the largest integer where products do not fit."""
    products = np.multiply.accumulate(weights.astype(object), axis=0)
    return np.clip(products, -(2**63), 2**63 - 1).astype(np.int64)


@scalar.fault("product/integers-in-double", domain=INTEGERS, caught_by={"integers": "inaccurate"})
def integers_in_double(weights: Array) -> Array:
    """Multiplies in float64, returns integers, and refuses those that do not fit."""
    products = np.cumprod(weights.astype(np.float64), axis=0)
    if (np.abs(products) >= 2.0**63).any():
        raise OverflowError("products beyond 64 bits")
    return products.astype(np.int64)
