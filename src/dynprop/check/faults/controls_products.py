"""Controls of kinds product, initializer and agreement: right, and written without common code."""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynprop.check.faults.registry import Catalogue

Array = NDArray[Any]
Shape = tuple[int, int]
Rng = np.random.Generator

numpy_products = Catalogue("product", "numpy")
torch_products = Catalogue("product", "torch")
numpy_initializers = Catalogue("initializer", "numpy")
torch_initializers = Catalogue("initializer", "torch")
agreements = Catalogue("agreement", "numpy")
CATALOGUES = (numpy_products, torch_products, numpy_initializers, torch_initializers, agreements)

MATRIX = {"matrix": True}


def promised(law: str, variance: str) -> dict[str, Any]:
    """Declare a law and a variance."""
    return {"law": law, "promise": {"variance": variance}}


numpy_products.add_control("control/numpy-cumprod", "numpy.cumprod.", functools.partial(np.cumprod, axis=0))
torch_products.add_control("control/torch-cumprod", "torch.cumprod.", functools.partial(torch.cumprod, dim=0))


@numpy_products.control("control/product-by-doubling")
def by_doubling(weights: Array) -> Array:
    """Hillis and Steele's scan: each pass multiplies with the product of twice as many weights before."""
    found, reach = weights.copy(), 1
    while reach < len(found):
        found[reach:] = found[reach:] * found[:-reach].copy()
        reach *= 2
    return found


@numpy_products.control("control/product-from-the-end")
def from_the_end(weights: Array) -> Array:
    """Forms every product on its own, the last factor first."""
    rows = [np.prod(weights[t::-1], axis=0) for t in range(len(weights))]
    return np.array(rows, dtype=weights.dtype).reshape(weights.shape)


@numpy_products.control("control/product-of-logarithms", domain={"arithmetic": "log"})
def of_logarithms(weights: Array) -> Array:
    """Adds logarithms and multiplies signs, and says so."""
    logs = np.cumsum(np.log(np.abs(weights)), axis=0)
    return np.asarray(np.exp(logs) * np.cumprod(np.sign(weights), axis=0), weights.dtype)


@numpy_products.control("control/matrix-products", domain=MATRIX)
def matrix_products(weights: Array) -> Array:
    """Multiplies from the left, one step after the other."""
    found = weights.copy()
    for t in range(1, len(found)):
        found[t] = weights[t] @ found[t - 1]
    return found


@numpy_products.control("control/matrix-products-by-doubling", domain=MATRIX)
def matrix_products_by_doubling(weights: Array) -> Array:
    """Multiplies blocks of twice the length at every pass."""
    found, reach = weights.copy(), 1
    while reach < len(found):
        found[reach:] = np.einsum("tij,tjk->tik", found[reach:], found[:-reach].copy())
        reach *= 2
    return found


@torch_products.control("control/matrix-products-in-torch", domain=MATRIX)
def matrix_products_in_torch(weights: Tensor) -> Tensor:
    """Multiplies from the left, in torch."""
    rows = [weights[:0]]
    for t in range(weights.shape[0]):
        rows.append((weights[t] @ rows[-1][0] if t else weights[t])[None])
    return torch.cat(rows)


# Initialisers.


@numpy_initializers.control("control/he-normal", domain=promised("normal", "2/fan_in"))
def he_normal(shape: Shape, rng: Rng) -> Array:
    """He's scale, Gaussian."""
    return rng.normal(0.0, math.sqrt(2.0 / shape[0]), shape)


@numpy_initializers.control("control/single-precision-weights", domain=promised("normal", "1/fan_out"))
def single_precision_weights(shape: Shape, rng: Rng) -> Array:
    """Drawn and returned in float32."""
    return rng.standard_normal(shape, dtype=np.float32) / np.float32(math.sqrt(shape[1]))


@numpy_initializers.control("control/glorot-uniform", domain=promised("uniform", "2/(fan_in + fan_out)"))
def glorot_uniform(shape: Shape, rng: Rng) -> Array:
    """Glorot's scale, uniform."""
    return rng.uniform(-1.0, 1.0, shape) * math.sqrt(6.0 / (shape[0] + shape[1]))


