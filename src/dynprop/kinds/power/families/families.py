"""Every class of matrices for the laws of powers, by name, with its traits and sizes.

Values are valid, not distributed: each class is a structure that some implementation gets wrong. A gain is
multiplied on where the class allows it, so that radii lie below, at and above 1; the "near overflow" and
"near underflow" classes are scaled by the case, which knows t and the format.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from dynprop.arrays import NumericArray, round_to
from dynprop.errors import ArgumentError
from dynprop.kinds.power.families import general, normal
from dynprop.kinds.power.families.gallery import GALLERY
from dynprop.kinds.power.families.lapack import LAPACK_TYPES

__all__ = ["FAMILIES", "GAINS", "Family", "draw_matrices", "families_for", "round_matrix"]

Rng = np.random.Generator

# Radii below, at and above 1.
GAINS = (1.0, 0.25, 0.5, 0.9, 0.99, 1.01, 1.1, 1.5, 3.0)


@dataclass(frozen=True)
class Family:
    """A class of square matrices.

    Attributes:
        name: what reports call it.
        make: (rng, count, n) -> matrices of shape (count, n, n).
        traits: properties of every member: "normal", "symmetric", "defective", "nilpotent", "integer",
            "complex", "nonnegative", "named", "LAPACK".
        smallest: the smallest size at which the class has its structure.
        gains: factors that a member may be multiplied by.
        extreme: 1 or -1 where the case scales powers to near overflow or underflow, else 0.
    """

    name: str
    make: Callable[[Rng, int, int], NumericArray]
    traits: frozenset[str] = frozenset()
    smallest: int = 1
    gains: tuple[float, ...] = GAINS
    extreme: int = 0


def _family(
    name: str,
    make: Callable[[Rng, int, int], NumericArray],
    *traits: str,
    smallest: int = 1,
    gains: tuple[float, ...] = GAINS,
    extreme: int = 0,
) -> tuple[str, Family]:
    return name, Family(name, make, frozenset(traits), smallest, gains, extreme)


BINARY = (1.0, 0.5, 2.0)
ONLY = (1.0,)

FAMILIES: dict[str, Family] = dict(
    [
        _family("diagonal", normal.diagonal, "normal", "symmetric"),
        _family("symmetric", normal.symmetric, "normal", "symmetric", smallest=2),
        _family("orthogonal", normal.orthogonal, "normal", smallest=2),
        _family("normal with complex pairs", normal.normal_pairs, "normal", smallest=2),
        _family("circulant", normal.circulant, "normal", smallest=2),
        _family("signed permutation", normal.signed_permutation, "normal", "integer", gains=BINARY),
        _family("identity", normal.identity, "normal", "symmetric", "nonnegative"),
        _family("zero", normal.zero, "normal", "symmetric", "nonnegative", "integer", gains=ONLY),
        _family("Hermitian", normal.hermitian, "normal", "complex", smallest=2),
        _family("unitary", normal.unitary, "normal", "complex"),
        _family("normal, complex", normal.complex_normal, "normal", "complex"),
        _family("random", general.gaussian),
        _family("random, complex", general.complex_gaussian, "complex"),
        _family("symmetric, complex", general.complex_symmetric, "complex", smallest=2),
        _family("nonnegative", general.nonnegative, "nonnegative"),
        _family("triangular", general.triangular, smallest=2),
        _family("diagonalisable", general.diagonalisable, smallest=2),
        _family("repeated eigenvalues", general.repeated, smallest=2),
        _family("complex pairs", general.complex_pairs, smallest=2),
        _family("Jordan", general.jordan, "defective", smallest=2),
        _family("Jordan, one block", general.jordan_single, "defective", smallest=2),
        _family("Jordan, hidden exactly", general.jordan_unimodular, "defective", smallest=2, gains=BINARY),
        _family("Jordan, hidden by a rotation", general.jordan_orthogonal, smallest=2),
        _family("near-defective", general.near_defective, smallest=2),
        _family("nilpotent", general.nilpotent, "nilpotent", "integer", smallest=2, gains=BINARY),
        _family("graded", general.graded, smallest=2),
        _family("block-diagonal", general.block_diagonal, smallest=2),
        _family("rank one", general.rank_one),
        _family("whole numbers", general.integer, "integer", gains=ONLY),
        _family("companion", general.companion, smallest=2),
        *(_family(name, make, "named", smallest=2) for name, make in GALLERY.items()),
        *(
            _family(
                f"LAPACK type {number}",
                make,
                "LAPACK",
                extreme={7: 1, 17: 1, 20: 1, 8: -1, 18: -1, 21: -1}.get(number, 0),
            )
            for number, make in LAPACK_TYPES.items()
        ),
        _family("near overflow", general.gaussian, extreme=1),
        _family("near underflow", general.gaussian, extreme=-1),
        _family("near overflow, complex", general.complex_gaussian, "complex", extreme=1),
    ]
)


def families_for(
    *, traits: Iterable[str] = (), without: Iterable[str] = (), size: int = 8
) -> tuple[str, ...]:
    """Return the names of the families with all ``traits``, none of ``without``, and members of ``size``.

    Raises:
        ArgumentError: there is none.
    """
    required, excluded = frozenset(traits), frozenset(without)
    names = tuple(
        f.name
        for f in FAMILIES.values()
        if required <= f.traits and not excluded & f.traits and f.smallest <= size
    )
    if not names:
        asked = f"with {sorted(required)}, without {sorted(excluded)}, of size {size}"
        raise ArgumentError("traits", asked, "some that a family of matrices has")
    return names


def round_matrix(values: NumericArray, dtype: str) -> NumericArray:
    """Round real or complex values to a format, kept as float64 or complex128; zero signs are dropped."""
    if np.iscomplexobj(values):
        return np.asarray(round_to(values.real, dtype) + 1j * round_to(values.imag, dtype) + 0.0)
    return round_to(values, dtype) + 0.0


def draw_matrices(rng: Rng, name: str, count: int, n: int) -> NumericArray:
    """Return matrices of a family with a gain each, shape (count, n, n), not yet rounded to a format.

    Raises:
        ArgumentError: no such family, or a size that it does not have.
    """
    family = FAMILIES.get(name)
    if family is None:
        raise ArgumentError("family", repr(name), f"one of {', '.join(FAMILIES)}")
    if n < family.smallest or count < 0:
        raise ArgumentError("n", str(n), f"a size of at least {family.smallest} for {name!r}")
    matrices = family.make(rng, count, n)
    if len(family.gains) == 1:
        return matrices
    return np.asarray(matrices * rng.choice(family.gains, (count, 1, 1)))
