"""Invariances of a closed form: semigroup property, linearity in h(0); and its gradient."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from dynprop.arrays import NumericArray
from dynprop.contracts.subject import Native
from dynprop.kinds.power.adjoint import adjoint_of
from dynprop.kinds.power.bounds import PowerBound, bound_of_state, length
from dynprop.kinds.power.cases import PowerCase, power_case
from dynprop.kinds.power.families.families import round_matrix
from dynprop.kinds.power.judging import allowance, as_exact, twice, weigh
from dynprop.kinds.power.subject import PowerSubject
from dynprop.laws.evidence import Evidence
from dynprop.laws.hygiene import differentiable
from dynprop.laws.law import law

AXES = ("component",)
at_least_one: partial[PowerCase] = partial(power_case, shortest=1)
at_least_two: partial[PowerCase] = partial(power_case, shortest=2)


def _allowed(case: PowerCase, bound: PowerBound, size: float) -> float:
    return allowance(case.W, case.h, case.t, case.dtype, size, float(bound.underflow.max()))()


@law(
    "closed-form/semigroup",
    claim="C1",
    statement="s steps and then t steps are s + t steps",
    source="W^(s+t) = W^s W^t",
    draw=at_least_two,
    script="s = {split}\nprint(f(W, f(W, h0, s), t - s), f(W, h0, t))",
    share=0.6,
)
def semigroup(subject: PowerSubject, case: PowerCase) -> Evidence:
    """Compare t steps with s steps followed by t - s steps."""
    s = 1 + case.seed % (case.t - 1)
    state = subject.values(case.arguments, case.dtype)
    intermediate = subject.values(replace(case, t=s).arguments, case.dtype)
    if np.iscomplexobj(intermediate) != case.is_complex or not np.isfinite(intermediate).all():
        return Evidence()
    remainder = replace(case, h=round_matrix(intermediate, case.dtype), t=case.t - s)
    value = subject.values(remainder.arguments, remainder.dtype)
    bound = bound_of_state(case.W, case.h, case.t, case.dtype)

    def allowed() -> float:
        with np.errstate(all="ignore"):
            carried = np.linalg.norm(np.linalg.matrix_power(case.W, remainder.t), 2)
            size, inner = length(state), length(intermediate)
            first = _allowed(replace(case, t=s), bound, inner)
            return float(carried * first + _allowed(remainder, bound, size) + _allowed(case, bound, size))

    comparison = weigh(
        "state after both parts of the time",
        value,
        as_exact(state),
        twice(bound),
        dtype=case.dtype,
        axes=AXES,
        allowed=allowed,
    )
    return Evidence((comparison,), detail={"split": s})


@law(
    "closed-form/superposition",
    claim="C1",
    statement="the answer is linear in h(0): that for a difference is the difference of the answers",
    source="the recurrence is linear in its state",
    draw=at_least_one,
    script="# f(W, g - h, t) - f(W, g, t) + f(W, h, t), where g - h is exact",
    share=0.5,
)
def superposition(subject: PowerSubject, case: PowerCase) -> Evidence:
    """Split h(0) into its large and its small bits, which is exact, and compare."""
    high = _leading_bits(case.h)
    low = case.h - high
    if not np.array_equal(round_matrix(low, case.dtype), low):
        high, low = case.h, np.zeros_like(case.h)
    summand_cases = [replace(case, h=h) for h in (case.h, high, low)]
    value, *terms = (subject.values(p.arguments, p.dtype) for p in summand_cases)
    bounds = [bound_of_state(p.W, p.h, p.t, p.dtype) for p in summand_cases]
    total = PowerBound(
        sum((b.entry for b in bounds[1:]), bounds[0].entry),
        sum((b.norm for b in bounds[1:]), bounds[0].norm),
        sum((b.scale for b in bounds[1:]), bounds[0].scale),
        sum((b.underflow for b in bounds[1:]), bounds[0].underflow),
        np.logical_and.reduce([b.in_range for b in bounds]),
    )
    with np.errstate(all="ignore"):
        expected = terms[0] + terms[1]

    def allowed() -> float:
        sizes = [length(v) for v in (value, *terms)]
        return sum(_allowed(p, b, size) for p, b, size in zip(summand_cases, bounds, sizes, strict=True))

    label = "state for a sum beside the sum of the states"
    comparison = weigh(label, value, as_exact(expected), total, dtype=case.dtype, axes=AXES, allowed=allowed)
    return Evidence((comparison,))


def _leading_bits(values: NumericArray) -> NumericArray:
    """Return the leading four bits of every number."""
    if np.iscomplexobj(values):
        return np.asarray(_leading_bits(values.real) + 1j * _leading_bits(values.imag))
    mantissa, exponent = np.frexp(values)
    return np.asarray(np.ldexp(np.trunc(mantissa * 16.0) / 16.0, exponent))


def weighted(f: Callable[..., Native], arrays: Mapping[str, Native], t: int) -> Native:
    """Return the inner product of the state and the weights."""
    return (f(arrays["W"], arrays["h"], t) * arrays["weights"]).sum()


@law(
    "closed-form/adjoint",
    claim="C6",
    statement="the gradient of a weighted answer to h(0) is W^t times the weights",
    source="gradients travel by W where states travel by its transpose",
    draw=at_least_one,
    applies=differentiable,
    script={
        "torch": "g = torch.ones_like(h0)\nx = h0.clone().requires_grad_()\n"
        "(f(W, x, t) * g).sum().backward()\n"
        "for _ in range(t):\n    g = W @ g\nprint(x.grad, g)",
        "": "g = jnp.ones_like(h0)\nfound = jax.grad(lambda x: (f(W, x, t) * g).sum())(h0)\n"
        "for _ in range(t):\n    g = W @ g\nprint(found, g)",
    },
)
def adjoint(subject: PowerSubject, case: PowerCase) -> Evidence:
    """Judge one backward pass."""
    return adjoint_of(subject, case, weighted)
