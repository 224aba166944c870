"""The reference arithmetic is exact: Python's fractions, which share nothing with Arb, agree with it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from flint import arb, ctx
from hypothesis import given
from hypothesis import strategies as st

from dynprop.arrays import FloatArray
from dynprop.laws.exact import (
    BITS,
    Exact,
    exact_columns,
    gate_products,
    scan_adjoint,
    scan_states,
    working_precision,
)

# Two float64 parts hold 106 bits of a number; of a sum that cancels, 160-bit arithmetic keeps 2^-100 of
# its absolute terms.
LOST = Fraction(1, 2**100)
PARTS = Fraction(1, 2**105)

# Whole numbers times a power of two: exact floats whose products and sums Fraction holds exactly.
DYADIC = st.builds(lambda m, e: m * 2.0**e, st.integers(-(2**53), 2**53), st.integers(-40, 40))
SMALL = st.builds(lambda m, e: m * 2.0**e, st.integers(-9, 9), st.integers(-3, 3))


@st.composite
def scans(draw: st.DrawFn, numbers: st.SearchStrategy[float] = DYADIC) -> tuple[FloatArray, ...]:
    """Draw gates, inputs, an initial state and a cotangent of up to two rows, six steps, two channels."""
    shape = (draw(st.integers(0, 2)), draw(st.integers(0, 6)), draw(st.integers(0, 2)))

    def array(*sizes: int) -> FloatArray:
        count = int(np.prod(sizes))
        return np.array(draw(st.lists(numbers, min_size=count, max_size=count)), dtype=float).reshape(sizes)

    return array(*shape), array(*shape), array(shape[0], shape[2]), array(*shape)


Column = list[Fraction]


def columns(values: FloatArray) -> list[Column]:
    """Return every (batch, channel) column over time as fractions, row by row."""
    batch, _, channels = values.shape
    return [[Fraction(v) for v in values[b, :, c].tolist()] for b in range(batch) for c in range(channels)]


def run(gates: Column, inputs: Column, start: Fraction) -> Column:
    states = [start]
    for a, x in zip(gates, inputs, strict=True):
        states.append(a * states[-1] + x)
    return states[1:]


def derivative(
    gates: Column, inputs: Column, start: Fraction, weights: Column, leaf: str, step: int
) -> Fraction:
    """Differentiate sum(weights * states) by one number: the scan is linear in each number alone."""
    ends = []
    for change in (Fraction(0), Fraction(1)):
        a, x, h = list(gates), list(inputs), start
        if leaf == "gates":
            a[step] += change
        elif leaf == "inputs":
            x[step] += change
        else:
            h += change
        ends.append(sum((w * s for w, s in zip(weights, run(a, x, h), strict=True)), Fraction(0)))
    return ends[1] - ends[0]


def close(
    computed: Exact, expected: Sequence[Sequence[Fraction]], size: Sequence[Sequence[Fraction]]
) -> bool:
    """Say whether high + low is the fraction, within 2^-100 of the absolute terms, everywhere."""
    shape = computed.high.shape
    places = [(b, c) for b in range(shape[0]) for c in range(shape[-1])]
    for (b, c), column, terms in zip(places, expected, size, strict=True):
        index: Any = (b, slice(None), c) if len(shape) == 3 else (b, c)
        highs, lows = np.atleast_1d(computed.high[index]), np.atleast_1d(computed.low[index])
        for high, low, value, term in zip(highs.tolist(), lows.tolist(), column, terms, strict=True):
            if high == 0.0 and low == 0.0 and value != 0:
                return False
            if abs(Fraction(high) + Fraction(low) - value) > LOST * term:
                return False
            if abs(Fraction(low)) > abs(Fraction(high)) * Fraction(1, 2**52):
                return False
    return True


def absolute(values: Sequence[Column]) -> list[Column]:
    return [[abs(v) for v in column] for column in values]


@given(scans(), st.booleans())
def test_states_are_exact_to_a_hundred_bits_of_their_terms(
    arrays: tuple[FloatArray, ...], given_initial: bool
) -> None:
    gates, inputs, initial, _ = arrays
    starts = (
        [Fraction(v) for v in initial.ravel().tolist()] if given_initial else [Fraction(0)] * initial.size
    )
    triples = list(zip(columns(gates), columns(inputs), starts, strict=True))
    wanted = [run(a, x, h) for a, x, h in triples]
    terms = [run([abs(v) for v in a], [abs(v) for v in x], abs(h)) for a, x, h in triples]
    assert close(scan_states(gates, inputs, initial if given_initial else None), wanted, terms)


@given(scans())
def test_products_of_gates_are_exact_at_every_lag(arrays: tuple[FloatArray, ...]) -> None:
    gates = arrays[0]
    wanted = []
    for column in columns(gates):
        product, products = Fraction(1), []
        for a in reversed(column):
            products.append(product)
            product *= a
        wanted.append(products)
    # A product has one term: its own size.
    assert close(gate_products(gates), wanted, absolute(wanted))


@given(scans(SMALL))
def test_the_adjoint_is_the_derivative_of_the_scan(arrays: tuple[FloatArray, ...]) -> None:
    gates, inputs, initial, weights = arrays
    starts = [Fraction(v) for v in initial.ravel().tolist()]
    rows = list(zip(columns(gates), columns(inputs), starts, columns(weights), strict=True))
    gradients = scan_adjoint(gates, inputs, initial, weights)
    steps = range(gates.shape[1])
    for leaf, exact in zip(("gates", "inputs"), gradients, strict=False):
        wanted = [[derivative(*row, leaf, t) for t in steps] for row in rows]
        assert exact_everywhere(exact, wanted)
    assert exact_everywhere(gradients[2], [[derivative(*row, "initial", 0)] for row in rows])


def exact_everywhere(computed: Exact, expected: list[Column]) -> bool:
    """Small dyadic numbers fit into two floats, so that nothing at all may be lost."""
    return close(computed, expected, [[Fraction(0)] * len(column) for column in expected])


@given(scans(SMALL))
def test_an_adjoint_of_depth_two_is_the_adjoint_of_the_composition(arrays: tuple[FloatArray, ...]) -> None:
    gates, inputs, initial, weights = arrays
    inner = scan_states(gates, inputs, initial).high
    to_gates, to_inputs, to_initial = scan_adjoint(gates, inputs, initial, weights, depth=2)
    outer = scan_adjoint(gates, inner, initial, weights)
    # Small numbers: the states of the first scan are exact floats, and so is its cotangent.
    below = scan_adjoint(gates, inputs, initial, outer[1].high)
    for gradient, first, second in (
        (to_gates, outer[0], below[0]),
        (to_initial, outer[2], below[2]),
    ):
        total = [
            [Fraction(a) + Fraction(b) for a, b in zip(*pair, strict=True)]
            for pair in zip(by_column(first), by_column(second), strict=True)
        ]
        assert exact_everywhere(gradient, total)
    assert to_inputs.high.tolist() == below[1].high.tolist()


def by_column(exact: Exact) -> list[list[float]]:
    assert not exact.low.any()
    moved = exact.high[..., None] if exact.high.ndim == 2 else np.moveaxis(exact.high, 1, 2)
    return [moved[place].tolist() for place in np.ndindex(moved.shape[:2])]


def test_the_second_part_holds_what_the_first_cannot() -> None:
    products = gate_products(np.full((1, 4, 1), 1.0 / 3.0))
    value = Fraction(1.0 / 3.0) ** 3
    high, low = Fraction(products.high[0, 3, 0]), Fraction(products.low[0, 3, 0])
    assert abs(high - value) > value / 2**60
    assert abs(high + low - value) <= PARTS * value


def test_2048_steps_lose_no_more_than_2_to_the_minus_100_of_the_terms() -> None:
    rng = np.random.default_rng(0)
    shape = (1, 2048, 1)
    gates = rng.choice([-1.0, 1.0], shape) * rng.uniform(0.999, 1.001, shape)
    inputs = rng.standard_normal(shape)
    states = scan_states(gates, inputs, None)
    with working_precision(4 * BITS):
        gate, term = exact_columns(np.abs(gates)), exact_columns(np.abs(inputs))
        size = arb(0)
        for a, x in zip(gate(0, 0), term(0, 0), strict=True):
            size = a * size + x
        gate, term = exact_columns(gates), exact_columns(inputs)
        state = arb(0)
        for a, x in zip(gate(0, 0), term(0, 0), strict=True):
            state = a * state + x
        error = abs(state - arb(float(states.high[0, -1, 0])) - arb(float(states.low[0, -1, 0])))
        # 160 bits minus the eleven of 2,048 steps; two floats keep 2^-106. Observed: 2^-118.
        assert error < size * arb(2) ** -100


def test_products_below_the_smallest_float_underflow_and_above_the_largest_are_infinite() -> None:
    small = gate_products(np.full((1, 4, 1), 1e-200))
    large = gate_products(np.full((1, 4, 1), 1e200))
    assert small.high[0, :, 0].tolist() == [1.0, 1e-200, 0.0, 0.0]
    assert large.high[0, :, 0].tolist() == [1.0, 1e200, np.inf, np.inf]
    assert not np.isnan(small.low).any()
    assert not np.isnan(large.low).any()


def test_a_large_product_in_the_middle_does_not_spoil_a_state_behind_it() -> None:
    gates = np.array([1e300, 1e300, 1e-300, 1e-300])[None, :, None]
    inputs = np.array([1.0, 0.0, 0.0, 0.0])[None, :, None]
    # 1e300 and 1e-300 are floats, not powers of ten: their product is what counts.
    wanted = Fraction(1e300) * Fraction(1e-300) * Fraction(1e-300)
    states = scan_states(gates, inputs, None)
    assert states.high[0, 1, 0] == 1e300
    assert abs(Fraction(states.high[0, 3, 0]) + Fraction(states.low[0, 3, 0]) - wanted) < wanted / 2**50


# The precision of python-flint is global to the process


def test_the_precision_is_restored_also_when_the_block_raises() -> None:
    before = ctx.prec
    seen = []

    def interrupted() -> None:
        with working_precision(300):
            seen.append(ctx.prec)
            with working_precision(77):
                seen.append(ctx.prec)
            seen.append(ctx.prec)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        interrupted()
    assert seen == [300, 77, 300]
    assert ctx.prec == before


def test_references_do_not_depend_on_the_precision_of_the_caller() -> None:
    rng = np.random.default_rng(1)
    gates, inputs = rng.standard_normal((1, 30, 1)), rng.standard_normal((1, 30, 1))
    expected = scan_states(gates, inputs, None)
    before = ctx.prec
    try:
        ctx.prec = 20
        states = scan_states(gates, inputs, None)
        assert ctx.prec == 20
    finally:
        ctx.prec = before
    assert states.high.tolist() == expected.high.tolist()
    assert states.low.tolist() == expected.low.tolist()


def test_threads_wait_for_the_precision() -> None:
    started, seen = threading.Event(), []

    def other() -> None:
        started.set()
        with working_precision(50):
            seen.append(ctx.prec)

    with working_precision(200):
        thread = threading.Thread(target=other)
        thread.start()
        started.wait(10.0)
        thread.join(0.05)
        assert seen == []
        assert ctx.prec == 200
    thread.join(10.0)
    assert seen == [50]
