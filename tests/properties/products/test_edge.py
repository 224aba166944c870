"""Averages of kinked activations against mpmath, edges that attract, and names."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from copy import deepcopy
from importlib import import_module
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from dynprop.arrays import FloatArray
from dynprop.errors import PrecisionError
from dynprop.products import critical_gain, edge_of_chaos, mean_field, sussillo_abbott
from dynprop.products.weights.activations import resolve_activation
from dynprop.products.weights.named import NAMED
from tests.properties.products.gains.activation_table import HEAD, row

MODULES: dict[str, Callable[..., torch.Tensor]] = {
    "linear": nn.Identity(),
    "relu": nn.ReLU(),
    "leaky_relu": nn.LeakyReLU(),
    "tanh": nn.Tanh(),
    "sigmoid": nn.Sigmoid(),
    "gelu": nn.GELU(),
    "silu": nn.SiLU(),
    "mish": nn.Mish(),
    "elu": nn.ELU(),
    "selu": nn.SELU(),
    "hardtanh": nn.Hardtanh(),
    "relu6": nn.ReLU6(),
    "softplus": nn.Softplus(threshold=100),
    "erf": torch.erf,
    "sin": torch.sin,
}


def hard(x: FloatArray) -> FloatArray:
    return np.clip(x, -1.0, 1.0)


@pytest.mark.parametrize("name", sorted(NAMED))
def test_a_name_has_the_function_and_the_derivative_of_torch(name: str) -> None:
    """Derivative by autograd; averages of the module as a callable, with a derivative by differences."""
    named, x = NAMED[name], np.concatenate([np.linspace(-9.03, 9.01, 601), [-40.0, 40.0]])
    points = torch.tensor(x, requires_grad=True)
    values = MODULES[name](points)
    (slopes,) = torch.autograd.grad(values.sum(), points)
    np.testing.assert_allclose(named.function(x), values.detach().numpy(), rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(named.derivative(x), slopes.numpy(), rtol=1e-12, atol=1e-14)
    given = resolve_activation(MODULES[name])
    assert given.homogeneous == pytest.approx(named.homogeneous) or named.homogeneous is None
    for q in (0.02, 1.0, 9.0):
        assert given.second_moment(q) == pytest.approx(named.second_moment(q), rel=1e-9)
        assert given.slope_moment(q) == pytest.approx(named.slope_moment(q), rel=1e-9)


@pytest.mark.parametrize(
    ("name", "kinks"), [("hardtanh", (-1, 1)), ("relu6", (0, 6)), ("selu", (0,)), ("gelu", (0,))]
)
@pytest.mark.parametrize("q", [0.05, 0.7, 30.0])
def test_averages_of_kinked_activations_are_those_of_mpmath(name: str, kinks: Any, q: float) -> None:
    """mpmath with break points at the kinks, 20 digits."""
    mpmath: Any = import_module("mpmath")
    phi = NAMED[name]
    root = math.sqrt(q)
    points = sorted({-14.0, *(k / root for k in kinks if abs(k / root) < 14), 0.0, -3.0, 3.0, 14.0})

    def average(function: Any) -> float:
        def integrand(z: Any) -> Any:
            value = float(function(np.array([root * float(z)]))[0])
            return value**2 * mpmath.npdf(z)

        return float(mpmath.quad(integrand, points))

    assert phi.second_moment(q) == pytest.approx(average(phi.function), rel=1e-12)
    assert phi.slope_moment(q) == pytest.approx(average(phi.derivative), rel=1e-12)


def test_the_edge_of_hardtanh_is_found_piecewise() -> None:
    """1.16554 at bias variance 0.05: E phi'^2 = P(abs(x) < 1) = erf(1/sqrt(2q)) gives an equation by hand."""
    for activation in ("hardtanh", hard, nn.Hardtanh()):
        edge = edge_of_chaos(activation, 0.05)
        assert edge.weight_variance == pytest.approx(1.16554469, abs=5e-9)
        inside = math.erf(1.0 / math.sqrt(2.0 * edge.q))
        density = math.exp(-0.5 / edge.q) / math.sqrt(2.0 * math.pi * edge.q)
        # E min(x^2, 1) = q (inside - 2 density) + 1 - inside.
        second = edge.q * (inside - 2.0 * density) + 1.0 - inside
        assert edge.weight_variance * inside == pytest.approx(1.0, rel=1e-10)
        assert edge.weight_variance * second + 0.05 == pytest.approx(edge.q, rel=1e-10)
        assert edge.error <= 1e-10


