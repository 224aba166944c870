r"""The gradient of a running product: what travels back from every entry to every factor.

With the loss :math:`L = \sum_t \langle G_t, P_t\rangle` of the products :math:`P_t = W_t\cdots W_1`,

.. math:: A_s = G_s + W_{s+1}^T A_{s+1}, \qquad \partial L/\partial W_s = A_s\,P_{s-1}^T,

which divides by no factor, and holds where one is exactly 0: then P_{s-1} is the product of the others before
it. A backward pass that divides, :math:`\sum_{t\ge s} G_t P_t / W_s`, is sound for other factors alone.

A sound evaluation of a scalar product rounds each of the terms :math:`G_t P_t/W_s` at most t times, adds at
most T of them and multiplies twice more, in whatever order, so that its error is at most
:math:`\gamma_{4(T+2)}` of the sum of their absolute values (Higham 2002, lemma 3.1); a matrix product rounds
n times where a scalar one rounds once. A term that underflows loses at most ``tiny``, which the factors
around it and a division by W_s enlarge: at most :math:`2(T+1)^2\,\mathrm{tiny}\,M^2 g \max(1, 1/|W_s|)`, M
the largest contiguous product and g the largest weight of the loss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
from flint import arb, arb_mat

from dynprop.arrays import FloatArray, round_to
from dynprop.contracts.domain import Domain
from dynprop.contracts.formats import FORMATS
from dynprop.contracts.subject import Native
from dynprop.kinds.product.bounds import LOGARITHMIC, extents, largest_products
from dynprop.kinds.product.cases import ProductCase, build_case, classes_of, product_case
from dynprop.kinds.product.forward import BLOCKS, FEW_LENGTHS, MOST_MATRICES, designed
from dynprop.kinds.product.judging import axes_of
from dynprop.kinds.product.subject import ProductSubject
from dynprop.laws.evidence import Comparison, Evidence, compare
from dynprop.laws.exact import Exact, working_precision
from dynprop.laws.hygiene import differentiable
from dynprop.laws.law import law
from dynprop.laws.rounding import gamma, log_error, log_sum

LAST = "the last product"


def cotangent_of(case: ProductCase) -> FloatArray:
    """Return the weights G_t of the loss: of all products, or in every second case of the last one alone."""
    rng = case.generator()
    drawn = rng.choice([-1.0, 1.0], case.weights.shape) * rng.uniform(0.5, 2.0, case.weights.shape)
    weights = round_to(drawn, case.dtype)
    if _of_last(case):
        weights[:-1] = 0.0
    return weights


def _of_last(case: ProductCase) -> bool:
    return case.seed % 2 == 1


def exact_gradient(case: ProductCase, cotangent: FloatArray) -> Exact:
    """Return the gradient in balls of 160 bits, as sums of two floats, by the module docstring's equation."""
    shape = case.weights.shape
    result = Exact.empty((shape[0], 1, int(np.prod(shape[1:]))))
    with working_precision():
        rows = _matrix_rows(case, cotangent) if case.matrix else _scalar_rows(case, cotangent)
        for t, row in rows:
            for i, value in enumerate(row):
                result.put((t, 0, i), [value])  # type: ignore[arg-type]  # one number at a place
    return Exact(result.high.reshape(shape), result.low.reshape(shape))


def _scalar_rows(case: ProductCase, cotangent: FloatArray) -> Iterator[tuple[int, list[arb]]]:
    factors = [[arb(v) for v in row] for row in case.weights.reshape(case.steps, -1).tolist()]
    upstream = [[arb(v) for v in row] for row in cotangent.reshape(case.steps, -1).tolist()]
    series = len(factors[0])
    before = [[arb(1)] * series]
    for row in factors[:-1]:
        before.append([p * w for p, w in zip(before[-1], row, strict=True)])
    adjoint = upstream[-1]
    for t in reversed(range(case.steps)):
        if t < case.steps - 1:
            carried = zip(upstream[t], factors[t + 1], adjoint, strict=True)
            adjoint = [g + w * a for g, w, a in carried]
        yield t, [p * a for p, a in zip(before[t], adjoint, strict=True)]


