"""The initialisers and running products of this room obey every law that others are judged by."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from dynprop import products
from dynprop.arrays import FloatArray
from dynprop.check.run.runner import Options, run_law
from dynprop.kinds import law_by_id, laws_for
from dynprop.kinds.initializer.target import Initializer
from dynprop.kinds.product.target import Product

WALK = "fan_out/2*exp(-digamma(fan_out/2))/fan_in"
HALF = {"variance": "0.25/max(fan_in, fan_out)"}
KEPT: list[tuple[str, dict[str, Any], str, dict[str, str]]] = [
    ("variance_scaled", {}, "normal", {"variance": "1/fan_in"}),
    ("variance_scaled", {"mode": "fan_out", "scale": 2.0}, "normal", {"variance": "2/fan_out"}),
    ("variance_scaled", {"law": "truncated"}, "truncated", {"variance": "1/fan_in"}),
    (
        "variance_scaled",
        {"law": "uniform", "mode": "fan_avg"},
        "uniform",
        {"variance": "2/(fan_in + fan_out)"},
    ),
    ("sussillo_abbott", {}, "normal", {"variance": WALK}),
    ("orthogonal", {"gain": 0.5}, "orthogonal", HALF),
]


def in_place(name: str, **given: Any) -> Callable[..., torch.Tensor]:
    function = getattr(products, f"{name}_")

    def draw(shape: tuple[int, int], rng: torch.Generator) -> torch.Tensor:
        filled: torch.Tensor = function(torch.empty(shape), **given, generator=rng)
        return filled

    return draw


def assert_kept(subject: Any, kind: str, examples: int) -> None:
    results = [run_law(law, subject, Options(examples=examples, patience=0.0)) for law in laws_for(kind)]
    judged = [r for r in results if not r.not_applicable]
    assert {r.law: r.verdict for r in judged} == {r.law: "pass" for r in judged}, judged
    assert sum(r.decided for r in judged) >= 3 * examples
    assert max(r.worst_ratio for r in judged) <= 1.0


@pytest.mark.parametrize(("name", "given", "law", "promise"), KEPT)
def test_initialisers_keep_their_promise(
    name: str, given: dict[str, Any], law: str, promise: dict[str, str]
) -> None:
    draw = partial(getattr(products, name), **given)
    assert_kept(Initializer(draw, law=law, promise=promise, name=name), "initializer", 2)


@pytest.mark.parametrize(("name", "given", "law", "promise"), KEPT)
def test_initialisers_in_torch_keep_the_same_promise(
    name: str, given: dict[str, Any], law: str, promise: dict[str, str]
) -> None:
    draw = in_place(name, **given)
    assert_kept(Initializer(draw, "torch", law=law, promise=promise, name=name), "initializer", 2)


def test_the_identity_is_fixed() -> None:
    assert_kept(Initializer(products.identity, law="fixed"), "initializer", 6)


@pytest.mark.parametrize(
    ("target", "framework"),
    [
        (partial(products.spectral_radius, radius=1.25), "numpy"),
        (in_place("spectral_radius", radius=1.25), "torch"),
    ],
)
def test_every_matrix_has_the_promised_radius(target: Any, framework: str) -> None:
    subject = Initializer(target, framework, promise={"radius": "1.25"}, name="radius")
    result = run_law(law_by_id("initializer/spectral-radius"), subject, Options(examples=40, iid=100))
    assert (result.verdict, result.undecidable) == ("pass", 0)
    assert result.worst_ratio <= 1.0


def test_exponentials_of_running_logarithms_are_running_products() -> None:
    def through_logarithms(weights: FloatArray) -> FloatArray:
        signs, logs = products.running_log_products(weights)
        return np.asarray(signs * np.exp(logs), dtype=weights.dtype)

    assert_kept(Product(through_logarithms, arithmetic="log"), "product", 40)
