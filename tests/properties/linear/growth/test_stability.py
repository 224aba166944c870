"""Certified eigenvalues, growth and stability: enclosures of what is exactly known, and no guesses."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from flint import acb, arb, ctx
from hypothesis import given, settings
from hypothesis import strategies as st

from dynprop.errors import ArgumentError, PrecisionError
from dynprop.linear.growth.growth import growth
from dynprop.linear.growth.stability import Interval, certified_growth, certified_radius, is_stable
from dynprop.linear.spectra.eigenvalues import Stability, certified_eigenvalues
from tests.properties.linear.matrix_cases import (
    BAD_COUNTS,
    BAD_MATRICES,
    Structure,
    exact_log_norms,
    jordan,
    matrices,
    structures,
    unimodular,
)

BELOW, ABOVE = 1.0 - 2.0**-53, 1.0 + 2.0**-52


def power_of_two(exponent: int) -> arb:
    return arb((1, exponent))


# Eigenvalues


@settings(max_examples=100)
@given(structures(complex_=True))
def test_multiplicities_are_exact_and_enclosures_hold_the_truth(case: Structure) -> None:
    found = certified_eigenvalues(case.W)
    assert len(found) == len(case.multiplicities())
    for value, count in case.multiplicities().items():
        truth = complex(math.ldexp(value.real, case.exponent), math.ldexp(value.imag, case.exponent))
        holding = [e for e in found if e.ball.contains(truth)]
        assert [e.multiplicity for e in holding] == [count]
        assert abs(holding[0].value - truth) <= holding[0].error


def test_floats_miss_a_hidden_eigenvalue_that_is_certified() -> None:
    s, inverse = unimodular(np.random.default_rng(1), 16)
    W = s @ jordan([(3.0, 16)]) @ inverse
    (only,) = certified_eigenvalues(W)
    assert (only.value, only.error, only.multiplicity) == (3.0, 0.0, 16)
    assert np.abs(np.linalg.eigvals(W) - 3.0).max() > 1e-3


@settings(max_examples=60)
@given(matrices(largest=6), st.integers(8, 120))
def test_enclosures_contain_those_of_twice_the_bits(W: Any, bits: int) -> None:
    wide, narrow = certified_eigenvalues(W, bits), certified_eigenvalues(W, 2 * bits)
    assert sum(e.multiplicity for e in wide) == len(W)
    assert len(wide) == len(narrow)
    for thin in narrow:
        assert [w.multiplicity for w in wide if w.ball.contains(thin.ball)] == [thin.multiplicity]


@settings(max_examples=60)
@given(matrices(largest=6))
def test_traces_are_sums_of_eigenvalues(W: Any) -> None:
    before, ctx.prec = ctx.prec, 300
    try:
        total = sum((e.ball * e.multiplicity for e in certified_eigenvalues(W, 200)), acb(0))
        diagonal = np.diagonal(W)
        real = sum((Fraction(float(x)) for x in diagonal.real), Fraction(0))
        imag = sum((Fraction(float(x)) for x in diagonal.imag), Fraction(0))
        assert (total.real - arb(real.numerator) / real.denominator).contains(0)
        assert (total.imag - arb(imag.numerator) / imag.denominator).contains(0)
    finally:
        ctx.prec = before


def test_eigenvalues_come_by_decreasing_modulus_the_upper_conjugate_first() -> None:
    W = np.array([[0.0, -2.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    np.testing.assert_allclose([e.value for e in certified_eigenvalues(W)], [2j, -2j, 1.0], atol=1e-15)
    for seed in range(5):
        values = [e.value for e in certified_eigenvalues(np.random.default_rng(seed).standard_normal((9, 9)))]
        upper = [i for i, v in enumerate(values) if v.imag > 0]
        assert all(values[i + 1] == values[i].conjugate() for i in upper)


# Stability


@pytest.mark.parametrize(
    ("W", "answer"),
    [
        (np.eye(3), "no"),
        (np.eye(4)[[1, 2, 3, 0]], "no"),
        (np.array([[1.0, 1.0], [0.0, 1.0]]), "no"),
        (np.array([[BELOW, 1.0], [0.0, 0.5]]), "yes"),
        (np.array([[ABOVE, 1.0], [0.0, 0.5]]), "no"),
        (np.array([[BELOW, 1e10], [0.0, BELOW]]), "yes"),
        (np.array([[0.6, -0.8], [0.8, 0.6]]), "no"),
        (np.array([[0.0, 1e300], [0.0, 0.0]]), "yes"),
        (np.array([[0.0, 1e308], [1e-300, 0.0]]), "no"),
        (np.zeros((2, 2)), "yes"),
        (np.zeros((0, 0)), "yes"),
        (np.array([[1j * BELOW]]), "yes"),
        (np.array([[1j]]), "no"),
        (np.diag([0.9, -1.0]), "no"),
    ],
)
def test_stable_means_a_radius_below_one(W: Any, answer: str) -> None:
    assert is_stable(W) == answer


@settings(max_examples=80)
@given(structures(complex_=True), st.integers(-3, 1))
def test_stability_is_decided_for_every_known_spectrum(case: Structure, exponent: int) -> None:
    unit = case.W * 2.0**-case.exponent
    radius = max(abs(value) for value, _ in case.blocks) * 2.0**exponent
    assert is_stable(unit * 2.0**exponent) == ("yes" if radius < 1.0 else "no")


@settings(max_examples=60)
@given(matrices(largest=6))
def test_stability_agrees_with_certified_eigenvalues(W: Any) -> None:
    before, ctx.prec = ctx.prec, 300
    try:
        moduli = [abs(e.ball) for e in certified_eigenvalues(W, 256)]
        answer = is_stable(W)
        if all(m < 1 for m in moduli):
            assert answer == "yes"
        elif any(m > 1 for m in moduli):
            assert answer == "no"
        else:
            # Only an exact radius of one is left.
            assert answer == "no"
    finally:
        ctx.prec = before


def test_float_rotations_fall_on_both_sides_and_each_is_decided() -> None:
    angles = np.linspace(0.1, 3.0, 60)
    answers = {
        str(is_stable(np.array([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]]))) for a in angles
    }
    assert answers == {"yes", "no"}


def test_beyond_the_limits_the_answer_is_undecided() -> None:
    assert is_stable(np.eye(3), max_work=0.0) is Stability.UNDECIDED
    assert is_stable(np.eye(3)) is Stability.NO


def test_an_answer_has_no_truth_value() -> None:
    with pytest.raises(TypeError, match="compare"):
        bool(is_stable(np.eye(2)))


# Growth


@settings(max_examples=60)
@given(matrices(largest=6), st.integers(0, 30))
def test_the_norm_of_the_exact_power_is_enclosed(W: Any, t: int) -> None:
    found, exact = certified_growth(W, t), exact_log_norms(W, t)[t]
    slack = 1e-13 * (1.0 + abs(exact)) if math.isfinite(exact) else 0.0
    assert found.log_norm.lower - slack <= exact <= found.log_norm.upper + slack
    own = growth(W, t)
    at, error = own.log_norms[t], own.log_errors[t]
    assert at + error >= found.log_norm.lower
    assert at - error <= found.log_norm.upper


@settings(max_examples=60)
@given(structures(complex_=True))
def test_the_radius_is_enclosed_for_defective_matrices_too(case: Structure) -> None:
    found = certified_growth(case.W, 1)
    radius = max(abs(value) for value, _ in case.blocks)
    # hypot is correct to an ulp.
    truth = math.ldexp(radius, case.exponent)
    assert found.radius.lower <= truth * (1 + 2.0**-52)
    assert truth * (1 - 2.0**-52) <= found.radius.upper
    assert found.radius.upper - found.radius.lower <= 2.0**-38 * truth


@settings(max_examples=40)
@given(matrices(largest=5), st.integers(0, 10**6), st.integers(10, 40))
def test_enclosures_of_growth_contain_those_of_twice_the_bits(W: Any, t: int, bits: int) -> None:
    wide, narrow = certified_growth(W, t, bits), certified_growth(W, t, 2 * bits)
    for left, right in (
        (wide.log_norm, narrow.log_norm),
        (wide.norm, narrow.norm),
        (wide.radius, narrow.radius),
    ):
        assert left.lower <= right.lower <= right.upper <= left.upper
    # And the wide one is no blank cheque.
    if math.isfinite(wide.log_norm.lower):
        assert wide.log_norm.upper - wide.log_norm.lower <= 2.0 ** (2 - bits) + 1e-15 * abs(
            wide.log_norm.upper
        )


def test_a_float_orthogonal_matrix_is_not_orthogonal_and_a_quintillion_steps_show_it() -> None:
    W = np.array([[0.6, -0.8], [0.8, 0.6]])
    found = certified_growth(W, 10**18)
    # The stored 0.6 and 0.8 have 0.36 + 0.64 = 1 + 4.44e-17, whose root to the power 1e18 is e^22.2.
    excess = Fraction(0.6) ** 2 + Fraction(0.8) ** 2 - 1
    assert float(excess) == pytest.approx(4.44e-17, rel=1e-2)
    assert found.log_norm.lower == pytest.approx(float(excess) / 2 * 1e18, rel=1e-12)
    assert found.norm.upper > 4e9
    assert is_stable(W) == "no"


def test_powers_of_any_size_have_finite_logarithms() -> None:
    found = certified_growth(np.array([[2.0, 1.0], [0.0, 2.0]]), 2**63 - 1)
    assert found.norm.upper == math.inf
    # log of 2^t (t/2 + sqrt(1 + t²/4)) to the last digits.
    t = 2.0**63
    assert found.log_norm.upper == pytest.approx(t * math.log(2) + math.log(t / 2), rel=1e-15)
    tiny = certified_growth(np.array([[0.5]]), 10**18)
    assert tiny.norm.lower == 0.0
    assert tiny.log_norm.upper == pytest.approx(-math.log(2) * 1e18, rel=1e-15)


def test_nilpotent_powers_are_zero_exactly() -> None:
    s, inverse = unimodular(np.random.default_rng(3), 6)
    W = s @ np.eye(6, k=1) @ inverse
    assert certified_growth(W, 6).log_norm == Interval(-math.inf, -math.inf)
    assert math.isfinite(certified_growth(W, 5).log_norm.lower)
    assert certified_growth(W, 5).radius == Interval(0.0, 0.0)


def test_limits_end_in_an_error() -> None:
    W = np.random.default_rng(0).standard_normal((6, 6))
    with pytest.raises(PrecisionError, match="max_bits"):
        certified_growth(W, 10**18, max_bits=70)
    with pytest.raises(PrecisionError, match="max_work"):
        certified_growth(W, 10**18, max_work=10.0)
    with pytest.raises(PrecisionError, match="raise max_work"):
        certified_eigenvalues(W, max_work=10.0)
    with pytest.raises(PrecisionError, match="max_bits"):
        certified_eigenvalues(W, 64, max_bits=32)


# Bad input


@pytest.mark.parametrize("name", BAD_MATRICES)
def test_a_bad_matrix_is_refused(name: str) -> None:
    for call in (certified_eigenvalues, certified_radius, is_stable, lambda W: certified_growth(W, 3)):
        with pytest.raises(ArgumentError, match="W: got"):
            call(BAD_MATRICES[name])


@pytest.mark.parametrize("name", BAD_COUNTS)
def test_a_bad_number_of_steps_or_bits_is_refused(name: str) -> None:
    with pytest.raises(ArgumentError, match="t: got"):
        certified_growth(np.eye(2), BAD_COUNTS[name])
    with pytest.raises(ArgumentError, match="bits: got"):
        certified_growth(np.eye(2), 1, BAD_COUNTS[name])
    with pytest.raises(ArgumentError, match="bits: got"):
        certified_eigenvalues(np.eye(2), BAD_COUNTS[name])


def test_empty_matrices_are_valid() -> None:
    assert certified_eigenvalues(np.zeros((0, 0))) == ()
    assert certified_growth(np.zeros((0, 0)), 3).norm == Interval(0.0, 0.0)


def test_steps_beyond_a_signed_integer_are_refused() -> None:
    with pytest.raises(ArgumentError, match="t: got"):
        certified_growth(np.eye(2), 2**63)


def test_precision_outside_is_left_alone() -> None:
    before = ctx.prec
    certified_eigenvalues(np.eye(3), 500)
    certified_growth(np.eye(3), 5)
    is_stable(np.eye(3))
    assert ctx.prec == before
