"""The value of a running product: exact within the rounding of any order, at every length."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from dynprop.contracts.domain import Domain
from dynprop.contracts.formats import FORMATS
from dynprop.kinds.product.bounds import bound_of
from dynprop.kinds.product.cases import ProductCase, build_case, classes_of, product_case
from dynprop.kinds.product.judging import agree, judge, run
from dynprop.kinds.product.subject import ProductSubject
from dynprop.laws.draw import Source
from dynprop.laws.evidence import Evidence
from dynprop.laws.hygiene import product_form
from dynprop.laws.law import law

BOOK = "Goodfellow, Bengio and Courville 2016, section 10.7"
LENGTHS = (0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 511, 1025)
FEW_LENGTHS = (0, 1, 2, 5, 8, 17)

at_least_two: partial[ProductCase] = partial(product_case, shortest=2)
SCRIPT = """\
found, product = f(weights), None
for t, w in enumerate(weights):
    product = w if product is None else (w @ product if {matrix} else w * product)
    print(t, found[t], product)"""


def every_class(domain: Domain, subject: ProductSubject) -> Iterator[ProductCase]:
    """Yield one case of every class of weights in every dtype, and one of many factors near 1."""
    for dtype in domain.dtypes:
        for i, name in enumerate(classes_of(domain, subject.matrix)):
            rng = np.random.default_rng([i, 41])
            shape = (min(9, domain.max_length), *((3, 3) if subject.matrix else (3,)))
            yield build_case(rng, shape, name, dtype, domain, matrix=subject.matrix)
        if not subject.matrix:
            rng = np.random.default_rng(43)
            shape = (min(2048, domain.max_length), 1)
            yield build_case(rng, shape, "near 1", dtype, domain, matrix=False)


@law(
    "product/exact",
    claim="C4",
    statement="every running product equals the exact one within the rounding of any order of its "
    "multiplications, relatively for numbers however small, W_t ... W_1 for matrices",
    source=BOOK,
    draw=at_least_two,
    fixed=every_class,
    script=SCRIPT,
)
def exact(subject: ProductSubject, case: ProductCase) -> Evidence:
    """Judge the products against exact arithmetic."""
    comparison = judge(case, run(subject, case), subject.domain)
    return Evidence((comparison,), detail={"matrix": case.matrix})


def every_length(domain: Domain, subject: ProductSubject) -> Iterator[ProductCase]:
    """Yield lengths 0, 1, odd, powers of two and their neighbours."""
    name = "reflections" if subject.matrix else "near 1"
    for steps in FEW_LENGTHS if subject.compiles else LENGTHS:
        if steps <= min(domain.max_length, 129 if subject.matrix else 2048):
            shape = (steps, *((2, 2) if subject.matrix else (2,)))
            rng = np.random.default_rng([steps, 47])
            yield build_case(rng, shape, name, domain.dtypes[0], domain, matrix=subject.matrix)


@law(
    "product/lengths",
    claim="C4",
    statement="every length gives the exact products: 0, 1, odd numbers, powers of two and neighbours",
    source="scans that raise at length 0 or 1",
    draw=product_case,
    fixed=every_length,
    script=SCRIPT,
    share=0.5,
)
def lengths(subject: ProductSubject, case: ProductCase) -> Evidence:
    """Judge the products at a given length; an empty product may be refused."""
    value = run(subject, case)
    if case.weights.size == 0:
        return Evidence(detail={"checked": True})
    return Evidence((judge(case, value, subject.domain),), detail={"matrix": case.matrix})


@law(
    "product/first-entry",
    claim="C4",
    statement="the first product is the first weight, bit by bit",
    source=BOOK,
    draw=partial(product_case, shortest=1),
    applies=product_form,
    script="print(f(weights)[0] - weights[0])",
    share=0.3,
)
def first_entry(subject: ProductSubject, case: ProductCase) -> Evidence:
    """Check that the first product equals the first weight."""
    if case.steps == 0:
        raise ValueError("there is no first weight")
    first = case.part(0, 1)
    bound = bound_of(first, subject.domain).times(0.0)
    return Evidence((agree("first product", run(subject, case)[:1], first.weights, first, bound),))


def _integer_case(source: Source, domain: Domain, subject: ProductSubject) -> ProductCase:
    case = product_case(source, domain.limited(32), subject, shortest=2)
    rng = case.generator()
    low, high = (1, 4) if domain.gates == "unit" else (-3, 4)
    weights = rng.integers(low, high, case.weights.shape).astype(np.float64)
    if domain.gates in ("unit", "signed") and not case.matrix:
        weights = np.sign(weights)
    if domain.gates == "constant" and not case.matrix:
        weights = np.broadcast_to(weights[:1], weights.shape).copy()
    return replace(case, weights=weights, stratum="whole numbers")


@law(
    "product/exact-on-integers",
    claim="C4",
    statement="on whole numbers nothing is rounded: products are exact as long as they fit the format",
    source="integer certificate",
    draw=_integer_case,
    applies=product_form,
    script=SCRIPT,
    share=0.5,
)
def exact_on_integers(subject: ProductSubject, case: ProductCase) -> Evidence:
    """Check bitwise equality where every order of products is exact."""
    comparison = judge(case, run(subject, case), subject.domain)
    bound = bound_of(case, subject.domain)
    # The product of the magnitudes up to t bounds every contiguous product of nonzero integers.
    sizes = np.maximum(np.abs(case.weights), 1.0)
    if case.matrix:
        sizes = np.broadcast_to(sizes.sum(axis=(1, 2), keepdims=True), case.weights.shape)
    with np.errstate(over="ignore"):
        representable = np.cumprod(sizes, axis=0) * FORMATS[case.dtype].unit < 1.0
    exact = replace(
        comparison,
        bound=np.zeros_like(bound.bound),
        decided=representable & np.isfinite(comparison.reference),
    )
    return Evidence((exact,), detail={"matrix": case.matrix})
