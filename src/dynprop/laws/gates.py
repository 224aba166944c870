"""Classes of factors of a product: gates of a scan, weights of a running product.

Classes are structures, not distributions: each edge of the domain (exactly 0, 1 and -1, tiny, above 1, nearly
1) is a class, because products depend on these cases only.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.contracts.domain import Domain

__all__ = ["GATE_CLASSES", "gate_classes"]

Shape = tuple[int, ...]
Rng = np.random.Generator


def _signed_unit(rng: Rng, shape: Shape) -> FloatArray:
    return rng.uniform(-1.0, 1.0, shape)


def _with_exact(values: FloatArray, rng: Rng, exact: tuple[float, ...]) -> FloatArray:
    mask = rng.random(values.shape) < 0.3
    return np.where(mask, rng.choice(exact, values.shape), values)


GATE_CLASSES: dict[str, Callable[[Rng, Shape], FloatArray]] = {
    "between 0 and 1": lambda rng, s: 1.0 - rng.random(s),
    "near 1": lambda rng, s: 1.0 - 10.0 ** rng.uniform(-4, -1, s),
    "sigmoid": lambda rng, s: 1.0 / (1.0 + np.exp(-2.0 * rng.standard_normal(s))),
    "unit with exact ones": lambda rng, s: _with_exact(1.0 - rng.random(s), rng, (1.0,)),
    "signed": _signed_unit,
    "exactly 0, 1 and -1": lambda rng, s: rng.choice([0.0, 1.0, -1.0], s),
    "signed with exact values": lambda rng, s: _with_exact(_signed_unit(rng, s), rng, (0.0, 1.0, -1.0)),
    "normal": lambda rng, s: rng.standard_normal(s),
    "above 1": lambda rng, s: rng.choice([-1.0, 1.0], s) * rng.uniform(1.0, 1.6, s),
    "tiny": lambda rng, s: _with_exact(10.0 ** rng.uniform(-9, -2, s), rng, (1.0, 0.5)),
    "wide": lambda rng, s: rng.choice([-1.0, 1.0], s) * 2.0 ** rng.uniform(-6, 6, s),
}
_IN_UNIT = ("between 0 and 1", "near 1", "sigmoid", "unit with exact ones", "tiny")
_IN_SIGNED = (*_IN_UNIT, "signed", "exactly 0, 1 and -1", "signed with exact values")


def gate_classes(domain: Domain) -> tuple[str, ...]:
    """Return the names of the classes of gates that a domain contains."""
    if domain.gates == "unit":
        return _IN_UNIT
    return _IN_SIGNED if domain.gates == "signed" else tuple(GATE_CLASSES)
