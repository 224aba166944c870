"""Invariances of a running product: splits, time reversal, scaling, independence of other series."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray, round_to
from dynprop.contracts.domain import Domain
from dynprop.contracts.formats import FORMATS
from dynprop.kinds.product.bounds import ProductBound, bound_of
from dynprop.kinds.product.cases import ProductCase, product_case
from dynprop.kinds.product.forward import at_least_two
from dynprop.kinds.product.judging import agree, run
from dynprop.kinds.product.regimes import EXTREME
from dynprop.kinds.product.subject import ProductSubject
from dynprop.laws.draw import Source, split_points
from dynprop.laws.evidence import Evidence, worst
from dynprop.laws.hygiene import product_form
from dynprop.laws.law import law
from dynprop.laws.rounding import gamma


@law(
    "product/split-resume",
    claim="C4",
    statement="the products of fewer weights are the first ones of more, and a product resumed from one of "
    "them goes on as one call does",
    source="associativity",
    draw=at_least_two,
    script="p = {split}\nwhole, rest = f(weights), f(weights[p:])\nprint(f(weights[:p]) - whole[:p])\n"
    "print((rest @ whole[p - 1] if {matrix} else rest * whole[p - 1]) - whole[p:])",
    share=0.5,
)
def split_resume(subject: ProductSubject, case: ProductCase) -> Evidence:
    """Split at split points; compare the head alone and the resumed tail with the full products."""
    products, bound = run(subject, case), bound_of(case, subject.domain)
    doubled = bound.times(2.0)
    pairs = []
    for p in _at_most_eight(split_points(case.steps, subject.compiles)):
        cut: dict[str, Any] = {"split": p, "matrix": case.matrix}
        head = run(subject, case.part(0, p))
        label = "products of the head alone"
        pairs.append((cut, agree(label, head, products[:p], case, doubled.part(slice(0, p)))))
        tail, head_product = run(subject, case.part(p)), products[p - 1]
        with np.errstate(all="ignore"):
            joined = tail @ head_product if case.matrix else tail * head_product
        label = "products of the tail times the head's last"
        pairs.append((cut, agree(label, joined, products[p:], case, _resumed_bound(case, bound, p))))
    comparisons, detail = worst(pairs)
    return Evidence(comparisons, detail=detail)


def _at_most_eight(points: list[int]) -> list[int]:
    """Return at most eight of the split points, evenly spaced, including the first and the last."""
    return points if len(points) <= 8 else [points[i] for i in np.linspace(0, len(points) - 1, 8).astype(int)]


def _resumed_bound(case: ProductCase, bound: ProductBound, p: int) -> ProductBound:
    """Return twice the bound, plus that of joining in float64.

    Both ways take the same number of products.
    """
    n = case.weights.shape[1] if case.matrix else 1
    single = bound.part(slice(p, None))
    joining = gamma(n + 1.0, FORMATS["float64"].unit) * single.scale
    doubled = single.times(2.0)
    return replace(doubled, bound=np.where(single.scale == 0.0, 0.0, doubled.bound + 2.0 * joining))


@law(
    "product/time-reversal",
    claim="C5",
    statement="the product of all weights read from the end is the same number, and for matrices the "
    "transpose of the product of the transposes: what travels back is what travels forward",
    source="(W_t ... W_1)^T = W_1^T ... W_t^T; the adjoint of a deep net",
    draw=at_least_two,
    script="back = weights[::-1].swapaxes(1, 2) if {matrix} else weights[::-1]\n"
    "last = f(back + 0)[-1]\nprint(f(weights)[-1] - (last.T if {matrix} else last))",
    share=0.5,
)
def time_reversal(subject: ProductSubject, case: ProductCase) -> Evidence:
    """Compare the last product with that of the reversed sequence, transposed."""
    last = run(subject, case)[-1:]
    reversed_weights = case.weights[::-1].swapaxes(1, 2) if case.matrix else case.weights[::-1]
    reversed_product = run(subject, replace(case, weights=np.ascontiguousarray(reversed_weights)))[-1:]
    expected = reversed_product.swapaxes(1, 2) if case.matrix else reversed_product
    bound = bound_of(case, subject.domain).times(2.0).part(slice(-1, None))
    label = "last product beside that of the reversed weights"
    return Evidence((agree(label, last, expected, case, bound),), detail={"matrix": case.matrix})


def _moderate(source: Source, domain: Domain, subject: ProductSubject) -> ProductCase:
    return product_case(source, domain.limited(24), subject, shortest=1, usual=8, without=EXTREME)


def _in_other_units(subject: ProductSubject) -> str | None:
    if subject.domain.gates != "any" and not subject.matrix:
        return "weights in other units are outside of the declared domain"
    return product_form(subject)


@law(
    "product/powers-of-two",
    claim="C4",
    statement="weights in other units, powers of two, change the unit of each product and no bit of its "
    "digits",
    source="powers of two are exact in every product and sum (Higham 2002, section 2.1)",
    draw=_moderate,
    applies=_in_other_units,
    script="import numpy as np\nk = np.array({powers})  # one for each step\n"
    "shape = (-1,) + (1,) * (weights.ndim - 1)\n"
    "scaled = f(weights * (2.0 ** k).reshape(shape))\n"
    "print(scaled - f(weights) * (2.0 ** k.cumsum()).reshape(shape))",
)
def powers_of_two(subject: ProductSubject, case: ProductCase) -> Evidence:
    """Scale every weight by its own power of two; compare bitwise where nothing comes near underflow."""
    rng = case.generator()
    # A drift in half of the cases moves the products, and so any size-dependent behaviour, to other sizes.
    powers = rng.integers(-3, 4, case.steps) + int(rng.choice([-6, 0, 0, 6]))
    shape = (-1, *[1] * (case.weights.ndim - 1))
    scaled = replace(case, weights=np.ldexp(case.weights, powers.reshape(shape)))
    if not np.array_equal(round_to(scaled.weights, case.dtype), scaled.weights):
        raise ValueError("scaled weights leave the format")
    plain, value = run(subject, case), run(subject, scaled)
    expected = np.ldexp(plain, np.cumsum(powers).reshape(shape))
    format_ = FORMATS[case.dtype]
    # No product of entries may underflow in either unit; a cancelling sum is at least its last bit.
    entries = np.abs(np.concatenate([case.weights.ravel(), scaled.weights.ravel()]))
    smallest = float(entries[entries > 0.0].min(initial=1.0)) * (format_.unit if case.matrix else 1.0)
    largest = max(1.0, float(entries.max(initial=0.0)) * (case.weights.shape[1] if case.matrix else 1))
    sound = case.steps * np.log2(smallest) > np.log2(format_.tiny) + 8.0
    sound = sound and case.steps * np.log2(largest) < np.log2(format_.safe)
    bound = bound_of(scaled, subject.domain).times(0.0)
    bound = replace(bound, in_range=bound.in_range & bool(sound))
    comparison = agree("products in other units", value, expected, case, bound)
    return Evidence((comparison,), detail={"powers": powers.tolist()})


def _has_series(subject: ProductSubject) -> str | None:
    return "a product of matrices has one series" if subject.matrix else None


@law(
    "product/series-alone",
    claim="C4",
    statement="every series has the products that it has alone: nothing leaks from others",
    source="batch independence",
    draw=partial(product_case, shortest=2, axes=2),
    applies=_has_series,
    script="i = {series}\nprint(f(weights[:, i:i + 1]) - f(weights)[:, i:i + 1])",
    share=0.5,
)
def series_alone(subject: ProductSubject, case: ProductCase) -> Evidence:
    """Compare every index of the second axis with the same series alone."""
    products, bound = run(subject, case), bound_of(case, subject.domain).times(2.0)
    pairs = []
    for i in range(case.weights.shape[1]):
        alone = replace(case, weights=case.weights[:, i : i + 1])
        value = run(subject, alone)
        expected: FloatArray = products[:, i : i + 1]
        cut = ProductBound(*(part[:, i : i + 1] for part in bound.__dict__.values()))
        pairs.append(({"series": i}, agree(f"series {i} alone", value, expected, alone, cut)))
    comparisons, detail = worst(pairs)
    return Evidence(comparisons, detail=detail)
