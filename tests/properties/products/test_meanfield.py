"""Mean field: fixed points against closed forms, balls and iteration; edge of chaos; depths."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from flint import acb, arb, ctx
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import erf

from dynprop.arrays import FloatArray
from dynprop.errors import ArgumentError, PrecisionError
from dynprop.products import Activation, edge_of_chaos, mean_field, norm_walks
from dynprop.products.weights.activations import resolve_activation

variances = st.floats(0.01, 20.0)


def erf_by_quadrature() -> Activation:
    """erf under another name, so that its averages come from quadrature."""
    named = resolve_activation("erf")
    return Activation("erf of scipy", named.function, named.derivative)


def enclosed_average(q: float, squared: Any) -> arb:
    """E f(sqrt(q) z) for an even f, by adaptive integration in balls."""
    with ctx.workprec(80):
        root, norm = arb(q).sqrt(), (2 / arb.pi()).sqrt()
        pieces = [0.0, 0.05, 0.2, 1.0, 3.0, 14.0]
        total = arb(0)
        for low, high in pairwise(pieces):
            value = acb.integral(lambda z, _: squared(z * root) * (-z * z / 2).exp(), acb(low), acb(high))
            total += value.real
        return total * norm


@pytest.mark.parametrize("q", [1e-6, 0.05, 0.5, 3.0, 40.0])
def test_tanh_averages_lie_in_their_enclosures(q: float) -> None:
    """E tanh^2 and E tanh'^2 = E 1/cosh^4; what is left beyond z = 14 is below 1e-42."""
    phi = resolve_activation("tanh")
    second, slope = (
        enclosed_average(q, lambda x: x.tanh() ** 2),
        enclosed_average(q, lambda x: 1 / x.cosh() ** 4),
    )
    assert abs(phi.second_moment(q) - float(second)) <= 3e-14 * float(second)
    assert abs(phi.slope_moment(q) - float(slope)) <= 3e-14 * float(slope)


@given(st.floats(-18.0, 6.0).map(lambda e: 10.0**e))
def test_quadrature_reproduces_the_closed_forms_of_erf(q: float) -> None:
    closed, numeric = resolve_activation("erf"), erf_by_quadrature()
    for name in ("second_moment", "slope_moment", "moment_slope"):
        exact = getattr(closed, name)(q)
        assert getattr(numeric, name)(q) == pytest.approx(exact, rel=2e-13), name


@given(st.floats(0.01, 20.0), st.floats(-0.95, 0.95))
def test_quadrature_over_the_plane_reproduces_erf(q: float, c: float) -> None:
    closed, numeric = resolve_activation("erf").pair_moments(q, c), erf_by_quadrature().pair_moments(q, c, 64)
    np.testing.assert_allclose(numeric, closed, rtol=0, atol=1e-8)


@given(variances, st.floats(0.0, 2.0))
def test_the_fixed_point_is_fixed_and_attracts(weight: float, bias: float) -> None:
    """Iteration of the map from 1, the definition, ends where mean_field says."""
    phi = resolve_activation("tanh")
    found = mean_field("tanh", weight, bias)
    image = weight * phi.second_moment(found.q) + bias
    assert image == pytest.approx(found.q, rel=1e-12, abs=1e-250)
    assert found.chi == weight * phi.slope_moment(found.q)
    q = 1.0
    for _ in range(60):
        q = weight * phi.second_moment(q) + bias
    if found.variance_depth < 2.0:
        assert q == pytest.approx(found.q, rel=1e-6, abs=1e-9)


@given(variances, st.floats(0.0, 2.0))
def test_a_bare_callable_agrees_with_the_closed_form(weight: float, bias: float) -> None:
    """Derivative by five points: 1e-9."""
    named, bare = mean_field("erf", weight, bias), mean_field(lambda x: np.asarray(erf(x)), weight, bias)
    assert bare.q == pytest.approx(named.q, rel=1e-9, abs=1e-12)
    if named.q > 1e-6 or named.q == 0.0:
        assert bare.chi == pytest.approx(named.chi, rel=1e-9)


