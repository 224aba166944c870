"""The closed form against numpy's matrix_power: one time, many times, and certified arithmetic by log t."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, Literal

import numpy as np
import pytest
from numpy.linalg import matrix_power
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture

from dynprop.linear import certified_power, closed_form
from tests.bench.conftest import Compare

Matrix = NDArray[np.float64]
Route = Literal["auto", "symmetric", "eigen"]
LARGE = 256


def symmetric_matrix(n: int) -> Matrix:
    """Return a symmetric matrix of spectral radius 1 - 1e-6, whose millionth power is of order one."""
    rng = np.random.default_rng(n)
    basis, _ = np.linalg.qr(rng.standard_normal((n, n)))
    values = rng.uniform(-0.9, 0.9, n)
    values[0] = 1.0 - 1e-6
    W: Matrix = (basis * values) @ basis.T
    return (W + W.T) / 2.0


def general_matrix(n: int) -> Matrix:
    """Return a well-conditioned diagonalisable matrix with its dominant eigenvalue just below one."""
    rng = np.random.default_rng(n)
    basis = np.eye(n) + 0.1 * rng.standard_normal((n, n)) / math.sqrt(n)
    values = rng.uniform(-0.9, 0.9, n)
    values[0] = 1.0 - 1e-6
    return np.asarray(np.linalg.solve(basis.T, (basis * values).T).T)


def agrees(W: Matrix, h0: Matrix, t: int, route: Route) -> None:
    """Assert that a route agrees with repeated squaring within its own bound and that of squaring."""
    found: Any = closed_form(W, h0, t, route=route)
    expected = h0 @ matrix_power(W, t)
    error = np.abs(found.value * 2.0**found.exponent - expected).max() / np.abs(expected).max()
    # Squaring multiplies relative errors by t in the dominant mode: 2 n u t, and here t = 1e6 at most.
    assert error <= found.relative_bound + 2.0 * len(W) * 2.0**-53 * t
    assert found.relative_bound < 1e-3


def test_symmetric_route_of_one_time(compare: Compare) -> None:
    W, h0 = symmetric_matrix(LARGE), np.ones(LARGE)
    agrees(W, h0, 10**6, "symmetric")
    compare(
        partial(closed_form, W, h0, 10**6, route="symmetric"), partial(matrix_power, W, 10**6), ceiling=1.3
    )


def test_eigen_route_of_one_time(compare: Compare) -> None:
    W, h0 = general_matrix(LARGE), np.ones(LARGE)
    agrees(W, h0, 10**6, "eigen")
    compare(partial(closed_form, W, h0, 10**6, route="eigen"), partial(matrix_power, W, 10**6), ceiling=4.0)


def test_auto_of_nonnegative_data(compare: Compare) -> None:
    rng = np.random.default_rng(5)
    W = rng.random((LARGE, LARGE)) / (LARGE / 2.0)
    h0 = rng.random(LARGE)
    found: Any = closed_form(W, h0, 1000)
    assert found.relative_bound < 1e-10
    agrees(W, h0, 1000, "auto")
    compare(partial(closed_form, W, h0, 1000), partial(matrix_power, W, 1000), ceiling=2.0)


def test_a_thousand_times_of_one_matrix(compare: Compare) -> None:
    W, h0 = symmetric_matrix(LARGE), np.ones(LARGE)
    times = np.unique(np.geomspace(1, 10**6, 1500).astype(np.int64))[:1000]
    assert len(times) == 1000
    found: Any = closed_form(W, h0, times, route="symmetric")
    assert found.value.shape == (1000, LARGE)
    for i in (0, 500, 999):
        single: Any = closed_form(W, h0, int(times[i]), route="symmetric")
        scale = 2.0 ** float(found.exponent[i] - single.exponent)
        error = np.abs(found.value[i] * scale - single.value).max()
        assert error <= (found.relative_bound[i] + single.relative_bound) * np.abs(single.value).max() * 2.0

    def reference() -> None:
        # Ten of the thousand; the ceiling counts that.
        for t in times[::100]:
            matrix_power(W, int(t))

    compare(partial(closed_form, W, h0, times, route="symmetric"), reference, ceiling=1.0)


def test_auto_of_a_large_general_matrix(benchmark: BenchmarkFixture) -> None:
    """Promised: under 10 s, whichever route it takes; reported, not asserted."""
    n = LARGE if benchmark.enabled else 32
    rng = np.random.default_rng(7)
    W = rng.standard_normal((n, n)) / math.sqrt(n)
    found: Any = benchmark.pedantic(closed_form, (W, np.ones(n), 10**6), rounds=1)
    assert found.relative_bound < 1e-10
    benchmark.extra_info["budget_seconds"] = 10.0


@pytest.mark.parametrize(("n", "budget"), [(32, 0.5), (8, 0.01)])
def test_certified_power_at_a_quintillion(benchmark: BenchmarkFixture, n: int, budget: float) -> None:
    W = np.random.default_rng(n).standard_normal((n, n)) / math.sqrt(n)
    found = benchmark.pedantic(certified_power, (W, 10**18, 53), rounds=5, warmup_rounds=1)
    assert found.relative_bound <= 2.0**-51
    benchmark.extra_info["budget_seconds"] = budget


def test_certified_time_grows_with_the_logarithm_of_t(compare: Compare) -> None:
    """From t = 1e9 to 1e18 twice the squarings; a time that grew with t would be a billion times more."""
    W = np.random.default_rng(3).standard_normal((8, 8)) / math.sqrt(8.0)
    assert certified_power(W, 10**18, 53).relative_bound <= 2.0**-51
    # Twice the squarings, at up to twice the bits: below 8, generously.
    compare(partial(certified_power, W, 10**18, 53), partial(certified_power, W, 10**9, 53), ceiling=8.0)
