"""A control of kind agreement: laws of products by formulas and enumeration."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynprop.laws.catalogue import Catalogue

Array = NDArray[Any]

agreements: Catalogue = Catalogue("agreement", "numpy")
CATALOGUES = (agreements,)


@dataclass(frozen=True)
class Exponents:
    """Exponents, and bounds on what rounding adds to each."""

    exponents: Array
    bounds: Array


@dataclass(frozen=True)
class Drift:
    """Mean and variance of a log norm, and E|x|^4 / (E|x|^2)^2."""

    log_mean: float
    log_variance: float
    square_ratio: float


@dataclass(frozen=True)
class Walks:
    """Log norms of nets, forward and backward."""

    forward: Array
    backward: Array


def _half_log_moment(width: int, activation: str) -> float:
    """E log chi^2 of n degrees, or of a binomial number of them given any."""
    from scipy import stats
    from scipy.special import psi

    if activation == "linear":
        return float(psi(width / 2.0)) + math.log(2.0)
    alive = np.arange(1, width + 1)
    mass = stats.binom(width, 0.5).pmf(alive)
    return float(mass @ (psi(alive / 2.0) + math.log(2.0)) / mass.sum())


@agreements.control("control/agreement-formulas")
class Formulas:
    """The root as a power of floats, exponents by QR at every step, gains from sums over degrees."""

    @staticmethod
    def step_variance(target: float, depth: int) -> float:
        """Take the root."""
        return float(target ** (1.0 / depth))

    @staticmethod
    def critical_gain(width: int, activation: str) -> float:
        """Bring the drift of one layer to 0."""
        return math.exp(0.5 * (math.log(width) - _half_log_moment(width, activation)))

    @staticmethod
    def layer_norm_law(widths: list[int], gain: float, activation: str) -> Drift:
        """Add the drifts of the layers."""
        drifts = [
            2.0 * math.log(gain) - math.log(before) + _half_log_moment(after, activation)
            for before, after in itertools.pairwise(widths)
        ]
        from scipy.special import polygamma

        # ReLU layers are left at their mean: nobody asks for more.
        variance = 0.25 * math.fsum(float(polygamma(1, n / 2.0)) for n in widths[1:])
        excess = 2.0 if activation == "linear" else 5.0
        ratio = math.exp(math.fsum(math.log1p(excess / n) for n in widths[1:]))
        return Drift(0.5 * math.fsum(drifts), variance if activation == "linear" else math.nan, ratio)

    @staticmethod
    def norm_walks(
        width: int, depth: int, activation: str, gain: float, weights: str, nets: int, seed: int
    ) -> Walks:
        """Multiply vectors by matrices and by their transposes, linear nets only."""
        if activation != "linear":
            raise ValueError("linear nets only")
        rng = np.random.default_rng([seed, 5])
        shape, scale = (nets, width, width), gain / math.sqrt(width)
        fixed = rng.standard_normal(shape)
        layers = [fixed if weights == "shared" else rng.standard_normal(shape) for _ in range(depth)]
        walks = []
        for path in (layers, [w.swapaxes(1, 2) for w in reversed(layers)]):
            x, logs = rng.standard_normal((nets, width, 1)), [np.zeros(nets)]
            for w in path:
                size = np.linalg.norm(x, axis=(1, 2), keepdims=True)
                x = scale * (w @ (x / size))
                logs.append(logs[-1] + np.log(np.linalg.norm(x, axis=(1, 2))))
            walks.append(np.stack(logs, axis=1))
        return Walks(walks[0], walks[1][:, ::-1])

    @staticmethod
    def orthogonal(shape: tuple[int, int], rng: np.random.Generator) -> Array:
        """Take the polar factor of a Gaussian matrix."""
        left, _, right = np.linalg.svd(rng.standard_normal(shape))
        return np.asarray(left @ right)

    @staticmethod
    def gaussian_exponents(width: int, variance: float) -> Array:
        """Newman's formula."""
        from scipy.special import psi

        return np.array([0.5 * (math.log(2.0 * variance) + psi(k / 2.0)) for k in range(width, 0, -1)])

    @staticmethod
    def lyapunov_exponents(matrices: list[Array]) -> Exponents:
        """Factorise at every step."""
        n = len(matrices[0])
        frame, logs, size = np.eye(n), np.zeros(n), 0.0
        for matrix in matrices:
            frame, triangle = np.linalg.qr(matrix @ frame)
            logs += np.log(np.abs(triangle.diagonal()))
            size += float(np.linalg.cond(matrix))
        return Exponents(logs / len(matrices), np.full(n, 64.0 * n * n * 2.0**-53 * size / len(matrices)))

    @staticmethod
    def running_log_products(weights: Array) -> tuple[Array, Array]:
        """Add logarithms and multiply signs."""
        with np.errstate(divide="ignore"):
            logs = np.cumsum(np.log(np.abs(weights)), axis=0)
        return np.cumprod(np.sign(weights), axis=0), logs

    @staticmethod
    def scan(gates: Array, inputs: Array, initial: Array) -> Array:
        """Go through time."""
        states, state = np.empty_like(inputs), initial
        for t in range(inputs.shape[1]):
            state = gates[:, t] * state + inputs[:, t]
            states[:, t] = state
        return states


