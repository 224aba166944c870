"""Faults of kind initializer, each one close to a mistake in real code."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynprop.laws.catalogue import Catalogue

Array = NDArray[np.float64]
Shape = tuple[int, int]
Rng = np.random.Generator

arrays: Catalogue = Catalogue("initializer", "numpy")
tensors: Catalogue = Catalogue("initializer", "torch")
CATALOGUES = (arrays, tensors)


def normal(expression: str) -> dict[str, Any]:
    """Declare Gaussian weights of a variance."""
    return {"law": "normal", "promise": {"variance": expression}}


HE = normal("2/fan_in")
ORTHOGONAL: dict[str, Any] = {"law": "orthogonal", "promise": {"variance": "1/max(fan_in, fan_out)"}}


@arrays.fault("initializer/fan-out-for-fan-in", domain=HE, caught_by={"variance": "wrong"})
def fan_out_for_fan_in(shape: Shape, rng: Rng) -> Array:
    """Divides by the number of outputs: invisible on square matrices."""
    return rng.standard_normal(shape) * math.sqrt(2.0 / shape[1])


@arrays.fault(
    "initializer/variance-for-deviation",
    domain=HE,
    source="pascanur/trainingRNNs",
    caught_by={"variance": "wrong"},
)
def variance_for_deviation(shape: Shape, rng: Rng) -> Array:
    """Hands the variance to a function that takes the standard deviation."""
    return rng.normal(0.0, 2.0 / shape[0], shape)


@arrays.fault("initializer/gain-of-another-activation", domain=HE, caught_by={"variance": "wrong"})
def gain_of_another_activation(shape: Shape, rng: Rng) -> Array:
    """Takes the gain of linear layers for ReLU."""
    return rng.standard_normal(shape) * math.sqrt(1.0 / shape[0])


@arrays.fault(
    "initializer/truncated-not-rescaled",
    domain={"law": "truncated", "promise": {"variance": "1/fan_in"}},
    source="keras-team/keras",
    caught_by={"variance": "wrong", "distribution": "wrong"},
)
def truncated_not_rescaled(shape: Shape, rng: Rng) -> Array:
    """Cuts a normal law at two deviations and keeps the scale of its parent: 0.774 of the variance.

    keras has a constant, .87962566103423978, against that.
    """
    drawn = rng.standard_normal(shape)
    while (outside := np.abs(drawn) > 2.0).any():
        drawn[outside] = rng.standard_normal(int(outside.sum()))
    return drawn / math.sqrt(shape[0])


@arrays.fault(
    "initializer/uniform-to-the-deviation",
    domain={"law": "uniform", "promise": {"variance": "1/fan_in"}},
    source="pytorch/pytorch#9221",
    caught_by={"variance": "wrong"},
)
def uniform_to_the_deviation(shape: Shape, rng: Rng) -> Array:
    """Draws between minus and plus the standard deviation: a third of the variance."""
    half = 1.0 / math.sqrt(shape[0])
    return rng.uniform(-half, half, shape)


@arrays.fault("initializer/target-over-depth", domain=normal("0.01**(1/10)"), caught_by={"variance": "wrong"})
def target_over_depth(shape: Shape, rng: Rng) -> Array:
    """Divides the variance of a product of ten weights among them, where its tenth root is due."""
    return rng.standard_normal(shape) * math.sqrt(0.01 / 10.0)


@arrays.fault(
    "initializer/gain-without-digamma",
    domain=normal("fan_out/2*exp(-digamma(fan_out/2))/fan_in"),
    caught_by={"variance": "wrong"},
)
def gain_without_digamma(shape: Shape, rng: Rng) -> Array:
    """Takes exp(1/(2n)) for the exact gain of a layer of n units: far off for the narrowest ones."""
    return rng.standard_normal(shape) * (math.exp(0.5 / shape[1]) / math.sqrt(shape[0]))


@arrays.fault("initializer/global-generator", domain=HE, caught_by={"deterministic": "wrong"})
def global_generator(shape: Shape, rng: Rng) -> Array:
    """Draws from numpy's global random numbers."""
    drawn = np.random.standard_normal(shape)  # noqa: NPY002  (the fault)
    return np.asarray(drawn * math.sqrt(2.0 / shape[0]))


@arrays.fault("initializer/seeds-everything", domain=HE, caught_by={"global-state": "wrong"})
def seeds_everything(shape: Shape, rng: Rng) -> Array:
    """Seeds numpy's global random numbers on its way."""
    np.random.seed(0)  # noqa: NPY002  (the fault)
    return rng.standard_normal(shape) * math.sqrt(2.0 / shape[0])


@arrays.fault("initializer/generator-ignored", domain=HE, caught_by={"fresh": "wrong"})
def generator_ignored(shape: Shape, rng: Rng) -> Array:
    """Makes a generator of its own, always the same: every layer gets the same weights."""
    return np.random.default_rng(0).standard_normal(shape) * math.sqrt(2.0 / shape[0])


