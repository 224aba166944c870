"""The states of an unroll: exact within the rounding of any order of products."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from dynprop.arrays import NumericArray
from dynprop.contracts.domain import Domain
from dynprop.contracts.formats import FORMATS
from dynprop.kinds.power.bounds import bound_of_states
from dynprop.kinds.power.cases import PowerCase, build_case, power_case, usable_families
from dynprop.kinds.power.exact import power_states
from dynprop.kinds.power.families.families import FAMILIES, families_for
from dynprop.kinds.power.judging import as_exact, judge_states, weigh
from dynprop.kinds.power.subject import PowerSubject
from dynprop.laws.draw import Source
from dynprop.laws.evidence import Comparison, Evidence
from dynprop.laws.hygiene import product_form
from dynprop.laws.law import law

LENGTHS = (0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129)
FEW_LENGTHS = (0, 1, 2, 5, 8, 17)
BOOK = "Goodfellow, Bengio and Courville 2016, section 10.7, eq. 10.37"

drawn: partial[PowerCase] = partial(power_case, refusals="at zero")
at_least_two: partial[PowerCase] = partial(power_case, shortest=2, refusals="at zero")

SCRIPT = """\
states, h = f(W, h0, t), h0
for k in range(t + 1):
    print(k, states[k], h)
    h = h @ W"""


def every_family(domain: Domain, subject: PowerSubject) -> Iterator[PowerCase]:
    """Yield one case of every family of matrices in every dtype."""
    for dtype in domain.dtypes:
        for i, name in enumerate(usable_families(tuple(FAMILIES), dtype)):
            n = 3 if subject.compiles else max(FAMILIES[name].smallest, (2, 4, 5, 8)[i % 4])
            t = min(5 if subject.compiles else (7, 3, 12)[i % 3], domain.max_length)
            rng = np.random.default_rng([i, 31])
            yield build_case(rng, n, t, name, dtype, refusals="at zero")
            if i % 3 == 0 and not subject.compiles:
                yield build_case(rng, (9, 13, 16)[i // 3 % 3], t, name, dtype, refusals="at zero")


@law(
    "unroll/exact-states",
    claim="C1",
    statement="every state equals the exact one, h(t) = (W^t)^T h(0), within the rounding of any order of "
    "products, for normal, non-normal, defective, nilpotent, graded and complex W of any spectral radius",
    source=BOOK,
    draw=at_least_two,
    fixed=every_family,
    script=SCRIPT,
)
def exact_states(subject: PowerSubject, case: PowerCase) -> Evidence:
    """Judge the states against exact arithmetic."""
    return Evidence((judge_states(case, subject.values(case.arguments, case.dtype)),))


def every_length(domain: Domain, subject: PowerSubject) -> Iterator[PowerCase]:
    """Yield no step, one, odd numbers, powers of two and their neighbours, and the longest.

    Longer ones come with a permutation too, whose states have all their digits at any length.
    """
    lengths = FEW_LENGTHS if subject.compiles else (*LENGTHS, 2048)
    for t in lengths:
        if t <= domain.max_length:
            rng = np.random.default_rng([t, 37])
            for family in ("orthogonal", "signed permutation") if t > 16 else ("orthogonal",):
                yield build_case(rng, 3, t, family, domain.dtypes[0], refusals="at zero")


@law(
    "unroll/lengths",
    claim="C1",
    statement="every number of steps gives the exact states, one more than steps: 0, 1, odd numbers, powers "
    "of two and neighbours",
    source=BOOK,
    draw=drawn,
    fixed=every_length,
    script=SCRIPT,
    share=0.5,
)
def lengths(subject: PowerSubject, case: PowerCase) -> Evidence:
    """Judge the states at a given number of steps; an unroll of no steps may be refused."""
    return Evidence((judge_states(case, subject.values(case.arguments, case.dtype)),))


@law(
    "unroll/step-zero",
    claim="C1",
    statement="the first state is h(0) itself, bit by bit",
    source=BOOK,
    draw=drawn,
    script="print(f(W, h0, t)[0] - h0)",
    share=0.3,
)
def step_zero(subject: PowerSubject, case: PowerCase) -> Evidence:
    """Check that the first state equals the initial one."""
    first = subject.values(case.arguments, case.dtype)[0]
    return Evidence((_identical("first state", first[None], case.h[None], case),))


def _identical(label: str, value: NumericArray, expected: NumericArray, case: PowerCase) -> Comparison:
    """Compare with bound zero, for results that involve no rounding."""
    bound = bound_of_states(case.W, case.h, len(expected) - 1, case.dtype)
    comparison = weigh(label, value, as_exact(expected), bound, dtype=case.dtype, axes=("time", "component"))
    return replace(
        comparison, bound=np.zeros_like(comparison.bound), decided=np.isfinite(comparison.reference)
    )


def _integer_case(source: Source, domain: Domain, subject: PowerSubject) -> PowerCase:
    names = families_for(traits=["integer"], without=["LAPACK"])
    case = power_case(source, domain.limited(32), subject, shortest=2, families=names, refusals="at zero")
    rng = case.generator()
    matrix = np.rint(np.abs(case.W)) * np.sign(case.W)
    h = rng.integers(1, 4, case.n) * rng.choice([-1.0, 1.0], case.n)
    return replace(case, W=matrix, h=h)


@law(
    "unroll/exact-on-integers",
    claim="C1",
    statement="on whole numbers nothing is rounded: the states are exact as long as they fit the format",
    source="integer certificate",
    draw=_integer_case,
    applies=product_form,
    script=SCRIPT,
    share=0.5,
)
def exact_on_integers(subject: PowerSubject, case: PowerCase) -> Evidence:
    """Check bitwise equality where every order of products is exact."""
    value = subject.values(case.arguments, case.dtype)
    comparison = _identical("states", value, power_states(case.W, case.h, case.t).high, case)
    bound = bound_of_states(case.W, case.h, case.t, case.dtype)
    # Powers of |W| bound the intermediates of a product tree; integers beyond 1/u are rounded.
    ones = bound_of_states(case.W, np.ones(case.n), case.t, case.dtype)
    largest = np.maximum.accumulate(np.maximum(ones.scale, bound.scale).max(axis=1, keepdims=True), axis=0)
    representable = largest * FORMATS[case.dtype].unit < 1.0
    return Evidence((replace(comparison, decided=comparison.decided & representable),))
