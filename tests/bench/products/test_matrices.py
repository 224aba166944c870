"""Lyapunov exponents against a factorisation at every step."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture

from dynprop.products import lyapunov_exponents
from tests.bench.conftest import Compare

Matrices = NDArray[np.float64]
N = 64


def by_qr_at_every_step(matrices: Matrices) -> NDArray[np.float64]:
    frame, total = np.eye(N), np.zeros(N)
    for matrix in matrices:
        frame, triangle = np.linalg.qr(matrix @ frame)
        total += np.log(np.abs(triangle.diagonal()))
    return np.asarray(total / len(matrices))


def gaussian(steps: int) -> Matrices:
    """Return Gaussian matrices: the condition of one is about n, with a heavy tail."""
    return np.asarray(np.random.default_rng(0).standard_normal((steps, N, N)) / np.sqrt(N))


def well_conditioned(steps: int) -> Matrices:
    """Return matrices of condition below 2, at random."""
    rng = np.random.default_rng(1)
    frames = np.linalg.qr(rng.standard_normal((2, 50, N, N)))[0]
    sizes = np.exp(rng.uniform(-0.34, 0.34, (steps, 1, N)))
    chosen = rng.integers(50, size=(2, steps))
    return np.asarray(frames[0, chosen[0]] * sizes @ frames[1, chosen[1]], dtype=np.float64)


@pytest.mark.parametrize(("sequence", "factor"), [(gaussian, 1.6), (well_conditioned, 3.0)])
def test_exponents_beat_a_factorisation_at_every_step(
    compare: Compare, benchmark: BenchmarkFixture, sequence: object, factor: float
) -> None:
    """10,000 matrices, n = 64, each exponent with a bound of 1e-8 on what rounding adds."""
    assert callable(sequence)
    matrices: Matrices = sequence(10_000 if benchmark.enabled else 300)
    found = lyapunov_exponents(matrices)
    assert found.bounds.max() <= 1e-8
    # Both routes agree far better than either bound (seen: 1e-13).
    np.testing.assert_allclose(found.exponents, by_qr_at_every_step(matrices), rtol=0.0, atol=1e-8)
    part = matrices[:2500]
    compare(partial(lyapunov_exponents, part), partial(by_qr_at_every_step, part), ceiling=1.0 / factor)


def test_memory_is_that_of_a_few_matrices(benchmark: BenchmarkFixture) -> None:
    """Any length from an iterator that makes each matrix when it is asked for."""

    def stream() -> Iterator[Matrices]:
        rng = np.random.default_rng(2)
        for _ in range(2000):
            yield rng.standard_normal((N, N))

    lyapunov_exponents(stream())
    tracemalloc.start()
    lyapunov_exponents(stream())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # A block of at most 32 matrices, and a dozen for frames, factors and batches.
    assert peak <= 60 * 8 * N * N
    benchmark.extra_info["peak, in matrices"] = peak / (8 * N * N)
    benchmark.pedantic(lyapunov_exponents, (gaussian(50),), rounds=1)
