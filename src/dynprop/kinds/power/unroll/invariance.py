"""Invariances of the states of an unroll: splits, linearity, scaling; and their gradient."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from dynprop.arrays import NumericArray
from dynprop.contracts.domain import Domain
from dynprop.contracts.formats import FORMATS
from dynprop.contracts.subject import Native
from dynprop.kinds.power.adjoint import adjoint_of
from dynprop.kinds.power.bounds import PowerBound, bound_of_states
from dynprop.kinds.power.cases import PowerCase, power_case
from dynprop.kinds.power.families.families import families_for, round_matrix
from dynprop.kinds.power.judging import as_exact, twice, weigh
from dynprop.kinds.power.subject import PowerSubject
from dynprop.kinds.power.unroll.forward import at_least_two
from dynprop.laws.draw import Source, split_points
from dynprop.laws.evidence import Comparison, Evidence, worst
from dynprop.laws.hygiene import differentiable, product_form
from dynprop.laws.law import law

AXES = ("time", "component")


def run(subject: PowerSubject, case: PowerCase) -> NumericArray:
    """Return the subject's states on a case."""
    return subject.values(case.arguments, case.dtype)


def cut(bound: PowerBound, time: slice) -> PowerBound:
    """Return the bound restricted to a range of steps."""
    return PowerBound(*(value[time] for value in bound.__dict__.values()))


def _at_most_twelve(points: list[int]) -> list[int]:
    """Return at most twelve of the split points, evenly spaced, including the first and the last."""
    if len(points) <= 12:
        return points
    return sorted({points[i] for i in np.linspace(0, len(points) - 1, 12).astype(int)})


@law(
    "unroll/split-resume",
    claim="C1",
    statement="the states of fewer steps are the first ones of more, and an unroll resumed from a state goes "
    "on as one call does: W^(s+t) = W^s W^t",
    source="semigroup property",
    draw=at_least_two,
    script="p = {split}\nwhole = f(W, h0, t)\nprint(f(W, h0, p) - whole[:p + 1])\n"
    "print(f(W, whole[p], t - p) - whole[p:])",
    share=0.5,
)
def split_resume(subject: PowerSubject, case: PowerCase) -> Evidence:
    """Split at split points; compare the head alone and the resumed tail with the full states."""
    states = run(subject, case)
    bound = twice(bound_of_states(case.W, case.h, case.t, case.dtype))
    pairs = []
    for p in _at_most_twelve(split_points(case.t, subject.compiles)):
        head, tail = slice(0, p + 1), slice(p, None)
        value = run(subject, replace(case, t=p))
        pairs.append(({"split": p}, _compare_steps("states of the head", value, states, head, bound, case)))
        if np.isfinite(states[p]).all() and states[p].dtype == case.h.dtype:
            resumed = run(subject, replace(case, h=round_matrix(states[p], case.dtype), t=case.t - p))
            label = "states resumed from the state there"
            pairs.append(({"split": p}, _compare_steps(label, resumed, states, tail, bound, case)))
    comparisons, detail = worst(pairs)
    return Evidence(comparisons, detail=detail)


def _compare_steps(
    label: str, value: NumericArray, states: NumericArray, time: slice, bound: PowerBound, case: PowerCase
) -> Comparison:
    part = cut(bound, time)
    return weigh(label, value, as_exact(states[time]), part, dtype=case.dtype, axes=AXES)


@law(
    "unroll/superposition",
    claim="C1",
    statement="states are linear in h(0): those of a sum are the sum of the states",
    source="the recurrence is linear in its state",
    draw=partial(power_case, shortest=1, refusals="at zero"),
    script="# f(W, g + h, t) - f(W, g, t) - f(W, h, t)",
    share=0.5,
)
def superposition(subject: PowerSubject, case: PowerCase) -> Evidence:
    """Add a second vector and compare with the sum of both results."""
    other = case.vector(case.generator())
    total = round_matrix(case.h + other, case.dtype)
    # The rounding error of the sum is a third summand, which is exact.
    remainder = (case.h - total) + other
    if not np.array_equal(round_matrix(remainder, case.dtype), remainder):
        total, remainder = case.h, np.zeros_like(case.h)
        other = np.zeros_like(case.h)
    summed = replace(case, h=total)
    summands = [replace(case, h=h) for h in (case.h, other, -remainder)]
    value = run(subject, summed)
    terms = [run(subject, s) for s in summands]
    bounds = [bound_of_states(case.W, c.h, case.t, case.dtype) for c in (summed, *summands)]
    total_bound = PowerBound(
        sum((b.entry for b in bounds[1:]), bounds[0].entry),
        sum((b.norm for b in bounds[1:]), bounds[0].norm),
        sum((b.scale for b in bounds[1:]), bounds[0].scale),
        sum((b.underflow for b in bounds[1:]), bounds[0].underflow),
        np.logical_and.reduce([b.in_range for b in bounds]),
    )
    label = "states of a sum beside the sum of the states"
    with np.errstate(all="ignore"):
        expected = np.sum(terms, axis=0)
    return Evidence((weigh(label, value, as_exact(expected), total_bound, dtype=case.dtype, axes=AXES),))


