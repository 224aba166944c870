"""Families of random matrices, and their exact powers and eigenvalues, for judging calls.

Written apart from `dynprop.linear`: powers by squaring of FLINT's balls with one exponent, eigenvalues as the
roots of an exact characteristic polynomial. The precision is raised until a result is known well enough.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import numpy as np

from dynprop.arrays import NumericArray

__all__ = [
    "FAMILIES",
    "Ball",
    "Rng",
    "balls",
    "bits",
    "defective",
    "drawn",
    "eigenvalues",
    "exact_power",
    "largest",
    "shift",
    "upper",
]

Rng = np.random.Generator
# Any: python-flint has no annotations for its balls and ball matrices.
Ball = Any
# The working precision up to which a reference goes.
_MOST = 2**15
_KNOWN = 140


@contextmanager
def bits(precision: int) -> Iterator[None]:
    """Compute with FLINT at a precision, and restore the former one."""
    from flint import ctx

    before = ctx.prec
    ctx.prec = precision
    try:
        yield
    finally:
        ctx.prec = before


# Families


def _gaussian(rng: Rng, n: int) -> NumericArray:
    return np.asarray(rng.standard_normal((n, n)) / n**0.5)


def _complex(rng: Rng, n: int) -> NumericArray:
    return np.asarray((rng.standard_normal((n, n)) + 1j * rng.standard_normal((n, n))) / (2 * n) ** 0.5)


def _symmetric(rng: Rng, n: int) -> NumericArray:
    made = _gaussian(rng, n)
    return np.asarray((made + made.T) / 2)


def _orthogonal(rng: Rng, n: int) -> NumericArray:
    return np.asarray(np.linalg.qr(rng.standard_normal((n, n)))[0])


def _integer(rng: Rng, n: int) -> NumericArray:
    return rng.integers(-2, 3, (n, n)).astype(np.float64)


def _triangular(rng: Rng, n: int) -> NumericArray:
    return np.asarray(np.triu(rng.standard_normal((n, n))) * rng.choice([0.5, 1.0, 4.0]))


def _jordan(rng: Rng, n: int) -> NumericArray:
    """Return one or two Jordan blocks of short dyadic eigenvalues in a basis of integers, all exact."""
    sizes = [n] if rng.random() < 0.5 else [n // 2, n - n // 2]
    values = [float(rng.integers(-8, 9)) / 8 for size in sizes if size]
    diagonal = [value for value, size in zip(values, filter(None, sizes), strict=True) for _ in range(size)]
    chained = [float(a == b) for a, b in itertools.pairwise(diagonal)]
    form = np.diag(diagonal) + np.diag(chained, 1)
    lower = np.tril(rng.integers(-1, 2, (n, n)), -1).astype(np.float64) + np.eye(n)
    inverse = np.rint(np.linalg.inv(lower))
    return np.asarray(lower @ form @ inverse)


def _near_defective(rng: Rng, n: int) -> NumericArray:
    return np.asarray(_jordan(rng, n) + 10.0 ** rng.uniform(-14, -3) * rng.standard_normal((n, n)))


def _tiny(rng: Rng, n: int) -> NumericArray:
    return np.asarray(_gaussian(rng, n) * 10.0 ** rng.uniform(-300, -30))


def _huge(rng: Rng, n: int) -> NumericArray:
    return np.asarray(_gaussian(rng, n) * 10.0 ** rng.uniform(30, 300))


FAMILIES: Mapping[str, Callable[[Rng, int], NumericArray]] = {
    "gaussian": _gaussian,
    "complex": _complex,
    "symmetric": _symmetric,
    "orthogonal": _orthogonal,
    "integer": _integer,
    "triangular": _triangular,
    "jordan": _jordan,
    "near-defective": _near_defective,
    "tiny": _tiny,
    "huge": _huge,
}


def drawn(rng: Rng, family: str, most: int = 5) -> NumericArray:
    """Draw a matrix of a family, of size 1 to ``most``."""
    return FAMILIES[family](rng, int(rng.integers(1, most + 1)))


# Balls


def balls(x: NumericArray) -> Ball:
    """Return an array of one or two axes as a matrix of balls, exact; one axis becomes a column."""
    from flint import acb_mat

    table = np.asarray(x, dtype=np.complex128)
    table = table if table.ndim == 2 else table[:, None]
    return acb_mat([[complex(v) for v in row] for row in table.tolist()])


def shift(matrix: Ball, exponent: int) -> Ball:
    """Return a matrix times two to a small exponent; exact."""
    from flint import acb, arb

    return matrix * acb(arb(2) ** exponent)


def upper(x: Ball) -> float:
    """Return an upper bound of a modulus as a float."""
    return float(x.abs_upper())


def _size(matrix: Ball) -> int | None:
    """Return the binary exponent of the largest entry, or None for a matrix of exact zeros."""
    sizes = [entry.abs_upper() for entry in matrix.entries()]
    found = [size.mid().man_exp() for size in sizes if size > 0]
    return max((int(man).bit_length() + int(exp) for man, exp in found), default=None)


def _scaled(matrix: Ball) -> tuple[Ball, int]:
    size = _size(matrix)
    return (matrix, 0) if size is None else (shift(matrix, -size), size)


def largest(matrix: Ball) -> float:
    """Return an upper bound of the largest modulus of the entries."""
    return max((upper(entry) for entry in matrix.entries()), default=0.0)


def _radius(matrix: Ball) -> float:
    return max(
        (float(part.rad().mid()) for entry in matrix.entries() for part in (entry.real, entry.imag)),
        default=0.0,
    )


def exact_power(W: NumericArray, t: int, start: NumericArray | None = None) -> tuple[Ball, int] | None:
    """Return Wᵗ, or the columns Wᵗ start, as balls of largest entry near 1 and an exponent of two.

    The radii are below 2**-140 of the largest entry; None where no precision achieves it.
    """
    precision = 256 + 4 * t.bit_length()
    while precision <= _MOST:
        with bits(precision):
            found = _power(W, t, start)
            known = _radius(found[0]) <= 2.0**-_KNOWN * 0.5
        # A matrix of exact zeros has radius 0; a ball around zero is scaled to radius near 1.
        if known:
            return found
        precision *= 2
    return None


def _power(W: NumericArray, t: int, start: NumericArray | None) -> tuple[Ball, int]:
    factor, exponent = _scaled(balls(W))
    state, total = (balls(np.eye(len(W))), 0) if start is None else _scaled(balls(start))
    while t:
        if t & 1:
            state, more = _scaled(factor * state)
            total += exponent + more
        t >>= 1
        if t:
            factor, more = _scaled(factor * factor)
            exponent = 2 * exponent + more
    return state, total


# Eigenvalues, exact


def _rational(W: NumericArray) -> tuple[list[list[int]], int]:
    """Return a real matrix as integers times a power of two."""
    rows = [[Fraction(float(v)) for v in row] for row in W.tolist()]
    denominator = max((v.denominator for row in rows for v in row), default=1)
    return [[int(v * denominator) for v in row] for row in rows], -(denominator.bit_length() - 1)


def _real_form(W: NumericArray) -> NumericArray:
    """Return the real matrix whose eigenvalues are those of W and their conjugates, W itself if real."""
    if not np.iscomplexobj(W):
        return W
    return np.block([[W.real, -W.imag], [W.imag, W.real]])


def _characteristic(W: NumericArray) -> tuple[Any, Any, int]:
    from flint import fmpq_mat, fmpz_poly

    rows, exponent = _rational(_real_form(W))
    matrix = fmpq_mat(len(rows), len(rows), [v for row in rows for v in row])
    polynomial = matrix.charpoly()
    return matrix, fmpz_poly([int(c.p) for c in polynomial.coeffs()]), exponent


def defective(W: NumericArray) -> bool:
    """Whether W has too few eigenvectors: its squarefree characteristic polynomial at W is not 0."""
    from flint import fmpq_mat

    matrix, polynomial, _ = _characteristic(W)
    radical = polynomial // polynomial.gcd(polynomial.derivative())
    n = matrix.nrows()
    value = fmpq_mat(n, n)
    one = fmpq_mat(n, n, [int(i == j) for i in range(n) for j in range(n)])
    for coefficient in reversed(radical.coeffs()):
        value = value * matrix + one * coefficient
    return any(entry != 0 for entry in value.entries())


def eigenvalues(W: NumericArray, precision: int = 600) -> list[tuple[Ball, int]]:
    """Return the distinct eigenvalues as balls, with multiplicities; those of a complex W count as 1 each."""
    from flint import acb, acb_mat, arb

    _, polynomial, exponent = _characteristic(W)
    with bits(precision):
        unit = acb(arb(2) ** exponent)
        roots = [(root * unit, int(multiplicity)) for root, multiplicity in polynomial.complex_roots()]
        if not np.iscomplexobj(W):
            return roots
        matrix, n = balls(W), len(W)
        one = acb_mat([[int(i == j) for j in range(n)] for i in range(n)])
        return [(root, 1) for root, _ in roots if (matrix - one * root).det().contains(0)]
