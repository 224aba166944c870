"""Gradients by lag against the product of the Jacobians, and probes against backward passes."""

from __future__ import annotations

import tracemalloc
from functools import partial
from typing import Any

import numpy as np
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import nn

from dynprop.arrays import FloatArray
from dynprop.gradients import gradient_by_lag, lyapunov_spectrum
from dynprop.gradients.lags.chain import product_norms
from dynprop.gradients.models.parts import parts_of
from tests.bench.conftest import Compare

N, STEPS = 64, 200


def net(hidden: int = N, gain: float = 1.0) -> nn.RNN:
    module = nn.RNN(8, hidden, dtype=torch.float64)
    rng = np.random.default_rng(0)
    with torch.no_grad():
        weights = gain * rng.standard_normal((hidden, hidden)) / np.sqrt(hidden)
        module.get_parameter("weight_hh_l0").copy_(torch.from_numpy(weights))
    return module


def inputs(steps: int) -> torch.Tensor:
    return torch.from_numpy(0.3 * np.random.default_rng(1).standard_normal((steps, 1, 8)))


def jacobians(module: nn.RNN, given: torch.Tensor) -> FloatArray:
    """Return J_T, J_(T-1), ..."""
    chain = parts_of(module, given)[0].chain
    times = np.arange(len(given), 0, -1)
    return chain.block(np.zeros_like(times), times).jacobians()


def multiplied(factors: FloatArray) -> FloatArray:
    products = np.empty_like(factors)
    products[0] = factors[0]
    for k in range(1, len(factors)):
        np.matmul(products[k - 1], factors[k], out=products[k])
    return products


def multiplied_and_measured(factors: FloatArray) -> FloatArray:
    found: FloatArray = torch.linalg.matrix_norm(torch.from_numpy(multiplied(factors)), 2).numpy()
    return found


def test_all_lags_cost_little_more_than_product_and_norms(
    compare: Compare, benchmark: BenchmarkFixture
) -> None:
    module, given = net(), inputs(STEPS)
    factors = jacobians(module, given)
    found = gradient_by_lag(module, given).log_norms[0, 1:]
    np.testing.assert_allclose(found, np.log(multiplied_and_measured(factors)), rtol=0.0, atol=1e-10)
    compare(partial(gradient_by_lag, module, given), partial(multiplied_and_measured, factors), ceiling=1.5)


def test_frobenius_norms_cost_little_more_than_the_product(
    compare: Compare, benchmark: BenchmarkFixture
) -> None:
    """Jacobians along a trajectory, multiplied, against the same with a scale and a norm at every lag.

    A call of `gradient_by_lag` also copies and calls the model and follows its trajectory: three times the
    product for a net of this size.
    """
    module, given = net(), inputs(STEPS)
    chain = parts_of(module, given)[0].chain
    found = gradient_by_lag(module, given, norm="frobenius").log_norms[0, 1:]
    expected = np.log(np.linalg.norm(multiplied(jacobians(module, given)), axis=(1, 2)))
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=1e-10)
    times = np.arange(STEPS, 0, -1)

    def product() -> FloatArray:
        return multiplied(chain.block(np.zeros_like(times), times).jacobians())

    compare(partial(product_norms, chain, STEPS, singular=False), product, ceiling=1.3)


def test_all_lags_beat_autograd_at_a_few(compare: Compare, benchmark: BenchmarkFixture) -> None:
    """Twenty lags by autograd cost more than three times all 200: thirty times for all."""
    module, given = net(), inputs(STEPS)
    states = [torch.zeros(1, 1, N, dtype=torch.float64)]
    with torch.no_grad():
        for now in given:
            states.append(module(now[None], states[-1])[1])

    def by_autograd(lag: int) -> torch.Tensor:
        found: Any = torch.autograd.functional.jacobian(  # type: ignore[no-untyped-call]  # torch has no annotation
            lambda h: module(given[STEPS - lag :], h)[1].reshape(-1), states[STEPS - lag]
        )
        return torch.as_tensor(found.reshape(N, N))

    lags = range(10, STEPS + 1, 10) if benchmark.enabled else (10, 100)
    found = gradient_by_lag(module, given).log_norms[0]
    for lag in (10, 100):
        expected = float(torch.linalg.matrix_norm(by_autograd(lag), 2).log())
        assert abs(found[lag] - expected) < 1e-10
    share = len(lags) / STEPS
    compare(
        partial(gradient_by_lag, module, given),
        lambda: [by_autograd(k) for k in lags],
        ceiling=1.0 / (30.0 * share),
    )


def test_memory_does_not_hold_the_jacobians(benchmark: BenchmarkFixture) -> None:
    """10,000 steps: O(n² + T n) numbers; the Jacobians alone are 330 MB."""
    steps = 10_000 if benchmark.enabled else 1000
    module, given = net(), inputs(steps)
    gradient_by_lag(module, inputs(10), norm="frobenius")
    tracemalloc.start()
    found = gradient_by_lag(module, given, norm="frobenius")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.isfinite(found.log_norms).all()
    # Blocks of 2 MiB, some five of them, and states, inputs and norms of 100 numbers per step.
    assert peak < 8 * 2**21 + 8 * 200 * steps
    benchmark.extra_info["peak, MB"] = peak / 1e6
    benchmark.pedantic(gradient_by_lag, (module, inputs(50)), rounds=1)


def test_probes_cost_a_few_backward_passes(compare: Compare, benchmark: BenchmarkFixture) -> None:
    hidden, steps = (1024, 1000) if benchmark.enabled else (64, 50)
    module, given = net(hidden), inputs(steps)
    small = net()
    exact = gradient_by_lag(small, inputs(50), norm="frobenius").log_frobenius
    probed = gradient_by_lag(small, inputs(50), probes=300)
    assert np.abs((probed.log_frobenius - exact)[:, 1:] / probed.log_errors[:, 1:]).max() < 6.0

    def backward() -> None:
        torch.autograd.backward([module(given)[0][-1].sum()])

    compare(partial(gradient_by_lag, module, given, probes=16), backward, ceiling=20.0)


def test_exponents_beat_a_factorisation_of_jacobians_by_autograd(
    compare: Compare, benchmark: BenchmarkFixture
) -> None:
    hidden, steps = (256, 100) if benchmark.enabled else (16, 30)
    module, given = net(hidden, 1.5), inputs(steps)

    def by_autograd() -> FloatArray:
        state, frame = torch.zeros(1, 1, hidden, dtype=torch.float64), np.eye(hidden)
        total = np.zeros(hidden)
        for now in given:
            jacobian: Any = torch.autograd.functional.jacobian(  # type: ignore[no-untyped-call]  # torch has no annotation
                lambda h, x=now: module(x[None], h)[1].reshape(-1), state
            )
            frame, triangle = np.linalg.qr(jacobian.reshape(hidden, hidden).numpy() @ frame)
            total += np.log(np.abs(triangle.diagonal()))
            with torch.no_grad():
                state = module(now[None], state)[1]
        return np.asarray(total / len(given))

    found = lyapunov_spectrum(module, given)
    np.testing.assert_allclose(found.exponents[0], by_autograd(), rtol=0.0, atol=1e-7)
    compare(partial(lyapunov_spectrum, module, given), by_autograd, ceiling=1.0 / 3.0)
