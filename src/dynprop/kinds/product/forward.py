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
from dynprop.laws.evidence import Evidence, compare
from dynprop.laws.hygiene import product_form
from dynprop.laws.law import law

BOOK = "Goodfellow, Bengio and Courville 2016, section 10.7"
# Sizes of blocks with their neighbours, and lengths that end in an odd block.
BLOCKS = (*(2**k + d for k in range(4, 12) for d in (-1, 0, 1)), 97, 193, 385, 769, 1537)
LENGTHS = (0, 1, 2, 3, 4, 5, 7, 8, 9, *BLOCKS)
MOST_MATRICES = 1025
FEW_LENGTHS = (0, 1, 2, 5, 8, 17)

at_least_two: partial[ProductCase] = partial(product_case, shortest=2)
SCRIPT = """\
found, product = f(weights), None
for t, w in enumerate(weights):
    product = w if product is None else (w @ product if {matrix} else w * product)
    print(t, found[t], product)"""


def designed(domain: Domain, subject: ProductSubject) -> Iterator[ProductCase]:
    """Yield one case of every class of weights, and every number of series or size of matrices."""
    classes = classes_of(domain, subject.matrix)
    for dtype in domain.dtypes:
        for i, name in enumerate(classes):
            rng = np.random.default_rng([i, 41])
            shape = (min(9, domain.max_length), *((3, 3) if subject.matrix else (3,)))
            yield build_case(rng, shape, name, dtype, domain, matrix=subject.matrix)
    if subject.compiles:
        return
    for i, size in enumerate((1, 2, 4, 5, 8) if subject.matrix else (1, 2, 4, 5, 8, 17, 33, 65)):
        rng = np.random.default_rng([i, 53])
        shape = (min(17, domain.max_length), size, *((size,) if subject.matrix else ()))
        name = ("positive", "signed permutations")[i % 2] if subject.matrix else classes[i % len(classes)]
        yield build_case(
            rng, shape, name, domain.dtypes[i % len(domain.dtypes)], domain, matrix=subject.matrix
        )


def every_class(domain: Domain, subject: ProductSubject) -> Iterator[ProductCase]:
    """Yield the designed cases, and one of many factors near 1 in every dtype."""
    yield from designed(domain, subject)
    for dtype in domain.dtypes:
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
    """Yield lengths 0, 1, odd, powers of two and their neighbours; the shorter ones have more series."""
    for steps in FEW_LENGTHS if subject.compiles else LENGTHS:
        if steps <= min(domain.max_length, MOST_MATRICES if subject.matrix else domain.max_length):
            name = ("reflections" if steps < 33 else "stochastic") if subject.matrix else "near 1"
            shape = (steps, *((2, 2) if subject.matrix else (1 if steps > 300 else 2,)))
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


def long_products(domain: Domain, subject: ProductSubject) -> Iterator[ProductCase]:
    """Yield long products of either sign, and one with factors at the ends of the range."""
    names = ("signed permutations",) if subject.matrix else ("signs near 1", "at the ends of the range")
    longest = MOST_MATRICES if subject.matrix else domain.max_length
    lengths = FEW_LENGTHS[3:] if subject.compiles else (65, 513, 1025, 1537, domain.max_length)
    for dtype in domain.dtypes:
        for steps in sorted({n for n in lengths if n <= min(domain.max_length, longest)}):
            for name in names if domain.gates != "constant" or subject.matrix else ("above 1",):
                rng = np.random.default_rng([steps, 67])
                shape = (steps, *((2, 2) if subject.matrix else (2,)))
                yield build_case(rng, shape, name, dtype, domain, matrix=subject.matrix)


@law(
    "product/signs",
    claim="C4",
    statement="products have the signs of the exact ones, to the end of long products, also where too few "
    "digits are left to compare",
    source="a product of factors rounds its size and never its sign (Higham 2002, section 2.2)",
    draw=at_least_two,
    fixed=long_products,
    script="found, sign = f(weights), None\nfor t, w in enumerate(weights):\n"
    "    sign = w if sign is None else (w @ sign if {matrix} else w * sign)\n"
    "    print(t, (found[t] > 0) * 1 - (found[t] < 0) * 1, (sign > 0) * 1 - (sign < 0) * 1)",
    share=0.5,
)
def signs(subject: ProductSubject, case: ProductCase) -> Evidence:
    """Compare the signs of all entries; those of matrices where the bound is below the value."""
    comparison = judge(case, run(subject, case), subject.domain, "signs of products")
    bound = bound_of(case, subject.domain)
    # One multiplication rounds to a number of the same sign, so that a scalar in range keeps it.
    certain = bound.in_range & (comparison.reference != 0.0) & np.isfinite(comparison.reference)
    decided = comparison.decided if case.matrix else certain
    found, expected = np.sign(comparison.value), np.sign(comparison.reference)
    residual = np.where(np.isnan(found), np.inf, np.abs(found - expected))
    kept = compare(
        comparison.label,
        found,
        expected,
        np.zeros_like(residual),
        dtype=case.dtype,
        axes=comparison.axes,
        in_range=decided,
        alternatives=lambda: {"signs lost": np.abs(expected)},
    )
    return Evidence((replace(kept, residual=residual),), detail={"matrix": case.matrix})


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
