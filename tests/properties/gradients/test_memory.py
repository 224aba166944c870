"""What a change of an input does to the last output: by derivatives, by probes, by trying."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dynprop.errors import ArgumentError, NotFiniteError
from dynprop.gradients import memory_by_lag

STEPS, BATCH, F, H = 7, 2, 3, 4


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
def test_memory_is_the_derivative_of_the_last_output(kind: Any, layers: int) -> None:
    torch.manual_seed(layers)
    module, inputs = kind(F, H, num_layers=layers).double(), torch.randn(STEPS, BATCH, F).double()
    jacobian: Any = torch.autograd.functional.jacobian(lambda x: module(x)[0][-1], inputs)  # type: ignore[no-untyped-call]  # torch has no annotation
    matrices = np.array(
        [[jacobian[b, :, STEPS - 1 - k, b].numpy() for k in range(STEPS)] for b in range(BATCH)]
    )
    exact = memory_by_lag(module, inputs)
    # Rounding of seven factors (observed 1e-15).
    expected = np.log(np.linalg.norm(matrices, 2, axis=(2, 3)))
    np.testing.assert_allclose(exact.log_norms, expected, rtol=0, atol=1e-12)
    frobenius = np.log(np.linalg.norm(matrices, axis=(2, 3)))
    probed = memory_by_lag(module, inputs, probes=300)
    assert np.abs((probed.log_norms - frobenius) / probed.log_errors).max() < 5.0
    # Directions of unit length: their mean square is the squared Frobenius norm over F; 400 of them.
    tried = memory_by_lag(module, inputs, change=1e-5, probes=400).log_norms
    assert np.abs(tried + 0.5 * math.log(F) - frobenius).max() < 0.2


class Spikes(nn.Module):
    """A spiking unit: no derivative, and a memory all the same."""

    def forward(self, x: Tensor) -> Tensor:
        charge, out = torch.zeros_like(x[0]), []
        for now in x:
            charge = 0.9 * charge + now
            spike = (charge > 1.0).to(x.dtype)
            charge = charge - spike
            out.append(spike)
        return torch.stack(out)


def test_a_model_without_derivative_is_tried() -> None:
    inputs = torch.zeros(12, 1, 1)
    inputs[-1] = 0.95
    found = memory_by_lag(Spikes(), inputs, change=0.1)
    # A charge of 0.1 that is left to 0.9^k: with 0.95 it spikes where 0.1 · 0.9^k > 0.05.
    reached = np.isfinite(found.log_norms[0])
    direction = np.sign(np.random.default_rng(0).standard_normal())
    assert list(np.flatnonzero(reached)) == (list(range(7)) if direction > 0 else [])


def test_a_token_is_replaced_and_batch_first_is_respected() -> None:
    class Last(nn.Module):
        batch_first = True

        def forward(self, tokens: Tensor) -> Tensor:
            return tokens[:, -3].double()[:, None]

    found = memory_by_lag(Last(), torch.randint(0, 5, (4, 6)), change=1.0)
    assert list(np.flatnonzero(np.isfinite(found.log_norms).all(axis=0))) == [2]
    assert np.isinf(np.delete(found.log_norms, 2, axis=1)).all()


def test_wrong_calls_are_one_clear_line() -> None:
    rnn, x = nn.RNN(F, H), torch.randn(STEPS, BATCH, F)
    calls: list[tuple[Callable[[], object], str]] = [
        (lambda: memory_by_lag(rnn, x, change=0.0), "a positive number"),
        (lambda: memory_by_lag(rnn, x, probes=1), "no standard error"),
        (lambda: memory_by_lag(lambda y: y.sum(), x, change=1.0), "one row of outputs"),
        (lambda: memory_by_lag("rnn", x, change=1.0), "a callable"),
        (lambda: memory_by_lag(rnn, [x], change=1.0), "a numpy array or a torch tensor"),
        (lambda: memory_by_lag(nn.Linear(F, F), x), "holds no recurrent state"),
    ]
    for call, message in calls:
        with pytest.raises(ArgumentError, match=message):
            call()
    with pytest.raises(NotFiniteError):
        memory_by_lag(lambda y: y / 0.0 * 0.0, x, change=1.0)
