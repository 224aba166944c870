"""What a running product must leave alone: shapes, dtypes, arguments, later calls."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from dynprop.kinds.product.bounds import bound_of
from dynprop.kinds.product.cases import ProductCase, product_case
from dynprop.kinds.product.forward import at_least_two
from dynprop.kinds.product.judging import agree, run
from dynprop.kinds.product.subject import ProductSubject
from dynprop.laws.evidence import Evidence, worst
from dynprop.laws.hygiene import as_expected, laid_out
from dynprop.laws.law import law


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
    """Ask for the shape, dtype and device of the weights."""
    _, *got = subject.returned(case.weights, case.dtype)
    wanted = (case.weights.shape, case.dtype, subject.expected_device())
    return as_expected("products have", got, wanted)


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
    plain, bound = run(subject, case), bound_of(case, subject.domain).times(2.0)
    comparisons, detail = worst(
        ({"layout": name}, agree(f"products of {name} weights", value, plain, case, bound))
        for name, value in subject.layouts(case.weights, case.dtype)
    )
    return Evidence(comparisons, detail=detail)


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
    """Look at the weights before and after a call."""
    changed = subject.changed_arguments(case.weights, case.dtype)
    return Evidence(failure=changed, detail={"checked": True})


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
    """Call, call with something else of the same shape, call again; then read the first result."""
    read, *_ = subject.returned(case.weights, case.dtype)
    early = read()
    run(subject, replace(case, weights=case.weights[::-1].copy()))
    late = read()
    bound = bound_of(case, subject.domain).times(2.0)
    return Evidence(
        (
            agree("products of the third call beside the first", run(subject, case), early, case, bound),
            agree("products of the first call, read after another call", late, early, case, bound),
        )
    )