@arrays.fault("initializer/one-row-shared", domain=HE, gross=False, caught_by={"independent": "wrong"})
def one_row_shared(shape: Shape, rng: Rng) -> Array:
    """Draws one row and repeats it: shared weights, where fresh ones are claimed."""
    return np.tile(rng.standard_normal(shape[1]) * math.sqrt(2.0 / shape[0]), (shape[0], 1))


@arrays.fault("initializer/antithetic", domain=HE, gross=False, caught_by={"independent": "wrong"})
def antithetic(shape: Shape, rng: Rng) -> Array:
    """Pairs every column with its negative."""
    half = rng.standard_normal((shape[0], (shape[1] + 1) // 2)) * math.sqrt(2.0 / shape[0])
    return np.stack([half, -half], axis=2).reshape(shape[0], -1)[:, : shape[1]].copy()


@arrays.fault("initializer/heavy-tails-claimed-normal", domain=HE, caught_by={"distribution": "wrong"})
def heavy_tails_claimed_normal(shape: Shape, rng: Rng) -> Array:
    """Draws Laplace weights of the right variance and calls them normal."""
    return rng.laplace(0.0, math.sqrt(1.0 / shape[0]), shape)


@arrays.fault("initializer/axes-exchanged", caught_by={"shape-and-dtype": "wrong"})
def axes_exchanged(shape: Shape, rng: Rng) -> Array:
    """Returns (fan_out, fan_in)."""
    return rng.standard_normal(shape[::-1])


@arrays.fault("initializer/signs-of-the-factorisation", domain=ORTHOGONAL, caught_by={"fair-signs": "wrong"})
def signs_of_the_factorisation(shape: Shape, rng: Rng) -> Array:
    """Takes Q of a QR factorisation as it comes: not uniform, its first entry is never positive."""
    frame = np.linalg.qr(rng.standard_normal((max(shape), min(shape))))[0]
    return np.asarray(frame if shape[0] >= shape[1] else frame.T)


@arrays.fault(
    "initializer/orthogonal-on-the-longer-side", domain=ORTHOGONAL, caught_by={"orthogonal": "wrong"}
)
def orthogonal_on_the_longer_side(shape: Shape, rng: Rng) -> Array:
    """Cuts a square orthogonal matrix along its rows, so that the shorter side is not orthonormal."""
    n = max(shape)
    frame, triangle = np.linalg.qr(rng.standard_normal((n, n)))
    square = frame * np.sign(triangle.diagonal())
    return np.asarray(square[: shape[0], : shape[1]] * math.sqrt(n / min(shape)))


@arrays.fault(
    "initializer/radius-on-average",
    domain={"promise": {"radius": "1.1"}},
    caught_by={"spectral-radius": "wrong"},
)
def radius_on_average(shape: Shape, rng: Rng) -> Array:
    """Trusts the circular law: the radius is right for large matrices, and on average."""
    return rng.standard_normal(shape) * (1.1 / math.sqrt(shape[0]))


@arrays.fault(
    "initializer/norm-for-radius",
    domain={"promise": {"radius": "1.1"}},
    caught_by={"spectral-radius": "wrong"},
)
def norm_for_radius(shape: Shape, rng: Rng) -> Array:
    """Scales by the largest singular value."""
    weights = rng.standard_normal(shape)
    return np.asarray(weights * (1.1 / np.linalg.norm(weights, 2)))


@tensors.fault("initializer/default-generator", domain=HE, caught_by={"deterministic": "wrong"})
def default_generator(shape: Shape, rng: torch.Generator) -> Tensor:
    """Forgets to hand the generator on."""
    return torch.nn.init.kaiming_normal_(torch.empty(shape))


@tensors.fault(
    "initializer/places-without-the-generator",
    source="torch 2.13.0: sparse_ draws the places of its zeros without its generator",
    caught_by={"deterministic": "wrong"},
)
def places_without_the_generator(shape: Shape, rng: torch.Generator) -> Tensor:
    """Draws the values from the generator, and the places of the zeros from elsewhere."""
    weights = torch.empty(shape).normal_(0.0, 0.01, generator=rng)
    for column in range(shape[1]):
        weights[torch.randperm(shape[0])[: shape[0] // 2], column] = 0.0
    return weights


@tensors.fault("initializer/fan-out-in-torch", domain=HE, caught_by={"variance": "wrong"})
def fan_out_in_torch(shape: Shape, rng: torch.Generator) -> Tensor:
    """Takes fan_out where fan_in is promised."""
    return torch.nn.init.kaiming_normal_(torch.empty(shape), mode="fan_out", generator=rng)


@tensors.fault(
    "initializer/truncated-in-torch",
    domain={"law": "truncated", "promise": {"variance": "1/fan_in"}},
    source="torch 2.13.0: std of trunc_normal_ is that of its parent",
    caught_by={"variance": "wrong"},
)
def truncated_in_torch(shape: Shape, rng: torch.Generator) -> Tensor:
    """Takes the std of trunc_normal_ for that of the weights."""
    std = 1.0 / math.sqrt(shape[1])
    return torch.nn.init.trunc_normal_(torch.empty(shape), 0.0, std, -2.0 * std, 2.0 * std, generator=rng)
