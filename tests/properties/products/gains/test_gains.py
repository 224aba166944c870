"""Scales for nets: exact norms of layers, gains without drift, and fresh weights against shared ones (C5)."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from flint import arb, ctx
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dynprop.errors import ArgumentError
from dynprop.laws.statistics import STATEMENT, dkw_distance, log_chi_square_tail
from dynprop.products import critical_gain, horizon_gain, layer_norm_law, norm_walks


@given(st.integers(1, 5000))
def test_the_linear_gain_is_the_digamma_one(width: int) -> None:
    """g = sqrt(N/2) exp(-psi(N/2)/2), in balls."""
    with ctx.workprec(100):
        exact = ((arb(width) / 2).log() / 2 - (arb(width) / 2).digamma() / 2).exp()
        assert abs(critical_gain(width, "linear") - float(exact)) <= 2e-15 * (1 + math.log(width)) * float(
            exact
        )


@given(st.integers(1, 60))
def test_the_relu_gain_counts_the_paths_that_live(width: int) -> None:
    """The exact chi^2-binomial sum, in rationals and balls."""
    with ctx.workprec(200):
        total = arb(0)
        for beta in range(1, width + 1):
            total += math.comb(width, beta) * ((arb(beta) / 2).digamma() + arb(2).log())
        mean = total / (2**width - 1)
        exact = ((arb(width).log() - mean) / 2).exp()
        assert critical_gain(width, "relu") == pytest.approx(float(exact), rel=1e-13)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.floats(0.1, 10.0))
def test_relu_second_moments_are_those_of_the_chi_square_binomial_sum(widths: list[int], gain: float) -> None:
    """Hanin: E z^2 / (E z)^2 = 1 + 5/n for every layer, here from the sum over active units in rationals."""
    ratio, square = Fraction(1), Fraction(1)
    for before, n in pairwise(widths):
        first = Fraction(sum(math.comb(n, b) * b for b in range(n + 1)), 2**n)
        second = Fraction(sum(math.comb(n, b) * b * (b + 2) for b in range(n + 1)), 2**n)
        ratio *= second / first**2
        square *= first / before
    law = layer_norm_law(widths, gain, "relu")
    assert law.square_ratio == pytest.approx(float(ratio), rel=1e-12)
    exact = math.log(square) + 2 * (len(widths) - 1) * math.log(gain)
    assert law.log_mean_square == pytest.approx(
        exact, abs=1e-12 * (1 + len(widths)) * (1 + abs(math.log(gain)))
    )
    alive = math.prod((1 - Fraction(1, 2**n) for n in widths[1:]), start=Fraction(1))
    assert law.zero_mass == pytest.approx(float(1 - alive), rel=1e-12)


def test_each_linear_layer_multiplies_the_square_by_a_chi_square_variable() -> None:
    """Kolmogorov distance by DKW at STATEMENT, for layers of a deep net after 30 others."""
    width, depth, nets = 12, 31, 4000
    walks = norm_walks(width, depth, "linear", 0.9, "fresh", nets, seed=8)
    last_forward = walks.forward[:, -1] - walks.forward[:, -2]
    last_backward = walks.backward[:, 0] - walks.backward[:, 1]
    for logs in (last_forward, last_backward):
        sample = np.exp(2 * logs) / 0.81 * width
        grid = np.quantile(sample, np.linspace(0, 1, 101))
        below = np.searchsorted(np.sort(sample), grid, side="right") / nets
        assert np.max(np.abs(below - stats.chi2.cdf(grid, width))) <= dkw_distance(nets)
        # Two degrees of freedom more are seen.
        assert np.max(np.abs(below - stats.chi2.cdf(grid, width + 2))) > dkw_distance(nets)


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_fresh_linear_nets_walk_as_predicted_forward_and_backward(direction: str) -> None:
    """The sum of all nets' independent log chi^2, by Chernoff at STATEMENT; the whole law, by DKW."""
    width, depth, nets = 30, 60, 400
    gain = critical_gain(width, "linear")
    walks = norm_walks(width, depth, "linear", gain, "fresh", nets, seed=2)
    ends = walks.forward[:, -1] if direction == "forward" else walks.backward[:, 0]
    total = 2 * ends.sum() - 2 * nets * depth * math.log(gain / math.sqrt(width))
    assert log_chi_square_tail(width, nets * depth, float(total)) > STATEMENT
    # He's or Glorot's gain 1 at this width has drift -depth / (2 width): seen.
    assert (
        log_chi_square_tail(width, nets * depth, float(total - 2 * nets * depth * math.log(gain))) < STATEMENT
    )
    law = layer_norm_law([width] * (depth + 1), gain)
    assert law.log_mean == pytest.approx(0.0, abs=1e-12)
    # The log norm is a sum of 60 terms of skewness 0.2: normal to 0.01 (Berry-Esseen 0.4748 x 1.8 / sqrt 60
    # is coarser).
    sample = np.sort(ends / math.sqrt(law.log_variance))
    below = np.arange(1, nets + 1) / nets
    assert np.max(np.abs(below - stats.norm.cdf(sample))) <= dkw_distance(nets) + 1 / nets + 0.12


