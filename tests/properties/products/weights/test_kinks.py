"""Kinks and jumps of callables are found where they are, and nowhere else."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.special import expit, ndtr

from dynprop.arrays import FloatArray
from dynprop.products.weights.kinks import find_kinks


@pytest.mark.parametrize(
    ("function", "places", "jumps"),
    [
        (lambda x: np.clip(x, -1, 1), [-1.0, 1.0], []),
        (lambda x: np.clip(x, 0, 6), [6.0], []),
        (lambda x: np.clip(1000 * x, -1, 1), [-1e-3, 1e-3], []),
        (lambda x: np.clip(x, -300, 300), [-300.0, 300.0], []),
        (
            lambda x: np.maximum(x - math.pi / 3, 0) + np.abs(x + 0.7 * math.e),
            [-0.7 * math.e, math.pi / 3],
            [],
        ),
        (np.sign, [], [0.0]),
        (lambda x: np.where(x > 0.1, x, 20.0), [0.1], [0.1]),
        (lambda x: np.where(np.abs(x) > 0.5, x, 0.0), [-0.5, 0.5], [-0.5, 0.5]),
    ],
)
def test_kinks_and_jumps_are_found_to_rounding(
    function: Callable[[FloatArray], FloatArray], places: list[float], jumps: list[float]
) -> None:
    found = find_kinks(function)
    np.testing.assert_allclose(found.places, places, rtol=1e-12, atol=0)
    np.testing.assert_allclose(found.jumps, jumps, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    "function",
    [
        np.tanh,
        np.sin,
        np.exp,
        lambda x: x**3,
        lambda x: np.exp(-x * x),
        lambda x: x * ndtr(x),
        lambda x: x * expit(x),
        lambda x: np.logaddexp(0, x),
        lambda x: np.maximum(x, 0),
    ],
)
def test_smooth_functions_have_none_beside_0(function: Callable[[FloatArray], FloatArray]) -> None:
    found = find_kinks(function)
    assert found.places == found.jumps == ()


@settings(max_examples=12)
@given(
    st.lists(st.floats(-12.0, 12.0).filter(lambda p: abs(p) > 0.05), min_size=1, max_size=3).filter(
        lambda ps: all(abs(a - b) > 0.1 for i, a in enumerate(ps) for b in ps[:i])
    ),
    st.floats(0.1, 3.0),
)
@example(places=[-0.17], change=1.0)
def test_drawn_kinks_are_found(places: list[float], change: float) -> None:
    def function(x: FloatArray) -> FloatArray:
        bends = [change * np.abs(x - place) for place in places]
        return np.asarray(sum(bends, np.tanh(x)))

    np.testing.assert_allclose(find_kinks(function).places, sorted(places), rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("offset", [0.0, 1e-13, -1e-12, 1e-11, 3e-10])
def test_a_kink_on_the_edge_of_a_cell_is_found(offset: float) -> None:
    for eighth in range(-40, 40, 9):
        place = (eighth / 8.0 + 0.37) / 64.0 + 1.0 + offset

        def bent(x: FloatArray, place: float = place) -> FloatArray:
            return np.asarray(np.tanh(x) + np.abs(x - place))

        np.testing.assert_allclose(find_kinks(bent).places, [place], rtol=1e-10, atol=0)
