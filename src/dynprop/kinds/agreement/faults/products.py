"""Faults of kind agreement: `dynprop.products` with one wrong function in its place."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from dynprop import linear, products
from dynprop.laws.catalogue import Catalogue

Array = npt.NDArray[Any]
Function = Callable[..., Any]

faults: Catalogue = Catalogue("agreement", "numpy")
CATALOGUES = (faults,)


def planted(
    slug: str, replaces: str, *, caught_by: Mapping[str, str], gross: bool = True
) -> Callable[[Function], Function]:
    """Plant the decorated function in the place of one of `dynprop.products`."""

    def plant(wrong: Function) -> Function:
        def build() -> object:
            names = {name: getattr(products, name) for name in products.__all__ if name.islower()}
            return SimpleNamespace(**{**names, "scan": linear.scan, replaces: wrong})

        build.__doc__ = wrong.__doc__
        faults.fault(f"agreement/{slug}", gross=gross, fresh=True, caught_by=caught_by)(build)
        return wrong

    return plant


@dataclass(frozen=True)
class Numbers:
    """Moments of a product, some of them wrong."""

    variance: float
    log_mean: float
    log_variance: float
    kurtosis: float


def _moments(law: Any, depth: int) -> Numbers:
    found = products.product_law(law, depth)
    return Numbers(found.variance, found.log_mean, found.log_variance, found.kurtosis)


@planted("constant-beside-the-variance", "product_law", caught_by={"variance-of-products": "wrong"})
def constant_beside_the_variance(law: Any, depth: int) -> Numbers:
    """Gives the variance of n weights as n v^n: of the order of v^n up to what depends on n."""
    found = _moments(law, depth)
    return replace(found, variance=depth * found.variance)


@planted("variance-without-the-mean", "product_law", caught_by={"variance-of-products": "wrong"})
def variance_without_the_mean(law: Any, depth: int) -> Numbers:
    """Gives v^n whatever the mean."""
    return replace(_moments(law, depth), variance=float(law.var()) ** depth)


@planted("size-from-the-variance", "product_law", caught_by={"typical-size": "wrong"})
def size_from_the_variance(law: Any, depth: int) -> Numbers:
    """Takes half the logarithm of the variance for the typical size: variance 1 for size 1."""
    return replace(_moments(law, depth), log_mean=0.5 * depth * math.log(float(law.var())))


@planted("no-drift-at-variance-one", "zero_drift_variance", caught_by={"zero-drift": "wrong"})
def no_drift_at_variance_one(law: Any) -> float:
    """Says that variance 1 has no drift."""
    return 1.0


@planted("step-is-a-quotient", "step_variance", caught_by={"step-variance": "wrong"})
def step_is_a_quotient(target: float, depth: int) -> float:
    """Divides the target by the depth, where its root is due."""
    return target / depth


@planted("step-is-a-deviation", "step_variance", caught_by={"step-variance": "wrong"})
def step_is_a_deviation(target: float, depth: int) -> float:
    """Returns the standard deviation of a step for its variance."""
    return math.sqrt(products.step_variance(target, depth))


@planted("shared-weight-as-fresh", "shared_product_law", gross=False, caught_by={"shared-variance": "wrong"})
def shared_weight_as_fresh(law: Any, depth: int) -> Numbers:
    """Gives the law of fresh weights for that of one shared weight."""
    return _moments(law, depth)


@planted("running-signs-lost", "running_log_products", caught_by={"running-product": "wrong"})
def running_signs_lost(weights: Array) -> tuple[Array, Array]:
    """Returns the signs of the weights, not of their products."""
    return np.sign(weights), products.running_log_products(weights)[1]


@planted(
    "running-zeros-lost", "running_log_products", gross=False, caught_by={"running-product": "inaccurate"}
)
def running_zeros_lost(weights: Array) -> tuple[Array, Array]:
    """Replaces a zero by the smallest normal number, as if it had a logarithm."""
    return products.running_log_products(np.where(weights == 0.0, np.finfo(np.float64).tiny, weights))


@planted("gain-to-first-order", "critical_gain", caught_by={"gain-without-drift": "wrong"})
def gain_to_first_order(width: int, activation: Any) -> float:
    """Takes exp(1/(2n)), the expansion of the exact gain, without the digamma function."""
    if activation == "linear":
        return math.exp(0.5 / width)
    return products.critical_gain(width, activation)


@planted("gain-of-the-mean-square", "critical_gain", caught_by={"gain-without-drift": "wrong"})
def gain_of_the_mean_square(width: int, activation: Any) -> float:
    """Keeps the mean square of ReLU layers, sqrt(2), whose typical size falls."""
    return math.sqrt(2.0) if activation == "relu" else products.critical_gain(width, activation)


@dataclass(frozen=True)
class Measured:
    """Exponents with bounds."""

    exponents: Array
    bounds: Array


@planted("exponents-of-one-direction", "lyapunov_exponents", caught_by={"sum-of-exponents": "wrong"})
def exponents_of_one_direction(matrices: Sequence[Array]) -> Measured:
    """Normalises columns without making them orthogonal: all become the first exponent."""
    n = len(matrices[0])
    frame, logs = np.eye(n), np.zeros(n)
    for matrix in matrices:
        frame = matrix @ frame
        norms = np.linalg.norm(frame, axis=0)
        frame, logs = frame / norms, logs + np.log(norms)
    return Measured(np.sort(logs / len(matrices))[::-1], np.full(n, 1e-9))


@planted("edge-without-bias", "edge_of_chaos", caught_by={"edge-of-chaos": "wrong"})
def edge_without_bias(activation: Any, bias_variance: float) -> Any:
    """Linearises at 0, where there is no rest once there is a bias."""
    return products.edge_of_chaos(activation, 0.0)


@planted("walks-of-a-wider-net", "norm_walks", gross=False, caught_by={"norm-of-layers": "wrong"})
def walks_of_a_wider_net(
    width: int, depth: int, activation: Any, gain: float, weights: Any, nets: int, seed: int
) -> Any:
    """Draws weights of variance g^2 / (n + 1)."""
    return products.norm_walks(
        width, depth, activation, gain * math.sqrt(width / (width + 1.0)), weights, nets, seed
    )


@planted("second-moment-of-linear-layers", "layer_norm_law", caught_by={"moments-of-layers": "wrong"})
def second_moment_of_linear_layers(widths: Sequence[int], gain: float, activation: str = "linear") -> Any:
    """Gives ReLU layers the factor 1 + 2/n of linear ones in E|x|^4 / (E|x|^2)^2."""
    ratio = math.prod(1.0 + 2.0 / n for n in widths[1:])
    return replace(products.layer_norm_law(widths, gain, activation), square_ratio=ratio)


@planted("variance-of-the-squared-norm", "layer_norm_law", caught_by={"moments-of-layers": "wrong"})
def variance_of_the_squared_norm(widths: Sequence[int], gain: float, activation: str = "linear") -> Any:
    """Gives the variance of the log of the squared norm, four times that of the norm."""
    found = products.layer_norm_law(widths, gain, activation)
    return replace(found, log_variance=4.0 * found.log_variance)


@planted("fresh-walks-share-their-weights", "norm_walks", gross=False, caught_by={"norm-at-depth": "wrong"})
def fresh_walks_share_their_weights(
    width: int, depth: int, activation: Any, gain: float, weights: Any, nets: int, seed: int
) -> Any:
    """Draws one matrix for all layers, whichever sort of weights is asked for."""
    return products.norm_walks(width, depth, activation, gain, "shared", nets, seed)


@planted("shared-walks-are-fresh", "norm_walks", caught_by={"recurrent-spread": "wrong"})
def shared_walks_are_fresh(
    width: int, depth: int, activation: Any, gain: float, weights: Any, nets: int, seed: int
) -> Any:
    """Draws new weights for every step, whichever sort of weights is asked for."""
    return products.norm_walks(width, depth, activation, gain, "fresh", nets, seed)


@planted("drift-of-the-mean-square", "norm_walks", caught_by={"norm-at-depth": "wrong"})
def drift_of_the_mean_square(
    width: int, depth: int, activation: Any, gain: float, weights: Any, nets: int, seed: int
) -> Any:
    """Takes out the drift of the logarithm, as if the mean square were the typical size."""
    from scipy.special import psi

    found = products.norm_walks(width, depth, activation, gain, weights, nets, seed)
    drift = 0.5 * (float(psi(0.5 * width)) - math.log(0.5 * width)) * np.arange(depth + 1)
    return replace(found, forward=found.forward - drift, backward=found.backward - drift[::-1])


@planted("orthogonal-by-columns", "orthogonal", caught_by={"orthogonal-layers": "wrong"})
def orthogonal_by_columns(shape: tuple[int, int], rng: np.random.Generator, gain: float = 1.0) -> Array:
    """Normalises the columns of a Gaussian matrix without making them orthogonal."""
    weights = rng.standard_normal(shape)
    return np.asarray(gain * weights / np.linalg.norm(weights, axis=0))


# Mean field


@dataclass(frozen=True)
class Point:
    """A fixed point, on the edge or not."""

    weight_variance: float
    q: float
    chi: float
    exponent: float


def _hermite(phi: Function, q: float) -> tuple[float, float]:
    """Averages of phi^2 and phi'^2 on the 64 nodes of Gauss and Hermite, whatever lies between them."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(64)
    x, weights = math.sqrt(q) * nodes, weights / weights.sum()
    slopes = (phi(x + 1e-5) - phi(x - 1e-5)) / 2e-5
    return float(weights @ phi(x) ** 2), float(weights @ slopes**2)


