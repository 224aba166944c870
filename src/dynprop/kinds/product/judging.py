"""Comparison of products with exact arithmetic, and with other results of the subject."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from flint import arb, arb_mat

from dynprop.arrays import FloatArray
from dynprop.contracts.domain import Domain
from dynprop.kinds.product.bounds import ProductBound, bound_of
from dynprop.kinds.product.cases import ProductCase
from dynprop.kinds.product.subject import ProductSubject
from dynprop.laws.evidence import Alternatives, Comparison, within
from dynprop.laws.exact import Exact, working_precision

__all__ = ["agree", "axes_of", "exact_products", "judge", "run", "wrong_products"]


def run(subject: ProductSubject, case: ProductCase) -> FloatArray:
    """Return the subject's products on a case."""
    return subject.values(case.arguments, case.dtype)


def axes_of(case: ProductCase) -> tuple[str, ...]:
    """Return the names of the axes."""
    if case.matrix:
        return ("time", "row", "column")
    return ("time", *("series", "second", "third")[: case.weights.ndim - 1])


def exact_products(case: ProductCase) -> Exact:
    """Return every running product, in balls of 160 bits, as sums of two floats."""
    shape = case.weights.shape
    result = Exact.empty((shape[0], 1, int(np.prod(shape[1:]))))
    with working_precision():
        for t, products in enumerate(
            _exact_matrix_products(case) if case.matrix else _exact_scalar_products(case)
        ):
            for i, value in enumerate(products):
                result.put((t, 0, i), [value])  # type: ignore[arg-type]  # one number at a place
    return Exact(result.high.reshape(shape), result.low.reshape(shape))


def _exact_scalar_products(case: ProductCase) -> Iterator[list[arb]]:
    products: list[arb] = []
    for row in case.weights.reshape(case.steps, -1).tolist():
        factors = [arb(v) for v in row]
        products = [w * p for w, p in zip(factors, products, strict=True)] if products else factors
        yield products


def _exact_matrix_products(case: ProductCase) -> Iterator[list[arb]]:
    product: arb_mat | None = None
    for values in case.weights.tolist():
        factor = arb_mat(values)
        product = factor if product is None else factor * product
        yield product.entries()


def judge(case: ProductCase, value: FloatArray, domain: Domain, label: str = "products") -> Comparison:
    """Compare products with exact ones, within the bound of any order of evaluation."""
    return within(
        label,
        value,
        exact_products(case),
        bound_of(case, domain),
        dtype=case.dtype,
        axes=axes_of(case),
        alternatives=lambda: wrong_products(case),
    )


def agree(
    label: str,
    value: FloatArray,
    other: FloatArray,
    case: ProductCase,
    bound: ProductBound,
    alternatives: Alternatives = dict,
) -> Comparison:
    """Compare two results that should be the same products, within a bound on their distance."""
    return within(label, value, other, bound, dtype=case.dtype, axes=axes_of(case), alternatives=alternatives)


def wrong_products(case: ProductCase) -> dict[str, FloatArray]:
    """Return the products of implementations with a known mistake, by the name of the mistake."""
    w = case.weights
    with np.errstate(all="ignore"):
        if case.matrix:
            return {
                "order of the factors reversed (W_1 ... W_t)": _matrix_products(w.swapaxes(1, 2)).swapaxes(
                    1, 2
                ),
                "matrices transposed": _matrix_products(w.swapaxes(1, 2)),
                "elementwise products of matrices": _cumulative_products(w),
                "time runs backwards": _matrix_products(w[::-1])[::-1],
            }
        return {
            "time runs backwards": _cumulative_products(w[::-1])[::-1],
            "signs lost": _cumulative_products(np.abs(w)),
            "sums in place of products": np.asarray(np.cumsum(w, axis=0), dtype=np.float64),
            "the first weight at every step": _cumulative_products(np.broadcast_to(w[:1], w.shape)),
            "zeros left out": _cumulative_products(np.where(w == 0.0, 1.0, w)),
        }


def _cumulative_products(weights: FloatArray) -> FloatArray:
    return np.asarray(np.cumprod(weights, axis=0), dtype=np.float64)


def _matrix_products(weights: FloatArray) -> FloatArray:
    products = weights.copy()
    for t in range(1, len(products)):
        products[t] = weights[t] @ products[t - 1]
    return products
