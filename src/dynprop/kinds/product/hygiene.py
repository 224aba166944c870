"""Laws of array functions for a running product: shapes, layouts, unchanged arguments, repeated calls."""

from __future__ import annotations

from functools import partial

from dynprop.arrays import FloatArray
from dynprop.kinds.product.bounds import bound_of
from dynprop.kinds.product.cases import ProductCase, product_case
from dynprop.kinds.product.forward import at_least_two
from dynprop.kinds.product.judging import agree
from dynprop.kinds.product.subject import ProductSubject
from dynprop.laws.array_laws import Agree, arguments_unchanged, calls_agree, declared_shape, layouts_agree
from dynprop.laws.evidence import Evidence
from dynprop.laws.hygiene import laid_out
from dynprop.laws.law import law


def _agree(subject: ProductSubject, case: ProductCase) -> Agree[FloatArray]:
    bound = bound_of(case, subject.domain).times(2.0)
    return lambda result, label, value, other: agree(label, value, other, case, bound)


@law(
    "product/shape-and-dtype",
    claim="C4",
    statement="products have the shape, dtype and device of the weights",
    source="public contract",
    draw=at_least_two,
    script="found = f(weights)\nprint(found.shape, found.dtype, 'for', weights.shape, weights.dtype)",
    share=0.3,
)
def shape_and_dtype(subject: ProductSubject, case: ProductCase) -> Evidence:
    """Check that products have the shape, dtype and device of the weights."""
    return declared_shape(subject, case)


@law(
    "product/memory-layout",
    claim="C4",
    statement="strided, transposed, Fortran-ordered, reversed and read-only weights give the same products",
    source="array-api-tests; kernels that read memory in one order",
    draw=partial(product_case, shortest=2, axes=2),
    applies=laid_out,
    script="# layout: {layout}\nother = (weights.swapaxes(0, 1) + 0).swapaxes(0, 1)\n"
    "print(f(weights) - f(other))",
    share=0.3,
)
def memory_layout(subject: ProductSubject, case: ProductCase) -> Evidence:
    """Compare contiguous weights with every other layout."""
    return layouts_agree(subject, case, _agree(subject, case))


@law(
    "product/inputs-unchanged",
    claim="C4",
    statement="the caller's weights are not modified: neither values nor shape, strides or flags",
    source="in-place accumulation",
    draw=at_least_two,
    script="before = weights + 0\nf(weights)\nprint(weights - before)",
    share=0.5,
)
def inputs_unchanged(subject: ProductSubject, case: ProductCase) -> Evidence:
    """Compare the weights before and after a call."""
    return arguments_unchanged(subject, case)


@law(
    "product/repeatable",
    claim="C4",
    statement="two calls agree: nothing is kept between calls, and a result is not overwritten later",
    source="buffers shared between calls",
    draw=at_least_two,
    script="first = f(weights)\nf(weights[::-1] + 0)\nprint(f(weights) - first)",
    share=0.5,
)
def repeatable(subject: ProductSubject, case: ProductCase) -> Evidence:
    """Call, call with reversed weights, read the first result again, call a third time."""
    other = (case.weights[::-1].copy(),)
    return calls_agree(subject, case, other, _agree(subject, case))
