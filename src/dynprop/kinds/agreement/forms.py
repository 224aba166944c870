r"""One recurrence, many forms: unrolled, closed, scanned, multiplied, certified, differentiated.

:math:`h_t = (W^t)^T h_0`, and where W is diagonal every component is a running product of one gate. Two
results may differ by the sum of their error bounds: the rounding bound of a product-form evaluation
(``kinds.power.bounds``), and the ``relative_bound`` that a closed form states.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray, NumericArray
from dynprop.contracts.domain import Domain
from dynprop.kinds.agreement.judging import UNIT, compare_pair, product_form_error
from dynprop.kinds.agreement.subject import AgreementSubject, needs
from dynprop.kinds.power.bounds import bound_of_state, bound_of_states
from dynprop.kinds.power.cases import PowerCase, power_case
from dynprop.kinds.power.families.families import families_for
from dynprop.laws.draw import Source
from dynprop.laws.evidence import Evidence, worst
from dynprop.laws.law import law
from dynprop.laws.rounding import gamma

BOOK = "Goodfellow, Bengio and Courville 2016, section 10.7, eq. 10.37 to 10.39"
# Longer cases are those of the kinds unroll and closed-form.
STEPS = 64
DIAGONAL = ("diagonal", "identity", "LAPACK type 4", "LAPACK type 5", "LAPACK type 6")
REAL = families_for(without=["complex"])
POWERS = families_for(without=["LAPACK", "named"], size=5)


def _short(source: Source, domain: Domain, subject: Any) -> PowerCase:
    return power_case(source, domain.limited(STEPS), subject)


@law(
    "agreement/unroll-closed-form",
    claim="C1",
    statement="the states of an unroll are the closed form at each time, within the rounding of the one and "
    "the stated bound of the other, for every family of matrices",
    source=BOOK,
    draw=_short,
    applies=needs("unroll", "closed_form"),
    script="for s in range(t + 1):\n    print(s, f.unroll(W, h0, t)[s], f.closed_form(W, h0, s))",
)
def unroll_closed_form(subject: AgreementSubject, case: PowerCase) -> Evidence:
    """Compare an unroll with closed forms at a few of its times."""
    states = subject.unroll(case.W, case.h, case.t)
    bound = bound_of_states(case.W, case.h, case.t, case.dtype)
    errors = product_form_error(bound, states)
    found = []
    for s in sorted({0, min(1, case.t), case.t // 2, case.t}):
        value, error = subject.closed_form(case.W, case.h, s).at(0)
        label = f"unrolled state {s} beside the closed form"
        found.append(
            ({"s": s}, compare_pair(label, states[s], value, errors[s] + error, axes=("component",)))
        )
    comparisons, detail = worst(found)
    return Evidence(comparisons, detail=detail)


def _diagonal(source: Source, domain: Domain, subject: Any) -> PowerCase:
    return power_case(source, domain.limited(STEPS), subject, shortest=1, families=DIAGONAL)


@law(
    "agreement/diagonal",
    claim="C1",
    statement="for diagonal W the unroll, the scan with constant gates, the closed form and the running "
    "product of the gates are one; with inputs, unroll and scan still are",
    source=BOOK,
    draw=_diagonal,
    applies=needs("unroll", "scan", "closed_form"),
    script="import numpy as np\n"
    "gates = np.tile(np.diag(W), (1, t, 1))\n"
    "print(f.unroll(W, h0, t)[1:], f.scan(gates, 0 * gates, h0[None]), np.cumprod(gates[0], axis=0) * h0)",
)
def diagonal(subject: AgreementSubject, case: PowerCase) -> Evidence:
    """Compare four forms of a diagonal recurrence, and two forms of one with inputs."""
    gate = np.diagonal(case.W).copy()
    if case.is_complex or case.t == 0 or not np.array_equal(np.diag(gate), case.W):
        raise ValueError("the case is not diagonal")
    gates = np.tile(gate, (case.t, 1))
    inputs = case.generator().standard_normal(gates.shape)
    product = np.cumprod(gates, axis=0) * case.h
    bound = bound_of_states(case.W, case.h, case.t, case.dtype)
    # For diagonal W, |W^T|^t |h| is the absolute product: the bound of each form is relative.
    once = np.where(bound.in_range, bound.entry, np.inf)[1:]
    steps = ("time", "component")
    unrolled = subject.unroll(case.W, case.h, case.t)[1:]
    scanned = subject.scan(gates, np.zeros_like(gates), case.h)
    closed, error = subject.closed_form(case.W, case.h, case.t).at(0)
    driven = subject.unroll(case.W, case.h, case.t, inputs)[1:]
    swept = subject.scan(gates, inputs, case.h)
    terms = _terms(gates, inputs, case.h)
    # A term of the sum is a product of at most t gates, n + 1 roundings each, and is added t times.
    rounded = 2.0 * gamma((case.n + 2) * (case.t + 2), UNIT) * terms + (case.t + 1) * bound.underflow[1:]
    driven_bound = np.where(bound.in_range[1:], rounded, np.inf)
    return Evidence(
        (
            compare_pair("unroll beside the running product", unrolled, product, 2.0 * once, axes=steps),
            compare_pair("scan beside the running product", scanned, product, 2.0 * once, axes=steps),
            compare_pair(
                "closed form beside the running product",
                closed,
                product[-1],
                once[-1] + error,
                axes=("component",),
            ),
            compare_pair("unroll with inputs beside the scan", driven, swept, driven_bound, axes=steps),
        )
    )


def _terms(gates: FloatArray, inputs: FloatArray, start: FloatArray) -> FloatArray:
    """Return the sum of the absolute values of the terms of every state."""
    found, state = np.empty_like(gates), np.abs(start)
    for t in range(len(gates)):
        state = found[t] = np.abs(gates[t]) * state + np.abs(inputs[t])
    return found


def _any_power(source: Source, domain: Domain, subject: Any) -> PowerCase:
    case = power_case(source, domain.limited(STEPS), subject, families=POWERS)
    longest = min(source.choice((10**3, 10**9, 2**63 - 1)), domain.max_length)
    exponent = case.generator().uniform(0.0, np.log(longest))
    return replace(case, t=min(int(np.exp(exponent)), longest))


@law(
    "agreement/certified-power",
    claim="C1",
    statement="h(0) times the certified power is the closed form, at any t up to 2^63 - 1 and any exponent",
    source=BOOK,
    draw=_any_power,
    applies=needs("closed_form", "certified_power"),
    script="print(f.certified_power(W, t), f.closed_form(W, h0, t))",
    share=0.6,
)
def certified_power(subject: AgreementSubject, case: PowerCase) -> Evidence:
    """Multiply the certified power from the left and compare, in the units of the power."""
    power = subject.certified_power(case.W, case.t)
    closed, error = subject.closed_form(case.W, case.h, case.t).at(power.exponent)
    value = case.h @ power.value
    terms = np.abs(case.h) @ np.abs(power.value)
    largest = float(np.abs(power.value).max(initial=0.0)) * power.relative_bound
    allowed = gamma(case.n + 2, UNIT) * terms + largest * float(np.abs(case.h).sum()) + error
    label = "h(0) times the certified power beside the closed form"
    return Evidence((compare_pair(label, value, closed, allowed, axes=("component",)),))


def _real(source: Source, domain: Domain, subject: Any) -> PowerCase:
    return power_case(source, domain.limited(24), subject, shortest=1, families=REAL)


@law(
    "agreement/adjoint",
    claim="C6",
    statement="the gradient of v.h(t) that autograd takes through the unroll is the closed form with W for "
    "W^T: W^t v with respect to h(0), the sum of h(s-1) (W^(t-s) v)^T with respect to W",
    source="Goodfellow, Bengio and Courville 2016, section 10.7",
    draw=_real,
    applies=needs("unroll", "closed_form", gradients=True),
    script="import torch\n"
    "h = torch.tensor(h0, requires_grad=True)\n"
    "f.unroll(torch.tensor(W), h, t)[-1].sum().backward()\n"
    "print(h.grad, f.closed_form(W.T, 0 * h0 + 1, t))",
    share=0.5,
)
def adjoint(subject: AgreementSubject, case: PowerCase) -> Evidence:
    """Compare autograd's gradients with powers of the transpose."""
    if case.is_complex:
        raise ValueError("libraries disagree about gradients of complex data")
    v = case.vector(case.generator())
    arrays = {"W": case.W, "h": case.h, "v": v}
    got = subject.gradients(partial(_loss, case.t), arrays, case.dtype, ("h", "W"))
    back = np.ascontiguousarray(case.W.T)
    closed, error = subject.closed_form(back, v, case.t).at(0)
    once = product_form_error(bound_of_state(back, v, case.t, case.dtype), closed)
    states = subject.unroll(case.W, case.h, case.t)
    returning = subject.unroll(back, v, case.t)[::-1]
    matrix = states[:-1].T @ returning[1:]
    forward, backward = (bound_of_states(w, x, case.t, case.dtype) for w, x in ((case.W, case.h), (back, v)))
    terms = forward.scale[:-1].T @ backward.scale[::-1][1:]
    lost = forward.underflow.max() * backward.scale.sum() + backward.underflow.max() * forward.scale.sum()
    in_range = forward.in_range.all() and backward.in_range.all()
    # Each of the t terms has two products of at most t matrices, and the sum of them rounds t times more.
    rounded = 2.0 * gamma(3 * (case.n + 1) * (case.t + 1), UNIT) * terms + 2.0 * lost
    return Evidence(
        (
            compare_pair(
                "gradient to h(0) beside W^t v", got["h"], closed, once + error, axes=("component",)
            ),
            compare_pair(
                "gradient to W beside the sum over steps",
                got["W"],
                matrix,
                rounded if in_range else np.inf,
                axes=("row", "column"),
            ),
        )
    )