def test_fresh_relu_nets_walk_as_predicted() -> None:
    """Mean within 5 standard errors, spread within 20 % (1.65 at N = 50, D = 100), seed fixed."""
    gain = critical_gain(50, "relu")
    law = layer_norm_law([50] * 101, gain, "relu")
    ends = norm_walks(50, 100, "relu", gain, "fresh", 200, seed=1).forward[:, -1]
    assert abs(ends.mean()) <= 5 * math.sqrt(law.log_variance / 200)
    assert abs(ends.std() / math.sqrt(law.log_variance) - 1) < 0.2
    assert math.sqrt(law.log_variance) == pytest.approx(1.65, abs=0.02)
    # He's gain leaves a drift of -2.5, which the same band excludes.
    assert layer_norm_law([50] * 101, math.sqrt(2), "relu").log_mean == pytest.approx(-2.5, abs=0.15)


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_shared_weights_spread_like_depth_and_fresh_ones_like_its_root(direction: str) -> None:
    """Claim C5: sd ratio >= 2.5 at N = 50, D = 100 (measured 5; 60 nets leave 3.6 at 99.9 %), both ways."""
    gain = critical_gain(50, "linear")
    column = -1 if direction == "forward" else 0
    ends = {
        kind: getattr(norm_walks(50, 100, "linear", gain, kind, 200, seed=4), direction)[:, column]
        for kind in ("fresh", "shared")
    }
    assert ends["shared"].std() >= 2.5 * ends["fresh"].std()
    assert ends["fresh"].std() == pytest.approx(1.010, rel=0.2)
    half = {
        kind: getattr(norm_walks(50, 400, "linear", gain, kind, 100, seed=4), direction)[:, column].std()
        for kind in ("fresh", "shared")
    }
    assert half["fresh"] / ends["fresh"].std() == pytest.approx(2.0, rel=0.25)
    assert half["shared"] / ends["shared"].std() == pytest.approx(4.0, rel=0.25)


def test_the_horizon_of_a_shared_net_is_the_one_measured_elsewhere() -> None:
    """Drift +5.6 and sd 5.1 over 200 nets of another program: standard errors 0.36 and 0.25."""
    horizon = horizon_gain(50, 100)
    assert horizon.gain == critical_gain(50, "linear")
    assert horizon.fresh.drift == pytest.approx(0.0, abs=1e-11)
    assert horizon.fresh.spread == pytest.approx(1.0101, abs=1e-3)
    assert abs(horizon.shared.drift - 5.6) < 5 * math.hypot(0.36, horizon.shared.drift_error)
    assert abs(horizon.shared.spread - 5.1) < 5 * math.hypot(0.25, horizon.shared.spread_error)
    assert horizon.shared.zero_drift_gain == pytest.approx(
        horizon.gain * math.exp(-horizon.shared.drift / 100), rel=1e-14
    )


def test_the_zero_drift_gain_has_no_drift_at_its_horizon() -> None:
    found = horizon_gain(20, 30, "linear", samples=300, seed=9)
    gain = found.shared.zero_drift_gain
    ends = norm_walks(20, 30, "linear", gain, "shared", 300, seed=9).forward[:, -1]
    assert ends.mean() == pytest.approx(0.0, abs=1e-10)


def test_walks_of_one_seed_are_the_same_and_start_at_zero() -> None:
    one, two = (norm_walks(8, 5, "tanh", 1.3, "shared", 3, seed=11) for _ in range(2))
    np.testing.assert_array_equal(one.forward, two.forward)
    np.testing.assert_array_equal(one.backward, two.backward)
    assert np.all(one.forward[:, 0] == 0.0)
    assert np.all(one.backward[:, -1] == 0.0)
    assert one.forward.shape == one.backward.shape == (3, 6)


