"""The unrolled recurrence against loops in numpy and torch."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture

from dynprop.linear import unroll
from tests.bench.conftest import Compare
from tests.bench.pairs import fastest

Matrix = NDArray[np.float64]


def data(n: int, batch: int | None = None) -> tuple[Matrix, Matrix]:
    """Return a matrix of spectral radius about one, and a state or a batch of them."""
    rng = np.random.default_rng(n)
    return rng.standard_normal((n, n)) / math.sqrt(n), rng.standard_normal((batch, n) if batch else n)


def numpy_loop(W: Matrix, h0: Matrix, steps: int) -> Matrix:
    states = np.empty((steps + 1, *h0.shape))
    states[0] = h0
    for t in range(steps):
        np.matmul(states[t], W, out=states[t + 1])
    return states


def torch_loop(W: Matrix, h0: Matrix, steps: int) -> torch.Tensor:
    weights = torch.from_numpy(W)
    states = torch.empty((steps + 1, *h0.shape), dtype=torch.float64)
    states[0] = torch.from_numpy(h0)
    for t in range(steps):
        states[t + 1] = states[t] @ weights
    return states


def faster_loop(W: Matrix, h0: Matrix, steps: int) -> Callable[[], object]:
    return fastest(partial(numpy_loop, W, h0, steps), partial(torch_loop, W, h0, steps))


def right(W: Matrix, h0: Matrix, steps: int) -> None:
    """Assert agreement with the loop within what rounding can do to any order, per step."""
    value, expected = unroll(W, h0, steps), numpy_loop(W, h0, steps)
    scale = np.abs(h0)
    count = len(W) * 2.0**-53
    for t in (1, steps // 2, steps):
        size = np.abs(expected[t])
        if t <= 64:
            for _ in range(t):
                scale = scale @ np.abs(W)
            size = scale
            scale = np.abs(h0)
            assert np.all(np.abs(value[t] - expected[t]) <= 4.0 * t * count * size)
        else:
            # Beyond that the componentwise bound is larger than any double; relative agreement is enough.
            assert np.abs(value[t] - expected[t]).max() <= 1e-6 * size.max()


def test_many_steps_of_a_small_matrix(compare: Compare) -> None:
    W, h0 = data(8)
    W /= np.abs(np.linalg.eigvals(W)).max()
    right(W, h0, 100_000)
    compare(partial(unroll, W, h0, 100_000), partial(numpy_loop, W, h0, 100_000), ceiling=1.0 / 20.0)


def test_many_steps_of_a_large_matrix(compare: Compare, benchmark: BenchmarkFixture) -> None:
    n, steps = (1024, 4096) if benchmark.enabled else (64, 256)
    W, h0 = data(n)
    right(W, h0, steps)
    compare(partial(unroll, W, h0, steps), faster_loop(W, h0, steps), ceiling=1.0 / 1.2)


@pytest.mark.parametrize("batch", [1, 64])
@pytest.mark.parametrize("n", [8, 32, 128, 512, 1024])
def test_never_slower_than_a_loop(compare: Compare, n: int, batch: int) -> None:
    W, h0 = data(n, batch)
    steps = 256 if n <= 128 else 64
    right(W, h0, steps)
    compare(partial(unroll, W, h0, steps), faster_loop(W, h0, steps), ceiling=1.1)


def test_memory_is_the_output_and_a_few_matrices(benchmark: BenchmarkFixture) -> None:
    n, steps = 256, 4096
    W, h0 = data(n)
    tracemalloc.start()
    states = unroll(W, h0, steps)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= states.nbytes + 40 * W.nbytes
    benchmark.extra_info["bytes beyond the output, in matrices"] = (peak - states.nbytes) / W.nbytes
    benchmark.pedantic(unroll, (W, h0, steps), rounds=1)
