"""Controls of kind initializer: correct implementations without shared code."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynprop.laws.catalogue import Catalogue

Array = NDArray[Any]
Shape = tuple[int, int]
Rng = np.random.Generator

numpy_initializers: Catalogue = Catalogue("initializer", "numpy")
torch_initializers: Catalogue = Catalogue("initializer", "torch")
CATALOGUES = (numpy_initializers, torch_initializers)


def promised(law: str, variance: str) -> dict[str, Any]:
    """Declare a law and a variance."""
    return {"law": law, "promise": {"variance": variance}}


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


ORTHOGONAL: dict[str, Any] = {"law": "orthogonal", "promise": {"variance": "4/max(fan_in, fan_out)"}}


@numpy_initializers.control("control/haar-by-reflections", domain=ORTHOGONAL)
def haar_by_reflections(shape: Shape, rng: Rng) -> Array:
    """A product of random reflections and signs (Stewart 1980), cut to the shape, with norm 2."""
    n, k = max(shape), min(shape)
    frame = np.diag(rng.choice([-1.0, 1.0], n))[:, :k].copy()
    for size in range(2, n + 1):
        v = rng.standard_normal(size)
        v[0] += math.copysign(float(np.linalg.norm(v)), v[0])
        block = frame[n - size :]
        block -= np.outer(v, 2.0 * (v @ block) / (v @ v))
    return np.ascontiguousarray(2.0 * (frame if shape[0] >= shape[1] else frame.T))


@numpy_initializers.control("control/haar-by-factorisation", domain=ORTHOGONAL)
def haar_by_factorisation(shape: Shape, rng: Rng) -> Array:
    """Q of a QR factorisation with the signs of the diagonal of R (Mezzadri 2007), with norm 2."""
    frame, triangle = np.linalg.qr(rng.standard_normal((max(shape), min(shape))))
    signed = 2.0 * frame * np.where(triangle.diagonal() < 0.0, -1.0, 1.0)
    return np.ascontiguousarray(signed if shape[0] >= shape[1] else signed.T)


@numpy_initializers.control("control/normal-by-tiles", domain=promised("normal", "2/fan_in"))
def normal_by_tiles(shape: Shape, rng: Rng) -> Array:
    """Tiles of at most 128 columns, each drawn from the generator."""
    tiles = [rng.standard_normal((shape[0], min(128, shape[1] - k))) for k in range(0, shape[1], 128)]
    return np.concatenate(tiles, axis=1) * math.sqrt(2.0 / shape[0])


def _torch(name: str, summary: str, fill: Any, domain: dict[str, Any], **arguments: Any) -> None:
    def draw(shape: Shape, rng: torch.Generator) -> Tensor:
        filled: Tensor = fill(torch.empty(shape), **arguments, generator=rng)
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
