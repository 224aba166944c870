"""Activations by name, each with its exact derivative; definitions and defaults are those of torch.nn.

Trap: tanh' is 1/cosh^2; 1 - tanh^2 has no digits left in saturation.
"""

from __future__ import annotations

import math

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.products.weights.activation import Activation, ClosedForms

__all__ = ["NAMED"]

# Klambauer et al. (2017), arXiv:1706.02515, to double precision.
_SELU_SCALE, _SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717
_LEAK = 0.01


def _linear(x: FloatArray) -> FloatArray:
    return x


def _relu(x: FloatArray) -> FloatArray:
    return np.maximum(x, 0.0)


def _step(x: FloatArray) -> FloatArray:
    return np.where(np.signbit(x), 0.0, 1.0)


def _leaky(x: FloatArray) -> FloatArray:
    return np.where(x > 0.0, x, _LEAK * x)


def _leaky_slope(x: FloatArray) -> FloatArray:
    return np.where(np.signbit(x), _LEAK, 1.0)


def _tanh_slope(x: FloatArray) -> FloatArray:
    return np.asarray(1.0 / np.cosh(np.minimum(np.abs(x), 350.0)) ** 2)


def _erf(x: FloatArray) -> FloatArray:
    from scipy.special import erf

    return np.asarray(erf(x))


def _erf_slope(x: FloatArray) -> FloatArray:
    return np.asarray(2.0 / math.sqrt(math.pi) * np.exp(-np.square(x)))


def _erf_second(q: float) -> float:
    return (2.0 / math.pi) * math.asin(2.0 * q / (1.0 + 2.0 * q))


def _erf_slope_moment(q: float) -> float:
    return (4.0 / math.pi) / math.sqrt(1.0 + 4.0 * q)


def _erf_moment_slope(q: float) -> float:
    return (4.0 / math.pi) / ((1.0 + 2.0 * q) * math.sqrt(1.0 + 4.0 * q))


def _erf_pair(q: float, c: float) -> tuple[float, float]:
    full, cross = 1.0 + 2.0 * q, 2.0 * q * c
    return (2.0 / math.pi) * math.asin(cross / full), (4.0 / math.pi) / math.sqrt(full**2 - cross**2)


def _sin_second(q: float) -> float:
    return -0.5 * math.expm1(-2.0 * q)


def _sin_slope_moment(q: float) -> float:
    return 0.5 * (1.0 + math.exp(-2.0 * q))


def _sin_moment_slope(q: float) -> float:
    return math.exp(-2.0 * q)


def _sin_pair(q: float, c: float) -> tuple[float, float]:
    near, far = math.exp(-q * (1.0 - c)), math.exp(-q * (1.0 + c))
    return 0.5 * (near - far), 0.5 * (near + far)


def _sigmoid(x: FloatArray) -> FloatArray:
    from scipy.special import expit

    return np.asarray(expit(x))


def _sigmoid_slope(x: FloatArray) -> FloatArray:
    return _sigmoid(x) * _sigmoid(-x)


def _softplus(x: FloatArray) -> FloatArray:
    return np.logaddexp(0.0, x)


def _normal_cdf(x: FloatArray) -> FloatArray:
    from scipy.special import ndtr

    return np.asarray(ndtr(x))


def _gelu(x: FloatArray) -> FloatArray:
    return x * _normal_cdf(x)


def _gelu_slope(x: FloatArray) -> FloatArray:
    return np.asarray(_normal_cdf(x) + x * np.exp(-0.5 * np.square(x)) / math.sqrt(2.0 * math.pi))


def _silu(x: FloatArray) -> FloatArray:
    return x * _sigmoid(x)


def _silu_slope(x: FloatArray) -> FloatArray:
    return np.asarray(_sigmoid(x) * (1.0 + x * _sigmoid(-x)))


def _mish(x: FloatArray) -> FloatArray:
    return np.asarray(x * np.tanh(_softplus(x)))


def _mish_slope(x: FloatArray) -> FloatArray:
    soft = _softplus(x)
    return np.asarray(np.tanh(soft) + x * _sigmoid(x) * _tanh_slope(soft))


def _elu(x: FloatArray) -> FloatArray:
    return np.where(x > 0.0, x, np.expm1(np.minimum(x, 0.0)))


def _elu_slope(x: FloatArray) -> FloatArray:
    return np.asarray(np.exp(np.minimum(x, 0.0)))


def _selu(x: FloatArray) -> FloatArray:
    return _SELU_SCALE * np.where(x > 0.0, x, _SELU_ALPHA * np.expm1(np.minimum(x, 0.0)))


def _selu_slope(x: FloatArray) -> FloatArray:
    return _SELU_SCALE * np.where(np.signbit(x), _SELU_ALPHA * np.exp(np.minimum(x, 0.0)), 1.0)


def _hardtanh(x: FloatArray) -> FloatArray:
    return np.clip(x, -1.0, 1.0)


def _hardtanh_slope(x: FloatArray) -> FloatArray:
    return np.where(np.abs(x) < 1.0, 1.0, 0.0)


def _relu6(x: FloatArray) -> FloatArray:
    return np.clip(x, 0.0, 6.0)


def _relu6_slope(x: FloatArray) -> FloatArray:
    return np.where(np.signbit(x) | (x >= 6.0), 0.0, 1.0)


_ERF = ClosedForms(_erf_second, _erf_slope_moment, _erf_moment_slope, _erf_pair)
_SIN = ClosedForms(_sin_second, _sin_slope_moment, _sin_moment_slope, _sin_pair)
_ALL = (
    Activation("linear", _linear, np.ones_like, homogeneous=1.0),
    Activation("relu", _relu, _step, homogeneous=0.5),
    Activation("leaky_relu", _leaky, _leaky_slope, homogeneous=0.5 * (1.0 + _LEAK**2)),
    Activation("tanh", np.tanh, _tanh_slope),
    Activation("erf", _erf, _erf_slope, closed=_ERF),
    Activation("sin", np.sin, np.cos, closed=_SIN),
    Activation("sigmoid", _sigmoid, _sigmoid_slope),
    Activation("softplus", _softplus, _sigmoid),
    Activation("gelu", _gelu, _gelu_slope),
    Activation("silu", _silu, _silu_slope),
    Activation("mish", _mish, _mish_slope),
    Activation("elu", _elu, _elu_slope),
    Activation("selu", _selu, _selu_slope),
    Activation("hardtanh", _hardtanh, _hardtanh_slope, kinks=(-1.0, 1.0)),
    Activation("relu6", _relu6, _relu6_slope, kinks=(6.0,)),
)
NAMED = {activation.name: activation for activation in _ALL}
