"""Callables and laws that no quadrature expects: a right number or one typed error, never a wrong one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats
from torch import nn

from dynprop.arrays import FloatArray
from dynprop.errors import ArgumentError, PrecisionError
from dynprop.products import critical_gain, edge_of_chaos, mean_field, product_law, variance_map
from dynprop.products.weights.activations import resolve_activation


@pytest.mark.parametrize(
    "activation",
    [
        nn.LayerNorm(5),
        nn.Softmax(-1),
        lambda x: x / np.std(x),
        lambda x: x - x.mean(),
        lambda x: np.cumsum(x),
        lambda x: x * x.shape[0] / 5.0,
    ],
)
def test_a_callable_that_mixes_entries_is_no_activation(activation: Any) -> None:
    with pytest.raises(ArgumentError, match=r"^activation: got .*elementwise"):
        mean_field(activation, 1.0, 0.1)


@pytest.mark.parametrize(
    "step", [lambda x: (x > 0) * 1.0, lambda x: x > 0, np.floor, lambda x: np.floor(4 * x)]
)
def test_a_jump_at_zero_is_no_edge(step: Callable[[FloatArray], FloatArray]) -> None:
    """Its derivative is 0 almost everywhere; the quotient across the jump gave a gain of 0.00066."""
    with pytest.raises(PrecisionError, match=r"no edge of chaos|two resolutions"):
        critical_gain(20, step)


@pytest.mark.parametrize("frequency", [1.0, 10.0, 100.0, 1000.0])
def test_a_derivative_is_resolved_where_the_function_varies_fast(frequency: float) -> None:
    edge = edge_of_chaos(lambda x: np.sin(frequency * x), 0.0)
    assert edge.q == 0.0
    assert edge.weight_variance == pytest.approx(frequency**-2, rel=2.0 * max(edge.error, 1e-11))
    assert edge.error <= 1e-8


def test_a_derivative_that_no_step_resolves_is_refused() -> None:
    for activation in (lambda x: np.sin(1e6 * x), lambda x: np.tanh(x.astype(np.float32))):
        with pytest.raises(PrecisionError, match="two steps of its difference quotient"):
            critical_gain(20, activation)


def test_ordinary_callables_keep_the_long_step() -> None:
    for activation in (np.tanh, nn.GELU(), nn.Mish(), lambda x: np.clip(x, -0.37, 1.913)):
        found = resolve_activation(activation)
        assert found.derivative_error == 1e-11


def test_an_activation_beyond_the_range_of_floats_is_refused() -> None:
    with pytest.raises(PrecisionError, match="rescale the activation"):
        edge_of_chaos(lambda x: 1e200 * np.tanh(x), 0.0)


@pytest.mark.parametrize("call", [lambda: mean_field(np.tan, 1.3, 0.2), lambda: critical_gain(20, np.tan)])
def test_a_variance_that_never_settles_is_refused_in_time(
    call: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(variance_map, "_SECONDS", 0.1)
    begin = time.process_time()
    with pytest.raises(PrecisionError):
        call()
    assert time.process_time() - begin < 4.0


@pytest.mark.parametrize("law", [stats.norm(1e8, 1.0), stats.uniform(1e8, 1.0)])
def test_a_law_far_from_zero_is_refused_in_time(law: Any) -> None:
    begin = time.process_time()
    with pytest.raises(PrecisionError, match="promised 1e-09"):
        _ = product_law(law, 3).log_mean
    assert time.process_time() - begin < 5.0


def test_a_law_at_ten_thousand_deviations_from_zero_is_answered() -> None:
    # log(w/m) = x - x²/2 + x³/3 - ..., of mean -v/2 - 3v²/4 for Gaussian x of variance v.
    assert product_law(stats.norm(1e4, 1.0), 1).log_mean == pytest.approx(np.log(1e4) - 0.5e-8, rel=1e-9)
