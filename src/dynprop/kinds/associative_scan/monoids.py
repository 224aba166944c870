"""Associative operations with exact results, so that errors of order, padding or chunks show at once.

A scan that is right for a non-commutative monoid of whole numbers is right for every associative
operation, since it can do nothing with elements but combine them (parametricity; Voigtlaender 2008,
"Much ado about two").
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynprop.arrays import NumericArray

__all__ = ["MONOIDS", "Monoid"]

Elements = tuple[NumericArray, ...]
Combine = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Monoid:
    """An associative operation on tuples of arrays, and elements to try it on.

    Attributes:
        name: what it is.
        combine: takes and returns tuples of arrays of any library, with any leading axes.
        draw: (rng, length, bits) -> elements, time first; whole numbers in int64 or float64.
        modular: whether results are compared modulo 2**bits.
        floating: whether elements are floats that stay exact whole numbers.
        commutative: whether the order of the operands does not matter.
    """

    name: str
    combine: Combine
    draw: Callable[[np.random.Generator, int], Elements]
    modular: bool
    floating: bool
    commutative: bool = False


def _affine(a: Any, b: Any) -> Any:
    """First a, then b: x -> b0 (a0 x + a1) + b1."""
    return (b[0] * a[0], b[0] * a[1] + b[1])


def _matrix(a: Any, b: Any) -> Any:
    """Two-by-two matrices a, then b: the product b a, as four arrays."""
    return (
        b[0] * a[0] + b[1] * a[2],
        b[0] * a[1] + b[1] * a[3],
        b[2] * a[0] + b[3] * a[2],
        b[2] * a[1] + b[3] * a[3],
    )


def _interval(a: Any, b: Any) -> Any:
    """Keep the first of the left and the last of the right: intervals of time steps.

    The fourth part is 1 and broadcasts: operations with Python numbers fail in torch's vmap at size 0.
    """
    return (a[0] * b[3], b[1] * a[3], a[2] + b[2], a[3] * b[3])


def _draw_affine(rng: np.random.Generator, length: int) -> Elements:
    return (rng.integers(-(2**62), 2**62, length) | 1, rng.integers(-(2**62), 2**62, length))


def _draw_matrix(rng: np.random.Generator, length: int) -> Elements:
    return tuple(rng.integers(-(2**30), 2**30, length) for _ in range(4))


def _draw_small_affine(rng: np.random.Generator, length: int) -> Elements:
    return (rng.choice([1.0, -1.0], length), rng.integers(-3, 4, length).astype(np.float64))


def _draw_interval(rng: np.random.Generator, length: int) -> Elements:
    steps = np.arange(float(length))
    return (steps, steps.copy(), np.ones(length), np.ones(length))


MONOIDS = (
    Monoid("intervals of time steps", _interval, _draw_interval, False, True),
    Monoid("signed affine maps", _affine, _draw_small_affine, False, True),
    Monoid("affine maps modulo 2^64", _affine, _draw_affine, True, False),
    Monoid("two-by-two matrices modulo 2^64", _matrix, _draw_matrix, True, False),
)
