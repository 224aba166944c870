"""Strata of the fields and initial weights of `dynprop.products`, judged apart from them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from dynprop import products
from dynprop.arrays import FloatArray
from dynprop.evidence.record.call_case import UNDECIDED, Call, Stratum, worst

__all__ = ["STRATA"]

Rng = np.random.Generator
# A mean of drawn weights lies within this many standard errors.
_ERRORS = 7.0
# The fixed point and chi are judged to this, the agreement of two resolutions that `mean_field` demands.
_FIELD = 1e-8
# The limit q -> 0 of chi, where a kink at 0 has two slopes, is taken at this q.
_SMALL = 1e-24
_NODES, _SHARES = np.polynomial.legendre.leggauss(40)
_SELU = (1.0507009873554805, 1.6732632423543772)

# Any: numpy types a power or a comparison of float64 arrays more widely.
Function = Callable[[Any], Any]


def _erf(x: FloatArray) -> FloatArray:
    from scipy.special import erf

    return np.asarray(erf(x))


def _normal(x: FloatArray) -> FloatArray:
    from scipy.special import ndtr

    return np.asarray(ndtr(x))


def _sigmoid(x: FloatArray) -> FloatArray:
    return np.asarray(0.5 * (1 + np.tanh(x / 2)))


def _elu(x: FloatArray) -> FloatArray:
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def _elu_slope(x: FloatArray) -> FloatArray:
    return np.where(x > 0, 1.0, np.exp(np.minimum(x, 0)))


# Name -> function, derivative, and where one of them is not smooth.
_NAMED: Mapping[str, tuple[Function, Function, tuple[float, ...]]] = {
    "linear": (lambda x: x, np.ones_like, ()),
    "relu": (lambda x: np.maximum(x, 0), lambda x: (x > 0) * 1.0, (0.0,)),
    "leaky_relu": (lambda x: np.where(x > 0, x, 0.01 * x), lambda x: np.where(x > 0, 1.0, 0.01), (0.0,)),
    "tanh": (np.tanh, lambda x: np.cosh(np.minimum(np.abs(x), 300)) ** -2.0, ()),
    "erf": (_erf, lambda x: 2 / math.pi**0.5 * np.exp(-(x**2)), ()),
    "sin": (np.sin, np.cos, ()),
    "sigmoid": (_sigmoid, lambda x: _sigmoid(x) * _sigmoid(-x), ()),
    "softplus": (lambda x: np.logaddexp(0, x), _sigmoid, ()),
    "gelu": (
        lambda x: x * _normal(x),
        lambda x: _normal(x) + x * np.exp(-(x**2) / 2) / (2 * math.pi) ** 0.5,
        (),
    ),
    "silu": (lambda x: x * _sigmoid(x), lambda x: _sigmoid(x) * (1 + x * _sigmoid(-x)), ()),
    "elu": (_elu, _elu_slope, (0.0,)),
    "selu": (
        lambda x: _SELU[0] * np.where(x > 0, x, _SELU[1] * np.expm1(np.minimum(x, 0))),
        lambda x: _SELU[0] * np.where(x > 0, 1.0, _SELU[1] * np.exp(np.minimum(x, 0))),
        (0.0,),
    ),
    "hardtanh": (lambda x: np.clip(x, -1, 1), lambda x: (np.abs(x) < 1) * 1.0, (-1.0, 1.0)),
    "relu6": (lambda x: np.clip(x, 0, 6), lambda x: ((x > 0) & (x < 6)) * 1.0, (0.0, 6.0)),
}


def _average(function: Function, q: float, kinks: tuple[float, ...]) -> float:
    """Return E function(sqrt(q) z), by Gauss-Legendre between kinks, on pieces that resolve both scales."""
    if q <= 0.0:
        return float(function(np.zeros(1))[0])
    size = q**0.5
    # Fine near 0, where an activation bends while the density of a large q is flat.
    bends = [sign * 2.0**k / size for k in range(-3, 8) for sign in (-1, 1)]
    points = sorted(
        {
            *np.linspace(-12, 12, 49).tolist(),
            *(p for p in bends if abs(p) < 12),
            *(k / size for k in kinks if abs(k / size) < 12),
        }
    )
    low, high = np.array(points[:-1])[:, None], np.array(points[1:])[:, None]
    z = (low + high) / 2 + (high - low) / 2 * _NODES
    values = function(size * z) * np.exp(-(z**2) / 2) / (2 * math.pi) ** 0.5
    return float((values * _SHARES * (high - low) / 2).sum())


def _activation(rng: Rng, family: str) -> tuple[Any, str, Function, Function, tuple[float, ...]]:
    """Return what is passed, its text, the function, its derivative and its kinks."""
    if family in _NAMED:
        return family, repr(family), *_NAMED[family]
    a, b = float(rng.uniform(0.3, 3)), float(rng.uniform(-1, 1))
    if family == "tanh-callable":
        return (
            lambda x: np.tanh(a * x + b),
            f"lambda x: np.tanh({a!r} * x + {b!r})",
            lambda x: np.tanh(a * x + b),
            lambda x: a * np.cosh(np.minimum(np.abs(a * x + b), 300)) ** -2.0,
            (),
        )
    return (
        lambda x: np.clip(x, b - a, b + a),
        f"lambda x: np.clip(x, {b - a!r}, {b + a!r})",
        lambda x: np.clip(x, b - a, b + a),
        lambda x: ((x > b - a) & (x < b + a)) * 1.0,
        (b - a, b + a),
    )


def _field(rng: Rng, family: str) -> Call:
    given, text, function, slope, kinks = _activation(rng, family)
    weight, bias = float(rng.uniform(0.1, 4)), float(rng.choice([0.0, rng.uniform(0, 1)]))

    def judge(found: Any) -> float:
        start, grown = 1.0, False
        for _ in range(60):
            start = weight * _average(lambda x: function(x) ** 2, start, kinks) + bias
            grown = grown or start > 1e20
        if np.isinf(found.q):
            return 0.0 if grown or start > 10.0 else UNDECIDED
        q = found.q
        allowed = _FIELD + found.error
        image = weight * _average(lambda x: function(x) ** 2, q, kinks) + bias
        chi = weight * _average(lambda x: slope(x) ** 2, max(q, _SMALL), kinks)
        return worst(
            abs(image - q) / (allowed * max(q, image) + 1e-300),
            abs(chi - found.chi) / (allowed * max(chi, 1e-300)),
        )

    return Call(f"{text}, {weight!r}, {bias!r}", lambda: products.mean_field(given, weight, bias), judge)


def _edge(rng: Rng, family: str) -> Call:
    given, text, function, slope, kinks = _activation(rng, family)
    bias = float(rng.choice([0.0, 10.0 ** rng.uniform(-3, 0)]))

    def judge(found: Any) -> float:
        weight, q = found.weight_variance, found.q
        at = 1.0 if np.isinf(q) else q
        allowed = _FIELD + found.error
        chi = weight * _average(lambda x: slope(x) ** 2, max(at, _SMALL), kinks)
        ratios = [abs(chi - 1) / allowed]
        if np.isfinite(q):
            image = weight * _average(lambda x: function(x) ** 2, q, kinks) + bias
            ratios.append(abs(image - q) / (allowed * max(q, image) + 1e-300))
        return worst(*ratios)

    return Call(f"{text}, {bias!r}", lambda: products.edge_of_chaos(given, bias), judge)


# Initial weights


def _shape(rng: Rng) -> tuple[int, int]:
    return int(rng.integers(20, 120)), int(rng.integers(20, 120))


def _moments(weights: FloatArray, variance: float, kurtosis: float) -> float:
    """Return the distance of mean and variance over seven standard errors, of independent entries."""
    if variance == 0.0:
        return 0.0 if not weights.any() else np.inf
    count = weights.size
    mean = abs(float(weights.mean())) / (_ERRORS * math.sqrt(variance / count))
    second = float((weights**2).mean())
    error = variance * math.sqrt((kurtosis - 1) / count)
    return max(mean, abs(second - variance) / (_ERRORS * error))


def _array(value: Any) -> FloatArray:
    return np.asarray(value.detach().numpy() if hasattr(value, "detach") else value, dtype=np.float64)


def _generator(seed: int, *, torch_too: bool) -> Any:
    if not torch_too:
        return np.random.default_rng(seed)
    import torch

    return torch.Generator().manual_seed(seed)


def _empty(*shape: int) -> Any:
    import torch

    return torch.empty(*shape, dtype=torch.float64)


def _weights(rng: Rng, rule: str, *, torch_too: bool) -> Call:
    """Draw a call of a rule for weights; a torch weight has the transposed shape."""
    fan_in, fan_out = _shape(rng)
    seed = int(rng.integers(2**31))
    if rule == "spectral_radius":
        fan_out = fan_in
    options, judge = _RULES[rule](rng, fan_in, fan_out)
    if torch_too and rule != "identity":
        options_text = {**options, "generator": seed}
    else:
        options_text = {**options, "rng": seed}
    name = f"{rule}_" if torch_too else rule
    if torch_too:
        # Made here: the import of torch is no part of the call's time.
        _empty(1)

    def run() -> Any:
        function = getattr(products, name)
        if torch_too:
            extra = {} if rule == "identity" else {"generator": _generator(seed, torch_too=True)}
            return _array(function(_empty(fan_out, fan_in), **options, **extra)).T
        return function((fan_in, fan_out), _generator(seed, torch_too=False), **options)

    def judged(found: Any) -> float:
        return judge(found) if found.shape == (fan_in, fan_out) else np.inf

    return Call(f"({fan_in}, {fan_out}), {options_text}", run, judged)


Rule = tuple[dict[str, Any], Callable[[FloatArray], float]]


def _variance_scaled(rng: Rng, fan_in: int, fan_out: int) -> Rule:
    mode, law = (
        str(rng.choice(["fan_in", "fan_out", "fan_avg"])),
        str(rng.choice(["normal", "truncated", "uniform"])),
    )
    scale = float(10.0 ** rng.uniform(-3, 3))
    fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[mode]
    kurtosis = {"normal": 3.0, "truncated": 3.0, "uniform": 1.8}[law]
    return {"scale": scale, "mode": mode, "law": law}, lambda w: _moments(w, scale / fan, kurtosis)


def _orthogonal(rng: Rng, fan_in: int, fan_out: int) -> Rule:
    gain = float(10.0 ** rng.uniform(-3, 3))

    def judge(w: FloatArray) -> float:
        short = w.T @ w if fan_out <= fan_in else w @ w.T
        error = float(np.abs(short - gain**2 * np.eye(len(short))).max()) / gain**2
        # Of a Haar matrix the entries have mean 0 and variance gain² / max(fan).
        return worst(
            error / (20 * max(fan_in, fan_out) * 2.0**-53), _moments(w, gain**2 / max(fan_in, fan_out), 3.0)
        )

    return {"gain": gain}, judge


def _identity(rng: Rng, fan_in: int, fan_out: int) -> Rule:
    gain = float(rng.normal())
    return {"gain": gain}, lambda w: 0.0 if np.array_equal(w, gain * np.eye(fan_in, fan_out)) else np.inf


def _radius(rng: Rng, n: int, _: int) -> Rule:
    radius, nonzeros = float(rng.uniform(0, 2)), [None, int(rng.integers(2, n + 1))][int(rng.integers(2))]

    def judge(w: FloatArray) -> float:
        found = float(np.abs(np.linalg.eigvals(w)).max())
        counts = (w != 0).sum(axis=0)
        right = radius == 0.0 or bool((counts == (n if nonzeros is None else nonzeros)).all())
        # Documented: the error of computed eigenvalues, a few n units times their condition.
        return worst(abs(found - radius) / (1e-9 * max(radius, 1e-300)), 0.0 if right else np.inf)

    return {"radius": radius, "nonzeros": nonzeros}, judge


def _abbott(rng: Rng, fan_in: int, fan_out: int) -> Rule:
    from scipy.special import digamma

    activation = str(rng.choice(["linear", "tanh", "erf"]))
    squares = {
        "linear": fan_out * math.exp(-float(digamma(fan_out / 2)) - math.log(2)),
        "tanh": 1.0,
        "erf": math.pi / 4,
    }
    return {"activation": activation}, lambda w: _moments(w, squares[activation] / fan_in, 3.0)


_RULES: Mapping[str, Callable[[Rng, int, int], Rule]] = {
    "variance_scaled": _variance_scaled,
    "orthogonal": _orthogonal,
    "identity": _identity,
    "spectral_radius": _radius,
    "sussillo_abbott": _abbott,
}


def _uniformly(values: FloatArray, low: float, high: float) -> float:
    """Return the distance from the uniform law over its bound at a probability of 1e-12 (Massart 1990)."""
    if high - low < 1e-12:
        return 0.0 if float(np.abs(values - low).max()) < 1e-9 else np.inf
    ranks = np.sort((values - low) / (high - low))
    if ranks[0] < -1e-9 or ranks[-1] > 1 + 1e-9:
        return np.inf
    grid = np.arange(1, len(ranks) + 1) / len(ranks)
    distance = max(float((grid - ranks).max()), float((ranks - grid).max()) + 1 / len(ranks))
    return distance / math.sqrt(math.log(2e12) / (2 * len(ranks)))


def _chrono(rng: Rng, function: str) -> Call:
    # Imported here: the import is no part of the call's time.
    import torch

    size, horizon, seed = int(rng.integers(50, 400)), float(rng.uniform(2, 1000)), int(rng.integers(2**31))

    def run() -> Any:
        if function == "chrono_gates":
            gates = products.chrono_gates(size, _generator(seed, torch_too=False), horizon)
            return gates.forget, gates.input
        generator = _generator(seed, torch_too=True)
        if function == "chrono_gates_":
            forget, other = _empty(size), _empty(size)
            products.chrono_gates_(forget, other, horizon, generator)
            return _array(forget), _array(other)
        lstm = products.chrono_lstm_(torch.nn.LSTM(1, size, dtype=torch.float64), horizon, generator)
        total = _array(lstm.bias_ih_l0) + _array(lstm.bias_hh_l0)
        return total[size : 2 * size], total[:size]

    def judge(found: Any) -> float:
        forget, other = found
        opposite = 0.0 if np.array_equal(forget, -other) else np.inf
        return worst(opposite, _uniformly(np.exp(forget), 1.0, horizon - 1.0))

    return Call(f"{size}, {horizon!r}, seed {seed}", run, judge)


def _ring(rng: Rng, *, torch_too: bool) -> Call:
    size, seed = int(rng.integers(50, 400)), int(rng.integers(2**31))
    low, high = sorted(rng.uniform(0.05, 0.9999, 2).tolist())
    phase = float(rng.uniform(0.1, 2 * math.pi))

    def run() -> Any:
        if torch_too:
            parts = [_empty(size) for _ in range(3)]
            generator = _generator(seed, torch_too=True)
            products.lru_ring_(parts[0], parts[1], parts[2], low, high, phase, generator)
            return [_array(part) for part in parts]
        ring = products.lru_ring(size, _generator(seed, torch_too=False), low, high, phase)
        return [ring.nu_log, ring.theta_log, ring.gamma_log]

    def judge(found: Any) -> float:
        nu, theta, gamma = found
        squares = np.exp(-2 * np.exp(nu))
        normal = float(np.abs(np.exp(2 * gamma) - (1 - squares)).max()) / 1e-12
        return worst(normal, _uniformly(squares, low**2, high**2), _uniformly(np.exp(theta), 0.0, phase))

    return Call(f"{size}, {low!r}, {high!r}, {phase!r}, seed {seed}", run, judge)


def _calibrated(rng: Rng) -> Call:
    import torch

    sizes = [int(v) for v in rng.integers(4, 40, int(rng.integers(2, 5)))]
    variance, seed = float(10.0 ** rng.uniform(-2, 2)), int(rng.integers(2**31))
    generator = torch.Generator().manual_seed(seed)
    layers: list[torch.nn.Module] = []
    for a, b in itertools.pairwise(sizes):
        layers += [torch.nn.Linear(a, b, dtype=torch.float64, bias=False), torch.nn.Tanh()]
    net = torch.nn.Sequential(*layers)
    for layer in layers[::2]:
        torch.nn.init.normal_(layer.weight, 0.0, 0.3, generator=generator)  # type: ignore[arg-type]  # a Linear's
    sample = torch.randn(64, sizes[0], generator=generator, dtype=torch.float64)

    def judge(found: Any) -> float:
        ratios, x = [0.0 if len(found) == len(layers) // 2 else np.inf], sample
        with torch.no_grad():
            for layer in layers:
                x = layer(x)
                if isinstance(layer, torch.nn.Linear):
                    ratios.append(abs(float(x.var(correction=0)) / variance - 1) / 1e-6)
        return worst(*ratios)

    return Call(
        f"Linear and Tanh {sizes}, {variance!r}, seed {seed}",
        lambda: products.calibrate_(net, sample, variance),
        judge,
    )


# Registry

_MOMENTS = "mean and variance within 7 standard errors; shapes"
_RULE_BOUNDS = {
    "variance_scaled": _MOMENTS,
    "orthogonal": "20 n 2**-53 of the Gram matrix (not documented); entries within 7 standard errors",
    "identity": "exactly",
    "spectral_radius": "docstring: n units times the condition of eigenvalues, here 1e-9; nonzeros exactly",
    "sussillo_abbott": _MOMENTS,
}
_UNIFORM = "the law within a distance of probability 1e-12; opposite signs or normalisation to 1e-12"

STRATA: tuple[Stratum, ...] = (
    *(
        Stratum(
            f"products.{function}",
            family,
            "1e-8 + error, relative: residual of the fixed point, and chi",
            partial(make, family=family),
        )
        for function, make in (("mean_field", _field), ("edge_of_chaos", _edge))
        for family in (*_NAMED, "tanh-callable", "clip-callable")
    ),
    *(
        Stratum(
            f"products.{rule}{'_' * torch_too}",
            "any",
            _RULE_BOUNDS[rule],
            partial(_weights, rule=rule, torch_too=torch_too),
        )
        for rule in _RULES
        for torch_too in (False, True)
    ),
    *(
        Stratum(f"products.{function}", "any", _UNIFORM, partial(_chrono, function=function))
        for function in ("chrono_gates", "chrono_gates_", "chrono_lstm_")
    ),
    Stratum("products.lru_ring", "any", _UNIFORM, lambda rng: _ring(rng, torch_too=False)),
    Stratum("products.lru_ring_", "any", _UNIFORM, lambda rng: _ring(rng, torch_too=True)),
    Stratum(
        "products.calibrate_", "linear-tanh", "1e-6, relative, of each variance (not documented)", _calibrated
    ),
)
