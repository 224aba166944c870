"""Tables of the literature, each number with its source.

[digits]: computed at 50 to 60 digits, before this program and apart from it. [quoted]: stands in the
paper named.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from dynprop.products import (
    critical_gain,
    edge_of_chaos,
    gaussian_exponents,
    layer_norm_law,
    mean_field,
    product_law,
    shared_product_law,
    zero_drift_variance,
)


@pytest.mark.parametrize(
    ("bias", "weight", "q"),
    [
        (0.0, 1.0, 0.0),  # linearisation at 0: sigma_w phi'(0) = 1 (Poole et al. 2016)
        (0.01, 1.42420529, 0.2733009),  # [digits]; sigma_w = 1.193400725
        (
            0.05,
            1.76095464,
            0.57004788,
        ),  # [quoted] 1.76, Schoenholz et al. 2017, section 4; digits [digits]
        (0.1, 1.986072641, None),  # [digits]
        (0.3, 2.50512719, None),  # [digits]
    ],
)
def test_critical_line_of_tanh(bias: float, weight: float, q: float | None) -> None:
    edge = edge_of_chaos("tanh", bias)
    assert edge.weight_variance == pytest.approx(weight, abs=6e-9)
    assert q is None or edge.q == pytest.approx(q, abs=6e-8)


@pytest.mark.parametrize(
    ("weight", "q", "chi", "correlation", "variance"),
    [
        # Schoenholz et al. 2017, eqs. 3-9, at sigma_b^2 = 0.05 [digits]
        (0.9, 0.1632792554, 0.7063491766, 2.8764928, 1.6505515),
        (1.3, 0.3153164775, 0.8801635099, 7.8340693, 1.7852366),
        (1.5, 0.4180372, 0.9386362682, 15.790994, 1.6828284),
        (2.5, 1.063958377, 1.133515699, None, None),  # chaos: no scale is quoted
    ],
)
def test_mean_field_depth_scales_of_tanh(
    weight: float, q: float, chi: float, correlation: float | None, variance: float | None
) -> None:
    field = mean_field("tanh", weight, 0.05)
    assert field.q == pytest.approx(q, abs=6e-9)
    assert field.chi == pytest.approx(chi, abs=6e-10)
    assert correlation is None or field.correlation_depth == pytest.approx(correlation, rel=1e-7)
    assert variance is None or field.variance_depth == pytest.approx(variance, rel=1e-7)


@pytest.mark.parametrize(
    ("gain", "exponent"),
    # Mean-field exponent of the autonomous tanh net, 1/2 ln chi [digits]
    [
        (1.1, 0.00506890),
        (1.2, 0.01647626),
        (1.5, 0.06521721),
        (2, 0.15472423),
        (3, 0.31024932),
        (5, 0.53242794),
    ],
)
def test_lyapunov_exponent_of_the_tanh_net(gain: float, exponent: float) -> None:
    assert mean_field("tanh", gain**2, 0.0).exponent == pytest.approx(exponent, abs=6e-9)


@pytest.mark.parametrize(
    ("width", "linear", "linear_approximate", "relu", "relu_approximate", "relu_variance"),
    [
        # Exact: digamma, and the chi^2-binomial sum given the path lives [digits].
        # Approximate: exp(1/(2N)) and sqrt(2) exp(1.2/(max(N, 6) - 2.4)), Sussillo and Abbott 2014, eqs.
        # 18, 23.
        (4, 1.14474444818, 1.13314845307, 2.02356, 1.97369, 2.9264),
        (10, 1.05301778411, 1.05127109638, 1.649222716, 1.65610478, 0.86673),
        (30, 1.01699456176, 1.01680633039, 1.478120612, 1.477057379, 0.19115),
        (100, 1.00502927054, 1.00501252086, 1.432303565, 1.431708766, 0.051940),
        (500, 1.00100116750, 1.00100050017, 1.417765166, 1.417628161, 0.010075),
    ],
)
def test_sussillo_and_abbott_against_exact_gains(
    width: int,
    linear: float,
    linear_approximate: float,
    relu: float,
    relu_approximate: float,
    relu_variance: float,
) -> None:
    assert critical_gain(width, "linear") == pytest.approx(linear, abs=6e-12)
    assert critical_gain(width, "relu") == pytest.approx(relu, rel=3e-6 if width == 4 else 4e-10)
    assert 4 * layer_norm_law([width, width], 1.0, "relu").log_variance == pytest.approx(
        relu_variance, rel=1e-4
    )
    assert math.exp(0.5 / width) == pytest.approx(linear_approximate, abs=6e-12)
    fit = math.sqrt(2) * math.exp(1.2 / (max(width, 6) - 2.4))
    assert fit == pytest.approx(relu_approximate, rel=3e-6)
    # The fit is good to .0075 for N >= 10 and to .0012 for N >= 30 [digits].
    if width >= 10:
        assert abs(fit - relu) < (0.0012 if width >= 30 else 0.0075)


def test_ginibre_exponents() -> None:
    """Newman 1986; at N = 7 mu_1 = -0.07480 [digits]. Sum: E log|det|, Forrester 2015, eq. 1.5."""
    assert gaussian_exponents(7)[0] == pytest.approx(-0.07480, abs=5e-6)
    # N = 1 is the scalar case: -(gamma + log 2)/2 [digits].
    assert gaussian_exponents(1)[0] == pytest.approx(-0.635181422731, abs=1e-12)
    # N = 2, standard entries: psi(1) = -gamma and psi(1/2) = -gamma - 2 log 2.
    expected = [(math.log(2) - np.euler_gamma) / 2, (-math.log(2) - np.euler_gamma) / 2]
    np.testing.assert_allclose(gaussian_exponents(2, 1.0), expected, atol=1e-15)
    # Wide: the largest tends to 0, the triangular law's edge (Newman 1986, section 3).
    assert gaussian_exponents(4000)[0] == pytest.approx(-1 / 8000, rel=1e-3)


@pytest.mark.parametrize("width", [2, 5, 50, 400])
def test_hanins_second_moment_factor(width: int) -> None:
    """Hanin 2018, arXiv:1801.03744: 1 + 5/n per ReLU layer; linear 1 + 2/n (chi^2)."""
    assert layer_norm_law([width, width], math.sqrt(2), "relu").square_ratio == pytest.approx(
        1 + 5 / width, rel=1e-14
    )
    assert layer_norm_law([width, width], 1.0).square_ratio == pytest.approx(1 + 2 / width, rel=1e-14)
    assert layer_norm_law([width] * 3, math.sqrt(2), "relu").log_mean_square == pytest.approx(0.0, abs=1e-14)


def test_depth_over_width_decides() -> None:
    """Hanin 2018: fluctuations are exponential in beta = sum 1/n_l."""
    for widths in ([200] * 101, [100] * 51):
        assert layer_norm_law(widths, math.sqrt(2), "relu").square_ratio == pytest.approx(
            math.exp(2.5), rel=0.06
        )


def test_scales_without_drift() -> None:
    """2 e^gamma, e^2/3, 1 [digits]."""
    assert zero_drift_variance(stats.norm(0, 1)) == pytest.approx(3.56214483598, abs=6e-12)
    assert zero_drift_variance(stats.uniform(-1, 2)) == pytest.approx(2.46301869964, abs=6e-12)


def test_shared_gaussian_weights() -> None:
    """(2n-1)!! - [n even]((n-1)!!)^2: 2, 15 and 653 836 050 at n = 2, 3, 10 [digits]."""
    assert [shared_product_law(stats.norm(0, 1), n).variance for n in (2, 3, 10)] == [
        2.0,
        15.0,
        653_836_050.0,
    ]


def test_what_a_sample_variance_would_need() -> None:
    """(3^n - 1)/m is its relative variance: 10 % needs 5.9e6 samples at n = 10 [digits]."""
    assert (product_law(stats.norm(0, 1), 10).kurtosis - 1) / 0.01 == pytest.approx(5.9e6, rel=2e-3)
    assert (product_law(stats.norm(0, 1), 20).kurtosis - 1) / 0.01 == pytest.approx(3.5e11, rel=0.01)
