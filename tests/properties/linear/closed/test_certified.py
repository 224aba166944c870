"""Certified powers hold the exact power of the stored floats, at any time, or refuse."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pytest
from flint import acb, arb, arb_mat, ctx, nmod_mat
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dynprop.arrays import NumericArray
from dynprop.errors import ArgumentError, PrecisionError
from dynprop.linear import certified_power
from dynprop.linear.closed.certified import certified_states
from dynprop.linear.closed.precisions import plan_of_power, plan_of_states
from tests.properties.linear.exact_power import balls, rationals

MAX = 2**63 - 1
ROTATION = np.array([[0.6, -0.8], [0.8, 0.6]])
TIMES = st.sampled_from([0, 1, 2, 3, 7, 64, 1000, 10**6, 10**12, 10**18, MAX])
ENTRIES = st.floats(-4, 4).map(lambda x: x if abs(x) > 1e-3 else 0.0)
SQUARES = st.integers(1, 4).flatmap(lambda n: hnp.arrays(np.float64, (n, n), elements=ENTRIES))


def contained(found: Any, exact: Any) -> bool:
    """Whether value, exponent and bound hold every entry of an enclosure that is far finer."""
    value: NumericArray = found.value
    before, ctx.prec = ctx.prec, 2000
    try:
        scale = arb((1, -found.exponent))
        cells = [(i, j) for i in range(len(value)) for j in range(len(value))]
        pairs = [(acb(exact[i, j]) * scale, value[i, j].item()) for i, j in cells]
        reach = arb(found.relative_bound) * max((acb(y).abs_upper() for _, y in pairs), default=arb(0))
        return all((x - y).abs_upper() <= reach for x, y in pairs)
    finally:
        ctx.prec = before


@settings(max_examples=60)
@given(SQUARES, st.integers(0, 40))
def test_small_powers_hold_the_exact_rational_power(W: NumericArray, t: int) -> None:
    assert contained(certified_power(W, t), rationals(W) ** t)


@settings(max_examples=40)
@given(SQUARES, TIMES)
def test_powers_hold_the_power_to_two_thousand_bits(W: NumericArray, t: int) -> None:
    try:
        found = certified_power(W, t, max_bits=1024)
    except PrecisionError:
        return
    assert found.relative_bound < 2.0**-52
    assert not found.value.any() or 0.5 <= np.abs(found.value).max() < 1
    before, ctx.prec = ctx.prec, 4096
    try:
        exact = balls(W) ** t
    finally:
        ctx.prec = before
    assert contained(found, exact)


@settings(max_examples=30)
@given(SQUARES, TIMES, st.sampled_from([8, 30, 64, 200]))
@example(np.array([[0.0, 0.0, 0.0], [0.0, 1.71218947, -2.0], [0.0, 2.125, -1.78125]]), 10**6, 30)
def test_an_enclosure_lies_inside_that_of_half_the_bits(W: NumericArray, t: int, bits: int) -> None:
    try:
        wide, narrow = (certified_power(W, t, b, max_bits=4096) for b in (bits, 2 * bits))
    except PrecisionError:
        return
    before, ctx.prec = ctx.prec, 4096
    try:
        outer, inner = wide.enclosure, narrow.enclosure
        assert isinstance(outer, arb_mat)
        assert isinstance(inner, arb_mat)
        assert outer.contains(inner)
    finally:
        ctx.prec = before


@pytest.mark.parametrize("bits", [10, 64, 300])
def test_an_enclosure_has_the_accuracy_asked_for_though_every_squaring_cancels(bits: int) -> None:
    """W = I/2 + 1e9 N, N² = 0: of the size 1e18 of a square's terms all but 1e9 cancels."""
    W = 0.5 * np.eye(2) + 1e9 * np.array([[1.0, 1.0], [-1.0, -1.0]])
    found = certified_power(W, 10**6, bits)
    cells = [found.enclosure[i, j] for i in range(2) for j in range(2)]
    assert max(x.rad() for x in cells) * arb((1, bits)) <= max(x.abs_upper() for x in cells)
    # Wᵗ = 2⁻ᵗ I + t 2¹⁻ᵗ 1e9 N
    assert found.value[0, 1] * 2.0 ** (found.exponent + 10**6 - 1) == pytest.approx(1e15, rel=1e-15)


@pytest.mark.parametrize("prime", [2**61 - 1, 10**18 + 9, 998_244_353])
def test_integer_powers_agree_with_exact_powers_modulo_primes_at_a_quintillion(prime: int) -> None:
    """Entries of a unipotent integer matrix are polynomials in t: small enough to be held exactly."""
    t = 10**18
    W = np.array([[1.0, 2, -3, 1], [0, 1, 4, -2], [0, 0, 1, 5], [0, 0, 0, 1]])
    found = certified_power(W, t, 256)
    exact = nmod_mat(4, 4, [int(x) for x in W.ravel()], prime) ** t
    for i in range(4):
        for j in range(4):
            entry = found.enclosure[i, j]
            assert isinstance(entry, arb)
            integer = entry.unique_fmpz()
            assert integer is not None
            assert int(integer) % prime == int(exact[i, j])


@pytest.mark.parametrize("t", [5, 10**9, 10**18, MAX])
def test_complex_powers_are_those_of_the_diagonal(t: int) -> None:
    W = np.diag([0.5 + 0.5j, -1j, 1.25])
    found = certified_power(W, t)
    before, ctx.prec = ctx.prec, 500
    try:
        for i in range(3):
            exact = acb(complex(W[i, i])) ** t
            assert (found.enclosure[i, i] - exact).abs_lower() == 0
    finally:
        ctx.prec = before


