"""Fixed points of the mean field, in units of what else the machine does in a few milliseconds."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from dynprop.products import edge_of_chaos, mean_field
from tests.bench.conftest import Compare

# Values of the literature (tests/properties/products/test_tables.py).
CASES = [
    ("tanh", 1.3, 0.05, 0.3153164775),
    ("tanh", 2.5, 0.05, 1.063958377),
    ("erf", 2.0, 0.1, None),
]


def eigenvalues(n: int) -> Callable[[], object]:
    """Return a piece of known work: all eigenvalues of an n x n matrix, 4 to 8 ms at n = 100."""
    matrix = np.random.default_rng(0).standard_normal((n, n))
    return partial(np.linalg.eigvals, matrix)


@pytest.mark.parametrize(("activation", "weight", "bias", "q"), CASES)
def test_a_fixed_point_takes_less_than_the_eigenvalues_of_a_matrix_of_100(
    compare: Compare, activation: str, weight: float, bias: float, q: float | None
) -> None:
    found = mean_field(activation, weight, bias)
    assert q is None or found.q == pytest.approx(q, abs=6e-9)
    if activation == "erf":
        root = weight * 2.0 / math.pi * math.asin(2.0 * found.q / (1.0 + 2.0 * found.q)) + bias
        assert root == pytest.approx(found.q, rel=1e-12)
    compare(partial(mean_field, activation, weight, bias), eigenvalues(100), ceiling=1.0)


def test_an_edge_takes_less_than_three_such_spectra(compare: Compare) -> None:
    assert edge_of_chaos("tanh", 0.05).weight_variance == pytest.approx(1.76095464, abs=6e-9)
    compare(partial(edge_of_chaos, "tanh", 0.05), eigenvalues(100), ceiling=3.0)