@dataclass(frozen=True)
class Rest:
    """A fixed point of the variance; the weight variance at which it is."""

    weight_variance: float
    q: float
    chi: float
    variance_depth: float


def _curve(activation: Any) -> Any:
    from scipy.special import erf

    named = {"relu": lambda x: np.maximum(x, 0.0), "linear": lambda x: x, "tanh": np.tanh, "erf": erf}
    return named[activation] if isinstance(activation, str) else activation


@lru_cache(maxsize=1)
def _line() -> tuple[Array, Array]:
    x, weights = np.polynomial.legendre.leggauss(200)
    z = 6.0 * (x + 1.0)
    weights = 6.0 * weights * np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
    return np.concatenate([z, -z]), np.concatenate([weights, weights])


def _averages(phi: Any, q: float) -> tuple[float, float, float]:
    """E phi^2, E phi'^2 and d/dq E phi^2 by Gauss and Legendre on each half line, slopes by differences."""
    z, weights = _line()
    x = math.sqrt(q) * z
    h = 1e-3 * np.minimum(1.0, np.abs(x))
    near = 8.0 * (phi(x + h) - phi(x - h)) - (phi(x + 2 * h) - phi(x - 2 * h))
    slope = near / (12.0 * h)
    change = phi(x) * slope * z / math.sqrt(q)
    return float(weights @ phi(x) ** 2), float(weights @ slope**2), float(weights @ change)


@lru_cache(maxsize=64)
def _log_moments(name: str, shape: tuple[float, ...], keywords: tuple[Any, ...]) -> tuple[float, float]:
    """E log abs(w) and E log^2 abs(w), by quad on both sides of 0."""
    from scipy import stats
    from scipy.integrate import quad

    unit = getattr(stats, name)(*shape, **dict(keywords))
    low, high = unit.support()
    cuts = sorted({low, high, *(x for x in (-1.0, 0.0, 1.0, *unit.ppf([0.9, 0.9999])) if low < x < high)})

    def moment(power: int) -> float:
        pieces = [
            quad(
                lambda x: float(unit.pdf(x)) * math.log(abs(x)) ** power,
                a,
                b,
                epsabs=1e-11,
                epsrel=1e-11,
                limit=200,
            )[0]
            for a, b in itertools.pairwise(cuts)
        ]
        return math.fsum(pieces)

    return moment(1), moment(2)


@dataclass(frozen=True)
class Product:
    """Moments of a product."""

    variance: float
    log_mean: float
    log_variance: float
    kurtosis: float


