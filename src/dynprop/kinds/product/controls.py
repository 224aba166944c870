"""Controls of kind product: correct implementations without shared code."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynprop.laws.catalogue import Catalogue

Array = NDArray[Any]

numpy_products: Catalogue = Catalogue("product", "numpy")
torch_products: Catalogue = Catalogue("product", "torch")
CATALOGUES = (numpy_products, torch_products)

MATRIX = {"matrix": True}


numpy_products.add_control("control/numpy-cumprod", "numpy.cumprod.", functools.partial(np.cumprod, axis=0))
torch_products.add_control("control/torch-cumprod", "torch.cumprod.", functools.partial(torch.cumprod, dim=0))


@numpy_products.control("control/product-by-doubling")
def by_doubling(weights: Array) -> Array:
    """Hillis and Steele's scan: each pass multiplies with the product of twice as many weights before."""
    products, reach = weights.copy(), 1
    while reach < len(products):
        products[reach:] = products[reach:] * products[:-reach].copy()
        reach *= 2
    return products


@numpy_products.control("control/product-from-the-end")
def from_the_end(weights: Array) -> Array:
    """Forms every product on its own, the last factor first."""
    rows = [np.prod(weights[t::-1], axis=0) for t in range(len(weights))]
    return np.array(rows, dtype=weights.dtype).reshape(weights.shape)


@numpy_products.control("control/product-of-logarithms", domain={"arithmetic": "log"})
def of_logarithms(weights: Array) -> Array:
    """Adds logarithms and multiplies signs, and says so."""
    logs = np.cumsum(np.log(np.abs(weights)), axis=0)
    return np.asarray(np.exp(logs) * np.cumprod(np.sign(weights), axis=0), weights.dtype)


@numpy_products.control("control/matrix-products", domain=MATRIX)
def matrix_products(weights: Array) -> Array:
    """Multiplies from the left, one step after the other."""
    products = weights.copy()
    for t in range(1, len(products)):
        products[t] = weights[t] @ products[t - 1]
    return products


@numpy_products.control("control/matrix-products-by-doubling", domain=MATRIX)
def matrix_products_by_doubling(weights: Array) -> Array:
    """Multiplies blocks of twice the length at every pass."""
    products, reach = weights.copy(), 1
    while reach < len(products):
        products[reach:] = np.einsum("tij,tjk->tik", products[reach:], products[:-reach].copy())
        reach *= 2
    return products


@torch_products.control("control/matrix-products-in-torch", domain=MATRIX)
def matrix_products_in_torch(weights: Tensor) -> Tensor:
    """Multiplies from the left, in torch."""
    rows = [weights[:0]]
    for t in range(weights.shape[0]):
        rows.append((weights[t] @ rows[-1][0] if t else weights[t])[None])
    return torch.cat(rows)


class _Omitted(torch.autograd.Function):
    """The products with a backward pass written by hand, which divides by nothing."""

    @staticmethod
    def forward(ctx: Any, weights: Tensor) -> Tensor:
        ctx.save_for_backward(weights)
        return torch.cumprod(weights, 0)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> Any:
        (weights,) = ctx.saved_tensors
        before = torch.cat([torch.ones_like(weights[:1]), torch.cumprod(weights, 0)[:-1]])
        rows = [upstream[0][-1]]
        for t in range(len(weights) - 2, -1, -1):
            rows.append(upstream[0][t] + weights[t + 1] * rows[-1])
        return before * torch.stack(rows[::-1])


@torch_products.control("control/product-with-its-own-backward")
def with_its_own_backward(weights: Tensor) -> Tensor:
    """An autograd.Function whose backward pass multiplies prefixes and suffixes."""
    if not weights.numel():
        return weights * 1
    products: Tensor = _Omitted.apply(weights)  # type: ignore[no-untyped-call]
    return products


@torch_products.control("control/product-of-halves-in-torch")
def of_halves_in_torch(weights: Tensor) -> Tensor:
    """Products of both halves by recursion, the second multiplied by the last of the first; by autograd."""
    if len(weights) < 2:
        return weights * 1
    middle = len(weights) // 2
    head, tail = of_halves_in_torch(weights[:middle]), of_halves_in_torch(weights[middle:])
    return torch.cat([head, head[-1] * tail])


INTEGERS = {"dtypes": ("int64",)}


@numpy_products.control("control/product-of-python-integers", domain=INTEGERS)
def of_python_integers(weights: Array) -> Array:
    """Multiplies integers of Python, and refuses what does not fit 64 bits by an OverflowError."""
    return np.multiply.accumulate(weights.astype(object), axis=0).astype(np.int64)


@numpy_products.control("control/product-of-integers-in-double", domain=INTEGERS)
def of_integers_in_double(weights: Array) -> Array:
    """Multiplies integers in float64, and returns float64."""
    return np.cumprod(weights.astype(np.float64), axis=0)


@numpy_products.control(
    "control/matrix-products-of-python-integers", domain={"matrix": True, "dtypes": ("float64", "int64")}
)
def matrix_products_of_python_integers(weights: Array) -> Array:
    """Multiplies matrices of any numbers, integers as those of Python."""
    whole = np.issubdtype(weights.dtype, np.integer)
    products = matrix_products(weights.astype(object) if whole else weights)
    return products.astype(weights.dtype)