@planted("mean-field-over-kinks", "mean_field", caught_by={"kinks": "wrong"})
def mean_field_over_kinks(activation: Any, weight_variance: float, bias_variance: float) -> Any:
    """Averages a callable by one quadrature for smooth functions, across its kinks."""
    if isinstance(activation, str):
        return products.mean_field(activation, weight_variance, bias_variance)
    q = 1.0
    for _ in range(500):
        q = weight_variance * _hermite(activation, q)[0] + bias_variance
    chi = weight_variance * _hermite(activation, q)[1]
    return Point(weight_variance, q, chi, 0.5 * math.log(chi) if chi > 0.0 else -math.inf)


@planted("edge-over-kinks", "edge_of_chaos", gross=False, caught_by={"kinks": "wrong"})
def edge_over_kinks(activation: Any, bias_variance: float) -> Any:
    """Averages a callable across its kinks on the edge of chaos: 1.8 % off for hardtanh."""
    from scipy.optimize import brentq

    if isinstance(activation, str) or bias_variance == 0.0:
        return products.edge_of_chaos(activation, bias_variance)

    def excess(log: float) -> float:
        square, slope = _hermite(activation, math.exp(log))
        return math.exp(log) - square / max(slope, 1e-300) - bias_variance

    grid = np.linspace(-12.0, 8.0, 200)
    signs = np.array([excess(x) for x in grid]) > 0.0
    first = max(1, int(signs.argmax()))
    q = math.exp(brentq(excess, grid[first - 1], grid[first]))
    return Point(1.0 / _hermite(activation, q)[1], q, 1.0, 0.0)


