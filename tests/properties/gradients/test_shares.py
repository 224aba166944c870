"""The gradient of recurrent weights by lag, and its signal against the noise of the whole."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dynprop.errors import ArgumentError, NotFiniteError
from dynprop.gradients import signal_to_noise_by_lag, weight_gradient_by_lag

STEPS, BATCH, F, H = 8, 3, 2, 4


def ended(outputs: Any) -> Tensor:
    return torch.as_tensor(outputs[0][-1].square().sum())


def everywhere(outputs: Any) -> Tensor:
    states = outputs[1] if isinstance(outputs[1], tuple) else (outputs[1],)
    parts = [outputs[0].cumsum(0).square().mean(), *(s.sin().sum() for s in states)]
    return torch.stack(parts).sum()


@pytest.mark.parametrize("loss", [ended, everywhere])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
def test_the_lags_add_up_to_the_gradient_of_autograd(kind: Any, layers: int, loss: Any) -> None:
    torch.manual_seed(layers)
    module, inputs = kind(F, H, num_layers=layers).double(), torch.randn(STEPS, BATCH, F).double()
    found = weight_gradient_by_lag(module, inputs, loss)
    torch.autograd.backward([loss(module(inputs))])
    assert found.shares.sum() == pytest.approx(1.0, abs=1e-12)
    assert len(found.lags) == STEPS
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None
        expected = parameter.grad.numpy()
        # Another order of summation (observed 7e-16 of the largest entry).
        close = 1e-12 * float(np.abs(expected).max())
        np.testing.assert_allclose(found.gradients[name], expected, rtol=0, atol=close)


def test_the_contribution_of_a_lag_is_that_of_its_step() -> None:
    """Weights that are detached at one step miss the contribution of that step's lag, and no other."""
    torch.manual_seed(0)
    cell, inputs = nn.RNN(F, H, bias=False).double(), torch.randn(STEPS, 1, F).double()
    found = weight_gradient_by_lag(cell, inputs, ended)
    w, u = (torch.as_tensor(getattr(cell, f"weight_{kind}_l0")) for kind in ("hh", "ih"))
    for lag in range(STEPS):
        state = torch.zeros(1, H).double()
        for t, now in enumerate(inputs):
            used = (w, u) if t == STEPS - 1 - lag else (w.detach(), u.detach())
            state = torch.tanh(now @ used[1].T + state @ used[0].T)
        parts = torch.autograd.grad(ended((state[None],)), [w, u])
        expected = math.sqrt(sum(float(part.square().sum()) for part in parts))
        assert np.exp(found.log_norms[lag]) == pytest.approx(expected, rel=1e-12)


def test_a_part_inside_a_model_is_differentiated_through_its_head() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.head = nn.Embedding(7, F), nn.Linear(H, 2)
            self.rnn = nn.LSTM(F, H, batch_first=True)

        def forward(self, tokens: Tensor) -> Tensor:
            return torch.as_tensor(self.head(self.rnn(self.embedding(tokens))[0][:, -1]))

    torch.manual_seed(0)
    model, tokens, labels = Model(), torch.randint(0, 7, (BATCH, STEPS)), torch.arange(BATCH) % 2

    def loss(outputs: Tensor) -> Tensor:
        return nn.functional.cross_entropy(outputs, labels)

    found = weight_gradient_by_lag(model, tokens, loss)
    assert found.name == "rnn"
    torch.autograd.backward([loss(model.double().forward(tokens))])
    expected = torch.as_tensor(model.rnn.weight_hh_l0).grad
    assert expected is not None
    np.testing.assert_allclose(found.gradients["weight_hh_l0"], expected.numpy(), rtol=0, atol=1e-15)


def test_what_cannot_be_shared_out_is_one_clear_line() -> None:
    x = torch.randn(STEPS, BATCH, F)
    rnn, both = nn.RNN(F, H), nn.RNN(F, H, bidirectional=True)
    cases: list[tuple[Any, Any, str]] = [
        (rnn, lambda out: out[0], "a scalar"),
        (rnn, lambda out: torch.ones(()), "does not depend on the outputs"),
        (rnn, lambda out: out.nothing, "one raised AttributeError"),
        (both, ended, "one direction"),
        (nn.Sequential(rnn, nn.Linear(1, 1)), ended, "raised"),
        (nn.Linear(F, F), lambda out: out.sum(), "outputs, state"),
    ]
    for model, loss, message in cases:
        with pytest.raises(ArgumentError, match=message):
            weight_gradient_by_lag(model, x, loss)
    with pytest.raises(NotFiniteError, match="the loss"):
        weight_gradient_by_lag(rnn, x, lambda out: out[0].sum() / 0.0)


def batches(count: int, lag: int, seed: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    for _ in range(count):
        x = torch.randn(8, 16, 1, generator=generator)
        yield x, x[-1 - lag, :, 0]


def squared_error(outputs: Any, target: Tensor) -> Tensor:
    return nn.functional.mse_loss(outputs[0][-1, :, 0], target)


class Leaky(nn.Module):
    """A linear unit: a slope would depend on the inputs, and tie those before the target to it."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.entry = nn.Parameter(torch.tensor(0.6)), nn.Parameter(torch.tensor(0.5))

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        held, out = torch.zeros_like(x[0]) if state is None else state, []
        for now in x:
            held = self.weight * held + self.entry * now
            out.append(held)
        return torch.stack(out), held


def test_a_longer_lag_shows_later_and_one_beyond_the_target_never() -> None:
    rnn = Leaky()
    near = signal_to_noise_by_lag(rnn, batches(60, 1), squared_error, lags=[0, 1, 3])
    far = signal_to_noise_by_lag(rnn, batches(60, 5), squared_error, lags=[0])
    assert near.significant[0]
    # The weights of three steps before the end act before the input that the target is.
    assert not near.significant[2]
    assert np.isinf(near.updates[2])
    assert (near.least <= near.updates).all()
    assert near.updates[0] < far.least[0]


def test_too_few_batches_and_odd_targets_are_refused() -> None:
    rnn = nn.RNN(1, 4)
    x, y = next(batches(1, 1))
    cases: list[tuple[Any, dict[str, Any], str]] = [
        ([(x, y)] * 2, {}, "three or more"),
        ([(x, 3)], {}, "an array of two sequences"),
        ([(x, y)] * 3, {"lags": [8]}, "below 8"),
        ([(x, y)] * 3, {"lags": [0.5]}, "a whole number"),
    ]
    for given, options, message in cases:
        with pytest.raises(ArgumentError, match=message):
            signal_to_noise_by_lag(rnn, given, squared_error, **options)