def test_a_stored_orthogonal_matrix_is_not_orthogonal_and_its_exact_power_shows_it() -> None:
    """The documented example: it speaks of the stored floats, not of the ideal rotation."""
    found = certified_power(ROTATION, 10**18)
    length = math.hypot(*found.value[0]) * 2.0**found.exponent
    assert found.relative_bound < 1e-16
    assert length == pytest.approx(4.398e9, rel=1e-3)
    exact = rationals(ROTATION)
    assert exact * exact.transpose() != exact**0
    # The ideal rotation keeps its length: (3² + 4²)/5² = 1.
    assert (3 * 3 + 4 * 4) == 5 * 5


@pytest.mark.parametrize("t", [0, 1, 10**18])
@pytest.mark.parametrize("n", [0, 1, 3])
def test_zero_and_identity_and_nothing_have_exact_powers(n: int, t: int) -> None:
    identity, zero = certified_power(np.eye(n), t), certified_power(np.zeros((n, n)), t)
    assert np.array_equal(identity.value * 2.0**identity.exponent, np.eye(n))
    assert np.array_equal(zero.value * 2.0**zero.exponent, np.eye(n) if t == 0 else np.zeros((n, n)))
    assert identity.relative_bound == zero.relative_bound == 0.0


def test_a_scalar_power_has_an_exponent_beyond_any_float() -> None:
    found = certified_power(np.array([[2.0**-1000]]), MAX)
    assert found.value[0, 0] == 0.5
    assert found.exponent == -1000 * MAX + 1
    assert type(found.exponent) is int


def test_time_grows_with_the_logarithm_of_t() -> None:
    """Not a speed claim: 60 squarings, where 10**18 steps would take years."""
    W = np.random.default_rng(0).standard_normal((8, 8))
    began = time.process_time()
    assert certified_power(W, 10**18).relative_bound < 1e-15
    assert time.process_time() - began < 30


def test_a_power_out_of_reach_of_the_caps_is_refused_with_advice() -> None:
    W = np.random.default_rng(1).standard_normal((6, 6))
    with pytest.raises(PrecisionError, match=r"max_bits"):
        certified_power(W, MAX, 500, max_bits=64)
    with pytest.raises(PrecisionError, match=r"max_seconds"):
        certified_power(np.ones((80, 80)) / 3, MAX, max_seconds=1e-9)


@pytest.mark.parametrize(
    ("name", "arguments", "options"),
    [
        ("W", (np.zeros((2, 3)), 1), {}),
        ("W", (np.array([[np.nan]]), 1), {}),
        ("W", (np.array([[np.inf]]), 1), {}),
        ("W", ([[True]], 1), {}),
        ("t", (np.eye(2), -1), {}),
        ("t", (np.eye(2), 2**63), {}),
        ("t", (np.eye(2), 1.0), {}),
        ("t", (np.eye(2), True), {}),
        ("bits", (np.eye(2), 1, 0), {}),
        ("bits", (np.eye(2), 1, 1.5), {}),
        ("bits", (np.eye(2), 1, True), {}),
        ("max_bits", (np.eye(2), 1), {"max_bits": 10}),
        ("max_bits", (np.eye(2), 1), {"max_bits": 1e3}),
        ("max_seconds", (np.eye(2), 1), {"max_seconds": 0}),
        ("max_seconds", (np.eye(2), 1), {"max_seconds": math.nan}),
        ("max_seconds", (np.eye(2), 1), {"max_seconds": "1"}),
    ],
)
def test_bad_input_is_refused_by_name(name: str, arguments: Any, options: Any) -> None:
    with pytest.raises(ArgumentError, match=f"^{name}: got .*, expected "):
        certified_power(*arguments, **options)


def test_a_certified_power_leaves_its_argument_alone() -> None:
    W = ROTATION.copy()
    W.flags.writeable = False
    certified_power(W, 10**6)
    assert np.array_equal(W, ROTATION)


def ginibre(n: int) -> NumericArray:
    return np.asarray(np.random.default_rng(n).standard_normal((n, n)) / np.sqrt(n))


@pytest.mark.parametrize("W", [ginibre(8), ginibre(8) + 1j * ginibre(9)[:8, :8], ginibre(8) + ginibre(8).T])
def test_planned_precisions_suffice_at_once_and_fall_from_step_to_step(W: NumericArray) -> None:
    plan = plan_of_power(W, 10**18)
    planned = plan.precisions(64)
    assert planned[-1] < 100 < planned[0]
    # The precisions fall about linearly: the mean is that of the ends.
    assert np.mean(planned) < (planned[0] + planned[-1]) / 2 + 4
    assert min(np.subtract(plan.precisions(65), planned)) == 16
    found = certified_power(W, 10**18, 64, max_bits=max(planned))
    assert found.relative_bound < 2.0**-52


def test_states_of_several_times_are_planned_together() -> None:
    W, times = ginibre(8), [5, 10**6, 10**18]
    planned = plan_of_states(W, np.ones((8, 1)), times).precisions(64)
    assert len(planned) == 60
    found = certified_states(W, np.ones((8, 1)), times, 64, max(planned), 60.0)
    assert all(state.relative_bound < 2.0**-52 for (state,) in found)
