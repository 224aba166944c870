"""Cells over many models: one step at a time, against torch's own modules, and model by model."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dynprop.errors import ArgumentError
from dynprop.gradients import CELLS, Cell, cell_gradient_by_lag, cell_named
from dynprop.gradients.elman import product, tanh, with_bias

MODELS, STEPS, BATCH, FEATURES = 3, 7, 2, 4


def hidden_of(cell: Cell) -> int:
    return 1 if cell.name == "unit" else 5


def drawn(cell: Cell, seed: int = 0, features: int = FEATURES) -> tuple[dict[str, Tensor], Tensor]:
    rng = np.random.default_rng(seed)
    shapes = cell.shapes(features, hidden_of(cell))
    parameters = {
        name: torch.from_numpy(0.5 * rng.standard_normal((MODELS, *shape))).requires_grad_(True)
        for name, shape in shapes.items()
    }
    return parameters, torch.from_numpy(rng.standard_normal((STEPS, MODELS, BATCH, features)))


def start(cell: Cell) -> tuple[Tensor, ...]:
    return cell.start(MODELS, BATCH, hidden_of(cell), torch.float64)


def stepwise(cell: Cell, parameters: dict[str, Tensor], inputs: Tensor) -> Tensor:
    state, seen = start(cell), []
    for now in cell.project(parameters, inputs).unbind(0):
        state = cell.step(parameters, now, state)
        seen.append(cell.visible(state))
    return torch.stack(seen)


# Another order of summation, in values and gradients of order one: observed at most 4e-15.
CLOSE = 1e-13


@pytest.mark.parametrize("cell", CELLS.values(), ids=lambda cell: cell.name)
def test_a_run_is_its_steps_forward_and_backward(cell: Cell) -> None:
    parameters, inputs = drawn(cell)
    whole, parts = cell.run(parameters, inputs, start(cell)), stepwise(cell, parameters, inputs)
    assert torch.allclose(whole, parts, rtol=0, atol=CLOSE)
    weights = torch.randn(whole.shape, dtype=whole.dtype, generator=torch.Generator().manual_seed(0))
    found, expected = (
        torch.autograd.grad((seen * weights).sum(), list(parameters.values())) for seen in (whole, parts)
    )
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, rtol=0, atol=CLOSE)
        assert float(one.abs().max()) > 1e-3


@pytest.mark.parametrize("cell", CELLS.values(), ids=lambda cell: cell.name)
def test_the_last_state_alone_has_the_gradients_of_the_last_state(cell: Cell) -> None:
    parameters, inputs = drawn(cell)
    final, whole = cell.final(parameters, inputs, start(cell)), cell.run(parameters, inputs, start(cell))
    assert torch.equal(final, whole[-1])
    found, expected = (
        torch.autograd.grad(seen.square().sum(), list(parameters.values())) for seen in (final, whole[-1])
    )
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, rtol=0, atol=CLOSE)


@pytest.mark.parametrize("cell", CELLS.values(), ids=lambda cell: cell.name)
def test_gradients_are_those_of_finite_differences(cell: Cell) -> None:
    parameters, inputs = drawn(cell, features=2)
    names = list(parameters)

    def program(*values: Tensor) -> Tensor:
        return cell.run(dict(zip(names, values, strict=True)), inputs[:3], start(cell))

    assert torch.autograd.gradcheck(program, tuple(parameters.values()))


@pytest.mark.parametrize("cell", CELLS.values(), ids=lambda cell: cell.name)
def test_a_model_that_is_no_number_stays_alone(cell: Cell) -> None:
    parameters, inputs = drawn(cell)
    right = cell.run(parameters, inputs, start(cell)).detach()
    broken = {name: value.detach().clone() for name, value in parameters.items()}
    for value in broken.values():
        value[1] = math.nan
    leaves = {name: value.requires_grad_(True) for name, value in broken.items()}
    seen = cell.run(leaves, inputs, start(cell))
    assert torch.equal(seen[:, [0, 2]], right[:, [0, 2]])
    assert bool(seen[:, 1].isnan().all())
    for gradient in torch.autograd.grad(seen.sum(), list(leaves.values())):
        assert bool(gradient[[0, 2]].isfinite().all())


def torch_module(cell: Cell, parameters: dict[str, Tensor], model: int) -> Any:
    kinds: dict[str, Callable[..., torch.nn.Module]] = {
        "tanh": torch.nn.RNN,
        "relu": torch.nn.RNN,
        "gru": torch.nn.GRU,
        "lstm": torch.nn.LSTM,
    }
    options = {"nonlinearity": cell.name} if cell.name in ("tanh", "relu") else {}
    module: Any = kinds[cell.name](FEATURES, 5, **options).double()
    # torch's LSTM has its gates in the order i, f, g, o.
    order = [0, 1, 3, 2] if cell.name == "lstm" else list(range(cell.gates))

    def rows(values: Tensor) -> Tensor:
        blocks = values[model].detach().reshape(*values.shape[1:-1], cell.gates, 5)
        turned = blocks[..., order, :].reshape(*values.shape[1:])
        return turned.T if turned.ndim == 2 else turned

    with torch.no_grad():
        module.weight_ih_l0.copy_(rows(parameters["inputs"]))
        module.weight_hh_l0.copy_(rows(parameters["recurrent"]))
        module.bias_ih_l0.copy_(rows(parameters["bias"]))
        module.bias_hh_l0.zero_()
        if cell.name == "gru":
            module.bias_hh_l0[10:] = parameters["inner"][model].detach()
    return module


@pytest.mark.parametrize("name", ["tanh", "relu", "gru", "lstm"])
def test_a_model_is_the_module_of_torch(name: str) -> None:
    cell = cell_named(name)
    parameters, inputs = drawn(cell)
    seen = cell.run(parameters, inputs, start(cell))
    for model in range(MODELS):
        expected = torch_module(cell, parameters, model)(inputs[:, model])[0]
        assert torch.allclose(seen[:, model], expected, rtol=0, atol=CLOSE)


def test_an_lru_is_its_complex_recurrence() -> None:
    cell = cell_named("lru")
    parameters, inputs = drawn(cell)
    seen = cell.run(parameters, inputs, start(cell)).detach().numpy()
    nu, theta, weights = (parameters[k].detach().numpy()[1] for k in ("nu", "theta", "inputs"))
    turn = np.exp(-np.exp(nu) + 1j * theta)
    state = np.zeros((BATCH, 5), dtype=complex)
    for t in range(STEPS):
        drive = inputs[t, 1].numpy() @ (weights[:, :5] + 1j * weights[:, 5:])
        state = turn * state + np.sqrt(1 - np.abs(turn) ** 2) * drive
    assert np.abs(seen[-1, 1] - np.concatenate([state.real, state.imag], axis=-1)).max() < CLOSE


def test_an_unknown_cell_is_answered_with_the_known_ones() -> None:
    with pytest.raises(
        ArgumentError, match="cell: got 'rnn', expected one of tanh, relu, gru, lstm, lru, unit"
    ):
        cell_named("rnn")
    with pytest.raises(ArgumentError, match="hidden: got 2, expected 1 for the cell unit"):
        cell_named("unit").shapes(3, 2)


def test_products_and_their_gradients_are_those_of_torch() -> None:
    a, b = torch.randn(3, 4, 5, dtype=torch.float64), torch.randn(3, 5, 2, dtype=torch.float64)
    assert torch.autograd.gradcheck(product, (a.requires_grad_(True), b.requires_grad_(True)))
    # Two sums of five products, each within γ₅ = 5u of the true one.
    bound = 2 * 5 * 2.0**-53 * torch.bmm(a.detach().abs(), b.detach().abs())
    assert bool(((product(a, b) - torch.bmm(a, b)).abs() <= bound).all())
    assert torch.autograd.gradcheck(tanh, (a,))
    joined = with_bias(b, b[:, 0])
    assert torch.equal(joined, torch.cat([b, b[:, :1]], dim=1))


# Gradients by lag


@pytest.mark.parametrize("cell", CELLS.values(), ids=lambda cell: cell.name)
def test_gradients_by_lag_are_those_of_the_whole_computation(cell: Cell) -> None:
    parameters, inputs = drawn(cell)
    logs = cell_gradient_by_lag(cell, parameters, inputs[:, :, 0])
    assert logs.shape == (MODELS, STEPS + 1)
    assert (logs[:, 0] == 0.0).all()
    held = {name: value.detach() for name, value in parameters.items()}
    state = start(cell)
    states = [state]
    for now in cell.project(held, inputs).unbind(0):
        state = cell.step(held, now, state)
        states.append(state)

    def from_state(lag: int, flat: Tensor) -> Tensor:
        parts = tuple(flat.reshape(cell.parts, 1, 1, -1).expand(cell.parts, MODELS, BATCH, -1))
        for now in cell.project(held, inputs[STEPS - lag :]).unbind(0):
            parts = cell.step(held, now, parts)
        return torch.cat([part[1, 0] for part in parts])

    for lag in (1, 4, STEPS):
        at = torch.cat([part[1, 0] for part in states[STEPS - lag]])
        jacobian: Tensor = torch.autograd.functional.jacobian(lambda h, k=lag: from_state(k, h), at)  # type: ignore[no-untyped-call]
        norm = float(torch.linalg.matrix_norm(jacobian, ord=2))
        expected = math.log(norm) if norm else -math.inf
        # Products of a few matrices of order one: observed at most 3e-15.
        assert logs[1, lag] == pytest.approx(expected, abs=1e-11)


def test_a_product_that_underflows_still_has_a_logarithm() -> None:
    cell = cell_named("tanh")
    parameters = {
        "inputs": torch.zeros(1, 1, 2, dtype=torch.float64),
        "recurrent": 1e-3 * torch.eye(2, dtype=torch.float64)[None],
        "bias": torch.zeros(1, 2, dtype=torch.float64),
    }
    logs = cell_gradient_by_lag(cell, parameters, torch.zeros(200, 1, 1, dtype=torch.float64))
    assert logs[0, 200] == pytest.approx(200 * math.log(1e-3), rel=1e-12)


@pytest.mark.parametrize(
    "wrong", [[[[1.0]]], np.ones((2, 1, 1)), torch.ones(2, 1, 1, dtype=torch.int64), None]
)
def test_inputs_that_are_no_floating_tensor_are_refused_by_name(wrong: Any) -> None:
    parameters, _ = drawn(cell_named("tanh"))
    with pytest.raises(ArgumentError, match=r"^inputs: got .*, expected "):
        cell_gradient_by_lag(cell_named("tanh"), parameters, wrong)


def test_inputs_of_other_axes_are_refused() -> None:
    parameters, inputs = drawn(cell_named("tanh"))
    with pytest.raises(ArgumentError, match="time, model, feature"):
        cell_gradient_by_lag(cell_named("tanh"), parameters, inputs)
