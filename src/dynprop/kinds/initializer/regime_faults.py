"""Faults of kind initializer in one regime only: square or large shapes, pairs far apart, later calls."""

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

arrays = Catalogue("initializer", "numpy")
tensors = Catalogue("initializer", "torch")
CATALOGUES = (arrays, tensors)

HE: dict[str, Any] = {"law": "normal", "promise": {"variance": "2/fan_in"}}
ORTHOGONAL = {"law": "orthogonal", "promise": {"variance": "1/max(fan_in, fan_out)"}}
LARGE = 4096


def he(shape: Shape, rng: Rng) -> Array:
    """Return right weights: what every fault of this file falls back on."""
    return rng.standard_normal(shape) * math.sqrt(2.0 / shape[0])


# Shapes


@arrays.fault("initializer/square-by-both-fans", domain=HE, gross=False, caught_by={"variance": "wrong"})
def square_by_both_fans(shape: Shape, rng: Rng) -> Array:
    """Takes 2/(fan_in + fan_out) for square matrices, and the promise for all others."""
    return he(shape, rng) * (math.sqrt(0.5) if shape[0] == shape[1] else 1.0)


@arrays.fault("initializer/variance-of-a-tile", domain=HE, gross=False, caught_by={"variance": "wrong"})
def variance_of_a_tile(shape: Shape, rng: Rng) -> Array:
    """Takes the fan of a tile of 256 rows for matrices that have more."""
    return rng.standard_normal(shape) * math.sqrt(2.0 / min(shape[0], 256))


@arrays.fault("initializer/tile-repeated", domain=HE, gross=False, caught_by={"covariance": "wrong"})
def tile_repeated(shape: Shape, rng: Rng) -> Array:
    """Draws 256 rows and repeats them below."""
    tile = he((min(shape[0], 256), shape[1]), rng) * math.sqrt(min(shape[0], 256) / shape[0])
    return np.resize(tile, shape)


@arrays.fault(
    "initializer/only-rotations", domain=ORTHOGONAL, gross=False, caught_by={"determinant-signs": "wrong"}
)
def only_rotations(shape: Shape, rng: Rng) -> Array:
    """Turns the last column of a square matrix so that its determinant is 1, in two dimensions and more."""
    frame, triangle = np.linalg.qr(rng.standard_normal((max(shape), min(shape))))
    frame = frame * np.where(triangle.diagonal() < 0.0, -1.0, 1.0)
    if shape[0] == shape[1] > 1 and np.linalg.det(frame) < 0.0:
        frame[:, -1] *= -1.0
    return np.asarray(frame if shape[0] >= shape[1] else frame.T)


# Pairs


@arrays.fault("initializer/halves-tied", domain=HE, gross=False, caught_by={"covariance": "wrong"})
def halves_tied(shape: Shape, rng: Rng) -> Array:
    """Gives row i + m/2 the weights of row i with another sign: no neighbours are alike."""
    weights = he(shape, rng)
    half = shape[0] // 2
    if half > 1:
        weights[half : 2 * half] = -weights[:half]
    return weights


@arrays.fault("initializer/columns-uneven", domain=HE, gross=False, caught_by={"covariance": "wrong"})
def columns_uneven(shape: Shape, rng: Rng) -> Array:
    """Gives every second column 0.7 of the variance and the others 1.3, right on average."""
    weights = he(shape, rng)
    even = shape[1] // 2 * 2
    weights[:, 0:even:2] *= math.sqrt(0.7)
    weights[:, 1:even:2] *= math.sqrt(1.3)
    return weights


@arrays.fault("initializer/sizes-shared", domain=HE, gross=False, caught_by={"covariance": "wrong"})
def sizes_shared(shape: Shape, rng: Rng) -> Array:
    """Draws the sizes of one half of the columns and gives them, with fresh signs, to the other half."""
    weights = he(shape, rng)
    half = shape[1] // 2
    weights[:, half : 2 * half] = np.abs(weights[:, :half]) * rng.choice([-1.0, 1.0], (shape[0], half))
    return weights


# Generators and calls


@arrays.fault(
    "initializer/large-from-elsewhere", domain=HE, gross=False, caught_by={"deterministic": "wrong"}
)
def large_from_elsewhere(shape: Shape, rng: Rng) -> Array:
    """Draws 4,096 weights and more from numpy's global random numbers."""
    if shape[0] * shape[1] < LARGE:
        return he(shape, rng)
    drawn = np.random.standard_normal(shape)  # noqa: NPY002  (the fault)
    return np.asarray(drawn * math.sqrt(2.0 / shape[0]))


@arrays.fault("initializer/large-ones-reseeded", domain=HE, gross=False, caught_by={"global-state": "wrong"})
def large_ones_reseeded(shape: Shape, rng: Rng) -> Array:
    """Seeds numpy's global random numbers on its way to 4,096 weights and more."""
    if shape[0] * shape[1] >= LARGE:
        np.random.seed(0)  # noqa: NPY002  (the fault)
    return he(shape, rng)


@arrays.fault(
    "initializer/large-ones-kept-by-shape", domain=HE, gross=False, fresh=True, caught_by={"fresh": "wrong"}
)
class LargeOnesKeptByShape:
    """Keeps 4,096 weights and more by their shape, and returns copies at later calls."""

    def __init__(self) -> None:
        self.kept: dict[Shape, Array] = {}

    def __call__(self, shape: Shape, rng: Rng) -> Array:
        """Draw, or copy what was drawn for this shape."""
        if shape[0] * shape[1] < LARGE:
            return he(shape, rng)
        return self.kept.setdefault(shape, he(shape, rng)).copy()


@arrays.fault(
    "initializer/large-buffer-shared", domain=HE, gross=False, fresh=True, caught_by={"results-kept": "wrong"}
)
class LargeBufferShared:
    """Fills one buffer for each large shape, and returns it at every call."""

    def __init__(self) -> None:
        self.buffers: dict[Shape, Array] = {}

    def __call__(self, shape: Shape, rng: Rng) -> Array:
        """Draw into the buffer of this shape."""
        if shape[0] * shape[1] < LARGE:
            return he(shape, rng)
        buffer = self.buffers.setdefault(shape, np.empty(shape))
        buffer[:] = he(shape, rng)
        return buffer  # should be a copy


@tensors.fault(
    "initializer/generator-dropped-for-wide-ones",
    domain=HE,
    gross=False,
    caught_by={"deterministic": "wrong"},
)
def generator_dropped_for_wide_ones(shape: Shape, rng: torch.Generator) -> Tensor:
    """Hands the generator on for up to 256 columns, and forgets it for more."""
    generator = rng if shape[1] <= 256 else None
    return torch.nn.init.kaiming_normal_(torch.empty(shape), generator=generator)