def _moderate(source: Source, domain: Domain, subject: PowerSubject) -> PowerCase:
    names = families_for(without=["LAPACK"])
    usual = tuple(name for name in names if not name.startswith("near "))
    limited = domain.limited(24)
    return power_case(source, limited, subject, shortest=1, usual=8, families=usual, refusals="at zero")


@law(
    "unroll/diagonal-similarity",
    claim="C1",
    statement="measuring components in other units, powers of two, changes the units of the states and no "
    "bit of their digits: f(D^-1 W D, D h, t) = D f(W, h, t)",
    source="powers of two are exact in every product and sum (Higham 2002, section 2.1)",
    draw=_moderate,
    applies=product_form,
    script="import numpy as np\nd = np.exp2(np.array({powers}))\n# W * d / d[:, None] is exact\n"
    "print(f(W * d / d[:, None], h0 * d, t) - f(W, h0, t) * d)",
)
def diagonal_similarity(subject: PowerSubject, case: PowerCase) -> Evidence:
    """Scale components by powers of two and compare bit by bit where nothing can underflow."""
    powers = case.generator().integers(-6, 7, case.n)
    d = np.exp2(powers)
    scaled = replace(case, W=case.W * d / d[:, None], h=case.h * d)
    plain = run(subject, case)
    value, expected = run(subject, scaled), plain * d
    bound = bound_of_states(scaled.W, scaled.h, case.t, case.dtype)
    comparison = weigh("states in other units", value, as_exact(expected), bound, dtype=case.dtype, axes=AXES)
    sound = bool(bound.in_range.all()) and _far_from_underflow(case, plain)
    return Evidence(
        (
            replace(
                comparison,
                bound=np.zeros_like(comparison.bound),
                decided=np.isfinite(comparison.reference) & sound,
            ),
        ),
        detail={"powers": powers.tolist()},
    )


def _far_from_underflow(case: PowerCase, states: NumericArray) -> bool:
    """Whether no product of t entries and a state, nor its low digits, can come near the smallest number."""
    sizes = np.abs(np.concatenate([case.W.ravel(), case.h, states.ravel()]))
    smallest = np.log2(sizes[sizes > 0.0].min(initial=1.0))
    format_ = FORMATS[case.dtype]
    lowest = (case.t + 1) * (min(smallest, 0.0) - 12.0) + 2.0 * np.log2(format_.unit)
    return bool(lowest > np.log2(format_.tiny))


def last_state(f: Callable[..., Native], arrays: Mapping[str, Native], t: int) -> Native:
    """Return the inner product of the last state and the weights."""
    return (f(arrays["W"], arrays["h"], t)[t] * arrays["weights"]).sum()


@law(
    "unroll/adjoint",
    claim="C6",
    statement="the gradient of a weighted last state to h(0) is W^t times the weights, in every component, "
    "however small",
    source="gradients travel by W where states travel by its transpose",
    draw=at_least_two,
    applies=differentiable,
    script={
        "torch": "g = torch.ones_like(h0)\nx = h0.clone().requires_grad_()\n"
        "(f(W, x, t)[t] * g).sum().backward()\n"
        "for _ in range(t):\n    g = W @ g\nprint(x.grad, g)",
        "": "g = jnp.ones_like(h0)\nfound = jax.grad(lambda x: (f(W, x, t)[t] * g).sum())(h0)\n"
        "for _ in range(t):\n    g = W @ g\nprint(found, g)",
    },
)
def adjoint(subject: PowerSubject, case: PowerCase) -> Evidence:
    """Judge one backward pass from the last state."""
    return adjoint_of(subject, case, last_state)