@pytest.mark.parametrize("bias", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("name", sorted(NAMED))
def test_an_edge_attracts_or_is_refused_with_the_reason(name: str, bias: float) -> None:
    """At the edge mean_field returns its q, and a perturbed variance comes back to it."""
    try:
        edge = edge_of_chaos(name, bias)
    except PrecisionError as error:
        reason = str(error)
    else:
        reason = ""
    if reason:
        assert "repels" in reason or "one side of 1" in reason
        assert name in ("gelu", "silu", "mish", "softplus")
        return
    phi, field = NAMED[name], mean_field(name, edge.weight_variance, bias)
    assert field.q == pytest.approx(edge.q, rel=1e-6, abs=1e-6)
    assert field.chi == pytest.approx(1.0, abs=1e-5)
    if 0.0 < edge.q < math.inf and phi.homogeneous is None:
        for start in (0.9 * edge.q, 1.1 * edge.q):
            q = start
            for _ in range(10):
                q = edge.weight_variance * phi.second_moment(q) + bias
            assert abs(q - edge.q) < abs(start - edge.q)


@pytest.mark.parametrize("activation", ["gelu", "silu", "mish", nn.GELU(), nn.SiLU()])
def test_a_gain_at_which_the_signal_grows_is_refused(activation: Any) -> None:
    for call in (
        lambda: critical_gain(300, activation),
        lambda: sussillo_abbott((30, 30), np.random.default_rng(0), activation),
    ):
        with pytest.raises(PrecisionError, match=r"q = 0 at weight variance .* \(repels"):
            call()


@pytest.mark.parametrize("function", [lambda x: max(x, 0), lambda x: np.maximum(x, 0), torch.relu])
def test_a_positively_homogeneous_callable_agrees_with_relu(function: Any) -> None:
    for weight, bias in ((2.0, 0.0), (1.5, 0.3), (2.0, 0.1), (3.0, 0.0), (1.0, 0.0)):
        found, known = mean_field(function, weight, bias), mean_field("relu", weight, bias)
        assert (found.q, found.chi, found.exponent) == (known.q, known.chi, known.exponent)
    assert edge_of_chaos(function, 0.5) == edge_of_chaos("relu", 0.5)


# By mpmath, from the zero of V(q) - q; see the docstring of variance_depth.
DEPTHS = {(1.0, 0.0): 0.939782, (1.5, 0.05): 0.966378}


@pytest.mark.parametrize(("weight", "bias"), [*DEPTHS, (0.4, 0.2), (2.5, 0.05)])
def test_a_variance_map_that_decreases_has_a_depth(weight: float, bias: float) -> None:
    """exp(-x^2): E phi^2 = (1 + 4q)^(-1/2), with slope -2 (1 + 4q)^(-3/2)."""
    field = mean_field(lambda x: np.exp(-x * x), weight, bias)
    assert field.q == pytest.approx(weight / math.sqrt(1.0 + 4.0 * field.q) + bias, rel=1e-12)
    slope = 2.0 * weight * (1.0 + 4.0 * field.q) ** -1.5
    assert field.variance_depth == pytest.approx(-1.0 / math.log(slope), rel=1e-9)
    if (weight, bias) in DEPTHS:
        assert field.variance_depth == pytest.approx(DEPTHS[weight, bias], rel=5e-7)
    assert field.chi == pytest.approx(4.0 * weight * field.q * (1.0 + 4.0 * field.q) ** -1.5, rel=1e-9)


def test_powers_and_steps_have_answers_or_refusals() -> None:
    field = mean_field(np.sign, 2.0, 0.1)
    assert field.q == pytest.approx(2.1, rel=1e-13)
    assert (field.chi, field.variance_depth) == (0.0, 0.0)
    with pytest.raises(PrecisionError, match="jumps at 0"):
        _ = field.correlation_depth
    square = mean_field(lambda x: x**2, 0.2, 0.0)
    assert (square.q, square.chi) == (0.0, 0.0)
    for power in (np.square, lambda x: x**3):
        with pytest.raises(PrecisionError, match="grows beyond"):
            mean_field(power, 1.0, 0.1)
        with pytest.raises(PrecisionError, match="repels"):
            edge_of_chaos(power, 0.1)


def test_averages_that_two_resolutions_do_not_agree_on_are_refused() -> None:
    with pytest.raises(PrecisionError, match="two resolutions of quadrature differ"):
        mean_field(lambda x: np.abs(x) ** 0.5 * np.sign(x), 1.2, 0.1)


def test_results_are_equal_copied_and_pickled() -> None:
    for activation in ("gelu", hard, nn.Hardtanh(), lambda x: np.clip(x, -1, 1)):
        field = mean_field(activation, 1.2, 0.1)
        assert deepcopy(field) == field
        assert pickle.loads(pickle.dumps(field)) == field or isinstance(activation, nn.Module)
        assert field != mean_field(activation, 1.3, 0.1)
        assert "Activation(" in repr(field)


@pytest.mark.parametrize("name", ["Hardtanh", "GELU"])
def test_the_table_of_activations_stands_in_the_docs(name: str) -> None:
    """Two of its rows anew; the whole table is printed by activation_table."""
    from pathlib import Path

    page = Path(__file__).resolve().parents[3].joinpath("docs", "products.md").read_text(encoding="utf-8")
    assert HEAD in page
    assert row(name) in page