@planted("a-hundred-layers-for-all", "mean_field", caught_by={"homogeneity": "wrong"})
def a_hundred_layers_for_all(activation: Any, weight_variance: float, bias_variance: float) -> Any:
    """Takes the variance of a callable after a hundred layers for the limit, also where it grows forever."""
    if isinstance(activation, str):
        return products.mean_field(activation, weight_variance, bias_variance)
    q = 1.0
    for _ in range(100):
        q = weight_variance * _half_lines(activation, q) + bias_variance
    slope = weight_variance * _half_lines(activation, q) / q if q > 0.0 else 0.0
    return Point(weight_variance, q, slope, 0.5 * math.log(slope) if slope > 0.0 else -math.inf)


def _half_lines(phi: Function, q: float) -> float:
    """Average phi^2 by 64 nodes on each half line: right for a kink at 0."""
    x, weights = np.polynomial.legendre.leggauss(64)
    z = 6.0 * (x + 1.0)
    density = 6.0 * weights * np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
    return float(density @ (phi(math.sqrt(q) * z) ** 2 + phi(-math.sqrt(q) * z) ** 2))


@dataclass(frozen=True)
class Depths:
    """A fixed point and how fast it is approached."""

    q: float
    chi: float
    exponent: float
    variance_depth: float


@planted("depth-of-rising-maps", "mean_field", caught_by={"variance-depth": "wrong"})
def depth_of_rising_maps(activation: Any, weight_variance: float, bias_variance: float) -> Any:
    """Says that the variance is at rest at once wherever its map falls."""
    found = products.mean_field(activation, weight_variance, bias_variance)
    q, step = found.q, 1e-4 * found.q
    falls = False
    if 0.0 < q < math.inf and callable(activation):
        falls = _half_lines(activation, q + step) < _half_lines(activation, q - step)
    return Depths(q, found.chi, found.exponent, 0.0 if falls else found.variance_depth)


@planted("edge-that-repels", "critical_gain", caught_by={"edge-that-attracts": "wrong"})
def edge_that_repels(width: int, activation: Any) -> float:
    """Linearises a callable at 0, from which the variance may grow: GELU at gain 2."""
    if isinstance(activation, str):
        return products.critical_gain(width, activation)
    step = np.array([-1e-6, 1e-6])
    below, above = activation(step)
    return float(2e-6 / (above - below))


# Products of weights


@planted("moments-in-floats", "product_law", gross=False, caught_by={"scale-of-weights": "wrong"})
def moments_in_floats(law: Any, depth: int) -> Numbers:
    """Squares a scale before it takes the logarithm: below 1e-162 that is -inf."""
    found = _moments(law, depth)
    with np.errstate(all="ignore"):
        variance = np.float64(law.std()) ** 2
        lost = math.nan if variance in (0.0, math.inf) else 0.0
        log = np.log(variance) if lost != 0.0 else 0.0
    return replace(found, log_variance=found.log_variance + log, kurtosis=found.kurtosis + lost)


@planted("shift-left-out", "product_law", caught_by={"shifted-weights": "wrong"})
def shift_left_out(law: Any, depth: int) -> Numbers:
    """Takes E log abs(w) of a one-sided law at 0, wherever it is."""
    found = _moments(law, depth)
    if not law.kwds.get("loc") or not math.isinf(law.support()[1]):
        return found
    unshifted = law.dist(*law.args, **{**law.kwds, "loc": 0.0})
    return replace(found, log_mean=_moments(unshifted, depth).log_mean)