def _matrix_rows(case: ProductCase, cotangent: FloatArray) -> Iterator[tuple[int, list[arb]]]:
    factors = [arb_mat(values) for values in case.weights.tolist()]
    upstream = [arb_mat(values) for values in cotangent.tolist()]
    n = case.weights.shape[1]
    before = [arb_mat(np.eye(n).tolist())]
    for factor in factors[:-1]:
        before.append(factor * before[-1])
    adjoint = upstream[-1]
    for t in reversed(range(case.steps)):
        if t < case.steps - 1:
            adjoint = upstream[t] + factors[t + 1].transpose() * adjoint
        yield t, (adjoint * before[t].transpose()).entries()


def absolute_gradient(weights: FloatArray, cotangent: FloatArray, *, matrix: bool) -> FloatArray:
    """Return the sum of the absolute values of the gradient's terms, shape of the weights."""
    w, g = np.abs(weights), np.abs(cotangent)
    result, adjoint = np.empty_like(w), g[-1]
    before = [np.eye(w.shape[1]) if matrix else np.ones(w.shape[1:])]
    for factor in w[:-1]:
        before.append(factor @ before[-1] if matrix else factor * before[-1])
    for t in reversed(range(len(w))):
        if t < len(w) - 1:
            adjoint = g[t] + (w[t + 1].T @ adjoint if matrix else w[t + 1] * adjoint)
        result[t] = adjoint @ before[t].T if matrix else adjoint * before[t]
    return np.nan_to_num(result, nan=np.inf, posinf=np.inf)


def judge_gradient(case: ProductCase, cotangent: FloatArray, value: FloatArray, domain: Domain) -> Comparison:
    """Compare a gradient with the exact one, within the bound of the module docstring."""
    format_, steps = FORMATS[case.dtype], float(case.steps)
    largest_weight = float(np.abs(cotangent).max(initial=0.0))
    logarithmic = np.full(case.weights.shape, np.inf)
    with np.errstate(all="ignore"):
        scale = absolute_gradient(case.weights, cotangent, matrix=case.matrix)
        if case.matrix:
            n = case.weights.shape[1]
            peak = np.broadcast_to(largest_products(case.weights)[1][-1], case.weights.shape)
            flushed, roundings = (
                8.0 * n**4 * (steps + 1.0) ** 2 * format_.tiny * peak**2,
                4.0 * n * (steps + 2),
            )
            inside = peak**2 * steps * n**2 * largest_weight <= format_.safe
        else:
            high, low = (v[-1] for v in extents(np.log2(np.abs(case.weights))))
            peak, roundings = np.exp2(high), 4.0 * (steps + 2.0)
            smallest = np.where(case.weights == 0.0, 1.0, np.abs(case.weights))
            flushed = 2.0 * (steps + 1.0) ** 2 * format_.tiny * peak**2 * np.maximum(1.0, 1.0 / smallest)
            inside = (peak * steps * largest_weight <= format_.safe) & (low >= np.log2(format_.tiny) + 8.0)
            total = log_sum(case.weights[None])[0][-1]
            logarithmic = scale * log_error(format_, np.array(steps + 1.0), total)
        in_range = np.broadcast_to(inside, scale.shape)
        bound = gamma(roundings, format_.unit) * scale * (1.0 + 2.0**-30) + flushed * largest_weight
        logarithmic = np.nan_to_num(bound + logarithmic, nan=np.inf, posinf=np.inf)
        # The gradient is exact where every term of it is zero.
        bound = np.where(scale == 0.0, 0.0, logarithmic if domain.arithmetic == "log" else bound)
    exact, axes = exact_gradient(case, cotangent), axes_of(case)
    if domain.gates == "constant" and not case.matrix:
        # Only the sum over time is defined where all weights are one number.
        exact = Exact(exact.high.sum(axis=0, keepdims=True), exact.low.sum(axis=0, keepdims=True))
        total_scale = scale.sum(axis=0, keepdims=True)
        value, logarithmic = value.sum(axis=0, keepdims=True), logarithmic.sum(axis=0, keepdims=True)
        bound = bound.sum(axis=0, keepdims=True) + 2.0 * steps * 2.0**-53 * total_scale
        scale, in_range = total_scale, in_range[:1]
    return compare(
        f"gradient of a sum of {LAST if _of_last(case) else 'all products'} to the weights",
        value,
        exact,
        bound,
        dtype=case.dtype,
        axes=axes,
        scale=scale,
        in_range=in_range,
        relaxed=lambda: {LOGARITHMIC: logarithmic},
        alternatives=lambda: {"zero where a weight is zero": _without_zeros(case, exact.high)},
    )


