"""Floats go into ball arithmetic exactly, and come back with everything that was lost accounted for."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from flint import acb_mat, arb, arb_mat, ctx, fmpq
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dynprop.arrays import FloatArray, NumericArray
from dynprop.errors import PrecisionError
from dynprop.linear.arithmetic.balls import (
    abs_upper,
    ball_matrix,
    certainly_ge,
    certainly_le,
    certainly_lt,
    enclose,
    entries,
    float_above,
    float_below,
    log_ball,
    rational_matrix,
    rounded,
)
from dynprop.precision import working_precision

FINITE = st.floats(allow_nan=False, allow_infinity=False)
MATRICES = hnp.arrays(
    np.float64, hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=4), elements=FINITE
)
SQUARES = hnp.arrays(
    np.complex128,
    (2, 2),
    elements=st.complex_numbers(allow_nan=False, allow_infinity=False, max_magnitude=1e300),
)


def restored(value: NumericArray, exponent: int) -> NumericArray:
    if np.iscomplexobj(value):
        return np.asarray(np.ldexp(value.real, exponent) + 1j * np.ldexp(value.imag, exponent))
    return np.asarray(np.ldexp(value, exponent))


@given(MATRICES)
def test_real_floats_survive_the_round_trip_bit_by_bit(values: FloatArray) -> None:
    with working_precision(53):
        matrix = ball_matrix(values)
        assert all(x.is_exact() for x in entries(matrix))
    with working_precision(4096):
        found = enclose(matrix)
    # An entry below 2**-1022 of the largest cannot keep all its digits beside it.
    sizes = np.log2(np.abs(values[values != 0]))
    if sizes.size == 0 or sizes.max() - sizes.min() < 960:
        assert found.relative_bound == 0.0
        assert np.array_equal(restored(found.value, found.exponent), values)
    assert not values.any() or 0.5 <= np.abs(found.value).max() < 1


@pytest.mark.parametrize("bits", [20, 60, 128])
@pytest.mark.parametrize("kind", [np.float64, np.complex128])
def test_rounding_at_once_holds_its_bound_which_exceeds_the_exact_one_by_few_radii(
    bits: int, kind: Any
) -> None:
    real, imaginary = np.random.default_rng(bits).standard_normal((2, 5, 5))
    A = (real + 1j * imaginary).astype(kind) if kind == np.complex128 else real
    for scale in (1.0, 2.0**-700, 1e-300):
        with working_precision(bits):
            matrix = ball_matrix(A * scale) ** 3
        with working_precision(2000):
            found, exact = rounded(matrix), ball_matrix(A * scale) ** 3
            # Scaled back without rounding: the exponent may be beyond the range of floats.
            error = exact - ball_matrix(found.value) * arb((1, found.exponent))
            largest = np.abs(found.value).max() * arb((1, found.exponent))
            assert max(x.abs_upper() for x in entries(error)) <= found.relative_bound * largest
            assert found.relative_bound <= 5.0 * enclose(matrix).relative_bound + 2.0**-52


def test_rounding_at_once_of_what_is_not_finite() -> None:
    for ball in (arb(0, 1), arb("nan"), arb("inf"), arb(1, arb("inf"))):
        assert rounded(arb_mat(1, 1, [ball])).relative_bound == math.inf
    assert rounded(arb_mat(0, 0)).value.shape == (0, 0)


@given(SQUARES)
def test_complex_floats_survive_the_round_trip(values: NumericArray) -> None:
    with working_precision(4096):
        found = enclose(ball_matrix(values))
    assert found.relative_bound < 2.0**-1000
    assert not values.any() or 0.5 <= np.abs(found.value).max() < 1
    error = np.abs(restored(found.value, found.exponent) - values).max()
    assert error <= 2.0**-500 * (2.0**-500 * np.abs(values).max())


@given(SQUARES, SQUARES)
def test_the_rational_form_of_complex_matrices_multiplies_like_them(a: NumericArray, b: NumericArray) -> None:
    # Small integers, so that numpy's product is exact.
    a, b = np.rint(a / 1e299), np.rint(b / 1e299)
    assert rational_matrix(a) * rational_matrix(b) == rational_matrix(a @ b)
    assert rational_matrix(a) * rational_matrix(b[:, 0]) == rational_matrix((a @ b)[:, 0])


@given(st.integers(-(10**40), 10**40), st.integers(0, 10**30), st.integers(-(10**19), 10**19))
def test_an_enclosure_holds_the_ball_at_any_exponent(middle: int, radius: int, exponent: int) -> None:
    with working_precision(300):
        scale = arb((1, exponent))
        ball = arb(middle, radius) * scale
        found = enclose(arb_mat(1, 1, [ball]))
        if math.isinf(found.relative_bound):
            assert radius > 0
            return
        value = arb(float(found.value[0, 0])) * arb((1, found.exponent))
        reach = arb(found.relative_bound) * abs(value)
        assert ((ball.lower() - value).abs_upper() <= reach) or middle == 0
        assert ((ball.upper() - value).abs_upper() <= reach) or middle == 0


def test_an_enclosure_of_nothing_known_says_so() -> None:
    with working_precision(64):
        assert enclose(arb_mat(1, 1, [arb(0, 1)])).relative_bound == math.inf
        assert enclose(arb_mat(1, 1, [arb("nan")])).relative_bound == math.inf
        assert enclose(arb_mat(1, 1, [arb("inf")])).relative_bound == math.inf
        assert enclose(arb_mat(2, 2)).relative_bound == 0.0
        assert enclose(acb_mat(0, 0)).value.shape == (0, 0)


def test_comparisons_of_overlapping_balls_are_all_false() -> None:
    with working_precision(64):
        x = arb(1, 0.125)
        assert not certainly_le(x, 1.0)
        assert not certainly_ge(x, 1.0)
        assert not certainly_lt(x, 1.0)
        assert certainly_le(x, 1.25)
        assert certainly_ge(x, 0.75)
        assert certainly_lt(x, 1.25)


@given(st.fractions(), st.fractions(min_value=0, max_value=1))
def test_directed_floats_lie_outside_the_ball(middle: Fraction, radius: Fraction) -> None:
    with working_precision(128):
        x = arb(fmpq(*middle.as_integer_ratio()), fmpq(*radius.as_integer_ratio()))
        assert arb(float_below(x)) <= x.lower()
        assert arb(float_above(x)) >= x.upper()
        assert abs_upper(x) >= abs(x)


def test_directed_floats_of_what_no_float_reaches_are_infinite() -> None:
    with working_precision(64):
        assert float_above(arb((1, 5000))) == math.inf
        assert float_below(-arb((1, 5000))) == -math.inf
        assert float_below(arb((1, 5000))) == np.finfo(float).max
        assert float_above(arb((1, -5000))) == 5e-324


def test_the_logarithm_of_a_ball_that_touches_zero_is_refused() -> None:
    with working_precision(64):
        assert log_ball(arb(1)) == 0
        with pytest.raises(PrecisionError, match=r"compute with more bits"):
            log_ball(arb(1, 1))


def test_the_working_precision_is_restored_and_no_thread_sees_another_s() -> None:
    before = ctx.prec

    def observe(bits: int) -> bool:
        with working_precision(bits):
            first = ctx.prec
            total = sum(range(20_000))
            return total > 0 and first == bits == ctx.prec

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(observe, range(100, 160)))
    assert ctx.prec == before
    with pytest.raises(ZeroDivisionError), working_precision(99):
        raise ZeroDivisionError
    assert ctx.prec == before
