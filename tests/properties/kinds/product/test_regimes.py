"""Gradients, signs and integers of products: exact references, and bounds from both sides."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dynprop.check.run.outcome import judge_case
from dynprop.check.run.runner import Options
from dynprop.contracts.domain import Domain
from dynprop.contracts.formats import FORMATS
from dynprop.errors import ArgumentError
from dynprop.kinds import law_by_id
from dynprop.kinds.product.bounds import bound_of
from dynprop.kinds.product.cases import MATRIX_CLASSES, ProductCase, build_case
from dynprop.kinds.product.gradient import cotangent_of, exact_gradient, judge_gradient
from dynprop.kinds.product.integers import INTEGER_CLASSES, every_integer_class, exact_integers
from dynprop.kinds.product.regimes import REGIMES
from dynprop.kinds.product.target import Product
from dynprop.kinds.scan.target import Scan
from tests.properties.kinds.kinds import assert_caught, catalogue, judged, planted

NEW = Options(examples=6, patience=0.0)


@pytest.mark.parametrize(
    ("fault", "law"),
    [
        ("gradient-divides-by-the-weight", "gradient"),
        ("gradient-of-the-last-block", "gradient"),
        ("gradient-of-matrices-transposed", "gradient"),
        ("signs-restart-at-blocks", "signs"),
        ("last-block-of-one", "lengths"),
        ("matrices-beyond-512", "lengths"),
        ("integers-wrap", "integers"),
        ("integers-in-double", "integers"),
    ],
)
def test_a_fault_of_one_regime_is_caught_by_its_law(fault: str, law: str) -> None:
    name = f"product/{fault}"
    assert_caught(judged(f"product/{law}", planted(name), NEW), catalogue()[name].caught_by[law])  # type: ignore[union-attr]  # a fault


class _Quotient(torch.autograd.Function):
    """A product whose gradient divides by the weight, and is lost where the weight is zero."""

    @staticmethod
    def forward(ctx: Any, w: Tensor) -> Tensor:
        ctx.save_for_backward(w)
        return torch.cumprod(w, 0)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> Any:
        (w,) = ctx.saved_tensors
        tail = (upstream[0] * torch.cumprod(w, 0)).flip(0).cumsum(0).flip(0)
        return torch.where(w == 0, torch.zeros_like(w), tail / w)


def test_a_gradient_that_is_lost_at_zero_is_wrong_and_autograd_is_right() -> None:
    lost = Product(lambda w: _Quotient.apply(w), framework="torch")  # type: ignore[no-untyped-call]
    assert judged("product/gradient", lost, NEW).verdict == "wrong"
    right = Product(lambda w: torch.cumprod(w, 0), framework="torch")
    result = judged("product/gradient", right, NEW)
    assert (result.verdict, result.decided > 50) == ("pass", True)


WEIGHTS = st.lists(st.one_of(st.just(0.0), st.floats(-4, 4, width=32)), min_size=1, max_size=7)


@given(WEIGHTS, st.integers(0, 1))
@settings(max_examples=30)
def test_the_reference_of_the_gradient_is_a_sum_of_products_of_fractions(w: list[float], seed: int) -> None:
    case = ProductCase(np.array(w), "float64", seed=seed)
    cotangent = cotangent_of(case)
    found = exact_gradient(case, cotangent)
    for s in range(len(w)):
        total = Fraction(0)
        for t in range(s, len(w)):
            others = [Fraction(w[r]) for r in range(t + 1) if r != s]
            total += Fraction(float(cotangent[t])) * math.prod(others)
        got = Fraction(float(found.high[s])) + Fraction(float(found.low[s]))
        assert abs(got - total) <= abs(total) * Fraction(1, 2**90) + Fraction(1, 2**1000)


def test_the_reference_of_a_matrix_gradient_is_the_difference_quotient() -> None:
    """L is linear in each factor, so that a difference of any step is exact up to rounding."""
    case = build_case(np.random.default_rng(3), (4, 3, 3), "whole numbers", "float64", Domain(), matrix=True)
    cotangent = cotangent_of(case)
    found = exact_gradient(case, cotangent).high

    def loss(weights: Any) -> float:
        product, total = np.eye(3), 0.0
        for w, g in zip(weights, cotangent, strict=True):
            product = w @ product
            total += float((product * g).sum())
        return total

    for index in itertools.islice(np.ndindex(case.weights.shape), 0, None, 5):
        moved = case.weights.copy()
        moved[index] += 1.0
        assert loss(moved) - loss(case.weights) == pytest.approx(found[index], rel=1e-12, abs=1e-10)


@pytest.mark.parametrize("matrix", [False, True])
def test_a_sound_gradient_keeps_the_bound_and_a_coarser_one_exceeds_it(matrix: bool) -> None:
    """Autograd of a loop in float32, worst of 40 cases: 0.11 of the bound for scalars, 0.05 for matrices."""
    rng = np.random.default_rng(5)
    ratios: list[float] = []
    coarse: list[float] = []
    for seed in range(40):
        shape = (5, 2, 2) if matrix else (5, 6)
        name = "positive" if matrix else "with a zero"
        case = build_case(rng, shape, name, "float32", Domain(), matrix=matrix)
        case = ProductCase(case.weights, "float32", matrix, name, seed)
        cotangent = cotangent_of(case)
        for dtype, kept in ((torch.float32, ratios), (torch.bfloat16, coarse)):
            leaf = torch.tensor(case.weights, dtype=torch.float32).requires_grad_()
            product, total = None, torch.zeros((), dtype=dtype)
            for w, g in zip(leaf.to(dtype), torch.tensor(cotangent).to(dtype), strict=True):
                product = w if product is None else (w @ product if matrix else w * product)
                total = total + (product * g).sum()
            torch.autograd.backward([total])
            assert leaf.grad is not None
            kept.append(judge_gradient(case, cotangent, leaf.grad.double().numpy(), Domain()).ratio)
    assert 0.02 <= max(ratios) <= 1.0
    assert max(coarse) > 100.0


# Regimes


@pytest.mark.parametrize("gates", ["any", "signed", "unit"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_a_regime_keeps_products_in_range_and_the_domain(gates: str, dtype: str) -> None:
    domain, rng = Domain(gates=gates), np.random.default_rng(7)
    for name in REGIMES:
        for steps in (0, 1, 2, 9):
            case = build_case(rng, (steps, 4), name, dtype, domain)
            low, high = {"any": (-np.inf, np.inf), "signed": (-1.0, 1.0), "unit": (0.0, 1.0)}[gates]
            assert ((case.weights >= low) & (case.weights <= high) & np.isfinite(case.weights)).all()
            assert gates != "unit" or (case.weights > 0.0).all()
            decided = bound_of(case, domain).in_range
            assert decided.all() or name == "with a subnormal number"
    ends = build_case(rng, (9, 64), "at the ends of the range", dtype, domain).weights
    assert np.abs(ends).min() == FORMATS[dtype].tiny * 2.0**8
    assert (np.abs(ends).max() == FORMATS[dtype].safe) is np.bool_(gates == "any")
    zeros = build_case(rng, (9, 64), "with a zero", dtype, domain).weights
    if gates != "unit":
        assert {bool(s) for s in np.signbit(zeros[zeros == 0.0])} == {True, False}
        assert (zeros == 1.0).any()


def test_products_of_these_matrices_are_decided_at_any_length() -> None:
    rng = np.random.default_rng(11)
    for name in ("stochastic", "signed permutations"):
        case = build_case(rng, (600, 2, 2), name, "float64", Domain(), matrix=True)
        bound = bound_of(case, Domain())
        assert (bound.bound <= 1e-11 * bound.scale).all()
    assert (np.count_nonzero(MATRIX_CLASSES["signed permutations"](rng, (5, 4, 4)), axis=1) == 1).all()


# Integers


def test_integer_products_reach_the_edge_and_go_beyond_it() -> None:
    cases = list(every_integer_class(Domain(), Product(np.cumprod)))
    largest = {c.stratum: max(abs(int(v)) for v in exact_integers(c).ravel()) for c in cases}
    assert set(largest) == set(INTEGER_CLASSES)
    assert 2**60 < largest["up to the edge"] < 2**63 <= largest["beyond the edge"]
    assert largest["small"] < 2**60
    for case in cases:
        if case.steps > 4 or "beyond" not in case.stratum:
            assert case.refusable() is ("beyond" in case.stratum), case.stratum
        again = ProductCase.from_json(case.to_json())
        assert again.weights.dtype == np.int64
        assert np.array_equal(again.weights, case.weights)
        for smaller in itertools.islice(case.smaller(), 12):
            assert smaller.weights.dtype == np.int64


def test_only_what_does_not_fit_may_be_refused() -> None:
    def refuses(weights: Any) -> Any:
        raise OverflowError("no")

    subject, law = Product(refuses, dtypes=("int64",)), law_by_id("product/integers")
    fits = ProductCase(np.array([[2**31], [2**31]]), "int64")
    beyond = ProductCase(np.array([[2**31], [2**31], [2]]), "int64")
    assert judge_case(law, subject, fits).verdict == "error"
    assert judge_case(law, subject, beyond).verdict == "refused"
    # A zero comes too late for an evaluation that multiplies the others first.
    assert (
        judge_case(law, subject, ProductCase(np.array([[2**40], [2**40], [0]]), "int64")).verdict == "refused"
    )


def test_integers_are_declared_and_judged_alone() -> None:
    subject = Product(lambda w: np.cumprod(w, axis=0), dtypes=("int64",))
    subject.preflight()
    assert judged("product/exact", subject).verdict == "not-applicable"
    assert judged("product/integers", Product(np.cumprod)).verdict == "not-applicable"
    assert Domain.from_json(subject.domain.to_json()) == subject.domain
    with pytest.raises(ArgumentError, match=r"^integers: got"):
        Domain(integers=("int8",))


def test_a_kind_that_needs_floats_takes_no_integers() -> None:
    with pytest.raises(ArgumentError, match=r"^dtypes: got \('int64',\), expected some of float64[^\n]*$"):
        Scan(lambda gates, inputs, initial: inputs, dtypes=("int64",))
