"""`closed_form` is never silently wrong: at any time the exact state lies within the bound, or it refuses.

The referee is python-flint alone, with 250 bits of the largest entry (`exact_power`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynprop.arrays import FloatArray, NumericArray
from dynprop.errors import ArgumentError, PrecisionError
from dynprop.linear import ClosedForm, closed_form
from tests.properties.linear.exact_power import State, rationals

MAX = 2**63 - 1
FLOAT_ROUTES: tuple[Any, ...] = ("loop", "squaring", "symmetric", "eigen", "schur")
DECADES = (1, 10, 100, 1000, 10**4, 10**5, 10**6, 10**9, 10**12, MAX)


def rng_of(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def gaussian(rng: np.random.Generator, n: int) -> NumericArray:
    return np.asarray(rng.standard_normal((n, n)) / n**0.5)


def orthogonal(rng: np.random.Generator, n: int) -> FloatArray:
    return np.asarray(np.linalg.qr(rng.standard_normal((n, n)))[0])


def unimodular(rng: np.random.Generator, n: int) -> tuple[FloatArray, FloatArray]:
    """An integer matrix of determinant 1 and its exact inverse, both of small entries."""
    upper = np.eye(n) + np.triu(rng.integers(-1, 2, (n, n)), 1)
    lower = np.eye(n) + np.tril(rng.integers(-1, 2, (n, n)), -1)
    S, inverse = upper @ lower, np.rint(np.linalg.inv(lower)) @ np.rint(np.linalg.inv(upper))
    assert np.array_equal(S @ inverse, np.eye(n))
    return S, inverse


def hidden(rng: np.random.Generator, n: int, eigenvalue: float) -> NumericArray:
    """One Jordan block behind a similarity that floats hold exactly."""
    S, inverse = unimodular(rng, n)
    return S @ (eigenvalue * np.eye(n) + np.eye(n, k=1)) @ inverse


def symmetric(rng: np.random.Generator, n: int) -> NumericArray:
    A = gaussian(rng, n)
    return np.asarray((A + A.T) / 2)


def hermitian(rng: np.random.Generator, n: int) -> NumericArray:
    A = gaussian(rng, n) + 1j * gaussian(rng, n)
    return np.asarray(A + A.conj().T) / 2


def repeated(rng: np.random.Generator, n: int) -> NumericArray:
    S, inverse = unimodular(rng, n)
    return np.asarray(S @ np.diag(np.where(np.arange(n) % 2, 0.5, 2.0)) @ inverse)


def near_defective(rng: np.random.Generator, n: int) -> FloatArray:
    gap = 10.0 ** -rng.uniform(3, 14)
    return np.diag(1.0 + gap * np.arange(n)) + np.eye(n, k=1)


def pairs(rng: np.random.Generator, n: int) -> FloatArray:
    """Complex pairs of one modulus."""
    A = np.zeros((n, n))
    for i in range(0, n - 1, 2):
        c, s = np.cos(angle := rng.uniform(0, np.pi)), np.sin(angle)
        A[i : i + 2, i : i + 2] = [[c, -s], [s, c]]
    S, inverse = unimodular(rng, n)
    return S @ A @ inverse


def blocks(rng: np.random.Generator, n: int) -> FloatArray:
    A, half = np.zeros((n, n)), n // 2
    A[:half, :half], A[half:, half:] = 3 * gaussian(rng, half), 0.2 * gaussian(rng, n - half)
    return A


def graded(rng: np.random.Generator, n: int) -> NumericArray:
    return np.asarray(gaussian(rng, n) * 10.0 ** (-rng.integers(1, 40) * np.arange(n))[:, None])


FAMILIES: dict[str, Callable[[np.random.Generator, int], NumericArray]] = {
    "normal": orthogonal,
    "symmetric": symmetric,
    "hermitian": hermitian,
    "non-normal": gaussian,
    "nonnegative": lambda rng, n: np.abs(gaussian(rng, n)),
    "complex": lambda rng, n: gaussian(rng, n) + 1j * gaussian(rng, n),
    "jordan": lambda rng, n: rng.uniform(-2, 2) * np.eye(n) + np.eye(n, k=1),
    "hidden-jordan": lambda rng, n: hidden(rng, n, 3.0),
    "near-defective": near_defective,
    "nilpotent": lambda rng, n: np.triu(gaussian(rng, n), 1),
    "hidden-nilpotent": lambda rng, n: hidden(rng, n, 0.0),
    "graded": graded,
    "block-diagonal": blocks,
    "repeated": repeated,
    "complex-pairs": pairs,
    "near-overflow": lambda rng, n: gaussian(rng, n) * 1e307,
    "near-underflow": lambda rng, n: gaussian(rng, n) * 1e-318,
    "grcar": lambda rng, n: np.triu(np.tril(np.ones((n, n)), 3)) - np.eye(n, k=-1),
}


def start(rng: np.random.Generator, family: str, W: NumericArray) -> NumericArray:
    h = rng.standard_normal(len(W))
    if family == "nonnegative":
        return np.abs(h)
    if family == "block-diagonal":
        h[: len(W) // 2] = 0.0
    return h + 1j * rng.standard_normal(len(W)) if np.iscomplexobj(W) else h


def check(found: ClosedForm, W: NumericArray, h: NumericArray, t: int) -> None:
    assert isinstance(found.relative_bound, float)
    assert isinstance(found.exponent, int)
    if not found.value.any():
        # A zero is exact: no bound, no exponent, and exact arithmetic agrees.
        assert (found.relative_bound, found.exponent) == (0.0, 0)
        assert len(h) == 0 or State(W, h, t).zero
        return
    assert 0.5 <= np.abs(found.value).max() < 1
    assert State(W, h, t).within(found.value, found.exponent, found.relative_bound)


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=12)
@given(st.integers(0, 2**32 - 1), st.integers(1, 7), st.sampled_from(DECADES), st.integers(0, 3))
def test_every_route_holds_its_bound_or_refuses(
    family: str, seed: int, n: int, decade: int, more: int
) -> None:
    rng = rng_of(seed)
    W = FAMILIES[family](rng, n)
    h, t = start(rng, family, W), min(decade + more, MAX)
    for route in ("auto", *FLOAT_ROUTES):
        if route == "loop" and t > 3000:
            continue
        try:
            found = closed_form(W, h, t, route, max_seconds=20)
        except PrecisionError:
            assert route != "auto" or family in ("graded", "near-defective")
            continue
        except ArgumentError:
            assert route == "symmetric"
            continue
        check(found, W, h, t)
        if route == "auto":
            assert found.relative_bound < 1e-10


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(0, 60))
def test_the_automatic_route_equals_exact_rational_powers(seed: int, n: int, t: int) -> None:
    """A second referee: rational arithmetic, no balls."""
    rng = rng_of(seed)
    W, h = gaussian(rng, n), rng.standard_normal(n)
    found = closed_form(W, h, t)
    exact = rationals(W.T.copy()) ** t * rationals(h)
    size = max(abs(Fraction(x)) for x in found.value.tolist())
    for i, x in enumerate(found.value.tolist()):
        assert isinstance(found.exponent, int)
        truth = Fraction(int(exact[i, 0].p), int(exact[i, 0].q)) / Fraction(2) ** found.exponent
        assert isinstance(found.relative_bound, float)
        assert abs(Fraction(x) - truth) <= Fraction(found.relative_bound) * size


@pytest.mark.parametrize("decade", [1, 10, 100, 1000, 10**4, 10**6, 10**12])
def test_the_bound_is_no_blank_cheque(decade: int) -> None:
    """An error ten times the worst that any route made in a decade is outside most of its bounds.

    The worst stands for float64 arithmetic at that length: a long product, an ill-conditioned matrix.
    """
    errors, bounds = [], []
    for seed in range(60):
        rng = rng_of(1000 * decade + seed)
        family = list(FAMILIES)[seed % len(FAMILIES)]
        W = FAMILIES[family](rng, int(rng.integers(2, 7)))
        h, t = start(rng, family, W), int(rng.integers(decade, 9 * decade))
        found = closed_form(W, h, t)
        if not found.value.any():
            continue
        exact = State(W, h, t)
        bounds.append(found.relative_bound)
        for other in ("auto", "squaring", "schur"):
            try:
                again = closed_form(W, h, t, other)
            except PrecisionError:
                continue
            assert isinstance(again.exponent, int)
            errors.append(exact.relative_error(again.value, again.exponent))
    assert np.mean(10.0 * max(errors) > np.array(bounds)) > 0.5


@pytest.mark.parametrize("route", FLOAT_ROUTES)
def test_a_forced_route_has_a_bound_within_three_decades_of_its_error(route: Any) -> None:
    ratios = []
    for seed in range(30):
        rng = rng_of(seed)
        W = symmetric(rng, 5) if route == "symmetric" else np.abs(gaussian(rng, 5))
        h, t = np.abs(rng.standard_normal(5)), int(rng.integers(20, 200))
        found = closed_form(W, h, t, route)
        assert isinstance(found.exponent, int)
        assert isinstance(found.relative_bound, float)
        ratios.append(State(W, h, t).relative_error(found.value, found.exponent) / found.relative_bound)
    assert max(ratios) <= 1.0
    # Seen: between 0.004 (loop, whose bound counts every rounding as the worst) and 0.05 (schur).
    assert np.median(ratios) > 1e-3


# The formula


def test_the_formula_of_the_textbook_is_told_apart() -> None:
    """QΛᵗQᵀ is right and QᵀΛᵗQ is not, though norm, trace, determinant and spectrum agree."""
    rng = rng_of(7)
    u, v = rng.standard_normal((2, 5))
    Q = (np.eye(5) - 2 * np.outer(u, u) / (u @ u)) @ (np.eye(5) - 2 * np.outer(v, v) / (v @ v))
    powers = np.diag(np.array([0.9, -0.8, 0.5, 0.3, 0.1]) ** 7)
    W = Q @ np.diag([0.9, -0.8, 0.5, 0.3, 0.1]) @ Q.T
    W = (W + W.T) / 2
    ours = np.column_stack([closed_form(W, e, 7, "symmetric").state for e in np.eye(5)])
    right, book = Q @ powers @ Q.T, Q.T @ powers @ Q
    assert np.linalg.norm(book) == pytest.approx(np.linalg.norm(right), rel=1e-12)
    assert np.trace(book) == pytest.approx(np.trace(right), rel=1e-12)
    assert np.allclose(np.sort(np.linalg.eigvals(book)), np.sort(np.linalg.eigvals(right)), atol=1e-12)
    assert np.abs(ours - right).max() < 1e-14
    assert np.abs(ours - book).max() > 0.1
    assert np.linalg.norm(ours - book) == pytest.approx(
        np.linalg.norm(Q @ Q @ powers - powers @ Q @ Q), rel=1e-9
    )


@pytest.mark.parametrize("route", ["loop", "squaring", "eigen", "schur", "certified"])
def test_rows_go_through_w_and_columns_through_its_transpose(route: Any) -> None:
    W, h = np.array([[0.5, 2.0], [0.0, 0.25]]), np.array([1.0, 3.0])
    expected = h @ W @ W @ W
    assert np.allclose(closed_form(W, h, 3, route).state, expected, rtol=1e-14, atol=0)
    assert not np.allclose(W @ W @ W @ h, expected)


def test_left_eigenvectors_are_transposed_and_not_conjugated() -> None:
    W, h = np.array([[1j, 2.0], [0.5, 1.0 + 1j]]), np.array([1.0 + 2j, -1j])
    for route in ("loop", "squaring", "eigen", "schur", "certified"):
        assert np.allclose(closed_form(W, h, 5, route).state, h @ np.linalg.matrix_power(W, 5), rtol=1e-12)


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(0, 10**18), st.integers(0, 10**18))
@settings(max_examples=20)
def test_times_add(seed: int, n: int, first: int, second: int) -> None:
    """The state at s + t is the state at t of the state at s, within what the first bound lets grow."""
    W, h = symmetric(rng_of(seed), n), rng_of(seed + 1).standard_normal(n)
    whole = closed_form(W, h, first + second)
    halfway = closed_form(W, h, first)
    rest = closed_form(W, halfway.value, second)
    assert isinstance(whole.exponent, int)
    assert isinstance(halfway.exponent, int)
    assert isinstance(rest.exponent, int)
    shift = rest.exponent + halfway.exponent - whole.exponent
    assert abs(shift) <= 1
    # The error at s is within 1e-10 of h_s, and the dominant mode, which makes h_t, grows by no more than h_t
    # where h_s already points along it; where it does not, the digits may be lost: then nothing is asked.
    if np.linalg.norm(W @ halfway.value) > 0.9 * np.abs(np.linalg.eigvalsh(W)).max() * np.linalg.norm(
        halfway.value
    ):
        assert np.abs(rest.value * 2.0**shift - whole.value).max() < 1e-8


# Which route


def test_the_automatic_route_takes_the_cheapest_that_is_accurate_enough() -> None:
    rng = rng_of(0)
    A, h = gaussian(rng, 100), rng.standard_normal(100)
    assert closed_form(A, h, 3).route == "loop"
    assert closed_form(np.abs(A), np.abs(h), 1000).route == "squaring"
    assert closed_form(A + A.T, h, 1000).route == "symmetric"
    assert closed_form(hermitian(rng, 100), h, 10**5).route == "symmetric"
    assert closed_form(A, h, 1000).route == "eigen"
    assert closed_form(hidden(rng, 4, 3.0), h[:4], 10**5).route in ("schur", "certified", "squaring")
    assert closed_form(A, h, 10**15).route == "certified"


def test_a_defective_matrix_has_no_eigen_form() -> None:
    for n in (2, 3, 8):
        for W in (0.9 * np.eye(n) + np.eye(n, k=1), hidden(rng_of(n), n, 3.0)):
            with pytest.raises(PrecisionError, match=r"defective or nearly so|bounds its relative error"):
                closed_form(W, np.ones(n), 1000, "eigen")
            check(closed_form(W, np.ones(n), 1000), W, np.ones(n), 1000)


def test_the_symmetric_route_wants_a_symmetric_matrix_to_the_last_bit() -> None:
    W = symmetric(rng_of(0), 4)
    W[0, 1] = np.nextafter(W[0, 1], 2)
    with pytest.raises(ArgumentError, match=r"^W: got a matrix unlike its conjugate transpose"):
        closed_form(W, np.ones(4), 2, "symmetric")
    complex_symmetric = np.array([[1.0, 1j], [1j, 2.0]])
    with pytest.raises(ArgumentError, match=r"Hermitian"):
        closed_form(complex_symmetric, np.ones(2), 2, "symmetric")


@pytest.mark.parametrize("route", FLOAT_ROUTES)
def test_a_forced_route_that_knows_no_digit_refuses_and_says_what_to_do(route: Any) -> None:
    with pytest.raises(PrecisionError, match=r"take route 'certified'"):
        closed_form(symmetric(rng_of(0), 4), np.ones(4), MAX, route)
    with pytest.raises(PrecisionError, match=r"max_seconds|certified"):
        closed_form(symmetric(rng_of(0), 4), np.ones(4), 2**50, "loop", max_seconds=0.05)


def test_where_digits_cancel_beyond_the_caps_the_certified_route_refuses() -> None:
    """The start has no dominant component, exactly: 2**-t of the power is what remains."""
    W = np.array([[1.25, 0.75], [0.75, 1.25]])  # eigenvalues 2 and 1/2, eigenvectors (1, 1) and (1, -1)
    check(closed_form(W, np.array([1.0, -1.0]), 500), W, np.array([1.0, -1.0]), 500)
    with pytest.raises(PrecisionError, match=r"max_bits"):
        closed_form(W, np.array([1.0, -1.0]), 10**6)
    assert closed_form(W, np.array([1.0, -1.0]), 10**4, max_bits=2**16).state[0] == 0.0
    with pytest.raises(PrecisionError, match=r"max_seconds"):
        closed_form(gaussian(rng_of(0), 30), np.ones(30), 10**15, max_seconds=1e-9)


# Zeros, sizes, many times


@pytest.mark.parametrize("route", ["auto", "loop", "squaring", "symmetric", "eigen", "schur", "certified"])
def test_zeros_are_exact_on_every_route(route: Any) -> None:
    for W, h, t in (
        (np.zeros((3, 3)), np.ones(3), 5),
        (np.eye(3), np.zeros(3), MAX),
        (np.zeros((0, 0)), np.zeros(0), 7),
    ):
        found = closed_form(W, h, t, route)
        assert not found.value.any()
        assert (found.exponent, found.relative_bound) == (0, 0.0)


@pytest.mark.parametrize("n", [2, 3, 6])
def test_a_nilpotent_matrix_forgets_everything_after_n_steps_and_not_before(n: int) -> None:
    shift, masked = np.eye(n, k=1), hidden(rng_of(n), n, 0.0)
    for W in (shift, masked):
        h = np.arange(1.0, n + 1)
        for t in (n - 1, n, n + 5, MAX):
            check(closed_form(W, h, t), W, h, t)
        assert not closed_form(W, h, n).value.any()
        assert closed_form(W, h, n - 1).value.any()
    assert not closed_form(1j * masked, np.ones(n), n).value.any()


def test_time_zero_is_the_start_bit_by_bit() -> None:
    h = rng_of(0).standard_normal(5)
    for route in ("auto", *FLOAT_ROUTES, "certified"):
        found = closed_form(np.eye(5) * 3, h, 0, route)
        assert np.array_equal(found.state, h)
        assert found.relative_bound == 0.0


@pytest.mark.parametrize("t", [1, 1000, 10**6, MAX])
def test_a_scalar_is_a_number_to_a_power(t: int) -> None:
    for w in (0.3, -1.7, 2.0, 1e-300, 5e-324, 1.7e308, 0.6 + 0.8j):
        W, h = np.array([[w]]), np.array([3.0])
        check(closed_form(W, h, t), W, h, t)


def test_an_unreachable_block_costs_no_digits() -> None:
    """The growing block is never entered: beside it the state would be lost at t = 60."""
    W, h = np.diag([1e6, 0.5]), np.array([0.0, 1.0])
    for route in ("auto", "loop", "squaring", "symmetric", "eigen", "schur"):
        found = closed_form(W, h, 900, route)
        assert found.state.tolist() == [0.0, 0.5**900]


@pytest.mark.parametrize("route", ["auto", "squaring", "symmetric", "eigen", "schur", "certified"])
def test_many_times_are_those_one_by_one(route: Any) -> None:
    W, h = np.abs(symmetric(rng_of(3), 6)), np.abs(rng_of(4).standard_normal(6))
    times = [5, 0, 1, 800, 17, 5, 333]
    found = closed_form(W, h, np.array(times), route)
    assert found.value.shape == (7, 6)
    assert isinstance(found.exponent, np.ndarray)
    assert isinstance(found.relative_bound, np.ndarray)
    assert found.exponent.dtype == object
    assert found.relative_bound.shape == (7,)
    for i, t in enumerate(times):
        assert type(found.exponent[i]) is int
        assert State(W, h, t).within(found.value[i], found.exponent[i], float(found.relative_bound[i]))
    assert np.array_equal(found.value[0], found.value[5])
    assert closed_form(W, h, []).value.shape == (0, 6)
    alone = closed_form(W, h, 333)
    assert np.allclose(found.state[6], alone.state, rtol=1e-9, atol=0)


@pytest.mark.parametrize("route", ["squaring", "symmetric", "eigen", "schur", "certified"])
def test_hundreds_of_times_keep_their_order(route: Any) -> None:
    W, h = np.diag([2.0, 0.5]), np.array([1.0, 0.0])
    times = rng_of(0).permutation(300)
    found = closed_form(W, h, times, route)
    assert np.allclose(found.state[:, 0], 2.0**times, rtol=1e-12, atol=0)
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    if route in ("eigen", "schur", "certified"):
        states = closed_form(turn, np.ones(2), times, route).state
        angles = np.pi / 4 - times * np.arccos(0.6)
        # Stored and ideal rotation part by 300 roundings.
        assert np.abs(states - np.sqrt(2) * np.column_stack([np.cos(angles), np.sin(angles)])).max() < 1e-12


def test_the_state_in_plain_floats_saturates() -> None:
    grown, gone = (closed_form(np.array([[w]]), np.ones(1), 10**6) for w in (2.0, 0.5))
    assert grown.state[0] == math.inf
    assert gone.state[0] == 0.0
    assert gone.value[0] == 0.5
    assert gone.exponent == -(10**6) + 1


# Arguments


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("W", {"W": np.zeros((2, 3))}),
        ("W", {"W": np.array([[1.0, np.nan], [0.0, 1.0]])}),
        ("W", {"W": np.array([[1.0, np.inf], [0.0, 1.0]])}),
        ("W", {"W": [[1.0, 0.0], [0.0]]}),
        ("W", {"W": np.full((2, 2), 2**53 + 1)}),
        ("h0", {"h0": np.ones(3)}),
        ("h0", {"h0": np.ones((2, 3))}),
        ("h0", {"h0": np.ones((1, 1, 2))}),
        ("h0", {"h0": np.array([np.nan, 1.0])}),
        ("t", {"t": -1}),
        ("t", {"t": 2**63}),
        ("t", {"t": 1.0}),
        ("t", {"t": True}),
        ("t", {"t": "3"}),
        ("t", {"t": None}),
        ("t", {"t": np.array([1.5])}),
        ("t", {"t": np.zeros((2, 2), dtype=int)}),
        ("t", {"t": [1, -1]}),
        ("route", {"route": "fast"}),
        ("route", {"route": None}),
        ("max_bits", {"max_bits": 8}),
        ("max_seconds", {"max_seconds": -1.0}),
    ],
)
def test_bad_input_is_refused_by_name(name: str, change: dict[str, Any]) -> None:
    arguments: dict[str, Any] = {"W": np.eye(2), "h0": np.ones(2), "t": 3} | change
    with pytest.raises(ArgumentError, match=rf"^{name}(\[\d+\])?: got .*, expected "):
        closed_form(**arguments)


def test_arguments_are_not_modified_and_single_precision_is_widened() -> None:
    W, h = symmetric(rng_of(0), 4).astype(np.float32), np.ones(4, dtype=np.float32)
    copies = W.copy(), h.copy()
    W.flags.writeable = h.flags.writeable = False
    for route in ("auto", *FLOAT_ROUTES, "certified"):
        found = closed_form(W, h, 50, route)
        assert found.value.dtype == np.float64
        check(found, W.astype(np.float64), h.astype(np.float64), 50)
    assert np.array_equal(W, copies[0])
    assert np.array_equal(h, copies[1])