def _loss(t: int, unroll: Any, leaves: Any) -> Any:
    return (unroll(leaves["W"], leaves["h"], t)[-1] * leaves["v"]).sum()


def _vectors(case: PowerCase, count: int) -> NumericArray:
    """Return the case's state above others, shape (count, n)."""
    rng = case.generator()
    return np.stack([case.h, *(case.vector(rng) for _ in range(count - 1))])


@law(
    "agreement/batch-of-states",
    claim="C1",
    statement="the closed form of a batch of initial states is, row by row, that of each row alone: its "
    "exponent and bound are of that row",
    source=BOOK,
    draw=_any_power,
    applies=needs("closed_form"),
    script="import numpy as np\nbatch = np.stack([h0, 2.0 ** -40 * h0[::-1], 0 * h0 + 1])\n"
    "print(f.closed_form(W, batch, t), [f.closed_form(W, row, t) for row in batch])",
    share=0.3,
)
def batch_of_states(subject: AgreementSubject, case: PowerCase) -> Evidence:
    """Compare rows of very different sizes, each in the exponent of the row alone.

    Both answers state a bound of their own: they are apart by at most the sum.
    """
    batch = _vectors(case, 3) * np.array([1.0, 2.0**-40, 2.0**40])[:, None]
    found = []
    for i, together in enumerate(subject.closed_forms(case.W, batch, case.t)):
        alone = subject.closed_form(case.W, batch[i], case.t)
        value, error = together.at(alone.exponent)
        other, more = alone.at(alone.exponent)
        label = f"row {i} of a batch beside the row alone"
        found.append(({"row": i}, compare_pair(label, value, other, error + more, axes=("component",))))
    comparisons, detail = worst(found)
    return Evidence(comparisons, detail=detail)