@pytest.mark.parametrize("slope", [0.0, 0.01, 0.3])
def test_a_kink_at_zero_costs_nothing(slope: float) -> None:
    """Leaky ReLU has edge 2 / (1 + a^2) and q = sb2 / (1 - sw2 (1 + a^2)/2), kink and all."""

    def leaky(x: FloatArray) -> FloatArray:
        return np.where(x > 0, x, slope * x)

    assert edge_of_chaos(leaky, 0.0).weight_variance == pytest.approx(2 / (1 + slope**2), rel=1e-10)
    field = mean_field(leaky, 1.2, 0.4)
    assert field.q == pytest.approx(0.4 / (1 - 0.6 * (1 + slope**2)), rel=1e-10)
    assert field.chi == pytest.approx(0.6 * (1 + slope**2), rel=1e-10)


@given(st.floats(0.0, 5.0))
def test_on_the_edge_chi_is_one(bias: float) -> None:
    for name in ("tanh", "erf"):
        edge = edge_of_chaos(name, bias)
        field = mean_field(name, edge.weight_variance, bias)
        assert field.chi == pytest.approx(1.0, abs=1e-5 if bias < 1e-4 else 1e-9)
        assert field.q == pytest.approx(edge.q, rel=1e-6, abs=1e-4 if bias < 1e-4 else 1e-9)


def test_the_edge_of_erf_without_bias_is_a_quarter_of_pi() -> None:
    assert edge_of_chaos("erf", 0.0).weight_variance == pytest.approx(math.pi / 4, rel=1e-15)
    assert edge_of_chaos("tanh", 0.0) == edge_of_chaos("tanh", 0)
    assert edge_of_chaos("tanh", 0.0).weight_variance == 1.0
    assert edge_of_chaos("tanh", 0.0).q == 0.0


@pytest.mark.parametrize(
    ("name", "weight", "bias", "q", "chi"),
    [
        ("relu", 1.5, 0.3, 1.2, 0.75),
        ("relu", 2.0, 0.0, 1.0, 1.0),
        ("relu", 2.0, 0.1, math.inf, 1.0),
        ("relu", 3.0, 0.0, math.inf, 1.5),
        ("relu", 1.0, 0.0, 0.0, 0.5),
        ("linear", 0.5, 1.0, 2.0, 0.5),
        ("linear", 1.0, 0.0, 1.0, 1.0),
        ("tanh", 0.5, 0.0, 0.0, 0.5),
        ("tanh", 0.0, 0.7, 0.7, 0.0),
        ("tanh", 0.0, 0.0, 0.0, 0.0),
    ],
)
def test_limits_are_right(name: str, weight: float, bias: float, q: float, chi: float) -> None:
    field = mean_field(name, weight, bias)
    assert field.q == pytest.approx(q, rel=1e-14)
    assert field.chi == pytest.approx(chi, rel=1e-14)
    assert field.exponent == (-math.inf if chi == 0 else pytest.approx(0.5 * math.log(chi)))


def test_scale_free_nets_have_an_edge_at_every_bias() -> None:
    assert (edge_of_chaos("relu", 0.0).weight_variance, edge_of_chaos("relu", 0.0).q) == (2.0, 1.0)
    assert (edge_of_chaos("relu", 0.5).weight_variance, edge_of_chaos("relu", 0.5).q) == (2.0, math.inf)


@given(st.floats(0.2, 0.99))
def test_correlations_in_order_decay_as_iterated(share: float) -> None:
    """xi_c by iterating the correlation map of erf, Schoenholz eq. 5, itself in closed form."""
    bias = 0.1
    weight = share * edge_of_chaos("erf", bias).weight_variance
    field = mean_field("erf", weight, bias)
    c, gaps = 0.9, []
    for _ in range(60):
        c = (weight * resolve_activation("erf").pair_moments(field.q, c)[0] + bias) / field.q
        gaps.append(1.0 - c)
    last = [gap for gap in gaps if gap > 1e-9][-2:]
    # The gap falls by e every xi_c layers, up to a relative O(gap) in the rate.
    assert math.log(last[0] / last[1]) == pytest.approx(1 / field.correlation_depth, abs=0.6 * last[0] + 1e-6)


@pytest.mark.parametrize("weight", [2.0, 4.0, 9.0])
def test_in_chaos_two_signals_part_at_the_stated_rate(weight: float) -> None:
    phi, bias = resolve_activation("erf"), 0.1
    field = mean_field("erf", weight, bias)
    assert field.chi > 1.0
    c, path = 0.999, []
    for _ in range(400):
        c = (weight * phi.pair_moments(field.q, c)[0] + bias) / field.q
        path.append(c)
    rest = path[-1]
    index = next(i for i, value in enumerate(path) if abs(value - rest) < 1e-4)
    ratio = (path[index + 1] - rest) / (path[index] - rest)
    assert -1 / math.log(ratio) == pytest.approx(field.correlation_depth, rel=1e-3)
    numeric = mean_field(erf_by_quadrature(), weight, bias)
    assert numeric.correlation_depth == pytest.approx(field.correlation_depth, rel=1e-6)


