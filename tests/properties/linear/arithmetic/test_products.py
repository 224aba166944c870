"""Products and residuals to more than working precision hold their bounds against exact arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from flint import acb_mat, arb, ctx

from dynprop.arrays import NumericArray
from dynprop.linear.arithmetic import products
from dynprop.linear.arithmetic.errorfree import compensated_sum, two_product, two_sum
from dynprop.linear.arithmetic.products import diagonal_residual, less_scaled, product


def exact(x: NumericArray) -> Any:
    return acb_mat(len(x), x.shape[1], x.astype(complex).ravel().tolist())


def distance(a: Any, b: Any) -> float:
    """Return the Frobenius norm of a difference."""
    return float(sum((x.abs_upper() ** 2 for x in (a - b).entries()), arb(0)).sqrt())


def eigenpairs(kind: str, n: int) -> tuple[NumericArray, NumericArray, NumericArray]:
    A = np.random.default_rng(n).standard_normal((n, n)) / np.sqrt(n)
    if kind == "symmetric":
        A = A + A.T
        return A, *np.linalg.eigh(A)[::-1]
    A = A + 1j * A[::-1] if kind == "complex" else A
    values, vectors = np.linalg.eig(A)
    return A, vectors, values


@pytest.mark.parametrize("kind", ["symmetric", "real", "complex"])
@pytest.mark.parametrize(("n", "rows"), [(1, 128), (7, 128), (7, 3), (40, 128)])
def test_a_residual_of_eigenpairs_holds_its_bound_and_is_known_to_twice_the_precision(
    kind: str, n: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(products, "_ROWS", rows)
    A, S, values = eigenpairs(kind, n)
    before, ctx.prec = ctx.prec, 600
    try:
        true = exact(A) * exact(S) - exact(S) * exact(np.diag(values))
        fine, bound = diagonal_residual(A, S, values)
        coarse, larger = less_scaled(product(A, S), S, values)
        assert distance(exact(fine), true) <= bound < 1e-27 * n
        assert distance(exact(coarse), true) <= larger
    finally:
        ctx.prec = before
    assert n == 1 or bound < larger / 100.0


def test_sums_and_products_are_transformed_without_error() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 500)) * np.exp2(rng.integers(-60, 60, (2, 500)))
    before, ctx.prec = ctx.prec, 2000
    try:
        for x, y, s, e, p, f in zip(a, b, *two_sum(a, b), *two_product(a, b), strict=True):
            assert arb(x) + arb(y) == arb(s) + arb(e)
            assert arb(x) * arb(y) == arb(p) + arb(f)
    finally:
        ctx.prec = before


def test_a_compensated_sum_survives_cancellation() -> None:
    terms = [np.full((2, 2), x) for x in (1.0, 2.0**-60, 1e10, -1e10, -1.0, 2.0**-80)]
    total, bound = compensated_sum(terms)
    assert np.abs(total - (2.0**-60 + 2.0**-80)).max() <= bound
    assert bound < 2e-20
