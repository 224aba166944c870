"""Steps of cells: Jacobians written out against differences, against autograd, and in the tails."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from dynprop.arrays import FloatArray
from dynprop.errors import ArgumentError
from dynprop.gradients import DiagonalStep, ElmanStep, GruStep, LstmStep, MinGruStep, lru_step, ssm_step
from dynprop.gradients.lags.steps import Step
from dynprop.gradients.models.rnn import step_of

N, F, POINTS = 5, 3, 4


def drawn(*shape: int) -> FloatArray:
    return np.asarray(0.7 * np.random.default_rng(sum(shape)).standard_normal(shape))


def elman(activation: str, keep: float = 0.0, gain: float = 1.0) -> Step:
    return ElmanStep(drawn(N, F), drawn(N, N), drawn(N), activation, keep, gain)


STEPS: dict[str, Callable[[], Step]] = {
    "tanh": lambda: elman("tanh"),
    "sigmoid": lambda: elman("sigmoid"),
    "relu": lambda: elman("relu"),
    "leaky": lambda: elman("tanh", 0.7, 0.3),
    "residual": lambda: elman("tanh", 1.0, 0.5),
    "gru": lambda: GruStep(drawn(3 * N, F), drawn(3 * N, N), drawn(3 * N), drawn(3 * N + 1)[1:]),
    "lstm": lambda: LstmStep(drawn(4 * N, F), drawn(4 * N, N), drawn(4 * N), drawn(4 * N + 1)[1:]),
    "minGRU": lambda: MinGruStep(drawn(N, F), drawn(N), drawn(N, F + 1)[:, 1:], drawn(N + 1)[1:]),
    "LRU": lambda: lru_step(drawn(N), drawn(N + 1)[1:], drawn(N, F) + 1j * drawn(N, F + 1)[:, 1:]),
    "SSM": lambda: ssm_step(-np.abs(drawn(N)) + 1j * drawn(N + 1)[1:], drawn(N, F), 0.3),
}


@pytest.mark.parametrize("name", STEPS)
def test_jacobians_are_differences_and_pulled_rows_are_their_products(name: str) -> None:
    step = STEPS[name]()
    x, s = drawn(POINTS, F), drawn(POINTS, step.size)
    coefficients = step.coefficients(x, s)
    state, inputs = step.jacobians(coefficients), step.input_jacobians(coefficients)
    move = 1e-6
    by_state = [(step.step(x, s + d) - step.step(x, s - d)) / (2 * move) for d in move * np.eye(step.size)]
    by_input = [(step.step(x + d, s) - step.step(x - d, s)) / (2 * move) for d in move * np.eye(F)]
    # Central differences err by 1e-12 of a third derivative and 1e-10 of rounding (observed at most 4e-10).
    np.testing.assert_allclose(state, np.stack(by_state, -1), rtol=0, atol=3e-9)
    np.testing.assert_allclose(inputs, np.stack(by_input, -1), rtol=0, atol=3e-9)
    rows = np.random.default_rng(1).standard_normal((2, POINTS, step.size))
    for found, matrix in ((step.pulled, state), (step.pulled_to_inputs, inputs)):
        expected = np.einsum("pmi,mij->pmj", rows, matrix)
        np.testing.assert_allclose(found(rows, coefficients), expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("cell", [nn.RNNCell, nn.GRUCell, nn.LSTMCell])
def test_steps_are_those_of_torch_and_so_are_their_jacobians(cell: Any) -> None:
    torch.manual_seed(1)
    module = cell(F, N, bias=True, device="cpu", dtype=torch.float64)
    step = step_of(module, "")
    x, s = drawn(1, F), drawn(1, step.size)

    def called(rows: torch.Tensor) -> torch.Tensor:
        if step.size == N:
            return torch.as_tensor(module(torch.from_numpy(x), rows))
        return torch.cat(module(torch.from_numpy(x), (rows[:, :N], rows[:, N:])), dim=1)

    np.testing.assert_allclose(step.step(x, s), called(torch.from_numpy(s)).detach().numpy(), atol=1e-14)
    by_autograd: torch.Tensor = torch.autograd.functional.jacobian(called, torch.from_numpy(s))  # type: ignore[no-untyped-call]  # torch has no annotation
    found = step.jacobians(step.coefficients(x, s))[0]
    np.testing.assert_allclose(found, by_autograd[0, :, 0].numpy(), rtol=0, atol=1e-14)


def test_a_saturated_unit_has_a_slope_that_its_state_does_not_show() -> None:
    """1 - tanh² of 30 is zero in floats; the derivative is 4 e^-60."""
    unit = ElmanStep(np.ones((1, 1)), np.ones((1, 1)), np.zeros(1))
    inputs, state = np.array([[30.0], [-400.0]]), np.zeros((2, 1))
    slopes = unit.jacobians(unit.coefficients(inputs, state))[:, 0, 0]
    assert 1.0 - np.tanh(30.0) ** 2 == 0.0
    np.testing.assert_allclose(slopes, [4.0 * math.exp(-60.0), 4.0 * math.exp(-800.0)], rtol=1e-13)


def test_wrong_weights_are_one_clear_line() -> None:
    for build in (
        lambda: ElmanStep(drawn(N, F), drawn(N, N + 1), drawn(N)),
        lambda: ElmanStep(drawn(N, F), drawn(N, N), drawn(N), "swish"),
        lambda: GruStep(drawn(N, F), drawn(N, N), drawn(N), drawn(N)),
        lambda: ElmanStep(np.full((N, F), np.nan), drawn(N, N), drawn(N)),
        lambda: DiagonalStep(drawn(N), drawn(N + 1, F)),
        lambda: ssm_step(drawn(N), drawn(N, F), 0.0),
    ):
        with pytest.raises(ArgumentError, match="expected"):
            build()