def _without_zeros(case: ProductCase, gradient: FloatArray) -> FloatArray:
    return gradient if len(gradient) != case.steps else np.where(case.weights == 0.0, 0.0, gradient)


def weighted(f: Callable[..., Native], arrays: Mapping[str, Native]) -> Native:
    """Return the inner product of the products and the weights of the loss."""
    return (f(arrays["weights"]) * arrays["cotangent"]).sum()


def gradient_cases(domain: Domain, subject: ProductSubject) -> Iterator[ProductCase]:
    """Yield every class, a zero first, in the middle and last, wide series, and lengths at block sizes."""
    yield from designed(domain, subject)
    dtype = domain.dtypes[0]
    if not subject.matrix and domain.gates in ("any", "signed"):
        for place in (0, 2, -1):
            case = build_case(np.random.default_rng([59, place + 1]), (5, 2), "signs near 1", dtype, domain)
            case.weights[place] = (0.0, -0.0)
            yield case
    name = "signed permutations" if subject.matrix else classes_of(domain, matrix=False)[-1]
    for steps in FEW_LENGTHS[2:] if subject.compiles else BLOCKS:
        if steps <= min(domain.max_length, MOST_MATRICES if subject.matrix else domain.max_length):
            rng = np.random.default_rng([steps, 61])
            shape = (steps, 2, 2) if subject.matrix else (steps, 1)
            yield build_case(rng, shape, name, dtype, domain, matrix=subject.matrix)


@law(
    "product/gradient",
    claim="C6",
    statement="the gradient of a weighted sum of all products, or of the last one, to every weight is the "
    "sum over later products of their other factors, also where a weight is exactly 0",
    source="tensorflow/tensorflow#119430, tracel-ai/burn#3864: gradients that divide by the factor",
    draw=partial(product_case, shortest=1, usual=24),
    fixed=gradient_cases,
    applies=differentiable,
    script={
        "torch": """\
g = torch.ones_like(weights)  # the case has other weights of the loss
leaf, same = weights.clone().requires_grad_(), weights.clone().requires_grad_()
(f(leaf) * g).sum().backward()
product, total = None, 0
for t, w in enumerate(same):
    product = w if product is None else (w @ product if {matrix} else w * product)
    total = total + (product * g[t]).sum()
total.backward()
print(leaf.grad, same.grad)""",
        "": """\
def loop(weights):
    product, total = weights[0], weights[0].sum()
    for w in weights[1:]:
        product = w @ product if {matrix} else w * product
        total = total + product.sum()
    return total
print(jax.grad(lambda w: f(w).sum())(weights), jax.grad(loop)(weights))""",
    },
)
def gradient(subject: ProductSubject, case: ProductCase) -> Evidence:
    """Judge one backward pass."""
    if case.steps == 0:
        return Evidence()
    cotangent = cotangent_of(case)
    arrays: dict[str, Any] = {"weights": case.weights, "cotangent": cotangent}
    value = subject.gradients(weighted, arrays, case.dtype, ("weights",))["weights"]
    comparison = judge_gradient(case, cotangent, value, subject.domain)
    return Evidence((comparison,), detail={"matrix": case.matrix})
