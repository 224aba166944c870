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

faults = Catalogue("agreement", "numpy")
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
