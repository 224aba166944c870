"""Running products at the speed of a cumulative sum."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture

from dynprop.products import running_log_products
from tests.bench.conftest import Compare

Weights = NDArray[np.float64]


def right(weights: Weights) -> None:
    """Assert agreement with the product itself where it is a float, and beyond with plain sums."""
    signs, logs = running_log_products(weights)
    direct = np.cumprod(weights[:50], axis=0)
    # One ulp of logarithm and exponential, and 50 additions (as `running_log_products` states).
    slack = 110 * 2.0**-53 * np.cumsum(np.abs(np.log(np.abs(weights[:50]))), axis=0) + 4 * 2.0**-53
    assert np.all(np.abs(signs[:50] * np.exp(logs[:50]) - direct) <= np.expm1(slack) * np.abs(direct))
    assert logs[-1, 0] == np.cumsum(np.log(np.abs(weights[:, 0])))[-1]


def test_running_products_cost_at_most_two_cumulative_sums(
    compare: Compare, benchmark: BenchmarkFixture
) -> None:
    """1e5 steps of 1,000 weights: the products themselves underflow within 1,200 of them."""
    steps, series = (100_000, 1000) if benchmark.enabled else (2000, 100)
    weights = np.random.default_rng(0).standard_normal((steps, series))
    right(weights)
    compare(partial(running_log_products, weights), partial(np.cumsum, weights, axis=0), ceiling=2.0)
