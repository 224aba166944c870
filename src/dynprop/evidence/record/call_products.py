"""Strata of the laws, exponents, gains and fields of `dynprop.products`, judged by mpmath and fractions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np

from dynprop import products
from dynprop.evidence.record.call_case import UNDECIDED, Call, Stratum, mpmath, worst
from dynprop.evidence.record.call_weights import CONTINUOUS, DISCRETE, Weight, drawn_weight

__all__ = ["STRATA"]

Rng = np.random.Generator
_U = 2.0**-53
# Samples of a simulated distribution function, and its error at a probability of 1e-12 (Massart 1990).
_SAMPLES = 40_000
_BAND = math.sqrt(math.log(2e12) / (2 * _SAMPLES))
# A mean of simulated numbers lies within this many standard errors.
_ERRORS = 7.0
_SCALES = {"": (0.3, 3.0), "-tiny": (1e-200, 1e-20), "-huge": (1e20, 1e150)}


def _relative(found: float, exact: Any, bound: float) -> float:
    """Return the error over a relative bound; numbers beyond the range of floats are 0 or infinite."""
    if mpmath.isinf(exact) or np.isinf(found):
        return 0.0 if float(exact) == found or abs(exact) > 1.79e308 else np.inf
    allowed = bound * abs(exact) + mpmath.mpf(5e-324)
    return float(abs(mpmath.mpf(found) - exact) / allowed) if found == found else np.inf


# Scalars


def _step_variance(rng: Rng) -> Call:
    target, depth = float(10.0 ** rng.uniform(-300, 300)), int(2.0 ** rng.uniform(0, 40))

    def judge(found: float) -> float:
        with mpmath.workdps(60):
            exact = mpmath.mpf(target) ** (1 / mpmath.mpf(depth))
            return float(abs(exact - found) / (math.ulp(found) / 2 * (1 + mpmath.mpf(10) ** -9)))

    return Call(f"{target!r}, {depth}", lambda: products.step_variance(target, depth), judge)


def _running(rng: Rng, scale: float) -> Call:
    weights = rng.standard_normal((int(rng.integers(0, 60)), 2)) * scale
    if rng.random() < 0.3:
        weights[rng.random(weights.shape) < 0.1] = 0.0

    def judge(found: Any) -> float:
        signs, logs = found
        return worst(0.0, *(_ran(weights[:, j], signs[:, j], logs[:, j]) for j in (0, 1)))

    return Call(f"{weights.tolist()}", lambda: products.running_log_products(weights), judge)


def _ran(weights: Any, signs: Any, logs: Any) -> float:
    ratio, sign, total, size = 0.0, 1, mpmath.mpf(0), mpmath.mpf(0)
    with mpmath.workdps(40):
        for t, w in enumerate(weights):
            sign *= int(np.sign(w))
            if sign == 0:
                ratio = max(ratio, 0.0 if signs[t] == 0 and logs[t] == -np.inf else np.inf)
                continue
            log = mpmath.log(abs(float(w)))
            total, size = total + log, size + abs(log)
            allowed = 2 * (t + 2) * _U * size
            ratio = max(ratio, float(abs(total - float(logs[t])) / allowed) if signs[t] == sign else np.inf)
    return ratio


# Laws of a weight


def _zero_drift(rng: Rng, family: str, scale: float) -> Call:
    weight = drawn_weight(rng, family, scale)

    def judge(found: float) -> float:
        with mpmath.workdps(100):
            variance = weight.moment(2) - weight.moment(1) ** 2
        with mpmath.workdps(15):
            log, _ = weight.log_moments()
            exact = mpmath.inf if mpmath.isinf(log) else variance * mpmath.exp(-2 * log)
            return _relative(found, exact, 4e-9)

    return Call(weight.text, lambda: products.zero_drift_variance(weight.law), judge)


def _moments_of(weight: Weight, depth: int, *, shared: bool) -> tuple[Any, Any]:
    """Return variance and kurtosis of the product, for independent weights or one shared weight."""
    if shared:
        raw = [weight.moment(k * depth) for k in range(1, 5)]
    else:
        raw = [weight.moment(k) ** depth for k in range(1, 5)]
    variance = raw[1] - raw[0] ** 2
    fourth = raw[3] - 4 * raw[0] * raw[2] + 6 * raw[0] ** 2 * raw[1] - 3 * raw[0] ** 4
    return variance, fourth / variance**2 if variance else None


def _law_moments(rng: Rng, family: str, scale: float, *, shared: bool) -> Call:
    weight, depth = drawn_weight(rng, family, scale), int(rng.integers(1, 6 if shared else 25))

    def run() -> Any:
        named = "shared_product_law" if shared else "product_law"
        law = getattr(products, named)(weight.law, depth)
        return law.variance, law.kurtosis, law.log_mean, law.log_variance

    def judge(found: Any) -> float:
        with mpmath.workdps(300):
            variance, kurtosis = _moments_of(weight, depth, shared=shared)
        with mpmath.workdps(15):
            log, spread = weight.log_moments()
            infinite = mpmath.isinf(spread)
            size = 1 if infinite else 1 + abs(log) + spread
        mean = (
            _relative(found[2], log, 1.0)
            if infinite
            else _absolute(found[2], log * depth, 4e-9 * depth * size)
        )
        total = spread * depth ** (2 if shared else 1)
        logs = [
            mean,
            _relative(found[3], total, 1.0)
            if infinite
            else _absolute(found[3], total, 4e-9 * depth**2 * size),
        ]
        # A product that is constant has no kurtosis.
        fourth = 0.0 if kurtosis is None and np.isnan(found[1]) else _relative(found[1], kurtosis, 1e-8)
        return worst(_relative(found[0], variance, 4e-9), fourth, *logs)

    return Call(f"{weight.text}, {depth}", run, judge)


def _absolute(found: float, exact: Any, bound: Any) -> float:
    return float(abs(exact - found) / bound) if np.isfinite(found) else np.inf


def _law_cdf(rng: Rng, family: str, *, shared: bool) -> Call:
    weight, depth = drawn_weight(rng, family), int(rng.integers(1, 6))
    seed = int(rng.integers(2**32))
    simulated = _simulated(weight, depth, seed, shared=shared)
    points = [float(v) for v in rng.choice(simulated, 3)] + [0.0]

    def run() -> Any:
        law = getattr(products, "shared_product_law" if shared else "product_law")(weight.law, depth)
        return [(law.cdf(x), law.cdf_error(x)) for x in points]

    def judge(found: Any) -> float:
        if weight.atoms:
            return worst(
                *(_atoms_off(weight, depth, x, f, shared=shared) for x, f in zip(points, found, strict=True))
            )
        ratios = []
        for x, (value, error) in zip(points, found, strict=True):
            expected = float((simulated <= x).mean())
            ratios.append(abs(value - expected) / (_BAND + error))
        return worst(*ratios)

    return Call(f"{weight.text}, {depth}; x={points}", run, judge)


def _simulated(weight: Weight, depth: int, seed: int, *, shared: bool) -> Any:
    shape = (1 if shared else depth, _SAMPLES)
    draws = np.asarray(weight.law.rvs(size=shape, random_state=seed), dtype=np.float64)
    return draws[0] ** depth if shared else draws.prod(axis=0)


def _atoms_off(weight: Weight, depth: int, x: float, found: tuple[float, float], *, shared: bool) -> float:
    """Compare with the exact probability, the sum over all products of atoms."""
    if shared:
        outcomes = [(value**depth, chance) for value, chance in weight.atoms]
    else:
        outcomes = [
            (
                math.prod((v for v, _ in chosen), start=Fraction(1)),
                math.prod((p for _, p in chosen), start=Fraction(1)),
            )
            for chosen in itertools.product(weight.atoms, repeat=depth)
        ]
    exact = sum((chance for value, chance in outcomes if value <= Fraction(x)), start=Fraction(0))
    return float(abs(exact - Fraction(float(found[0]))) / Fraction(float(found[1]) + 1e-15))


# Gaussian matrices


def _exponents(rng: Rng) -> Call:
    width, variance = int(rng.integers(1, 80)), float(10.0 ** rng.uniform(-100, 100))

    def judge(found: Any) -> float:
        with mpmath.workdps(30):
            exact = [
                (mpmath.log(2 * mpmath.mpf(variance)) + mpmath.digamma(mpmath.mpf(width - i) / 2)) / 2
                for i in range(width)
            ]
            # The terms are rounded once each.
            size = [
                abs(mpmath.log(variance)) + abs(mpmath.digamma(mpmath.mpf(width - i) / 2)) + 1
                for i in range(width)
            ]
            return max(
                float(abs(e - float(f)) / (8 * _U * s)) for e, f, s in zip(exact, found, size, strict=True)
            )

    return Call(f"{width}, {variance!r}", lambda: products.gaussian_exponents(width, variance), judge)


def _exponent_spread(rng: Rng) -> Call:
    width, steps = int(rng.integers(1, 80)), int(2.0 ** rng.uniform(0, 40))

    def judge(found: Any) -> float:
        with mpmath.workdps(30):
            exact = [
                mpmath.sqrt(mpmath.psi(1, mpmath.mpf(width - i) / 2) / (4 * steps)) for i in range(width)
            ]
            return max(_relative(float(f), e, 32 * _U) for e, f in zip(exact, found, strict=True))

    return Call(f"{width}, {steps}", lambda: products.gaussian_exponent_spread(width, steps), judge)


def _lyapunov(rng: Rng, family: str) -> Call:
    n, steps = int(rng.integers(1, 5)), int(rng.integers(1, 60))
    matrices = rng.standard_normal((steps, n, n)) * float(10.0 ** rng.uniform(-3, 3))
    if family == "triangular":
        matrices = np.triu(matrices)
    if family == "integer":
        matrices = rng.integers(-2, 3, (steps, n, n)).astype(np.float64)

    def judge(found: Any) -> float:
        from flint import fmpq, fmpq_mat

        logs = mpmath.mpf(0)
        with mpmath.workdps(40):
            for matrix in matrices:
                entries = [Fraction(v) for v in matrix.ravel().tolist()]
                det = fmpq_mat(n, n, [fmpq(e.numerator, e.denominator) for e in entries]).det()
                if det == 0:
                    if found.exponents.min() == -np.inf:
                        return 0.0
                    # Where floats do not tell that a product is singular, an exponent has no bound.
                    return UNDECIDED if np.isinf(found.bounds).any() else np.inf
                logs += mpmath.log(abs(mpmath.mpf(int(det.p)) / int(det.q)))
            total, allowed = float(found.exponents.sum()), float(found.bounds.sum())
            # The mean of log|det|, with the rounding of the sum.
            allowed += n * _U * float(np.abs(found.exponents).sum())
            return float(abs(logs / steps - total) / allowed) if allowed else np.inf

    return Call(f"{matrices.tolist()}", lambda: products.lyapunov_exponents(list(matrices)), judge)


# Gains


def _chi(n: int, order: int, *, relu: bool) -> tuple[Any, Any]:
    """Return E and Var of log chi-square of n degrees, for relu of a binomial number of them above 0."""
    counts = (
        [(k, mpmath.binomial(n, k) / (mpmath.mpf(2) ** n - 1)) for k in range(1, n + 1)] if relu else [(n, 1)]
    )
    terms = [
        (p, mpmath.digamma(mpmath.mpf(k) / 2) + mpmath.log(2), mpmath.psi(1, mpmath.mpf(k) / 2))
        for k, p in counts
    ]
    mean = sum(p * m for p, m, _ in terms)
    return mean, sum(p * (v + m**2) for p, m, v in terms) - mean**2


def _critical(rng: Rng, activation: str) -> Call:
    width = int(2.0 ** rng.uniform(0, 8))

    def judge(found: float) -> float:
        with mpmath.workdps(30):
            if activation in ("tanh", "erf"):
                exact = mpmath.mpf(1) if activation == "tanh" else mpmath.sqrt(mpmath.pi) / 2
            else:
                mean, _ = _chi(width, 1, relu=activation == "relu")
                exact = mpmath.exp((mpmath.log(width) - mean) / 2)
            return _relative(found, exact, 1e-12)

    return Call(f"{width}, {activation!r}", lambda: products.critical_gain(width, activation), judge)


def _layer_norm(rng: Rng, activation: str) -> Call:
    widths = [int(2.0 ** rng.uniform(0, 6)) for _ in range(int(rng.integers(2, 10)))]
    gain, relu = float(rng.uniform(0.1, 3)), activation == "relu"

    def judge(found: Any) -> float:
        with mpmath.workdps(30):
            pairs = [(a, b, _chi(b, 1, relu=relu)) for a, b in itertools.pairwise(widths)]
            g = 2 * mpmath.log(gain)
            mean = sum(g - mpmath.log(a) + m for a, _, (m, _) in pairs) / 2
            half = mpmath.mpf(1) / 2 if relu else mpmath.mpf(1)
            square = sum(g + mpmath.log(half * b / mpmath.mpf(a)) for a, b, _ in pairs)
            ratio = mpmath.mpf(1)
            alive = mpmath.mpf(1)
            for _, b, _ in pairs:
                ratio *= 1 + mpmath.mpf(5 if relu else 2) / b
                alive *= 1 - mpmath.mpf(2) ** -b if relu else 1
            return worst(
                _absolute(found.log_mean, mean, 1e-12 * len(widths)),
                _relative(found.log_variance, sum(v for *_, (_, v) in pairs) / 4, 1e-11),
                _absolute(found.log_mean_square, square, 1e-12 * len(widths)),
                _relative(found.square_ratio, ratio, 1e-12),
                _absolute(found.zero_mass, 1 - alive, 1e-14),
            )

    return Call(
        f"{widths}, {gain!r}, {activation!r}",
        lambda: products.layer_norm_law(widths, gain, activation),
        judge,
    )


def _walked(
    rng: Any, width: int, steps: int, activation: str, gain: float, nets: int, *, shared: bool
) -> Any:
    """Return log norms of signals, one each net, simulated apart from `dynprop.products`."""
    functions: dict[str, Callable[[Any], Any]] = {
        "linear": lambda x: x,
        "relu": lambda x: np.maximum(x, 0.0),
        "tanh": np.tanh,
    }
    apply = functions[activation]
    x = rng.standard_normal((nets, width))
    x *= width**0.5 / np.linalg.norm(x, axis=1, keepdims=True)
    logs, fixed = np.zeros(nets), rng.standard_normal((nets, width, width)) * gain / width**0.5
    for _ in range(steps):
        W = fixed if shared else rng.standard_normal((nets, width, width)) * gain / width**0.5
        after = apply(np.einsum("ni,nij->nj", x, W))
        with np.errstate(divide="ignore", invalid="ignore"):
            logs += np.log(np.linalg.norm(after, axis=1) / np.linalg.norm(x, axis=1))
        if activation == "tanh":
            x = after
        else:
            x = after / np.maximum(np.linalg.norm(after, axis=1, keepdims=True), 1e-300)
    return logs[np.isfinite(logs)]


def _gap(a: Any, b: Any) -> float:
    """Return the distance of two means over seven of its standard errors."""
    error = math.sqrt(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b))
    distance = abs(float(a.mean() - b.mean()))
    return distance / (_ERRORS * error + 1e-12)


def _horizon(rng: Rng, activation: str) -> Call:
    width, steps, seed = int(rng.integers(4, 24)), int(rng.integers(1, 12)), int(rng.integers(2**31))

    def judge(found: Any) -> float:
        with mpmath.workdps(30):
            mean, variance = _chi(width, 1, relu=activation == "relu")
            gain = mpmath.exp((mpmath.log(width) - mean) / 2)
            exact = (
                _relative(found.gain, gain, 1e-12),
                _absolute(found.fresh.drift, 0, 1e-12 * steps),
                _relative(found.fresh.spread, mpmath.sqrt(variance * steps) / 2, 1e-11),
            )
        logs = _walked(np.random.default_rng(seed), width, steps, activation, found.gain, 400, shared=True)
        error = math.hypot(found.shared.drift_error, float(logs.std(ddof=1)) / len(logs) ** 0.5)
        return worst(*exact, abs(found.shared.drift - float(logs.mean())) / (_ERRORS * error + 1e-12))

    def run() -> Any:
        return products.horizon_gain(width, steps, activation, samples=200, seed=seed)

    return Call(f"{width}, {steps}, {activation!r}, 200, {seed}", run, judge)


def _norm_walks(rng: Rng, activation: str, weights: Any) -> Call:
    width, depth, seed = int(rng.integers(4, 24)), int(rng.integers(1, 12)), int(rng.integers(2**31))
    gain = float(rng.uniform(0.5, 2.0))

    def judge(found: Any) -> float:
        shape = (80, depth + 1)
        if found.forward.shape != shape or found.backward.shape != shape:
            return np.inf
        ends = found.forward[:, -1]
        simulated = _walked(
            np.random.default_rng(seed + 1), width, depth, activation, gain, 400, shared=weights == "shared"
        )
        starts = 0.0 if not found.forward[:, 0].any() and not found.backward[:, -1].any() else np.inf
        ratios = [starts, _gap(ends[np.isfinite(ends)], simulated)]
        if activation == "linear":
            ratios.append(_gap(found.backward[:, 0], simulated))
        return worst(*ratios)

    def run() -> Any:
        return products.norm_walks(width, depth, activation, gain, weights, nets=80, seed=seed)

    return Call(f"{width}, {depth}, {activation!r}, {gain!r}, {weights!r}, 80, {seed}", run, judge)


# Registry

_MOMENTS = "quadratures to 1e-9: variance 4e-9, kurtosis 1e-8, relative; log moments 4e-9 a step"
_CDF = f"cdf_error + {_BAND:.3g}, the error of {_SAMPLES:,} simulated products; exact for discrete weights"


def _stratum(function: str, family: str, bound: str, draw: Callable[[Rng], Call]) -> Stratum:
    return Stratum(f"products.{function}", family, bound, draw)


def _laws() -> list[Stratum]:
    found = []
    for family, (name, (low, high)) in itertools.product(CONTINUOUS, _SCALES.items()):

        def scale(rng: Rng, low: float = low, high: float = high) -> float:
            return float(np.exp(rng.uniform(np.log(low), np.log(high))))

        def drift(rng: Rng, family: str = family, scale: Callable[[Rng], float] = scale) -> Call:
            return _zero_drift(rng, family, scale(rng))

        def fresh(rng: Rng, family: str = family, scale: Callable[[Rng], float] = scale) -> Call:
            return _law_moments(rng, family, scale(rng), shared=False)

        def shared(rng: Rng, family: str = family, scale: Callable[[Rng], float] = scale) -> Call:
            return _law_moments(rng, family, scale(rng), shared=True)

        found += [
            _stratum("zero_drift_variance", family + name, "docstring: log moments to 1e-9, so 4e-9", drift),
            _stratum("product_law", family + name, _MOMENTS, fresh),
            _stratum("shared_product_law", family + name, _MOMENTS, shared),
        ]
    for family in DISCRETE:
        found += [
            _stratum(
                "zero_drift_variance",
                family,
                "docstring: log moments to 1e-9, so 4e-9",
                partial(_zero_drift, family=family, scale=1.0),
            ),
            _stratum(
                "product_law", family, _MOMENTS, partial(_law_moments, family=family, scale=1.0, shared=False)
            ),
            _stratum(
                "shared_product_law",
                family,
                _MOMENTS,
                partial(_law_moments, family=family, scale=1.0, shared=True),
            ),
        ]
    for family in (*CONTINUOUS, *DISCRETE):
        found += [
            _stratum("product_law", f"{family}-cdf", _CDF, partial(_law_cdf, family=family, shared=False)),
            _stratum(
                "shared_product_law",
                f"{family}-cdf",
                _CDF,
                partial(_law_cdf, family=family, shared=True),
            ),
        ]
    return found


STRATA: tuple[Stratum, ...] = (
    _stratum("step_variance", "any", "docstring: the nearest float, ties aside", _step_variance),
    *(
        _stratum(
            "running_log_products",
            name,
            "docstring: 2 (t + 2) 2**-53 times the sum of |log|w||",
            partial(_running, scale=scale),
        )
        for name, scale in (("gaussian", 1.0), ("tiny", 1e-200), ("huge", 1e200))
    ),
    *_laws(),
    _stratum("gaussian_exponents", "any", "8 roundings of its terms (not documented)", _exponents),
    _stratum("gaussian_exponent_spread", "any", "32 × 2**-53, relative (not documented)", _exponent_spread),
    *(
        _stratum(
            "lyapunov_exponents",
            family,
            "sum of `bounds`, for the sum of the exponents, mean of log|det|",
            partial(_lyapunov, family=family),
        )
        for family in ("gaussian", "triangular", "integer")
    ),
    *(
        _stratum(
            "critical_gain",
            name,
            "1e-12, relative (documented: exact)",
            partial(_critical, activation=name),
        )
        for name in ("linear", "relu", "tanh", "erf")
    ),
    *(
        _stratum(
            "layer_norm_law",
            name,
            "1e-12 each layer (documented: exact)",
            partial(_layer_norm, activation=name),
        )
        for name in ("linear", "relu")
    ),
    *(
        _stratum(
            "horizon_gain",
            name,
            "fresh: 1e-12 (exact); shared: 7 standard errors of both simulations",
            partial(_horizon, activation=name),
        )
        for name in ("linear", "relu")
    ),
    *(
        _stratum(
            "norm_walks",
            f"{name}-{weights}",
            "7 standard errors of both simulations",
            partial(_norm_walks, activation=name, weights=weights),
        )
        for name in ("linear", "relu", "tanh")
        for weights in ("fresh", "shared")
    ),
)
