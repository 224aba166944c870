"""Products of 64-bit integers: exact, or refused where they do not fit; wrapping around is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from dynprop.arrays import IntArray, NumericArray
from dynprop.contracts.domain import Domain
from dynprop.kinds.product.cases import ProductCase
from dynprop.kinds.product.judging import axes_of, judge
from dynprop.kinds.product.subject import ProductSubject
from dynprop.laws.draw import Source
from dynprop.laws.draw import length as number_of_steps
from dynprop.laws.evidence import Evidence
from dynprop.laws.integers import MOST, compare_integers
from dynprop.laws.law import law

Rng = np.random.Generator
Shape = tuple[int, int]


def _up_to_the_edge(rng: Rng, shape: Shape) -> IntArray:
    """Factors whose products come as near to 2^63 as the next factor allows, and stay there."""
    drawn = rng.integers(2, 100, shape) * rng.choice([-1, 1], shape)
    room = np.full(shape[1], MOST, dtype=np.int64)
    for row in drawn:
        row[np.abs(row) > room] //= np.abs(row[np.abs(row) > room])
        room //= np.abs(row)
    return np.asarray(drawn, dtype=np.int64)


INTEGER_CLASSES: dict[str, Callable[[Rng, Shape], IntArray]] = {
    "small": lambda rng, s: rng.integers(-3, 4, s),
    "signs": lambda rng, s: rng.choice(np.array([-1, 1, 1, 2]), s),
    "up to the edge": _up_to_the_edge,
    "beyond the edge": lambda rng, s: rng.integers(3, 1000, s) * rng.choice([-1, 1], s),
    "beyond, then zero": lambda rng, s: np.where(
        np.arange(s[0])[:, None] == s[0] - 1, 0, rng.integers(2**20, 2**31, s)
    ),
}


def _build(rng: Rng, shape: Shape, name: str, domain: Domain, *, matrix: bool) -> ProductCase:
    steps, n = shape
    if matrix:
        most = 2**20 if name.startswith("beyond") else 3
        weights = rng.integers(-most, most + 1, (steps, n, n))
    else:
        weights = INTEGER_CLASSES[name](rng, shape)
        if domain.gates in ("unit", "signed"):
            weights = np.ones_like(weights) if domain.gates == "unit" else np.sign(weights)
        elif domain.gates == "constant":
            weights = np.repeat(weights[:1], steps, axis=0)
    return ProductCase(weights, "int64", matrix, name, int(rng.integers(2**31)))


def every_integer_class(domain: Domain, subject: ProductSubject) -> Iterator[ProductCase]:
    """Yield every class of integers at a short and a longer length."""
    for i, name in enumerate(INTEGER_CLASSES):
        for steps in (5,) if subject.compiles else (4, 33):
            rng = np.random.default_rng([i, steps, 71])
            yield _build(rng, (min(steps, domain.max_length), 3), name, domain, matrix=subject.matrix)


def _drawn(source: Source, domain: Domain, subject: ProductSubject) -> ProductCase:
    name = source.choice(tuple(INTEGER_CLASSES))
    steps = number_of_steps(source, domain.limited(64).max_length, shortest=1, few=bool(subject.compiles))
    n = 3 if subject.compiles else source.integer(1, 5)
    return _build(source.generator(), (steps, n), name, domain, matrix=subject.matrix)


def exact_integers(case: ProductCase) -> NumericArray:
    """Return the products as Python integers, an object array."""
    weights = case.weights.astype(object)
    products = weights.copy()
    for t in range(1, case.steps):
        products[t] = weights[t] @ products[t - 1] if case.matrix else weights[t] * products[t - 1]
    return products


@law(
    "product/integers",
    claim="C4",
    statement="products of integers are exact where they fit 64 bits, and refused where they do not; "
    "floating results stay within the rounding of any order; a result that wraps around is wrong",
    source="numpy and torch wrap around at 2^63 without a word",
    draw=_drawn,
    fixed=every_integer_class,
    script="import numpy as np\nfound, product = f(weights), None\n"
    "for t, w in enumerate(np.array(weights.tolist(), dtype=object)):  # Python integers\n"
    "    product = w if product is None else (w @ product if {matrix} else w * product)\n"
    "    print(t, found[t], product)",
    share=0.5,
    numbers="integer",
)
def integers(subject: ProductSubject, case: ProductCase) -> Evidence:
    """Compare the products with those of Python integers."""
    value = subject.unrounded(case.arguments, "int64")
    wide = replace(case, weights=case.weights.astype(np.float64), dtype="float64")
    comparison = compare_integers(
        "products",
        value,
        exact_integers(case),
        axes_of(case),
        lambda floats: judge(wide, floats, subject.domain),
    )
    return Evidence((comparison,), detail={"matrix": case.matrix})