def _real_powers(source: Source, domain: Domain, subject: Any) -> PowerCase:
    return power_case(source, domain.limited(STEPS), subject, families=REAL)


@law(
    "agreement/complex-state",
    claim="C1",
    statement="for real W an unroll and a closed form of x + iy have those of x and of y as their real and "
    "imaginary parts",
    source="linearity over the complex numbers",
    draw=_real_powers,
    applies=needs("unroll", "closed_form"),
    script="z = h0 + 1j * h0[::-1]\n"
    "print(f.unroll(W, z, t)[-1], f.unroll(W, z.real, t)[-1], f.unroll(W, z.imag, t)[-1])\n"
    "print(f.closed_form(W, z, t), f.closed_form(W, z.imag, t))",
    share=0.3,
)
def complex_state(subject: AgreementSubject, case: PowerCase) -> Evidence:
    """Compare both parts, the unroll's within the rounding of each.

    A product of a real matrix and a complex vector has the real products as its parts: the bound of a real
    evaluation holds for each, with a factor of 4 for one that multiplies complex numbers in full. A closed
    form states a bound relative to the modulus.
    """
    if case.is_complex:
        raise ValueError("the case is complex")
    both = _vectors(case, 2)
    state = both[0] + 1j * both[1]
    unrolled = np.asarray(subject.unroll(case.W, state, case.t), dtype=np.complex128)
    closed = subject.closed_form(case.W, state, case.t)
    value, error = closed.at(closed.exponent)
    whole = np.asarray(value, dtype=np.complex128)
    found = []
    for label, row, states, part in (
        ("real", both[0], unrolled.real, whole.real),
        ("imaginary", both[1], unrolled.imag, whole.imag),
    ):
        alone = subject.unroll(case.W, row, case.t)
        reach = product_form_error(bound_of_states(case.W, row, case.t, case.dtype), alone)
        text = f"{label} part of the unroll beside the unroll of that part"
        found.append(compare_pair(text, states, alone, 5.0 * reach, axes=("time", "component")))
        other, more = subject.closed_form(case.W, row, case.t).at(closed.exponent)
        text = f"{label} part of the closed form beside the closed form of that part"
        found.append(compare_pair(text, part, other, error + more, axes=("component",)))
    return Evidence(tuple(found))