@numpy_initializers.control("control/truncated-rescaled", domain=promised("truncated", "1/fan_in"))
def truncated_rescaled(shape: Shape, rng: Rng) -> Array:
    """Cut at two deviations by rejection, and divided by what that leaves of the deviation."""
    drawn = rng.standard_normal(shape)
    while (outside := np.abs(drawn) > 2.0).any():
        drawn[outside] = rng.standard_normal(int(outside.sum()))
    return drawn / (0.87962566103423978 * math.sqrt(shape[0]))


@numpy_initializers.control("control/student-weights", domain=promised("t5", "1/fan_in"))
def student_weights(shape: Shape, rng: Rng) -> Array:
    """Student's t with 5 degrees: a chi-square test of its variance would accuse it."""
    return rng.standard_t(5.0, shape) * math.sqrt(0.6 / shape[0])


@numpy_initializers.control("control/heavy-weights", domain=promised("t3", "1/fan_in"))
def heavy_weights(shape: Shape, rng: Rng) -> Array:
    """Student's t with 3 degrees, which has no fourth moment: its variance is undecidable."""
    return rng.standard_t(3.0, shape) * math.sqrt(1.0 / (3.0 * shape[0]))


@numpy_initializers.control("control/plain-generator")
def plain_generator(shape: Shape, rng: Rng) -> Array:
    """Whatever the generator gives, without any promise."""
    return rng.random(shape)


@numpy_initializers.control("control/identity", domain={"law": "fixed"})
def identity(shape: Shape, rng: Rng) -> Array:
    """Not random, by declaration."""
    return np.eye(*shape)


@numpy_initializers.control(
    "control/scaled-radius", domain={"law": "normal", "promise": {"radius": "0.5 + 1/fan_in"}}
)
def scaled_radius(shape: Shape, rng: Rng) -> Array:
    """Scaled by its own radius; one common factor leaves entries' signs independent."""
    weights = rng.standard_normal(shape)
    if shape[0] != shape[1]:
        return weights
    return np.asarray(weights * ((0.5 + 1.0 / shape[0]) / np.abs(np.linalg.eigvals(weights)).max()))


ORTHOGONAL = {"law": "orthogonal", "promise": {"variance": "4/max(fan_in, fan_out)"}}


@numpy_initializers.control("control/haar-by-reflections", domain=ORTHOGONAL)
def haar_by_reflections(shape: Shape, rng: Rng) -> Array:
    """A product of random reflections and signs (Stewart 1980), cut to the shape, with norm 2."""
    n, k = max(shape), min(shape)
    frame = np.diag(rng.choice([-1.0, 1.0], n))
    for size in range(2, n + 1):
        v = rng.standard_normal(size)
        v[0] += math.copysign(float(np.linalg.norm(v)), v[0])
        block = frame[n - size :]
        block -= np.outer(v, 2.0 * (v @ block) / (v @ v))
    square = 2.0 * frame
    return np.ascontiguousarray(square[:, :k] if shape[0] >= shape[1] else square[:k])


def _torch(name: str, summary: str, fill: Any, domain: dict[str, Any], **given: Any) -> None:
    def draw(shape: Shape, rng: torch.Generator) -> Tensor:
        filled: Tensor = fill(torch.empty(shape), **given, generator=rng)
        return filled

    torch_initializers.add_control(f"control/{name}", summary, draw, domain=domain)


init = torch.nn.init
_torch("torch-kaiming", "kaiming_normal_.", init.kaiming_normal_, promised("normal", "2/fan_in"))
_torch(
    "torch-kaiming-fan-out",
    "kaiming_uniform_ by fan_out.",
    init.kaiming_uniform_,
    promised("uniform", "2/fan_out"),
    mode="fan_out",
)
_torch("torch-xavier", "xavier_normal_.", init.xavier_normal_, promised("normal", "2/(fan_in + fan_out)"))
_torch("torch-orthogonal", "orthogonal_ with a gain.", init.orthogonal_, ORTHOGONAL, gain=2.0)
_torch("torch-trunc", "trunc_normal_, without a promise.", init.trunc_normal_, {})


# Laws of products and layers, by formulas and loops.


@dataclass(frozen=True)
class Exponents:
    """Exponents, and bounds on what rounding adds to each."""

    exponents: Array
    bounds: Array


@dataclass(frozen=True)
class Drift:
    """Mean of a log norm."""

    log_mean: float


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
        return Drift(0.5 * math.fsum(drifts))

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