@pytest.mark.parametrize("kind", ["fresh", "shared"])
@pytest.mark.parametrize("activation", ["linear", "relu", "tanh"])
def test_the_backward_walk_is_the_gradient_that_autograd_finds(activation: str, kind: str) -> None:
    """Replayed in torch with the same random numbers: norms of dL/dx_l at every layer."""
    torch: Any = pytest.importorskip("torch")
    width, depth, gain = 7, 6, 1.4
    walks = norm_walks(width, depth, activation, gain, kind, nets=1, seed=3)  # type: ignore[arg-type]  # a literal
    ends, draws = np.random.SeedSequence(3).spawn(2)
    distinct = depth if kind == "fresh" else 1
    matrices = np.random.default_rng(draws).standard_normal((distinct, 1, width, width)) * (
        gain / math.sqrt(width)
    )
    rng = np.random.default_rng(ends)
    start, gradient = rng.standard_normal((1, width, 1))[0, :, 0], rng.standard_normal((1, width, 1))[0, :, 0]
    function = {"linear": lambda x: x, "relu": torch.relu, "tanh": torch.tanh}[activation]
    states = [torch.tensor(start * math.sqrt(width) / np.linalg.norm(start), requires_grad=True)]
    for layer in range(depth):
        states.append(function(torch.tensor(matrices[layer % distinct, 0]) @ states[-1]))
        states[-1].retain_grad()
    states[-1].backward(torch.tensor(gradient))
    forward = [float(state.detach().norm()) for state in states]
    backward = [float(state.grad.norm()) for state in states]
    np.testing.assert_allclose(np.exp(walks.forward[0]), np.array(forward) / forward[0], rtol=1e-12)
    np.testing.assert_allclose(np.exp(walks.backward[0]), np.array(backward) / backward[-1], rtol=1e-12)


@pytest.mark.parametrize(("gain", "sign"), [(0.6, -1), (2.0, 1)])
@pytest.mark.parametrize("activation", ["tanh", "erf"])
def test_chi_predicts_whether_gradients_of_wide_nets_grow(activation: str, gain: float, sign: int) -> None:
    """Where |ln chi| > 0.1, N = 256, L = 40."""
    from dynprop.products import mean_field

    field = mean_field(activation, gain**2, 0.0)
    assert abs(math.log(field.chi)) > 0.1
    walks = norm_walks(256, 40, activation, gain, "fresh", nets=6, seed=0)
    ends = walks.backward[:, 0]
    assert np.all(sign * ends > 0)
    # The mean field at rest: the first layers are on the way there, and sd is about sqrt(40/512).
    assert ends.mean() / 40 == pytest.approx(field.exponent, abs=0.04)


def test_orthogonal_layers_would_keep_the_norm_that_gaussian_ones_spread() -> None:
    law = layer_norm_law([64] * 101, critical_gain(64, "linear"))
    assert math.sqrt(law.log_variance) == pytest.approx(math.sqrt(100 / 128), rel=0.02)


def test_no_layers_change_nothing() -> None:
    law = layer_norm_law([5], 3.0)
    assert (law.log_mean, law.log_variance, law.log_mean_square, law.square_ratio, law.zero_mass) == (
        0,
        0,
        0,
        1,
        0,
    )


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda: critical_gain(0, "linear"), "width"),
        (lambda: critical_gain(3, "swish"), "activation"),
        (lambda: layer_norm_law([], 1.0), "widths"),
        (lambda: layer_norm_law([3, 0], 1.0), "widths"),
        (lambda: layer_norm_law([3], -1.0), "gain"),
        (lambda: layer_norm_law([3], 1.0, "tanh"), "activation"),
        (lambda: horizon_gain(3, 0), "steps"),
        (lambda: horizon_gain(3, 5, "tanh"), "activation"),
        (lambda: horizon_gain(3, 5, samples=2), "samples"),
        (lambda: horizon_gain(1, 60, "relu", samples=8), "width"),
        (lambda: norm_walks(3, 4, "linear", 1.0, "tied"), "weights"),  # type: ignore[arg-type]  # it is refused
        (lambda: norm_walks(3, 4, "linear", -1.0, "fresh"), "gain"),
        (lambda: norm_walks(3, 4, "linear", 1.0, "fresh", nets=0), "nets"),
    ],
)
def test_arguments_without_an_answer_are_refused(call: Any, argument: str) -> None:
    with pytest.raises(ArgumentError, match=argument):
        call()