@agreements.control("control/agreement-mean-field")
class Averages:
    """Mean field by Gauss and Legendre on half lines, products of weights by scipy's moments."""

    @staticmethod
    def mean_field(activation: Any, weight_variance: float, bias_variance: float) -> Rest:
        """Solve for homogeneous activations; for others, Newton's method after twenty layers."""
        phi, x = _curve(activation), np.linspace(-3.0, 3.0, 50)
        if np.allclose(phi(2.0 * x), 2.0 * phi(x), rtol=1e-14, atol=0.0):
            slope = 0.5 * weight_variance * float((phi(np.array([1.0, -1.0])) ** 2).sum())
            if slope < 1.0:
                return Rest(weight_variance, bias_variance / (1.0 - slope), slope, -1.0 / math.log(slope))
            still = slope == 1.0 and bias_variance == 0.0
            return Rest(weight_variance, 1.0 if still else math.inf, slope, math.inf)
        q = 1.0
        for _ in range(20):
            q = weight_variance * _averages(phi, q)[0] + bias_variance
        for _ in range(4):
            square, _, change = _averages(phi, q)
            q -= (weight_variance * square + bias_variance - q) / (weight_variance * change - 1.0)
        _, slope, change = _averages(phi, q)
        depth = -1.0 / math.log(abs(weight_variance * change))
        return Rest(weight_variance, q, weight_variance * slope, depth)

    @staticmethod
    def product_law(weight_law: Any, depth: int) -> Product:
        """Take the scale out, the moments of the rest from scipy, and logarithms by quad."""
        family = weight_law.dist
        if hasattr(family, "xk"):  # finitely many values: sums
            values, masses = np.asarray(family.xk, dtype=np.float64), np.asarray(family.pk, dtype=np.float64)
            scale, logs = 1.0, np.log(np.abs(values))
            log, square = float(masses @ logs), float(masses @ logs**2)
            mean = float(masses @ values)
            centred = values - mean
            variance, third_central, fourth_central = (float(masses @ centred**k) for k in (2, 3, 4))
            skew, excess = third_central / variance**1.5, fourth_central / variance**2 - 3.0
        else:
            shape, placed = weight_law.args[: family.numargs], weight_law.args[family.numargs :]
            given = {**dict(zip(("loc", "scale"), placed, strict=False)), **weight_law.kwds}
            scale = float(given.pop("scale", 1.0))
            unit = family(*shape, **{**given, "loc": float(given.get("loc", 0.0)) / scale})
            log, square = _log_moments(family.name, unit.args, tuple(unit.kwds.items()))
            mean, variance, skew, excess = (float(x) for x in unit.stats("mvsk"))
        kurtosis = excess + 3.0
        third, fourth = skew * variance**1.5, kurtosis * variance**2
        raw = (
            mean,
            variance + mean**2,
            third + 3.0 * mean * variance + mean**3,
            fourth + 4.0 * mean * third + 6.0 * mean**2 * variance + mean**4,
        )
        one, two, three, four = (x**depth for x in raw)
        spread = two - one**2
        central = four - 4.0 * three * one + 6.0 * two * one**2 - 3.0 * one**4
        try:
            whole = spread * scale ** (2 * depth)
        except OverflowError:
            whole = math.inf
        return Product(whole, depth * (log + math.log(scale)), depth * (square - log**2), central / spread**2)


@agreements.control("control/agreement-tangent")
class TangentEdge:
    """The edge without bias of odd activations below their tangent at 0, where the variance rests at 0."""

    @staticmethod
    def edge_of_chaos(activation: Any, bias_variance: float) -> Rest:
        """Return q = 0, or refuse."""
        phi, x = _curve(activation), np.linspace(0.01, 10.0, 500)
        h = np.array([-1e-6, 1e-6])
        slope = float(np.diff(phi(h))[0]) / 2e-6
        odd = np.allclose(phi(-x), -phi(x), rtol=1e-12, atol=0.0)
        if bias_variance != 0.0 or not odd or (np.abs(phi(x)) > slope * x).any():
            raise ArithmeticError("not an odd activation below its tangent, or a bias")
        return Rest(slope**-2, 0.0, 1.0, math.inf)

    @staticmethod
    def critical_gain(width: int, activation: Any) -> float:
        """Take the root of that edge."""
        return math.sqrt(TangentEdge.edge_of_chaos(activation, 0.0).weight_variance)