def test_the_correlation_depth_diverges_at_the_edge_from_both_sides() -> None:
    edge = edge_of_chaos("tanh", 0.05).weight_variance
    below, above = (mean_field("tanh", edge * factor, 0.05).correlation_depth for factor in (0.999, 1.001))
    assert below > 500
    assert above > 500
    # Closer than quadrature over the plane can tell: the slope at rest is 1/chi to first order.
    for excess in (1e-4, 1e-7):
        field = mean_field("tanh", edge * (1 + excess), 0.05)
        assert field.correlation_depth * math.log(field.chi) == pytest.approx(1.0, abs=0.01)
    assert mean_field("relu", 2.0, 0.0).correlation_depth == math.inf


def test_without_bias_signals_part_until_they_are_orthogonal() -> None:
    """Rest at correlation 0, of slope 1 - 2q^2/3 + ... against chi = 1 + 4q^2/3: twice the depth."""
    for weight in (1.02, 1.0005):
        field = mean_field("tanh", weight, 0.0)
        assert field.correlation_depth * math.log(field.chi) == pytest.approx(2.0, abs=0.02)


def test_the_squared_derivative_keeps_its_digits_in_saturation() -> None:
    """1/cosh^2, not 1 - tanh^2: at x = 20 the latter is 0."""
    derivative = resolve_activation("tanh").derivative
    x = np.array([-20.0, 20.0, 400.0])
    assert derivative(x)[0] == derivative(x)[1] == pytest.approx(4 * math.exp(-40), rel=1e-12)
    assert 1.0 - math.tanh(20.0) ** 2 == 0.0
    assert derivative(x)[2] >= 0.0


def test_an_activation_without_edge_or_rest_is_refused() -> None:
    for activation in (np.sign, np.ones_like, "softplus"):
        with pytest.raises(PrecisionError, match=r"no edge of chaos .* chi stays on one side of 1"):
            edge_of_chaos(activation, 0.5)
    with pytest.raises(PrecisionError, match="grows beyond"):
        mean_field("gelu", 2.5, 0.1)
    with pytest.raises(PrecisionError, match="correlation depth"):
        _ = mean_field("tanh", 1e5, 1e4).correlation_depth


@pytest.mark.parametrize(
    "activation",
    ["sigmoidal", 3, None, lambda x: x[:2], lambda x: x / 0.0 * np.inf, lambda: 1, lambda x: "no"],
)
def test_what_is_no_activation_is_refused(activation: Any) -> None:
    with np.errstate(all="ignore"), pytest.raises(ArgumentError, match="activation: got"):
        mean_field(activation, 1.0, 0.0)


@pytest.mark.parametrize(
    ("weight", "bias"), [(-1.0, 0.0), (1.0, -0.1), (math.nan, 0.0), (1.0, math.inf), ("1", 0.0)]
)
def test_what_is_no_variance_is_refused(weight: Any, bias: Any) -> None:
    with pytest.raises(ArgumentError, match="variance: got"):
        mean_field("tanh", weight, bias)


@pytest.mark.parametrize("activation", ["tanh", "erf"])
@pytest.mark.parametrize("weight", [0.3, 0.6, 3.0, 6.0])
def test_the_sign_of_the_exponent_says_whether_gradients_vanish(activation: str, weight: float) -> None:
    """P23: without bias, N = 256, 40 layers, abs(ln chi) > 0.1: 20 nets, every one of them as predicted.

    The log norm of the gradient is 40 exponents with a spread of at most sqrt(40/(2 N)) times a few, 1 or so.
    """
    field = mean_field(activation, weight, 0.0)
    assert abs(math.log(field.chi)) > 0.1
    walks = norm_walks(256, 40, activation, math.sqrt(weight), "fresh", 20, seed=6)
    slopes = walks.backward[:, 0] / 40
    assert (np.sign(slopes) == np.sign(field.exponent)).all()
    # Nets that start at mean square 1 need a few layers to reach q (seen: 0.026).
    assert abs(slopes.mean() - field.exponent) <= 0.05
