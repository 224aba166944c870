"""Arguments that end in a raw error of numpy or torch elsewhere: one typed error, before any work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from dynprop import products
from dynprop.errors import ArgumentError

RNG = np.random.default_rng(0)
HUGE = (10**9, 10**9)
FILLS: list[Callable[[Any], Any]] = [
    products.variance_scaled_,
    products.orthogonal_,
    products.identity_,
    products.spectral_radius_,
    products.sussillo_abbott_,
]


@pytest.mark.parametrize(
    "call",
    [
        lambda: products.variance_scaled(HUGE, RNG),
        lambda: products.orthogonal(HUGE, RNG),
        lambda: products.identity(HUGE),
        lambda: products.spectral_radius(HUGE, RNG),
        lambda: products.sussillo_abbott(HUGE, RNG),
        lambda: products.critical_gain(10**400, "linear"),
        lambda: products.critical_gain(10**12, "relu"),
        lambda: products.layer_norm_law(10, 5),  # type: ignore[arg-type]  # widths are a sequence
        lambda: products.layer_norm_law([10**400, 5], 1.0),
        lambda: products.gaussian_exponents(10**12),
    ],
)
def test_sizes_beyond_memory_or_floats_are_refused(call: Callable[[], object]) -> None:
    with pytest.raises(ArgumentError, match=r"(shape|width)s?(\[0\])?: got "):
        call()


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize(
    "tensor", [torch.empty(1, 4).expand(4, 4), torch.eye(4).to_sparse()], ids=["expanded", "sparse"]
)
def test_tensors_that_cannot_be_filled_are_refused(fill: Callable[[Any], Any], tensor: Any) -> None:
    with pytest.raises(ArgumentError, match=r"^tensor: got "):
        fill(tensor)
