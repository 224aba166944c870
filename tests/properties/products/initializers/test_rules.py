"""Initial weights: variances, laws and structures are those that are promised, in numpy and in torch."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from dynprop import products
from dynprop.arrays import FloatArray
from dynprop.errors import ArgumentError, PrecisionError
from dynprop.laws.statistics import (
    assert_cdf_equal,
    assert_fair_signs,
    assert_gaussian_variance_equal,
    min_discrepancy_of_cdfs,
    min_discrepancy_of_gaussian_variances,
)
from dynprop.linear import certified_radius

Draw = Callable[..., FloatArray]
SHAPES = [(300, 100), (100, 300)]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def in_torch(function: Callable[..., Any], dtype: torch.dtype = torch.float64) -> Draw:
    """Call an in-place initialiser as f(shape, rng) of shape (fan_in, fan_out)."""

    def draw(shape: tuple[int, int], source: np.random.Generator, *args: Any, **given: Any) -> FloatArray:
        seed = torch.Generator().manual_seed(int(source.integers(2**62)))
        tensor = torch.empty(shape[::-1], dtype=dtype)
        assert function(tensor, *args, **given, generator=seed) is tensor
        return np.asarray(tensor.numpy().T, dtype=np.float64)

    return draw


SCALED = [products.variance_scaled, in_torch(products.variance_scaled_)]
CUT = stats.truncnorm(-2.0, 2.0)
LAWS: dict[str, Any] = {
    "normal": stats.norm(),
    "truncated": stats.truncnorm(-2.0, 2.0, scale=1.0 / float(CUT.std())),
    "uniform": stats.uniform(-math.sqrt(3.0), 2.0 * math.sqrt(3.0)),
}


@pytest.mark.parametrize("draw", SCALED)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("mode", "fan"), [("fan_in", 0), ("fan_out", 1), ("fan_avg", None)])
@pytest.mark.parametrize("law", LAWS)
def test_weights_have_the_law_and_the_variance_of_their_fan(
    draw: Draw, shape: tuple[int, int], mode: str, fan: int | None, law: str
) -> None:
    """The distribution function by DKW; 30,000 weights find any law at distance 0.036, miss rate 1e-6."""
    weights = draw(shape, rng(), 2.0, mode, law)
    assert weights.shape == shape
    variance = 2.0 / (200.0 if fan is None else shape[fan])
    assert min_discrepancy_of_cdfs(weights.size) < 0.036
    assert_cdf_equal(weights / math.sqrt(variance), LAWS[law].cdf)
    wrong = 2.0 / shape[1 if fan in (0, None) else 0]
    with pytest.raises(AssertionError, match="samples: distance"):
        assert_cdf_equal(weights / math.sqrt(wrong), LAWS[law].cdf)


def test_a_truncated_law_that_is_not_rescaled_is_found() -> None:
    """What is planted, to show that the test above would see it: 0.774 of the variance."""
    weights = products.variance_scaled((300, 100), rng(), law="truncated") * float(CUT.std())
    with pytest.raises(AssertionError, match="samples: distance"):
        assert_cdf_equal(weights * math.sqrt(300.0), LAWS["truncated"].cdf)


def test_the_constant_of_the_truncated_law_is_that_of_scipy() -> None:
    from dynprop.products.initializers import scale

    assert pytest.approx(float(CUT.std()), rel=1e-14) == scale.TRUNCATED_DEVIATION
    assert pytest.approx(float(stats.norm.cdf(2.0) - stats.norm.cdf(-2.0)), rel=1e-14) == scale.TRUNCATED_MASS


@pytest.mark.parametrize("draw", [products.sussillo_abbott, in_torch(products.sussillo_abbott_)])
@pytest.mark.parametrize("activation", ["linear", "relu"])
def test_the_gain_of_the_walk_belongs_to_fan_out_and_the_variance_to_fan_in(
    draw: Draw, activation: str
) -> None:
    """At fan_out 3 the exact gain is far from that of any fan_in: 30 %, found in 60,000 weights."""
    shape = (20_000, 3)
    weights = draw(shape, rng(1), activation)
    gain = products.critical_gain(3, activation)
    assert_gaussian_variance_equal(weights, gain**2 / shape[0])
    assert min_discrepancy_of_gaussian_variances(weights.size) < 0.07
    assert abs(gain / products.critical_gain(shape[0], activation) - 1.0) > 0.07


def test_the_mean_square_of_a_walk_keeps_its_typical_size_through_any_widths() -> None:
    """The exact law of the norm: per unit, no drift of the logarithm at any sequence of widths."""
    widths = [7, 3, 50, 2, 9]
    drift = 0.0
    for fans in pairwise(widths):
        law = products.layer_norm_law(fans, products.critical_gain(fans[1], "linear"))
        drift += law.log_mean - 0.5 * math.log(fans[1] / fans[0])
    assert drift == pytest.approx(0.0, abs=1e-14)


# Structure.

ORTHOGONAL = [products.orthogonal, in_torch(products.orthogonal_)]


@pytest.mark.parametrize("draw", ORTHOGONAL)
@pytest.mark.parametrize("shape", [(1, 1), (5, 5), (40, 7), (7, 40), (64, 64)])
def test_orthogonal_matrices_have_orthonormal_vectors_of_the_gain(draw: Draw, shape: tuple[int, int]) -> None:
    found = draw(shape, rng(2), 3.0) / 3.0
    gram = found.T @ found if shape[0] >= shape[1] else found @ found.T
    # Householder's Q departs by order n^1.5 u (Higham 2002, theorem 19.4); 8 m u per entry (seen 2 u).
    assert np.abs(gram - np.eye(min(shape))).max() <= 8.0 * max(shape) * 2.0**-53


@pytest.mark.parametrize("draw", ORTHOGONAL)
def test_orthogonal_matrices_are_haar_distributed(draw: Draw) -> None:
    """n = 3: Q11 is uniform on [-1, 1] (Archimedes), the trace has E tr^2 = 1, and every sign is fair."""
    source = rng(3)
    found = np.array([draw((3, 3), source) for _ in range(4000)])
    for i, j in np.ndindex(3, 3):
        assert_cdf_equal(found[:, i, j], lambda x: 0.5 * (x + 1.0))
    assert_fair_signs(int((np.linalg.det(found) > 0.0).sum()), len(found))


def test_the_sign_convention_of_a_factorisation_is_not_haar() -> None:
    """What is planted, to show that the test above would see it."""
    source = rng(3)
    found = np.array([np.linalg.qr(source.standard_normal((3, 3)))[0] for _ in range(200)])
    with pytest.raises(AssertionError, match="signs: 0 of 200"):
        assert_fair_signs(int((found[:, 0, 0] > 0.0).sum()), 200)


@pytest.mark.parametrize("shape", [(3, 3), (2, 4), (4, 2)])
def test_identity_is_cut_to_its_shape(shape: tuple[int, int]) -> None:
    np.testing.assert_array_equal(products.identity(shape, gain=0.5), 0.5 * np.eye(*shape))
    tensor = torch.empty(shape)
    np.testing.assert_array_equal(products.identity_(tensor, 0.5).numpy(), 0.5 * np.eye(*shape))


@pytest.mark.parametrize("draw", [products.spectral_radius, in_torch(products.spectral_radius_)])
@pytest.mark.parametrize(("n", "nonzeros"), [(1, None), (2, None), (12, None), (12, 3), (12, 12), (4, 1)])
@pytest.mark.parametrize("radius", [1.1, 0.95, 1e-200])
def test_the_spectral_radius_is_the_requested_one(
    draw: Draw, n: int, nonzeros: int | None, radius: float
) -> None:
    found = draw((n, n), rng(n), radius, nonzeros)
    enclosure = certified_radius(found)
    # LAPACK's eigenvalues: n u |W| / s, with 1/s the condition, at most 1e4 in these draws (seen: 4e-15).
    assert enclosure.lower == pytest.approx(radius, rel=1e-11)
    assert enclosure.upper == pytest.approx(radius, rel=1e-11)
    assert (np.count_nonzero(found, axis=0) == (nonzeros or n)).all()


def test_a_radius_of_zero_is_the_zero_matrix() -> None:
    np.testing.assert_array_equal(products.spectral_radius((3, 3), rng(), 0.0), np.zeros((3, 3)))


def test_a_cycle_is_what_a_radius_needs() -> None:
    from dynprop.products.initializers.rules import _has_cycle

    assert not _has_cycle(np.triu(np.ones((5, 5)), 1))
    assert _has_cycle(np.eye(3))
    assert _has_cycle(np.roll(np.eye(4), 1, axis=0))
    shuffled = np.triu(np.ones((5, 5)), 1)[np.ix_([3, 1, 4, 0, 2], [3, 1, 4, 0, 2])]
    assert not _has_cycle(shuffled)


def test_matrices_without_a_cycle_are_drawn_again_and_at_last_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from dynprop.products.initializers import rules as initializers

    monkeypatch.setattr(initializers, "_has_cycle", lambda _: False)
    with pytest.raises(PrecisionError, match="none has a cycle"):
        products.spectral_radius((4, 4), rng(), 1.0, 1)


# Rings and gates.


def ring(torch_too: bool, **given: Any) -> Any:
    if not torch_too:
        return products.lru_ring(20_000, rng(5), **given)
    nu, theta, gamma = (torch.empty(20_000, dtype=torch.float64) for _ in range(3))
    products.lru_ring_(nu, theta, gamma, **given, generator=torch.Generator().manual_seed(5))
    return products.LruRing(nu.numpy(), theta.numpy(), gamma.numpy())


@pytest.mark.parametrize("torch_too", [False, True])
def test_the_ring_is_uniform_in_area_and_normalised(torch_too: bool) -> None:
    found = ring(torch_too, r_min=0.5, r_max=0.99, max_phase=0.3)
    modulus, phase = np.exp(-np.exp(found.nu_log)), np.exp(found.theta_log)
    assert_cdf_equal(modulus**2, lambda x: np.clip((x - 0.25) / (0.9801 - 0.25), 0.0, 1.0))
    assert_cdf_equal(phase, lambda x: np.clip(x / 0.3, 0.0, 1.0))
    # exp of a logarithm: 2 u |nu_log| relative, times 2 modulus^2 / gamma^2 <= 100 (seen 3e-14).
    np.testing.assert_allclose(np.exp(2.0 * found.gamma_log), 1.0 - modulus**2, rtol=1e-12)


@pytest.mark.parametrize("torch_too", [False, True])
def test_stationary_power_is_that_of_the_noise(torch_too: bool) -> None:
    """P25: gamma^2 sum of abs(lambda)^(2s) over s <= t is 1 - abs(lambda)^(2t+2)."""
    found = ring(torch_too)
    modulus = np.exp(-np.exp(found.nu_log[:50]))
    power = np.exp(2.0 * found.gamma_log[:50]) * np.sum(modulus ** (2.0 * np.arange(201)[:, None]), axis=0)
    # 200 terms, each of 400 roundings (seen 2e-13).
    np.testing.assert_allclose(power, 1.0 - modulus**402, rtol=1e-11)


@pytest.mark.parametrize("torch_too", [False, True])
def test_a_ring_at_the_circle_keeps_the_digits_of_its_normalisation(torch_too: bool) -> None:
    """1 - 1e-13 from the circle, the plain difference 1 - r^2 has three digits; the logarithms have all."""
    found = ring(torch_too, r_min=1.0 - 1e-13, r_max=1.0)
    assert np.isfinite(found.nu_log).all()
    decay = np.exp(found.nu_log)
    np.testing.assert_allclose(np.exp(2.0 * found.gamma_log), -np.expm1(-2.0 * decay), rtol=1e-13)


@pytest.mark.parametrize("torch_too", [False, True])
def test_time_scales_of_chrono_gates_are_uniform_up_to_the_horizon(torch_too: bool) -> None:
    if torch_too:
        forget, into = torch.empty(20_000, dtype=torch.float64), torch.empty(20_000, dtype=torch.float64)
        products.chrono_gates_(forget, into, 100.0, torch.Generator().manual_seed(1))
        found = products.ChronoGates(forget.numpy(), into.numpy())
    else:
        found = products.chrono_gates(20_000, rng(6), 100.0)
    np.testing.assert_array_equal(found.input, -found.forget)
    gate = 1.0 / (1.0 + np.exp(-found.forget))
    assert_cdf_equal(1.0 / (1.0 - gate), lambda x: np.clip((x - 2.0) / 98.0, 0.0, 1.0))


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_an_lstm_gets_chrono_gates_in_every_layer(layers: int, bidirectional: bool) -> None:
    """With cell and input at rest the forget gate of each unit is U/(1+U): read from the module itself."""
    lstm = torch.nn.LSTM(3, 50, layers, bidirectional=bidirectional)
    weights = {k: v.clone() for k, v in lstm.named_parameters() if k.startswith("weight")}
    assert products.chrono_lstm_(lstm, 60.0) is lstm
    for name, value in lstm.named_parameters():
        if name in weights:
            assert torch.equal(value, weights[name])
    for suffix in {name.removeprefix("bias_ih") for name, _ in lstm.named_parameters() if "bias_ih" in name}:
        total = getattr(lstm, f"bias_ih{suffix}") + getattr(lstm, f"bias_hh{suffix}")
        into, forget, cell, out = total.detach().chunk(4)
        assert torch.equal(into, -forget)
        assert bool((cell == 0).all() and (out == 0).all())
        assert 0.0 <= float(forget.min()) < float(forget.max()) <= math.log(59.0) + 1e-6


# Hygiene.

RANDOM: list[Callable[..., Any]] = [
    products.variance_scaled,
    products.sussillo_abbott,
    products.orthogonal,
    products.spectral_radius,
]
IN_PLACE: list[Callable[..., Any]] = [
    products.variance_scaled_,
    products.sussillo_abbott_,
    products.orthogonal_,
    products.spectral_radius_,
]


@pytest.mark.parametrize("function", RANDOM)
def test_a_generator_decides_everything_and_goes_on(function: Callable[..., Any]) -> None:
    first, again = rng(7), rng(7)
    np.testing.assert_array_equal(function((6, 6), first), function((6, 6), again))
    assert not np.array_equal(function((6, 6), first), function((6, 6), rng(7)))


@pytest.mark.parametrize("function", IN_PLACE)
def test_a_generator_decides_everything_in_torch_and_the_default_is_torchs(
    function: Callable[..., Any],
) -> None:
    def drawn(seed: int | None, dtype: torch.dtype = torch.float64) -> torch.Tensor:
        given = {} if seed is None else {"generator": torch.Generator().manual_seed(seed)}
        result: torch.Tensor = function(torch.empty(6, 6, dtype=dtype), **given)
        return result

    torch.manual_seed(1)
    assert torch.equal(drawn(3), drawn(3))
    after = torch.rand(())
    torch.manual_seed(1)
    assert torch.equal(after, torch.rand(()))
    torch.manual_seed(3)
    assert torch.equal(drawn(None), drawn(3))
    assert torch.equal(drawn(3, torch.float32), drawn(3).float())
    assert torch.equal(drawn(3, torch.bfloat16), drawn(3).bfloat16())


def test_kernels_of_convolutions_count_in_both_fans() -> None:
    weight = torch.empty(40, 30, 5, 5, dtype=torch.float64)
    for mode, fan in (("fan_in", 750), ("fan_out", 1000)):
        products.variance_scaled_(weight, 1.0, mode, generator=torch.Generator().manual_seed(2))
        assert_gaussian_variance_equal(weight.numpy(), 1.0 / fan)
    flat = products.orthogonal_(weight).reshape(40, -1).numpy()
    assert np.abs(flat @ flat.T - np.eye(40)).max() <= 8.0 * 750 * 2.0**-53


def test_a_parameter_that_requires_a_gradient_is_filled() -> None:
    parameter = torch.nn.Parameter(torch.zeros(4, 3))
    products.variance_scaled_(parameter)
    assert parameter.grad is None
    assert parameter.is_leaf
    assert bool((parameter != 0).all())


@pytest.mark.parametrize("bad", [(3,), (3, 0), (3, 2.5), 3, (1, 2, 3), (True, 2), "ab"])
@pytest.mark.parametrize("function", [*RANDOM, products.identity])
def test_shapes_that_are_no_matrix_are_refused(function: Callable[..., Any], bad: Any) -> None:
    with pytest.raises(ArgumentError, match=r"^shape.*got"):
        function(bad, rng())


@pytest.mark.parametrize("source", [None, 0, np.random.RandomState(0), np.random])
@pytest.mark.parametrize("function", RANDOM)
def test_only_a_generator_is_a_source(function: Callable[..., Any], source: Any) -> None:
    with pytest.raises(ArgumentError, match=r"^rng: got"):
        function((2, 2), source)


@pytest.mark.parametrize(
    "bad", [np.zeros((2, 2)), torch.zeros(3), torch.zeros(2, 2, dtype=torch.int64), torch.zeros(2, 0), None]
)
@pytest.mark.parametrize("function", [*IN_PLACE, products.identity_])
def test_tensors_that_are_no_weight_are_refused(function: Callable[..., Any], bad: Any) -> None:
    with pytest.raises(ArgumentError, match=r"^tensor: got"):
        function(bad)


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda: products.variance_scaled((2, 2), rng(), -1.0), "scale"),
        (lambda: products.variance_scaled((2, 2), rng(), math.nan), "scale"),
        (lambda: products.variance_scaled((2, 2), rng(), mode="fan"), "mode"),
        (lambda: products.variance_scaled((2, 2), rng(), law="cauchy"), "law"),
        (lambda: products.sussillo_abbott((2, 2), rng(), "sine"), "activation"),
        (lambda: products.orthogonal((2, 2), rng(), -1.0), "gain"),
        (lambda: products.orthogonal_(torch.zeros(2, 2), -1.0), "gain"),
        (lambda: products.identity((2, 2), None, math.inf), "gain"),
        (lambda: products.spectral_radius((2, 3), rng()), "shape"),
        (lambda: products.spectral_radius_(torch.zeros(2, 3)), "shape"),
        (lambda: products.identity_(torch.zeros(2, 3, 4)), "tensor"),
        (lambda: products.spectral_radius((2, 2), rng(), -0.5), "radius"),
        (lambda: products.spectral_radius((2, 2), rng(), nonzeros=0), "nonzeros"),
        (lambda: products.spectral_radius((2, 2), rng(), nonzeros=3), "n of shape"),
        (lambda: products.lru_ring(0, rng()), "size"),
        (lambda: products.lru_ring(2, rng(), 0.9, 0.8), "r_min, r_max"),
        (lambda: products.lru_ring(2, rng(), 0.0, 0.0), "r_min, r_max"),
        (lambda: products.lru_ring(2, rng(), 0.5, 1.1), "r_min, r_max"),
        (lambda: products.lru_ring(2, rng(), max_phase=0.0), "max_phase"),
        (lambda: products.lru_ring_(torch.zeros(2), torch.zeros(2), torch.zeros(3)), "nu_log"),
        (lambda: products.lru_ring_(torch.zeros(2), torch.zeros(2, 1), torch.zeros(2)), "nu_log"),
        (lambda: products.chrono_gates(3, rng(), 1.5), "horizon"),
        (lambda: products.chrono_gates_(torch.zeros(2), np.zeros(2), 5.0), "input"),  # type: ignore[arg-type]
        (lambda: products.chrono_lstm_(torch.nn.GRU(2, 2), 5.0), "module"),  # type: ignore[arg-type]
        (lambda: products.chrono_lstm_(torch.nn.LSTM(2, 2, bias=False), 5.0), "module"),
        (lambda: products.chrono_lstm_(torch.nn.LSTM(2, 2), 1.0), "horizon"),
    ],
)
def test_promises_that_cannot_be_kept_are_refused(call: Any, argument: str) -> None:
    with pytest.raises(ArgumentError, match=f"^{argument}.*: got"):
        call()


@pytest.mark.parametrize("draw", ORTHOGONAL)
@pytest.mark.parametrize(("width", "depth"), [(1, 5), (7, 200), (64, 300)])
def test_orthogonal_layers_keep_the_norm_forward_and_backward(draw: Draw, width: int, depth: int) -> None:
    """P21: within 8 D N u, after D layers of width N (seen: 0.004 of it), where Gaussian ones walk."""
    source = rng(width)
    signal, gradient = source.standard_normal((2, width))
    start = np.linalg.norm(signal), np.linalg.norm(gradient)
    layers = [draw((width, width), source) for _ in range(depth)]
    for layer in layers:
        signal = signal @ layer
    for layer in reversed(layers):
        gradient = layer @ gradient
    allowed = 8.0 * depth * width * 2.0**-53
    assert abs(np.linalg.norm(signal) / start[0] - 1.0) <= allowed
    assert abs(np.linalg.norm(gradient) / start[1] - 1.0) <= allowed
